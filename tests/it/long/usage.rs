//! What the server takes of the system, read from `/proc`.

use std::fmt;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::harness::Server;

/// Between two looks.
const PACE: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Default)]
pub(super) struct Usage {
    pub(super) threads: usize,
    pub(super) descriptors: usize,
    /// Resident, in bytes.
    pub(super) memory: u64,
}

/// The most of each that was ever seen.
pub(super) type Most = Usage;

impl Usage {
    /// What the README says it never exceeds.
    pub(super) const PROMISED: Self = Self {
        threads: 1_200,
        descriptors: 1_300,
        memory: 200 << 20,
    };

    pub(super) fn of(server: &Server) -> Self {
        let process = format!("/proc/{}", server.pid());
        let count = |what| fs::read_dir(format!("{process}/{what}")).unwrap().count();
        let status = fs::read_to_string(format!("{process}/status")).unwrap();
        let resident = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next());
        Self {
            threads: count("task"),
            descriptors: count("fd"),
            memory: resident.unwrap().parse::<u64>().unwrap() * 1024,
        }
    }

    fn or_more(self, other: Self) -> Self {
        Self {
            threads: self.threads.max(other.threads),
            descriptors: self.descriptors.max(other.descriptors),
            memory: self.memory.max(other.memory),
        }
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            threads,
            descriptors,
            memory,
        } = self;
        write!(
            f,
            "{threads} threads, {descriptors} descriptors, {} MiB",
            memory >> 20
        )
    }
}

/// Looks again and again until it is over.
pub(super) fn watch(over: &AtomicBool, server: &Server) -> Most {
    let mut most = Usage::default();
    while !over.load(Ordering::Relaxed) {
        most = most.or_more(Usage::of(server));
        thread::sleep(PACE);
    }
    most
}
