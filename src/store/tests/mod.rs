pub(super) mod challenges;
mod changes;
mod edits;
mod interface;
pub(super) mod memory;
mod opening;
pub(super) mod pending;
mod sessions;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::accounts::session::{Limits, Session};
use crate::accounts::token::Digest;
use crate::accounts::{Account, Taken};
use crate::clock::{Clock, Timestamp};
use crate::store::{OpenError, Store};

pub(in crate::store) const LIMITS: Limits = Limits {
    idle: Duration::from_secs(3600),
    max: Duration::from_secs(86_400),
    remember: Duration::ZERO,
};

const EMPTY: &str = "{\"version\": 1, \"users\": {}}";

/// A directory with a users file that may be there or not.
struct Place {
    directory: TempDir,
}
impl Place {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn with(users: &str) -> Self {
        let place = Self::new();
        fs::write(place.users(), users).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn users(&self) -> PathBuf {
        self.path("users.json")
    }

    fn try_open(&self) -> Result<Store, OpenError> {
        Store::open(&self.users(), LIMITS, Arc::new(Clock::start()))
    }

    fn open(&self) -> Store {
        self.try_open().unwrap()
    }

    fn text(&self) -> String {
        fs::read_to_string(self.users()).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn user(name: &str) -> String {
    format!(
        r#"{{"email": "{name}@example.com", "id": "{:0<26}", "password": "$pbkdf2-sha256$i=1,l=32$c2FsdA${}"}}"#,
        name.to_lowercase(),
        "A".repeat(43)
    )
}

fn users(names: &[&str]) -> String {
    let users: Vec<String> = names
        .iter()
        .map(|name| format!("\"{name}\": {}", user(name)))
        .collect();
    format!("{{\"version\": 1, \"users\": {{{}}}}}", users.join(","))
}

pub(super) fn account(name: &str) -> Account {
    let mut account: Account = serde_json::from_str(&user(name)).unwrap();
    account.username = name.to_owned();
    account
}

fn add(store: &Store, name: &str) -> Result<(), Taken> {
    store.add(account(name)).unwrap()
}

/// Begins a session in the store, whether or not there is such an account.
fn begin(store: &Store, id: &str, name: &str, at: Timestamp) {
    let session = Arc::new(session(id, name, at));
    let begun = store.update(move |draft| draft.begin(Arc::clone(&session)));
    begun.unwrap();
}

fn find(store: &Store, id: &str) -> Option<Arc<Session>> {
    store.sessions().unwrap().find(Digest::of(id)).cloned()
}

fn has(store: &Store, name: &str) -> bool {
    store.account(name).unwrap().is_some()
}

fn names(store: &Store) -> Vec<String> {
    let accounts = store.accounts().unwrap();
    accounts
        .iter()
        .map(|account| account.username.clone())
        .collect()
}

pub(super) fn session(id: &str, name: &str, now: Timestamp) -> Session {
    let account = (name, account(name).basis());
    Session::new(Digest::of(id), account, "127.0.0.1".to_owned(), "curl", now)
}

pub(super) fn now() -> Timestamp {
    Clock::start().now().timestamp()
}

/// Waits for something that another thread will do soon.
pub(super) fn eventually(what: &str, happened: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !happened() {
        assert!(Instant::now() < end, "never happened: {what}");
        thread::yield_now();
    }
}
