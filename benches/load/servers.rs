//! A running server, ours or another's, and how ours is started. Each has a directory of its own,
//! listens on loopback only, and ends when dropped.

use std::env;
use std::fs::{self, File, Permissions};
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rcgen::CertifiedKey;
use rustix::process::{Pid, Signal, kill_process};
use rustls::pki_types::CertificateDer;
use tempfile::TempDir;

use crate::client::{Answer, KeyExchange, Peer, get, source};
use crate::processes;

/// How long a server may take to begin.
const PATIENCE: Duration = Duration::from_secs(20);

/// A certificate for localhost and its key, ECDSA P-256, which all servers share.
pub(crate) struct Pair(CertifiedKey<rcgen::KeyPair>);

impl Pair {
    pub(crate) fn new() -> Self {
        Self(rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap())
    }

    /// Puts server.crt and server.key there.
    pub(crate) fn write(&self, dir: &Path) {
        fs::write(dir.join("server.crt"), self.0.cert.pem()).unwrap();
        fs::write(dir.join("server.key"), self.0.signing_key.serialize_pem()).unwrap();
        fs::set_permissions(dir.join("server.key"), Permissions::from_mode(0o600)).unwrap();
    }

    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        self.0.cert.der().clone()
    }
}

/// One that runs.
pub(crate) struct Server {
    /// The column it fills.
    pub(crate) name: &'static str,
    /// Where its page is.
    pub(crate) page: &'static str,
    pub(crate) child: Child,
    /// Kept open, as a terminal would be.
    pub(crate) _stdout: Option<BufReader<ChildStdout>>,
    pub(crate) port: u16,
    pub(crate) certificate: CertificateDer<'static>,
    /// None for one that lives in a directory of somebody else's.
    pub(crate) dir: Option<TempDir>,
}

impl Server {
    /// To connect to it.
    pub(crate) fn peer(&self, keys: KeyExchange) -> Peer {
        Peer::new(self.port, &self.certificate, keys)
    }

    /// Milliseconds of processor time since it began.
    pub(crate) fn cpu(&self) -> f64 {
        processes::cpu(self.child.id())
    }

    /// Resident memory in MiB.
    pub(crate) fn resident(&self) -> f64 {
        processes::resident(self.child.id())
    }

    /// The page that it gives to everybody, once it gives one.
    pub(crate) fn wait_for_page(&self) -> Answer {
        let begun = Instant::now();
        let peer = self.peer(KeyExchange::AsBrowsers);
        loop {
            let answer = peer
                .connect(source(0))
                .and_then(|mut to| to.ask(&get(self.page, "")));
            match answer {
                Ok(answer) => {
                    assert_eq!(answer.status, 200, "{}: {}", self.name, answer.head);
                    return answer;
                }
                Err(error) => {
                    let waited = begun.elapsed();
                    assert!(waited < PATIENCE, "no {}: {error}", self.name);
                }
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Lets it end in order, and keeps what it wrote.
    pub(crate) fn stop(mut self) -> TempDir {
        self.end();
        self.dir.take().unwrap()
    }

    fn end(&mut self) {
        // nginx, killed, would leave its workers behind.
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let _ = pid.map(|pid| kill_process(pid, Signal::TERM));
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE && matches!(self.child.try_wait(), Ok(None)) {
            thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
        if let Some(dir) = self.dir.as_ref().filter(|_| thread::panicking()) {
            let log = fs::read_to_string(dir.path().join("log")).unwrap_or_default();
            eprintln!("--- log of {} ---\n{log}---", self.name);
        }
    }
}

/// A build of the program itself.
#[derive(Clone)]
pub(crate) struct Build {
    pub(crate) name: &'static str,
    path: PathBuf,
}

impl Build {
    /// The name of the one before.
    pub(crate) const BEFORE: &str = "the build before";

    /// What the benchmark is made with.
    pub(crate) fn this() -> Self {
        Self {
            name: "this build",
            path: PathBuf::from(env!("CARGO_BIN_EXE_auth_user")),
        }
    }

    /// The one that the environment names, to compare with; none if it names none.
    pub(crate) fn before() -> Option<Self> {
        let path = PathBuf::from(env::var_os("BENCH_BEFORE")?);
        let path = fs::canonicalize(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        Some(Self {
            name: Self::BEFORE,
            path,
        })
    }

    /// Both, or the first alone.
    pub(crate) fn all() -> Vec<Self> {
        [Some(Self::this()), Self::before()]
            .into_iter()
            .flatten()
            .collect()
    }

    pub(crate) fn start(&self, pair: &Pair) -> Server {
        self.start_with(pair, None)
    }

    /// With these accounts as its users.json.
    pub(crate) fn start_with(&self, pair: &Pair, users: Option<&str>) -> Server {
        self.start_in(Self::prepare(pair, users), pair, &[])
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

    /// The program with nothing told.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        for (name, _) in env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"AUTH_") {
                command.env_remove(name);
            }
        }
        command
    }

    /// With more flags. Returns once it has said where it listens.
    pub(crate) fn start_in(&self, dir: TempDir, pair: &Pair, flags: &[&str]) -> Server {
        let mut child = self
            .command()
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
        Server {
            name: self.name,
            page: "/login",
            child,
            _stdout: Some(stdout),
            port: port.parse().unwrap(),
            certificate: pair.certificate(),
            dir: Some(dir),
        }
    }
}

/// For those that cannot be asked which port they were given.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}
