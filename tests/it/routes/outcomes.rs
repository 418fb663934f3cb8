//! The table of outcomes, row by row: status, code and message, as a page, as JSON and as text.

use serde_json::{Map, json};

use crate::harness::{
    Accept, Answer, Authenticator, PASSWORD, PATIENCE, Server, Visitor, wait_for,
};
use crate::routes::guessing::hashing_line;

const FORMS: [Accept; 3] = [Accept::Json, Accept::Text, Accept::Page];

const FORM: &str = "application/x-www-form-urlencoded";

/// Asks for something that is refused in all three forms, and compares status, code and message.
#[track_caller]
fn refused(
    visitor: &Visitor,
    (status, code, message): (u16, &str, &str),
    ask: impl Fn(&Visitor) -> Answer,
) {
    for form in FORMS {
        let answer = ask(&visitor.reading(form));
        match form {
            Accept::Json => json(&answer, status, code, message),
            Accept::Text => text(&answer, status, message),
            Accept::Page => page(&answer, status, message),
        }
    }
}

#[track_caller]
fn json(answer: &Answer, status: u16, code: &str, message: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let body = answer.json();
    assert_eq!(
        (&body["code"], &body["message"]),
        (&json!(code), &json!(message)),
        "{answer:?}"
    );
}

#[track_caller]
fn text(answer: &Answer, status: u16, body: &str) {
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (status, body),
        "{answer:?}"
    );
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
}

#[track_caller]
fn page(answer: &Answer, status: u16, message: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(
        answer.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(answer.body.starts_with("<!DOCTYPE html>\n"), "{answer:?}");
    assert!(
        answer.body.contains(&format!(">{message}<")),
        "no {message:?} in {answer:?}"
    );
}

#[track_caller]
fn see_other(answer: &Answer, location: &str) {
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, Some(location)),
        "{answer:?}"
    );
}

#[test]
fn an_account_is_made_in_three_forms() {
    let server = Server::start();
    let register = |form, name| {
        let email = format!("{name}@example.com");
        let fields = [
            ("username", name),
            ("email", email.as_str()),
            ("password", PASSWORD),
        ];
        Visitor::new(&server, form).post("/register", &fields)
    };
    let message = "User successfully registered.";

    json(&register(Accept::Json, "alice"), 201, "registered", message);
    text(&register(Accept::Text, "bob"), 201, message);
    see_other(
        &register(Accept::Page, "carol"),
        "/login?notice=registered&username=carol",
    );

    let next = Visitor::new(&server, Accept::Page).get("/login?notice=registered&username=carol");
    page(&next, 200, message);
    assert!(next.body.contains(" value=\"carol\""), "{next:?}");
}

