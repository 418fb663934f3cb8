//! `auth_user invite`: links by which people make accounts.

use serde_json::{Value, json};

use crate::harness::directory::{listing, snapshot};
use crate::harness::{PASSWORD, Setup, Visitor, from_now, place};
use crate::operator::person::mails;
use crate::operator::user::{add, list, parsed};
use crate::operator::{assert_wrong_call, run};

fn invite(setup: &Setup, more: &[&str]) -> (i32, String, String) {
    run(setup, &[&["invite"], more].concat(), b"")
}

fn told(setup: &Setup) -> Setup {
    let setup = setup
        .clone()
        .env("AUTH_PUBLIC_URL", "https://login.example.com");
    setup.env("AUTH_MAIL_FROM", "login@example.com")
}

#[test]
fn an_invitation_is_a_link_alone_and_a_mail_if_there_is_an_address() {
    let setup = Setup::bare();
    let assuming = invite(&setup, &[]);
    assert_eq!(assuming.0, 0, "{assuming:?}");
    assert!(
        assuming
            .1
            .starts_with("https://localhost:8000/invitation?token=")
    );
    assert_eq!(assuming.1.lines().count(), 1);
    assert!(
        assuming.2.contains("warning: no --public-url was given"),
        "{assuming:?}"
    );
    assert!(!assuming.2.contains("--mail-from") && mails(&setup).is_empty());

    let setup = told(&setup);
    let words = [
        "--email",
        "new@example.com",
        "--groups",
        "staff",
        "--valid",
        "1h",
        "--json",
    ];
    let said = invite(&setup, &words);
    assert_eq!(said.0, 0, "{said:?}");
    let made = parsed(&said);
    let link = made["link"].as_str().unwrap();
    assert!(link.starts_with("https://login.example.com/invitation?token="));
    assert_eq!(made["code"], "invited");
    assert_eq!(made["message"], format!("Invitation made: {link}"));
    assert_eq!(made["email"], "new@example.com");
    assert_eq!(made["groups"], json!(["users", "staff"]));
    assert!(made["expires"].as_str().unwrap() < from_now(3700).as_str());
    assert!(said.2.contains("the mail waits in "), "{said:?}");
    assert!(mails(&setup)[0].contains("Subject: Your invitation\r\n"));
    let listed = parsed(&list(&setup, &["--json"]));
    assert_eq!(listed["invitations"][1]["id"], made["id"]);
    assert_eq!(listed["invitations"][1]["by"], "the operator");

    let ended = invite(&setup, &["--end", made["id"].as_str().unwrap()]);
    assert_eq!(ended, (0, "Done.\n".to_owned(), String::new()));
    let listed = parsed(&list(&setup, &["--json"]));
    assert_eq!(listed["invitations"].as_array().unwrap().len(), 1);
    let id = listed["invitations"][0]["id"].as_str().unwrap();
    let ended = invite(&setup, &["--json", "--end", id]);
    assert_eq!(
        parsed(&ended),
        json!({ "code": "invitation_ended", "message": "Done." })
    );

    let events = place::kept(setup.dir(), "events.jsonl");
    let events: Vec<Value> = events
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let kinds: Vec<&Value> = events.iter().map(|event| &event["event"]).collect();
    assert_eq!(
        kinds,
        ["invited", "invited", "invitation_ended", "invitation_ended"]
    );
    assert_eq!(events[1]["invitation"], made["id"]);
    assert_eq!(
        (&events[1]["email"], &events[2]["groups"]),
        (&made["email"], &made["groups"])
    );
    assert!(events.iter().all(|event| event["by"] == "the operator"));
}

#[test]
fn whoever_has_the_link_makes_an_account() {
    let setup = Setup::new();
    let server = setup.clone().with(&["--registration", "invited"]).start();
    let said = invite(&told(&setup), &["--groups", "staff"]);
    let token = said.1.trim().rsplit_once('=').unwrap().1.to_owned();
    let form = [
        ("username", "alice"),
        ("email", "alice@example.com"),
        ("password", PASSWORD),
        ("token", &token),
    ];
    let alice = Visitor::program(&server);
    let made = crate::harness::wait_for("the link", || {
        let answer = alice.post("/register", &form);
        (answer.status == 201).then_some(answer)
    });
    made.expect("registered");
    assert_eq!(
        server.users()["users"]["alice"]["groups"],
        json!(["users", "staff"])
    );
}

#[test]
fn what_cannot_be_done_is_refused_and_changes_nothing() {
    let setup = told(&Setup::bare());
    assert_eq!(add(&setup, "alice", &[]).0, 0);
    let before = snapshot(setup.dir());
    for (words, code, message) in [
        (
            &["--email", "Alice@example.com"][..],
            "email_exists",
            "User with this email already exists",
        ),
        (
            &["--registration", "closed"],
            "registration_closed",
            "Registration is closed.",
        ),
        (
            &["--end", "nothing"],
            "no_invitation",
            "This invitation is used, expired or unknown.",
        ),
        (
            // Every 64th id begins like this.
            &["--end", "-nothing"],
            "no_invitation",
            "This invitation is used, expired or unknown.",
        ),
    ] {
        let (status, out, err) = invite(&setup, words);
        assert_eq!((status, out.as_str()), (1, ""), "{words:?}: {err}");
        let lines: Vec<&str> = err.lines().collect();
        assert!(
            lines[0].starts_with("auth_user: cannot ") && lines[0].ends_with(message),
            "{err}"
        );
        assert!(lines[1].starts_with("auth_user: hint: "), "{err}");
        let said = invite(&setup, &[words, &["--json"]].concat());
        assert_eq!(parsed(&said), json!({ "code": code, "message": message }));
    }
    assert_eq!(snapshot(setup.dir()), before);
    let closed = setup.clone().env("AUTH_REGISTRATION", "Closed");
    assert_eq!(invite(&closed, &[]).0, 1);
}

#[test]
fn wrong_calls_are_seen_before_anything_is_read() {
    of_one_machine!("nothing is made in the folder");
    let setup = Setup::bare();
    for (words, named) in [
        (&["--email", "nobody"][..], "--email"),
        (&["--groups", "a;b"], "--groups"),
        (&["--valid", "59m"], "--valid"),
        (&["--valid", "91d"], "--valid"),
        (&["--end", "x", "--email", "a@example.com"], "--end"),
        (&["--end"], "--end"),
        (&["--frob"], "--frob"),
        (&["--public-url", "nowhere"], "--public-url"),
        (&["--registration", "perhaps"], "--registration"),
    ] {
        assert_wrong_call(&invite(&setup, words), named);
    }
    assert!(listing(setup.dir()).is_empty());
}
