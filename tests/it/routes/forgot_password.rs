//! A lost password, the mailed one in its place, and the choice of a new one.

use serde_json::json;

use crate::harness::smtp_sink::new_password;
use crate::harness::three_forms::{FORMS, json, page, refused, see_other, text};
use crate::harness::{Accept, PASSWORD, Server, Visitor, wait_for};
use crate::routes::{first_step, log_in};

#[test]
fn a_lost_password_is_replaced_by_mail() {
    let server = Server::start();
    let (elsewhere, authenticator) = Visitor::with_account(&server, "alice");
    let visitor = Visitor::program(&server);
    visitor.post("/forgot_password", &[("username", "Alice@EXAMPLE.com")]);
    let mail = server.next_mail("Your new password");
    let mailed = new_password(&mail);
    assert!(mail.contains("To: alice@example.com\r\n"), "{mail}");
    assert!(mail.contains("30 minutes"), "{mail}");
    assert!(mail.contains("If you did not ask for this"), "{mail}");
    assert!(mail.contains(&server.url("/login")), "{mail}");

    first_step(&visitor, mailed, "code_required");
    let answer = visitor.post("/secret_key", &[("secret", &authenticator.code())]);
    answer.expect("password_change_required");
    assert!(!visitor.is_logged_in());
    let answer = visitor.post("/account/password", &[("new_password", "eight tame cows")]);
    answer.expect("password_changed");

    assert!(visitor.is_logged_in());
    assert!(!elsewhere.is_logged_in(), "all other sessions end");
    server.next_mail("Your password was changed");
    let anew = Visitor::program(&server);
    first_step(&anew, PASSWORD, "wrong_credentials");
    anew.log_in("alice", "eight tame cows", &authenticator);
}

#[test]
fn a_mailed_password_leads_to_choosing_a_new_one_and_to_nothing_else() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let codes = alice.new_recovery_codes();
    let thief = Visitor::program(&server);
    let mailed = thief.mailed_password(&server, "alice");
    // Not even to somebody who is logged in: it is nobody's current password.
    for path in [
        "/account/email",
        "/account/recovery_codes",
        "/account/password",
        "/account/delete",
        "/account/totp",
    ] {
        let form = [
            ("email", "new@example.com"),
            ("current_password", mailed.as_str()),
            ("new_password", "eight tame cows"),
            ("secret", &codes[0]),
        ];
        alice.post(path, &form).expect("wrong_password");
    }

    let closed = |visitor: &Visitor| {
        assert_eq!(visitor.get("/account").status, 401);
        for path in [
            "/account/email",
            "/account/recovery_codes",
            "/account/totp",
            "/account/totp/confirm",
            "/account/sessions/end",
            "/account/delete",
        ] {
            let form = [
                ("current_password", mailed.as_str()),
                ("secret", &codes[1]),
                ("session", "others"),
            ];
            visitor.post(path, &form).expect("login_required");
        }
    };
    first_step(&thief, &mailed, "code_required");
    closed(&thief);
    thief
        .post("/account/password", &[("new_password", "eight tame cows")])
        .expect("login_required");
    let before = thief.cookies.borrow()["__Host-login"].clone();
    thief
        .post("/secret_key", &[("secret", &codes[2])])
        .expect("password_change_required");
    closed(&thief);
    assert_eq!(thief.get("/secret_key").status, 401);
    thief
        .post("/secret_key", &[("secret", &codes[3])])
        .expect("no_pending_login");
    assert_ne!(
        thief.cookies.borrow()["__Host-login"],
        before,
        "a new id after the code"
    );
    assert!(!thief.cookies.borrow().contains_key("__Host-session"));
    let page = thief.get("/account/password");
    assert_eq!(page.status, 200);
    assert!(!page.body.contains("current_password"), "{page:?}");

    let again = thief.post("/account/password", &[("new_password", &mailed)]);
    again.expect("password_common");
    let short = thief.post("/account/password", &[("new_password", "1234567")]);
    short.expect("password_too_short");
    let current = [
        ("current_password", mailed.as_str()),
        ("new_password", "eight tame cows"),
    ];
    thief
        .post("/account/password", &current)
        .expect("login_required");
    assert!(alice.is_logged_in(), "nothing has changed yet");

    thief
        .post("/account/password", &[("new_password", "eight tame cows")])
        .expect("password_changed");
    assert!(thief.is_logged_in());
}

