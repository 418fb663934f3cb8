//! The fields of the forms: what is missing, repeated or too long, and what just fits.

use serde_json::json;

use crate::harness::{PASSWORD, Server, Visitor};

const FORM: &str = "application/x-www-form-urlencoded";

/// Field by field: what is wrong with it, and that the answer names it.
#[test]
fn a_bad_field_is_named() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let pending = Visitor::program(&server);
    pending.post("/login", &[("username", "alice"), ("password", PASSWORD)]);
    let register = [
        ("username", "bob"),
        ("email", "bob@example.com"),
        ("password", PASSWORD),
    ];
    let login = [("username", "alice"), ("password", PASSWORD)];
    let change = [
        ("current_password", PASSWORD),
        ("new_password", "eight tame cows"),
    ];
    let address = [("email", "new@example.com"), ("current_password", PASSWORD)];
    let both = [("current_password", PASSWORD), ("secret", "123456")];
    let long = |length| "a".repeat(length);

    for (visitor, path, fields, limits) in [
        (&pending, "/register", &register[..], &[65, 255, 257][..]),
        (&pending, "/login", &login[..], &[65, 257]),
        (&pending, "/secret_key", &[("secret", "123456")], &[65]),
        (
            &pending,
            "/forgot_password",
            &[("username", "alice")],
            &[65],
        ),
        (&alice, "/account/email", &address, &[255, 257]),
        (&alice, "/account/password", &change, &[257, 257]),
        (&alice, "/account/recovery_codes", &both, &[257, 65]),
        (&alice, "/account/totp", &both, &[257, 65]),
        (
            &alice,
            "/account/sessions/end",
            &[("session", "others")],
            &[65],
        ),
        (&alice, "/account/delete", &both, &[257, 65]),
    ] {
        for (at, (name, value)) in fields.iter().enumerate() {
            let with = |values: &[&str]| {
                let mut form: Vec<(&str, &str)> = fields.to_vec();
                form.remove(at);
                form.extend(values.iter().map(|value| (*name, *value)));
                visitor.post(path, &form)
            };
            let too_long = if *name == "email" {
                format!("bob@{}.com", vec!["a".repeat(61); 4].join("."))
            } else {
                long(limits[at])
            };
            assert_eq!(too_long.len(), limits[at]);
            let cases = [
                ("missing", with(&[])),
                ("empty", with(&[""])),
                ("repeated", with(&[value, value])),
                ("too long", with(&[&too_long])),
            ];
            for (what, answer) in cases {
                assert_eq!(answer.status, 400, "{path} {name} {what}: {answer:?}");
                let body = answer.json();
                assert_eq!(
                    (&body["code"], &body["field"]),
                    (&json!("bad_field"), &json!(name))
                );
                assert!(body["message"].as_str().unwrap().contains(name), "{body}");
            }
        }
    }
    let optional = |field: (&'static str, &str), twice: bool| {
        let path = if field.0 == "rd" {
            "/login"
        } else {
            "/secret_key"
        };
        let mut form = if field.0 == "rd" {
            login.to_vec()
        } else {
            vec![("secret", "123456")]
        };
        form.push(field);
        if twice {
            form.push(field);
        }
        let answer = pending.post(path, &form);
        assert_eq!(
            (answer.status, &answer.json()["field"]),
            (400, &json!(field.0)),
            "{answer:?}"
        );
    };
    optional(("rd", "/account"), true);
    optional(("rd", &format!("/{}", long(2048))), false);
    // Bytes, not characters.
    optional(("rd", &format!("/{}", "é".repeat(1024))), false);
    optional(("username", "alice"), true);
    optional(("username", "bob"), false);
    optional(("username", ""), false);
    let latin = pending.post_as("/login", FORM, "username=al%E9&password=seven+wild+horses");
    assert_eq!(latin.json()["field"], "username");
    assert!(alice.is_logged_in());
}

#[test]
fn the_longest_fields_are_taken_to_the_last_character() {
    let server = Server::start();
    let visitor = Visitor::program(&server);
    let name = "n".repeat(64);
    let label = "d".repeat(60);
    let email = format!("a@{label}.{label}.{label}.{label}.{}.com", "d".repeat(4));
    assert_eq!(email.len(), 254);
    let password = "é".repeat(256);
    let fields = |password| {
        [
            ("username", name.as_str()),
            ("email", email.as_str()),
            ("password", password),
        ]
    };

    visitor
        .post("/register", &fields(&password))
        .expect("registered");

    let cut = "é".repeat(255);
    visitor
        .post("/login", &[("username", &name), ("password", &cut)])
        .expect("wrong_credentials");
    let rd = format!("/{}", "r".repeat(2047));
    let login = [
        ("username", email.as_str()),
        ("password", &password),
        ("rd", &rd),
    ];
    visitor.post("/login", &login).expect("enrol_required");
}
