//! The servers: ours, nginx, and a Python script, each in a directory of its own and ended when
//! dropped.

use std::env;
use std::fmt::Write as _;
use std::fs::{self, File, Permissions};
use std::io::{BufRead as _, BufReader, ErrorKind};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rcgen::CertifiedKey;
use rustix::process::{Pid, Signal, kill_process};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tempfile::TempDir;

use crate::client::{Answer, KeyExchange, Peer, get, source};

/// How long a server may take to begin.
const PATIENCE: Duration = Duration::from_secs(20);

/// A certificate for localhost and its key, ECDSA P-256, which all servers share.
pub(crate) struct Pair(CertifiedKey<rcgen::KeyPair>);

impl Pair {
    pub(crate) fn new() -> Self {
        Self(rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap())
    }

    fn write(&self, dir: &Path) {
        fs::write(dir.join("server.crt"), self.0.cert.pem()).unwrap();
        fs::write(dir.join("server.key"), self.0.signing_key.serialize_pem()).unwrap();
        fs::set_permissions(dir.join("server.key"), Permissions::from_mode(0o600)).unwrap();
    }

    fn peer(&self, port: u16, keys: KeyExchange) -> Peer {
        Peer::new(port, self.0.cert.der(), keys)
    }
}

/// The program itself.
pub(crate) struct Ours {
    child: Child,
    /// Kept open, as a terminal would be.
    _stdout: BufReader<ChildStdout>,
    port: u16,
    certificate: CertificateDer<'static>,
    dir: TempDir,
}

impl Ours {
    pub(crate) fn start(pair: &Pair) -> Self {
        Self::start_with(pair, None)
    }

    /// With these accounts as its users.json.
    pub(crate) fn start_with(pair: &Pair, users: Option<&str>) -> Self {
        Self::start_in(Self::prepare(pair, users), pair)
    }

    /// A directory to start in.
    pub(crate) fn prepare(pair: &Pair, users: Option<&str>) -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        pair.write(dir.path());
        if let Some(users) = users {
            fs::write(dir.path().join("users.json"), users).unwrap();
        }
        dir
    }

    /// Returns once it has said where it listens.
    pub(crate) fn start_in(dir: TempDir, pair: &Pair) -> Self {
        Self::start_as(dir, pair, &[])
    }

    /// As [`Ours::start_in`], with more flags.
    pub(crate) fn start_as(dir: TempDir, pair: &Pair, flags: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_auth_user"));
        for (name, _) in env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"AUTH_") {
                command.env_remove(name);
            }
        }
        let mut child = command
            .args(["--listen", "127.0.0.1:0"])
            .args(flags)
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(dir.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let port = line
            .strip_prefix("Serving at port ")
            .and_then(|rest| rest.split(' ').next());
        let log = || fs::read_to_string(dir.path().join("log")).unwrap_or_default();
        let port = port.unwrap_or_else(|| panic!("no server: {line:?}\n{}", log()));
        Self {
            child,
            _stdout: stdout,
            port: port.parse().unwrap(),
            certificate: pair.0.cert.der().clone(),
            dir,
        }
    }

    pub(crate) fn peer(&self, keys: KeyExchange) -> Peer {
        Peer::new(self.port, &self.certificate, keys)
    }

    /// Resident memory in MiB.
    pub(crate) fn resident(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .unwrap();
        let kib: f64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        kib / 1024.0
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let log = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            eprintln!("--- server log ---\n{log}---");
        }
    }
}

/// nginx with its defaults, serving one page as a static file.
pub(crate) struct Nginx {
    child: Child,
    port: u16,
    _dir: TempDir,
}

impl Nginx {
    /// None if there is no nginx here.
    pub(crate) fn version() -> Option<String> {
        let output = Command::new("nginx").arg("-v").output().ok()?;
        let said = String::from_utf8_lossy(&output.stderr);
        Some(said.trim().trim_start_matches("nginx version: ").to_owned())
    }

