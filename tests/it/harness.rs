//! A server of its own for every test, and visitors to send to it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use data_encoding::BASE32_NOPAD;
use rcgen::{CertifiedKey, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;
use tempfile::TempDir;
use totp_lite::{Sha1, totp_custom};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use url::form_urlencoded;

/// A password no list has.
pub(crate) const PASSWORD: &str = "seven wild horses";

/// How long anything may take before a test calls it lost.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running server, in a directory and with a certificate of its own. Killed when dropped.
pub(crate) struct Server {
    child: Child,
    /// Kept open: the program may write to it in compatibility mode.
    stdout: BufReader<ChildStdout>,
    /// The first line on standard output.
    pub(crate) announced: String,
    pub(crate) port: u16,
    tls: bool,
    certificate: CertificateDer<'static>,
    pub(crate) dir: Arc<TempDir>,
}

/// How a server is to be started.
pub(crate) struct Setup {
    dir: Arc<TempDir>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    /// What the program is started by, if not directly.
    launcher: Vec<String>,
    /// None: whatever `server.crt` holds once the server runs.
    certificate: Option<CertificateDer<'static>>,
}

impl Setup {
    /// A directory with a certificate for localhost that only this test trusts.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        write_pair(dir.path(), &cert.pem(), &signing_key);
        Self {
            dir: Arc::new(dir),
            arguments: Vec::new(),
            environment: Vec::new(),
            launcher: Vec::new(),
            certificate: Some(cert.der().clone()),
        }
    }

    /// An empty directory: the program makes its own certificate, or the test puts one there.
    pub(crate) fn bare() -> Self {
        Self {
            dir: Arc::new(tempfile::tempdir().unwrap()),
            arguments: Vec::new(),
            environment: Vec::new(),
            launcher: Vec::new(),
            certificate: None,
        }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments
            .extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts the program by another one, such as `prlimit`, which must become it.
    pub(crate) fn under(mut self, launcher: &[&str]) -> Self {
        self.launcher = launcher.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// The program with this setup, not started. Listens on a free loopback port unless told
    /// otherwise.
    pub(crate) fn command(&self) -> Command {
        let program = env!("CARGO_BIN_EXE_auth_user");
        let mut command = match self.launcher.split_first() {
            None => Command::new(program),
            Some((launcher, arguments)) => {
                let mut command = Command::new(launcher);
                command.args(arguments).arg(program);
                command
            }
        };
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AUTH_")) {
            command.env_remove(name);
        }
        let told = self.arguments.iter().any(|argument| argument == "--listen")
            || self
                .environment
                .iter()
                .any(|(name, _)| name == "AUTH_LISTEN");
        if !told {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        command
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(self.dir.path())
            .stdin(Stdio::null());
        command
    }

    /// Starts the program; returns once it has said where it listens: no port is guessed and
    /// nothing sleeps.
    pub(crate) fn start(&self) -> Server {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.dir().join("log"))
            .unwrap();
        let mut child = self
            .command()
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let Some(port) = line.strip_prefix("Serving at port ") else {
            panic!("no server: {line:?}\n{}", read(self.dir(), "log"));
        };
        let port = port.split(' ').next().unwrap().parse().unwrap();
        Server {
            child,
            stdout,
            announced: line,
            port,
            tls: !self.arguments.iter().any(|argument| argument == "--no-tls")
                && !self
                    .environment
                    .iter()
                    .any(|(name, _)| name == "AUTH_NO_TLS"),
            certificate: self
                .certificate
                .clone()
                .unwrap_or_else(|| certificate_in(self.dir())),
            dir: Arc::clone(&self.dir),
        }
    }

    /// Runs a program that is expected to end by itself: its status, standard output and error.
    pub(crate) fn run(&self) -> (ExitStatus, String, String) {
        let mut command = self.command();
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if begun.elapsed() > PATIENCE {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("the program runs, though it should have refused to");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status, text(output.stdout), text(output.stderr))
    }
}

/// Writes certificate and key as the program wants them: the key for its owner alone.
pub(crate) fn write_pair(dir: &Path, certificate: &str, key: &KeyPair) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(dir.join("server.crt"), certificate).unwrap();
    fs::write(dir.join("server.key"), key.serialize_pem()).unwrap();
    fs::set_permissions(dir.join("server.key"), fs::Permissions::from_mode(0o600)).unwrap();
}

