//! `auth_user user set`, `disable` and the like, beside a server that runs.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::smtp_sink::{Sink, new_password};
use crate::harness::{Accept, PASSWORD, Server, Setup, Visitor, wait_for};
use crate::operator::person::{edit, user};

/// The events of this kind, in order.
fn events(server: &Server, kind: &str) -> Vec<Value> {
    let text = server.kept("events.jsonl");
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.filter(|line: &Value| line["event"] == kind).collect()
}

#[track_caller]
fn done(setup: &Setup, words: &[&str]) {
    let said = user(setup, words);
    assert_eq!((said.0, said.1.as_str()), (0, "Done.\n"), "{said:?}");
}

/// Sessions that a command has ended end within a second; this waits a little longer.
fn ends(visitor: &Visitor, what: &str) {
    wait_for(what, || (!visitor.is_logged_in()).then_some(()));
}

#[test]
fn a_running_server_takes_each_act_up_and_tells_of_it_once() {
    let setup = Setup::new();
    let server = setup.start();
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    let account = |visitor: &Visitor| visitor.get("/account").json();

    done(&setup, &["set", "alice", "--add-group", "staff"]);
    wait_for("the group", || {
        (account(&alice)["groups"] == json!(["users", "staff"])).then_some(())
    });
    done(&setup, &["end-sessions", "alice"]);
    ends(&alice, "the end of the session");
    alice.log_in("alice", PASSWORD, &authenticator);
    done(&setup, &["disable", "alice"]);
    ends(&alice, "the end of the disabled session");
    let form = [("username", "alice"), ("password", PASSWORD)];
    assert_eq!(alice.post("/login", &form).status, 401);
    done(&setup, &["enable", "alice"]);
    wait_for("the account", || {
        (alice.post("/login", &form).status == 200).then_some(())
    });
    // The login that was begun ends with it.
    done(&setup, &["reset-2fa", "alice"]);
    server.next_mail("Your second factor was reset");
    wait_for("the second factor to go", || {
        let answer = alice.post("/login", &form).json();
        (answer["code"] == "enrol_required").then_some(())
    });
    let authenticator = alice.enrol("alice");
    done(&setup, &["set", "alice", "--rename", "alicia"]);
    server.next_mail("Your username was changed");
    ends(&alice, "the end of the session by the old name");
    assert_eq!(alice.post("/login", &form).status, 401);
    alice.log_in("Alicia", PASSWORD, &authenticator);
    done(&setup, &["set", "alicia", "--email", "new@example.com"]);
    server.next_mail("Your e-mail address was changed");
    assert!(alice.is_logged_in());
    done(&setup, &["remove", "alicia", "--yes"]);
    ends(&alice, "the end of the removed account");

    // Had the server taken any of it for an edit by hand, it would have said so by now.
    thread::sleep(Duration::from_secs(1));
    for kind in [
        "groups_changed",
        "sessions_ended",
        "account_disabled",
        "account_enabled",
        "second_factor_reset",
        "account_renamed",
        "email_changed",
        "account_removed",
    ] {
        let told = events(&server, kind);
        assert_eq!(told.len(), 1, "{kind}: {told:?}");
        assert_eq!(told[0]["by"], "the operator");
    }
    assert!(!server.log().contains("edited_by_hand"), "{}", server.log());
}

#[test]
fn mailed_passwords_count_for_no_limit_and_the_newest_five_log_in() {
    let setup = Setup::new();
    let server = setup.start();
    Visitor::with_account(&server, "alice");
    for _ in 0..7 {
        let said = user(&setup, &["new-password", "alice"]);
        assert_eq!(said.0, 0, "{said:?}");
    }
    let users = server.users();
    assert_eq!(users["users"]["alice"].get("mails"), None);
    let alice = Visitor::program(&server);
    // A change by a command holds within a second.
    thread::sleep(Duration::from_secs(2));
    let logs_in = |mail: &String| {
        let form = [("username", "alice"), ("password", new_password(mail))];
        alice.post("/login", &form).status == 200
    };
    let mails = server.next_mails("Your new password", 7);
    assert_eq!(mails.iter().filter(|mail| logs_in(mail)).count(), 5);
}

