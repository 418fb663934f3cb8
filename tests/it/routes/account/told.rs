//! The account and every change of it, told as a page, as JSON and as text; and to who is not
//! logged in.

use serde_json::json;

use crate::harness::three_forms::{FORMS, json, page, refused, see_other, text};
use crate::harness::{Accept, Authenticator, PASSWORD, Server, Visitor};

#[test]
fn who_has_no_session_is_told_to_log_in() {
    let server = Server::start();
    let program = Visitor::program(&server);
    let plain = Visitor::new(&server, Accept::Text);
    let browser = Visitor::new(&server, Accept::Page);
    let gets = [
        ("/account", "%2Faccount"),
        ("/account/password", "%2Faccount%2Fpassword"),
    ];
    let posts = [
        ("/account/email", "%2Faccount"),
        ("/account/email/confirmation", "%2Faccount"),
        ("/account/password", "%2Faccount%2Fpassword"),
        ("/account/recovery_codes", "%2Faccount"),
        ("/account/totp", "%2Faccount"),
        ("/account/totp/confirm", "%2Faccount"),
        ("/account/sessions/end", "%2Faccount"),
        ("/account/delete", "%2Faccount"),
    ];

    for (path, back) in gets {
        json(&program.get(path), 401, "login_required", "Log in first.");
        text(&plain.get(path), 401, "Log in first.");
        see_other(&browser.get(path), &format!("/login?rd={back}"));
    }
    for (path, back) in posts {
        json(
            &program.post(path, &[]),
            401,
            "login_required",
            "Log in first.",
        );
        text(&plain.post(path, &[]), 401, "Log in first.");
        see_other(&browser.post(path, &[]), &format!("/login?rd={back}"));
    }
}

#[test]
fn the_account_is_told_in_three_forms() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let alice = alice.sending("user-agent", "a test");

    let answer = alice.get("/account");
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, Some("application/json"))
    );
    let account = answer.json();
    let names: Vec<&String> = account.as_object().unwrap().keys().collect();
    let expected = [
        "username",
        "email",
        "email_proven",
        "groups",
        "created",
        "recovery_codes_left",
        "sessions",
        "browsers",
        "events",
        "passkeys",
    ];
    assert_eq!(names, expected);
    assert_eq!(account["username"], "alice");
    assert_eq!(account["email"], "alice@example.com");
    assert_eq!(account["groups"], json!(["users"]));
    assert_eq!(account["recovery_codes_left"], 10);
    let session = &account["sessions"][0];
    let names: Vec<&String> = session.as_object().unwrap().keys().collect();
    assert_eq!(
        names,
        [
            "id",
            "current",
            "created",
            "last_seen",
            "address",
            "agent",
            "remembered"
        ]
    );
    assert_eq!(
        (&session["current"], &session["address"]),
        (&json!(true), &json!("127.0.0.1"))
    );
    let browser = &account["browsers"][0];
    let names: Vec<&String> = browser.as_object().unwrap().keys().collect();
    assert_eq!(names, ["current", "created", "last_used", "agent"]);
    assert_eq!(browser["current"], true);

    let answer = alice.reading(Accept::Text).get("/account");
    assert!(
        answer
            .body
            .starts_with("username: alice\nemail: alice@example.com\n"),
        "{answer:?}"
    );
    assert!(!answer.body.ends_with('\n'), "{answer:?}");
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; charset=utf-8")
    );

    page(
        &alice.reading(Accept::Page).get("/account"),
        200,
        "Your account",
    );
}

