//! The line in front of the hashing threads: who goes first, who is overtaken, and who is told at
//! once that the wait would be too long. The caller says what time it is, and what hashes have cost
//! so far.
//!
//! What counts is how much work waits, not how many computations. One that is in the line is never
//! sent away, only overtaken, and never so often that it would wait longer than [`LONGEST`].

use std::time::Duration;

use crate::accounts::throttle::Standing;
use crate::accounts::throttle::limits::BLOCK;
use crate::gate::Busy;
use crate::network::Network;

/// The longest that anybody waits for their hash to begin, as far as that can be foreseen.
const LONGEST: Duration = Duration::from_secs(20);

/// The same for all who do not go first, so that there is always room for those who do.
const LONGEST_OF_OTHERS: Duration = Duration::from_secs(15);

/// One in this many places is kept for those who go first.
const KEPT: usize = 8;

/// What waits, in the order in which it is served.
pub struct Line<T> {
    waiting: Vec<Waiting<T>>,
    most: usize,
    threads: u64,
    /// Rounds that are being computed.
    at_work: u64,
    /// Those of them that are dear.
    dear_at_work: u64,
    /// What a round costs a thread that computes as many at once as it can, in picoseconds. A mean
    /// in which the latest measurements count most.
    round: u64,
    /// The same of a thread that computes one alone.
    round_alone: u64,
    /// The latest turn anybody has had.
    turn: usize,
}

struct Waiting<T> {
    claim: Claim,
    network: Network,
    size: Size,
    /// The latest time at which it begins, even if others overtake it.
    until: Duration,
    what: T,
}

/// How much work a computation is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub rounds: u32,
    /// It cannot be computed beside others by the same thread.
    pub is_alone: bool,
    /// It takes so much memory, or so long, that one at a time must do, however many threads there
    /// are: the others stay free for what is done soon.
    pub is_dear: bool,
}

impl From<u32> for Size {
    fn from(rounds: u32) -> Self {
        Self {
            rounds,
            is_alone: false,
            is_dear: false,
        }
    }
}

/// A claim to be served; the smaller one goes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    standing: Standing,
    /// One more for each computation of the same network that waits already, or for every [`BLOCK`]
    /// of its neighbourhood if that is more, so that origins take turns.
    turn: usize,
}

impl<T> Line<T> {
    /// A line in front of `threads` threads, in which at most `most` computations wait. The last
    /// argument is a first measurement: so many rounds took a thread so long.
    pub fn new(threads: usize, most: usize, (rounds, took): (u64, Duration)) -> Self {
        Self {
            waiting: Vec::new(),
            most,
            threads: u64::try_from(threads).unwrap_or(u64::MAX).max(1),
            at_work: 0,
            dear_at_work: 0,
            round: cost(rounds, took),
            round_alone: cost(rounds, took),
            turn: 0,
        }
    }

    /// Puts `what`, a computation of this size, in the line.
    ///
    /// # Errors
    ///
    /// [`Busy`] if it would wait too long, or too many wait already, with the time after which that
    /// may be over.
    pub fn push(
        &mut self,
        now: Duration,
        (network, standing): (Network, Standing),
        size: impl Into<Size>,
        what: T,
    ) -> Result<(), Busy> {
        let size = size.into();
        let rounds = size.rounds;
        let (longest, places) = match standing {
            Standing::Known => (LONGEST, self.most),
            Standing::Stranger { .. } => (LONGEST_OF_OTHERS, self.most - self.most.div_ceil(KEPT)),
        };
        let turns_taken = self.turns_taken(network);
        let turn = self.turn + 1 + turns_taken;
        let claim = Claim { standing, turn };
        let (place, wait) = self.place(now, claim, rounds);
        let wait = match size.is_dear {
            true => wait.max(self.wait_of_dear()),
            false => wait,
        };
        if wait > longest {
            return Err(Busy::until(wait - longest));
        }
        // A network may hold no more places than are left free, so that even a few networks that
        // take all they can leave room for newcomers.
        if self.waiting.len() + turns_taken >= places {
            return Err(Busy::until(self.time(u64::from(rounds))));
        }
        let waiting = Waiting {
            claim,
            network,
            size,
            until: now.saturating_add(LONGEST),
            what,
        };
        self.waiting.insert(place, waiting);
        Ok(())
    }