#[test]
fn mailed_passwords_work_side_by_side_and_each_of_them_once() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let visitor = Visitor::program(&server);
    let first = alice.mailed_password(&server, "alice");
    let second = alice.mailed_password(&server, "alice");
    assert_ne!(first, second);
    assert!(second.len() >= 22, "128 bits at least: {second}");

    // Whoever asked for the newer one, what the owner holds goes on working.
    first_step(&visitor, &first, "code_required");
    first_step(&visitor, &first, "wrong_credentials");
    first_step(&visitor, &second, "code_required");
    first_step(&visitor, &second, "wrong_credentials");

    first_step(&visitor, PASSWORD, "code_required");
    assert!(alice.is_logged_in(), "asking for one changes nothing");
    let file = server.kept("users.json");
    assert!(
        !file.contains(&first) && !file.contains(&second),
        "kept hashed"
    );
    assert!(!server.log().contains(&first) && !server.log().contains(&second));
}

#[test]
fn a_mailed_password_is_void_after_a_normal_login_and_after_half_an_hour() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let codes = alice.new_recovery_codes();
    let visitor = Visitor::program(&server);

    let mailed = visitor.mailed_password(&server, "alice");
    log_in(&visitor, "alice", PASSWORD, &codes[0]);
    first_step(&visitor, &mailed, "wrong_credentials");

    let mailed = visitor.mailed_password(&server, "alice");
    let alice = server.users()["users"]["alice"].clone();
    let expires = alice["mailed_passwords"][0]["expires"].clone();
    let mails = alice["mails"].clone();
    let second = |value: &serde_json::Value| {
        let text = value.as_str().unwrap();
        let part = |range: std::ops::Range<usize>| text[range].parse::<u64>().unwrap();
        part(11..13) * 3600 + part(14..16) * 60 + part(17..19)
    };
    let asked = second(&mails.as_array().unwrap().last().unwrap()["at"]);
    assert_eq!(
        (second(&expires) + 24 * 3600 - asked) % (24 * 3600),
        30 * 60
    );
    server.edit_account("alice", |alice| {
        alice["mailed_passwords"][0]["expires"] = "2026-01-01T00:00:00Z".into();
    });
    wait_for("the edit to be taken up", || {
        let answer = visitor.post("/login", &[("username", "alice"), ("password", &mailed)]);
        (answer.json()["code"] == "wrong_credentials").then_some(())
    });
}

#[test]
fn a_recovery_is_told_in_three_forms() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let mut codes = alice.new_recovery_codes();
    let sent = "If that user exists, a new password has been sent to its email address.";
    let names = ["alice", "nobody"];
    for name in names {
        let ask =
            |form| Visitor::new(&server, form).post("/forgot_password", &[("username", name)]);
        json(&ask(Accept::Json), 200, "new_password_sent", sent);
        text(&ask(Accept::Text), 200, sent);
        see_other(&ask(Accept::Page), "/forgot_password?sent");
    }
    page(
        &Visitor::new(&server, Accept::Page).get("/forgot_password?sent"),
        200,
        sent,
    );
    // Of the three that were asked for, as many as one network may have in an hour.
    server.next_mails("Your new password", 2);
    server.wait_for_log("result=\"too_many\"");

    for form in FORMS {
        // Everything that was asked for is done, so nobody else changes the file now.
        server.edit_account_and_wait("alice", |account| account["mails"] = json!([]));
        let visitor = Visitor::new(&server, form);
        let mailed = visitor.mailed_password(&server, "alice");
        visitor.post("/login", &[("username", "alice"), ("password", &mailed)]);

        let answer = visitor.post("/secret_key", &[("secret", &codes.pop().unwrap())]);
        match form {
            Accept::Json => {
                json(
                    &answer,
                    200,
                    "password_change_required",
                    "Choose a new password.",
                );
            }
            Accept::Text => text(&answer, 200, "Choose a new password."),
            Accept::Page => {
                see_other(&answer, "/account/password");
                page(
                    &visitor.get("/account/password"),
                    200,
                    "Choose a new password",
                );
            }
        }

        let easy = (
            422,
            "password_common",
            "This password is too easy to guess.",
        );
        refused(&visitor, easy, |visitor| {
            visitor.post("/account/password", &[("new_password", "Password1")])
        });

        let answer = visitor.post("/account/password", &[("new_password", PASSWORD)]);
        match form {
            Accept::Json => json(&answer, 200, "password_changed", "Password changed."),
            Accept::Text => text(&answer, 200, "Password changed."),
            Accept::Page => see_other(&answer, "/account"),
        }
    }
}
