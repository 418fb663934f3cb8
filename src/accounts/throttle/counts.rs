//! The kinds of counts. Each holds the failures and, apart from them, the attempts that are not
//! decided yet: if a limit is reached only because of those, nobody is refused before they are
//! known to have failed.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::accounts::token::Digest;

use super::limits::{ACCOUNT, DOUBLINGS, HOUR, Limit, MEMBERSHIP, NETWORK, SHARE, WINDOW};
use super::micros;
use super::table::Weight;

/// What a count says of the next attempt; the greatest of several counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Go,
    /// The attempt would have to wait if those being looked at turned out wrong.
    Undecided,
    /// The attempt has to wait that long.
    Wait(Duration),
}

impl Verdict {
    /// The verdict after `failed` failures, the last of them at `last`, or `worst` failures if all
    /// that is undecided fails.
    fn of(limit: Limit, failed: u32, worst: u32, last: Duration, now: Duration) -> Self {
        match limit.left(failed, last, now) {
            Some(left) => Self::Wait(left),
            None if worst > failed && !limit.wait_after(worst).is_zero() => Self::Undecided,
            None => Self::Go,
        }
    }
}

/// How an attempt turned out.
#[derive(Clone, Copy)]
pub enum Decision {
    /// It was right, or was not looked at; it began at this time.
    TakenBack(Duration),
    /// It was wrong; it began at this time.
    Failed(Duration),
}

impl Decision {
    /// The decision about an attempt that began at this time.
    pub fn of(is_forgiven: bool, at: Duration) -> Self {
        match is_forgiven {
            true => Self::TakenBack(at),
            false => Self::Failed(at),
        }
    }
}

/// Failures in a row.
#[derive(Default, Deserialize, Serialize)]
pub struct InARow {
    failed: u32,
    #[serde(with = "micros")]
    last: Duration,
    #[serde(skip)]
    undecided: u32,
}

impl InARow {
    /// What this count says of an attempt at `now`.
    pub fn verdict(&self, limit: Limit, now: Duration) -> Verdict {
        let worst = self.failed.saturating_add(self.undecided);
        Verdict::of(limit, self.failed, worst, self.last, now)
    }

    /// Begins an attempt.
    pub fn begin(&mut self) {
        self.undecided = self.undecided.saturating_add(1);
    }

    /// Decides an attempt that was begun.
    pub fn decide(&mut self, decision: Decision) {
        self.undecided = self.undecided.saturating_sub(1);
        if let Decision::Failed(at) = decision {
            self.failed = self.failed.saturating_add(1);
            self.last = self.last.max(at);
        }
    }
}

impl Weight for InARow {
    fn weight(&self) -> (bool, Duration) {
        // An account that has to wait already is kept in preference to names that were tried once.
        (self.failed >= SHARE || self.undecided > 0, self.last)
    }
}

/// Failures in a row from several places, none of which can reach the limit alone.
#[derive(Deserialize, Serialize)]
pub struct Spread<K> {
    failed: u32,
    #[serde(with = "micros")]
    last: Duration,
    #[serde(skip)]
    undecided: u32,
    /// At most as many as failures are free, besides those with undecided attempts.
    places: Vec<Place<K>>,
}

#[derive(Deserialize, Serialize)]
struct Place<K> {
    of: K,
    /// What this place has added to the count.
    added: u32,
    #[serde(skip)]
    undecided: u32,
}

impl<K> Default for Spread<K> {
    fn default() -> Self {
        Self {
            failed: 0,
            last: Duration::ZERO,
            undecided: 0,
            places: Vec::new(),
        }
    }
}

impl<K: Copy + Eq> Spread<K> {
    const LIMIT: Limit = ACCOUNT;

    /// What this count says of an attempt at `now`.
    pub fn verdict(&self, now: Duration) -> Verdict {
        let undecided = if self.is_full() {
            self.undecided
        } else {
            let might_add =
                |place: &Place<K>| place.undecided.min(SHARE.saturating_sub(place.added));
            self.places
                .iter()
                .map(might_add)
                .fold(0, u32::saturating_add)
        };
        let worst = self.failed.saturating_add(undecided);
        Verdict::of(Self::LIMIT, self.failed, worst, self.last, now)
    }

    /// Whether it no longer matters where a failure comes from.
    fn is_full(&self) -> bool {
        self.failed >= Self::LIMIT.free
    }

    /// Begins an attempt from this place.
    pub fn begin(&mut self, from: K) {
        self.undecided = self.undecided.saturating_add(1);
        let place = self.place(from);
        place.undecided = place.undecided.saturating_add(1);
    }

    /// Decides an attempt that was begun from this place.
    pub fn decide(&mut self, from: K, decision: Decision) {
        self.undecided = self.undecided.saturating_sub(1);
        let is_full = self.is_full();
        let place = self.place(from);
        place.undecided = place.undecided.saturating_sub(1);
        if let Decision::Failed(at) = decision
            && (is_full || place.added < SHARE)
        {
            place.added = place.added.saturating_add(1);
            self.failed = self.failed.saturating_add(1);
            self.last = self.last.max(at);
        }
        let is_full = self.is_full();
        self.places
            .retain(|place| place.undecided > 0 || (place.added > 0 && !is_full));
    }

    fn place(&mut self, of: K) -> &mut Place<K> {
        let known = self.places.iter().position(|place| place.of == of);
        let index = known.unwrap_or_else(|| {
            self.places.push(Place {
                of,
                added: 0,
                undecided: 0,
            });
            self.places.len() - 1
        });
        &mut self.places[index]
    }
}

