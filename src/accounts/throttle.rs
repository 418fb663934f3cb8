//! Counts of failures, and how long the next attempt has to wait.
//!
//! An attempt is counted as a failure when it begins and forgiven when it turns out right, so that
//! many at once cannot slip in before the first is counted. Moments are those of the steady clock,
//! with their fractions: a wait of a second is one. The tables are bounded: when one is
//! full, what matters least makes room, and nobody else is refused for it.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::accounts::WrongCodes;
use crate::accounts::token::Digest;
use crate::clock::DRIFT;
use crate::origin::Origin;

/// Failures in a row before an account's next attempt has to wait.
pub const FREE_FAILURES: u32 = 5;

/// Failures from one address within [`ADDRESS_WINDOW`] before the next has to wait.
const ADDRESS_FAILURES: usize = 20;

const ADDRESS_WINDOW: Duration = Duration::from_secs(15 * 60);

/// The longest wait.
const MAX_WAIT: Duration = Duration::from_secs(15 * 60);

/// Requests for a new password from one address within an hour.
const RECOVERIES_PER_HOUR: usize = 20;

const HOUR: Duration = Duration::from_secs(3600);

/// Most rows of a table: some megabytes, and far more than can be filled at the rate of hashing.
const MAX_ROWS: usize = 10_000;

/// How long an attempt has to wait, after `failures` of which `free` cost nothing: 1 s, 2 s, 4 s,
/// … up to 15 minutes after the last failure.
fn wait_after(failures: u32, free: u32) -> Duration {
    match failures.checked_sub(free) {
        None => Duration::ZERO,
        Some(doublings) => Duration::from_secs(1 << doublings.min(10)).min(MAX_WAIT),
    }
}

/// What is left of a wait that began at `last`. One that began in the future, by a clock that was
/// wrong, is none: it might last for years.
fn left(wait: Duration, last: Duration, now: Duration) -> Option<Duration> {
    if last.saturating_sub(now) > DRIFT {
        return None;
    }
    let left = wait.saturating_sub(now.saturating_sub(last)).min(wait);
    (!left.is_zero()).then_some(left)
}

impl WrongCodes {
    /// How long the next code still has to wait.
    pub fn wait(&self, now: Duration) -> Option<Duration> {
        left(wait_after(self.count, FREE_FAILURES), self.last, now)
    }

    pub fn add(&mut self, now: Duration) {
        self.count = self.count.saturating_add(1);
        self.last = now;
    }
}

/// Whose password is tried.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// An account by the digest of its key, whether it exists or not.
    Account(Digest),
    /// An account from a browser it knows, which has a count of its own: a stranger's guesses
    /// never make the owner wait.
    Device(Digest),
}

/// How good a claim somebody has to what is scarce; the lesser is the better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Has passed both factors, here or in this browser before.
    Known,
    /// Comes from an address with so many failures of late.
    Stranger { failures: usize },
}

/// The counters of this process; those of codes are kept with the accounts.
pub struct Throttle {
    state: Mutex<State>,
    registrations_per_hour: usize,
}

struct State {
    targets: Table<Target, Failures>,
    addresses: Table<Origin, Recent>,
    recoveries: Table<Origin, Recent>,
    registrations: Table<Origin, Recent>,
}

/// An attempt that is counted as a failure until it is forgiven.
#[must_use]
pub struct Attempt {
    target: Target,
    previous: Failures,
    from: FromAddress,
    standing: Standing,
}

/// An attempt as its address is charged with it.
#[must_use]
pub struct FromAddress {
    origin: Origin,
    at: Duration,
}

impl Attempt {
    /// The claim of who makes it, before it is decided.
    pub fn standing(&self) -> Standing {
        self.standing
    }
}

impl Throttle {
    /// `registrations_per_hour` of zero is no limit.
    pub fn new(registrations_per_hour: u32) -> Self {
        Self {
            state: Mutex::new(State {
                targets: Table::default(),
                addresses: Table::default(),
                recoveries: Table::default(),
                registrations: Table::default(),
            }),
            registrations_per_hour: usize::try_from(registrations_per_hour).unwrap_or(usize::MAX),
        }
    }

    /// Begins an attempt at a password.
    ///
    /// # Errors
    ///
    /// How long to wait, if it comes too early; then it is not counted and nothing may be looked at.
    pub fn begin(
        &self,
        target: Target,
        address: IpAddr,
        now: Duration,
    ) -> Result<Attempt, Duration> {
        let origin = Origin::of(address);
        let mut state = self.state();
        let previous = state.targets.row(target).copied().unwrap_or_default();
        let known_browser = matches!(target, Target::Device(_));
        let waits = [
            left(
                wait_after(previous.count, FREE_FAILURES),
                previous.last,
                now,
            ),
            if known_browser {
                None
            } else {
                state.address_wait(origin, now)
            },
        ];
        if let Some(wait) = waits.into_iter().flatten().max() {
            return Err(wait);
        }
        let standing = if known_browser {
            Standing::Known
        } else {
            state.standing(origin)
        };
        let failures = Failures {
            count: previous.count.saturating_add(1),
            last: now,
        };
        state.targets.set(target, failures);
        state.addresses.add(origin, now, ADDRESS_WINDOW);
        Ok(Attempt {
            target,
            previous,
            from: FromAddress { origin, at: now },
            standing,
        })
    }

