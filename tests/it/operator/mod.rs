//! The program as its operator meets it: how it starts, what it says, and how it ends.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use crate::harness::{Setup, place};

mod backup;
mod cannot_start;
mod check;
mod doctor;
mod events;
mod flags;
#[cfg(feature = "faults")]
mod hanging_end;
mod import;
mod invite;
mod log;
mod log_unread;
mod logo;
mod lured;
mod person;
mod person_and_server;
mod proxy_config;
mod root;
mod start_and_end;
#[cfg(feature = "faults")]
mod start_refused_by_system;
mod terminal;
pub(crate) mod user;
mod words;
#[cfg(feature = "faults")]
mod wrong_clock;

const HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

#[cfg(feature = "long")]
pub(crate) use backup::backups_while_writers_write;
pub(crate) use check::assert_check_says;
pub(crate) use events::told;
#[cfg(all(feature = "faults", feature = "databases"))]
pub(crate) use wrong_clock::faketime;

/// Exit status, standard output, standard error.
pub(crate) type Said = (i32, String, String);

/// Runs a command in the setup's folder, with this on its standard input.
pub(crate) fn run(setup: &Setup, arguments: &[&str], input: &[u8]) -> Said {
    let mut child = setup
        .clone()
        .with(arguments)
        .command()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that refuses its flags reads nothing.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let status = output.status.code().unwrap();
    if status == 0 {
        place::settle(setup.dir());
    }
    (status, text(output.stdout), text(output.stderr))
}

/// Starts a server that must refuse what it was told: exit 2, a line that names it, a hint, nothing
/// made.
#[track_caller]
pub(crate) fn assert_misused(setup: &Setup, named: &str) -> String {
    let before = fs::read_dir(setup.dir()).unwrap().count();

    let (status, out, err) = setup.run();

    let said = (status.code().unwrap(), out, err);
    assert_wrong_call(&said, named);
    assert_eq!(fs::read_dir(setup.dir()).unwrap().count(), before);
    said.2
}

/// What is said of a call that is not taken: exit 2, a line that names what is wrong, and a hint.
#[track_caller]
pub(crate) fn assert_wrong_call((status, out, err): &Said, named: &str) {
    assert_eq!((*status, out.as_str()), (2, ""), "{named}: {err}");
    let lines: Vec<&str> = err.lines().collect();
    assert_eq!(lines.len(), 2, "{named}: {err}");
    assert!(
        lines[0].starts_with("auth_user: ") && lines[0].contains(named),
        "{named}: {err}"
    );
    assert!(lines[1].starts_with("auth_user: hint: "), "{err}");
}

/// Starts a server that cannot: exit 1, a line and a hint, nothing made.
#[track_caller]
pub(crate) fn assert_cannot(setup: &Setup, what: &str, hint: &str) -> String {
    let before = fs::read_dir(setup.dir()).unwrap().count();

    let (status, out, err) = setup.run();

    assert_eq!((status.code(), out.as_str()), (Some(1), ""), "{err}");
    let lines: Vec<&str> = err
        .lines()
        .filter(|line| line.starts_with("auth_user: "))
        .collect();
    assert_says_cannot(&lines.join("\n"), what, hint);
    assert_eq!(fs::read_dir(setup.dir()).unwrap().count(), before);
    err
}

/// What is said of what cannot be done: a line, and a hint.
#[track_caller]
pub(crate) fn assert_says_cannot(err: &str, what: &str, hint: &str) {
    let lines: Vec<&str> = err.lines().collect();
    assert_eq!(lines.len(), 2, "{what}: {err}");
    assert!(
        lines[0].starts_with("auth_user: cannot ") && lines[0].contains(what),
        "{what}: {err}"
    );
    assert!(
        lines[1].starts_with("auth_user: hint: ") && lines[1].contains(hint),
        "{hint}: {err}"
    );
}
