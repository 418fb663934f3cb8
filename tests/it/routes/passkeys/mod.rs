//! Passkeys: made, used alone and after the password, removed, and where there are none.

use serde_json::Value;

use crate::harness::{Answer, Server, Visitor, wait_for};

mod alone;
mod kept;
#[cfg(feature = "makers")]
mod makers;
mod making;
mod nowhere;
mod once;
mod script;
mod second_step;

/// What every answer is told that does not hold, whatever the reason.
const WRONG: (u16, &str, &str) = (
    401,
    "wrong_passkey",
    "This passkey is not known here, or was not confirmed.",
);

/// The account in the file.
fn kept(server: &Server, name: &str) -> Value {
    server.users()["users"][name].clone()
}

/// The last event of this kind, once it is written.
fn event(visitor: &Visitor, kind: &str) -> Value {
    wait_for(kind, || {
        let events = visitor.get("/account").json()["events"].clone();
        let mut events = events.as_array().unwrap().clone().into_iter();
        events.find(|event| event["event"] == kind)
    })
}

/// The lines of `events.jsonl` of this kind, once there are so many.
fn lines(server: &Server, kind: &str, number: usize) -> Vec<Value> {
    wait_for(kind, || {
        let text = server.kept("events.jsonl");
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        let lines: Vec<Value> = lines.filter(|line: &Value| line["event"] == kind).collect();
        (lines.len() >= number).then_some(lines)
    })
}

/// Whether an answer is the one refusal of passkeys.
#[track_caller]
fn is_wrong(answer: &Answer) {
    assert_eq!(
        (answer.status, answer.cookie("__Host-session")),
        (401, None)
    );
    answer.expect("wrong_passkey");
    assert_eq!(answer.json()["message"], WRONG.2);
}