    /// The claim of a stranger at this address.
    pub fn standing(&self, address: IpAddr) -> Standing {
        self.state().standing(Origin::of(address))
    }

    /// Takes back an attempt that was right, or was not looked at.
    pub fn forgive(&self, attempt: Attempt) {
        let mut state = self.state();
        if let Some(failures) = state.targets.rows.get_mut(&attempt.target) {
            failures.count = failures.count.saturating_sub(1);
            if failures.last == attempt.from.at {
                failures.last = attempt.previous.last;
            }
        }
        state.forgive_address(attempt.from);
    }

    /// Clears an account's count, or its browser's, after a login with both factors. The address
    /// keeps its count: one's own account must not buy guesses at others.
    pub fn clear(&self, target: Target) {
        self.state().targets.rows.remove(&target);
    }

    /// Begins an attempt at a code, whose account has a count of its own. A browser the account
    /// knows does not wait for its address.
    ///
    /// # Errors
    ///
    /// As [`Throttle::begin`].
    pub fn begin_code(
        &self,
        known_browser: bool,
        address: IpAddr,
        now: Duration,
    ) -> Result<FromAddress, Duration> {
        let origin = Origin::of(address);
        let mut state = self.state();
        if let Some(wait) = state.address_wait(origin, now).filter(|_| !known_browser) {
            return Err(wait);
        }
        state.addresses.add(origin, now, ADDRESS_WINDOW);
        Ok(FromAddress { origin, at: now })
    }

    /// Takes back an attempt at a code that was right, or was not looked at.
    pub fn forgive_code(&self, attempt: FromAddress) {
        self.state().forgive_address(attempt);
    }

    /// Counts a request for a new password.
    ///
    /// # Errors
    ///
    /// How long to wait, if the address has had its share for this hour.
    pub fn recovery(&self, address: IpAddr, now: Duration) -> Result<(), Duration> {
        self.state()
            .recoveries
            .take(Origin::of(address), now, RECOVERIES_PER_HOUR)
    }

    /// Counts a new account.
    ///
    /// # Errors
    ///
    /// How long to wait, if the address has had its share for this hour.
    pub fn registration(&self, address: IpAddr, now: Duration) -> Result<(), Duration> {
        if self.registrations_per_hour == 0 {
            return Ok(());
        }
        let limit = self.registrations_per_hour;
        self.state()
            .registrations
            .take(Origin::of(address), now, limit)
    }

    /// Takes back a new account that was not made.
    pub fn forgive_registration(&self, address: IpAddr, at: Duration) {
        let mut state = self.state();
        if let Some(recent) = state.registrations.rows.get_mut(&Origin::of(address)) {
            recent.forget(at);
        }
    }

    /// Every change of the state is complete in itself, so one cut short by a panic leaves at most
    /// a count too many.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Failures that are too old to count do no harm here: who comes first is all they decide.
    fn standing(&self, origin: Origin) -> Standing {
        let recent = self.addresses.row(origin);
        let failures = recent.map_or(0, |recent| recent.times.len());
        Standing::Stranger { failures }
    }

    fn forgive_address(&mut self, attempt: FromAddress) {
        if let Some(recent) = self.addresses.rows.get_mut(&attempt.origin) {
            recent.forget(attempt.at);
        }
    }

    fn address_wait(&mut self, origin: Origin, now: Duration) -> Option<Duration> {
        let recent = self.addresses.rows.get_mut(&origin)?;
        recent.drop_old(now, ADDRESS_WINDOW);
        let last = *recent.times.back()?;
        let free = u32::try_from(ADDRESS_FAILURES).unwrap_or(u32::MAX);
        let count = u32::try_from(recent.times.len()).unwrap_or(u32::MAX);
        left(wait_after(count, free), last, now)
    }
}

#[derive(Clone, Copy, Default)]
struct Failures {
    count: u32,
    last: Duration,
}

/// When things happened, oldest first, within a window of time.
#[derive(Default)]
struct Recent {
    times: VecDeque<Duration>,
}

impl Recent {
    fn drop_old(&mut self, now: Duration, window: Duration) {
        while self
            .times
            .front()
            .is_some_and(|oldest| now.saturating_sub(*oldest) >= window)
        {
            self.times.pop_front();
        }
    }

