//! The only place that asks what time it is. Everything below `main` is given a [`Moment`].

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// One moment, on two clocks: the system's, and one that only ever runs forward.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// Seconds since 1970 as the system's clock shows them; jumps when that clock is set.
    pub wall: u64,
    /// Time since 1970 that never runs backward: measured on a clock that nobody can set, and moved
    /// forward when the system's clock is ahead, after a suspend or a late correction. Limits and
    /// waits use this one.
    pub steady: Duration,
}

/// A steady clock that starts at the system's time.
pub struct Clock {
    started: Instant,
    started_at: Duration,
    /// Milliseconds by which the system's clock has been ahead of the one nobody can set; only
    /// grows.
    gained: AtomicU64,
}

/// How far apart two steady clocks may be without either being wrong: one of a process that has run
/// for long, and one of a process just started. A time in a file that is further ahead than this
/// was written while the clock was wrong.
pub const DRIFT: Duration = Duration::from_secs(60);

impl Clock {
    /// A clock that agrees with the system's at this moment.
    pub fn start() -> Self {
        Self {
            started: Instant::now(),
            started_at: since_epoch(),
            gained: AtomicU64::new(0),
        }
    }

    /// The current moment on both clocks.
    pub fn now(&self) -> Moment {
        self.at(since_epoch(), self.started.elapsed())
    }

    /// The moment when the system's clock shows `wall`, `elapsed` after the start.
    fn at(&self, wall: Duration, elapsed: Duration) -> Moment {
        let unset = self.started_at.saturating_add(elapsed);
        let ahead = u64::try_from(wall.saturating_sub(unset).as_millis()).unwrap_or(u64::MAX);
        let gained = self.gained.fetch_max(ahead, Ordering::Relaxed).max(ahead);
        Moment {
            wall: wall.as_secs(),
            steady: unset.saturating_add(Duration::from_millis(gained)),
        }
    }
}

/// A moment as the files keep it: seconds since 1970, written as RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub u64);

impl Moment {
    /// The steady clock's seconds, for files and for limits counted across a restart.
    pub fn timestamp(&self) -> Timestamp {
        Timestamp(self.steady.as_secs())
    }
}

impl Timestamp {
    /// The moment `duration` later, in whole seconds.
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.as_secs()))
    }

    /// How long it is from `earlier` to this moment; zero if `earlier` is the later one.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = i64::try_from(self.0)
            .ok()
            .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
            .and_then(|moment| moment.format(&Rfc3339).ok());
        f.write_str(text.as_deref().unwrap_or("9999-12-31T23:59:59Z"))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let moment = read(deserializer)?;
        Ok(Self(u64::try_from(moment.unix_timestamp()).unwrap_or(0)))
    }
}

/// A moment as the files keep it where fractions of a second count: RFC 3339 with as many digits as
/// needed.
pub mod exact {
    use super::*;

    /// Writes a time since 1970.
    pub fn serialize<S: Serializer>(moment: &Duration, to: S) -> Result<S::Ok, S::Error> {
        let nanoseconds = i128::try_from(moment.as_nanos()).ok();
        let text = nanoseconds
            .and_then(|since| OffsetDateTime::from_unix_timestamp_nanos(since).ok())
            .and_then(|moment| moment.format(&Rfc3339).ok());
        to.serialize_str(text.as_deref().unwrap_or("9999-12-31T23:59:59Z"))
    }

    /// Reads what [`serialize`] wrote, with any number of digits.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let moment = read(from)?;
        let seconds = u64::try_from(moment.unix_timestamp()).unwrap_or(0);
        Ok(Duration::new(seconds, moment.nanosecond()))
    }
}

fn read<'de, D: Deserializer<'de>>(from: D) -> Result<OffsetDateTime, D::Error> {
    let text = String::deserialize(from)?;
    OffsetDateTime::parse(&text, &Rfc3339)
        .map_err(|_| de::Error::custom("not a time such as 2026-11-22T12:00:00Z"))
}

/// What the system's clock shows, as time since 1970. A clock set before 1970 reads as 1970: no
/// code, session or wait can be computed from it.
pub fn since_epoch() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock() -> Clock {
        Clock {
            started: Instant::now(),
            started_at: Duration::from_secs(1000),
            gained: AtomicU64::new(0),
        }
    }

    /// What the steady clock says, in seconds.
    fn steady(clock: &Clock, wall: u64, elapsed: u64) -> u64 {
        let moment = clock.at(Duration::from_secs(wall), Duration::from_secs(elapsed));
        moment.steady.as_secs()
    }

    #[test]
    fn a_clock_set_back_stops_no_time() {
        let clock = clock();
        assert_eq!(steady(&clock, 1010, 10), 1010);
        assert_eq!(steady(&clock, 0, 20), 1020);
    }

    #[test]
    fn a_clock_set_forward_is_followed_and_never_taken_back() {
        let clock = clock();
        assert_eq!(steady(&clock, 5000, 10), 5000);
        assert_eq!(steady(&clock, 1020, 20), 5010);
        assert_eq!(steady(&clock, 5020, 30), 5020);
    }

    #[test]
    fn an_exact_moment_keeps_its_fraction_and_may_have_none() {
        #[derive(Deserialize, Serialize)]
        struct At(#[serde(with = "exact")] Duration);
        let written = |at| serde_json::to_string(&At(at)).unwrap();
        let read = |text: &str| serde_json::from_str::<At>(text).unwrap().0;
        let moment = Duration::from_millis(1_800_000_000_931);
        assert_eq!(written(moment), "\"2027-01-15T08:00:00.931Z\"");
        assert_eq!(read(&written(moment)), moment);
        assert_eq!(read("\"2027-01-15T08:00:00Z\"").subsec_nanos(), 0);
        assert_eq!(read(&written(Duration::MAX)).as_secs(), 253_402_300_799);
    }

    #[test]
    fn no_clock_is_too_wrong() {
        let clock = clock();
        assert_eq!(steady(&clock, 0, u64::MAX), u64::MAX);
        assert!(steady(&clock, u64::MAX, 0) >= u64::MAX / 1000);
    }
}
