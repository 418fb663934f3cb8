//! The same program on PostgreSQL: what a database between costs, and what several nodes on one
//! promise. The database is on the same machine and makes everything durable, as an operator's does.

pub(crate) mod away;
pub(crate) mod checks;
pub(crate) mod copies;
pub(crate) mod ends;
pub(crate) mod million;
pub(crate) mod once;
mod people;

use std::fs;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::cluster::Cluster;
use crate::servers::{Build, Pair, Server};

/// The column of a node on files.
const FILES: &str = "on files";

/// The column of a node on a database.
const DATABASE: &str = "on a database";

/// Many visitors come by way of a proxy that says where from.
const FLAGS: [&str; 10] = [
    "--public-url",
    "https://auth.example.com",
    "--cookie-domain",
    "example.com",
    "--registration",
    "open",
    "--registrations-per-hour",
    "0",
    "--trusted-proxy",
    "127.0.0.0/8",
];

/// A database with tables, and the key for what is sealed there.
pub(crate) struct Database {
    pub(crate) name: String,
    url: String,
    dir: TempDir,
}

impl Database {
    pub(crate) fn new(cluster: &Cluster) -> Self {
        let name = cluster.database("");
        let database = Self {
            url: cluster.url(&name),
            name,
            dir: tempfile::tempdir().unwrap(),
        };
        database.run(&["store", "key", "store.key"]);
        database.run(&["store", "migrate", &database.url]);
        database
    }

    /// One with these accounts and sessions in it, which were files.
    pub(crate) fn with(cluster: &Cluster, users: &str, sessions: &str) -> Self {
        let database = Self::new(cluster);
        fs::write(database.dir.path().join("users.json"), users).unwrap();
        fs::write(database.dir.path().join("sessions.json"), sessions).unwrap();
        database.copy("users.json", &database.url);
        database
    }

    /// `store copy`; gives what it says.
    fn copy(&self, from: &str, to: &str) -> String {
        let done = self.run(&["store", "copy", "--store-key", "store.key", from, to]);
        String::from_utf8(done.stdout).unwrap()
    }

    fn run(&self, words: &[&str]) -> Output {
        let mut command: Command = Build::this().command();
        let done = command.args(words).current_dir(self.dir.path()).output();
        let done = done.unwrap();
        assert!(done.status.success(), "{words:?}: {done:?}");
        done
    }

    /// A node.
    pub(crate) fn start(&self, pair: &Pair) -> Server {
        let key = self.dir.path().join("store.key");
        let store = ["--store", &self.url, "--store-key", key.to_str().unwrap()];
        let flags = [&FLAGS[..], &store].concat();
        let mut server = Build::this().start_in(Build::prepare(pair, None), pair, &flags);
        server.name = DATABASE;
        server
    }
}

/// A node on files, with these accounts and sessions.
fn on_files(pair: &Pair, users: &str, sessions: &str) -> Server {
    let dir = Build::prepare(pair, Some(users));
    fs::write(dir.path().join("sessions.json"), sessions).unwrap();
    let mut server = Build::this().start_in(dir, pair, &FLAGS);
    server.name = FILES;
    server
}
