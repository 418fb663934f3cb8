//! Who can make an account, and what is said to who cannot.

use std::fs;

use crate::harness::three_forms::{FORMS, json, page, refused, see_other, text};
use crate::harness::{Accept, PASSWORD, Server, Visitor};

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
fn a_registration_that_could_not_be_saved_is_none_of_the_hours() {
    of_one_machine!("a damaged users.json");
    let server = Server::start_with(&["--registrations-per-hour", "1"]);
    let visitor = Visitor::program(&server);
    let form = [
        ("username", "alice"),
        ("email", "alice@example.com"),
        ("password", PASSWORD),
    ];
    fs::write(server.path("users.json"), "{").unwrap();
    visitor.post("/register", &form).expect("not_saved");
    fs::write(server.path("users.json"), "{\"version\":1,\"users\":{}}").unwrap();

    visitor.post("/register", &form).expect("registered");

    let next = [
        ("username", "bob"),
        ("email", "bob@example.com"),
        ("password", PASSWORD),
    ];
    visitor.post("/register", &next).expect("throttled");
}

#[test]
fn odd_names_and_addresses_are_refused() {
    let server = Server::start();
    let visitor = Visitor::program(&server);
    let register = |name: &str, email: &str| {
        let form = [("username", name), ("email", email), ("password", PASSWORD)];
        visitor.post("/register", &form)
    };
    visitor.register("alice");

    for name in [
        "ａｌｉｃｅ",
        "аlice",
        "al\u{200b}ice",
        "al ice",
        "ali\nce",
        "ALİCE",
        "\"><script>",
        "{username}",
    ] {
        assert_eq!(
            register(name, "new@example.com").json()["field"],
            "username",
            "{name:?}"
        );
    }
    register("ALICE", "new@example.com").expect("user_exists");
    for email in [
        "bob",
        "bob@",
        "@example.com",
        "bob@example.com.",
        "bob@exam ple.com",
        "bob@example.com\r\nBcc: x@evil.test",
        "\"bob\"@example.com",
        "bob(comment)@example.com",
        "bob@example.com>,<eve@evil.test",
        "bob..b@example.com",
        // What some program on the way takes for an option, a pipe, a route or an address.
        "-oQ/tmp@example.com",
        "|sh@example.com",
        "$(id)@example.com",
        "`id`@example.com",
        "a%b@example.com",
        "x!y@example.com",
        "bob@127.0.0.1",
        "bob@[127.0.0.1]",
    ] {
        assert_eq!(register("bob", email).json()["field"], "email", "{email:?}");
    }
    register("bob", "ALICE@EXAMPLE.COM").expect("email_exists");
    register("o.brien", "o'brien@example.com").expect("registered");
}

#[test]
fn names_that_mean_something_to_applications_are_as_taken() {
    let server = Server::start_with(&["--registrations-per-hour", "0"]);
    let visitor = Visitor::program(&server);
    for name in ["admin", "Root", "SYSTEM", "me", "postmaster", "test"] {
        let form = [
            ("username", name),
            ("email", "new@example.com"),
            ("password", PASSWORD),
        ];
        visitor.post("/register", &form).expect("user_exists");
    }
    visitor.register("admin1");
}

#[test]
fn strangers_cannot_register_where_it_takes_an_invitation() {
    let server = Server::start_with(&["--registration", "invited"]);
    let form = [
        ("username", "bob"),
        ("email", "bob@example.com"),
        ("password", PASSWORD),
    ];
    let visitor = Visitor::program(&server);
    visitor
        .post("/register", &form)
        .expect("registration_closed");
    let first = Visitor::new(&server, Accept::Page).get("/");
    assert_eq!(
        (first.status, first.header("location")),
        (303, Some("/login"))
    );
}