    /// The first place whose owner has no better claim and may still be overtaken once more, and
    /// how long the wait is from there.
    fn place(&self, now: Duration, claim: Claim, rounds: u32) -> (usize, Duration) {
        let waiting: u64 = self.rounds_of(|_| true);
        let mut ahead = self.at_work + waiting;
        let mut place = self.waiting.len();
        for (index, one) in self.waiting.iter().enumerate().rev() {
            let before = ahead - u64::from(one.size.rounds);
            let begins = now.saturating_add(self.time(before + u64::from(rounds)));
            if claim >= one.claim || begins > one.until {
                break;
            }
            (place, ahead) = (index, before);
        }
        (place, self.time(ahead))
    }

    fn rounds_of(&self, which: impl Fn(&Size) -> bool) -> u64 {
        let sizes = self.waiting.iter().map(|one| &one.size);
        sizes
            .filter(|size| which(size))
            .map(|size| u64::from(size.rounds))
            .sum()
    }

    /// How long the last of those waits that are dear, one after the other.
    fn wait_of_dear(&self) -> Duration {
        let rounds = self.dear_at_work + self.rounds_of(|size| size.is_dear);
        self.time(rounds.saturating_mul(self.threads))
    }

    /// How long all threads together take for this many rounds.
    fn time(&self, rounds: u64) -> Duration {
        Duration::from_nanos(rounds.saturating_mul(self.round) / self.threads / 1000)
    }

    /// How many turns the same network has taken already by what waits. Somebody who has a /24 or a
    /// /48 to themselves must not count as a newcomer with each of its addresses.
    fn turns_taken(&self, network: Network) -> usize {
        let owners = || self.waiting.iter().map(|one| one.network);
        let same = owners().filter(|owner| *owner == network).count();
        let near = network.neighbourhood();
        let near = owners().filter(|owner| owner.neighbourhood() == near);
        same.max(near.count() / BLOCK as usize)
    }

    /// Takes the next computation and those behind it that have the same number of rounds, up to
    /// `most` in all. A dear one is passed over while another one is at work.
    pub fn take(&mut self, most: usize) -> Vec<T> {
        let is_free = self.dear_at_work == 0;
        let may_begin = |one: &Waiting<T>| is_free || !one.size.is_dear;
        let Some(first) = self.waiting.iter().position(may_begin) else {
            return Vec::new();
        };
        let size = self.waiting[first].size;
        let most = if size.is_alone { most.min(1) } else { most };
        let alike = self.waiting[first..].iter().take(most);
        let alike = alike.take_while(|one| one.size == size).count();
        let taken = self.waiting.drain(first..first + alike).map(|one| {
            self.turn = self.turn.max(one.claim.turn);
            self.at_work += u64::from(size.rounds);
            if size.is_dear {
                self.dear_at_work += u64::from(size.rounds);
            }
            one.what
        });
        taken.collect()
    }

    /// Notes that this many rounds, taken together, have been computed or have failed.
    pub fn done(&mut self, rounds: u64, is_dear: bool) {
        self.at_work = self.at_work.saturating_sub(rounds);
        if is_dear {
            self.dear_at_work = self.dear_at_work.saturating_sub(rounds);
        }
    }

    /// Notes how long a thread took for rounds, when it had as many at once as it can compute.
    pub fn measured(&mut self, rounds: u64, took: Duration) {
        self.round = self.round / 4 * 3 + cost(rounds, took) / 4;
    }

    /// Notes how long a thread took for the rounds of one computation alone.
    pub fn measured_alone(&mut self, rounds: u64, took: Duration) {
        self.round_alone = self.round_alone / 4 * 3 + cost(rounds, took) / 4;
    }

    /// How many rounds are left after so long, to one who seems to compute `rounds` alone.
    pub fn left(&self, rounds: u32, after: Duration) -> u32 {
        let done = after.as_nanos() * 1000 / u128::from(self.round_alone.max(1));
        rounds.saturating_sub(u32::try_from(done).unwrap_or(u32::MAX))
    }

    /// How many computations wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }
}

/// The cost of one round in picoseconds, at most [`MOST_COST`], if `rounds` of them took so long.
fn cost(rounds: u64, took: Duration) -> u64 {
    let picoseconds = took.as_nanos() * 1000 / u128::from(rounds.max(1));
    u64::try_from(picoseconds).map_or(MOST_COST, |cost| cost.clamp(1, MOST_COST))
}

