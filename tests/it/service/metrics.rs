//! The metrics: where they are, that they are right, and that nobody can make them grow.

use std::fs;
use std::io::Read as _;
use std::net::{TcpListener, TcpStream};

use crate::harness::smtp_sink::Sink;
use crate::harness::{PASSWORD, Server, Setup, Visitor, wait_for};
use crate::mail::forgot;
use crate::service::Scraped;
use crate::service::scrape::address_in;

#[test]
fn metrics_are_shown_only_where_they_were_asked_for() {
    let silent = Server::start();
    assert!(!silent.log().contains("metrics"));

    let scraped = Scraped::start(&Setup::new());

    assert!(
        scraped.address.starts_with("127.0.0.1:"),
        "{}",
        scraped.address
    );
    for server in [&silent, &scraped.server] {
        assert_eq!(Visitor::program(server).get("/metrics").status, 404);
    }
    assert!(!scraped.server.log().contains("--metrics"));
}

#[test]
fn a_port_alone_is_on_this_machine_and_an_open_address_is_warned_about() {
    for (value, address, is_open) in [
        ("0", "127.0.0.1:", false),
        (":0", "127.0.0.1:", false),
        ("127.0.0.2:0", "127.0.0.2:", false),
        ("[::1]:0", "[::1]:", false),
        ("0.0.0.0:0", "0.0.0.0:", true),
    ] {
        let server = Server::start_with(&["--metrics", value]);
        let log = server.log();
        assert!(address_in(&log).starts_with(address), "{value}: {log}");
        let warned = log.contains("--metrics 0.0.0.0:0 shows everybody");
        assert_eq!(warned, is_open, "{value}: {log}");
    }
    let by_variable = Setup::new().env("AUTH_METRICS", "0").start();
    assert!(address_in(&by_variable.log()).starts_with("127.0.0.1:"));
}

#[test]
fn a_port_that_is_taken_is_said_at_start() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let setup = Setup::new().with(&["--metrics", &port]);

    let (status, out, err) = setup.run();

    assert_eq!((status.code(), out.as_str()), (Some(1), ""), "{err}");
    let said =
        format!("auth_user: cannot show metrics at 127.0.0.1:{port}: Address already in use");
    assert!(err.contains(&said), "{err}");
    assert!(err.contains("auth_user: hint: "), "{err}");
}

#[test]
fn the_metrics_port_has_one_page() {
    let scraped = Scraped::start(&Setup::new());
    let ask = |request: &str| scraped.ask(&format!("{request}\r\n\r\n"));
    let format = Some("text/plain; version=0.0.4; charset=utf-8");

    let shown = ask("GET /metrics HTTP/1.1\r\nHost: h");
    assert_eq!((shown.status, shown.header("content-type")), (200, format));
    let other = ask("GET /metrics HTTP/1.1\r\nAccept: text/plain;version=0.0.4;q=0.5,*/*;q=0.1");
    assert_eq!((other.status, other.header("content-type")), (200, format));
    let head = ask("HEAD /metrics HTTP/1.1");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.header("content-type"), format);
    for (request, status) in [
        ("POST /metrics HTTP/1.1", 405),
        ("DELETE /metrics HTTP/1.1", 405),
        ("GET / HTTP/1.1", 404),
        ("GET /healthz HTTP/1.1", 404),
        ("POST /login HTTP/1.1", 404),
    ] {
        assert_eq!(ask(request).status, status, "{request}");
    }
}

