//! What people type without seeing it, at every field that cannot hold it; what they may have meant
//! stays; and whatever is too much of it is said to be.

use crate::harness::{Accept, Answer, PASSWORD, Server, Visitor};

/// A blank of a keyboard, marks of a right-to-left clipboard, a line from a mail, a byte order
/// mark, what stands for a picture.
const AROUND: [(&str, &str); 5] = [
    ("", " "),
    ("\u{200f}", "\u{200e}\u{202c}"),
    ("\u{3000}", "\r\n"),
    ("\u{feff}", "\u{200b}"),
    ("\u{fffc}\u{a0}", "\u{ad}"),
];

fn around((before, after): (&str, &str), value: &str) -> String {
    format!("{before}{value}{after}")
}

/// The digits of a code as the keyboards of five scripts write them.
fn in_scripts(code: &str) -> Vec<String> {
    let zeros = ['\u{660}', '\u{6f0}', '\u{966}', '\u{9e6}', '\u{ff10}'];
    let digits = |zero: char| {
        let digit = |c: char| {
            c.to_digit(10)
                .and_then(|d| char::from_u32(u32::from(zero) + d))
        };
        code.chars().filter_map(digit).collect()
    };
    zeros.map(digits).to_vec()
}

#[test]
fn a_name_is_found_whatever_stands_unseen_around_it() {
    let server = Server::start();
    let visitor = Visitor::program(&server);
    for (n, marks) in AROUND.into_iter().enumerate() {
        let (name, email) = (format!("maria{n}"), format!("maria{n}@example.com"));
        let form = [
            ("username", around(marks, &name)),
            ("email", around(marks, &email)),
            ("password", PASSWORD.to_owned()),
        ];
        let form: Vec<(&str, &str)> = form.iter().map(|(n, v)| (*n, v.as_str())).collect();
        visitor.post("/register", &form).expect("registered");
        assert_eq!(server.users()["users"][&name]["email"], email.as_str());

        for typed in [&name, &email] {
            let typed = around(marks, typed);
            let login = [("username", typed.as_str()), ("password", PASSWORD)];
            visitor.post("/login", &login).expect("enrol_required");
        }
        let asked = [("username", &*around(marks, &email))];
        visitor
            .post("/forgot_password", &asked)
            .expect("new_password_sent");
        server.next_mail("Your new password");

        // Within, they make another name; and there is nothing where there is nothing else.
        let within = format!("maria{}{n}", marks.1);
        let login = [("username", within.as_str()), ("password", PASSWORD)];
        visitor.post("/login", &login).expect("wrong_credentials");
        let nothing = visitor.post("/login", &[("username", marks.1), ("password", PASSWORD)]);
        assert_eq!(nothing.json()["message"], "The field username is missing.");
    }
}

#[test]
fn a_mailed_password_is_taken_with_what_was_copied_along_and_any_other_to_the_letter() {
    let server = Server::start();
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    let login =
        |password: &str| alice.post("/login", &[("username", "alice"), ("password", password)]);
    for marks in &AROUND[..4] {
        login(&around(*marks, PASSWORD)).expect("wrong_credentials");
        login(PASSWORD).expect("code_required");
    }
    let others = Visitor::program(&server);
    for (n, marks) in AROUND.into_iter().enumerate() {
        let name = format!("maria{n}");
        others.register(&name);
        let mailed = around(marks, &others.mailed_password(&server, &name));
        let login = [("username", name.as_str()), ("password", &mailed)];
        others.post("/login", &login).expect("enrol_required");
    }
    // Limits are judged on what is left.
    let mailed = alice.mailed_password(&server, "alice");
    login(&format!("{}{mailed}", " ".repeat(300))).expect("code_required");
    authenticator.forget(&server, "alice");
    alice
        .post("/secret_key", &[("secret", &authenticator.code())])
        .expect("password_change_required");
    let same = [("new_password", &*format!("{mailed} "))];
    alice
        .post("/account/password", &same)
        .expect("password_common");
    let own = [("new_password", " eight tame cows ")];
    alice
        .post("/account/password", &own)
        .expect("password_changed");

    login("eight tame cows").expect("wrong_credentials");
    login(" eight tame cows ").expect("code_required");
}

#[test]
fn a_code_is_taken_in_any_script_and_grouping() {
    let server = Server::start();
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    let code = || {
        authenticator.forget(&server, "alice");
        authenticator.code()
    };
    let log_in = |typed: &str, username: &str| {
        let login = [("username", "alice"), ("password", PASSWORD)];
        alice.post("/login", &login).expect("code_required");
        alice.post("/secret_key", &[("secret", typed), ("username", username)])
    };
    for script in 0..5 {
        log_in(&in_scripts(&code())[script], " alice\u{200b}").expect("login_complete");
    }
    for (dash, marks) in ["-", "\u{2011}", "\u{2013}", "\u{2212}", " \u{2014} "]
        .iter()
        .zip(AROUND)
    {
        let code = code();
        let typed = around(marks, &format!("{}{dash}{}", &code[..3], &code[3..]));
        log_in(&typed, "alice@example.com\u{feff}").expect("login_complete");
    }
}

