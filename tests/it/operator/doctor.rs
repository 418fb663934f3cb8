//! What the doctor says of a site that a test makes up: a proxy, login and application in one, well
//! guarded but for one fault.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, TcpListener};
use std::sync::Arc;
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::harness::{PATIENCE, Setup, free_port, provider};

/// What is wrong with a site.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    /// `/` leads to `/home`, which is served to everybody.
    HomeIsOpen,
    /// `/` is guarded, every other path is not.
    DeepIsOpen,
    /// The login brings everybody back to `/`.
    WayBackIsLost,
    /// Strangers are sent to somebody else.
    ForeignLogin,
    /// A status that neither refuses nor redirects for a while.
    MovedForGood,
    H2cIsTaken,
    UpgradeArrives,
    ConnectIsTaken,
    TraceIsTaken,
    /// As Caddy does it.
    ConnectionTakesAway,
    /// As HAProxy does it.
    ConnectionArrives,
    DotArrives,
    UnderscoreArrives,
    BarArrives,
    /// The `Server` field is written to a terminal.
    Escapes,
    /// Not a fault: an application that shows nothing of what it is sent.
    Silent,
    /// auth_user is not there, and the proxy says so to everybody.
    LoginIsDown(&'static str),
    /// The application is not there.
    AppIsDown,
    /// Not an application's host but the login's, with its first page or, where strangers cannot
    /// register, the way to another.
    IsTheLogin,
    IsAClosedLogin,
}

const SESSION: &str = "x8Jq2good";
const NAMES: [&str; 3] = ["app.example.test", "auth.example.test", "::1"];

struct Site {
    port: u16,
    dir: TempDir,
}

impl Site {
    fn with(fault: Fault) -> Self {
        Self::at("127.0.0.1", certificate(&NAMES), fault)
    }

    /// Listens until the test ends, with a certificate of its own in `site.pem`.
    fn at(address: &str, params: CertificateParams, fault: Fault) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        fs::write(dir.path().join("site.pem"), certificate.pem()).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let config = Arc::new(config);
        let address: IpAddr = address.parse().unwrap();
        let listener = TcpListener::bind((address, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let config = Arc::clone(&config);
                thread::spawn(move || {
                    let _ = socket.set_read_timeout(Some(PATIENCE));
                    let tls = ServerConnection::new(config).unwrap();
                    let mut stream = BufReader::new(StreamOwned::new(tls, socket));
                    let Some(head) = read_head(&mut stream) else {
                        return;
                    };
                    let answer = answer(&head, port, fault);
                    let _ = stream.get_mut().write_all(answer.as_bytes());
                    stream.get_mut().conn.send_close_notify();
                    let _ = stream.get_mut().flush();
                });
            }
        });
        Self { port, dir }
    }

    /// The exit status and the report, or in its place what was complained of.
    fn examine(&self, host: &str, more: &[&str]) -> (i32, String, String) {
        let url = format!("https://{host}:{}", self.port);
        let cookie = self.dir.path().join("cookie");
        fs::write(&cookie, SESSION).unwrap();
        let (status, out, err) = Setup::bare()
            .with(&["doctor", &url, "--cookie-file", cookie.to_str().unwrap()])
            .with(more)
            .run();
        (status.code().unwrap(), out, err)
    }

    fn examine_app(&self) -> (i32, String) {
        let connect = format!("127.0.0.1:{}", self.port);
        let ca = self.ca();
        let (status, out, err) =
            self.examine("app.example.test", &["--connect", &connect, "--ca", &ca]);
        assert_eq!(err, "");
        (status, out)
    }

    fn ca(&self) -> String {
        self.dir.path().join("site.pem").display().to_string()
    }
}

/// What is to be in a site's own certificate.
fn certificate(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, NAMES[0]);
    params
}

/// The same as `openssl req -x509` makes it.
fn house(names: &[&str]) -> CertificateParams {
    let mut params = certificate(names);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

fn read_head(stream: &mut impl std::io::BufRead) -> Option<Vec<String>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        stream.take(20_000).read_line(&mut line).ok()?;
        match line.trim_end() {
            "" if lines.is_empty() => return None,
            "" => return Some(lines),
            line => lines.push(line.to_owned()),
        }
    }
}

