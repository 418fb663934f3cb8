//! The password, and the whole way from it to a session.

use crate::harness::three_forms::{FORMS, json, page, refused, see_other, text};
use crate::harness::{Accept, Authenticator, PASSWORD, Server, Setup, Visitor};
use crate::routes::first_step;

#[test]
fn a_visitor_registers_enrols_logs_out_and_logs_in_again() {
    let server = Server::start();
    let (alice, authenticator) = Visitor::with_account(&server, "alice");

    let account = alice.get("/account").json();
    assert_eq!(account["username"], "alice");
    assert_eq!(account["email"], "alice@example.com");
    assert_eq!(account["recovery_codes_left"], 10);

    let out = alice.get("/logout");
    assert_eq!(out.json()["message"], "You have successfully logged out.");
    assert!(!alice.is_logged_in());

    alice.log_in("alice", PASSWORD, &authenticator);
    assert!(alice.is_logged_in());
}

#[test]
fn the_original_texts_are_what_a_plain_client_reads() {
    let server = Server::start();
    let plain = Visitor::new(&server, Accept::Text);
    let form = [
        ("username", "alice"),
        ("email", "a@example.com"),
        ("password", PASSWORD),
    ];

    let answer = plain.post("/register", &form);

    assert_eq!(
        (answer.status, answer.body.as_str()),
        (201, "User successfully registered.")
    );
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
}

#[test]
fn the_address_does_instead_of_the_name() {
    let server = Server::start();
    let (_, authenticator) = Visitor::with_account(&server, "alice");
    let visitor = Visitor::program(&server);

    visitor.log_in("ALICE@Example.com", PASSWORD, &authenticator);

    assert_eq!(visitor.get("/account").json()["username"], "alice");
}

#[test]
fn a_name_is_the_same_in_any_case() {
    let server = Server::start();
    let (_, authenticator) = Visitor::with_account(&server, "alice");
    let visitor = Visitor::program(&server);

    visitor
        .post("/login", &[("username", "ALICE"), ("password", PASSWORD)])
        .expect("code_required");
    let form = [
        ("secret", authenticator.code()),
        ("username", "Alice".to_owned()),
    ];
    let form: Vec<_> = form
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    visitor.post("/secret_key", &form).expect("login_complete");

    assert_eq!(visitor.get("/account").json()["username"], "alice");
}

#[test]
fn a_weak_hash_is_made_strong_at_a_good_login() {
    let setup = Setup::new();
    let weak = "$pbkdf2-sha256$i=1,l=32$c2FsdA$Eg+2z/z4syxD5yJSVsT4N6hlSMkszDVICAWYfLcL4Xs";
    let file = serde_json::json!({
        "version": 1,
        "users": { "alice": { "email": "alice@example.com", "password": weak, "shoe": 38 } }
    });
    std::fs::write(setup.dir().join("users.json"), file.to_string()).unwrap();
    let server = setup.start();
    let visitor = Visitor::program(&server);
    let hash = || {
        server.users()["users"]["alice"]["password"]
            .as_str()
            .unwrap()
            .to_owned()
    };

    first_step(&visitor, "passwort", "wrong_credentials");
    assert_eq!(hash(), weak);
    first_step(&visitor, "password", "enrol_required");

    assert!(
        hash().starts_with("$pbkdf2-sha256$i=600000,l=32$"),
        "{}",
        hash()
    );
    assert_eq!(
        server.users()["users"]["alice"]["shoe"],
        38,
        "what others keep there stays"
    );
    first_step(&visitor, "password", "enrol_required");
}

#[test]
fn a_first_login_is_told_in_three_forms() {
    let server = Server::start();
    for (form, name) in [
        (Accept::Json, "alice"),
        (Accept::Text, "bob"),
        (Accept::Page, "carol"),
    ] {
        Visitor::program(&server).register(name);
        let visitor = Visitor::new(&server, form);

        let first = visitor.post("/login", &[("username", name), ("password", PASSWORD)]);

        let asked = "Add this key to your authenticator app, then enter its code: ";
        let key = match form {
            Accept::Json => {
                let key = first.json()["secret"].as_str().unwrap().to_owned();
                json(&first, 200, "enrol_required", &format!("{asked}{key}"));
                let link = first.json()["otpauth"].as_str().unwrap().to_owned();
                assert!(
                    link.starts_with("otpauth://totp/localhost:alice?secret="),
                    "{link}"
                );
                assert!(link.contains(&key), "{link}");
                key
            }
            Accept::Text => {
                let key = first.body.strip_prefix(asked).unwrap().to_owned();
                text(&first, 200, &format!("{asked}{key}"));
                key
            }
            Accept::Page => {
                see_other(&first, "/secret_key");
                let next = visitor.get("/secret_key");
                page(&next, 200, "Set up your authenticator");
                assert!(next.body.contains("aria-label=\"QR code"), "{next:?}");
                let (_, rest) = next.body.split_once("?secret=").unwrap();
                rest[..32].to_owned()
            }
        };
        assert_eq!(key.len(), 32, "160 bits of base32");

        let code = Authenticator::new(&key).code();
        let second = visitor.post("/secret_key", &[("secret", &code)]);

        match form {
            Accept::Json => {
                json(
                    &second,
                    200,
                    "login_complete",
                    "Login completed successfully.",
                );
                assert_eq!(second.recovery_codes().len(), 10);
            }
            Accept::Text => {
                assert_eq!(second.status, 200);
                let lines: Vec<&str> = second.body.split('\n').collect();
                assert_eq!(
                    (lines[0], lines.len()),
                    ("Login completed successfully.", 11)
                );
                assert!(lines[1..].iter().all(|code| code.len() == 19), "{lines:?}");
            }
            Accept::Page => {
                page(&second, 200, "Keep these recovery codes");
                assert_eq!(second.body.matches("<li>").count(), 10);
            }
        }
        assert!(visitor.is_logged_in());
    }
}