    fn forget(&mut self, at: Duration) {
        if let Some(position) = self.times.iter().rposition(|time| *time == at) {
            self.times.remove(position);
        }
    }
}

/// What decides who makes room in a full table.
trait Weight {
    /// The row with the smallest is dropped.
    fn weight(&self) -> (usize, Duration);
}

impl Weight for Failures {
    fn weight(&self) -> (usize, Duration) {
        // One who has to wait already is kept before names that were tried once.
        (usize::from(self.count >= FREE_FAILURES), self.last)
    }
}

impl Weight for Recent {
    fn weight(&self) -> (usize, Duration) {
        let last = self.times.back().copied().unwrap_or_default();
        (usize::from(self.times.len() >= ADDRESS_FAILURES), last)
    }
}

struct Table<K, V> {
    rows: HashMap<K, V>,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self {
            rows: HashMap::new(),
        }
    }
}

impl<K: Copy + Eq + Hash, V: Weight> Table<K, V> {
    fn row(&self, key: K) -> Option<&V> {
        self.rows.get(&key)
    }

    fn set(&mut self, key: K, value: V) {
        self.make_room(key);
        self.rows.insert(key, value);
    }

    fn make_room(&mut self, key: K) {
        if self.rows.len() >= MAX_ROWS && !self.rows.contains_key(&key) {
            let least = self
                .rows
                .iter()
                .min_by_key(|(_, row)| row.weight())
                .map(|(key, _)| *key);
            least.map(|key| self.rows.remove(&key));
        }
    }
}

impl<K: Copy + Eq + Hash> Table<K, Recent> {
    /// Adds a time; at most as many are kept as can still make a difference to a wait.
    fn add(&mut self, key: K, now: Duration, window: Duration) {
        const KEPT: usize = ADDRESS_FAILURES + 11;
        self.make_room(key);
        let recent = self.rows.entry(key).or_default();
        recent.drop_old(now, window);
        recent.times.push_back(now);
        if recent.times.len() > KEPT {
            recent.times.pop_front();
        }
    }

