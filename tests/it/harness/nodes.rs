//! The same tests once more, on a database: with `TESTED_ON=database` in the environment every server
//! that tests start has its accounts there, and with `TESTED_ON=nodes` it is two of them behind
//! HAProxy, which sends each connection to another.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::cluster::Cluster;
use crate::harness::held::LET_WAIT;
use crate::harness::place::SINK;
use crate::harness::smtp_sink::Sink;
use crate::harness::{Server, Setup, free_port};

/// What has no store, or has told where it is.
const ELSEWHERE: [&str; 4] = ["--compat", "--store", "--store-file", "--users"];

/// The file with the key.
pub(super) const KEY: &str = "store.key";

/// Where the URL of a folder's database is noted.
const NOTED: &str = ".database";

/// Where mails wait, as without a mail server.
const OUTBOX: &str = "outbox";

/// Where it is noted that nodes were started.
const STARTED: &str = ".started";

/// What ends an answer to a statement.
const ANSWERED: &str = "-- answered";

/// Within this everything holds at every node that one has answered.
const EVERYWHERE: Duration = Duration::from_millis(1_100);

/// What a database holds instead.
const FILES: [&str; 3] = ["users.json", "sessions.json", "events.jsonl"];

/// Puts the rows that were edited in the place of those that count, all at once.
const REPLACE: &str = "
    CREATE TEMP TABLE before ON COMMIT DROP AS SELECT id, revision FROM public.account;
    DELETE FROM public.account;
    INSERT INTO public.account SELECT * FROM edited.account;
    UPDATE public.account SET revision = before.revision + 1 FROM before
        WHERE before.id = account.id;
    DELETE FROM public.credential;
    INSERT INTO public.credential SELECT * FROM edited.credential;
    DELETE FROM public.regular;
    INSERT INTO public.regular SELECT * FROM edited.regular;
    DELETE FROM public.link;
    INSERT INTO public.link SELECT * FROM edited.link;
    DELETE FROM public.former;
    INSERT INTO public.former SELECT * FROM edited.former;
    DELETE FROM public.session;
    INSERT INTO public.session SELECT * FROM edited.session;
    UPDATE public.meta SET users_top = edited.meta.users_top FROM edited.meta";

/// Ended when dropped.
pub(crate) struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether there are two nodes.
pub(super) fn are_two() -> bool {
    std::env::var("TESTED_ON").is_ok_and(|on| on == "nodes")
}

/// Waits until what has been answered holds at every node; false if none was started on a database.
pub(super) fn settle(dir: &Path) -> bool {
    let are_there = dir.join(STARTED).exists();
    if are_there {
        thread::sleep(EVERYWHERE);
    }
    are_there
}

/// The database of a folder, if the tests are run on one: made when it is first asked for, of the
/// files that lie there.
pub(super) fn database(setup: &Setup) -> Option<String> {
    let is_wanted = are_two() || std::env::var("TESTED_ON").is_ok_and(|on| on == "database");
    if !is_wanted || setup.tells(&ELSEWHERE) {
        return None;
    }
    let noted = setup.dir().join(NOTED);
    if let Ok(url) = fs::read_to_string(&noted) {
        return Some(url);
    }
    let cluster = Cluster::shared();
    let url = cluster.url(&cluster.database(""));
    store(setup.dir(), &["key", KEY]);
    store(setup.dir(), &["migrate", &url]);
    if FILES.iter().any(|file| setup.dir().join(file).exists()) {
        copy(setup.dir(), ".", &url);
        for file in FILES {
            let _ = fs::remove_file(setup.dir().join(file));
        }
    }
    fs::write(&noted, &url).unwrap();
    Some(url)
}

/// Runs a command about stores in a folder.
#[track_caller]
fn store(dir: &Path, arguments: &[&str]) {
    let done = Command::new(env!("CARGO_BIN_EXE_auth_user"))
        .arg("store")
        .args(arguments)
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(done.status.success(), "{arguments:?}: {done:?}");
}

