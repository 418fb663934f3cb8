//! What the command shows.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::symlink;
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use crate::harness::directory::listing;
use crate::harness::{Setup, Visitor, place};
use crate::operator::assert_wrong_call;
use crate::operator::events::{as_agent, events, id, told};
use crate::operator::user::add;

#[test]
fn a_command_writes_to_the_same_file_and_shows_it() {
    let setup = Setup::new();
    assert_eq!(events(&setup, &[]), (0, String::new(), String::new()));
    assert!(!setup.dir().join("events.jsonl").exists());

    assert_eq!(add(&setup, "bob", &["--groups", "staff"]).0, 0);
    assert_eq!(add(&setup, "nobody", &["--events-kept", "0"]).0, 0);
    let server = setup.start();
    let (_alice, _) = Visitor::with_account(&server, "alice");
    told(&server, "logged_in");

    let added = told(&server, "account_added");
    assert_eq!(
        added,
        json!({
            "event": "account_added", "user": "bob", "id": id(&server, "bob"),
            "by": "the operator", "address": null, "agent": null, "result": "ok",
            "groups": ["users", "staff"],
        })
    );
    let (status, out, err) = events(&setup, &[]);
    assert_eq!((status, err.as_str()), (0, ""));
    let rows: Vec<Vec<&str>> = out.lines().map(|line| line.split('\t').collect()).collect();
    let without_time: Vec<&[&str]> = rows.iter().map(|row| &row[1..]).collect();
    let agent = rows[1][5];
    assert_eq!(
        without_time[0],
        ["account_added", "bob", "the operator", "-", "-", "ok"]
    );
    assert_eq!(
        without_time[1],
        ["registered", "alice", "-", "127.0.0.1", agent, "ok"]
    );
    let (_, json, _) = events(&setup, &["--json"]);
    assert_eq!(json, place::kept(setup.dir(), "events.jsonl"));
    let (_, of_alice, _) = events(&setup, &["--user", " Alice", "--since", "1h"]);
    assert_eq!(of_alice.lines().count(), 2, "{of_alice}");
    for early in [
        "--since=2999-01-01",
        "--user=nobody",
        "--since=2999-01-01T00:00:00Z",
    ] {
        assert_eq!(
            events(&setup, &[early]),
            (0, String::new(), String::new()),
            "{early}"
        );
    }
}

#[test]
fn events_follow_an_account_and_not_its_name() {
    let setup = Setup::bare();
    let user = |words: &[&str]| {
        let (status, _, err) = setup.clone().with(&["user"]).with(words).run();
        assert!(status.success(), "{err}");
    };
    assert_eq!(add(&setup, "alice", &[]).0, 0);
    user(&["disable", "alice"]);
    let email = ["--email", "alicia@example.com"];
    user(&[&["set", "alice", "--rename", "alicia"], &email[..]].concat());
    assert_eq!(add(&setup, "alice", &["--groups", "other"]).0, 0);
    user(&["set", "alice", "--add-group", "x"]);
    let happened = |name: &str| -> Vec<String> {
        let (status, out, err) = events(&setup, &["--user", name]);
        assert_eq!((status, err.as_str()), (0, ""));
        let rows = out.lines().map(|line| line.split('\t').collect::<Vec<_>>());
        rows.map(|row| format!("{} {}", row[1], row[2])).collect()
    };

    let first = [
        "account_added alice",
        "account_disabled alice",
        "account_renamed alicia",
        "email_changed alicia",
    ];
    assert_eq!(happened("Alicia"), first);
    let second = ["account_added alice", "groups_changed alice"];
    assert_eq!(happened("alice"), second);

    // Where no account has the name, what stands there counts.
    user(&["remove", "alice", "--yes"]);
    let by_name = [&first[..2], &second, &["account_removed alice"]].concat();
    assert_eq!(happened("ALICE"), by_name);
}

#[test]
fn a_wrong_call_and_an_address_for_a_name_are_refused() {
    let setup = Setup::bare();
    for (call, named) in [
        (&["--since", "yesterday"][..], "--since"),
        (&["--users", "a", "--user"], "--user"),
        (&["alice"], "alice"),
        (&["--nothing"], "--nothing"),
    ] {
        assert_wrong_call(&events(&setup, call), named);
    }
    assert!(listing(setup.dir()).is_empty());

    assert_eq!(add(&setup, "alice", &[]).0, 0);
    let (status, out, err) = events(&setup, &["--user", "alice@example.com"]);
    assert_eq!((status, out.as_str()), (1, ""));
    assert!(
        err.contains("\nauth_user: hint: alice has that address"),
        "{err}"
    );
}

#[test]
fn a_wrong_place_is_refused() {
    of_one_machine!("a file that is damaged, one that is a link, and one that is not there");
    let setup = Setup::bare();
    let (status, out, err) = events(&setup, &["--users", "nowhere/users.json", "--json"]);
    assert_eq!(status, 1);
    let said: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(said["code"], "no_file");
    assert!(err.starts_with("auth_user: cannot "), "{err}");
    assert!(fs::read_dir(setup.dir()).unwrap().next().is_none());

    assert_eq!(add(&setup, "alice", &[]).0, 0);
    fs::rename(setup.dir().join("events.jsonl"), setup.dir().join("else")).unwrap();
    symlink("else", setup.dir().join("events.jsonl")).unwrap();
    let (status, out, err) = events(&setup, &[]);
    assert_eq!((status, out.as_str()), (1, ""));
    assert!(err.contains("hint: see to events.jsonl"), "{err}");
    fs::write(setup.dir().join("users.json"), "{").unwrap();
    assert_eq!(events(&setup, &["--user", "alice"]).0, 1);
}

#[test]
fn what_a_browser_calls_itself_commands_no_terminal() {
    let setup = Setup::new();
    let server = setup.start();
    let odd = "a\tb\u{9b}2J";
    as_agent(&Visitor::program(&server), odd).sign_up("alice");
    told(&server, "registered");

    let (_, out, _) = events(&setup, &[]);
    assert_eq!(
        out.lines().next().unwrap().split('\t').count(),
        7,
        "{out:?}"
    );
    assert!(
        !out.chars()
            .any(|c| c.is_control() && c != '\n' && c != '\t'),
        "{out:?}"
    );
    let (_, out, _) = events(&setup, &["--json"]);
    assert!(!out.chars().any(|c| c.is_control() && c != '\n'), "{out:?}");
}

/// `auth_user events --follow`, and what it prints.
fn follow(setup: &Setup) -> (Child, impl FnMut() -> String + use<>) {
    let mut child = setup
        .clone()
        .with(&["events", "--follow"])
        .command()
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let next = move || {
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        line
    };
    (child, next)
}

#[test]
fn following_shows_what_comes_whatever_becomes_of_the_file_and_ends_well() {
    let setup = Setup::new();
    let server = setup.start();
    let (mut child, mut next) = follow(&setup);
    let visitor = Visitor::program(&server);
    visitor.sign_up("alice");
    assert!(next().contains("\tregistered\talice\t"));

    // Who follows a database sees what was before, too.
    let first = match place::is_database() {
        true => "alice",
        false => "bob",
    };
    if !place::is_database() {
        fs::rename(server.path("events.jsonl"), server.path("events.1")).unwrap();
    }
    visitor.sign_up("bob");
    assert!(next().contains("\tregistered\tbob\t"));

    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::INT] {
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0));
        (child, next) = follow(&setup);
        assert!(next().contains(&format!("\tregistered\t{first}\t")));
    }
    // Nobody reads any more, and nothing new comes.
    drop(next);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
