//! What the program makes in a checkout of its own source.

use std::fs;
use std::process::Command;

use crate::harness::{Setup, Visitor};

/// Started in a checkout, the program leaves keys and accounts there that nobody should publish.
#[test]
fn nothing_the_program_makes_in_a_checkout_is_taken_up_by_git() {
    let setup = Setup::bare();
    let ignored = fs::read_to_string(".gitignore").unwrap();
    fs::write(setup.dir().join(".gitignore"), ignored).unwrap();
    let git = |arguments: &[&str]| -> String {
        let mut git = Command::new("git");
        let out = git
            .args(arguments)
            .current_dir(setup.dir())
            .output()
            .unwrap();
        assert!(out.status.success(), "{out:?}");
        String::from_utf8(out.stdout).unwrap()
    };
    git(&["init", "--quiet"]);
    let server = setup.start();
    Visitor::with_account(&server, "alice");
    // What waits for an operator, stays where it is killed, or finds a file damaged.
    for name in [
        "outbox/1.eml",
        ".server.crt.draft",
        ".server.key.draft",
        "users.json.new",
        "sessions.json.new",
        "sessions.json.damaged",
        "events.jsonl.new",
        "sessions.json.damaged.1",
    ] {
        fs::write(server.path(name), "").unwrap();
    }

    let taken = git(&["status", "--porcelain", "--untracked-files=all"]);

    // The log is the test's own.
    let taken: Vec<&str> = taken
        .lines()
        .filter(|line| !line.ends_with(" log"))
        .collect();
    assert_eq!(taken, ["?? .gitignore"]);
}

/// What the first command makes in a clone is not to be committed: a private key is among it.
#[test]
fn what_the_first_run_makes_is_ignored() {
    let server = Setup::bare().start();
    Visitor::with_account(&server, "alice");
    let ignored = fs::read_to_string(".gitignore").unwrap();
    let patterns: Vec<&str> = ignored
        .lines()
        .filter_map(|line| line.strip_prefix('/'))
        .collect();
    for entry in fs::read_dir(server.dir.path()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let covered = patterns
            .iter()
            .any(|pattern| match pattern.split_once('*') {
                Some((begin, end)) => name.starts_with(begin) && name.ends_with(end),
                None => pattern.trim_end_matches('/') == name,
            });
        // The log is the test's.
        assert!(covered || name == "log", "{name} would be committed");
    }
}
