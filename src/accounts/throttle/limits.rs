//! The table of limits: it alone decides who waits, and how long.
//!
//! | count of | free | then |
//! |---|---|---|
//! | wrong passwords for an account from one network | [`ACCOUNT_FROM_NETWORK`] | its wait |
//! | the same from one /48 of IPv6, each network in it adding [`SHARE`] at most | [`ACCOUNT`] | its wait |
//! | the same from everywhere, each address of IPv4 or /48 adding [`SHARE`] at most | [`ACCOUNT`] | its wait |
//! | wrong passwords and codes from one network within [`WINDOW`] | [`NETWORK`], one more for each member | its wait |
//! | the same from one /48 | [`BLOCK`] times as many | its wait |
//! | wrong access tokens from one network, each once within [`WINDOW`] | as wrong passwords and codes | tokens do not wait |
//! | wrong codes for an account | [`CODES`] | its wait; a mail at [`CODES_TOLD`], none looked at from [`CODES_LAST`] on |
//! | wrong passwords, and wrong codes, from a browser the account knows | [`BROWSER`] each | its wait |
//! | new accounts from one network, and one /48 | `--registrations-per-hour`, and [`BLOCK`] times as many | the rest of the hour |
//! | registrations by one invitation that were refused for a name or an address | [`INVITED`] | the rest of the hour |
//! | requests for a new password from one network, and one /48 | [`RECOVERIES`], and [`BLOCK`] times as many | nothing is sent |

use std::time::Duration;

use crate::clock::DRIFT;

/// How many failures are free, and how long the next attempt waits after one more than that. The
/// wait doubles each time, up to [`MAX_WAIT`].
#[derive(Clone, Copy)]
pub struct Limit {
    pub free: u32,
    pub first: Duration,
}

/// Somebody who mistypes their password fails less often than this, somebody who guesses it does
/// not.
pub const ACCOUNT_FROM_NETWORK: Limit = Limit::of(5, 1);

/// More than five networks can add up to, so that nobody can make the owner wait from five.
pub const ACCOUNT: Limit = Limit::of(30, 60);

/// The most that one network adds to a count over several, until that count is at its limit.
pub const SHARE: u32 = ACCOUNT_FROM_NETWORK.free;

/// Enough for a household that mistypes, within [`WINDOW`].
pub const NETWORK: Limit = Limit::of(20, 1);

/// How long a failure counts for its network.
pub const WINDOW: Duration = Duration::from_secs(15 * 60);

/// How long an account that has logged in from a network allows it one more failure.
pub const MEMBERSHIP: Duration = HOUR;

/// How long visitors from a network go first in a line after an account has logged in from there.
pub const REGULARITY: Duration = Duration::from_secs(30 * 24 * 3600);

/// How old an account must be for either of these, unless an operator made it, so that nobody can
/// make accounts for the purpose.
pub const MEMBER_AGE: Duration = Duration::from_secs(24 * 3600);

/// A /48 of IPv6 may do this many times what one network may: some customers have a /48 to
/// themselves, some share it with all customers of a provider.
pub const BLOCK: u32 = 10;

/// Wrong codes in a row for an account.
pub const CODES: Limit = Limit::of(5, 1);

/// Wrong codes in a row at which the owner is told that somebody has the password.
pub const CODES_TOLD: u32 = 20;

/// Wrong codes in a row after which no code is looked at from a browser the account does not know:
/// with three valid codes in a million, they give one chance in three thousand.
pub const CODES_LAST: u32 = 100;

/// Wrong passwords, or wrong codes, in a row from a browser that the account knows.
pub const BROWSER: Limit = Limit::of(5, 1);

/// Requests for a new password from one network within an hour.
pub const RECOVERIES: u32 = 20;

/// Registrations by one invitation that are refused for a name or an address within an hour.
pub const INVITED: u32 = 10;

/// The window of what is counted by the hour.
pub const HOUR: Duration = Duration::from_secs(3600);

/// The longest wait.
pub const MAX_WAIT: Duration = Duration::from_secs(15 * 60);

/// Failures beyond the free ones that still make a wait longer.
pub const DOUBLINGS: u32 = 10;

impl Limit {
    const fn of(free: u32, seconds: u64) -> Self {
        Self {
            free,
            first: Duration::from_secs(seconds),
        }
    }

    /// The same limit with another number of free failures.
    pub fn with_free(self, free: u32) -> Self {
        Self { free, ..self }
    }

    /// How long an attempt has to wait after the last of this many failures.
    pub fn wait_after(self, failures: u32) -> Duration {
        match failures.checked_sub(self.free) {
            None => Duration::ZERO,
            Some(doublings) => {
                let times = 1 << doublings.min(DOUBLINGS);
                self.first.saturating_mul(times).min(MAX_WAIT)
            }
        }
    }

    /// What is left of the wait after this many failures, the last of them at `last`; `None` if it
    /// is over. A wait that began in the future, by a clock that was wrong, does not count: it
    /// might last for years.
    pub fn left(self, failures: u32, last: Duration, now: Duration) -> Option<Duration> {
        if last.saturating_sub(now) > DRIFT {
            return None;
        }
        let wait = self.wait_after(failures);
        let left = wait.saturating_sub(now.saturating_sub(last)).min(wait);
        (!left.is_zero()).then_some(left)
    }
}
