//! How many changes a second the store makes durable with 32 writers, and how long it takes to
//! open, on the file system of the current directory; and in a database on this machine.
//!
//! `cargo bench --features databases --bench store`

#![allow(clippy::unwrap_used)]

#[cfg(feature = "databases")]
#[path = "../tests/cluster/mod.rs"]
#[allow(dead_code, reason = "tests need more of it")]
mod cluster;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use auth_user::accounts::kept::Created;
use auth_user::accounts::session::Limits;
use auth_user::clock::{Clock, Timestamp};
use auth_user::store::Store;

const WRITERS: usize = 32;

/// The median of this many runs is printed.
const RUNS: usize = 5;

const RUN: Duration = Duration::from_secs(2);

const LIMITS: Limits = Limits {
    idle: Duration::from_secs(3600),
    max: Duration::from_secs(86_400),
    remember: Duration::ZERO,
};

fn main() {
    #[cfg(feature = "databases")]
    database::run();
    for accounts in [1_000, 10_000, 100_000] {
        let directory = tempfile::tempdir_in(".").unwrap();
        let path = directory.path().join("users.json");
        fs::write(&path, users(accounts)).unwrap();

        let mut openings: Vec<Duration> = (0..RUNS).map(|_| opening(&path)).collect();
        openings.sort();
        println!(
            "{accounts} accounts: opened in {:.1} ms",
            openings[RUNS / 2].as_secs_f64() * 1000.0
        );

        let store = open(&path);
        let mut rates: Vec<u64> = (0..RUNS).map(|_| changes(&store, accounts)).collect();
        rates.sort_unstable();
        println!(
            "{accounts} accounts: {} durable changes a second",
            rates[RUNS / 2]
        );
    }
}

fn open(path: &Path) -> Store {
    Store::open(path, LIMITS, Arc::new(Clock::start())).unwrap()
}

fn opening(path: &Path) -> Duration {
    let start = Instant::now();
    let store = open(path);
    let took = start.elapsed();
    drop(store);
    took
}

/// What a login does to an account, over and over, each writer its own accounts.
fn changes(store: &Store, accounts: usize) -> u64 {
    let made = AtomicU64::new(0);
    let start = Instant::now();
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let made = &made;
            scope.spawn(move || {
                for n in (writer..).step_by(WRITERS) {
                    if start.elapsed() >= RUN {
                        return;
                    }
                    let name = format!("user{}", n % accounts);
                    let changed = store.change(&name, move |person| {
                        person.account_mut().created = Created::At(Timestamp(n as u64));
                    });
                    changed.unwrap().unwrap();
                    made.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    (made.into_inner() as f64 / start.elapsed().as_secs_f64()) as u64
}

/// Accounts as large as a real one that is enrolled.
fn users(accounts: usize) -> String {
    let mut text = r#"{"version": 1, "users": {"#.to_owned();
    for n in 0..accounts {
        let comma = if n == 0 { "" } else { "," };
        write!(text, "{comma}\n\"user{n}\": {}", account(&n.to_string())).unwrap();
    }
    text.push_str("}}");
    text
}

fn account(n: &str) -> String {
    let codes = [r#""AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA""#; 2].join(", ");
    format!(
        r#"{{
            "email": "user{n}@example.com",
            "password": "$pbkdf2-sha256$i=600000,l=32$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "created": "2026-11-22T12:00:00Z",
            "groups": ["users"],
            "totp": {{"secret": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "last_step": 58812345}},
            "recovery_codes": [{codes}],
            "disabled": false
        }}"#
    )
}

/// The same changes in a database.
#[cfg(feature = "databases")]
mod database {
    use auth_user::clock::Clock;
    use auth_user::store::Store;
    use auth_user::store::postgres::{Opened, Url, make_key, migrate};

    use crate::cluster::Cluster;
    use crate::{LIMITS, RUNS, account, changes};

    pub(super) fn run() {
        let (cluster, directory) = (Cluster::durable(), tempfile::tempdir().unwrap());
        let key = directory.path().join("store.key");
        make_key(&key).ok().unwrap();
        for accounts in [1_000, 1_000_000] {
            let name = cluster.database("");
            let url = Url::parse(&cluster.url(&name)).unwrap();
            migrate(&url).ok().unwrap();
            fill(&cluster, &name, accounts);

            let opened = Opened::open(&url, &key, &Clock::start()).ok().unwrap();
            let store = Store::in_database(opened, LIMITS).unwrap();
            let mut rates: Vec<u64> = (0..RUNS).map(|_| changes(&store, accounts)).collect();
            rates.sort_unstable();
            println!(
                "{accounts} accounts in a database: {} durable changes a second ({} to {})",
                rates[RUNS / 2],
                rates[0],
                rates[RUNS - 1]
            );
        }
    }

    /// As the program would have written them, but without a second factor, whose key it seals.
    fn fill(cluster: &Cluster, database: &str, accounts: usize) {
        let totp =
            r#""totp": {"secret": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "last_step": 58812345},"#;
        let body = account("%s").replace(totp, "");
        let statement = format!(
            "INSERT INTO account (id, name, email, username, body)
            SELECT lpad(n::text, 26, 'a'), 'user' || n, 'user' || n || '@example.com', 'user' || n,
                format($body${body}$body$, n)
            FROM generate_series(0, {accounts} - 1) n;
            ANALYZE; CHECKPOINT"
        );
        cluster.sql(database, &statement);
    }
}