#[test]
fn every_answer_is_counted_by_method_route_and_status_before_it_is_read() {
    let scraped = Scraped::start(&Setup::new());
    let (alice, _) = Visitor::with_account(&scraped.server, "alice");
    let counted = |method, route, status| {
        let labels = format!("method=\"{method}\",route=\"{route}\",status=\"{status}\"");
        scraped.value(&format!("requests_total{{{labels}}}"))
    };
    for (method, path, status, route) in [
        ("GET", "/", 200, "/"),
        ("GET", "/login?rd=/account", 200, "/login"),
        ("HEAD", "/healthz", 200, "/healthz"),
        ("PUT", "/healthz", 405, "/healthz"),
        ("GET", "/account", 200, "/account"),
        ("GET", "/people", 404, "/people"),
        ("GET", "/people/alice", 404, "/people/NAME"),
        ("GET", "/people/alice/disable", 404, "/people/NAME/disable"),
        (
            "GET",
            "/people/invitations/end",
            404,
            "/people/invitations/end",
        ),
        ("GET", "/people/alice/nothing", 404, "other"),
        ("GET", "/peoples", 404, "other"),
        ("GET", "/nothing/alice", 404, "other"),
        (
            "GET",
            "/api/authz/forward-auth",
            400,
            "/api/authz/forward-auth",
        ),
        ("GET", "/api/verify", 401, "/api/verify"),
    ] {
        let method_label = match method {
            "PUT" => "other",
            method => method,
        };
        let before = counted(method_label, route, status);

        let answer = alice.ask(method, path);

        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(
            counted(method_label, route, status),
            before + 1.0,
            "{method} {path}"
        );
    }
    // What never became a request.
    for (bytes, method, status) in [
        (&b"GET /login HTTP/9.9\r\n\r\n"[..], "GET", "505"),
        (
            b"POST /login HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n",
            "POST",
            "400",
        ),
        (b"\x01\x02\r\n\r\n", "other", "400"),
    ] {
        let before = counted(method, "other", status.parse().unwrap());
        let mut wire = scraped.server.connect();
        wire.send(bytes);
        let answer = wire.read_to_end();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
        assert_eq!(
            counted(method, "other", status.parse().unwrap()),
            before + 1.0,
            "{answer}"
        );
    }
}

