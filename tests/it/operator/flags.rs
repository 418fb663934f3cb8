//! The program as its operator meets it: flags and variables, the first words, the end.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Authenticator, PASSWORD, Server, Setup, Visitor, read, wait_for};

const HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

/// The contract's table: flag, value, variable, default.
const FLAGS: [(&str, &str, &str, &str); 17] = [
    ("--listen", "<ADDR:PORT>", "AUTH_LISTEN", "0.0.0.0:8000"),
    ("--users", "<PATH>", "AUTH_USERS", "users.json"),
    ("--cert", "<PATH>", "AUTH_CERT", "server.crt"),
    ("--key", "<PATH>", "AUTH_KEY", "server.key"),
    ("--no-tls", "", "AUTH_NO_TLS", ""),
    (
        "--public-url",
        "<URL>",
        "AUTH_PUBLIC_URL",
        "https://localhost:PORT",
    ),
    ("--cookie-domain", "<DOMAIN>", "AUTH_COOKIE_DOMAIN", ""),
    ("--trusted-proxy", "<CIDR>", "AUTH_TRUSTED_PROXIES", ""),
    ("--smtp", "<URL>", "AUTH_SMTP", ""),
    (
        "--mail-from",
        "<ADDRESS>",
        "AUTH_MAIL_FROM",
        "auth_user@localhost",
    ),
    (
        "--issuer",
        "<NAME>",
        "AUTH_ISSUER",
        "host of the public URL",
    ),
    ("--session-idle", "<DURATION>", "AUTH_SESSION_IDLE", "1h"),
    ("--session-max", "<DURATION>", "AUTH_SESSION_MAX", "24h"),
    (
        "--registration",
        "<REGISTRATION>",
        "AUTH_REGISTRATION",
        "open",
    ),
    (
        "--registrations-per-hour",
        "<N>",
        "AUTH_REGISTRATIONS_PER_HOUR",
        "60",
    ),
    ("--compat", "", "AUTH_COMPAT", ""),
    ("--log", "<LOG>", "AUTH_LOG", "text"),
];

/// The contract's flag with a value that does not parse.
const BAD_VALUES: [(&str, &str); 23] = [
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
    ("--registration", "maybe"),
    ("--registrations-per-hour", "-1"),
    ("--registrations-per-hour", "many"),
    ("--compat", "perhaps"),
    ("--log", "xml"),
];

fn variable_of(flag: &str) -> &'static str {
    FLAGS.iter().find(|(name, ..)| *name == flag).unwrap().2
}

/// Starts a server that must refuse what it was told: exit 2, a line that names it, a hint, nothing
/// made.
#[track_caller]
fn assert_misused(setup: &Setup, named: &str) -> String {
    let before = fs::read_dir(setup.dir()).unwrap().count();

    let (status, out, err) = setup.run();

    assert_eq!((status.code(), out.as_str()), (Some(2), ""), "{err}");
    let lines: Vec<&str> = err.lines().collect();
    assert_eq!(lines.len(), 2, "{err}");
    assert!(
        lines[0].starts_with("auth_user: ") && lines[0].contains(named),
        "{named}: {err}"
    );
    assert!(lines[1].starts_with("auth_user: hint: "), "{err}");
    assert_eq!(fs::read_dir(setup.dir()).unwrap().count(), before);
    err
}

/// Starts a server that cannot: exit 1, a line and a hint, nothing made.
#[track_caller]
fn assert_cannot(setup: &Setup, what: &str, hint: &str) -> String {
    let before = fs::read_dir(setup.dir()).unwrap().count();

    let (status, out, err) = setup.run();

    assert_eq!((status.code(), out.as_str()), (Some(1), ""), "{err}");
    let lines: Vec<&str> = err
        .lines()
        .filter(|line| line.starts_with("auth_user: "))
        .collect();
    assert_eq!(lines.len(), 2, "{err}");
    assert!(
        lines[0].starts_with("auth_user: cannot ") && lines[0].contains(what),
        "{err}"
    );
    assert!(
        lines[1].starts_with("auth_user: hint: ") && lines[1].contains(hint),
        "{err}"
    );
    assert_eq!(fs::read_dir(setup.dir()).unwrap().count(), before);
    err
}