/// The first certificate of `server.crt`.
pub(crate) fn certificate_in(dir: &Path) -> CertificateDer<'static> {
    let pem = fs::read(dir.join("server.crt")).unwrap();
    rustls_pemfile::certs(&mut pem.as_slice())
        .next()
        .unwrap()
        .unwrap()
}

impl Server {
    pub(crate) fn start() -> Self {
        Setup::new().start()
    }

    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        Setup::new().with(arguments).start()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://localhost:{}{path}", self.port)
    }

    pub(crate) fn log(&self) -> String {
        read(self.dir.path(), "log")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line on standard output.
    pub(crate) fn next_line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// All that is left to read on standard output once the program has ended.
    pub(crate) fn rest_of_stdout(&mut self) -> String {
        let mut text = String::new();
        self.stdout.read_to_string(&mut text).unwrap();
        text
    }

    /// users.json as it is on disk.
    pub(crate) fn users(&self) -> Value {
        serde_json::from_str(&read(self.dir.path(), "users.json")).unwrap()
    }

    /// Takes the next mail with this subject out of the outbox, as an operator without a mail
    /// server would.
    pub(crate) fn next_mail(&self, subject: &str) -> String {
        let subject = format!("Subject: {subject}\r\n");
        wait_for(&subject, || {
            fs::read_dir(self.path("outbox"))
                .unwrap()
                .find_map(|entry| {
                    let path = entry.unwrap().path();
                    let mail = fs::read_to_string(&path).ok()?;
                    let wanted =
                        path.extension().is_some_and(|e| e == "eml") && mail.contains(&subject);
                    wanted
                        .then(|| fs::remove_file(&path).unwrap())
                        .map(|()| mail)
                })
        })
    }

    /// Changes one account in users.json as an operator with an editor would. Nobody else may be
    /// changing anything meanwhile.
    pub(crate) fn edit_account(&self, name: &str, edit: impl FnOnce(&mut Value)) {
        let mut users = self.users();
        edit(&mut users["users"][name]);
        // Moved into place, as editors do: the server must never see half of it.
        fs::write(
            self.path("edited"),
            serde_json::to_vec_pretty(&users).unwrap(),
        )
        .unwrap();
        fs::rename(self.path("edited"), self.path("users.json")).unwrap();
    }

    /// Kills the program as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.child.id()).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits until the program has ended.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// A connection of bytes, after the handshake.
    pub(crate) fn connect(&self) -> Wire {
        self.connect_over(self.socket())
    }

    /// As [`Server::connect`], over a connection there is.
    pub(crate) fn connect_over(&self, socket: TcpStream) -> Wire {
        if !self.tls {
            return Wire::Plain(socket);
        }
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        Wire::Tls(Box::new(StreamOwned::new(connection, socket)))
    }

    /// A connection of bytes before any handshake.
    pub(crate) fn socket(&self) -> TcpStream {
        let address = ("127.0.0.1", self.port)
            .to_socket_addrs()
            .unwrap()
            .next()
            .unwrap();
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    /// As [`Server::socket`], from another address of this machine.
    pub(crate) fn socket_from(&self, source: Ipv4Addr) -> TcpStream {
        use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&socket, &SocketAddrV4::new(source, 0)).unwrap();
        connect(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, self.port)).unwrap();
        let socket = TcpStream::from(socket);
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    /// Waits until the log has a line with `text`.
    pub(crate) fn wait_for_log(&self, text: &str) {
        wait_for(&format!("the log to say {text:?}"), || {
            self.log().contains(text).then_some(())
        });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- server log ---\n{}---", self.log());
        }
    }
}