#[test]
fn a_login_and_a_logout_are_told_in_three_forms() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let mut codes = alice.new_recovery_codes();
    for form in FORMS {
        let visitor = Visitor::new(&server, form);

        let first = visitor.post("/login", &[("username", "alice"), ("password", PASSWORD)]);
        match form {
            Accept::Json => {
                json(
                    &first,
                    200,
                    "code_required",
                    "Enter the code from your authenticator app.",
                );
            }
            Accept::Text => text(&first, 200, "Enter the code from your authenticator app."),
            Accept::Page => see_other(&first, "/secret_key"),
        }

        let second = visitor.post("/secret_key", &[("secret", &codes.pop().unwrap())]);
        match form {
            Accept::Json => {
                json(
                    &second,
                    200,
                    "login_complete",
                    "Login completed successfully.",
                );
                assert_eq!(second.json().get("recovery_codes"), None);
            }
            Accept::Text => text(&second, 200, "Login completed successfully."),
            Accept::Page => see_other(&second, "/account"),
        }

        let out = visitor.reading(form).get("/logout");
        let message = "You have successfully logged out.";
        match form {
            Accept::Json => json(&out, 200, "logged_out", message),
            Accept::Text => text(&out, 200, message),
            Accept::Page => page(&out, 200, message),
        }

        let out = visitor.post("/logout", &[]);
        let message = "You have successfully exited the program.";
        match form {
            Accept::Json => json(&out, 200, "logged_out", message),
            Accept::Text => text(&out, 200, message),
            Accept::Page => see_other(&out, "/logout"),
        }
    }
}

#[test]
fn a_refused_login_is_told_in_three_forms() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let login = |visitor: &Visitor, name: &str, password: &str| {
        let answer = visitor.post("/login", &[("username", name), ("password", password)]);
        assert!(!answer.body.contains(password), "{answer:?}");
        answer
    };

    let wrong = (401, "wrong_credentials", "Wrong username or password.");
    refused(&Visitor::program(&server), wrong, |visitor| {
        let answer = login(visitor, "alice", "not my password");
        let is_page = answer.body.starts_with('<');
        assert!(
            !is_page || answer.body.contains(" value=\"alice\""),
            "{answer:?}"
        );
        answer
    });
    refused(&Visitor::program(&server), wrong, |visitor| {
        login(visitor, "nobody", "not my password")
    });

    let pending = Visitor::program(&server);
    login(&pending, "alice", PASSWORD).expect("code_required");
    let wrong = (401, "wrong_code", "Wrong 2FA code.");
    refused(&pending, wrong, |visitor| {
        visitor.post("/secret_key", &[("secret", "000000")])
    });

    let none = (401, "no_pending_login", "Log in with your password first.");
    refused(&Visitor::program(&server), none, |visitor| {
        visitor.post("/secret_key", &[("secret", "000000")])
    });
    refused(&Visitor::program(&server), none, |visitor| {
        visitor.get("/secret_key")
    });

    let wrong = (401, "wrong_password", "Wrong password.");
    refused(&alice, wrong, |visitor| {
        visitor.post(
            "/account/recovery_codes",
            &[
                ("current_password", "not my password"),
                ("secret", "123456"),
            ],
        )
    });
}

#[test]
fn a_password_is_normalised_and_never_trimmed() {
    let server = Server::start();
    let visitor = Visitor::program(&server);
    let composed = " caf\u{e9} at noon ";
    let form = [
        ("username", "alice"),
        ("email", "alice@example.com"),
        ("password", composed),
    ];
    visitor.post("/register", &form).expect("registered");
    let login = |password| visitor.post("/login", &[("username", "alice"), ("password", password)]);

    login(" cafe\u{301} at noon ").expect("enrol_required");
    login("caf\u{e9} at noon").expect("wrong_credentials");
    login(" CAF\u{c9} at noon ").expect("wrong_credentials");
}

#[test]
fn a_password_is_as_long_as_its_normalised_form() {
    let server = Server::start();
    let visitor = Visitor::program(&server);
    let form = [
        ("username", "alice"),
        ("email", "alice@example.com"),
        ("password", &"\u{e9}".repeat(256)),
    ];
    visitor.post("/register", &form).expect("registered");
    let login = |password: &str| {
        let form = [("username", "alice"), ("password", password)];
        visitor.post("/login", &form)
    };

    login(&"e\u{301}".repeat(256)).expect("enrol_required");
    login(&"\u{e9}".repeat(257)).expect("bad_field");
}
