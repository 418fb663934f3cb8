//! A site that a test makes up: a proxy, login and application in one, well guarded but for one
//! fault.

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

use crate::harness::{PATIENCE, Setup, provider};

/// What is wrong with a site.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fault {
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
    /// The login's first page is the form to register.
    StrangersRegister,
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

pub(super) const SESSION: &str = "x8Jq2good";
pub(super) const NAMES: [&str; 3] = ["app.example.test", "auth.example.test", "::1"];

pub(super) struct Site {
    pub(super) port: u16,
    pub(super) dir: TempDir,
}

impl Site {
    pub(super) fn with(fault: Fault) -> Self {
        Self::at("127.0.0.1", certificate(&NAMES), fault)
    }

    /// Listens until the test ends, with a certificate of its own in `site.pem`.
    pub(super) fn at(address: &str, params: CertificateParams, fault: Fault) -> Self {
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
    pub(super) fn examine(&self, host: &str, more: &[&str]) -> (i32, String, String) {
        let url = format!("https://{host}:{}", self.port);
        let cookie = self.dir.path().join("cookie");
        fs::write(&cookie, SESSION).unwrap();
        let (status, out, err) = Setup::bare()
            .with(&["doctor", &url, "--cookie-file", cookie.to_str().unwrap()])
            .with(more)
            .run();
        (status.code().unwrap(), out, err)
    }

    pub(super) fn examine_app(&self) -> (i32, String) {
        let connect = format!("127.0.0.1:{}", self.port);
        let ca = self.ca();
        let (status, out, err) =
            self.examine("app.example.test", &["--connect", &connect, "--ca", &ca]);
        assert_eq!(err, "");
        (status, out)
    }

    pub(super) fn ca(&self) -> String {
        self.dir.path().join("site.pem").display().to_string()
    }
}

/// What is to be in a site's own certificate.
pub(super) fn certificate(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, NAMES[0]);
    params
}

/// The same as `openssl req -x509` makes it.
pub(super) fn house(names: &[&str]) -> CertificateParams {
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
    if host == format!("auth.example.test:{port}") && target == "/" {
        return match fault {
            Fault::StrangersRegister => {
                let form = "\u{0}<form method=\"post\" action=\"/register\">";
                with_head("200 OK", "", form)
            }
            _ => with_head("303 See Other", "Location: /login\r\n", ""),
        };
    }
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
