//! A proxy with what `proxy-config` prints, auth_user and an application behind it.

use std::fs::{self, File};
use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tempfile::TempDir;

use crate::harness::{
    Answer, PATIENCE, Server, Setup, Visitor, Wire, free_port, provider, read, wait_for,
};
use crate::proxies::Application;
use crate::proxies::h2::Stream;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Nginx,
    Caddy,
    Haproxy,
}

/// All of it, at `auth.example.test` and `app.example.test`.
pub(crate) struct Deployment {
    pub(crate) server: Server,
    pub(crate) port: u16,
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) dir: TempDir,
    proxy: Child,
    pub(crate) application: Application,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Nginx, Self::Caddy, Self::Haproxy];

    fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Caddy => "caddy",
            Self::Haproxy => "haproxy",
        }
    }

    /// The proxy as a plain process in the foreground that writes into its own directory only.
    fn command(self, dir: &Path) -> Command {
        let shown = dir.display();
        let mut command = Command::new(self.name());
        match self {
            Self::Nginx => {
                let own: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                    .map(|name| format!("{name}_temp_path {shown}/{name};"))
                    .concat();
                let main = format!(
                    "daemon off; pid {shown}/pid; error_log stderr; events {{}}\n\
                     http {{ access_log off; {own} {NGINX_AROUND}\n\
                     proxy_cache_path {shown}/cache keys_zone=all:1m;\n\
                     include {shown}/*.conf; }}\n"
                );
                fs::write(dir.join("nginx.main"), main).unwrap();
                command.arg("-c").arg(dir.join("nginx.main"));
            }
            Self::Caddy => {
                let file = dir.join("Caddyfile");
                // Its port for orders is always the same; two tests would share it.
                let text = fs::read_to_string(&file).unwrap();
                fs::write(
                    &file,
                    text.replacen("auto_https", "admin off\n    auto_https", 1),
                )
                .unwrap();
                command
                    .args(["run", "--adapter", "caddyfile", "--config"])
                    .arg(file)
                    .env("XDG_DATA_HOME", dir)
                    .env("XDG_CONFIG_HOME", dir);
            }
            Self::Haproxy => {
                command.arg("-f").arg(dir.join("haproxy.cfg"));
            }
        }
        command
    }
}

/// What an operator's own `http` block may say, and what is printed must not inherit.
const NGINX_AROUND: &str = "underscores_in_headers on; ignore_invalid_headers off; satisfy any; \
                            allow all; proxy_cache all; proxy_cache_valid any 10m; \
                            proxy_intercept_errors on;";

/// The application's host, unless a test is about hosts.
pub(crate) const APP: &str = "app.example.test";
pub(crate) const LOGIN: &str = "auth.example.test";

impl Deployment {
    pub(crate) fn of(kind: Kind) -> Self {
        Self::with(kind, |_, text| text)
    }

    /// As an operator who has changed the files; `edit` gets their names and what is in them.
    pub(crate) fn with(kind: Kind, edit: impl Fn(&str, String) -> String) -> Self {
        Self::start(kind, &[APP], (None, None), edit)
    }

    /// With another program as the application.
    pub(crate) fn before(kind: Kind, application: SocketAddr) -> Self {
        Self::start(kind, &[APP], (None, Some(application)), |_, text| text)
    }

    /// With the same application at several hosts.
    pub(crate) fn at(kind: Kind, hosts: &[&str]) -> Self {
        Self::start(kind, hosts, (None, None), |_, text| text)
    }

    /// With `login` in the place of auth_user: what is sent there can be looked at.
    pub(crate) fn asking(kind: Kind, login: &Application) -> Self {
        Self::start(kind, &[APP], (Some(login.address), None), |_, text| text)
    }

