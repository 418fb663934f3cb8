//! What happened, on the account page; and the mail about a login from another browser.

use serde_json::{Value, json};

use crate::harness::{Accept, PASSWORD, Server, Visitor, wait_for};

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

/// The events that the visitor is shown, once there are so many.
fn shown(visitor: &Visitor, number: usize) -> Vec<Value> {
    wait_for("the events", || {
        let events = visitor.get("/account").json()["events"].clone();
        let events = events.as_array().unwrap().clone();
        (events.len() >= number).then_some(events)
    })
}

#[test]
fn the_last_twenty_are_shown_newest_first_and_nobody_else_s() {
    of_one_machine!("an edit of users.json by hand is told of");
    let server = Server::start();
    let (bob, _) = Visitor::with_account(&server, "bob");
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    let events = shown(&alice, 2);
    let agent = events[0]["agent"].clone();
    let time = events[0]["time"].clone();
    assert_eq!(
        events[0],
        json!({
            "time": time, "event": "logged_in", "by": null, "address": "127.0.0.1",
            "agent": agent, "result": "ok",
        })
    );
    assert_eq!(events[1]["event"], "registered");

    server.edit_account("alice", |account| {
        account["groups"] = json!(["users", "staff"])
    });
    let events = shown(&alice, 3);
    assert_eq!(
        (&events[0]["event"], &events[0]["by"]),
        (&json!("groups_changed"), &json!("the operator"))
    );
    assert_eq!(
        (&events[0]["address"], &events[0]["agent"]),
        (&Value::Null, &Value::Null)
    );

    let page = alice.reading(Accept::Page).get("/account").body;
    for words in [
        "<summary>What happened</summary>",
        "The groups were changed</strong>, by the people who run this site",
        "Logged in, and set up an authenticator",
        "127.0.0.1, <time",
    ] {
        assert!(page.contains(words), "{words} in {page}");
    }
    assert!(!page.contains("groups_changed"));
    assert_eq!(shown(&bob, 2).len(), 2);
    let _ = authenticator;
}

#[test]
fn a_login_from_another_browser_is_told_by_mail_and_one_from_the_same_is_not() {
    let server = Server::start();
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    let subjects = || {
        let entries = std::fs::read_dir(server.path("outbox")).unwrap();
        let mails = entries.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap());
        mails
            .filter(|mail| mail.contains("Subject: New login"))
            .count()
    };

    // The same browser, which keeps its cookies.
    alice.post("/logout", &[]).expect("logged_out");
    alice.log_in("alice", PASSWORD, &authenticator);
    let codes = alice.new_recovery_codes();
    // Another, by a recovery code: that has a mail of its own.
    let third = Visitor::program(&server);
    let form = [("username", "alice"), ("password", PASSWORD)];
    third.post("/login", &form).expect("code_required");
    third
        .post("/secret_key", &[("secret", &codes[0])])
        .expect("login_complete");
    server.next_mail("A recovery code was used");
    assert_eq!(subjects(), 0);
    wait_for("the event", || {
        let lines = server.kept("events.jsonl");
        let entered = lines.lines().rfind(|line| line.contains("\"logged_in\""))?;
        let with = "\"with\":\"recovery_code\"";
        entered.contains(with).then_some(())
    });

    let other = Visitor::program(&server).sending("user-agent", FIREFOX);
    other.log_in("alice", PASSWORD, &authenticator);

    let mail = server.next_mail("New login");
    for words in [
        "Address: 127.0.0.1\r\n",
        "Browser: Firefox on Linux\r\n",
        "/account\r\n",
    ] {
        assert!(mail.contains(words), "{words} in {mail}");
    }
    assert!(mail.contains("To: alice@example.com"));
    let events = shown(&alice, 7);
    // Of one login, in which order is not told.
    let mut newest = events[..2].iter().map(|event| &event["event"]);
    assert!(newest.any(|event| event == "new_browser"), "{events:?}");
    assert_eq!(
        events
            .iter()
            .filter(|event| event["event"] == "new_browser")
            .count(),
        1
    );
}
