//! The only place that asks what time it is. Everything below `main` is given a [`Moment`].

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// One moment, on two clocks: what the wall says, and time that only ever runs forward.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// Seconds since 1970 as the system's clock shows them; jumps when somebody sets it.
    pub wall: u64,
    /// Time since 1970 as it was when the program started, plus the time passed since on a clock
    /// nobody can set. Limits and waits are counted on this one.
    pub steady: Duration,
}

/// A steady clock that starts from the system's one.
pub struct Clock {
    started: Instant,
    started_at: Duration,
}

impl Clock {
    pub fn start() -> Self {
        Self {
            started: Instant::now(),
            started_at: since_epoch(),
        }
    }

    pub fn now(&self) -> Moment {
        Moment {
            wall: since_epoch().as_secs(),
            steady: self.started_at.saturating_add(self.started.elapsed()),
        }
    }
}

/// A clock before 1970 reads as 1970: there is no code, session or wait to compute from it.
fn since_epoch() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}
