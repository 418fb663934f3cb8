//! The program under load, side by side with others where there are others: nginx serving the same
//! page, a Python server, other makers' PBKDF2.
//!
//! `cargo bench --bench load`, or one row: `cargo bench --bench load -- pages`
//!
//! Everything runs on loopback and ends by itself within a few minutes. What is compared alternates
//! round by round, since the machine is never quite the same for long. The load comes from this
//! process, on the same cores as the server. Nothing here fails for being slow.

#![allow(clippy::unwrap_used)]

mod accounts;
mod checks;
mod client;
mod connections;
mod latency;
mod memory;
mod pages;
mod password;
mod report;
mod servers;
mod start;

use std::env;
use std::fs;
use std::thread;

use crate::servers::Nginx;

/// Name and measurement of every row, in the order they run.
const ROWS: [(&str, fn()); 7] = [
    ("pages", pages::run),
    ("checks", checks::run),
    ("connections", connections::run),
    ("password", password::run),
    ("latency", latency::run),
    ("memory", memory::run),
    ("start", start::run),
];

fn main() {
    // Cargo adds `--bench`.
    let wanted: Vec<String> = env::args()
        .skip(1)
        .filter(|name| !name.starts_with('-'))
        .collect();
    for name in &wanted {
        let names = ROWS.map(|(name, _)| name);
        assert!(
            names.contains(&name.as_str()),
            "{name:?} is none of {names:?}"
        );
    }
    describe_machine();
    for (name, run) in ROWS {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            run();
        }
    }
}

fn describe_machine() {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?");
    let nginx = Nginx::version().unwrap_or_else(|| "no nginx: its columns are left out".to_owned());
    println!("{cores} cores, load {load} before the start; {nginx}");
}