#[test]
fn a_registration_that_breaks_a_rule_is_refused_in_three_forms() {
    let server = Server::start_with(&["--registrations-per-hour", "0"]);
    let visitor = Visitor::program(&server);
    visitor.register("alice");
    let refused = |(name, email, password): (&str, &str, &str), row: (u16, &str, &str)| {
        refused(&visitor, row, |visitor| {
            let fields = [("username", name), ("email", email), ("password", password)];
            let answer = visitor.post("/register", &fields);
            if answer.body.starts_with("<!DOCTYPE html>") {
                assert!(
                    answer.body.contains(&format!(" value=\"{name}\"")),
                    "{answer:?}"
                );
                assert!(
                    answer.body.contains(&format!(" value=\"{email}\"")),
                    "{answer:?}"
                );
            }
            assert!(
                password.is_empty() || !answer.body.contains(password),
                "{answer:?}"
            );
            answer
        });
    };

    let taken = (409, "user_exists", "The user already exists.");
    refused(("Alice", "new@example.com", PASSWORD), taken);
    let taken = (409, "email_exists", "User with this email already exists");
    refused(("bob", "Alice@example.com", PASSWORD), taken);
    let short = (
        422,
        "password_too_short",
        "The password must contain at least 8 characters.",
    );
    refused(("bob", "bob@example.com", "1234567"), short);
    let common = (
        422,
        "password_common",
        "This password is too easy to guess.",
    );
    refused(("bob", "bob@example.com", "Password1"), common);
    // The name and the address stand on the page, so the password is sent in another case.
    refused(("roberta-b", "bob@example.com", "ROBERTA-B"), common);
    refused(("bob", "bob@example.com", "BOB@example.com"), common);
    let bad = (400, "bad_field", "The field password is missing.");
    refused(("bob", "bob@example.com", ""), bad);
    let bad = (
        400,
        "bad_field",
        "The field email is not an e-mail address.",
    );
    refused(("bob", "bob", PASSWORD), bad);
    let bad = "The field username may hold letters, digits and . _ - + only and begins with a \
               letter or digit.";
    refused(
        ("b ob", "bob@example.com", PASSWORD),
        (400, "bad_field", bad),
    );
    assert_eq!(server.users()["users"].as_object().unwrap().len(), 1);
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
    for _ in 0..2 {
        server.next_mail("Your new password");
    }
    server.wait_for_log("result=\"too_many\"");

    for form in FORMS {
        // Everything that was asked for is done, so nobody else changes the file now.
        let taken_up = || server.log().matches("took up a changed users file").count();
        let before = taken_up();
        server.edit_account("alice", |account| account["mails"] = json!([]));
        wait_for("the edit to be taken up", || {
            (taken_up() > before).then_some(())
        });
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
        "groups",
        "created",
        "recovery_codes_left",
        "sessions",
        "browsers",
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
        ["id", "current", "created", "last_seen", "address", "agent"]
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
fn a_page_is_html_whatever_is_asked_for() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let pending = Visitor::program(&server);
    pending.post("/login", &[("username", "alice"), ("password", PASSWORD)]);
    for form in FORMS {
        let visitor = Visitor::new(&server, form);
        page(&visitor.get("/"), 200, "Create an account");
        page(&visitor.get("/login"), 200, "Log in");
        page(
            &visitor.get("/forgot_password"),
            200,
            "Forgot your password?",
        );
        page(
            &pending.reading(form).get("/secret_key"),
            200,
            "Enter your code",
        );
        page(
            &alice.reading(form).get("/account/password"),
            200,
            "Change your password",
        );
        see_other(
            &visitor.get("/?rd=%2Faccount%3Fa"),
            "/login?rd=%2Faccount%3Fa",
        );
        text(&visitor.get("/healthz"), 200, "ok");
    }
}

#[test]
fn head_answers_as_get_without_a_body() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let unchanging = |answer: &Answer| {
        let mut headers = answer.headers.clone();
        headers.retain(|(name, _)| name != "date");
        headers
    };
    for path in [
        "/",
        "/login",
        "/forgot_password",
        "/secret_key",
        "/account/password",
        "/healthz",
        "/none",
    ] {
        let get = alice.get(path);
        let head = alice.ask("HEAD", path);

        assert_eq!(
            (head.status, head.body.as_str()),
            (get.status, ""),
            "{path}"
        );
        assert_eq!(unchanging(&head), unchanging(&get), "{path}");
    }
    assert_eq!(alice.ask("HEAD", "/account").status, 200);
    assert_eq!(alice.ask("HEAD", "/logout").status, 200);
    assert!(alice.is_logged_in(), "HEAD changes nothing");
    let mut wire = server.connect();
    wire.send(b"HEAD /login HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert!(
        wire.read_to_end().ends_with("\r\n\r\n"),
        "not a byte of a body"
    );
}

#[test]
fn a_request_nobody_can_answer_is_refused_in_three_forms() {
    let server = Server::start();
    let visitor = Visitor::program(&server);

    let none = (404, "not_found", "There is no such page.");
    for path in [
        "/none",
        "/login/",
        "/Login",
        "/account/",
        "/static/style.css",
        "/users.json",
    ] {
        refused(&visitor, none, |visitor| visitor.get(path));
    }
    refused(&visitor, none, |visitor| visitor.post("/none", &[]));

    let unsupported = (
        415,
        "unsupported_type",
        "Send the form as application/x-www-form-urlencoded.",
    );
    for path in ["/register", "/login", "/forgot_password"] {
        refused(&visitor, unsupported, |visitor| {
            visitor.post_as(path, "application/json", "{\"username\":\"alice\"}")
        });
    }

    let large = (413, "too_large", "The request is too large.");
    let body = "a".repeat(64 * 1024 + 1);
    refused(&visitor, large, |visitor| {
        visitor.post_as("/login", FORM, &body)
    });

    let cross = (403, "cross_site", "This request came from another site.");
    let tricked = visitor.sending("sec-fetch-site", "cross-site");
    for path in [
        "/register",
        "/login",
        "/secret_key",
        "/forgot_password",
        "/logout",
        "/none",
    ] {
        refused(&tricked, cross, |visitor| visitor.post(path, &[]));
    }
}

#[test]
fn a_method_a_path_does_not_take_is_refused_with_those_it_does() {
    let server = Server::start();
    let visitor = Visitor::program(&server);
    let row = (
        405,
        "method_not_allowed",
        "This page does not take that method.",
    );
    for (path, method, allow) in [
        ("/", "POST", "GET, HEAD"),
        ("/account", "POST", "GET, HEAD"),
        ("/healthz", "POST", "GET, HEAD"),
        ("/login", "PUT", "GET, HEAD, POST"),
        ("/forgot_password", "DELETE", "GET, HEAD, POST"),
        ("/secret_key", "PATCH", "GET, HEAD, POST"),
        ("/logout", "PUT", "GET, HEAD, POST"),
        ("/account/password", "OPTIONS", "GET, HEAD, POST"),
        ("/register", "GET", "POST"),
        ("/register", "HEAD", "POST"),
        ("/account/recovery_codes", "GET", "POST"),
        ("/account/totp", "GET", "POST"),
        ("/account/totp/confirm", "GET", "POST"),
        ("/account/sessions/end", "GET", "POST"),
        ("/account/delete", "GET", "POST"),
    ] {
        let ask = |visitor: &Visitor| match method {
            "POST" | "PUT" | "PATCH" => visitor.send_form(method, path),
            _ => visitor.ask(method, path),
        };

        let answer = ask(&visitor);

        assert_eq!(
            (answer.status, answer.header("allow")),
            (405, Some(allow)),
            "{method} {path}"
        );
        if method != "HEAD" {
            refused(&visitor, row, ask);
        }
    }
}

