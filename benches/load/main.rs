//! The program under load, side by side with others where there are others: an earlier build of it
//! (`BENCH_BEFORE` names its path), nginx, Glewlwyd and a small hyper server with the same page, a
//! Python server (`BENCH_SCRIPT`), other makers' PBKDF2.
//!
//! `cargo bench --bench load`, or some rows, or some in a fifth of the time:
//! `cargo bench --bench load -- pages checks --short`
//!
//! Everything runs on loopback and ends by itself within a quarter of an hour. What is compared
//! alternates round by round, since the machine is never quite the same for long. The load comes
//! from this process, on the same cores as the server. Nothing here fails for being slow.

#![allow(clippy::unwrap_used)]

mod accounts;
mod checks;
mod client;
#[cfg(feature = "databases")]
#[path = "../../tests/cluster/mod.rs"]
#[allow(dead_code, reason = "tests need more of it")]
mod cluster;
mod columns;
mod connections;
mod crowd;
#[cfg(feature = "databases")]
mod database;
mod glewlwyd;
mod hyper_server;
mod latency;
mod logins;
mod memory;
mod nginx;
mod pages;
mod password;
mod people;
mod processes;
mod report;
mod script;
mod servers;
mod start;

use std::env;
use std::fs;
use std::thread;

use crate::servers::Build;

/// Name and measurement of every row, in the order they run.
const ROWS: &[(&str, fn())] = &[
    ("pages", pages::run),
    ("checks", checks::run),
    ("connections", connections::run),
    ("password", password::run),
    ("logins", logins::run),
    ("latency", latency::run),
    ("memory", memory::run),
    ("people", people::run),
    ("start", start::run),
    #[cfg(feature = "databases")]
    ("cached", database::checks::cached),
    #[cfg(feature = "databases")]
    ("asking", database::checks::asking),
    #[cfg(feature = "databases")]
    ("ends", database::ends::run),
    #[cfg(feature = "databases")]
    ("once", database::once::run),
    #[cfg(feature = "databases")]
    ("away", database::away::run),
    #[cfg(feature = "databases")]
    ("million", database::million::run),
    #[cfg(feature = "databases")]
    ("copies", database::copies::run),
];

fn main() {
    if let Some(dir) = hyper_server::asked_for() {
        hyper_server::serve(&dir);
        return;
    }
    // Cargo adds `--bench`.
    let wanted: Vec<String> = env::args()
        .skip(1)
        .filter(|name| !name.starts_with('-'))
        .collect();
    for name in &wanted {
        let names: Vec<&str> = ROWS.iter().map(|(name, _)| *name).collect();
        assert!(
            names.contains(&name.as_str()),
            "{name:?} is none of {names:?}"
        );
    }
    describe_machine();
    for (name, run) in ROWS {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == *name) {
            run();
        }
    }
}

fn describe_machine() {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?");
    let nginx = nginx::version().unwrap_or_else(|| "no nginx: its columns are left out".to_owned());
    println!("{cores} cores, load {load} before the start; {nginx}");
    if glewlwyd::version().is_none() {
        println!("no Glewlwyd, or no sqlite3 for its database: its columns are left out");
    }
    if Build::before().is_none() {
        println!("BENCH_BEFORE names no earlier build: its columns are left out");
    }
}
