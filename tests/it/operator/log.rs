//! The log: what strangers type cannot forge it, and no secret is ever in it.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Authenticator, PASSWORD, Server, Visitor, read, wait_for};

/// What somebody might type to make the log say something else.
const FORGERY: &str =
    "eve\r\n2026-11-22T12:00:00Z  INFO root\u{1b}[2J\u{7f}\u{9b}0m\u{2028}\u{202e}\0\t\"";

#[test]
fn what_strangers_type_cannot_forge_a_line_of_the_log() {
    for format in ["text", "json"] {
        let server = Server::start_with(&["--log", format]);
        let eve = Visitor::program(&server);
        let before = server.log().lines().count();

        eve.post("/login", &[("username", FORGERY), ("password", PASSWORD)])
            .expect("wrong_credentials");
        let form = [
            ("username", FORGERY),
            ("email", "e@example.com"),
            ("password", PASSWORD),
        ];
        eve.post("/register", &form).expect("bad_field");
        eve.post("/forgot_password", &[("username", FORGERY)])
            .expect("new_password_sent");
        assert_eq!(eve.get("/%0a%1b%5b2J\"user=root").status, 404);
        let agent =
            "GET / HTTP/1.1\r\nHost: h\r\nUser-Agent: \u{9b}31m\r\nConnection: close\r\n\r\n";
        let mut wire = server.connect();
        wire.send(agent.as_bytes());
        wire.read_to_end();

        let log = server.log();
        let odd = log.chars().find(|&letter| {
            letter != '\n' && (letter.is_control() || "\u{2028}\u{202e}".contains(letter))
        });
        assert_eq!(odd, None, "{log:?}");
        let mut users = BTreeSet::new();
        for line in log.lines() {
            if format == "json" {
                let line: Value = serde_json::from_str(line).unwrap();
                users.extend(line["user"].as_str().map(str::to_owned));
            } else {
                let (time, rest) = line.split_once(' ').unwrap();
                assert!(time.ends_with('Z') && time.contains('T'), "{line}");
                assert!(
                    ["INFO", "WARN"].contains(&&rest.trim_start()[..4]),
                    "{line}"
                );
            }
        }
        // Nobody has such a name.
        if format == "json" {
            assert_eq!(users, BTreeSet::from(["-".to_owned()]), "{log}");
        }
        // A line for each form; a fourth for the mail's errand, which may be yet to come.
        let lines = log.lines().count() - before;
        assert!((3..=4).contains(&lines), "{lines}: {log}");
    }
}

/// What a password may be typed into, as a whole form.
const WRONG_FIELDS: [(&str, &[(&str, &str)]); 13] = [
    ("/login", &[("username", TYPED), ("password", PASSWORD)]),
    (
        "/login",
        &[("username", TYPED_ADDRESS), ("password", PASSWORD)],
    ),
    ("/login", &[("username", TYPED), ("password", "")]),
    ("/login", &[("username", TYPED)]),
    ("/forgot_password", &[("username", TYPED)]),
    ("/forgot_password", &[("username", TYPED_ADDRESS)]),
    (
        "/register",
        &[
            ("username", TYPED),
            ("email", TYPED),
            ("password", PASSWORD),
        ],
    ),
    (
        "/register",
        &[
            ("username", "a b"),
            ("email", TYPED_ADDRESS),
            ("password", PASSWORD),
        ],
    ),
    (
        "/register",
        &[
            ("username", TYPED),
            ("email", "bob@example.com"),
            ("password", "1"),
        ],
    ),
    ("/secret_key", &[("username", TYPED), ("secret", TYPED)]),
    ("/secret_key", &[("username", TYPED), ("secret", "123456")]),
    ("/logout", &[("username", TYPED)]),
    (
        "/account/delete",
        &[
            ("username", TYPED),
            ("current_password", TYPED),
            ("secret", TYPED),
        ],
    ),
];

const TYPED: &str = "Typed-Into-Another-Field";
const TYPED_ADDRESS: &str = "Typed-Into-Another-Field@example.com";

