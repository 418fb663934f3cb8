//! PostgreSQL for tests: a server of their own in a temporary folder, which ends with the process of
//! the tests, however that ends. Not a test by itself: the tests of the library and those of the
//! program both have this file as a module.

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

#[allow(dead_code, reason = "tests that take minutes do this")]
mod full;
#[allow(dead_code, reason = "the tests of the library need one server")]
mod standby;

/// How long a server may take to be made and to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// Nobody in particular: the server does not run as root.
#[allow(dead_code, reason = "the tests of the library start no other program")]
pub(crate) const NOBODY: u32 = 65534;

/// The superuser.
pub(crate) const ADMIN: &str = "postgres";

/// Runs a server, once more for each line on standard input, and ends it and removes its folder once
/// nothing holds standard input open.
const KEEPER: &str = r#"
while
    "$1/postgres" -D "$2/data" >>"$2/log" 2>&1 &
    pid=$!
    read -r _
do
    wait $pid
done
kill -QUIT $pid 2>/dev/null
kill -CONT $pid 2>/dev/null
wait $pid
rm -rf "$2"
"#;

/// Who is asked how to prove themselves: `clear` by a password in clear, everybody else by what is
/// kept of theirs; sockets believe everybody.
const HBA: &str = "\
local all all trust
local replication all trust
host all clear 127.0.0.1/32 password
host all all 127.0.0.1/32 md5
";

/// A running server.
pub(crate) struct Cluster {
    place: PathBuf,
    pub(crate) port: u16,
    keeper: Child,
    /// While it is open the server runs.
    hold: Option<ChildStdin>,
}

