//! What is listed and what is only counted.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::events::line::{Event, Kind};

/// Lines that an account has in an hour.
const MOST_AN_HOUR: u32 = 100;

/// Of these, those that are left for what was not refused: whoever guesses at an account must not
/// keep its log-ins out of the list.
const NOT_FOR_REFUSALS: u32 = 20;

const HOUR: Duration = Duration::from_secs(3600);

/// How often each thing was done that is not listed. Bounded: what happens and what comes of it
/// are words of ours.
#[derive(Default)]
pub(super) struct Counts(Mutex<BTreeMap<(Kind, &'static str), u64>>);

impl Counts {
    pub(super) fn add(&self, kind: Kind, result: &'static str) {
        // Numbers only: a panic leaves at most a count that is one off.
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((kind, result)).or_default() += 1;
    }

    /// The counts as events, which are counted anew from here.
    pub(super) fn take(&self) -> Vec<Event> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *counts)
            .into_iter()
            .map(|((kind, result), count)| Event::counted(kind, result, count))
            .collect()
    }
}

/// How many lines each account has had in its hour, which begins with the first.
#[derive(Default)]
pub(super) struct Shares(HashMap<String, Share>);

struct Share {
    since: Duration,
    lines: u32,
}

impl Shares {
    /// Whether an event is listed, which then counts. `now` is of the steady clock.
    pub(super) fn has_room(&mut self, event: &Event, now: Duration) -> bool {
        let Some(id) = event.id() else {
            return true;
        };
        if !self.0.contains_key(id) {
            // The only place where this grows, and seldom.
            self.0.retain(|_, share| !share.is_over(now));
        }
        let share = self.0.entry(id.to_owned()).or_insert(Share {
            since: now,
            lines: 0,
        });
        if share.is_over(now) {
            *share = Share {
                since: now,
                lines: 0,
            };
        }
        let most = match event.what() {
            (Kind::Refused, _) => MOST_AN_HOUR - NOT_FOR_REFUSALS,
            _ => MOST_AN_HOUR,
        };
        let fits = share.lines < most;
        share.lines += u32::from(fits);
        fits
    }
}

impl Share {
    fn is_over(&self, now: Duration) -> bool {
        now.saturating_sub(self.since) >= HOUR
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: Kind, id: &str) -> Event {
        Event::of(kind).named("alice", Some(id))
    }

    #[test]
    fn an_account_has_a_hundred_lines_an_hour_of_which_refusals_leave_some() {
        let mut shares = Shares::default();
        let mut listed = |kind, id: &str, now| {
            let event = event(kind, id);
            let now = Duration::from_secs(now);
            (0..200).filter(|_| shares.has_room(&event, now)).count()
        };

        assert_eq!(listed(Kind::Refused, "a", 0), 80);
        assert_eq!(listed(Kind::LoggedIn, "a", 10), 20);
        assert_eq!(listed(Kind::LoggedIn, "b", 10), 100);
        assert_eq!(listed(Kind::LoggedIn, "a", 3599), 0);
        assert_eq!(listed(Kind::LoggedIn, "a", 3600), 100);
    }

    #[test]
    fn shares_that_are_over_are_forgotten() {
        let mut shares = Shares::default();
        for n in 0..50 {
            shares.has_room(&event(Kind::LoggedIn, &n.to_string()), Duration::ZERO);
        }

        shares.has_room(&event(Kind::LoggedIn, "late"), HOUR);

        assert_eq!(shares.0.len(), 1);
    }

    #[test]
    fn counts_are_told_once_and_name_nobody() {
        let counts = Counts::default();
        counts.add(Kind::Refused, "throttled");
        counts.add(Kind::Refused, "throttled");
        counts.add(Kind::Refused, "busy");

        let told: Vec<String> = counts
            .take()
            .iter()
            .map(|event| String::from_utf8(event.line()).unwrap())
            .collect();

        assert_eq!(told.len(), 2);
        assert!(told[1].contains("\"user\":null,\"id\":null,"), "{told:?}");
        assert!(told[1].contains("\"result\":\"throttled\",\"count\":2}"));
        assert!(counts.take().is_empty());
    }
}