    /// Adds a time unless `limit` lie within the last hour.
    fn take(&mut self, key: K, now: Duration, limit: usize) -> Result<(), Duration> {
        self.make_room(key);
        let recent = self.rows.entry(key).or_default();
        recent.drop_old(now, HOUR);
        match recent.times.front() {
            Some(oldest) if recent.times.len() >= limit => Err(HOUR
                .saturating_sub(now.saturating_sub(*oldest))
                .max(Duration::from_secs(1))),
            _ => {
                recent.times.push_back(now);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

    fn account(name: &str) -> Target {
        Target::Account(Digest::of(name))
    }

    fn address(n: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from(n))
    }

    fn fail(throttle: &Throttle, target: Target, address: IpAddr, now: u64) -> Result<(), u64> {
        throttle
            .begin(target, address, secs(now))
            .map(drop)
            .map_err(|wait| wait.as_secs())
    }

    #[test]
    fn the_sixth_failure_in_a_row_has_to_wait_and_each_one_twice_as_long() {
        let throttle = Throttle::new(0);
        for n in 0..5 {
            assert_eq!(fail(&throttle, account("a"), address(n), 100), Ok(()));
        }
        let mut now = 100;
        for wait in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900] {
            assert_eq!(fail(&throttle, account("a"), address(9), now), Err(wait));
            assert_eq!(
                fail(&throttle, account("a"), address(9), now + wait - 1),
                Err(1)
            );
            now += wait;
            // From ever new addresses: the account's count does not care.
            assert_eq!(
                fail(
                    &throttle,
                    account("a"),
                    address(u32::try_from(now).unwrap()),
                    now
                ),
                Ok(())
            );
        }
    }

    #[test]
    fn a_second_is_a_second_wherever_in_one_it_begins() {
        let throttle = Throttle::new(0);
        let begin = |millis| throttle.begin(account("a"), HOME, Duration::from_millis(millis));
        for _ in 0..6 {
            let _ = begin(100_931);
        }
        assert_eq!(begin(101_930).err(), Some(Duration::from_millis(1)));
        assert!(begin(101_931).is_ok());
    }

    #[test]
    fn a_forgiven_attempt_does_not_count() {
        let throttle = Throttle::new(0);
        for now in 0..100 {
            let attempt = throttle.begin(account("a"), HOME, secs(now)).ok().unwrap();
            throttle.forgive(attempt);
        }
        assert_eq!(fail(&throttle, account("a"), HOME, 100), Ok(()));
    }

    #[test]
    fn attempts_made_at_once_are_counted_before_any_is_decided() {
        let throttle = Throttle::new(0);
        let begun: Vec<_> = (0..50)
            .map(|n| throttle.begin(account("a"), address(n), secs(7)))
            .collect();
        assert_eq!(begun.iter().filter(|attempt| attempt.is_ok()).count(), 5);
    }

    #[test]
    fn codes_tried_at_once_are_counted_before_any_is_decided() {
        let throttle = Throttle::new(0);
        let begun: Vec<_> = (0..50)
            .map(|_| throttle.begin_code(false, HOME, secs(7)))
            .collect();
        assert_eq!(begun.iter().filter(|attempt| attempt.is_ok()).count(), 20);
        // They are failures of the address at passwords too, and the other way round.
        assert_eq!(fail(&throttle, account("a"), HOME, 7), Err(1));
        assert!(throttle.begin_code(true, HOME, secs(7)).is_ok());
        for attempt in begun.into_iter().flatten() {
            throttle.forgive_code(attempt);
        }
        assert_eq!(fail(&throttle, account("a"), HOME, 7), Ok(()));
    }

    #[test]
    fn an_address_waits_after_twenty_failures_and_a_login_does_not_clear_them() {
        let throttle = Throttle::new(0);
        for n in 0..20 {
            assert_eq!(fail(&throttle, account(&n.to_string()), HOME, 100), Ok(()));
        }
        throttle.clear(account("0"));
        assert_eq!(fail(&throttle, account("mine"), HOME, 100), Err(1));
        assert_eq!(fail(&throttle, account("mine"), address(1), 100), Ok(()));
        assert_eq!(
            fail(&throttle, account("mine"), HOME, 100 + 15 * 60),
            Ok(())
        );
    }

    #[test]
    fn a_known_browser_waits_for_its_own_failures_only() {
        let throttle = Throttle::new(0);
        for _ in 0..100 {
            let _ = fail(&throttle, account("a"), HOME, 100);
        }
        let browser = Target::Device(Digest::of("browser"));
        for _ in 0..5 {
            assert_eq!(fail(&throttle, browser, HOME, 100), Ok(()));
        }
        assert_eq!(fail(&throttle, browser, HOME, 100), Err(1));
    }

    #[test]
    fn a_login_clears_the_count() {
        let throttle = Throttle::new(0);
        for n in 0..5 {
            let _ = fail(&throttle, account("a"), address(n), 100);
        }
        throttle.clear(account("a"));
        assert_eq!(fail(&throttle, account("a"), address(9), 100), Ok(()));
    }

    #[test]
    fn made_up_names_lock_out_nobody_and_forgive_nobody() {
        let throttle = Throttle::new(0);
        for n in 0..6 {
            let _ = fail(&throttle, account("victim"), address(n), 100);
        }
        let rows = u32::try_from(MAX_ROWS).unwrap();
        for n in 0..rows + 500 {
            let _ = fail(&throttle, account(&n.to_string()), address(n), 101);
        }
        assert!(throttle.state().targets.rows.len() <= MAX_ROWS);
        assert!(throttle.state().addresses.rows.len() <= MAX_ROWS);
        assert_eq!(fail(&throttle, account("somebody else"), HOME, 102), Ok(()));
        for _ in 0..5 {
            let _ = fail(&throttle, account("victim"), HOME, 102);
        }
        assert!(fail(&throttle, account("victim"), HOME, 102).is_err());
    }

    #[test]
    fn registrations_and_recoveries_are_limited_by_the_hour() {
        let throttle = Throttle::new(2);
        for _ in 0..2 {
            assert_eq!(throttle.registration(HOME, secs(100)), Ok(()));
        }
        let wait = Duration::from_secs(3590);
        assert_eq!(throttle.registration(HOME, secs(110)), Err(wait));
        assert_eq!(throttle.registration(HOME, secs(3700)), Ok(()));
        throttle.forgive_registration(HOME, secs(3700));
        assert_eq!(throttle.registration(HOME, secs(3701)), Ok(()));
        for _ in 0..20 {
            assert_eq!(throttle.recovery(HOME, secs(100)), Ok(()));
        }
        assert!(throttle.recovery(HOME, secs(100)).is_err());
        assert_eq!(throttle.recovery(address(1), secs(100)), Ok(()));
    }

    #[test]
    fn a_clock_set_back_makes_nobody_wait_longer() {
        let mut wrong = WrongCodes::default();
        for _ in 0..6 {
            wrong.add(secs(1_000_000));
        }
        let wait = Some(Duration::from_secs(2));
        assert_eq!(wrong.wait(secs(1_000_000)), wait);
        assert_eq!(wrong.wait(secs(1_000_000 - 60)), wait);
        assert_eq!(wrong.wait(secs(1_000_000 - 61)), None);
        assert_eq!(wrong.wait(secs(1_000_002)), None);
        // The next one counts by the clock as it is.
        wrong.add(secs(0));
        assert_eq!(wrong.wait(secs(0)), Some(Duration::from_secs(4)));
    }
}
