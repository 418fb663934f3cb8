//! A proxy with what `proxy-config` prints, auth_user and an application behind it.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tempfile::TempDir;

use crate::harness::{Answer, PATIENCE, Server, Setup, Visitor, Wire, provider, read, wait_for};
use crate::proxies::Application;

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
                     http {{ access_log off; {own} include {shown}/*.conf; }}\n"
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

impl Deployment {
    pub(crate) fn of(kind: Kind) -> Self {
        Self::with(kind, |_, text| text)
    }

    /// As an operator who has changed the files; `edit` gets their names and what is in them.
    pub(crate) fn with(kind: Kind, edit: impl Fn(&str, String) -> String) -> Self {
        let application = Application::start();
        // A port that was free a moment ago may be taken by now.
        for _ in 0..5 {
            let port = free_port();
            let server = auth_user(port);
            let dir = tempfile::tempdir().unwrap();
            let certificate = certificate(dir.path());
            configure(kind, dir.path(), port, &server, &application);
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

    pub(crate) fn connect(&self, host: &'static str) -> Wire {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(host).unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let socket = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Wire::Tls(Box::new(StreamOwned::new(connection, socket)))
    }

    /// Sends a request to the application, head and body as they are, and reads the answer.
    pub(crate) fn ask(&self, line: &str, fields: &[&str]) -> Answer {
        self.send(line, fields, &[])
    }

    pub(crate) fn send(&self, line: &str, fields: &[&str], body: &[u8]) -> Answer {
        let mut head = format!("{line} HTTP/1.1\r\nConnection: close\r\n");
        if !fields.iter().any(|field| field.starts_with("Host: ")) {
            head.push_str(&format!("Host: app.example.test:{}\r\n", self.port));
        }
        if !body.is_empty() {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        for field in fields {
            head.push_str(field);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        let mut wire = self.connect("app.example.test");
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

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn auth_user(port: u16) -> Server {
    let url = format!("https://auth.example.test:{port}");
    Server::start_with(&[
        "--no-tls",
        "--public-url",
        &url,
        "--cookie-domain",
        "example.test",
        "--trusted-proxy",
        "127.0.0.1",
    ])
}

/// One file with certificate and key, which every proxy takes.
fn certificate(dir: &Path) -> CertificateDer<'static> {
    let names = ["app.example.test", "auth.example.test"].map(str::to_owned);
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
    let both = format!("{}{}", cert.pem(), signing_key.serialize_pem());
    fs::write(dir.join("both.pem"), both).unwrap();
    cert.der().clone()
}

fn configure(kind: Kind, dir: &Path, port: u16, server: &Server, application: &Application) {
    let url = format!("https://auth.example.test:{port}");
    let listen = format!("127.0.0.1:{}", server.port);
    let upstream = application.address.to_string();
    let pem = dir.join("both.pem");
    let (status, _, err) = Setup::bare()
        .with(&["proxy-config", kind.name()])
        .with(&["--app", "app.example.test", "--upstream", &upstream])
        .with(&["--public-url", &url, "--listen", &listen])
        .with(&["--cert", pem.to_str().unwrap()])
        .with(&["--dir", dir.to_str().unwrap()])
        .run();
    assert!(status.success(), "{err}");
}