    fn start(
        kind: Kind,
        hosts: &[&str],
        (login, upstream): (Option<SocketAddr>, Option<SocketAddr>),
        edit: impl Fn(&str, String) -> String,
    ) -> Self {
        let application = Application::start();
        // A port that was free a moment ago may be taken by another program by now.
        for _ in 0..5 {
            let port = free_port();
            let server = auth_user(port);
            let dir = tempfile::tempdir().unwrap();
            let certificate = certificate(dir.path(), hosts);
            let login = login.unwrap_or(([127, 0, 0, 1], server.port).into());
            let upstream = upstream.unwrap_or(application.address);
            configure(kind, dir.path(), port, login, hosts, upstream);
            for entry in fs::read_dir(dir.path()).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                let text = fs::read_to_string(&path).unwrap();
                fs::write(&path, edit(&name, text)).unwrap();
            }
            let log = File::create(dir.path().join("log")).unwrap();
            let mut proxy = kind
                .command(dir.path())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log)
                .spawn()
                .unwrap_or_else(|_| panic!("{kind:?} is missing; tests/setup installs it"));
            let listening = wait_for("the proxy to listen", || {
                let gone = proxy.try_wait().unwrap().map(|_| false);
                gone.or_else(|| TcpStream::connect(("127.0.0.1", port)).ok().map(|_| true))
            });
            if listening {
                return Self {
                    server,
                    port,
                    certificate,
                    dir,
                    proxy,
                    application,
                };
            }
            eprintln!("{}", read(dir.path(), "log"));
        }
        panic!("{kind:?} does not start");
    }

    /// A URL of the application.
    pub(crate) fn app(&self, path: &str) -> String {
        format!("https://app.example.test:{}{path}", self.port)
    }

    /// A session, made past the proxy.
    pub(crate) fn session(&self) -> String {
        let (visitor, _) = Visitor::with_account(&self.server, "alice");
        let cookies = visitor.cookies.borrow();
        cookies["__Secure-session"].clone()
    }

    /// The field of a session, made past the proxy.
    pub(crate) fn session_cookie(&self) -> String {
        format!("Cookie: __Secure-session={}", self.session())
    }

    pub(crate) fn connect(&self, host: &str) -> Wire {
        self.connect_to(([127, 0, 0, 1], self.port).into(), host, &[])
    }

    /// A stream of HTTP/2.
    pub(crate) fn h2(&self, host: &str) -> Stream {
        Stream::begin(self.connect_to(([127, 0, 0, 1], self.port).into(), host, &[b"h2"]))
    }

    pub(crate) fn connect_to(&self, address: SocketAddr, host: &str, protocols: &[&[u8]]) -> Wire {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        let name = ServerName::try_from(host.to_owned()).unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Wire::Tls(Box::new(StreamOwned::new(connection, socket)))
    }

    /// Sends a head to `host` as it is, but for the `Host` field, and reads the answer's head and
    /// as much of its body as it says there is. The connection may stay open.
    pub(crate) fn raw(&self, host: &str, line: &str, fields: &[&str]) -> (Wire, Answer) {
        let mut head = format!("{line} HTTP/1.1\r\nHost: {host}:{}\r\n", self.port);
        for field in fields {
            head.push_str(field);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        let mut wire = self.connect(host);
        wire.send(head.as_bytes());
        let mut answer = Answer::parse(&wire.read_head());
        let length = answer
            .header("content-length")
            .map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; if line.starts_with("HEAD") { 0 } else { length }];
        wire.read_exact(&mut body).unwrap();
        answer.body = String::from_utf8_lossy(&body).into_owned();
        (wire, answer)
    }

    /// Sends a request to the application, head and body as they are, and reads the answer.
    pub(crate) fn ask(&self, line: &str, fields: &[&str]) -> Answer {
        self.send(line, fields, &[])
    }

    pub(crate) fn send(&self, line: &str, fields: &[&str], body: &[u8]) -> Answer {
        let mut head = format!("{line} HTTP/1.1\r\nConnection: close\r\n");
        if !fields.iter().any(|field| field.starts_with("Host: ")) {
            head.push_str(&format!("Host: {APP}:{}\r\n", self.port));
        }
        if !body.is_empty() {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        for field in fields {
            head.push_str(field);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        let mut wire = self.connect(APP);
        wire.send(head.as_bytes());
        wire.send(body);
        Answer::parse(&wire.read_to_end())
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        // Told to end and waited for, so that those it has started end too.
        let pid = rustix::process::Pid::from_child(&self.proxy);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.proxy.wait();
        if std::thread::panicking() {
            eprintln!("--- proxy log ---\n{}---", read(self.dir.path(), "log"));
        }
    }
}

fn auth_user(port: u16) -> Server {
    let url = format!("https://{LOGIN}:{port}");
    Server::start_with(&[
        "--no-tls",
        "--public-url",
        &url,
        "--cookie-domain",
        "example.test",
        "--registration",
        "open",
        "--trusted-proxy",
        "127.0.0.1",
    ])
}

/// One file with certificate and key, which every proxy takes.
fn certificate(dir: &Path, hosts: &[&str]) -> CertificateDer<'static> {
    let names: Vec<String> = hosts
        .iter()
        .chain(&[LOGIN])
        .map(|host| (*host).to_owned())
        .collect();
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
    let both = format!("{}{}", cert.pem(), signing_key.serialize_pem());
    fs::write(dir.join("both.pem"), both).unwrap();
    cert.der().clone()
}

fn configure(
    kind: Kind,
    dir: &Path,
    port: u16,
    login: SocketAddr,
    hosts: &[&str],
    upstream: SocketAddr,
) {
    let url = format!("https://{LOGIN}:{port}");
    let pem = dir.join("both.pem");
    let mut setup = Setup::bare()
        .with(&["proxy-config", kind.name()])
        .with(&["--cookie-domain", "example.test"])
        .with(&["--public-url", &url, "--listen", &login.to_string()])
        .with(&["--cert", pem.to_str().unwrap()])
        .with(&["--dir", dir.to_str().unwrap()]);
    for host in hosts {
        let app = format!("{host}={upstream}");
        setup = setup.with(&["--app", &app]);
    }
    let (status, _, err) = setup.run();
    assert!(status.success(), "{err}");
}
