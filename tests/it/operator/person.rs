//! `auth_user user show`, `set`, `disable` and the like, where no server runs.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::directory::{listing, snapshot};
use crate::harness::{Setup, place, read};
use crate::operator::user::{add, parsed};
use crate::operator::{Said, run};

/// `user` with these words and nothing to read.
pub(super) fn user(setup: &Setup, words: &[&str]) -> Said {
    run(setup, &[&["user"], words].concat(), b"")
}

/// A folder with `alice` and `bob` in it, and where mails come from told.
pub(super) fn two() -> Setup {
    let setup = Setup::bare()
        .env("AUTH_PUBLIC_URL", "https://login.example.com")
        .env("AUTH_MAIL_FROM", "login@example.com");
    assert_eq!(add(&setup, "alice", &[]).0, 0);
    assert_eq!(add(&setup, "bob", &["--groups", "staff"]).0, 0);
    setup
}

pub(super) fn users(setup: &Setup) -> Value {
    serde_json::from_str(&place::kept(setup.dir(), "users.json")).unwrap()
}

/// Changes an account in the file as an editor would.
pub(super) fn edit(setup: &Setup, name: &str, edit: impl FnOnce(&mut Value)) {
    place::edit(setup.dir(), "users.json", |users| {
        edit(&mut users["users"][name]);
    });
}

/// What happened, by whom and with what result: `EVENT USER`, in order.
pub(super) fn happened(setup: &Setup) -> Vec<String> {
    let text = place::kept(setup.dir(), "events.jsonl");
    let lines = text.lines().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            (&line["by"], &line["result"], &line["address"]),
            (&json!("the operator"), &json!("ok"), &Value::Null)
        );
        let text = |name: &str| line[name].as_str().unwrap().to_owned();
        format!("{} {}", text("event"), text("user"))
    });
    lines.collect()
}

/// The mails that wait.
pub(super) fn mails(setup: &Setup) -> Vec<String> {
    place::mails(setup.dir())
}

#[test]
fn each_act_is_done_said_in_text_and_json_and_told_of() {
    let done = "Done.";
    let mailed = "A new password has been sent to their e-mail address.";
    for (word, code, message, event) in [
        ("disable", "account_disabled", done, "account_disabled"),
        ("enable", "account_enabled", done, "account_enabled"),
        ("end-sessions", "sessions_ended", done, "sessions_ended"),
        ("new-password", "password_mailed", mailed, "password_mailed"),
        (
            "reset-2fa",
            "second_factor_reset",
            done,
            "second_factor_reset",
        ),
        ("remove", "account_removed", done, "account_removed"),
    ] {
        let setup = two();
        for name in ["alice", "bob"] {
            edit(&setup, name, |account| {
                account["totp"] = json!({ "secret": "A".repeat(32), "last_step": 0 });
                account["seal"] = Value::Null;
                if word == "enable" {
                    account["disabled"] = true.into();
                }
            });
        }
        let yes = if word == "remove" {
            &["--yes"][..]
        } else {
            &[]
        };
        let as_text = user(&setup, &[&[word, "ALICE"], yes].concat());
        let as_json = user(&setup, &[&[word, "bob", "--json"], yes].concat());

        assert_eq!(
            (as_text.0, as_text.1),
            (0, format!("{message}\n")),
            "{word}"
        );
        assert_eq!(as_json.0, 0, "{word}: {as_json:?}");
        assert_eq!(
            parsed(&as_json),
            json!({ "code": code, "message": message })
        );
        let told = happened(&setup);
        assert_eq!(
            told[2..],
            [format!("{event} alice"), format!("{event} bob")]
        );
        let mails = mails(&setup);
        assert_eq!(
            mails.len(),
            if word.contains('-') && word != "end-sessions" {
                2
            } else {
                0
            }
        );
        for mail in &mails {
            assert!(mail.contains("From: login@example.com"), "{mail}");
            assert!(mail.contains("https://login.example.com/login"), "{mail}");
        }
        let said = as_text
            .2
            .lines()
            .filter(|line| line.contains("the mail waits in "));
        assert_eq!(said.count(), mails.len() / 2, "{}", as_text.2);

        let users = &users(&setup)["users"]["alice"];
        match word {
            "disable" => assert_eq!(users["disabled"], true),
            "enable" => assert_eq!(users["disabled"], false),
            "end-sessions" => assert_eq!(users["generation"], 1),
            "new-password" => assert_eq!(users["mailed_passwords"].as_array().unwrap().len(), 1),
            "reset-2fa" => assert_eq!(users.get("totp"), None),
            _ => assert_eq!(*users, Value::Null),
        }
    }
}