/// What the site answers: the login to strangers, and to visitors what the application would show.
fn answer(head: &[String], port: u16, fault: Fault) -> String {
    let field = |name: &str| -> Option<&str> {
        head[1..].iter().find_map(|line| {
            let (own, value) = line.split_once(": ")?;
            own.eq_ignore_ascii_case(name).then_some(value)
        })
    };
    let mut line = head[0].split(' ');
    let (method, target) = (line.next().unwrap(), line.next().unwrap_or_default());
    let host = field("host").unwrap_or_default();
    let ours = [format!("app.example.test:{port}"), format!("[::1]:{port}")];
    if !ours.contains(&host.to_owned()) {
        return with_head("421 Misdirected Request", "", "");
    }
    let tunnels = match method {
        "CONNECT" => fault == Fault::ConnectIsTaken,
        "TRACE" => fault == Fault::TraceIsTaken,
        _ => true,
    };
    if !tunnels {
        return with_head("405 Method Not Allowed", "", "");
    }
    let dots = |segment: &str| segment == "." || segment == "..";
    if target.split('/').any(dots)
        || target.to_ascii_lowercase().contains("%2e")
        || target.contains('\\')
        || target.contains('#')
    {
        return with_head("400 Bad Request", "", "");
    }
    match fault {
        Fault::LoginIsDown(status) => return with_head(status, "", "\u{0}Oh no."),
        Fault::IsTheLogin | Fault::IsAClosedLogin => return of_login(target, fault),
        _ => {}
    }
    let visitor = field("cookie") == Some(&format!("__Secure-session={SESSION}"));
    let open = match fault {
        Fault::HomeIsOpen => target == "/home",
        Fault::DeepIsOpen => target != "/",
        Fault::ConnectIsTaken => method == "CONNECT",
        Fault::TraceIsTaken => method == "TRACE",
        _ => false,
    };
    if visitor && fault == Fault::Silent {
        return with_head("200 OK", "", "\u{0}Good morning.");
    }
    if visitor && fault == Fault::AppIsDown {
        return with_head("502 Bad Gateway", "", "");
    }
    if visitor || open {
        return shown(head, fault);
    }
    let address = format!(
        "https%3A%2F%2F{}{}",
        host.replace(':', "%3A"),
        target.replace('/', "%2F")
    );
    let way = match fault {
        Fault::HomeIsOpen => "/home".to_owned(),
        Fault::WayBackIsLost => {
            format!("https://auth.example.test:{port}/login?rd=https%3A%2F%2F{host}%2Fhome")
        }
        Fault::ForeignLogin if target != "/" => format!("https://evil.test/login?rd={address}"),
        _ => format!("https://auth.example.test:{port}/login?rd={address}&rm=GET"),
    };
    let status = match fault {
        Fault::MovedForGood => "301 Moved Permanently",
        _ => "302 Found",
    };
    with_head(status, &format!("Location: {way}\r\n"), server(fault))
}

/// What only the login has.
fn of_login(target: &str, fault: Fault) -> String {
    let to = |way: &str| with_head("303 See Other", &format!("Location: {way}\r\n"), "");
    match target {
        "/" if fault == Fault::IsAClosedLogin => to("/login"),
        "/.well-known/change-password" => to("/account/password"),
        "/healthz" => with_head("200 OK", "", "\u{0}ok"),
        _ => with_head("200 OK", "", "\u{0}Create an account"),
    }
}

fn server(fault: Fault) -> &'static str {
    match fault {
        Fault::Escapes => "nginx/1.18.0 \x1b[2J\u{9b}31m",
        _ => "",
    }
}

/// What an application shows that shows its request, behind a proxy with or without this fault.
fn shown(head: &[String], fault: Fault) -> String {
    let upgrade = head.iter().any(|line| line.starts_with("Upgrade: h2c"));
    if upgrade && fault == Fault::H2cIsTaken {
        return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"
            .to_owned();
    }
    let named = head
        .iter()
        .any(|line| line.starts_with("Connection: close, "));
    let passes = |line: &&String| {
        let name = line.split(':').next().unwrap_or_default();
        match name {
            "X-Doctor" => true,
            "Upgrade" => fault == Fault::UpgradeArrives,
            "Connection" => fault == Fault::ConnectionArrives,
            "Remote.User" => fault == Fault::DotArrives,
            "Remote|User" => fault == Fault::BarArrives,
            "Remote_User" => fault == Fault::UnderscoreArrives,
            _ => false,
        }
    };
    let mut text: String = head
        .iter()
        .filter(passes)
        .map(|line| format!("{line}\n"))
        .collect();
    if !(named && fault == Fault::ConnectionTakesAway) {
        text.push_str("Remote-User: alice\n");
    }
    with_head("200 OK", "", &format!("\u{0}{text}"))
}