#[track_caller]
fn copy(dir: &Path, from: &str, to: &str) {
    store(dir, &["copy", from, to, "--store-key", KEY]);
}

/// What the database of a folder holds, in files; `None` if there is none.
pub(super) fn copied(dir: &Path) -> Option<TempDir> {
    let url = fs::read_to_string(dir.join(NOTED)).ok()?;
    let files = tempfile::tempdir().unwrap();
    copy(dir, &url, files.path().to_str().unwrap());
    Some(files)
}

/// Changes what the database of a folder holds to what these files do, as nobody should, while nodes
/// are running; returns when they all know.
pub(super) fn replace(dir: &Path, files: &Path) {
    let cluster = Cluster::shared();
    let database = noted(dir).unwrap();
    let editor = format!("{database}_editor");
    // Somebody whose tables lie elsewhere in the same database.
    let place = format!(
        "DROP SCHEMA IF EXISTS edited CASCADE; DROP ROLE IF EXISTS {editor};
         CREATE ROLE {editor} LOGIN; ALTER ROLE {editor} SET search_path = edited;
         CREATE SCHEMA edited AUTHORIZATION {editor}"
    );
    cluster.sql(&database, &place);
    let url = fs::read_to_string(dir.join(NOTED)).unwrap();
    let edited = url.replacen(&format!("//{database}@"), &format!("//{editor}@"), 1);
    store(dir, &["migrate", &edited]);
    copy(dir, files.to_str().unwrap(), &edited);
    cluster.sql(&database, REPLACE);
    settle(dir);
}

/// Starts what this setup is when it is on a database: one server, or two nodes and what stands
/// before them. Gives the log back if it has files.
pub(super) fn started(setup: &Setup, log: Stdio) -> Result<Server, Stdio> {
    if database(setup).is_none() {
        return Err(log);
    }
    fs::write(setup.dir().join(STARTED), "").unwrap();
    let mut setup = setup.clone();
    if !setup.tells(&["--smtp"]) {
        // Mails wait where tests look for them.
        let sink = mails_to(&setup.dir().join(OUTBOX), setup.shared_dir());
        fs::write(setup.dir().join(SINK), &sink).unwrap();
        setup = setup.with(&["--smtp", &sink]);
    }
    if !are_two() || setup.is_alone || setup.tells(&["--listen"]) {
        let command = setup.command();
        return Ok(setup.announced(command, log));
    }
    let port = free_port();
    if !setup.tells(&["--public-url"]) {
        let scheme = if setup.has_tls() { "https" } else { "http" };
        setup = setup.with(&["--public-url", &format!("{scheme}://localhost:{port}")]);
    }
    let command = setup.command();
    let mut server = setup.announced(command, log);
    let (other, node) = another(&setup);
    server.beside = vec![balance(setup.dir(), port, [server.port, other]), node];
    server.port = port;
    Ok(server)
}

/// A mail server that puts mails where they would wait without one; gives its URL.
fn mails_to(outbox: &Path, kept: Arc<TempDir>) -> String {
    fs::create_dir_all(outbox).unwrap();
    let (sink, outbox) = (Sink::start(), outbox.to_owned());
    let url = sink.url();
    thread::spawn(move || {
        // The folder stays for as long as mails may come.
        let _kept = kept;
        for (n, mail) in sink.mails.iter().enumerate() {
            let name = format!("{n:010}-{}", std::process::id());
            let draft = outbox.join(format!("{name}.draft"));
            if fs::write(&draft, &mail.text).is_err() {
                break;
            }
            let _ = fs::rename(&draft, outbox.join(format!("{name}.eml")));
        }
    });
    url
}

/// Keeps every node from saving an account of this folder; `None` if they lie in files.
pub(super) fn hold(dir: &Path) -> Option<Rows> {
    let mut psql = Cluster::shared().psql(&noted(dir)?);
    let mut child = psql
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut rows = Rows {
        statements: child.stdin.take(),
        answers: BufReader::new(child.stdout.take().unwrap()),
        child,
    };
    rows.ask("BEGIN; SELECT FROM account FOR UPDATE");
    Some(rows)
}