#[test]
fn what_is_so_already_is_done_and_no_event() {
    let setup = two();
    assert_eq!(user(&setup, &["disable", "alice"]).0, 0);
    let before = snapshot(setup.dir());

    for words in [
        &["disable", "alice"][..],
        &["enable", "bob"],
        &["reset-2fa", "bob"],
        &["set", "bob", "--groups", "users staff"],
        &["set", "bob", "--add-group", "staff", "--add-group", "users"],
        &["set", "bob", "--remove-group", "nobody"],
        &[
            "set",
            "bob",
            "--rename",
            "bob",
            "--email",
            "BOB@example.com",
        ],
    ] {
        // A reset ends what was begun all the same.
        let said = user(&setup, words);
        assert_eq!((said.0, said.1.as_str()), (0, "Done.\n"), "{words:?}");
        if words[0] != "reset-2fa" {
            let now = snapshot(setup.dir());
            let alike = now
                .iter()
                .zip(&before)
                .filter(|(now, before)| now == before);
            assert!(alike.count() + 1 >= before.len(), "{words:?}");
        }
    }
    assert_eq!(happened(&setup).len(), 3);
    assert!(!setup.dir().join("outbox").exists());
    assert_eq!(user(&setup, &["enable", "alice"]).1, "Done.\n");
    assert_eq!(happened(&setup)[3], "account_enabled alice");
}