/// A whole answer. The last part is the `Server` field, or after a NUL the body.
fn with_head(status: &str, fields: &str, rest: &str) -> String {
    let (server, body) = rest.split_once('\u{0}').unwrap_or((rest, ""));
    let server = match server {
        "" => String::new(),
        server => format!("Server: {server}\r\n"),
    };
    let date = OffsetDateTime::now_utc().format(&Rfc2822).unwrap();
    let date = date.replace("+0000", "GMT");
    format!(
        "HTTP/1.1 {status}\r\nDate: {date}\r\n{fields}{server}\
         Strict-Transport-Security: max-age=63072000\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn the_doctor_finds_nothing_wrong_with_a_guarded_site() {
    let (status, report) = Site::with(Fault::None).examine_app();

    assert_eq!(status, 0, "{report}");
    assert!(!report.contains("fail"), "{report}");
    for word in ["Upgrade", "CONNECT", "Connection", "path", "field name"] {
        let line = report.lines().find(|line| line.contains(word));
        assert!(
            line.is_some_and(|line| line.starts_with("pass  ")),
            "{word}\n{report}"
        );
    }
}

#[test]
fn the_doctor_finds_every_hole_in_the_way_to_the_login_and_to_the_application() {
    let mut missed = Vec::new();
    for (fault, word) in [
        (Fault::HomeIsOpen, "path"),
        (Fault::HomeIsOpen, "a stranger is sent to the login"),
        (Fault::DeepIsOpen, "path"),
        (Fault::WayBackIsLost, "path"),
        (Fault::WayBackIsLost, "a stranger is sent to the login"),
        (Fault::ForeignLogin, "path"),
        (Fault::MovedForGood, "a stranger is sent to the login"),
        (Fault::H2cIsTaken, "Upgrade"),
        (Fault::UpgradeArrives, "Upgrade"),
        (Fault::ConnectIsTaken, "CONNECT"),
        (Fault::TraceIsTaken, "CONNECT"),
        (Fault::ConnectionTakesAway, "Connection"),
        (Fault::ConnectionArrives, "Connection"),
        (Fault::DotArrives, "field name"),
        (Fault::UnderscoreArrives, "field name"),
        (Fault::BarArrives, "field name"),
    ] {
        let (status, report) = Site::with(fault).examine_app();

        let found = report
            .lines()
            .any(|line| line.starts_with("fail  ") && line.contains(word));
        if status != 1 || !found {
            missed.push(format!("{fault:?} {word}\n{report}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn what_an_application_does_not_show_is_skipped_and_no_pass() {
    let (status, report) = Site::with(Fault::Silent).examine_app();

    assert_eq!(status, 0, "{report}");
    for word in [
        "identity",
        "the session",
        "Upgrade",
        "Connection",
        "field name",
    ] {
        let line = report
            .lines()
            .find(|line| line.contains(word) && line.contains("does not show"));
        assert!(
            line.is_some_and(|line| line.starts_with("skip  ")),
            "{word}\n{report}"
        );
    }
}

/// A session that opens nothing is a finding, and the checks that rest on it are skipped.
#[test]
fn a_session_that_does_not_get_in_is_found_and_hides_no_tunnel() {
    for (fault, connect) in [(Fault::None, "skip"), (Fault::ConnectIsTaken, "fail")] {
        let site = Site::with(fault);
        let other = site.dir.path().join("other");
        fs::write(&other, "another").unwrap();
        let connect_to = format!("127.0.0.1:{}", site.port);
        let url = format!("https://app.example.test:{}", site.port);
        let ca = site.ca();

        let (status, report, _) = Setup::bare()
            .with(&["doctor", &url, "--connect", &connect_to, "--ca", &ca])
            .with(&["--cookie-file", other.to_str().unwrap()])
            .run();

        assert_eq!(status.code(), Some(1), "{report}");
        let says = |line: &str| report.lines().any(|said| said.starts_with(line));
        assert!(says("fail  the test account gets in"), "{report}");
        assert!(says("skip  the application gets no identity"), "{report}");
        assert!(says(&format!("{connect}  CONNECT")), "{report}");
    }
}

#[test]
fn another_login_than_the_one_named_is_none() {
    let site = Site::with(Fault::None);
    let connect = format!("127.0.0.1:{}", site.port);
    let ca = site.ca();
    for (login, expected) in [("auth.example.test", 0), ("login.example.test", 1)] {
        let url = format!("https://{login}:{}", site.port);
        let told = ["--connect", &connect, "--ca", &ca, "--public-url", &url];

        let (status, report, _) = site.examine("app.example.test", &told);

        assert_eq!(status, expected, "{login}\n{report}");
    }
}

#[test]
fn what_a_site_sends_reaches_no_terminal_as_it_is() {
    let (status, report) = Site::with(Fault::Escapes).examine_app();

    assert_eq!(status, 1, "{report}");
    assert!(
        report.contains("nginx/1.18.0 \\u{1b}[2J\\u{9b}31m"),
        "{report}"
    );
    assert!(!report.contains(['\x1b', '\u{9b}']), "{report:?}");
}

#[test]
fn a_site_is_examined_by_its_ipv6_address() {
    let site = Site::at("::1", certificate(&NAMES), Fault::None);
    let ca = site.ca();

    let (status, report, err) = site.examine("[::1]", &["--ca", &ca]);

    assert_eq!((status, err.as_str()), (0, ""), "{report}");
}

#[test]
fn a_certificate_is_trusted_by_name_even_if_it_may_sign_others() {
    let site = Site::at("127.0.0.1", house(&NAMES), Fault::None);
    let (status, report) = site.examine_app();
    assert_eq!(status, 0, "{report}");
    let old = Site::at("127.0.0.1", house(&[]), Fault::None);
    let (status, report) = old.examine_app();
    assert_eq!(status, 0, "{report}");

    // Not another one, and not for another name.
    let other = Site::at("127.0.0.1", house(&NAMES), Fault::None);
    let connect = format!("127.0.0.1:{}", site.port);
    for (host, ca) in [
        ("app.example.test", other.ca()),
        ("app.example.org", site.ca()),
    ] {
        let (status, report, err) = site.examine(host, &["--connect", &connect, "--ca", &ca]);
        assert_eq!((status, report.as_str()), (1, ""), "{host}");
        assert!(err.starts_with("auth_user: cannot reach "), "{err}");
        assert!(err.contains("hint: "), "{err}");
    }
}

#[test]
fn an_application_on_this_machine_is_judged_by_where_it_listens() {
    let site = Site::with(Fault::None);
    let what = "the application cannot be reached past the proxy";
    for (address, verdict) in [
        ("127.0.0.1:0", "pass"),
        ("[::1]:0", "pass"),
        ("0.0.0.0:0", "fail"),
    ] {
        let application = TcpListener::bind(address).unwrap();
        let port = application.local_addr().unwrap().port().to_string();
        let (connect, ca) = (format!("127.0.0.1:{}", site.port), site.ca());
        let told = ["--connect", &connect, "--ca", &ca, "--upstream-port", &port];

        let (_, report, _) = site.examine("app.example.test", &told);

        assert!(
            report.contains(&format!("{verdict}  {what}")),
            "{address}\n{report}"
        );
    }
}

#[test]
fn a_port_on_which_nothing_listens_is_no_pass() {
    let site = Site::with(Fault::None);
    let port = free_port().to_string();
    let (connect, ca) = (format!("127.0.0.1:{}", site.port), site.ca());
    let told = ["--connect", &connect, "--ca", &ca, "--upstream-port", &port];

    let (status, report, _) = site.examine("app.example.test", &told);

    assert_eq!(status, 0, "{report}");
    let said = format!(
        "skip  the application cannot be reached past the proxy \u{2014} nothing listens on port {port}"
    );
    assert!(report.contains(&said), "{report}");
}

#[test]
fn a_call_that_is_wrong_is_refused_with_the_word_and_a_hint_that_fits_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (empty, prose) = (file("empty", " \n"), file("prose", "no certificate"));
    for (arguments, words, hint) in [
        (
            ["--upstream-port", "90O0"],
            &["--upstream-port", "90O0"][..],
            "--upstream-port 9000",
        ),
        (
            ["--upstream-port", "0"],
            &["--upstream-port", "\"0\""],
            "--upstream-port 9000",
        ),
        (
            ["--upstream-port", "90000"],
            &["--upstream-port", "90000"],
            "--upstream-port 9000",
        ),
        (
            ["--upstream-port", "https"],
            &["--upstream-port", "https"],
            "--upstream-port 9000",
        ),
        (
            ["--connect", "127.0.0.1:0"],
            &["--connect", "127.0.0.1:0"],
            "--connect 203.",
        ),
        (
            ["--connect", "127.0.0.1:44e3"],
            &["--connect", "44e3"],
            "--connect 203.",
        ),
        (
            ["--connect", "127.0.0.1:70000"],
            &["--connect", "70000"],
            "--connect 203.",
        ),
        (
            ["--cookie-file", "/nope"],
            &["--cookie-file", "/nope"],
            "value of the cookie",
        ),
        (
            ["--old-cookie-file", "/nope"],
            &["--old-cookie-file"],
            "value of the cookie",
        ),
        (
            ["--cookie-file", &empty],
            &["--cookie-file", "empty"],
            "value of the cookie",
        ),
        (["--ca", "/nope"], &["--ca", "/nope"], "certificates in PEM"),
        (
            ["--ca", &prose],
            &["--ca", "certificate"],
            "certificates in PEM",
        ),
    ] {
        let (status, out, err) = Setup::bare()
            .with(&["doctor", "https://app.example.test"])
            .with(&arguments)
            .run();

        assert_eq!(
            (status.code(), out.as_str()),
            (Some(2), ""),
            "{arguments:?} {err}"
        );
        let (what, remedy) = err.split_once("hint: ").unwrap();
        assert!(
            words.iter().all(|word| what.contains(word)),
            "{arguments:?} {err}"
        );
        assert!(remedy.contains(hint), "{arguments:?} {err}");
        assert_eq!(err.lines().count(), 2, "{err}");
    }
}

#[test]
fn the_login_itself_is_no_application() {
    for (fault, told) in [
        (Fault::IsTheLogin, None),
        (Fault::IsAClosedLogin, None),
        (Fault::None, Some("https://app.example.test")),
    ] {
        let site = Site::with(fault);
        let (connect, ca) = (format!("127.0.0.1:{}", site.port), site.ca());
        let told = told.map(|login| format!("{login}:{}", site.port));
        let told = told.iter().flat_map(|url| ["--public-url", url]);
        let told: Vec<&str> = told.chain(["--connect", &connect, "--ca", &ca]).collect();

        let (status, report, err) = site.examine("app.example.test", &told);

        assert_eq!((status, report.as_str()), (2, ""), "{fault:?} {err}");
        assert!(
            err.contains("app.example.test is the login itself"),
            "{err}"
        );
        assert!(err.contains("hint: give an application"), "{err}");
    }
}

#[test]
fn a_login_that_does_not_answer_is_found_and_nothing_is_well_by_that() {
    for status in [
        "500 Internal Server Error",
        "502 Bad Gateway",
        "503 Unavailable",
    ] {
        let (code, report) = Site::with(Fault::LoginIsDown(status)).examine_app();

        assert_eq!(code, 1, "{report}");
        let lines: Vec<&str> = report.lines().collect();
        for line in &lines[..2] {
            assert!(line.starts_with("fail  "), "{report}");
            assert!(line.contains(&status[..3]), "{report}");
            assert!(
                line.contains("no answer from auth_user: see whether it runs"),
                "{report}"
            );
        }
        let entry = lines
            .iter()
            .find(|line| line.contains("the test account gets in"));
        assert!(
            entry.unwrap().contains("auth_user where it asks"),
            "{report}"
        );
        for word in [
            "who they are",
            "what they ask for",
            "malformed",
            "made-up",
            "spelling",
        ] {
            let line = lines.iter().find(|line| line.contains(word)).unwrap();
            assert!(line.starts_with("skip  "), "{report}");
        }
    }
}

#[test]
fn an_application_that_does_not_answer_is_no_session_refused() {
    let (status, report) = Site::with(Fault::AppIsDown).examine_app();

    assert_eq!(status, 1, "{report}");
    let entry = report
        .lines()
        .find(|line| line.starts_with("fail  the test account gets in"));
    let entry = entry.unwrap_or_else(|| panic!("{report}"));
    assert!(
        entry.contains("502; see whether the application runs"),
        "{entry}"
    );
}

#[test]
fn a_proxy_that_is_not_there_is_told_from_one_that_is_not_trusted() {
    let closed = format!("127.0.0.1:{}", free_port());
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let clear = plain.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for mut socket in plain.incoming().flatten() {
            let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let site = Site::with(Fault::None);
    let (other, ca) = (Site::with(Fault::None), site.ca());
    let (here, there) = (
        format!("127.0.0.1:{}", site.port),
        format!("127.0.0.1:{}", other.port),
    );
    for (host, connect, hint) in [
        ("app.example.test", Some(&closed), "start the proxy"),
        ("app.example.test", Some(&clear), "speaks https there"),
        ("app.example.test", Some(&there), "--ca FILE says"),
        ("app.example.org", Some(&here), "--ca FILE says"),
        ("nowhere.invalid", None, "whether the name is right"),
    ] {
        let connect: Vec<&str> = connect.iter().flat_map(|to| ["--connect", to]).collect();

        let (status, report, err) = site.examine(host, &[&["--ca", &ca][..], &connect].concat());

        assert_eq!((status, report.as_str()), (1, ""), "{host} {err}");
        let begin = format!("auth_user: cannot reach {host}: ");
        assert!(err.starts_with(&begin), "{err}");
        assert!(
            err.contains("hint: ") && err.contains(hint),
            "{hint}: {err}"
        );
    }
}
