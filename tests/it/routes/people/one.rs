//! One person.

use serde_json::{Value, json};

use crate::harness::three_forms::{page, refused, text};
use crate::harness::{Accept, Server, Visitor, wait_for};
use crate::routes::people::administrator;

#[test]
fn one_person_is_told_of_with_their_sessions() {
    let server = Server::start();
    let (ada, _) = administrator(&server, "ada");
    let bob = Visitor::program(&server).sending("user-agent", "<i>Firefox/128.0 Linux");
    bob.register("bob");
    bob.enrol("bob");

    // Events are written when the answer has been sent already.
    let answer = wait_for("bob's two events", || {
        let answer = ada.get("/people/bob");
        let events = answer.json()["events"].as_array().unwrap().len();
        (events == 2).then_some(answer)
    });
    let told = answer.json();
    let session = &told["sessions"][0];
    assert_eq!(
        told,
        json!({
            "username": "bob", "email": "bob@example.com", "email_proven": false,
            "groups": ["users"], "state": "active", "second_factor": true,
            "created": told["created"], "last_login": told["last_login"],
            "id": server.users()["users"]["bob"]["id"],
            "recovery_codes_left": 10,
            "sessions": [{
                "id": session["id"], "created": session["created"],
                "last_seen": session["last_seen"], "address": "127.0.0.1",
                "agent": "<i>Firefox/128.0 Linux", "remembered": false,
            }],
            "events": told["events"],
        })
    );
    let events = told["events"].as_array().unwrap().iter();
    let events: Vec<&Value> = events.map(|event| &event["event"]).collect();
    assert_eq!(events, ["logged_in", "registered"]);
    assert!(session["id"].as_str().unwrap().len() < 30, "no secret");
    for cookie in bob.cookies.borrow().values() {
        assert!(!answer.body.contains(cookie.as_str()));
    }

    let last_login = told["last_login"].as_str().unwrap();
    let lines = format!(
        "username: bob\nemail: bob@example.com\ngroups: users\nstate: active\n\
         second_factor: yes\nlast_login: {last_login}"
    );
    text(&ada.reading(Accept::Text).get("/people/bob"), 200, &lines);
    let shown = ada.reading(Accept::Page).get("/people/bob");
    page(&shown, 200, "bob");
    for words in [
        "bob@example.com, not confirmed yet",
        "set up, 10 recovery codes left",
        "Firefox on Linux",
    ] {
        assert!(shown.body.contains(words), "{words}");
    }
    assert!(!shown.body.contains("<i>"));
}

#[test]
fn a_name_is_looked_up_as_at_a_login() {
    let server = Server::start();
    let (ada, _) = administrator(&server, "ada");
    Visitor::program(&server).register("bob+x");
    for name in [
        "bob+x",
        "BOB+X",
        "%62ob%2bx",
        "%20bob%2Bx",
        "bob+x@example.com",
        "bob%2Bx%40EXAMPLE.com",
    ] {
        let answer = ada.get(&format!("/people/{name}"));
        assert_eq!(answer.json()["username"], "bob+x", "{name}");
    }
    for name in [
        "nobody",
        "bob",
        "bob%20x",
        "%ff",
        "bob%00",
        "%2e%2e",
        &"a".repeat(300),
    ] {
        refused(
            &ada,
            (404, "not_found", "There is no such page."),
            |visitor| visitor.get(&format!("/people/{name}")),
        );
    }
}

#[test]
fn what_was_done_is_said_once_and_only_in_our_words() {
    let server = Server::start();
    let (ada, _) = administrator(&server, "ada");
    let browser = ada.reading(Accept::Page);
    let notices = |path: &str| {
        browser
            .get(path)
            .body
            .matches("<p role=\"status\">")
            .count()
    };
    for code in [
        "account_disabled",
        "account_enabled",
        "groups_changed",
        "password_mailed",
        "second_factor_reset",
        "sessions_ended",
    ] {
        assert_eq!(notices(&format!("/people/ada?notice={code}")), 1, "{code}");
    }
    assert_eq!(notices("/people?notice=account_removed"), 1);
    for path in [
        "/people/ada",
        "/people/ada?notice=hello",
        "/people?notice=hello",
        "/people",
    ] {
        assert_eq!(notices(path), 0, "{path}");
    }
}
