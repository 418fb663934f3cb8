//! Which paths there are, by which methods, and what the others are answered.

use crate::harness::three_forms::{FORMS, page, refused, see_other, text};
use crate::harness::{Accept, Answer, PASSWORD, Server, Visitor};

const FORM: &str = "application/x-www-form-urlencoded";

#[test]
fn a_page_is_html_whatever_is_asked_for() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let pending = Visitor::program(&server);
    pending.post("/login", &[("username", "alice"), ("password", PASSWORD)]);
    for form in FORMS {
        let visitor = Visitor::new(&server, form);
        page(&visitor.get("/"), 200, "Create an account");
        if form != Accept::Json {
            page(&visitor.get("/login"), 200, "Log in");
        }
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
        ("/account/email", "GET", "POST"),
        ("/login/passkey", "GET", "POST"),
        ("/secret_key/passkey", "GET", "POST"),
        ("/account/passkeys", "GET", "POST"),
        ("/account/passkeys/confirm", "PUT", "POST"),
        ("/account/passkeys/remove", "GET", "POST"),
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
