//! What is kept and what is dropped: of what strangers send, after a kill, on a full disk, and where
//! none are to be kept.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{PASSWORD, Server, Setup, Visitor, place, read, wait_for};
use crate::operator::events::{events, lines, told};

#[test]
fn strangers_cannot_fill_the_file() {
    // Each node counts what it has not told of.
    let mut server = Server::start_alone();
    let (_alice, _) = Visitor::with_account(&server, "alice");
    told(&server, "logged_in");
    let before = lines(&server).len();
    let stranger = Visitor::program(&server);
    let long = "x".repeat(300);
    for _ in 0..300 {
        // An account that exists, and nothing that costs a hash.
        let form = [("username", "alice"), ("password", &long)];
        stranger.post("/login", &form).expect("bad_field");
        let elsewhere = stranger.sending("sec-fetch-site", "cross-site");
        elsewhere.post("/login", &form).expect("cross_site");
    }
    for n in 0..3 {
        let name = format!("typed-{n}");
        let form = [("username", name.as_str()), ("password", PASSWORD)];
        stranger.post("/login", &form).expect("wrong_credentials");
    }

    server.signal(rustix::process::Signal::TERM);
    assert!(server.wait().success());

    let counted = &lines(&server)[before..];
    let count = |result: &str| {
        let mut of_it = counted.iter().filter(|line| line["result"] == result);
        let one = of_it.next().unwrap().clone();
        assert!(of_it.next().is_none());
        assert_eq!(
            (&one["user"], &one["id"], &one["address"]),
            (&Value::Null, &Value::Null, &Value::Null)
        );
        one["count"].clone()
    };
    assert_eq!(counted.len(), 3, "{counted:?}");
    assert_eq!(count("bad_field"), 300);
    assert_eq!(count("cross_site"), 300);
    assert_eq!(count("wrong_credentials"), 3);
    assert!(!server.kept("events.jsonl").contains("typed-"));
}

#[test]
fn a_kill_loses_at_most_what_came_last() {
    let setup = Setup::new();
    let mut server = setup.start();
    let visitor = Visitor::program(&server);
    for n in 0..10 {
        visitor.sign_up(&format!("user{n}"));
    }
    server.kill();

    let told = lines(&server).len();
    if place::is_database() {
        // Each node loses what came to it in its last second.
        assert!(told >= 1);
    } else {
        assert!(told >= 9, "{told}");
        // A line that was cut off harms no other.
        let path = server.path("events.jsonl");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text + "{\"time\":\"2026").unwrap();
    }
    let again = setup.start();
    Visitor::program(&again).sign_up("late");
    wait_for("the line", || {
        (lines(&again).len() == told + 1).then_some(())
    });
    assert_eq!(events(&setup, &[]).1.lines().count(), told + 1);
}

#[test]
fn a_file_that_cannot_be_written_loses_no_login_and_the_log_says_how_many() {
    of_one_machine!("events.jsonl cannot be written to");
    let setup = Setup::new();
    fs::create_dir(setup.dir().join("events.jsonl")).unwrap();
    let server = setup.start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    assert!(alice.is_logged_in());
    server.wait_for_log("events cannot be written");
    assert_eq!(alice.get("/account").json()["events"], json!([]));

    fs::remove_dir(server.path("events.jsonl")).unwrap();
    alice.post("/logout", &[]).expect("logged_out");

    told(&server, "logged_out");
    server.wait_for_log("lost=2");
    assert_eq!(server.log().matches("events cannot be written").count(), 1);
}

#[test]
fn a_full_disk_loses_events_and_no_login() {
    of_one_machine!("events.jsonl cannot grow");
    // Room for the accounts and no more lines than are there: the file has reached the limit.
    let limit = 64 * 1024;
    let setup = Setup::new().under(&["prlimit", &format!("--fsize={limit}")]);
    let line =
        "{\"time\":\"2999-01-01T00:00:00.000Z\",\"event\":\"logged_in\",\"result\":\"ok\"}\n";
    let mut full = line.repeat(limit / line.len() - 2);
    let padding = "x".repeat(limit - 10 - full.len() - line.len() - ",\"pad\":\"\"".len());
    full += &line.replace('}', &format!(",\"pad\":\"{padding}\"}}"));
    fs::write(setup.dir().join("events.jsonl"), &full).unwrap();

    let server = setup.start();
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    let other = Visitor::program(&server);
    other.log_in("alice", PASSWORD, &authenticator);

    assert!(alice.is_logged_in() && other.is_logged_in());
    server.wait_for_log("events cannot be written");
    // Nothing is left of a line that did not fit.
    assert!(read(server.dir.path(), "events.jsonl") == full);
    fs::remove_file(server.path("events.jsonl")).unwrap();
    other.post("/logout", &[]).expect("logged_out");
    told(&server, "logged_out");
    server.wait_for_log("events were lost");
}

#[test]
fn none_are_written_where_none_are_kept() {
    let server = Server::start_with(&["--events-kept", "0"]);
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    Visitor::program(&server).log_in("alice", PASSWORD, &authenticator);
    // The notice goes out all the same.
    server.next_mail("New login");

    assert_eq!(alice.get("/account").json()["events"], json!([]));
    assert_eq!(server.kept("events.jsonl"), "");
}
