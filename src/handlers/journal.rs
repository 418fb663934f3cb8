//! The log of what people do: one line per event, and never more than a disk can take.

use std::sync::{Mutex, PoisonError};

use crate::clock::Moment;
use crate::http::{Method, Request};
use crate::reply::{Outcome, Reply, WRONG_TOKEN};

/// Most lines a second about requests that cost their sender nothing: enough to see an attack, few
/// enough that thousands of requests a second do not flood the disk.
const CHEAP_LINES: u32 = 100;

/// Longest path that is shown, in characters.
const MAX_PATH: usize = 100;

/// Logs events, and counts those of the current second.
#[derive(Default)]
pub struct Journal {
    cheap: Mutex<Second>,
}

#[derive(Default)]
struct Second {
    number: u64,
    lines: u32,
    left_out: u64,
}

impl Journal {
    /// Writes one line for each request that tried to change something or to enter by a token, and
    /// for each that failed on our side.
    pub(super) fn note(&self, request: &Request, reply: &Reply, user: Option<&str>) {
        let logged_nobody_out = reply.outcome.is_logout() && reply.user.is_none();
        // Mostly from a proxy that is not trusted yet: its operator will look here.
        let tried = is_try(request, reply)
            || matches!(
                reply.outcome,
                Outcome::BadTarget(..) | Outcome::ForeignField(_) | Outcome::TwoReadings(_)
            );
        let nothing_new = logged_nobody_out || reply.outcome.is_routine();
        if (!tried && reply.outcome.status() < 500) || nothing_new {
            return;
        }
        if reply.is_cheap() && !self.has_room(request.received) {
            return;
        }
        // A stranger chose the path: the log's format quotes and escapes it.
        let path = request.path.trim_start_matches('/');
        let event: String = path.chars().take(MAX_PATH).collect();
        let user = user.unwrap_or("-");
        let address = request.client.to_string();
        let result = result(reply);
        tracing::info!(event, user, address, result);
    }

    /// Counts a line that cost its sender nothing, and says whether it fits. The first line of a
    /// second also logs how many were left out before.
    fn has_room(&self, now: Moment) -> bool {
        let (fits, left_out) = {
            // Numbers only: a panic leaves at most a count that is one off.
            let mut cheap = self.cheap.lock().unwrap_or_else(PoisonError::into_inner);
            cheap.count(now.steady.as_secs())
        };
        if left_out > 0 {
            tracing::warn!(left_out, "refusals came too fast to log each of them");
        }
        fits
    }
}

/// Whether a request tried to change something, or to enter by a token.
pub(super) fn is_try(request: &Request, reply: &Reply) -> bool {
    // A GET that names an account has ended its session.
    request.method == Method::Post || reply.user.is_some() || reply.noted == Some(WRONG_TOKEN)
}

/// What the log calls a reply.
pub(super) fn result(reply: &Reply) -> &'static str {
    reply.noted.unwrap_or_else(|| reply.outcome.code())
}

impl Second {
    /// Whether one more line fits, and how many did not since that was last reported.
    fn count(&mut self, number: u64) -> (bool, u64) {
        let mut left_out = 0;
        if number != self.number {
            left_out = std::mem::take(&mut self.left_out);
            self.number = number;
            self.lines = 0;
        }
        let fits = self.lines < CHEAP_LINES;
        if fits {
            self.lines += 1;
        } else {
            self.left_out += 1;
        }
        (fits, left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reply::{REPEATED, SOON};

    #[test]
    fn what_does_not_fit_into_a_second_is_counted_and_said_in_the_next() {
        let mut second = Second::default();
        for _ in 0..CHEAP_LINES {
            assert_eq!(second.count(7), (true, 0));
        }
        assert_eq!(second.count(7), (false, 0));
        assert_eq!(second.count(7), (false, 0));
        assert_eq!(second.count(8), (true, 2));
        assert_eq!(second.count(8), (true, 0));
    }

    #[test]
    fn what_costs_a_password_check_is_never_left_out() {
        for outcome in [
            Outcome::WrongCredentials,
            Outcome::WrongPassword,
            Outcome::WrongCode,
            Outcome::NotSaved,
            Outcome::CodeRequired(None),
            Outcome::LoginComplete(Vec::new()),
        ] {
            assert!(!outcome.is_cheap(), "{}", outcome.code());
        }
        for outcome in [Outcome::Busy(SOON), Outcome::NotFound, Outcome::CrossSite] {
            assert!(outcome.is_cheap(), "{}", outcome.code());
        }
        let wrong_token = Reply::from(Outcome::LoginRequired).noted_as(WRONG_TOKEN);
        assert!(wrong_token.is_cheap());
        let again = || Reply::from(Outcome::LoginComplete(Vec::new()));
        assert!(again().noted_as(REPEATED).is_cheap() && !again().is_cheap());
    }
}
