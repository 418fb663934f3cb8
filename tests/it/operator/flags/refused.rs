//! What does not parse, does not go together, or would not be safe; and what is only warned of.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::harness::Setup;
use crate::operator::flags::variable_of;
use crate::operator::{HEALTH, assert_cannot, assert_misused};

/// The contract's flag with a value that does not parse.
const BAD_VALUES: [(&str, &str); 27] = [
    ("--listen", "nowhere"),
    ("--listen", "127.0.0.1"),
    ("--listen", "127.0.0.1:65536"),
    ("--no-tls", "perhaps"),
    ("--public-url", "login.example.com"),
    ("--public-url", "ftp://example.com"),
    ("--public-url", "https://example.com/path"),
    ("--public-url", "https://user@example.com"),
    ("--cookie-domain", "com"),
    ("--cookie-domain", "127.0.0.1"),
    ("--trusted-proxy", "10.0.0.0/33"),
    ("--trusted-proxy", "proxy.example.com"),
    ("--smtp", "https://example.com"),
    ("--smtp", "smtp://mail.example.com?tls=none"),
    ("--mail-from", "nobody"),
    ("--issuer", "a:b"),
    ("--session-idle", "soon"),
    ("--session-max", "0s"),
    ("--remember", "401d"),
    ("--remember", "long"),
    ("--registration", "maybe"),
    ("--registrations-per-hour", "-1"),
    ("--registrations-per-hour", "many"),
    ("--events-kept", "0s"),
    ("--events-kept", "for ever"),
    ("--compat", "perhaps"),
    ("--log", "xml"),
];

#[test]
fn a_value_that_does_not_parse_is_a_line_and_a_hint_and_exit_2() {
    for (flag, value) in BAD_VALUES {
        let by_variable = Setup::bare().env(variable_of(flag), value);
        let said = assert_misused(&by_variable, variable_of(flag));
        assert!(!said.contains(flag), "{said}");
        if !matches!(flag, "--no-tls" | "--compat") {
            assert_misused(&Setup::bare().with(&[&format!("{flag}={value}")]), flag);
        }
    }
    for (arguments, named) in [
        (&["--frobnicate"][..], "--frobnicate"),
        (&["--listn", "127.0.0.1:0"], "--listn"),
        (&["-x"], "-x"),
        (&["stray"], "stray"),
        (&["--users"], "--users"),
        (&["--users", "a", "--users", "b"], "--users"),
        (&["--no-tls=yes"], "--no-tls"),
    ] {
        assert_misused(&Setup::bare().with(arguments), named);
    }
}

#[test]
fn a_wrong_smtp_url_is_refused_without_repeating_its_password() {
    let url = "smtps://user:canary@mail.example.com/inbox";
    let line = assert_misused(&Setup::bare().with(&["--smtp", url]), "--smtp");
    assert!(!line.contains("canary"), "{line}");
    let line = assert_misused(&Setup::bare().env("AUTH_SMTP", url), "AUTH_SMTP");
    assert!(!line.contains("canary"), "{line}");
}

#[test]
fn passwords_do_not_cross_a_network_in_the_clear() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let open = Setup::bare().with(&["--no-tls", "--listen", address]);
        let said = assert_misused(&open, "--no-tls");
        assert!(said.contains("--trusted-proxy"), "{said}");
        let by_variable = Setup::bare()
            .env("AUTH_NO_TLS", "1")
            .env("AUTH_LISTEN", address);
        let said = assert_misused(&by_variable, "AUTH_NO_TLS");
        assert!(said.contains("AUTH_TRUSTED_PROXIES"), "{said}");
    }

    for arguments in [
        &["--no-tls", "--listen", "127.0.0.2:0"][..],
        &[
            "--no-tls",
            "--listen",
            "0.0.0.0:0",
            "--trusted-proxy",
            "10.0.0.0/8",
        ],
    ] {
        let server = Setup::new().with(arguments).start();
        let mut socket = TcpStream::connect(("127.0.0.2", server.port)).unwrap();
        socket.write_all(HEALTH).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("\r\n\r\nok"), "{answer}");
    }
}

#[test]
fn a_file_without_a_mail_server_is_refused_unread_aloud() {
    let hint = "AUTH_SMTP_FILE names a file";
    let missing = Setup::bare().env("AUTH_SMTP_FILE", "missing.txt");
    assert_cannot(&missing, "missing.txt", hint);

    let wrong = Setup::bare().env("AUTH_SMTP_FILE", "smtp.txt");
    fs::write(
        wrong.dir().join("smtp.txt"),
        "https://user:canary@example.com\n",
    )
    .unwrap();
    let said = assert_cannot(&wrong, "smtp.txt", hint);
    assert!(!said.contains("canary"), "{said}");

    let both = Setup::bare()
        .env("AUTH_SMTP_FILE", "smtp.txt")
        .env("AUTH_SMTP", "smtps://a.example");
    assert_misused(&both, "AUTH_SMTP");
}

#[test]
fn an_unknown_variable_is_a_warning() {
    let setup = Setup::new()
        .env("AUTH_LISTN", "canary")
        .env("AUTHOR", "somebody");

    let server = setup.start();

    let log = server.log();
    let warnings: Vec<&str> = log.lines().filter(|line| line.contains("WARN")).collect();
    assert_eq!(warnings.len(), 1, "{log}");
    assert!(
        warnings[0].contains("AUTH_LISTN") && !warnings[0].contains("canary"),
        "{log}"
    );
}

#[test]
fn half_a_set_up_is_a_warning_in_the_log() {
    let setup = Setup::new().with(&["--public-url", "https://auth.example.com"]);
    for (setup, said) in [
        (
            setup.clone().with(&["--cookie-domain", "example.com"]),
            "--cookie-domain without --trusted-proxy ",
        ),
        (
            setup.env("AUTH_COOKIE_DOMAIN", "example.com"),
            "AUTH_COOKIE_DOMAIN without AUTH_TRUSTED_PROXIES ",
        ),
    ] {
        let server = setup.start();

        let log = server.log();
        let warned = |line: &&str| line.contains(" WARN ") && line.contains(said);
        assert_eq!(log.lines().filter(warned).count(), 1, "{said}: {log}");
    }
}