#[test]
fn the_log_names_an_account_only_if_there_is_one() {
    for arguments in [
        &["--log", "json"][..],
        &["--log", "json", "--no-tls", "--compat"],
    ] {
        let server = Server::start_with(arguments);
        let bob = Visitor::program(&server);
        let form = [
            ("username", "bob"),
            ("email", "bob@example.com"),
            ("password", PASSWORD),
        ];
        assert!(bob.post("/register", &form).status < 300);
        let alike = [
            ("username", "BOB@example.com"),
            ("password", "wrong, and long enough"),
        ];
        bob.post("/login", &alike);
        let right = [("username", "bob"), ("password", PASSWORD)];
        bob.post("/login", &right);
        let before = server.log().lines().count();

        for (path, form) in WRONG_FIELDS {
            // By one who has begun a login, too.
            for visitor in [&bob, &Visitor::program(&server)] {
                visitor.post(path, form);
            }
        }
        for _ in 0..8 {
            bob.post(
                "/login",
                &[("username", TYPED), ("password", "wrong, and long enough")],
            );
        }
        server.wait_for_log("throttled");
        bob.post("/forgot_password", &[("username", "bob@example.com")]);
        // Errands are done one after the other: by now all of them are.
        if !arguments.contains(&"--compat") {
            server.next_mail("Your new password");
        }

        let log = server.log();
        assert!(!log.to_lowercase().contains(&TYPED.to_lowercase()), "{log}");
        let lines: Vec<Value> = log
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert!(lines.len() > before + WRONG_FIELDS.len(), "{log}");
        let users: BTreeSet<&str> = lines
            .iter()
            .filter_map(|line| line["user"].as_str())
            .collect();
        assert_eq!(users, BTreeSet::from(["-", "bob"]), "{log}");
    }
}

#[test]
fn a_file_is_named_as_it_is_called_in_both_formats() {
    for (format, named) in [("json", "\"file\":\""), ("text", "file=\"")] {
        let server = Server::start_with(&["--log", format]);
        let alice = Visitor::program(&server);
        // Its mail stays where it is.
        alice.sign_up("alice");

        server.wait_for_log("waits to be sent");
        let log = server.log();
        let line = log.lines().find(|line| line.contains("waits to be sent"));
        let (_, file) = line.unwrap().split_once(named).unwrap();
        let file = file.split('"').next().unwrap();
        assert!(server.path(file).is_file(), "{log}");
    }
}

/// A value's `Debug` is quoted, and JSON quotes it again.
#[test]
fn no_value_of_the_log_is_quoted_twice() {
    let mut files = vec![PathBuf::from("src")];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(
                fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
            continue;
        }
        let source = fs::read_to_string(&path).unwrap();
        for event in ["info!(", "warn!(", "error!(", "debug!("] {
            for fields in source.split(event).skip(1) {
                let fields = fields.split(';').next().unwrap();
                let fields = fields.split('"').next().unwrap();
                assert!(!fields.contains("= ?"), "{path:?}: {fields}");
                assert!(
                    !fields.contains(", ?") && !fields.starts_with('?'),
                    "{path:?}: {fields}"
                );
            }
        }
    }
}

/// Secrets of one account, collected as it lives.
#[derive(Default)]
struct Canaries(BTreeSet<String>);

impl Canaries {
    fn add(&mut self, secret: &str) {
        self.0.insert(secret.to_owned());
    }

    fn add_cookies(&mut self, visitor: &Visitor) {
        self.0.extend(visitor.cookies.borrow().values().cloned());
    }

    #[track_caller]
    fn assert_none_in(&self, what: &str, text: &str) {
        for secret in &self.0 {
            assert!(secret.len() >= 6, "{secret:?} would be found anywhere");
            assert!(
                !text.contains(secret.as_str()),
                "{what} holds {secret:?}:\n{text}"
            );
        }
    }
}

fn mailed_password(server: &Server) -> String {
    wait_for("the mail", || {
        let files = fs::read_dir(server.path("outbox")).unwrap().flatten();
        // Not a draft, which nobody has been sent yet.
        files
            .filter(|file| file.path().extension().is_some_and(|end| end == "eml"))
            .filter_map(|entry| fs::read_to_string(entry.path()).ok())
            .find_map(|mail| {
                let line = mail
                    .lines()
                    .find_map(|line| line.strip_prefix("New password: "));
                line.map(|password| password.trim().to_owned())
            })
    })
}

