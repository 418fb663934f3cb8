//! The running program: its files, its log, its signals, and connections to it.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream, ToSocketAddrs as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, ExitStatus};
use std::sync::{Arc, OnceLock};

use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{PATIENCE, Setup, Wire, place, provider, read, wait_for};

/// A running server, in a directory and with a certificate of its own. Killed when dropped.
pub(crate) struct Server {
    pub(super) child: Child,
    /// Kept open: the program may write to it in compatibility mode.
    pub(super) stdout: BufReader<ChildStdout>,
    /// The first line on standard output.
    pub(crate) announced: String,
    pub(crate) port: u16,
    pub(super) tls: bool,
    pub(super) certificate: CertificateDer<'static>,
    /// Made at the first connection.
    pub(super) trust: OnceLock<Arc<ClientConfig>>,
    pub(crate) dir: Arc<TempDir>,
    /// Another node, and what stands before both.
    #[cfg(feature = "databases")]
    pub(super) beside: Vec<crate::harness::nodes::Running>,
}

impl Server {
    pub(crate) fn start() -> Self {
        Setup::new().start()
    }

    /// As [`Setup::alone`].
    pub(crate) fn start_alone() -> Self {
        Setup::new().alone().start()
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

    /// users.json as it is kept.
    pub(crate) fn users(&self) -> Value {
        serde_json::from_str(&self.kept("users.json")).unwrap()
    }

    /// What is kept in this file, wherever that is.
    pub(crate) fn kept(&self, name: &str) -> String {
        place::kept(self.dir.path(), name)
    }

    /// Takes the mail with this subject out of the outbox, as an operator without a mail server
    /// would. There may be only one: mails of the same second lie there in no order.
    pub(crate) fn next_mail(&self, subject: &str) -> String {
        self.next_mails(subject, 1).remove(0)
    }

    /// Takes all mails with this subject out of the outbox once there are this many.
    pub(crate) fn next_mails(&self, subject: &str, count: usize) -> Vec<String> {
        let subject = format!("Subject: {subject}\r\n");
        let waiting = wait_for(&subject, || {
            let mails: Vec<_> = fs::read_dir(self.path("outbox"))
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.extension().is_some_and(|ending| ending == "eml"))
                .filter_map(|path| Some((fs::read_to_string(&path).ok()?, path)))
                .filter(|(mail, _)| mail.contains(&subject))
                .collect();
            (mails.len() >= count).then_some(mails)
        });
        assert_eq!(waiting.len(), count, "{subject}");
        let take = |(mail, path): (String, PathBuf)| {
            fs::remove_file(path).unwrap();
            mail
        };
        waiting.into_iter().map(take).collect()
    }

    /// Changes one account in users.json as an operator with an editor would. Nobody else may be
    /// changing anything meanwhile.
    pub(crate) fn edit_account(&self, name: &str, edit: impl FnOnce(&mut Value)) {
        self.edit("users.json", |users| edit(&mut users["users"][name]));
    }

    /// As [`Server::edit_account`]; returns once the server has taken that up.
    pub(crate) fn edit_account_and_wait(&self, name: &str, edit: impl FnOnce(&mut Value)) {
        let taken_up = || self.log().matches("took up a changed users file").count();
        let before = taken_up();
        self.edit_account(name, edit);
        if !place::is_database() {
            wait_for("the edit to be taken up", || {
                (taken_up() > before).then_some(())
            });
        }
    }

    /// As [`Server::edit_account`], all of `users.json` or `sessions.json`.
    pub(crate) fn edit(&self, name: &str, edit: impl FnOnce(&mut Value)) {
        place::edit(self.dir.path(), name, edit);
    }

    /// Kills the program as a power cut would.
    pub(crate) fn kill(&mut self) {
        #[cfg(feature = "databases")]
        self.beside.clear();
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Whether the program has ended, and nobody has asked how.
    pub(crate) fn is_zombie(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        stat.contains(") Z ")
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

    /// The certificate the server was started with.
    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        self.certificate.clone()
    }

    /// How many threads and open files it has once it serves and nobody is there.
    pub(crate) fn held_at_rest(&self) -> (usize, usize) {
        // Its last threads start after it has said where it listens, and before it answers.
        let mut wire = self.connect();
        wire.send(b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        assert!(wire.read_to_end().ends_with("\r\n\r\nok"));
        wait_for("the connection to end", || {
            let tasks = fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap();
            let mut names = tasks.map(|task| read(&task.unwrap().path(), "comm"));
            names
                .all(|name| name.trim_end() != "connection")
                .then_some(())
        });
        self.held()
    }

    fn held(&self) -> (usize, usize) {
        let count = |what| {
            let dir = format!("/proc/{}/{what}", self.pid());
            fs::read_dir(dir).unwrap().count()
        };
        (count("task"), count("fd"))
    }

    /// Waits until it has no more threads and open files than it had.
    pub(crate) fn wait_until_held(&self, before: (usize, usize)) {
        wait_for("threads and files to be given back", || {
            let now = self.held();
            (now.0 <= before.0 && now.1 <= before.1).then_some(())
        });
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
        let config = self.trust.get_or_init(|| trust_only(&self.certificate));
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::clone(config), name).unwrap();
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
        self.try_socket_from(source).unwrap()
    }

    pub(crate) fn try_socket_from(&self, source: Ipv4Addr) -> io::Result<TcpStream> {
        use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        bind(&socket, &SocketAddrV4::new(source, 0))?;
        connect(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, self.port))?;
        let socket = TcpStream::from(socket);
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(socket)
    }

    /// Waits until the log has a line with `text`.
    pub(crate) fn wait_for_log(&self, text: &str) {
        wait_for(&format!("the log to say {text:?}"), || {
            self.log().contains(text).then_some(())
        });
    }
}

fn trust_only(certificate: &CertificateDer<'static>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    // Every connection is a stranger's first.
    config.resumption = Resumption::disabled();
    Arc::new(config)
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