/// Accounts in a database that are locked until this is dropped.
pub(crate) struct Rows {
    /// A transaction.
    child: Child,
    /// `None` only while it is being dropped.
    statements: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Rows {
    fn ask(&mut self, statement: &str) -> Vec<String> {
        let statements = self.statements.as_mut().unwrap();
        writeln!(statements, "{statement};\n\\echo {ANSWERED}").unwrap();
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            let length = self.answers.read_line(&mut line).unwrap();
            assert!(length > 0, "{statement}: {lines:?}");
            match line.trim_end() {
                ANSWERED => return lines,
                "" => {}
                line => lines.push(line.to_owned()),
            }
        }
    }

    /// Waits until so many wait for an account, or the first of them has for some time: not for as
    /// long as one waits there at most.
    pub(super) fn let_wait(&mut self, number: usize) {
        let waiting = "SELECT pg_stat_clear_snapshot(); SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let mut first = None;
        crate::harness::wait_for("somebody who waits for an account", || {
            let waiting: usize = self.ask(waiting).pop()?.parse().unwrap();
            if waiting > 0 {
                first.get_or_insert_with(Instant::now);
            }
            let is_long = first.is_some_and(|first| first.elapsed() > LET_WAIT);
            (waiting >= number || is_long).then_some(())
        });
    }

    pub(super) fn account(&mut self, name: &str) -> Value {
        let body = self.ask(&format!("SELECT body FROM account WHERE name = '{name}'"));
        body.first()
            .map_or(Value::Null, |body| serde_json::from_str(body).unwrap())
    }

    pub(super) fn edit(&mut self, name: &str, edit: impl FnOnce(&mut Value)) {
        let mut account = self.account(name);
        edit(&mut account);
        let has_key = account.get("totp").is_some();
        let key = if has_key { "totp" } else { "NULL" };
        self.ask(&format!(
            "UPDATE account SET body = $body${account}$body$, totp = {key}, revision = revision + 1
            WHERE name = '{name}'"
        ));
        if !has_key {
            // Nobody looks for edits here; this is what the command does that resets it.
            self.ask(&format!("DELETE FROM session WHERE name = '{name}'"));
        }
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.ask(&format!("DELETE FROM account WHERE name = '{name}'"));
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        if let Some(mut statements) = self.statements.take() {
            let _ = writeln!(statements, "COMMIT;");
        }
        let _ = self.child.wait();
    }
}

/// HAProxy at a port, before two others.
fn balance(dir: &Path, port: u16, nodes: [u16; 2]) -> Running {
    let configuration = format!(
        "defaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n\
         listen nodes\n bind 127.0.0.1:{port}\n balance roundrobin\n\
         {}",
        nodes
            .map(|port| format!(" server node{port} 127.0.0.1:{port}\n"))
            .concat()
    );
    haproxy(dir, &configuration, port)
}

/// HAProxy with this configuration, once it listens at this port.
pub(crate) fn haproxy(dir: &Path, configuration: &str, port: u16) -> Running {
    let file = dir.join("nodes.cfg");
    fs::write(&file, configuration).unwrap();
    let child = Command::new("haproxy")
        .args(["-db", "-f"])
        .arg(&file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    crate::harness::wait_for("haproxy", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).ok()
    });
    Running(child)
}

/// Another node of this setup, and its port.
fn another(setup: &Setup) -> (u16, Running) {
    let log = fs::File::options()
        .create(true)
        .append(true)
        .open(setup.dir().join("log"))
        .unwrap();
    let mut command = setup.command();
    command.stderr(log);
    let (child, _, _, port) = setup.begun(command);
    (port, Running(child))
}

/// The name of the database of a folder.
fn noted(dir: &Path) -> Option<String> {
    let url = fs::read_to_string(dir.join(NOTED)).ok()?;
    let name = url.split('/').nth(3)?.split('?').next()?;
    Some(name.to_owned())
}