#[test]
fn a_recovery_code_is_taken_in_either_case_and_any_grouping_at_every_route() {
    let server = Server::start();
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    let codes = alice.new_recovery_codes();
    let typed: Vec<String> = codes
        .iter()
        .zip([
            "", " ", "\u{2010}", "\u{2013}", "\u{200b}", "\u{ad}", "\u{202f}", "\u{2212}",
        ])
        .map(|(code, gap)| format!("\u{a0}{}\n", code.to_uppercase().replace('-', gap)))
        .collect();
    let log_in = |typed: &str| {
        alice.post("/login", &[("username", "alice"), ("password", PASSWORD)]);
        alice.post("/secret_key", &[("secret", typed)])
    };
    for typed in &typed[..6] {
        log_in(typed).expect("login_complete");
    }
    let confirmed = |secret: &str| {
        [
            ("current_password", PASSWORD.to_owned()),
            ("secret", secret.to_owned()),
        ]
    };
    let send = |path: &str, secret: &str| -> Answer {
        let fields = confirmed(secret);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
        alice.post(path, &fields)
    };
    let moving = send("/account/totp", &typed[6]);
    moving.expect("enrol_required");
    let phone = crate::harness::Authenticator::new(moving.json()["secret"].as_str().unwrap());
    let code = &in_scripts(&phone.code())[0];
    alice
        .post("/account/totp/confirm", &[("secret", code.as_str())])
        .expect("authenticator_changed");
    drop(authenticator);
    let code = &in_scripts(&phone.code())[2];
    send("/account/delete", code).expect("account_deleted");
}

#[test]
fn what_is_too_long_is_said_with_its_limit_and_is_no_failure() {
    let server = Server::start();
    let visitor = Visitor::program(&server);
    visitor.register("alice");
    let long = |length| "x".repeat(length);
    for (path, field, value, limit) in [
        ("/register", "username", long(65), "64 characters"),
        (
            "/register",
            "email",
            format!("{}@b", long(300)),
            "254 bytes",
        ),
        ("/register", "password", long(257), "256 characters"),
        ("/login", "username", long(65), "64 characters"),
        (
            "/login",
            "username",
            format!("{}@b", long(300)),
            "254 bytes",
        ),
        ("/login", "password", long(300), "256 characters"),
        ("/login", "password", long(5_000), "256 characters"),
        ("/login", "rd", format!("/{}", long(2048)), "2048 bytes"),
        ("/forgot_password", "username", long(65), "64 characters"),
    ] {
        let mut form = vec![
            ("username", "alice"),
            ("email", "alice@example.com"),
            ("password", PASSWORD),
        ];
        form.retain(|(name, _)| *name != field);
        form.push((field, &value));
        // More often than anybody may fail.
        for _ in 0..7 {
            let answer = visitor.post(path, &form);
            let message = format!("The field {field} is too long: it may have {limit}.");
            assert_eq!(answer.json()["message"], message, "{path} {field}");
            assert_eq!(
                (answer.status, &answer.json()["field"]),
                (400, &field.into())
            );
        }
        let page = visitor.reading(Accept::Page).post(path, &form);
        assert_eq!(page.status, 400);
        assert!(page.body.contains(limit), "{path} {field}");
    }
    let login = [("username", "alice"), ("password", PASSWORD)];
    visitor.post("/login", &login).expect("enrol_required");
    let code = visitor.post("/secret_key", &[("secret", &long(65))]);
    assert_eq!(
        code.json()["message"],
        "The field secret is too long: it may have 64 characters."
    );
}

#[test]
fn a_form_has_at_most_a_hundred_fields() {
    let server = Server::start();
    let visitor = Visitor::program(&server);
    visitor.register("alice");
    let form = "application/x-www-form-urlencoded";
    let login = "username=alice&password=seven+wild+horses";
    for path in ["/register", "/login", "/secret_key", "/forgot_password"] {
        for more in ["&a=b".repeat(99), "&".repeat(60_000), "&%61".repeat(15_000)] {
            let answer = visitor.post_as(path, form, &format!("{login}{more}"));
            if path != "/secret_key" {
                assert_eq!(answer.json()["code"], "bad_field", "{path}");
                assert_eq!(answer.status, 400);
            }
        }
    }
    let answer = visitor.post_as("/login", form, &format!("{login}{}", "&a=b".repeat(98)));
    answer.expect("enrol_required");
}