#[test]
fn logins_saves_hashes_and_gauges_are_counted() {
    // What is in a database is counted each quarter of that time.
    let scraped = Scraped::start(&Setup::new().with(&["--session-idle", "20s"]));
    let server = &scraped.server;
    let (alice, authenticator) = Visitor::with_account(server, "alice");
    let program = Visitor::program(server);
    program.register("bob");
    let wrong = [("username", "alice"), ("password", "not the password")];
    program.post("/login", &wrong).expect("wrong_credentials");
    let right = [("username", "alice"), ("password", PASSWORD)];
    program.post("/login", &right).expect("code_required");
    program
        .post("/secret_key", &[("secret", "000000")])
        .expect("wrong_code");

    let series = scraped.series();

    let value = |name: &str| series.get(name).copied().unwrap_or(-1.0);
    for (code, count) in [
        // That of `with_account` too.
        ("enrol_required", 1.0),
        ("login_complete", 1.0),
        ("wrong_credentials", 1.0),
        ("code_required", 1.0),
        ("wrong_code", 1.0),
        ("throttled", 0.0),
    ] {
        assert_eq!(
            value(&format!("logins_total{{result=\"{code}\"}}")),
            count,
            "{code}"
        );
    }
    assert_eq!(value("healthy"), 1.0);
    assert_eq!(value("hash_queue"), 0.0);
    let saves = value("saves_total{result=\"ok\"}");
    assert!(saves >= 4.0, "{saves}");
    assert_eq!(value("saves_total{result=\"failed\"}"), 0.0);
    assert_eq!(value("save_seconds_count"), saves);
    // Two registrations and three logins.
    let hashes = value("hash_seconds_count");
    assert!(hashes >= 5.0, "{hashes}");
    assert_eq!(value("hash_wait_seconds_count"), hashes);
    assert!(value("hash_seconds_sum") > 0.0);
    let version = format!("build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    assert_eq!(value(&version), 1.0);

    let _here = server.socket();
    wait_for("a connection", || {
        (scraped.value("connections") >= 1.0).then_some(())
    });
    scraped.wait_for_value("accounts", 2.0);
    scraped.wait_for_value("sessions", 1.0);
    drop(authenticator);
    alice.post("/logout", &[]);
    scraped.wait_for_value("sessions", 0.0);
}

#[test]
fn a_change_that_cannot_be_saved_is_counted_and_the_fault_is_shown() {
    of_one_machine!("a damaged users.json");
    let scraped = Scraped::start(&Setup::new());
    let server = &scraped.server;
    Visitor::program(server).register("alice");
    fs::write(server.path("users.json"), "{").unwrap();
    scraped.wait_for_value("healthy", 0.0);

    let form = [
        ("username", "bob"),
        ("email", "bob@example.com"),
        ("password", PASSWORD),
    ];
    Visitor::program(server)
        .post("/register", &form)
        .expect("not_saved");

    assert_eq!(scraped.value("saves_total{result=\"failed\"}"), 1.0);
}

#[test]
fn mails_are_counted_as_they_wait_for_somebody_to_take_them() {
    of_one_machine!("mails are files in the outbox");
    let waiting = Scraped::start(&Setup::new());
    Visitor::program(&waiting.server).register("alice");
    // The confirmation of the address.
    waiting.wait_for_value("mail_waiting", 1.0);
    for entry in fs::read_dir(waiting.server.path("outbox")).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    waiting.wait_for_value("mail_waiting", 0.0);
    // A mail that cannot be written.
    fs::remove_dir(waiting.server.path("outbox")).unwrap();
    fs::write(waiting.server.path("outbox"), "").unwrap();
    forgot(&Visitor::program(&waiting.server), "alice");
    waiting.wait_for_value("mail_failed_total", 1.0);
}

#[test]
fn mails_are_counted_as_they_go_and_fail() {
    let sink = Sink::start();
    let url = format!("smtp://127.0.0.1:{}?tls=none", sink.port);
    let sending = Scraped::start(&Setup::new().with(&["--smtp", &url]));
    Visitor::program(&sending.server).register("alice");
    sending.wait_for_value("mail_sent_total", 1.0);
    sending.wait_for_value("mail_waiting", 0.0);
    assert_eq!(sending.value("mail_failed_total"), 0.0);

    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = gone.local_addr().unwrap().port();
    drop(gone);
    let url = format!("smtp://127.0.0.1:{port}?tls=none");
    let failing = Scraped::start(&Setup::new().with(&["--smtp", &url]));
    Visitor::program(&failing.server).register("alice");
    wait_for("a failed attempt", || {
        (failing.value("mail_failed_total") >= 1.0).then_some(())
    });
    assert_eq!(failing.value("mail_waiting"), 1.0);
}

#[test]
fn the_end_of_the_certificate_is_shown_if_there_is_one() {
    let name = "certificate_expiry_timestamp_seconds";
    let own = Scraped::start(&Setup::bare());
    let end = own.value(name);
    let asked = std::process::Command::new("openssl")
        .args(["x509", "-noout", "-enddate", "-dateopt", "iso_8601", "-in"])
        .arg(own.server.path("server.crt"))
        .output()
        .unwrap();
    let said = String::from_utf8(asked.stdout).unwrap();
    let said = said
        .trim()
        .trim_start_matches("notAfter=")
        .replace(' ', "T");
    let format = &time::format_description::well_known::Rfc3339;
    let said = time::OffsetDateTime::parse(&said, format).unwrap();
    assert_eq!(end, said.unix_timestamp() as f64);

    let plain = Scraped::start(&Setup::new().with(&["--no-tls"]));
    assert!(!plain.series().contains_key(name));
}

#[test]
fn nothing_that_is_sent_becomes_a_label() {
    let scraped =
        Scraped::start(&Setup::new().with(&["--no-tls", "--registrations-per-hour", "0"]));
    let program = Visitor::program(&scraped.server);
    program.register("canary");
    for n in 0..200 {
        let path = format!("/canary/{n}?canary={n}");
        for method in ["GET", "HEAD", "POST", "PATCH", "DELETE"] {
            assert!(program.ask(method, &path).status >= 400);
        }
        program.get(&format!("/people/canary{n}"));
        program.get(&format!("/people/canary{n}/remove"));
        let login = [
            ("username", format!("canary{n}")),
            ("password", "x".to_owned()),
        ];
        let login = login
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()));
        program.post("/secret_key", &login);
    }
    let mut wire = scraped.server.connect();
    wire.send(b"CANARY /canary HTTP/1.1\r\nHost: canary\r\nConnection: close\r\n\r\n");
    assert!(wire.read_to_end().starts_with("HTTP/1.1 404 "));

    let text = scraped.text();

    assert!(
        !text.contains("canary") && !text.contains("127.0.0.1"),
        "{text}"
    );
    assert!(scraped.series().len() < 300, "{text}");
}

#[test]
fn what_hangs_at_the_metrics_harms_nobody_elsewhere() {
    let scraped = Scraped::start(&Setup::new());
    let mut hanging: Vec<TcpStream> = (0..16).map(|_| scraped.connect()).collect();

    // One more is closed at once, whatever it asks for.
    let mut more = scraped.connect();
    // It may be closed before.
    let _ = std::io::Write::write_all(&mut more, b"GET /metrics HTTP/1.1\r\n\r\n");
    assert_eq!(more.read(&mut [0]).unwrap_or(0), 0);
    assert_eq!(Visitor::program(&scraped.server).get("/login").status, 200);

    // Those that hang are given up after a while, whatever trickles in.
    for stream in &mut hanging {
        assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
    }
    wait_for("a place", || {
        let mut stream = scraped.connect();
        std::io::Write::write_all(&mut stream, b"GET /metrics HTTP/1.1\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        text.starts_with("HTTP/1.1 200 ").then_some(())
    });
}