#[test]
fn what_is_shown_is_what_administrators_are_told() {
    let setup = Setup::new();
    let server = setup.start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let agent = alice.sending("user-agent", "agent/1");
    assert!(agent.is_logged_in());
    done(&setup, &["set", "alice", "--add-group", "admins"]);
    let told = wait_for("the list", || {
        let answer = alice.reading(Accept::Json).get("/people/alice");
        (answer.status == 200).then(|| answer.json())
    });

    let said = user(&setup, &["show", "alice", "--json"]);
    let mut shown: Value = serde_json::from_str(&said.1).unwrap();

    let mut told = told;
    for object in [&mut shown, &mut told] {
        // Saved from time to time.
        object["sessions"][0]["last_seen"] = Value::Null;
    }
    assert_eq!(shown, told);
    let text = user(&setup, &["show", "alice"]).1;
    let session = text
        .lines()
        .find(|line| line.starts_with("session:"))
        .unwrap();
    let fields: Vec<&str> = session.split('\t').collect();
    assert_eq!(
        (fields.len(), fields[3], fields[5]),
        (6, "127.0.0.1", "-"),
        "{session}"
    );
    assert_eq!(fields[1], shown["sessions"][0]["created"]);
    // The list is the same too, as text and as JSON.
    done(&setup, &["set", "alice", "--add-group", "staff"]);
    server.edit_account("alice", |alice| {
        let groups = alice["groups"].as_array_mut().unwrap();
        groups.push("a\tb\u{1b}[2J\u{202e}".into());
    });
    let as_text = alice.reading(Accept::Text);
    let list = wait_for("the groups", || {
        let list = as_text.get("/people").body;
        list.contains("users,admins,staff,a").then_some(list)
    });
    assert_eq!(user(&setup, &["list"]).1.trim_end(), list.trim_end());
    assert!(list.contains(r"staff,a\tb\u{1b}[2J\u{202e}"), "{list}");
    let one = as_text.get("/people/alice").body;
    let text = user(&setup, &["show", "alice"]).1;
    let fields: Vec<&str> = text.lines().take(6).collect();
    assert_eq!(fields, one.lines().collect::<Vec<&str>>());
    let none = user(&setup, &["show", "alice", "--json", "--session-max", "1s"]);
    thread::sleep(Duration::from_secs(1));
    assert_eq!(none.0, 0);
    let none = user(&setup, &["show", "alice", "--json", "--session-max", "1s"]);
    let none: Value = serde_json::from_str(&none.1).unwrap();
    assert_eq!(none["sessions"], json!([]));
}

#[test]
fn a_session_that_stays_is_told_apart() {
    let setup = Setup::new();
    let server = setup.start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let codes = alice.new_recovery_codes();
    let staying = Visitor::program(&server);
    let form = [
        ("username", "alice"),
        ("password", PASSWORD),
        ("remember", "1"),
    ];
    staying.post("/login", &form).expect("code_required");
    staying
        .post("/secret_key", &[("secret", &codes[0])])
        .expect("login_complete");

    let text = user(&setup, &["show", "alice"]).1;

    let sessions = text.lines().filter(|line| line.starts_with("session:"));
    let mut ends: Vec<&str> = sessions
        .map(|line| line.rsplit('\t').next().unwrap())
        .collect();
    ends.sort_unstable();
    assert_eq!(ends, ["-", "stays"], "{text}");
    let none = user(&setup, &["show", "alice", "--remember", "0"]).1;
    assert!(!none.contains("\tstays"), "{none}");
}

/// It looks for what others put into its outbox.
#[test]
fn a_running_server_sends_what_a_command_mails() {
    let sink = Sink::start();
    let setup = Setup::new().with(&["--smtp", &sink.url()]);
    let server = setup.start();
    Visitor::program(&server).register("alice");

    let told = setup.clone().with(&["--mail-from", "login@example.com"]);
    let told = told.with(&["--public-url", &server.url("")]);
    let said = user(&told, &["new-password", "alice"]);

    let mailed = "A new password has been sent to their e-mail address.\n";
    assert_eq!(said, (0, mailed.to_owned(), String::new()));
    let mail = sink.next();
    assert_eq!(mail.to, "RCPT TO:<alice@example.com>");
    assert_eq!(mail.subject(), "Your new password");
}

/// Nobody would be told of what a command had swallowed.
#[test]
fn a_command_leaves_edits_by_hand_for_a_server_to_tell_of() {
    of_one_machine!("users.json is edited by hand");
    let setup = Setup::new();
    let mut server = setup.start();
    for name in ["alice", "bob"] {
        Visitor::with_account(&server, name);
    }
    server.signal(rustix::process::Signal::TERM);
    server.wait();
    let others = setup.dir().join("users.json");
    let users: Value = serde_json::from_slice(&std::fs::read(others).unwrap()).unwrap();
    let hash = users["users"]["alice"]["password"].clone();
    edit(&setup, "bob", |bob| {
        bob["password"] = hash;
        bob["groups"] = json!(["users", "staff"]);
    });

    done(&setup, &["set", "alice", "--add-group", "x"]);
    done(&setup, &["disable", "bob"]);
    drop(server);
    let server = setup.start();

    let mail = server.next_mail("Your password was changed");
    assert!(mail.contains("Hello bob,"), "{mail}");
    wait_for("the event of the groups", || {
        let told = events(&server, "groups_changed");
        (told.len() == 2).then_some(())
    });
    thread::sleep(Duration::from_millis(500));
    let told = events(&server, "groups_changed");
    assert_eq!(
        (&told[0]["user"], &told[1]["user"]),
        (&json!("alice"), &json!("bob"))
    );
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(events(&server, "account_disabled").len(), 1);
}

#[test]
fn an_account_that_is_taken_out_of_the_file_is_an_event() {
    of_one_machine!("users.json is edited by hand");
    let setup = Setup::new();
    let server = setup.start();
    Visitor::with_account(&server, "alice");
    // Names are held, and their end told of, once an account is a day old.
    server.edit_account("alice", |alice| {
        alice["created"] = "2026-01-01T00:00:00Z".into()
    });
    wait_for("the edit", || {
        server.log().contains("took up").then_some(())
    });
    let id = server.users()["users"]["alice"]["id"].clone();
    let mut users = server.users();
    users["users"] = json!({});
    std::fs::write(server.path("edited"), users.to_string()).unwrap();
    std::fs::rename(server.path("edited"), server.path("users.json")).unwrap();

    let told = wait_for("the event", || events(&server, "account_removed").pop());

    assert_eq!((&told["by"], &told["id"]), (&json!("the operator"), &id));
}
