//! What takes minutes or needs the machine to itself: load, greed, starvation, kills by the
//! thousand. Run by `./check-long`, not by the everyday command.

use std::fs;
use std::time::Duration;

use crate::harness::Setup;

mod accounts;
mod backups;
#[cfg(feature = "proxies")]
mod checks;
mod client;
#[cfg(all(feature = "databases", feature = "faults"))]
mod database_kills;
#[cfg(feature = "faults")]
mod disk_faults;
#[cfg(feature = "databases")]
mod failover;
#[cfg(feature = "databases")]
mod full_database;
mod full_disk;
mod greed;
mod kills;
#[cfg(feature = "databases")]
mod line;
mod load;
#[cfg(feature = "databases")]
mod mixed;
mod nine;
mod owners;
mod starvation;
mod usage;

/// A server to be started with these accounts.
fn setup(users: &str) -> Setup {
    let setup = Setup::new();
    fs::write(setup.dir().join("users.json"), users).unwrap();
    setup
}

/// The value below which so many of a hundred lie.
fn percentile(percent: usize, mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    let last = times.len().checked_sub(1).expect("something was measured");
    times[last * percent / 100]
}