#[test]
fn all_that_is_set_in_one_call_is_one_change() {
    let setup = two();
    let said = user(
        &setup,
        &[
            "set",
            "bob",
            "--rename",
            "Robert",
            "--email",
            "rob@example.com",
            "--add-group",
            "a,b",
            "--add-group",
            "c",
            "--json",
        ],
    );
    assert_eq!(said.0, 0, "{said:?}");
    let told = parsed(&said);
    assert_eq!(told["code"], "account_changed");
    assert_eq!(told["message"], "Done.");
    assert_eq!(told["username"], "Robert");
    assert_eq!(told["email"], "rob@example.com");
    assert_eq!(told["groups"], json!(["users", "staff", "a", "b", "c"]));
    assert!(told["id"].is_string() && !said.1.contains("pbkdf2"));

    let file = users(&setup);
    let names: Vec<&String> = file["users"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["alice", "Robert"]);
    assert!(file["former"]["bob"].is_string());
    assert_eq!(
        happened(&setup)[2..],
        [
            "account_renamed Robert",
            "email_changed Robert",
            "groups_changed Robert"
        ]
    );
    let events = place::kept(setup.dir(), "events.jsonl");
    assert!(events.contains(r#""from":"bob""#), "{events}");
    let groups = r#""groups":["users","staff","a","b","c"]"#;
    assert!(events.lines().last().unwrap().contains(groups), "{events}");
    let mails = mails(&setup);
    assert_eq!(mails.len(), 2);
    for (to, subject, text) in [
        (
            "bob@example.com",
            "Your e-mail address was changed",
            "rob@example.com",
        ),
        (
            "rob@example.com",
            "Your username was changed",
            "from bob to",
        ),
    ] {
        let to = format!("To: {to}\r\n");
        let mail = mails.iter().find(|mail| mail.contains(&to)).unwrap();
        assert!(mail.contains(&format!("Subject: {subject}\r\n")), "{mail}");
        assert!(mail.contains(text), "{mail}");
    }

    for (words, groups) in [
        (["--groups", "x,y"], json!(["x", "y"])),
        (["--remove-group", "y"], json!(["x"])),
        (["--groups", ""], json!([])),
    ] {
        let said = user(&setup, &[&["set", "robert"], &words[..]].concat());
        assert_eq!(said, (0, "Done.\n".to_owned(), String::new()));
        assert_eq!(users(&setup)["users"]["Robert"]["groups"], groups);
    }
}

#[test]
fn one_account_is_shown_as_text_and_json() {
    let setup = two();
    let as_text = user(&setup, &["show", " BOB "]);
    let as_json = user(&setup, &["show", "bob", "--json"]);

    assert_eq!((as_text.0, as_text.2.as_str()), (0, ""));
    let lines: Vec<&str> = as_text.1.lines().collect();
    assert_eq!(
        lines[..6],
        [
            "username: bob",
            "email: bob@example.com",
            "groups: users,staff",
            "state: active",
            "second_factor: no",
            "last_login: -",
        ]
    );
    let event: Vec<&str> = lines[6].split('\t').collect();
    assert_eq!(event[0], "event:");
    assert_eq!(
        event[2..],
        ["account_added", "bob", "the operator", "-", "-", "ok"]
    );
    assert_eq!(lines.len(), 7);
    let told = parsed(&as_json);
    assert_eq!(told["username"], "bob");
    assert_eq!(told["sessions"], json!([]));
    assert_eq!(told["recovery_codes_left"], 0);
    assert_eq!(told["events"][0]["event"], "account_added");
}

#[test]
fn the_last_twenty_events_are_shown_the_newest_first() {
    let setup = two();
    for n in 0..21 {
        let group = format!("g{n}");
        let said = user(&setup, &["set", "bob", "--add-group", &group]);
        assert_eq!(said.0, 0, "{said:?}");
    }

    let as_text = user(&setup, &["show", "bob"]).1;
    let told = parsed(&user(&setup, &["show", "bob", "--json"]));

    let lines = as_text.lines().filter(|line| line.starts_with("event:\t"));
    let times: Vec<&str> = lines.map(|line| line.split('\t').nth(1).unwrap()).collect();
    assert_eq!(times.len(), 20, "{as_text}");
    assert!(
        times.is_sorted_by(|newer, older| newer >= older),
        "{times:?}"
    );
    assert!(!as_text.contains("account_added"), "{as_text}");
    let events = told["events"].as_array().unwrap();
    assert_eq!((events.len(), &events[0]["time"]), (20, &json!(times[0])));
}

#[test]
fn what_a_terminal_obeys_is_escaped_in_what_is_shown_and_refused() {
    let setup = two();
    edit(&setup, "bob", |bob| {
        bob["groups"] = json!(["a\u{1b}[2Jb\u{202e}"])
    });
    let shown = user(&setup, &["show", "bob"]);
    assert!(
        shown.1.contains(r"groups: a\u{1b}[2Jb\u{202e}"),
        "{shown:?}"
    );
    let refused = user(&setup, &["disable", "x\u{1b}[2Jy"]);
    assert_eq!((refused.0, refused.1.as_str()), (1, ""));
    assert!(
        refused.2.contains(r#"There is no account "x\u{1b}[2Jy"."#),
        "{refused:?}"
    );
    let json = user(&setup, &["disable", "x\u{9b}y", "--json"]);
    assert!(!json.1.contains('\u{9b}') && parsed(&json)["code"] == "no_such_user");
}

/// A refusal, twice: as text, and with a document besides. Nothing may change.
fn refused(setup: &Setup, words: &[&str], code: &str, message: &str, hint: &str) {
    let before = snapshot(setup.dir());
    let (status, out, err) = user(setup, words);
    assert_eq!((status, out.as_str()), (1, ""), "{words:?}: {err}");
    let lines: Vec<&str> = err.lines().collect();
    assert!(lines[0].starts_with("auth_user: cannot "), "{err}");
    assert!(lines[0].ends_with(message), "{err}");
    assert!(lines[1].starts_with("auth_user: hint: "), "{err}");
    assert!(lines[1].contains(hint), "{err}");
    assert_eq!(lines.len(), 2, "{err}");

    let said = user(setup, &[words, &["--json"]].concat());
    assert_eq!((said.0, &said.2), (1, &err));
    assert_eq!(parsed(&said), json!({ "code": code, "message": message }));
    assert_eq!(snapshot(setup.dir()), before, "{words:?}");
}

#[test]
fn what_cannot_be_done_is_refused_in_words_and_codes_and_changes_nothing() {
    let setup = two();
    edit(&setup, "bob", |bob| bob["email"] = Value::Null);
    // None of these is for a command to mend.
    fs::write(setup.dir().join("sessions.json"), "{").unwrap();
    assert_eq!(add(&setup, "carol", &[]).0, 0);
    assert_eq!(user(&setup, &["disable", "carol"]).0, 0);
    let many = (0..50)
        .map(|n| format!("g{n}"))
        .collect::<Vec<_>>()
        .join(",");
    assert_eq!(user(&setup, &["set", "carol", "--groups", &many]).0, 0);
    let none = "There is no account \"nobody\".";
    let known = "There is no account \"ALICE@example.com\".";
    for word in [
        "show",
        "disable",
        "enable",
        "reset-2fa",
        "new-password",
        "end-sessions",
    ] {
        refused(&setup, &[word, "nobody"], "no_such_user", none, "user list");
        let words = [word, "ALICE@example.com"];
        refused(
            &setup,
            &words,
            "no_such_user",
            known,
            "alice has that address",
        );
    }
    refused(
        &setup,
        &["remove", "nobody", "--yes"],
        "no_such_user",
        none,
        "user list",
    );
    let words = ["set", "nobody", "--groups", ""];
    refused(&setup, &words, "no_such_user", none, "user list");
    for words in [
        &["set", "ALICE@example.com", "--rename", "x"][..],
        &["remove", "ALICE@example.com", "--yes"],
    ] {
        refused(
            &setup,
            words,
            "no_such_user",
            known,
            "alice has that address",
        );
    }
    let stranger = "There is no account \"x@example.com\".";
    refused(
        &setup,
        &["show", "x@example.com"],
        "no_such_user",
        stranger,
        "no account has that",
    );
    let message = "This account has no e-mail address.";
    refused(
        &setup,
        &["new-password", "bob"],
        "no_address",
        message,
        "--email",
    );
    let message = "This account is disabled.";
    refused(
        &setup,
        &["new-password", "carol"],
        "account_is_disabled",
        message,
        "enable",
    );
    let message = "The user already exists.";
    let words = ["set", "bob", "--add-group", "x", "--rename", "Alice"];
    refused(&setup, &words, "user_exists", message, "user list");
    let message = "User with this email already exists";
    let words = [
        "set",
        "bob",
        "--rename",
        "rob",
        "--email",
        "Alice@example.com",
    ];
    refused(&setup, &words, "email_exists", message, "user list");
    let message = "The field groups is too long: it may have 50 groups.";
    let words = ["set", "carol", "--add-group", "more"];
    refused(&setup, &words, "bad_field", message, "--remove-group");
    assert_eq!(read(setup.dir(), "sessions.json"), "{");
}

#[test]
fn wrong_calls_are_seen_before_anything_is_read() {
    of_one_machine!("the folder and its lock");
    let setup = Setup::bare();
    for (words, named) in [
        (&["show"][..], "<NAME>"),
        (&["disable"], "<NAME>"),
        (&["set", "alice"], "--rename"),
        (&["set", "--email", "a@example.com"], "<NAME>"),
        (&["set", "alice", "--email", "alice"], "--email"),
        (&["set", "alice", "--rename", "a b"], "--rename"),
        (&["set", "alice", "--rename", ""], "--rename"),
        (&["set", "alice", "--groups", "a;b"], "--groups"),
        (&["set", "alice", "--add-group", ""], "--add-group"),
        (&["set", "alice", "--remove-group", "a/b"], "--remove-group"),
        (
            &["set", "alice", "--groups", "a", "--add-group", "b"],
            "--add-group",
        ),
        (
            &["set", "alice", "--groups", "a", "--remove-group", "b"],
            "--remove-group",
        ),
        (
            &["set", "alice", "--add-group", "a", "--remove-group", "b"],
            "--remove-group",
        ),
        (&["remove", "alice"], "no terminal"),
        (&["remove", "alice", "--frob"], "--frob"),
        (
            &["new-password", "alice", "--public-url", "nowhere"],
            "--public-url",
        ),
        (
            &["show", "alice", "--session-idle", "soon"],
            "--session-idle",
        ),
        (
            &["disable", "alice", "--events-kept", "soon"],
            "--events-kept",
        ),
    ] {
        let (status, out, err) = user(&setup, words);
        assert_eq!((status, out.as_str()), (2, ""), "{words:?}: {err}");
        assert!(
            err.lines().next().unwrap().contains(named),
            "{words:?}: {err}"
        );
        assert_eq!(err.lines().count(), 2, "{words:?}: {err}");
    }
    assert!(listing(setup.dir()).is_empty());
}

#[test]
fn twenty_at_once_lose_nothing_of_each_other() {
    let setup = two();
    let all = |words: fn(usize) -> Vec<String>| -> Vec<i32> {
        let mut statuses: Vec<i32> = std::thread::scope(|scope| {
            let one = |n| {
                let setup = &setup;
                scope.spawn(move || {
                    let words = words(n);
                    let words: Vec<&str> = words.iter().map(String::as_str).collect();
                    user(setup, &words).0
                })
            };
            let threads: Vec<_> = (0..20).map(one).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        statuses.sort_unstable();
        statuses
    };
    let grouped = all(|n| {
        vec![
            "set".into(),
            "alice".into(),
            "--add-group".into(),
            format!("g{n}"),
        ]
    });
    assert_eq!(grouped, [0; 20]);
    assert_eq!(
        users(&setup)["users"]["alice"]["groups"]
            .as_array()
            .unwrap()
            .len(),
        21
    );
    assert_eq!(happened(&setup).len(), 22);

    let removed = all(|_| vec!["remove".into(), "bob".into(), "--yes".into()]);
    assert_eq!((removed[0], &removed[1..]), (0, &[1; 19][..]));
}

#[test]
fn a_lock_that_does_not_come_within_ten_seconds_is_not_waited_for() {
    of_one_machine!("the folder and its lock");
    let setup = two();
    let before = snapshot(setup.dir());
    let lock = fs::File::options()
        .write(true)
        .open(setup.dir().join("users.json.lock"))
        .unwrap();
    lock.lock().unwrap();
    let begun = Instant::now();

    let said = user(&setup, &["disable", "alice", "--json"]);

    let waited = begun.elapsed();
    assert!(
        (Duration::from_secs(9)..Duration::from_secs(20)).contains(&waited),
        "{waited:?}"
    );
    assert_eq!((said.0, &parsed(&said)["code"]), (1, &json!("not_saved")));
    assert!(
        said.2.contains("another process holds its lock"),
        "{said:?}"
    );
    assert_eq!(snapshot(setup.dir()), before);
}

#[test]
fn where_a_mail_cannot_be_written_nothing_is_done() {
    of_one_machine!("the folder and its lock");
    let setup = two();
    fs::write(setup.dir().join("outbox"), "").unwrap();
    let before = snapshot(setup.dir());
    for words in [
        &["set", "bob", "--rename", "rob"][..],
        &["set", "bob", "--email", "rob@example.com"],
        &["new-password", "bob"],
    ] {
        let said = user(&setup, &[words, &["--json"]].concat());
        assert_eq!(
            (said.0, &parsed(&said)["code"]),
            (1, &json!("not_saved")),
            "{said:?}"
        );
        assert!(
            said.2.starts_with("auth_user: cannot open the outbox"),
            "{said:?}"
        );
        assert_eq!(said.2.lines().count(), 2, "{said:?}");
    }
    assert_eq!(snapshot(setup.dir()), before);
    // What needs no mail needs no outbox.
    assert_eq!(user(&setup, &["set", "bob", "--add-group", "x"]).0, 0);
}