/// A whole life of an account; all that must stay secret of it.
fn live(server: &Server) -> Canaries {
    const FIRST: &str = "canary of the first year";
    const SECOND: &str = "canary of the second year";
    const THIRD: &str = "canary of the third year";
    const WRONG: &str = "canary that never sang";
    let mut canaries = Canaries::default();
    for password in [FIRST, SECOND, THIRD, WRONG] {
        canaries.add(password);
    }
    let mut alice = Visitor::program(server);
    alice.headers.push((
        "authorization".to_owned(),
        "Bearer canary-of-a-token".to_owned(),
    ));
    canaries.add("canary-of-a-token");
    let log_in = |password| alice.post("/login", &[("username", "alice"), ("password", password)]);
    let second_step = |secret: &str| alice.post("/secret_key", &[("secret", secret)]);

    let form = [
        ("username", "alice"),
        ("email", "alice@example.com"),
        ("password", FIRST),
    ];
    alice.post("/register", &form).expect("registered");
    let answer = log_in(FIRST);
    canaries.add_cookies(&alice);
    let key = answer.json()["secret"].as_str().unwrap().to_owned();
    let authenticator = Authenticator::new(&key);
    canaries.add(&key);
    let first_code = authenticator.code();
    canaries.add(&first_code);
    let answer = second_step(&first_code);
    answer.expect("login_complete");
    canaries.add_cookies(&alice);
    let codes = answer.recovery_codes();
    codes.iter().for_each(|code| canaries.add(code));

    log_in(WRONG).expect("wrong_credentials");
    log_in(FIRST).expect("code_required");
    canaries.add_cookies(&alice);
    second_step(&first_code).expect("wrong_code");
    second_step(&codes[0]).expect("login_complete");
    canaries.add_cookies(&alice);
    alice.get("/account?secret=canary-in-a-query");
    alice.get("/login?rd=%2Fcanary-in-a-query");
    canaries.add("canary-in-a-query");

    let form = [("current_password", FIRST), ("new_password", SECOND)];
    alice
        .post("/account/password", &form)
        .expect("password_changed");
    canaries.add_cookies(&alice);
    let form = [("current_password", SECOND), ("secret", codes[1].as_str())];
    let answer = alice.post("/account/recovery_codes", &form);
    let codes = answer.recovery_codes();
    codes.iter().for_each(|code| canaries.add(code));
    let form = [("current_password", SECOND), ("secret", codes[0].as_str())];
    let answer = alice.post("/account/totp", &form);
    let key = answer.json()["secret"].as_str().unwrap().to_owned();
    canaries.add(&key);
    let moved = Authenticator::new(&key).code();
    canaries.add(&moved);
    alice
        .post("/account/totp/confirm", &[("secret", &moved)])
        .expect("authenticator_changed");

    alice.post("/logout", &[]).expect("logged_out");
    alice
        .post("/forgot_password", &[("username", "alice")])
        .expect("new_password_sent");
    let mailed = mailed_password(server);
    canaries.add(&mailed);
    log_in(&mailed).expect("code_required");
    canaries.add_cookies(&alice);
    second_step(&codes[1]).expect("password_change_required");
    alice
        .post("/account/password", &[("new_password", THIRD)])
        .expect("password_changed");
    canaries.add_cookies(&alice);
    let form = [("current_password", THIRD), ("secret", codes[2].as_str())];
    alice
        .post("/account/delete", &form)
        .expect("account_deleted");
    // Secrets where none belong.
    alice
        .post("/canary-of-no-page", &[("password", WRONG)])
        .expect("not_found");
    alice
        .post_as("/login", "text/plain", WRONG)
        .expect("unsupported_type");
    canaries
}

#[test]
fn no_secret_of_an_account_is_ever_printed() {
    for format in ["text", "json"] {
        let mut server = Server::start_with(&["--log", format]);

        let canaries = live(&server);

        server.signal(Signal::TERM);
        assert_eq!(server.wait().code(), Some(0));
        assert_eq!(server.rest_of_stdout(), "");
        // Without the times, whose digits could be a code's by chance.
        let log: Vec<String> = server
            .log()
            .lines()
            .map(|line| match line.split_once("\",\"level\"") {
                Some((_, rest)) => rest.to_owned(),
                None => line.split_once(' ').unwrap().1.to_owned(),
            })
            .collect();
        canaries.assert_none_in("the log", &log.join("\n"));
        canaries.assert_none_in("users.json", &read(server.dir.path(), "users.json"));
        canaries.assert_none_in("sessions.json", &read(server.dir.path(), "sessions.json"));
        assert!(
            log.iter().any(|line| line.contains("account_deleted")),
            "{log:?}"
        );
    }
}

#[test]
fn a_crowd_that_is_refused_writes_few_lines() {
    let server = Server::start_with(&["--no-tls"]);
    let before = server.log().lines().count();
    let refused = "POST /nowhere HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n";
    let mut wire = server.connect();

    let begun = Instant::now();
    for _ in 0..500 {
        wire.send(refused.as_bytes());
        assert!(wire.read_answer().starts_with("HTTP/1.1 404 "));
    }
    let seconds = usize::try_from(begun.elapsed().as_secs()).unwrap() + 2;

    // A hundred a second, and one that says how many were left out.
    let lines = server.log().lines().count() - before;
    assert!((100..=101 * seconds).contains(&lines), "{lines} lines");
}