#[test]
fn changes_of_an_account_are_told_in_three_forms() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let current = ("current_password", PASSWORD);
    let codes = alice.new_recovery_codes();
    let renew = |form, code: &str| {
        let fields = [current, ("secret", code)];
        alice.reading(form).post("/account/recovery_codes", &fields)
    };

    let answer = renew(Accept::Json, &codes[0]);
    json(
        &answer,
        200,
        "recovery_codes",
        "These are your new recovery codes.",
    );
    let codes = answer.recovery_codes();
    assert_eq!(codes.len(), 10);
    let answer = renew(Accept::Text, &codes[0]);
    let mut lines = answer.body.lines();
    assert_eq!(lines.next(), Some("These are your new recovery codes."));
    let codes: Vec<&str> = lines.collect();
    assert_eq!((answer.status, codes.len()), (200, 10));
    let answer = renew(Accept::Page, codes[0]);
    page(&answer, 200, "Keep these recovery codes");
    assert_eq!(answer.body.matches("<li>").count(), 10);

    let others = ("session", "others");
    let end = |form| alice.reading(form).post("/account/sessions/end", &[others]);
    json(&end(Accept::Json), 200, "sessions_ended", "Done.");
    text(&end(Accept::Text), 200, "Done.");
    see_other(&end(Accept::Page), "/account?notice=sessions_ended");
    page(
        &alice
            .reading(Accept::Page)
            .get("/account?notice=sessions_ended"),
        200,
        "Done.",
    );

    let mut visitor = alice;
    for form in FORMS {
        visitor = visitor.reading(form);
        let answer = visitor.post("/account/password", &[current, ("new_password", PASSWORD)]);
        match form {
            Accept::Json => json(&answer, 200, "password_changed", "Password changed."),
            Accept::Text => text(&answer, 200, "Password changed."),
            Accept::Page => see_other(&answer, "/account?notice=password_changed"),
        }
    }
    page(
        &visitor.get("/account?notice=password_changed"),
        200,
        "Password changed.",
    );
}

#[test]
fn a_new_authenticator_is_told_in_three_forms() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let mut codes = alice.new_recovery_codes();
    for form in FORMS {
        let visitor = alice.reading(form);
        let fields = [
            ("current_password", PASSWORD),
            ("secret", &codes.pop().unwrap()),
        ];

        let begun = visitor.post("/account/totp", &fields);
        let asked = "Add this key to your authenticator app, then enter its code: ";
        let key = match form {
            Accept::Json => begun.json()["secret"].as_str().unwrap().to_owned(),
            Accept::Text => begun.body.strip_prefix(asked).unwrap().to_owned(),
            Accept::Page => begun.body.split_once("?secret=").unwrap().1[..32].to_owned(),
        };
        match form {
            Accept::Json => json(&begun, 200, "enrol_required", &format!("{asked}{key}")),
            Accept::Text => text(&begun, 200, &format!("{asked}{key}")),
            Accept::Page => page(&begun, 200, "Set up your new authenticator"),
        }
        let wrong = (401, "wrong_code", "Wrong 2FA code.");
        if form == Accept::Json {
            refused(&visitor, wrong, |visitor| {
                visitor.post("/account/totp/confirm", &[("secret", "00000")])
            });
        }

        let code = Authenticator::new(&key).code();
        let moved = visitor.post("/account/totp/confirm", &[("secret", &code)]);
        let message = "Your new authenticator is set up.";
        match form {
            Accept::Json => json(&moved, 200, "authenticator_changed", message),
            Accept::Text => text(&moved, 200, message),
            Accept::Page => {
                let location = "/account?notice=authenticator_changed";
                see_other(&moved, location);
                page(&visitor.get(location), 200, message);
            }
        }
    }
}

#[test]
fn the_end_of_an_account_is_told_in_three_forms() {
    let server = Server::start();
    for (form, name) in [
        (Accept::Json, "alice"),
        (Accept::Text, "bob"),
        (Accept::Page, "carol"),
    ] {
        let (visitor, authenticator) = Visitor::with_account(&server, name);
        let visitor = visitor.reading(form);
        let fields = [
            ("current_password", PASSWORD),
            ("secret", &authenticator.code()),
        ];

        let answer = visitor.post("/account/delete", &fields);

        let message = "Your account has been deleted.";
        match form {
            Accept::Json => json(&answer, 200, "account_deleted", message),
            Accept::Text => text(&answer, 200, message),
            Accept::Page => {
                see_other(&answer, "/login?notice=account_deleted");
                page(&visitor.get("/login?notice=account_deleted"), 200, message);
            }
        }
    }
    assert_eq!(server.users()["users"], json!({}));
}
