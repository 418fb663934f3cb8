//! How a server is started: its directory, certificate, flags and environment.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rcgen::{CertifiedKey, KeyPair};
use rustls::pki_types::CertificateDer;
use tempfile::TempDir;

use crate::harness::{PATIENCE, Server, read};

/// How a server is to be started. Clones share its directory.
#[derive(Clone)]
pub(crate) struct Setup {
    dir: Arc<TempDir>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    /// What the program is started by, if not directly.
    launcher: Vec<String>,
    /// Whether it is one node where others are two.
    pub(super) is_alone: bool,
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
            is_alone: false,
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
            is_alone: false,
            certificate: None,
        }
    }

    /// The folder of a server, for commands.
    pub(crate) fn of(server: &Server) -> Self {
        let dir = Arc::clone(&server.dir);
        Self {
            dir,
            ..Self::bare()
        }
    }

    /// With the login for the applications of a domain, where strangers may register.
    pub(crate) fn for_domain(self, domain: &str) -> Self {
        self.with(&["--public-url", &format!("https://auth.{domain}")])
            .with(&["--cookie-domain", domain, "--registration", "open"])
    }

    /// The same for example.com, and a proxy on this machine.
    pub(crate) fn for_applications(self) -> Self {
        self.for_domain("example.com")
            .with(&["--trusted-proxy", "127.0.0.1"])
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

    /// One node where others are two: for what each node counts, holds or remembers by itself.
    pub(crate) fn alone(mut self) -> Self {
        self.is_alone = true;
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
        #[cfg(feature = "databases")]
        if let Some(url) = crate::harness::nodes::database(self) {
            command.env("AUTH_STORE", url);
            command.env("AUTH_STORE_KEY", crate::harness::nodes::KEY);
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
        self.start_logging_to(log)
    }

    /// As [`Setup::start`], with the log somewhere else.
    pub(crate) fn start_logging_to(&self, log: impl Into<Stdio>) -> Server {
        let log = log.into();
        #[cfg(feature = "databases")]
        let log = match crate::harness::nodes::started(self, log) {
            Ok(server) => return server,
            Err(log) => log,
        };
        self.announced(self.command(), log)
    }

    /// Whether one of these flags is told.
    #[cfg(feature = "databases")]
    pub(crate) fn tells(&self, flags: &[&str]) -> bool {
        let mut arguments = self.arguments.iter();
        arguments.any(|argument| flags.contains(&argument.as_str()))
    }

    /// Starts the program by a launcher that does something with these descriptors, its standard
    /// input and its standard error, and writes the log to the file where it belongs.
    pub(crate) fn start_with_descriptors(&self, input: OwnedFd, error: OwnedFd) -> Server {
        let mut command = self.command();
        command.stdin(input);
        self.announced(command, error.into())
    }

    #[cfg(feature = "databases")]
    pub(super) fn shared_dir(&self) -> Arc<TempDir> {
        Arc::clone(&self.dir)
    }

    /// The program once it has said where it listens, with what it says there, and the port.
    pub(super) fn begun(
        &self,
        mut command: Command,
    ) -> (Child, BufReader<ChildStdout>, String, u16) {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let Some(port) = line.strip_prefix("Serving at port ") else {
            panic!("no server: {line:?}\n{}", read(self.dir(), "log"));
        };
        let port = port.split(' ').next().unwrap().parse().unwrap();
        (child, stdout, line, port)
    }

    pub(super) fn has_tls(&self) -> bool {
        let is_off = |(name, _): &(String, String)| name == "AUTH_NO_TLS";
        !self.arguments.iter().any(|argument| argument == "--no-tls")
            && !self.environment.iter().any(is_off)
    }

    pub(super) fn announced(&self, mut command: Command, log: Stdio) -> Server {
        command.stderr(log);
        let (child, stdout, line, port) = self.begun(command);
        Server {
            child,
            stdout,
            announced: line,
            port,
            tls: self.has_tls(),
            certificate: self
                .certificate
                .clone()
                .unwrap_or_else(|| certificate_in(self.dir())),
            trust: OnceLock::new(),
            dir: Arc::clone(&self.dir),
            #[cfg(feature = "databases")]
            beside: Vec::new(),
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