impl<K> Weight for Spread<K> {
    fn weight(&self) -> (bool, Duration) {
        (self.failed >= SHARE || self.undecided > 0, self.last)
    }
}

/// Recent failures, in the order of their times.
#[derive(Default, Deserialize, Serialize)]
pub struct OfLate {
    #[serde(with = "micros::all")]
    times: VecDeque<Duration>,
    #[serde(skip)]
    undecided: u32,
}

impl OfLate {
    /// What this count says of an attempt at `now`.
    pub fn verdict(&self, limit: Limit, now: Duration) -> Verdict {
        let failed = within(&self.times, WINDOW, now);
        let last = self.times.back().copied().unwrap_or_default();
        let worst = failed.saturating_add(self.undecided);
        Verdict::of(limit, failed, worst, last, now)
    }

    /// Begins an attempt.
    pub fn begin(&mut self) {
        self.undecided = self.undecided.saturating_add(1);
    }

    /// Keeps no more than can still make a wait longer.
    pub fn decide(&mut self, limit: Limit, decision: Decision) {
        self.undecided = self.undecided.saturating_sub(1);
        if let Decision::Failed(at) = decision {
            insert(&mut self.times, at);
            drop_old(&mut self.times, WINDOW);
            let most = limit.free.saturating_add(DOUBLINGS);
            while self.times.len() > usize::try_from(most).unwrap_or(usize::MAX) {
                self.times.pop_front();
            }
        }
    }

    /// Recent failures. Some may be too old to count, which does no harm where all that matters is
    /// who goes first.
    pub fn failures(&self) -> usize {
        self.times.len()
    }
}

impl Weight for OfLate {
    fn weight(&self) -> (bool, Duration) {
        let last = self.times.back().copied().unwrap_or_default();
        let waits = within(&self.times, WINDOW, last) >= NETWORK.free;
        (waits || self.undecided > 0, last)
    }
}

/// What was allowed and done within the hour.
#[derive(Default, Deserialize, Serialize)]
pub struct Hourly {
    #[serde(with = "micros::all")]
    times: VecDeque<Duration>,
}

impl Hourly {
    /// How long it is until there is room for one more.
    pub fn wait(&self, limit: u32, now: Duration) -> Option<Duration> {
        if within(&self.times, HOUR, now) < limit {
            return None;
        }
        // The time after which fewer than `limit` are left.
        let kept = usize::try_from(limit).unwrap_or(usize::MAX);
        let index = self.times.len().checked_sub(kept)?;
        let oldest = self.times.get(index)?;
        let left = HOUR.saturating_sub(now.saturating_sub(*oldest));
        Some(left.max(Duration::from_millis(1)))
    }

    /// Counts one at this time.
    pub fn add(&mut self, at: Duration) {
        insert(&mut self.times, at);
        drop_old(&mut self.times, HOUR);
    }

    /// Uncounts the one at this time.
    pub fn take_back(&mut self, at: Duration) {
        if let Some(index) = self.times.iter().rposition(|time| *time == at) {
            self.times.remove(index);
        }
    }
}

impl Weight for Hourly {
    fn weight(&self) -> (bool, Duration) {
        (false, self.times.back().copied().unwrap_or_default())
    }
}

/// The accounts that have logged in from one network, or one /48, within the hour.
#[derive(Default, Deserialize, Serialize)]
pub struct Members {
    #[serde(with = "micros::keyed")]
    logins: Vec<(Digest, Duration)>,
}

impl Members {
    /// More than the members of any network that shares one address. Each has cost a login, and so
    /// a hash.
    const MOST: usize = 1000;

    /// Notes that an account has logged in at this time.
    pub fn add(&mut self, account: Digest, at: Duration) {
        self.logins
            .retain(|(known, last)| *known != account && at.saturating_sub(*last) < MEMBERSHIP);
        if self.logins.len() >= Self::MOST {
            self.logins.remove(0);
        }
        self.logins.push((account, at));
    }

    /// How many members there are at this time.
    pub fn count(&self, now: Duration) -> u32 {
        let of_late = |(_, last): &&(Digest, Duration)| now.saturating_sub(*last) < MEMBERSHIP;
        u32::try_from(self.logins.iter().filter(of_late).count()).unwrap_or(u32::MAX)
    }
}

impl Weight for Members {
    fn weight(&self) -> (bool, Duration) {
        let last = self.logins.last().map(|(_, last)| *last);
        (false, last.unwrap_or_default())
    }
}

/// How many of these times, which are in order, lie within the window that ends now.
fn within(times: &VecDeque<Duration>, window: Duration, now: Duration) -> u32 {
    let old = times.partition_point(|time| now.saturating_sub(*time) >= window);
    u32::try_from(times.len() - old).unwrap_or(u32::MAX)
}

/// Inserts in the order of time: attempts are not decided in the order in which they began.
fn insert(times: &mut VecDeque<Duration>, at: Duration) {
    let index = times.partition_point(|time| *time <= at);
    times.insert(index, at);
}

/// Drops what is too old to count, seen from the latest.
fn drop_old(times: &mut VecDeque<Duration>, window: Duration) {
    let latest = times.back().copied().unwrap_or_default();
    let is_old = |time: &Duration| latest.saturating_sub(*time) >= window;
    while times.front().is_some_and(is_old) {
        times.pop_front();
    }
}
