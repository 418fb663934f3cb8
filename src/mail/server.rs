//! The mail server as couriers see it: a failing one is left alone as a whole, for longer each time.

use std::time::Duration;

use tracing::warn;

use crate::clock::{Clock, Moment};
use crate::mail::courier::Schedule;
use crate::mail::letter::Letter;
use crate::mail::smtp::{Connection, SmtpError};
use crate::mail::smtp_url::SmtpUrl;
use crate::metrics;

/// Why a mail is set aside that nobody has refused.
pub(super) const TOO_LATE: &str = "the mail server could not be reached in time";

/// A mailed password is worth little after half an hour, so a new mail does not wait that long
/// for a server that may have come back; and a dead one gets six tries a minute at most.
const HURRIED_WAIT: Duration = Duration::from_secs(10);

/// Failures in a row, and when the next try is due on the steady clock.
#[derive(Clone, Copy, Default)]
pub(super) struct Tries {
    pub(super) failures: u32,
    pub(super) due: Duration,
}

/// Whether the round goes on after a mail.
pub(super) enum Next {
    Go,
    /// The server is in trouble.
    Break,
}

/// The server, and when it may be tried.
///
/// No `Debug`: it has the password.
pub(super) struct Server {
    url: SmtpUrl,
    schedule: Schedule,
    clock: Clock,
    tries: Tries,
    /// When it failed last, on the steady clock.
    failed: Duration,
}

impl Server {
    pub(super) fn new(url: SmtpUrl, schedule: Schedule, clock: Clock) -> Self {
        Self {
            url,
            schedule,
            clock,
            tries: Tries::default(),
            failed: Duration::ZERO,
        }
    }

    pub(super) fn now(&self) -> Moment {
        self.clock.now()
    }

    /// When it may be tried next, on the steady clock.
    pub(super) fn due(&self) -> Duration {
        self.tries.due
    }

    pub(super) fn is_left_alone(&self) -> bool {
        self.tries.due > self.now().steady
    }

    pub(super) fn is_failing(&self) -> bool {
        self.tries.failures > 0
    }

    /// Lets a new mail try a failing server soon, even where old ones have long waits by now.
    pub(super) fn hurry(&mut self) {
        let soon = self.failed.saturating_add(HURRIED_WAIT);
        self.tries.due = self.tries.due.min(soon);
    }

    /// Sends a mail by the open connection, or a new one, and leaves there what can be used again.
    /// `None` if there is no connection, which is not the fault of the mail.
    pub(super) fn send(
        &mut self,
        letter: &Letter,
        connection: &mut Option<Connection>,
    ) -> Option<Result<(), SmtpError>> {
        let open = || Connection::open(&self.url, self.clock.now().wall);
        let mut opened = match connection.take().map_or_else(open, Ok) {
            Ok(opened) => opened,
            Err(reason) => {
                metrics::mail_failed();
                self.failed(&reason);
                return None;
            }
        };
        let sent = opened.send(letter);
        if opened.is_usable() {
            *connection = Some(opened);
        }
        match sent {
            Ok(()) => {
                metrics::mail_sent();
                self.tries = Tries::default();
            }
            Err(_) => metrics::mail_failed(),
        }
        Some(sent)
    }

    /// Notes that it failed.
    pub(super) fn failed(&mut self, reason: &str) {
        let server = self.url.name();
        warn!(server, reason, "cannot reach the mail server; mail waits");
        self.failed = self.now().steady;
        self.tries = self.after_failure(self.tries.failures);
    }

    /// What comes after one more failure.
    pub(super) fn after_failure(&self, failures: u32) -> Tries {
        let failures = failures.saturating_add(1);
        Tries {
            failures,
            due: self.now().steady.saturating_add(self.pause(failures)),
        }
    }

    /// How long to wait after so many failures in a row.
    pub(super) fn pause(&self, failures: u32) -> Duration {
        (self.schedule.pause)(failures)
    }

    /// Whether the next failure of a mail is its last.
    pub(super) fn is_too_old(&self, age: Duration) -> bool {
        age >= self.schedule.give_up
    }
}
