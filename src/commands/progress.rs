//! How far a long work is, for whoever waits for it at a terminal.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use crate::clock::Clock;

/// How long a work stays silent.
const SILENT: Duration = Duration::from_secs(1);

/// How often the line changes.
const OFTEN: Duration = Duration::from_millis(200);

/// A line on standard error that says how much is done. It is gone when this is dropped.
pub(super) struct Progress {
    clock: Clock,
    next: Duration,
    is_watched: bool,
    is_shown: bool,
}

impl Progress {
    /// Begins the work. It says nothing if standard error is no terminal.
    pub(super) fn begin() -> Self {
        let clock = Clock::start();
        let next = clock.now().steady + SILENT;
        Self {
            clock,
            next,
            is_watched: io::stderr().is_terminal(),
            is_shown: false,
        }
    }

    /// So much of it is done.
    pub(super) fn tell(&mut self, done: u64, total: u64) {
        if !self.is_watched {
            return;
        }
        let now = self.clock.now().steady;
        if now < self.next {
            return;
        }
        self.next = now + OFTEN;
        self.is_shown = true;
        let percent = done.saturating_mul(100).checked_div(total).unwrap_or(100);
        // If the terminal is gone, nobody waits.
        let _ = write!(io::stderr(), "\r{percent:3} %");
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_shown {
            let _ = write!(io::stderr(), "\r     \r");
        }
    }
}
