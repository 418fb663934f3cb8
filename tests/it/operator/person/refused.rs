//! What is refused, in which words, and that nothing has changed then.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::directory::{listing, snapshot};
use crate::harness::{Held, Setup, place, read};
use crate::operator::person::{edit, two, user, users};
use crate::operator::user::{add, parsed};
use crate::operator::{assert_says_cannot, assert_wrong_call};

/// A refusal, twice: as text, and with a document besides. Nothing may change.
fn refused(setup: &Setup, words: &[&str], code: &str, message: &str, hint: &str) {
    let before = snapshot(setup.dir());
    let (status, out, err) = user(setup, words);
    assert_eq!((status, out.as_str()), (1, ""), "{words:?}: {err}");
    assert_says_cannot(&err, message, hint);
    assert!(err.contains(&format!("{message}\n")), "{err}");

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
        assert_wrong_call(&user(&setup, words), named);
    }
    assert!(listing(setup.dir()).is_empty());
}

#[test]
fn who_holds_the_accounts_is_waited_for_and_not_for_long() {
    let setup = two();
    let before = (snapshot(setup.dir()), users(&setup));
    // Behind a file stand commands that write all of it.
    let (least, code, why) = match place::is_database() {
        true => (1, "busy", "lock timeout"),
        false => (9, "not_saved", "another process holds its lock"),
    };
    let held = Held::of(setup.dir());
    let begun = Instant::now();

    let said = user(&setup, &["disable", "alice", "--json"]);

    let waited = begun.elapsed();
    drop(held);
    assert!(
        (Duration::from_secs(least)..Duration::from_secs(20)).contains(&waited),
        "{waited:?}"
    );
    assert_eq!((said.0, &parsed(&said)["code"]), (1, &json!(code)));
    assert!(said.2.contains(why), "{said:?}");
    assert_eq!((snapshot(setup.dir()), users(&setup)), before);
}

#[test]
fn where_a_mail_cannot_be_written_nothing_is_done() {
    of_one_machine!("the outbox cannot be opened");
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