/// Waits for something that another process does and cannot announce.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub(crate) fn read(dir: &Path, name: &str) -> String {
    fs::read_to_string(dir.join(name)).unwrap_or_default()
}

pub(crate) fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// A connection of bytes, with or without TLS.
pub(crate) enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Wire {
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        use std::io::Write as _;
        // The server may have refused and closed already; what it said is still to be read.
        let _ = match self {
            Self::Plain(socket) => socket.write_all(bytes),
            Self::Tls(stream) => stream.write_all(bytes),
        };
    }

    /// All that comes until the server closes.
    pub(crate) fn read_to_end(&mut self) -> String {
        let mut bytes = Vec::new();
        // A close without the TLS farewell ends it too.
        let _ = match self {
            Self::Plain(socket) => socket.read_to_end(&mut bytes),
            Self::Tls(stream) => stream.read_to_end(&mut bytes),
        };
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Reads one answer, by its Content-Length; the connection may stay open.
    pub(crate) fn read_answer(&mut self) -> String {
        let head = self.read_head();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "))
            .map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        self.read_exact(&mut body);
        head + &String::from_utf8(body).unwrap()
    }

    /// Reads status line and fields, and nothing after the empty line.
    pub(crate) fn read_head(&mut self) -> String {
        let mut bytes = Vec::new();
        let mut byte = [0];
        while !bytes.ends_with(b"\r\n\r\n") {
            self.read_exact(&mut byte);
            bytes.push(byte[0]);
        }
        String::from_utf8(bytes).unwrap()
    }

    fn read_exact(&mut self, bytes: &mut [u8]) {
        match self {
            Self::Plain(socket) => socket.read_exact(bytes).unwrap(),
            Self::Tls(stream) => stream.read_exact(bytes).unwrap(),
        }
    }
}

/// What a client asks to read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Accept {
    Json,
    Page,
    Text,
}

/// Somebody with a cookie jar who trusts this server's certificate and no other.
pub(crate) struct Visitor {
    agent: ureq::Agent,
    base: String,
    accept: Accept,
    pub(crate) cookies: RefCell<BTreeMap<String, String>>,
    /// Fields sent with every request.
    pub(crate) headers: Vec<(String, String)>,
}

