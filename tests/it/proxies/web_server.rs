//! Applications of programs without a browser: a folder by WebDAV and repositories of git, both
//! from Apache, which knows no login.

use std::fs::{self, File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use tempfile::TempDir;

use crate::harness::{free_port, read, wait_for};

/// Apache with `/dav/` and `/git/repository.git`, until the test ends.
pub(crate) struct WebServer {
    pub(crate) address: SocketAddr,
    pub(crate) dir: TempDir,
    child: Child,
}

const MODULES: [&str; 7] = [
    "mpm_prefork",
    "authz_core",
    "alias",
    "env",
    "cgi",
    "dav",
    "dav_fs",
];

impl WebServer {
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // It may have to give up being root.
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        for name in ["dav", "state"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        make_repository(dir.path());
        open_to_all(dir.path());
        let port = free_port();
        fs::write(
            dir.path().join("httpd.conf"),
            configuration(dir.path(), port),
        )
        .unwrap();
        let mut child = Command::new("apache2")
            .args(["-D", "FOREGROUND", "-f"])
            .arg(dir.path().join("httpd.conf"))
            // Told to end, it tells its whole group.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(dir.path().join("said")).unwrap())
            .spawn()
            .expect("apache2 is missing; tests/setup installs it");
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        wait_for("Apache to listen", || {
            let ended = child.try_wait().unwrap();
            assert!(
                ended.is_none(),
                "{}{}",
                read(dir.path(), "said"),
                read(dir.path(), "error")
            );
            TcpStream::connect(address).ok()
        });
        Self {
            address,
            dir,
            child,
        }
    }

    /// Whose each request was, what it was, and what it brought in `Authorization`, a line each.
    pub(crate) fn log(&self) -> String {
        read(self.dir.path(), "access")
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        // Told to end and waited for, so that those it has started end too.
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!(
                "--- Apache ---\n{}{}---",
                self.log(),
                read(self.dir.path(), "error")
            );
        }
    }
}

fn configuration(dir: &Path, port: u16) -> String {
    let modules = MODULES
        .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"));
    let backend = output(Command::new("git").arg("--exec-path"));
    format!(
        "{}ServerRoot {dir}\nServerName localhost\nListen 127.0.0.1:{port}\nPidFile {dir}/pid\n\
         DefaultRuntimeDir {dir}\nUser nobody\nGroup nogroup\nErrorLog {dir}/error\n\
         LogFormat \"%{{Remote-User}}i %m %U %>s [%{{Authorization}}i]\" who\n\
         CustomLog {dir}/access who\nDavLockDB {dir}/state/locks\n\
         Alias /dav {dir}/dav\n<Directory {dir}/dav>\nDav On\nRequire all granted\n</Directory>\n\
         ScriptAlias /git/ {}/git-http-backend/\n<Location /git>\nRequire all granted\n</Location>\n\
         SetEnv GIT_PROJECT_ROOT {dir}/git\nSetEnv GIT_HTTP_EXPORT_ALL 1\n\
         SetEnv GIT_CONFIG_COUNT 2\n\
         SetEnv GIT_CONFIG_KEY_0 safe.directory\nSetEnv GIT_CONFIG_VALUE_0 *\n\
         SetEnv GIT_CONFIG_KEY_1 http.receivepack\nSetEnv GIT_CONFIG_VALUE_1 true\n",
        modules.concat(),
        backend.trim(),
        dir = dir.display(),
    )
}

/// A repository with one commit.
fn make_repository(dir: &Path) {
    let bare = dir.join("git/repository.git");
    fs::create_dir_all(&bare).unwrap();
    output(git(&bare).args(["init", "--quiet", "--bare", "--initial-branch=main", "."]));
    let work = dir.join("work");
    fs::create_dir(&work).unwrap();
    output(git(&work).args(["init", "--quiet", "--initial-branch=main", "."]));
    fs::write(work.join("file"), "first\n").unwrap();
    output(git(&work).args(["add", "file"]));
    output(git(&work).args(["commit", "--quiet", "--message", "first"]));
    output(git(&work).arg("push").arg("--quiet").arg(&bare).arg("main"));
}

/// `git` in this folder, whatever else is set up on the machine.
pub(crate) fn git(dir: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .current_dir(dir)
        .env("HOME", dir)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .args([
            "-c",
            "user.name=alice",
            "-c",
            "user.email=alice@example.test",
        ]);
    command
}

fn open_to_all(path: &Path) {
    let is_folder = path.is_dir();
    let mode = fs::metadata(path).unwrap().permissions().mode();
    fs::set_permissions(
        path,
        Permissions::from_mode(mode | if is_folder { 0o777 } else { 0o666 }),
    )
    .unwrap();
    if is_folder {
        for entry in fs::read_dir(path).unwrap() {
            open_to_all(&entry.unwrap().path());
        }
    }
}

/// What a program prints, which must end well.
#[track_caller]
pub(crate) fn output(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A proxy for programs, which leads every name to one address: no name has to be looked up.
pub(crate) fn leading_to(address: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap();
    thread::spawn(move || {
        for client in listener.incoming() {
            thread::spawn(move || tunnel(client?, address));
        }
    });
    own
}

fn tunnel(mut client: TcpStream, address: SocketAddr) -> io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    let mut server = TcpStream::connect(address)?;
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        to.shutdown(std::net::Shutdown::Write)
    });
    io::copy(&mut server, &mut client)?;
    client.shutdown(std::net::Shutdown::Write)
}

/// A path as text.
pub(crate) fn text(path: PathBuf) -> String {
    path.display().to_string()
}