    /// Serves `page` at every path, with the fields it came with. None if there is no nginx here.
    pub(crate) fn start(pair: &Pair, page: &Answer) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        // Its workers may run as somebody else.
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        pair.write(dir.path());
        fs::create_dir(dir.path().join("root")).unwrap();
        fs::write(dir.path().join("root/page"), &page.body).unwrap();
        let port = free_port();
        fs::write(dir.path().join("nginx.conf"), nginx_conf(port, page)).unwrap();

        let child = Command::new("nginx")
            .args(["-e", "error.log", "-c", "nginx.conf", "-p"])
            .arg(dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = match child {
            Ok(child) => child,
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            Err(error) => panic!("cannot start nginx: {error}"),
        };
        let nginx = Self {
            child,
            port,
            _dir: dir,
        };
        let answer = wait_for_answer(&nginx.peer(pair, KeyExchange::AsBrowsers), "/login");
        assert!(
            answer.status == 200 && answer.body == page.body,
            "{}",
            answer.head
        );
        Some(nginx)
    }

    pub(crate) fn peer(&self, pair: &Pair, keys: KeyExchange) -> Peer {
        pair.peer(self.port, keys)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Killed, it would leave its workers behind.
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let _ = pid.map(|pid| kill_process(pid, Signal::TERM));
        let _ = self.child.wait();
    }
}

fn nginx_conf(port: u16, page: &Answer) -> String {
    let mut fields = String::new();
    for line in page.head.lines().skip(1) {
        let Some((name, value)) = line.split_once(": ") else {
            continue;
        };
        // These it makes itself.
        if !["Date", "Content-Length", "Content-Type", "Connection"].contains(&name) {
            writeln!(fields, "    add_header {name} \"{value}\";").unwrap();
        }
    }
    let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|what| format!("  {what}_temp_path tmp;\n"))
        .collect();
    format!(
        "daemon off;\nworker_processes auto;\npid nginx.pid;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n{paths}\
         \x20 access_log off;\n  sendfile on;\n  keepalive_requests 1000000000;\n\
         \x20 default_type \"text/html; charset=utf-8\";\n\
         \x20 server {{\n    listen 127.0.0.1:{port} ssl;\n    root root;\n\
         \x20   ssl_protocols TLSv1.3;\n\
         \x20   ssl_certificate server.crt;\n    ssl_certificate_key server.key;\n\
         {fields}    location / {{ try_files /page =404; }}\n  }}\n}}\n"
    )
}

/// nginx cannot be asked which port it was given.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// A Python server that serves https on port 8000 from its own directory, with a `server.crt`
/// beside it.
pub(crate) struct Script {
    child: Child,
    peer: Peer,
}

impl Script {
    const PORT: u16 = 8000;

    /// The one named in the environment; none if there is none.
    pub(crate) fn start(keys: KeyExchange) -> Option<Self> {
        let path = PathBuf::from(env::var_os("BENCH_SCRIPT")?);
        let path = fs::canonicalize(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        let dir = path.parent().unwrap();
        let certificate = CertificateDer::from_pem_file(dir.join("server.crt")).unwrap();
        drop(TcpListener::bind((Ipv4Addr::UNSPECIFIED, Self::PORT)).expect("port 8000 is taken"));
        let child = Command::new("python3")
            .arg(&path)
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("BENCH_SCRIPT needs python3");
        let script = Self {
            child,
            peer: Peer::new(Self::PORT, &certificate, keys),
        };
        wait_for_answer(&script.peer, "/");
        Some(script)
    }

    pub(crate) fn peer(&self) -> Peer {
        self.peer.clone()
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks until somebody answers.
fn wait_for_answer(peer: &Peer, path: &str) -> Answer {
    let begun = Instant::now();
    loop {
        let answer = peer
            .connect(source(0))
            .and_then(|mut to| to.ask(&get(path, "")));
        match answer {
            Ok(answer) => return answer,
            Err(error) => assert!(begun.elapsed() < PATIENCE, "no server: {error}"),
        }
        thread::sleep(Duration::from_millis(20));
    }
}