impl Visitor {
    pub(crate) fn new(server: &Server, accept: Accept) -> Self {
        let root = Certificate::from_der(&server.certificate).to_owned();
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&[root]))
            .unversioned_rustls_crypto_provider(provider())
            .build();
        let config = ureq::Agent::config_builder()
            .tls_config(tls)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .build();
        Self {
            agent: config.into(),
            base: server.url(""),
            accept,
            cookies: RefCell::default(),
            headers: Vec::new(),
        }
    }

    /// A program that reads JSON.
    pub(crate) fn program(server: &Server) -> Self {
        Self::new(server, Accept::Json)
    }

    /// The same browser, with a copy of its cookies, asking for another form.
    pub(crate) fn reading(&self, accept: Accept) -> Self {
        Self {
            agent: self.agent.clone(),
            base: self.base.clone(),
            accept,
            cookies: self.cookies.clone(),
            headers: self.headers.clone(),
        }
    }

    /// The same browser, with one more field in every request.
    pub(crate) fn sending(&self, name: &str, value: &str) -> Self {
        let mut visitor = self.reading(self.accept);
        visitor.headers.push((name.to_owned(), value.to_owned()));
        visitor
    }

    /// A request without a body, by any method.
    pub(crate) fn ask(&self, method: &str, path: &str) -> Answer {
        let uri = format!("{}{path}", self.base);
        let request = ureq::http::Request::builder().method(method).uri(uri);
        let request = self
            .fields()
            .into_iter()
            .fold(request, |r, (name, value)| r.header(name, value));
        self.take(self.agent.run(request.body(()).unwrap()).unwrap())
    }

    /// An empty form, by any method that takes one.
    pub(crate) fn send_form(&self, method: &str, path: &str) -> Answer {
        let uri = format!("{}{path}", self.base);
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(uri)
            .header("content-type", "application/x-www-form-urlencoded");
        let request = self
            .fields()
            .into_iter()
            .fold(request, |r, (name, value)| r.header(name, value));
        self.take(self.agent.run(request.body("").unwrap()).unwrap())
    }

    /// The same browser at another server, or at the same one started anew.
    pub(crate) fn at(&self, server: &Server) -> Self {
        let visitor = Self::new(server, self.accept);
        visitor.cookies.replace(self.cookies.borrow().clone());
        visitor
    }

    /// The status of an answer, unless the server is gone before it has answered.
    pub(crate) fn try_post(&self, path: &str, form: &[(&str, &str)]) -> Option<u16> {
        let request = self.agent.post(format!("{}{path}", self.base));
        let response = request.send_form(form.iter().copied()).ok()?;
        Some(response.status().as_u16())
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        let request = self.agent.get(format!("{}{path}", self.base));
        let request = self
            .fields()
            .into_iter()
            .fold(request, |r, (name, value)| r.header(name, value));
        self.take(request.call().unwrap())
    }

    pub(crate) fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        self.post_as(path, "application/x-www-form-urlencoded", &body)
    }

    pub(crate) fn post_as(&self, path: &str, content_type: &str, body: &str) -> Answer {
        let request = self.agent.post(format!("{}{path}", self.base));
        let request = self
            .fields()
            .into_iter()
            .fold(request.content_type(content_type), |r, (name, value)| {
                r.header(name, value)
            });
        self.take(request.send(body).unwrap())
    }

    fn fields(&self) -> Vec<(String, String)> {
        let mut fields = self.headers.clone();
        let accept = match self.accept {
            Accept::Json => "application/json",
            Accept::Page => "text/html,application/xhtml+xml,*/*;q=0.8",
            Accept::Text => "*/*",
        };
        fields.push(("accept".to_owned(), accept.to_owned()));
        let cookies: Vec<String> = self
            .cookies
            .borrow()
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        if !cookies.is_empty() {
            fields.push(("cookie".to_owned(), cookies.join("; ")));
        }
        fields
    }

    fn take(&self, mut response: ureq::http::Response<ureq::Body>) -> Answer {
        let headers: Vec<(String, String)> = response
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        for (_, cookie) in headers.iter().filter(|(name, _)| name == "set-cookie") {
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            let mut cookies = self.cookies.borrow_mut();
            if cookie.contains("Max-Age=0") {
                cookies.remove(name);
            } else {
                cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        Answer {
            status: response.status().as_u16(),
            headers,
            body: response.body_mut().read_to_string().unwrap(),
        }
    }

    // What people do, in one word each. They fail the test if the product does not play along.

    pub(crate) fn register(&self, name: &str) {
        let email = format!("{name}@example.com");
        let form = [
            ("username", name),
            ("email", &email),
            ("password", PASSWORD),
        ];
        self.post("/register", &form).expect("registered");
    }

    /// The first login of an account: enrols an authenticator.
    pub(crate) fn enrol(&self, name: &str) -> Authenticator {
        let answer = self.post("/login", &[("username", name), ("password", PASSWORD)]);
        answer.expect("enrol_required");
        let authenticator = Authenticator::new(answer.json()["secret"].as_str().unwrap());
        self.post("/secret_key", &[("secret", &authenticator.code())])
            .expect("login_complete");
        authenticator
    }

    /// Registers and enrols: a visitor with a session, who reads JSON.
    pub(crate) fn with_account(server: &Server, name: &str) -> (Self, Authenticator) {
        let visitor = Self::program(server);
        visitor.register(name);
        let authenticator = visitor.enrol(name);
        (visitor, authenticator)
    }

    /// A login with both factors.
    pub(crate) fn log_in(&self, name: &str, password: &str, authenticator: &Authenticator) {
        self.post("/login", &[("username", name), ("password", password)])
            .expect("code_required");
        self.post("/secret_key", &[("secret", &authenticator.code())])
            .expect("login_complete");
    }

    /// Asks for a new password and reads it in the mail.
    pub(crate) fn mailed_password(&self, server: &Server, name: &str) -> String {
        let program = self.reading(Accept::Json);
        program
            .post("/forgot_password", &[("username", name)])
            .expect("new_password_sent");
        let mail = server.next_mail("Your new password");
        let line = mail
            .lines()
            .find_map(|line| line.strip_prefix("New password: "));
        line.unwrap().to_owned()
    }

    /// Ten new recovery codes, for a visitor with a session.
    pub(crate) fn new_recovery_codes(&self) -> Vec<String> {
        let program = self.reading(Accept::Json);
        let answer = program.post("/account/recovery_codes", &[("current_password", PASSWORD)]);
        answer.expect("recovery_codes");
        answer.recovery_codes()
    }

    /// Whether the session lasts.
    pub(crate) fn is_logged_in(&self) -> bool {
        self.get("/account").status == 200
    }
}

/// An answer as a client sees it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(field, _)| field == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// An answer as it came over the wire.
    pub(crate) fn parse(raw: &str) -> Self {
        let (head, body) = raw.split_once("\r\n\r\n").unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap()[9..12].parse().unwrap();
        let headers = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        Self {
            status,
            headers,
            body: body.to_owned(),
        }
    }

    /// The cookie of that name as this answer sets it, if it does.
    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        let cookies = self
            .headers
            .iter()
            .filter(|(field, _)| field == "set-cookie");
        cookies
            .map(|(_, cookie)| cookie.as_str())
            .find(|cookie| cookie.starts_with(&format!("{name}=")))
    }

    /// Fails the test unless the answer has this code.
    #[track_caller]
    pub(crate) fn expect(&self, code: &str) {
        assert_eq!(self.json()["code"], code, "{self:?}");
    }

    pub(crate) fn recovery_codes(&self) -> Vec<String> {
        let codes = self.json()["recovery_codes"].clone();
        codes
            .as_array()
            .unwrap()
            .iter()
            .map(|code| code.as_str().unwrap().to_owned())
            .collect()
    }
}

