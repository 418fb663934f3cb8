//! What each flag and each variable does.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Authenticator, PASSWORD, Server, Setup, Visitor, read, wait_for};
use crate::operator::HEALTH;
use crate::operator::flags::variable_of;

#[test]
fn a_flag_wins_over_its_variable() {
    let setup = Setup::new()
        .with(&["--users", "flag.json"])
        .env("AUTH_USERS", "variable.json");
    let server = setup.start();

    Visitor::program(&server).register("alice");

    assert!(server.path("flag.json").exists() && !server.path("variable.json").exists());
}

/// Checks that a server told by flags or by variables does as it was told.
fn lives_as_told(setup: Setup) {
    fs::create_dir(setup.dir().join("data")).unwrap();
    fs::create_dir(setup.dir().join("tls")).unwrap();
    for (from, to) in [
        ("server.crt", "tls/site.pem"),
        ("server.key", "tls/site.key"),
    ] {
        fs::rename(setup.dir().join(from), setup.dir().join(to)).unwrap();
    }
    let server = setup.start();
    let mut alice = Visitor::program(&server);
    alice.headers.push((
        "x-forwarded-for".to_owned(),
        "192.0.2.7, 10.1.1.1".to_owned(),
    ));

    alice.register("alice");
    alice.register("bob");
    let form = [
        ("username", "carol"),
        ("email", "c@example.com"),
        ("password", PASSWORD),
    ];
    alice.post("/register", &form).expect("throttled");
    let answer = alice.post("/login", &[("username", "alice"), ("password", PASSWORD)]);
    let otpauth = answer.json()["otpauth"].as_str().unwrap().to_owned();
    let authenticator = Authenticator::new(answer.json()["secret"].as_str().unwrap());
    let answer = alice.post("/secret_key", &[("secret", &authenticator.code())]);
    alice
        .post("/forgot_password", &[("username", "alice")])
        .expect("new_password_sent");

    // --listen: every address of this machine.
    TcpStream::connect(("127.0.0.2", server.port)).unwrap();
    // --users, and what lives beside it.
    assert!(read(server.dir.path(), "data/people.json").contains("\"alice\""));
    let outbox = server.path("data/outbox");
    let mail = wait_for("the mail", || {
        let entries = fs::read_dir(&outbox).unwrap().flatten();
        let mut mails = entries.filter_map(|entry| fs::read_to_string(entry.path()).ok());
        mails.find(|mail| mail.contains("\r\nNew password: "))
    });
    // --mail-from and --public-url.
    assert!(mail.contains("From: door@example.com\r\n"), "{mail}");
    assert!(
        mail.contains("https://login.example.com:4443/login"),
        "{mail}"
    );
    // --cert and --key: the visitor trusts no other; and none was made.
    assert!(!server.path("server.crt").exists());
    // --cookie-domain.
    let cookies: Vec<&str> = answer
        .headers
        .iter()
        .filter(|(name, value)| name == "set-cookie" && value.starts_with("__Secure-session="))
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(cookies.len(), 1, "{answer:?}");
    assert!(cookies[0].contains("Domain=example.com"), "{cookies:?}");
    // --issuer.
    assert!(
        otpauth.starts_with("otpauth://totp/Door%20one:alice?"),
        "{otpauth}"
    );
    assert!(otpauth.contains("issuer=Door%20one"), "{otpauth}");
    // --trusted-proxy, both of them; and --log json.
    let log = server.log();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(
        lines.iter().any(|line| line["address"] == "192.0.2.7"),
        "{log}"
    );
    assert!(
        lines.iter().all(|line| line["address"] != "127.0.0.1"),
        "{log}"
    );
    assert!(
        lines.iter().any(|line| line["event"] == "secret_key"),
        "{log}"
    );
    assert!(
        lines.iter().any(|line| line["result"] == "throttled"),
        "{log}"
    );
}

const TOLD: [(&str, &str); 14] = [
    ("--listen", "0.0.0.0:0"),
    ("--users", "data/people.json"),
    ("--cert", "tls/site.pem"),
    ("--key", "tls/site.key"),
    ("--public-url", "https://login.example.com:4443"),
    ("--cookie-domain", "example.com"),
    ("--mail-from", "door@example.com"),
    ("--issuer", "Door one"),
    ("--session-idle", "10m"),
    ("--session-max", "2h"),
    ("--remember", "7d"),
    ("--registration", "Open"),
    ("--registrations-per-hour", "2"),
    ("--log", "json"),
];

#[test]
fn flags_are_taken() {
    let proxies = [
        "--trusted-proxy",
        "127.0.0.1",
        "--trusted-proxy",
        "10.0.0.0/8",
    ];
    let setup = Setup::new().with(&proxies);
    lives_as_told(
        TOLD.iter()
            .fold(setup, |setup, (flag, value)| setup.with(&[flag, value])),
    );
}

#[test]
fn variables_are_taken() {
    let setup = Setup::new().env("AUTH_TRUSTED_PROXIES", "127.0.0.1,10.0.0.0/8");
    lives_as_told(TOLD.iter().fold(setup, |setup, (flag, value)| {
        setup.env(variable_of(flag), value)
    }));
}

