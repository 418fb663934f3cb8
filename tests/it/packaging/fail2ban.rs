//! fail2ban's own reader over what a running server logs: each refusal gives the visitor's address,
//! and nothing that strangers send gives another.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use crate::harness::passkey::{Algorithm, Passkey, device};
use crate::harness::tokens::{basic, secret};
use crate::harness::{Authenticator, PASSWORD, Server, Setup, Visitor};

/// The addresses that fail2ban finds in a log, in order.
fn found(log: &str) -> Vec<String> {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("log");
    // A line that has not ended yet would be left for later.
    fs::write(&file, format!("{}\n", log.trim_end())).unwrap();
    let output = Command::new("fail2ban-regex")
        .args(["--out", "ip"])
        .arg(&file)
        .arg("packaging/fail2ban/filter.d/auth_user.conf")
        .output()
        .expect("fail2ban-regex; tests/setup installs it");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// The same lines as `journalctl` shows them.
fn of_journal(log: &str) -> String {
    let line = |line| format!("Nov 27 05:41:36 host auth_user[12]: {line}\n");
    log.lines().map(line).collect()
}

fn behind_a_proxy() -> Server {
    Server::start_with(&["--no-tls", "--trusted-proxy", "127.0.0.1"])
}

/// The visitor, as the proxy says where they are.
fn from(address: &str, visitor: &Visitor) -> Visitor {
    visitor.sending("X-Forwarded-For", address)
}

/// A six-digit number that is no code of these minutes.
fn wrong_code(authenticator: &Authenticator) -> String {
    let steps = |code: &String| (0..8).all(|back| authenticator.at(now() - back + 4) != *code);
    let mut numbers = (0..).map(|number: u32| format!("{number:06}"));
    numbers.find(steps).unwrap()
}

fn now() -> u64 {
    u64::try_from(time::OffsetDateTime::now_utc().unix_timestamp()).unwrap() / 30
}

#[test]
fn each_refused_password_and_code_gives_the_visitors_address() {
    let server = behind_a_proxy();
    let nobody = Visitor::program(&server);
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    let wrong = "wrong, and long enough";
    let login = |address, name, password, code| {
        let form = [("username", name), ("password", password)];
        from(address, &nobody).post("/login", &form).expect(code);
    };

    login("192.0.2.1", "alice", wrong, "wrong_credentials");
    login("192.0.2.2", "ghost", wrong, "wrong_credentials");
    login("2001:db8::3", "ghost", wrong, "wrong_credentials");
    let begun = from("192.0.2.4", &nobody);
    let form = [("username", "alice"), ("password", PASSWORD)];
    begun.post("/login", &form).expect("code_required");
    let code = wrong_code(&authenticator);
    begun
        .post("/secret_key", &[("secret", &code)])
        .expect("wrong_code");
    let form = [
        ("current_password", wrong),
        ("new_password", "another good one"),
    ];
    from("192.0.2.5", &alice)
        .post("/account/password", &form)
        .expect("wrong_password");
    // What is not a refusal.
    from("192.0.2.6", &nobody).log_in("alice", PASSWORD, &authenticator);
    from("192.0.2.7", &nobody)
        .post("/account/password", &form)
        .expect("login_required");

    let log = server.log();
    let addresses = [
        "192.0.2.1",
        "192.0.2.2",
        "2001:db8::3",
        "192.0.2.4",
        "192.0.2.5",
    ];
    assert_eq!(found(&log), addresses, "{log}");
    assert_eq!(found(&of_journal(&log)), addresses, "{log}");
}

#[test]
fn each_refused_passkey_and_token_gives_the_visitors_address() {
    let setup = Setup::new().with(&[
        "--trusted-proxy",
        "127.0.0.1",
        "--cookie-domain",
        "example.com",
        "--public-url",
        "https://auth.example.com",
    ]);
    let rules = "[[rule]]\nhost = \"*.example.com\"\ngroups = [\"*\"]\ntokens = true\n";
    fs::write(setup.dir().join("access.toml"), rules).unwrap();
    let server = setup.start();
    let nobody = Visitor::program(&server);
    let unknown = device(&server, Algorithm::Es256);
    let mut unknown = Passkey {
        device: unknown,
        user: vec![1; 32],
    };

    let asked = nobody.asked();
    from("192.0.2.1", &nobody)
        .send("/login/passkey", &unknown.using(&asked))
        .expect("wrong_passkey");
    let bearer = format!("Bearer {}", secret('x'));
    let basic = basic("alice", &secret('y'));
    for (address, value) in [("192.0.2.2", &bearer), ("2001:db8::3", &basic)] {
        let question = from(address, &nobody)
            .sending("Authorization", value)
            .sending("X-Forwarded-Method", "GET")
            .sending("X-Forwarded-Proto", "https")
            .sending("X-Forwarded-Host", "app.example.com")
            .sending("X-Forwarded-Uri", "/");
        let answer = question.get("/api/authz/forward-auth");
        answer.expect("login_required");
    }
    server.wait_for_log("2001:db8::3");

    let log = server.log();
    let addresses = ["192.0.2.1", "192.0.2.2", "2001:db8::3"];
    assert_eq!(found(&log), addresses, "{log}");
    assert_eq!(found(&of_journal(&log)), addresses, "{log}");
}

/// The same line with each code that tells of something else.
#[test]
fn only_refusals_of_what_could_be_guessed_match() {
    let server = Server::start();
    let form = [("username", "ghost"), ("password", PASSWORD)];
    Visitor::program(&server)
        .post("/login", &form)
        .expect("wrong_credentials");
    let log = server.log();
    let line = log
        .lines()
        .find(|line| line.contains("wrong_credentials"))
        .unwrap();
    let with = |code| found(&line.replace("wrong_credentials", code));

    assert_eq!(found(line), ["127.0.0.1"]);
    for code in [
        "busy",
        "throttled",
        "code_required",
        "login_complete",
        "repeated",
        "cross_site",
        "not_saved",
        "no_pending_login",
        "not_found",
        "passkey_expired",
        "wrong_codes",
    ] {
        assert_eq!(with(code), [""; 0], "{code}");
    }
}

/// Other programs log what visitors send, in words of their own and perhaps without quotes.
#[test]
fn a_line_that_only_repeats_one_of_ours_gives_nothing() {
    let ours = "INFO event=\"login\" user=\"-\" address=\"203.0.113.9\" result=\"wrong_code\"";
    let time = "2026-11-27T05:41:36.008049Z";

    assert_eq!(found(&format!("{time}  {ours}")), ["203.0.113.9"]);
    for line in [
        format!("{time}  GET /{time}  {ours}"),
        format!("Nov 27 05:41:36 host proxy[7]: from 192.0.2.1 {time}  {ours}"),
        format!("{time}  {ours} 404"),
        ours.replace("user=\"-\"", "user=\"-\" agent=\"\"")
            .replace("INFO", &format!("{time}  INFO")),
    ] {
        assert_eq!(found(&line), [""; 0], "{line}");
    }
}

/// What somebody might send to have somebody else banned.
const FORGERIES: [&str; 6] = [
    "x\" address=\"203.0.113.9\" result=\"wrong_credentials\"",
    "x\\\" address=\"203.0.113.9\" result=\"wrong_code\"",
    "x\n2026-11-27T05:41:36.008049Z  INFO event=\"login\" user=\"-\" address=\"203.0.113.9\" result=\"wrong_code\"",
    "x\r2026-11-27T05:41:36.008049Z  INFO event=\"login\" user=\"-\" address=\"203.0.113.9\" result=\"wrong_code\"",
    "203.0.113.9",
    "\" address=\"203.0.113.9",
];

#[test]
fn nothing_that_a_visitor_sends_gives_another_address() {
    let server = behind_a_proxy();
    let (_, authenticator) = Visitor::with_account(&server, "alice");
    for (number, forgery) in FORGERIES.iter().enumerate() {
        let field = in_field(forgery);
        let eve = from(
            &format!("{field}, 192.0.2.{number}"),
            &Visitor::program(&server),
        );
        let eve = eve.sending("User-Agent", &field);
        let form = [
            ("username", *forgery),
            ("password", "wrong, and long enough"),
        ];
        eve.post("/login", &form);
        let path: String = url::form_urlencoded::byte_serialize(forgery.as_bytes()).collect();
        eve.post(&format!("/{path}"), &form);
        eve.post(&format!("/people/{path}/disable"), &form);
        eve.post(&format!("/login?username={path}"), &form);
        let right = [("username", "alice"), ("password", PASSWORD)];
        eve.post("/login", &right);
        eve.post(
            "/secret_key",
            &[("secret", *forgery), ("username", *forgery)],
        );
        eve.post("/secret_key", &[("secret", &wrong_code(&authenticator))]);
        let mut wire = server.connect();
        let path = field.replace(' ', "\t");
        let head =
            format!("POST /{path} HTTP/1.1\r\nHost: {field}\r\nX-Forwarded-For: {field}\r\n");
        wire.send(format!("{head}Content-Length: 0\r\nConnection: close\r\n\r\n").as_bytes());
        wire.read_to_end();
    }

    let log = server.log();
    for log in [log.clone(), of_journal(&log)] {
        let found = found(&log);
        assert!(found.len() >= FORGERIES.len(), "{found:?}\n{log}");
        for address in found {
            assert!(
                address.starts_with("192.0.2.") || address == "127.0.0.1",
                "{address}\n{log}"
            );
        }
    }
}

/// As much of it as a field of a request can hold.
fn in_field(forgery: &str) -> String {
    forgery.replace(['\r', '\n'], " ")
}