/// The current step of 30 seconds, which lasts long enough for a request.
fn now_and_not_about_to_change() -> u64 {
    loop {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let left = Duration::from_secs((now.as_secs() / 30 + 1) * 30) - now;
        if left > Duration::from_millis(1500) {
            return now.as_secs() / 30;
        }
        std::thread::sleep(left);
    }
}

/// An authenticator app that never gives the same code twice, by taking the steps one after the
/// other from the earliest that is still accepted. It gives three at once; after that, use
/// [`Authenticator::forget`].
pub(crate) struct Authenticator {
    key: Vec<u8>,
    last: AtomicU64,
}

impl Authenticator {
    pub(crate) fn new(key: &str) -> Self {
        Self {
            key: BASE32_NOPAD.decode(key.as_bytes()).unwrap(),
            last: AtomicU64::new(0),
        }
    }

    pub(crate) fn code(&self) -> String {
        let now = now_and_not_about_to_change();
        let step = (self.last.load(Ordering::Relaxed) + 1).max(now - 1);
        assert!(
            step <= now + 1,
            "no code left that the server would accept yet"
        );
        self.last.store(step, Ordering::Relaxed);
        self.at(step)
    }

    /// The code given last.
    pub(crate) fn last_code(&self) -> String {
        self.at(self.last.load(Ordering::Relaxed))
    }

    /// The code of a step.
    pub(crate) fn at(&self, step: u64) -> String {
        totp_custom::<Sha1>(1, 6, &self.key, step)
    }

    /// Makes the server forget which codes it has accepted, by editing its file as an operator
    /// would, so that a test need not wait for the next half minute.
    pub(crate) fn forget(&self, server: &Server, name: &str) {
        server.edit_account(name, |account| account["totp"]["last_step"] = 0.into());
        self.last.store(0, Ordering::Relaxed);
    }
}