/// A millisecond, so that the cost of a full line does not overflow.
const MOST_COST: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    /// Rounds of a hash, and what they cost.
    const ROUNDS: u32 = 600_000;
    const COST: Duration = Duration::from_millis(75);
    const MEASURED: (u64, Duration) = (ROUNDS as u64, COST);
    const START: Duration = Duration::from_secs(1000);

    fn network(n: u32) -> Network {
        Network::of(IpAddr::V4(Ipv4Addr::from(n)))
    }

    fn stranger(failures: usize) -> Standing {
        Standing::Stranger { failures }
    }

    /// What is left in the line, in the order in which one thread serves it.
    fn order(line: &mut Line<u32>) -> Vec<u32> {
        std::iter::from_fn(|| line.take(1).pop()).collect()
    }

    fn push(line: &mut Line<u32>, n: u32, standing: Standing) -> Result<(), Busy> {
        line.push(START, (network(n), standing), ROUNDS, n)
    }

    fn order_of(pushes: &[(u32, Standing)]) -> Vec<u32> {
        let mut line = Line::new(1, 64, MEASURED);
        for (n, standing) in pushes {
            push(&mut line, *n, *standing).unwrap();
        }
        order(&mut line)
    }

    #[test]
    fn addresses_take_turns() {
        let pushes = [1, 1, 1, 1, 2, 3, 2].map(|n| (n, stranger(0)));
        assert_eq!(order_of(&pushes), [1, 2, 3, 1, 2, 1, 1]);
    }

    #[test]
    fn who_is_known_goes_first_and_who_has_failed_most_last() {
        let pushes = [
            (3, stranger(3)),
            (1, stranger(1)),
            (2, stranger(2)),
            (9, stranger(0)),
            (8, Standing::Known),
            (4, stranger(4)),
        ];
        assert_eq!(order_of(&pushes), [8, 9, 1, 2, 3, 4]);
    }

    #[test]
    fn who_has_waited_for_a_turn_is_not_overtaken_for_ever() {
        let mut line = Line::new(1, 64, MEASURED);
        for _ in 0..3 {
            push(&mut line, 1, stranger(0)).unwrap();
        }
        // For each one served, another comes.
        let served: Vec<u32> = (2..9)
            .flat_map(|newcomer| {
                let next = line.take(1);
                push(&mut line, newcomer, stranger(0)).unwrap();
                next
            })
            .collect();
        assert_eq!(served, [1, 1, 2, 1, 3, 4, 5]);
    }

    #[test]
    fn a_neighbourhood_stands_behind_newcomers() {
        let of_48 = (0..99).map(|n| format!("2001:db8:1:{n:x}::1")).collect();
        let of_24 = (0..99).map(|n| format!("203.0.113.{n}")).collect();
        for crowd in [of_48, of_24] {
            let crowd: Vec<String> = crowd;
            let mut line = Line::new(1, 512, MEASURED);
            let mut push = |address: &str| {
                let network = Network::of(address.parse().unwrap());
                let who = (network, stranger(0));
                line.push(START, who, ROUNDS, address.to_owned()).unwrap();
            };
            crowd.iter().for_each(|one| push(one));
            let newcomers = ["192.0.2.1", "2001:db8:2::1"];
            newcomers.iter().for_each(|one| push(one));

            let served = line.take(64);
            assert_eq!(served[10..12], newcomers);
        }
    }

    /// Fills the line; gives how many found room and what the next one is told.
    fn fill(line: &mut Line<u32>, now: Duration, standing: Standing) -> (u32, Busy) {
        for n in 0.. {
            let who = (
                network(1000 * n + u32::from(standing == Standing::Known)),
                standing,
            );
            if let Err(busy) = line.push(now, who, ROUNDS, n) {
                return (n, busy);
            }
        }
        panic!("it is never full");
    }

    #[test]
    fn what_would_wait_too_long_is_told_after_how_long_it_would_not() {
        let mut line = Line::new(1, 512, MEASURED);
        let (strangers, _) = fill(&mut line, START, stranger(0));
        assert_eq!(strangers, 201, "those that begin within 15 s");
        let (known, busy) = fill(&mut line, START, Standing::Known);
        assert_eq!(
            known, 66,
            "those that begin within 20 s, as all others still do"
        );
        assert_eq!(busy.retry_after, Duration::from_secs(1));

        let told = push(&mut line, 1, stranger(0)).unwrap_err();
        let waited = told.retry_after;
        assert_eq!(waited, 267 * COST - LONGEST_OF_OTHERS);
        let served = waited.as_millis().div_ceil(COST.as_millis());
        line.take(usize::try_from(served).unwrap());
        line.done(u64::from(ROUNDS) * 67, false);
        assert!(push(&mut line, 1, stranger(0)).is_ok());
    }

    #[test]
    fn whoever_comes_nobody_waits_longer_than_was_promised() {
        let mut line = Line::new(1, 512, MEASURED);
        fill(&mut line, START, stranger(3));
        let (mut now, mut longest) = (START, Duration::ZERO);
        let mut left = 201;
        while left > 0 {
            // Others with a better claim come all the time, more than there is room for.
            while line
                .push(now, (network(7), Standing::Known), ROUNDS, 1000)
                .is_ok()
            {}
            let taken = line.take(1);
            if taken[0] < 1000 {
                left -= 1;
                longest = now - START;
            }
            now += COST;
            line.done(u64::from(ROUNDS), false);
            assert!(now - START < 2 * LONGEST, "{left} of them still wait");
        }
        assert!(longest > LONGEST_OF_OTHERS, "{longest:?}");
        assert!(longest <= LONGEST, "{longest:?}");
    }

    #[test]
    fn a_crowd_leaves_places_to_those_who_go_first() {
        for (most, strangers) in [(512, 448), (7, 6), (1, 0)] {
            let mut line = Line::new(64, most, MEASURED);
            assert_eq!(fill(&mut line, START, stranger(0)).0, strangers);
            let known = u32::try_from(most).unwrap() - strangers;
            assert_eq!(fill(&mut line, START, Standing::Known).0, known);
            assert_eq!(line.len(), most);
        }
    }

    #[test]
    fn networks_that_take_all_they_can_leave_places_to_newcomers() {
        for standing in [Standing::Known, stranger(0)] {
            let mut line = Line::new(64, 512, MEASURED);
            for n in 0..26 * 100 {
                let _ = push(&mut line, 1000 * (n % 26), standing);
            }
            let newcomers = (100..200).map(|n| 1000 * n);
            let newcomers = newcomers.filter(|n| push(&mut line, *n, standing).is_ok());
            assert!(newcomers.count() >= 15);
        }
    }

    #[test]
    fn only_what_takes_as_long_is_taken_together() {
        let mut line = Line::new(1, 64, MEASURED);
        for (n, rounds) in [(1, 6), (2, 6), (3, 6), (4, 7), (5, 6)] {
            let who = (network(n), stranger(0));
            line.push(START, who, rounds, n).unwrap();
        }
        assert_eq!(line.take(2), [1, 2]);
        assert_eq!(line.take(4), [3]);
        assert_eq!(line.take(4), [4]);
        assert_eq!(line.take(4), [5]);
        assert!(line.take(4).is_empty());
    }

    #[test]
    fn the_length_of_the_line_is_that_of_the_work_and_as_long_as_it_takes_here() {
        let mut line = Line::new(2, 512, MEASURED);
        line.push(START, (network(1), stranger(0)), 16 * ROUNDS, 1)
            .unwrap();
        assert_eq!(line.time(u64::from(16 * ROUNDS)), 8 * COST);
        // Now four at once take as long as one did.
        for _ in 0..50 {
            line.measured(u64::from(ROUNDS) * 4, COST);
        }
        let seen = line.time(u64::from(16 * ROUNDS));
        assert!(seen.abs_diff(2 * COST) < COST / 10, "{seen:?}");
    }

    #[test]
    fn what_is_dear_waits_for_another_such_and_is_passed_over() {
        let mut line = Line::new(2, 64, MEASURED);
        let dear = Size {
            rounds: 10 * ROUNDS,
            is_alone: true,
            is_dear: true,
        };
        let mut push = |n, size: Size| {
            let who = (network(n), stranger(0));
            line.push(START, who, size, n)
        };
        push(1, dear).unwrap();
        push(2, dear).unwrap();
        push(3, ROUNDS.into()).unwrap();
        push(4, ROUNDS.into()).unwrap();
        assert_eq!(line.take(4), [1]);
        assert_eq!(line.take(4), [3, 4]);
        assert!(line.take(4).is_empty());
        line.done(u64::from(10 * ROUNDS), true);
        assert_eq!(line.take(4), [2]);
    }

    #[test]
    fn a_line_of_what_is_dear_is_as_long_as_one_thread_needs_for_it() {
        let mut line = Line::new(64, 512, MEASURED);
        let dear = Size {
            rounds: 20 * ROUNDS,
            is_alone: true,
            is_dear: true,
        };
        // A second and a half each: eleven wait no longer than fifteen seconds.
        for n in 0..11 {
            let who = (network(1000 * n), stranger(0));
            line.push(START, who, dear, n).unwrap();
        }
        let who = (network(99_000), stranger(0));
        assert!(line.push(START, who, dear, 99).is_err());
        assert!(line.push(START, who, ROUNDS, 99).is_ok());
    }

    #[test]
    fn what_is_done_early_has_the_rest_of_one_of_ours_left() {
        let line: Line<u32> = Line::new(2, 64, MEASURED);
        assert_eq!(line.left(ROUNDS, Duration::ZERO), ROUNDS);
        assert_eq!(line.left(ROUNDS, COST / 2), ROUNDS / 2);
        assert_eq!(line.left(ROUNDS, 2 * COST), 0);
    }
}
