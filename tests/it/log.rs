//! The log: what strangers type cannot forge it, and no secret is ever in it.

use std::collections::BTreeSet;
use std::fs;
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
        let mut users = Vec::new();
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
        // Escaped is not lost.
        let whole = users.contains(&FORGERY.to_owned());
        assert_eq!(whole, format == "json", "{log}");
        // A line for each form; a fourth for the mail's errand, which may be yet to come.
        let lines = log.lines().count() - before;
        assert!((3..=4).contains(&lines), "{lines}: {log}");
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
        let mails = fs::read_dir(server.path("outbox")).unwrap().flatten();
        mails
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
    let answer = alice.post("/account/recovery_codes", &[("current_password", SECOND)]);
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