#[test]
fn closed_registration_is_told_in_three_forms() {
    let server = Server::start_with(&["--registration", "closed"]);
    let fields = [
        ("username", "bob"),
        ("email", "bob@example.com"),
        ("password", PASSWORD),
    ];
    let page_visitor = Visitor::new(&server, Accept::Page);
    for form in FORMS {
        let visitor = Visitor::new(&server, form);
        let answer = visitor.post("/register", &fields);
        let message = "Registration is closed.";
        match form {
            Accept::Json => json(&answer, 403, "registration_closed", message),
            Accept::Text => text(&answer, 403, message),
            Accept::Page => page(&answer, 403, message),
        }
    }
    let first = page_visitor.get("/");
    assert_eq!(
        (first.status, first.header("location")),
        (303, Some("/login"))
    );
    for path in [
        "/login",
        "/forgot_password",
        "/register",
        "/nowhere",
        "/logout",
    ] {
        let offered = page_visitor.get(path);
        assert!(!offered.body.contains("href=\"/\""), "{path}");
    }
    let refused = page_visitor.post("/register", &fields).body;
    assert!(!refused.contains("<form") && refused.contains("href=\"/login\""));
}

#[test]
fn an_attempt_that_comes_too_early_is_told_how_long_to_wait() {
    let server = Server::start_with(&["--registrations-per-hour", "1"]);
    let visitor = Visitor::program(&server);
    visitor.register("alice");
    let form = [
        ("username", "bob"),
        ("email", "bob@example.com"),
        ("password", PASSWORD),
    ];

    for accept in FORMS {
        let answer = visitor.reading(accept).post("/register", &form);

        let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((3000..=3600).contains(&seconds), "{answer:?}");
        let message = format!("Too many attempts. Try again in {seconds} seconds.");
        match accept {
            Accept::Json => json(&answer, 429, "throttled", &message),
            Accept::Text => text(&answer, 429, &message),
            Accept::Page => page(&answer, 429, &message),
        }
    }
}

#[test]
fn what_cannot_be_saved_is_told_in_three_forms() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let before = std::fs::read(server.path("users.json")).unwrap();
    std::fs::write(server.path("users.json"), "{ \"users\": oops").unwrap();
    let row = (
        503,
        "not_saved",
        "The change could not be saved. Nothing was changed.",
    );

    refused(&Visitor::program(&server), row, |visitor| {
        let fields = [
            ("username", "bob"),
            ("email", "bob@example.com"),
            ("password", PASSWORD),
        ];
        visitor.post("/register", &fields)
    });
    refused(&alice, row, |visitor| {
        let form = [("current_password", PASSWORD), ("secret", "123456")];
        visitor.post("/account/recovery_codes", &form)
    });

    assert!(alice.is_logged_in(), "what was there last goes on");
    assert_eq!(
        std::fs::read(server.path("users.json")).unwrap(),
        b"{ \"users\": oops"
    );
    std::fs::write(server.path("users.json"), before).unwrap();
    Visitor::program(&server).register("bob");
}

/// Hashes that take about a second each fill the line on any machine.
#[test]
fn a_busy_server_says_so_in_three_forms() {
    let server = hashing_line::start(Map::new());
    let answers = hashing_line::crowd(&server, ["application/json", "*/*", "text/html"]);
    let mut wanted = FORMS.to_vec();
    while !wanted.is_empty() {
        let (form, answer) = answers.recv_timeout(PATIENCE).unwrap();
        let form = FORMS[form];
        if !answer.starts_with("HTTP/1.1 503 ") {
            continue;
        }
        wanted.retain(|other| *other != form);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let message = "The server is busy. Try again in a moment.";
        let wait = head.split_once("\r\nRetry-After: ").unwrap().1;
        let wait: u64 = wait.split_once("\r\n").unwrap().0.parse().unwrap();
        assert!((1..=15).contains(&wait), "{answer}");
        match form {
            Accept::Json => {
                assert_eq!(
                    body,
                    json!({ "code": "busy", "message": message }).to_string()
                );
            }
            Accept::Text => assert_eq!(body, message),
            Accept::Page => assert!(body.contains(message), "{body}"),
        }
    }
}