impl Cluster {
    /// The server that the tests of this process share, each with databases of its own.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(None))
    }

    /// A server; with this certificate and its key, in PEM, it has TLS.
    pub(crate) fn start(pair: Option<(&str, &str)>) -> Self {
        // Nothing here is to outlive a power cut.
        Self::with(pair, "fsync = off\nshared_buffers = 16MB\n")
    }

    /// A server as an operator has it, to be measured.
    #[allow(dead_code, reason = "benches measure it")]
    pub(crate) fn durable() -> Self {
        Self::with(None, "")
    }

    fn with(pair: Option<(&str, &str)>, more: &str) -> Self {
        Self::made(new_place(), &[], pair, more)
    }

    /// A server whose data are made in this place, with more arguments and more configuration.
    fn made(place: PathBuf, making: &[&str], pair: Option<(&str, &str)>, more: &str) -> Self {
        let data = place.join("data");
        let made = as_nobody(&program("initdb"))
            .args(["--no-sync", "--auth=trust", "--locale=C", "--encoding=UTF8"])
            .args(["--username", ADMIN, "--pgdata"])
            .arg(&data)
            .args(making)
            .current_dir(&place)
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        fs::write(data.join("pg_hba.conf"), HBA).unwrap();
        let port = free_port();
        let mut conf = fs::read_to_string(data.join("postgresql.conf")).unwrap();
        conf.push_str(&format!(
            "\nlisten_addresses = '127.0.0.1'\nport = {port}\nmax_connections = 200\n\
             unix_socket_directories = '{}'\n{more}",
            place.display()
        ));
        if let Some((certificate, key)) = pair {
            write_for_server(&data.join("server.crt"), certificate);
            write_for_server(&data.join("server.key"), key);
            conf.push_str("ssl = on\n");
        }
        fs::write(data.join("postgresql.conf"), conf).unwrap();
        Self::serve(place, port)
    }

    /// The server whose data are in this place.
    fn serve(place: PathBuf, port: u16) -> Self {
        let mut keeper = as_nobody(Path::new("/bin/sh"))
            .args(["-c", KEEPER, "sh"])
            .arg(programs())
            .arg(&place)
            .current_dir(&place)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let hold = keeper.stdin.take();
        let cluster = Self {
            place,
            port,
            keeper,
            hold,
        };
        cluster.wait_until_ready();
        cluster
    }

    /// Waits until the server takes connections.
    pub(crate) fn wait_until_ready(&self) {
        let begun = Instant::now();
        while !self.try_sql(ADMIN, "SELECT 1").0 {
            let log = fs::read_to_string(self.place.join("log")).unwrap_or_default();
            assert!(begun.elapsed() < PATIENCE, "it does not start: {log}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// The folder of its socket.
    pub(crate) fn folder(&self) -> &Path {
        &self.place
    }

    /// Has the server and all of its processes stop, or go on.
    #[allow(
        dead_code,
        reason = "the tests of the library have a line that freezes"
    )]
    pub(crate) fn freeze(&self, is_frozen: bool) {
        self.signal(if is_frozen { "-STOP" } else { "-CONT" });
    }

    /// Sends a signal to the server and all of its processes.
    fn signal(&self, signal: &str) {
        let server = self.data("postmaster.pid");
        let children = Command::new("pgrep")
            .args(["-P", &server])
            .output()
            .unwrap();
        let children = String::from_utf8(children.stdout).unwrap();
        // Some of them may have ended by themselves since.
        let mut kill = Command::new("kill");
        kill.arg(signal).arg(&server);
        let told = kill.args(children.split_whitespace()).stderr(Stdio::null());
        told.status().unwrap();
    }

    /// Ends the server at once, as a power cut would, and starts it again after that long.
    #[allow(dead_code, reason = "tests that take minutes do this")]
    pub(crate) fn cut(&self, off: Duration) {
        let pid = self.data("postmaster.pid");
        let told = Command::new("kill").arg("-QUIT").arg(&pid).status();
        assert!(told.unwrap().success());
        while Path::new("/proc").join(&pid).exists() {
            // The keeper waits for it only once it is to start another.
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            if stat.contains(") Z ") {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        thread::sleep(off);
        self.hold.as_ref().unwrap().write_all(b"again\n").unwrap();
        self.wait_until_ready();
    }

    /// The first line of a file of the server's.
    fn data(&self, name: &str) -> String {
        let file = fs::read_to_string(self.place.join("data").join(name)).unwrap();
        file.lines().next().unwrap().to_owned()
    }

    /// Makes a database and somebody of the same name who owns it, with this password; gives the
    /// name.
    pub(crate) fn database(&self, password: &str) -> String {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("test{}", MADE.fetch_add(1, Ordering::Relaxed));
        self.sql(
            ADMIN,
            &format!("CREATE ROLE {name} LOGIN PASSWORD '{password}'"),
        );
        self.sql(ADMIN, &format!("CREATE DATABASE {name} OWNER {name}"));
        name
    }

    /// The URL of a database by the socket, for its owner.
    pub(crate) fn url(&self, database: &str) -> String {
        let folder = self.folder().display();
        format!(
            "postgres://{database}@:{}/{database}?host={folder}",
            self.port
        )
    }

    /// Has something done in a database by an administrator; gives what came back, unadorned.
    #[track_caller]
    pub(crate) fn sql(&self, database: &str, statement: &str) -> String {
        let (is_done, said) = self.try_sql(database, statement);
        assert!(is_done, "{statement}: {said}");
        said
    }

    fn try_sql(&self, database: &str, statement: &str) -> (bool, String) {
        let mut psql = self.psql(database);
        let done = psql.args(["-c", statement]).output().unwrap();
        let text = String::from_utf8([done.stdout, done.stderr].concat()).unwrap();
        (done.status.success(), text.trim_end().to_owned())
    }

    /// What an administrator asks a database with; what comes back is unadorned.
    pub(crate) fn psql(&self, database: &str) -> Command {
        let mut psql = Command::new(program("psql"));
        psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1"])
            .args(["-U", ADMIN, "-d", database, "-h"])
            .arg(&self.place)
            .args(["-p", &self.port.to_string()]);
        psql
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.hold.take());
        let _ = self.keeper.wait();
    }
}

/// A folder for a server, whose own it is.
fn new_place() -> PathBuf {
    let place = TempDir::new().unwrap().keep();
    if is_root() {
        chown(&place, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    place
}

/// Writes a file that only the server can read.
fn write_for_server(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    if is_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The program, run by somebody who is not root.
fn as_nobody(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args([
            "--reuid",
            &NOBODY.to_string(),
            "--regid",
            &NOBODY.to_string(),
        ])
        .arg("--clear-groups")
        .arg(program);
    command
}

/// The folder of PostgreSQL's own programs, the latest of those there are.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let folders = versions.flatten().map(|version| version.path().join("bin"));
    let mut folders: Vec<PathBuf> = folders.filter(|bin| bin.join("initdb").exists()).collect();
    folders.sort();
    let found = folders.pop();
    found.expect("PostgreSQL is not installed; tests/setup installs it")
}

fn program(name: &str) -> PathBuf {
    programs().join(name)
}

/// A port that nobody listens at. Each is given once, and from below those that the system gives.
fn free_port() -> u16 {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    // Tests of another checkout may run beside these.
    let first = 5_500 + u16::try_from(std::process::id() % 100).unwrap() * 40;
    loop {
        let port = first + GIVEN.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