#[test]
fn help_lists_exactly_the_flags_there_are() {
    let secret = "smtps://user:canary@mail.example.com";
    let setup = Setup::bare().with(&["--help"]).env("AUTH_SMTP", secret);

    let (status, help, err) = setup.run();

    assert_eq!((status.code(), err.as_str()), (Some(0), ""));
    assert!(!help.contains("canary"), "{help}");
    for (flag, value, variable, default) in FLAGS {
        let begin = format!("      {flag} {value}").trim_end().to_owned();
        let mut about = help.lines().skip_while(|line| line.trim_end() != begin);
        assert!(about.next().is_some(), "no {begin:?} in {help}");
        let about: Vec<&str> = about
            .take_while(|line| !line.starts_with("      --"))
            .collect();
        let about = about.join("\n");
        let named = [format!("[env: {variable}="), format!("[env: {variable}]")];
        assert!(
            named.iter().any(|name| about.contains(name)),
            "{flag}: {about}"
        );
        if !default.is_empty() {
            assert!(
                about.contains(&format!("[default: {default}]")),
                "{flag}: {about}"
            );
        }
    }
    let listed = help
        .lines()
        .filter(|line| line.starts_with("      --"))
        .count();
    assert_eq!(listed, FLAGS.len(), "{help}");
}

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
        let mut entries = fs::read_dir(&outbox).unwrap().flatten();
        entries.find(|entry| entry.path().extension().is_some_and(|end| end == "eml"))
    });
    let mail = fs::read_to_string(mail.path()).unwrap();
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

const TOLD: [(&str, &str); 12] = [
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
        .env("AUTH_COMPAT", "False")
        .env("AUTH_REGISTRATION", "OPEN\r\n");
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
fn a_port_that_is_taken_is_said_with_a_hint() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let setup = Setup::bare().with(&["--listen", &address]);

    assert_cannot(&setup, &format!("listen on {address}"), "--listen");
}

#[test]
fn standard_output_carries_one_line() {
    for (arguments, scheme) in [(&[][..], "https"), (&["--no-tls"], "http")] {
        let mut server = Server::start_with(arguments);

        // The port is open by the time it is named.
        let port = server.socket().peer_addr().unwrap().port();
        let line = format!("Serving at port {port} ({scheme}://localhost:{port})\n");
        assert_eq!(server.announced, line);
        server.signal(Signal::TERM);
        server.wait();
        assert_eq!(server.rest_of_stdout(), "");
    }
}

#[test]
fn a_signal_to_end_lets_requests_under_way_finish() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Server::start();
        let form = "username=alice&email=a%40example.com&password=seven+wild+horses";
        let mut idle = server.connect();
        idle.send(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n");
        idle.read_answer();
        let mut busy = server.connect();
        let head = "POST /register HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\
            Content-Type: application/x-www-form-urlencoded\r\n";
        busy.send(format!("{head}Content-Length: {}\r\n\r\n", form.len()).as_bytes());
        assert_eq!(busy.read_head(), "HTTP/1.1 100 Continue\r\n\r\n");

        server.signal(signal);

        // Whoever has nothing under way is let go, and nobody else is let in.
        assert_eq!(idle.read_to_end(), "");
        wait_for("the port to close", || {
            TcpStream::connect(("127.0.0.1", server.port))
                .is_err()
                .then_some(())
        });
        busy.send(form.as_bytes());
        let answer = busy.read_to_end();
        assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
        assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
        assert_eq!(server.wait().code(), Some(0));
        assert_eq!(server.users()["users"]["alice"]["email"], "a@example.com");
    }
}

#[test]
fn sixty_four_descriptors_are_enough_to_serve() {
    let limited = Setup::new().under(&["prlimit", "--nofile=64"]);
    let plain = limited.with(&["--no-tls"]).start();
    let tls = Setup::new().under(&["prlimit", "--nofile=64"]).start();
    // More than there is room for; over TLS none of them says a word.
    let idle: Vec<TcpStream> = (0..100).map(|_| plain.socket()).collect();
    let silent: Vec<TcpStream> = (0..100).map(|_| tls.socket()).collect();

    for server in [&plain, &tls] {
        wait_for("an answer", || {
            let mut wire = server.connect();
            wire.send(HEALTH);
            wire.read_to_end().ends_with("\r\n\r\nok").then_some(())
        });
    }
    let (alice, _) = Visitor::with_account(&tls, "alice");
    assert!(alice.is_logged_in());
    drop((idle, silent));
}

#[test]
fn too_few_descriptors_to_serve_anybody_are_said_at_the_start() {
    let setup = Setup::bare().under(&["prlimit", "--nofile=20"]);

    assert_cannot(&setup, "limit of 20 open files", "ulimit -n");
}
