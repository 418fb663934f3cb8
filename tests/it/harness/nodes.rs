//! The same tests once more, on a database: with `TESTED_ON=database` in the environment every server
//! that tests start has its accounts there, and with `TESTED_ON=nodes` it is two of them behind
//! HAProxy, which sends each connection to another.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::cluster::Cluster;
use crate::harness::smtp_sink::Sink;
use crate::harness::{Setup, free_port};

/// What has no store, or has told where it is.
const ELSEWHERE: [&str; 4] = ["--compat", "--store", "--store-file", "--users"];

/// The file with the key.
pub(super) const KEY: &str = "store.key";

/// Where the URL of a folder's database is noted.
const NOTED: &str = ".database";

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

/// The database of a folder, if the tests are run on one: made when it is first asked for.
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
    for command in [&["store", "key", KEY], &["store", "migrate", &url]] {
        let made = Command::new(env!("CARGO_BIN_EXE_auth_user"))
            .args(command)
            .current_dir(setup.dir())
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
    }
    fs::write(&noted, &url).unwrap();
    Some(url)
}

/// The setup with a mail server, if it is on a database: mails wait where tests look for them.
pub(super) fn moved(setup: &Setup) -> Option<Setup> {
    database(setup)?;
    Some(match setup.tells(&["--smtp"]) {
        true => setup.clone(),
        false => {
            let sink = mails_to(&setup.dir().join("outbox"), setup.shared_dir());
            setup.clone().with(&["--smtp", &sink])
        }
    })
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

/// HAProxy before two ports, at a port of its own.
pub(super) fn balance(dir: &Path, ports: [u16; 2]) -> (u16, Running) {
    let port = free_port();
    let configuration = format!(
        "defaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n\
         listen nodes\n bind 127.0.0.1:{port}\n balance roundrobin\n\
         {}",
        ports
            .map(|port| format!(" server node{port} 127.0.0.1:{port}\n"))
            .concat()
    );
    (port, haproxy(dir, &configuration, port))
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
pub(super) fn another(setup: &Setup) -> (u16, Running) {
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

/// The accounts in the database of a folder, as users.json has them, but for what is sealed; `None`
/// if it has none.
pub(super) fn users(dir: &Path) -> Option<Value> {
    let rows = "SELECT username || chr(9) || body FROM account ORDER BY place";
    let rows = Cluster::shared().sql(&noted(dir)?, rows);
    let rows = rows.lines().map(|row| {
        let (name, body) = row.split_once('\t').unwrap();
        (name.to_owned(), serde_json::from_str(body).unwrap())
    });
    Some(json!({ "version": 1, "users": rows.collect::<Map<String, Value>>() }))
}

/// Changes an account as nobody should, in the database of a folder; false if it has none.
pub(super) fn edit(dir: &Path, name: &str, account: &Value) -> bool {
    let Some(database) = noted(dir) else {
        return false;
    };
    let email = account["email"].as_str().map(str::to_lowercase);
    let email = email.map_or("NULL".to_owned(), |email| format!("'{email}'"));
    let key = match account["totp"].is_object() {
        true => "totp",
        false => "NULL",
    };
    let edit = format!(
        "UPDATE account SET body = $edited${account}$edited$, email = {email}, totp = {key},
            revision = revision + 1 WHERE username = '{name}'"
    );
    Cluster::shared().sql(&database, &edit);
    true
}

/// The name of the database of a folder.
fn noted(dir: &Path) -> Option<String> {
    let url = fs::read_to_string(dir.join(NOTED)).ok()?;
    let name = url.split('/').nth(3)?.split('?').next()?;
    Some(name.to_owned())
}