#[test]
fn variables_are_taken_as_files_of_variables_pass_them() {
    let setup = Setup::new()
        .env("AUTH_TRUSTED_PROXIES", "\"127.0.0.1 , 10.0.0.0/8,\"\n")
        .env("AUTH_SMTP", "")
        .env("AUTH_SMTP_FILE", "\"\"")
        .env("AUTH_COMPAT", "False");
    lives_as_told(TOLD.iter().fold(setup, |setup, (flag, value)| {
        setup.env(variable_of(flag), &format!(" '{value}'\n"))
    }));
}

#[test]
fn registration_can_be_closed_by_flag_and_by_variable() {
    for setup in [
        Setup::new().with(&["--registration", "closed"]),
        Setup::new().env("AUTH_REGISTRATION", "closed"),
    ] {
        let server = setup.start();
        let form = [
            ("username", "alice"),
            ("email", "a@example.com"),
            ("password", PASSWORD),
        ];

        let answer = Visitor::program(&server).post("/register", &form);

        assert_eq!(answer.status, 403);
        answer.expect("registration_closed");
    }
}

#[test]
fn sessions_end_when_told() {
    let servers = [
        Setup::new().start(),
        Setup::new().with(&["--session-idle", "1s"]).start(),
        Setup::new().env("AUTH_SESSION_MAX", "1s").start(),
    ];
    let visitors: Vec<Visitor> = servers
        .iter()
        .map(|server| Visitor::with_account(server, "alice").0)
        .collect();

    // Time itself is under test.
    thread::sleep(Duration::from_secs(3));

    let lasts: Vec<bool> = visitors.iter().map(Visitor::is_logged_in).collect();
    assert_eq!(lasts, [true, false, false]);
}

#[test]
fn compatibility_and_plain_http_are_taken_from_variables_too() {
    for (setup, warns) in [
        (Setup::new().with(&["--no-tls", "--compat"]), true),
        (
            Setup::new().with(&["--no-tls"]).env("AUTH_COMPAT", "true"),
            true,
        ),
        (
            Setup::new().with(&["--no-tls"]).env("AUTH_COMPAT", "false"),
            false,
        ),
        (Setup::new().env("AUTH_NO_TLS", "1"), false),
    ] {
        for file in ["server.crt", "server.key"] {
            fs::remove_file(setup.dir().join(file)).unwrap();
        }
        let server = setup.start();

        let mut wire = server.connect();
        wire.send(HEALTH);

        assert!(wire.read_to_end().ends_with("\r\n\r\nok"));
        let log = server.log();
        assert_eq!(
            log.contains("WARN compatibility mode prints keys"),
            warns,
            "{log}"
        );
        assert!(!server.path("server.key").exists());
    }
}

/// A mail server that lets us know somebody came, by the connection.
fn somebody_comes_to(listener: &TcpListener) -> TcpStream {
    listener.set_nonblocking(true).unwrap();
    wait_for("the mail to be brought", || listener.accept().ok()).0
}

#[test]
fn the_mail_server_is_taken_from_flag_variable_and_file() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = format!("smtp://user:canary@127.0.0.1:{port}?tls=none");
    let file = tempfile::NamedTempFile::new().unwrap();
    // As editors and other tools leave it.
    fs::write(file.path(), format!("\u{feff} \"{url}\"\r\n")).unwrap();
    for setup in [
        Setup::new().with(&["--smtp", &url]),
        Setup::new().env("AUTH_SMTP", &url),
        Setup::new().env("AUTH_SMTP_FILE", file.path().to_str().unwrap()),
    ] {
        let server = setup.start();
        let alice = Visitor::program(&server);
        alice.register("alice");

        alice
            .post("/forgot_password", &[("username", "alice")])
            .expect("new_password_sent");

        drop(somebody_comes_to(&listener));
        assert!(
            !server.log().contains("WARN this environment"),
            "{}",
            server.log()
        );
        assert!(!server.log().contains("canary"), "{}", server.log());
    }
}

#[test]
fn with_a_cookie_domain_strangers_register_only_if_told() {
    let first =
        "make the first administrator by auth_user user add NAME --email ADDRESS --groups admins";
    let register = |server: &Server| {
        let form = [
            ("username", "alice"),
            ("email", "a@example.com"),
            ("password", PASSWORD),
        ];
        let visitor = Visitor::program(server);
        (visitor.post("/register", &form).status, server.log())
    };
    let shared = Setup::new().with(&[
        "--public-url",
        "https://auth.example.com",
        "--cookie-domain",
        "example.com",
    ]);

    let (status, log) = register(&shared.start());
    assert_eq!(status, 403);
    let count = |log: &str, words: &str| log.lines().filter(|line| line.contains(words)).count();
    assert_eq!(count(&log, "--registration open"), 1, "{log}");
    assert_eq!(count(&log, first), 1, "{log}");

    let (status, log) = register(&Setup::new().start());
    assert_eq!(status, 201);
    assert_eq!(
        count(&log, "--registration") + count(&log, first),
        0,
        "{log}"
    );

    let told = shared.clone().with(&["--registration", "open"]);
    let (status, log) = register(&told.start());
    assert_eq!(status, 201);
    // The log of the first start is in the same file.
    assert_eq!(count(&log, "--registration open"), 1, "{log}");
    assert_eq!(count(&log, first), 1, "{log}");

    let log = shared.start().log();
    assert_eq!(count(&log, first), 1, "there is an account now: {log}");
}
