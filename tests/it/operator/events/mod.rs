//! events.jsonl and `auth_user events`: what happened to accounts.

use serde_json::Value;

use crate::harness::{Server, Setup, Visitor, place, wait_for};
use crate::operator::{Said, run};

mod kept;
mod shown;
mod written;

/// The lines of the file.
fn lines(server: &Server) -> Vec<Value> {
    server
        .kept("events.jsonl")
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// Waits for the one line that tells of this, and takes its time out.
pub(crate) fn told(server: &Server, event: &str) -> Value {
    let mut all = told_all(server, event, 1);
    all.remove(0)
}

/// As [`told`], for so many of them.
fn told_all(server: &Server, event: &str, number: usize) -> Vec<Value> {
    let mut found = wait_for(&format!("{number} of {event}"), || {
        let of_it = |line: &Value| line["event"] == event;
        let found: Vec<Value> = lines(server).into_iter().filter(of_it).collect();
        (found.len() >= number).then_some(found)
    });
    assert_eq!(found.len(), number, "{found:?}");
    for line in &mut found {
        let line = line.as_object_mut().unwrap();
        let time = line.shift_remove("time").unwrap();
        let time = time.as_str().unwrap().to_owned();
        assert!(time.len() == 24 && time.ends_with('Z'), "{time}");
        let node = line.shift_remove("node");
        assert_eq!(node.is_some(), place::is_database(), "{node:?}");
    }
    found
}

fn id(server: &Server, name: &str) -> Value {
    server.users()["users"][name]["id"].clone()
}

/// `auth_user events` in the folder of a server.
fn events(setup: &Setup, more: &[&str]) -> Said {
    run(setup, &[&["events"], more].concat(), b"")
}

fn as_agent(visitor: &Visitor, agent: &str) -> Visitor {
    visitor.sending("user-agent", agent)
}
