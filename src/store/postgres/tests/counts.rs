//! The counts of throttling, with two nodes.

use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use crate::accounts::throttle::{self, CodeFrom, InvitedAttempt, Key, Target, Throttle, TooEarly};
use crate::accounts::token::Digest;
use crate::store::Store;
use crate::store::counts::{Attempt, Counts, NotBegun, Refused};
use crate::store::postgres::counts::{MOST, QUESTION};
use crate::store::postgres::tests::{Place, by_proxy};
use crate::store::tests::eventually;

/// New accounts an hour from one network.
const REGISTRATIONS: u32 = 3;

/// A node: its store, and what it counts with.
struct Node {
    store: Store,
    counts: Counts,
}

impl Node {
    fn of(store: Store) -> Self {
        let counts = store.counts(REGISTRATIONS);
        Self { store, counts }
    }

    /// Has it believe that it is this late, and forget what it knows itself.
    fn is_at(&self, now: Duration) {
        let local = &self.store.database().unwrap().counts;
        *local.now.lock().unwrap() = Some(now);
        local.forget_all_waits();
    }
}

fn two_nodes(place: &Place) -> [Node; 2] {
    [Node::of(place.open()), Node::of(place.open())]
}

fn account(name: &str) -> Target {
    Target::Account(Digest::of(name))
}

fn browser(name: &str) -> Target {
    Target::Device(Digest::of(name))
}

/// Some addresses: of IPv4, and of two blocks of IPv6 with two networks each.
fn address(n: u8) -> IpAddr {
    match n {
        0..4 => IpAddr::V4(Ipv4Addr::new(192, 0, 2, n)),
        _ => {
            let (block, network) = (u16::from(n / 2), u16::from(n % 2));
            IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, block, network, 0, 0, 0, 1))
        }
    }
}

/// What is done at one of the nodes.
#[derive(Clone, Debug)]
enum Act {
    /// A password, at an account or from its browser.
    Password {
        is_known: bool,
        of: u8,
        from: u8,
    },
    Code {
        how: u8,
        from: u8,
        wait: Option<u8>,
    },
    Invited(u8),
    /// Decides the oldest attempt that is not decided.
    Decide {
        is_forgiven: bool,
    },
    Clear {
        is_known: bool,
        of: u8,
    },
    Member {
        of: u8,
        from: u8,
    },
    Recovery(u8),
    Registration {
        from: u8,
        is_forgiven: bool,
    },
    Token {
        of: u8,
        from: u8,
        is_guess: bool,
    },
    /// Seconds pass.
    Pass(u16),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let (of, from) = (|| 0..2_u8, || 0..8_u8);
    let act = prop_oneof![
        8 => (prop::bool::weighted(0.2), of(), from())
            .prop_map(|(is_known, of, from)| Act::Password { is_known, of, from }),
        // Often from one place, or no limit is met.
        8 => of().prop_map(|of| Act::Password { is_known: false, of, from: 4 }),
        2 => (0..3_u8, from(), prop::option::of(0..90_u8))
            .prop_map(|(how, from, wait)| Act::Code { how, from, wait }),
        2 => of().prop_map(Act::Invited),
        12 => prop::bool::weighted(0.15).prop_map(|is_forgiven| Act::Decide { is_forgiven }),
        1 => (any::<bool>(), of()).prop_map(|(is_known, of)| Act::Clear { is_known, of }),
        1 => (of(), from()).prop_map(|(of, from)| Act::Member { of, from }),
        2 => (3..6_u8).prop_map(Act::Recovery),
        2 => (3..6_u8, prop::bool::weighted(0.3))
            .prop_map(|(from, is_forgiven)| Act::Registration { from, is_forgiven }),
        1 => (of(), from(), any::<bool>())
            .prop_map(|(of, from, is_guess)| Act::Token { of, from, is_guess }),
        2 => prop_oneof![0..4_u16, 0..2000_u16].prop_map(Act::Pass),
    ];
    prop::collection::vec(act, 20..150)
}

fn target(is_known: bool, of: u8) -> Target {
    match is_known {
        true => browser(&of.to_string()),
        false => account(&of.to_string()),
    }
}

/// What one node alone has begun.
enum Alone<'a> {
    Attempt(throttle::Attempt<'a>),
    Invited(InvitedAttempt<'a>),
}

impl Alone<'_> {
    fn decide(self, is_forgiven: bool) {
        match (self, is_forgiven) {
            (Self::Attempt(attempt), true) => attempt.forgive(),
            (Self::Invited(attempt), true) => attempt.forgive(),
            (_, false) => {}
        }
    }
}

/// Attempts that are not decided, at both.
type Open<'a> = Vec<(Alone<'a>, Attempt<'a>)>;

/// Begins an attempt at both, which must agree.
fn begin<'a>(
    open: &mut Open<'a>,
    act: &Act,
    alone: Result<Alone<'a>, TooEarly>,
    shared: Result<Attempt<'a>, NotBegun>,
) {
    match (alone, shared) {
        (Ok(alone), Ok(shared)) => {
            if let (Alone::Attempt(alone), Act::Password { .. }) = (&alone, act) {
                assert_eq!(alone.standing(), shared.standing(), "{act:?}");
            }
            open.push((alone, shared));
        }
        (alone, shared) => {
            let (alone, shared) = (alone.err().map(NotBegun::from), shared.err());
            assert_eq!(alone, shared, "{act:?}");
        }
    }
}

/// Has one node alone, and one of two, do the same.
fn run(alone: &Throttle, nodes: &[Node; 2], acts: &[(Act, bool)]) {
    let (mut now, mut open) = (1_800_000_000_u64, Open::new());
    for (act, at_first) in acts {
        let node = &nodes[usize::from(!at_first)];
        let time = Duration::from_secs(now);
        node.is_at(time);
        let counts = &node.counts;
        let at = |from: u8| address(from);
        match act.clone() {
            Act::Password { is_known, of, from } => {
                let target = target(is_known, of);
                let begun = alone.begin(target, at(from), time).map(Alone::Attempt);
                let shared = counts.begin(target, at(from), Duration::ZERO);
                begin(&mut open, act, begun, shared);
            }
            Act::Code { how, from, wait } => {
                let all = [
                    CodeFrom::KnownBrowser,
                    CodeFrom::Excused,
                    CodeFrom::Stranger,
                ];
                let how = all[usize::from(how)];
                let wait = wait.map(|seconds| Duration::from_secs(seconds.into()));
                let begun = alone
                    .begin_code(how, at(from), wait, time)
                    .map(Alone::Attempt);
                let shared = counts.begin_code(how, at(from), wait, Duration::ZERO);
                begin(&mut open, act, begun, shared);
            }
            Act::Invited(of) => {
                let invitation = Digest::of(&of.to_string());
                let begun = alone.begin_invited(invitation, time).map(Alone::Invited);
                let shared = counts.begin_invited(invitation, Duration::ZERO);
                begin(&mut open, act, begun, shared);
            }
            Act::Decide { is_forgiven } => {
                if !open.is_empty() {
                    let (alone, shared) = open.remove(0);
                    alone.decide(is_forgiven);
                    // The node that began it decides it.
                    nodes.iter().for_each(|node| node.is_at(time));
                    match is_forgiven {
                        true => shared.forgive(),
                        false => drop(shared),
                    }
                }
            }
            // In memory those that are not decided would be uncounted twice.
            Act::Clear { is_known, of } if open.is_empty() => {
                alone.clear(target(is_known, of));
                counts.clear(target(is_known, of));
            }
            Act::Clear { .. } => {}
            Act::Member { of, from } => {
                let of = Digest::of(&of.to_string());
                alone.note_member(of, at(from), time);
                counts.note_member(of, at(from), time);
            }
            Act::Recovery(from) => {
                let counted = alone.recovery(at(from), time).map_err(Refused::Wait);
                assert_eq!(
                    counted,
                    counts.recovery(at(from), Duration::ZERO),
                    "{act:?}"
                );
            }
            Act::Registration { from, is_forgiven } => {
                let counted = alone.registration(at(from), time).map_err(Refused::Wait);
                let shared = counts.registration(at(from), Duration::ZERO);
                assert_eq!(counted, shared.map(|_| ()), "{act:?}");
                if let (true, Ok(counted_at)) = (is_forgiven, shared) {
                    alone.forgive_registration(at(from), time);
                    counts.forgive_registration(at(from), counted_at);
                }
            }
            Act::Token { of, from, is_guess } => {
                let of = Digest::of(&of.to_string());
                let told = alone.wrong_token(of, at(from), time, is_guess);
                let shared = counts.wrong_token(of, at(from), Duration::ZERO, is_guess);
                assert_eq!(told, shared, "{act:?}");
            }
            Act::Pass(seconds) => {
                // What is undecided for long would count as a failure among several nodes.
                nodes.iter().for_each(|node| node.is_at(time));
                open.clear();
                now += u64::from(seconds);
            }
        }
        let shared = counts.standing(address(4)).unwrap();
        assert_eq!(alone.standing(address(4)), shared, "{act:?}");
    }
    let end = Duration::from_secs(now);
    nodes.iter().for_each(|node| node.is_at(end));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn two_nodes_together_count_as_one_alone(
        acts in acts().prop_flat_map(|acts| {
            let length = acts.len();
            (Just(acts), prop::collection::vec(any::<bool>(), length))
        })
    ) {
        let (acts, at_first) = acts;
        let acts: Vec<_> = acts.into_iter().zip(at_first).collect();
        let place = Place::new();
        run(&Throttle::new(REGISTRATIONS), &two_nodes(&place), &acts);
    }
}

/// Tries wrong passwords until it has to wait; how many were looked at.
fn guess(counts: &Counts, from: IpAddr) -> usize {
    let mut looked_at = 0;
    loop {
        match counts.begin(account("alice"), from, Duration::ZERO) {
            Ok(attempt) => {
                looked_at += 1;
                drop(attempt);
            }
            Err(NotBegun::Undecided) => {}
            Err(NotBegun::Wait(_)) => return looked_at,
            Err(NotBegun::Unavailable) => panic!("the database is there"),
        }
    }
}

#[test]
fn many_who_guess_at_once_at_two_nodes_get_no_try_more() {
    let place = Place::new();
    let nodes = two_nodes(&place);
    let looked_at: usize = thread::scope(|scope| {
        let guessers = (0..8_u8).map(|n| {
            let counts = &nodes[usize::from(n % 2)].counts;
            let from = IpAddr::V4(Ipv4Addr::new(198, 51, 100, n));
            scope.spawn(move || guess(counts, from))
        });
        let guessers: Vec<_> = guessers.collect();
        guessers.into_iter().map(|one| one.join().unwrap()).sum()
    });
    assert_eq!(looked_at, 30);
}

#[test]
fn who_depends_on_attempts_at_another_node_is_told_once_those_are_decided() {
    let place = Place::new();
    let [one, other] = two_nodes(&place);
    let begin = |node: &'static str| {
        let counts = if node == "one" {
            &one.counts
        } else {
            &other.counts
        };
        counts.begin(browser("b"), address(0), Duration::ZERO)
    };
    let mut begun: Vec<_> = (0..5).map(|_| begin("one").ok().unwrap()).collect();
    assert_eq!(begin("other").err(), Some(NotBegun::Undecided));
    begun.pop().unwrap().forgive();
    let again = begin("other").ok().unwrap();
    assert_eq!(begin("one").err(), Some(NotBegun::Undecided));
    begun.clear();
    drop(again);
    assert!(matches!(begin("one").err(), Some(NotBegun::Wait(_))));
}

#[test]
fn what_a_node_that_died_has_begun_counts_as_failed_after_a_minute() {
    let place = Place::new();
    let [one, other] = two_nodes(&place);
    let at = |seconds: u64| Duration::from_secs(1_800_000_000 + seconds);
    let begin = |seconds| {
        other.is_at(at(seconds));
        other.counts.begin(browser("b"), address(0), Duration::ZERO)
    };
    one.is_at(at(0));
    for _ in 0..5 {
        let begun = one.counts.begin(browser("b"), address(0), Duration::ZERO);
        mem::forget(begun.ok().unwrap());
    }
    assert_eq!(begin(59).err(), Some(NotBegun::Undecided));
    // Five have failed a minute ago, so this is the sixth.
    drop(begin(60).ok().unwrap());
    assert_eq!(
        begin(60).err(),
        Some(NotBegun::Wait(Duration::from_secs(2)))
    );
}

#[test]
fn a_wait_that_was_read_is_kept_and_costs_no_question() {
    let place = Place::new();
    let (store, proxy) = by_proxy(&place);
    let node = Node::of(store);
    let now = Duration::from_secs(1_800_000_000);
    let asked = || proxy.fate.asked.load(Ordering::SeqCst);
    node.is_at(now);
    for n in 0..30_u8 {
        let from = IpAddr::V4(Ipv4Addr::new(198, 51, 100, n));
        drop(
            node.counts
                .begin(account("alice"), from, Duration::ZERO)
                .ok()
                .unwrap(),
        );
    }
    let begin = || {
        node.counts
            .begin(account("alice"), address(0), Duration::ZERO)
            .err()
    };
    assert_eq!(begin(), Some(NotBegun::Wait(Duration::from_secs(60))));
    let before = asked();
    for _ in 0..1000 {
        let Some(NotBegun::Wait(left)) = begin() else {
            panic!("it has to wait");
        };
        assert!(left <= Duration::from_secs(60) && left > Duration::from_secs(30));
    }
    // The keeper asks too.
    assert!(asked() - before < 500, "{} questions", asked() - before);

    node.counts.clear(account("alice"));
    assert_eq!(begin(), None);
}

#[test]
fn while_the_database_is_silent_nobody_gets_a_try_and_nothing_right_counts_as_wrong() {
    let place = Place::new();
    let (store, proxy) = by_proxy(&place);
    let node = Node::of(store);
    let begin = |counts: &Counts| {
        let begun = counts.begin(browser("b"), address(0), Duration::ZERO);
        begun.map(mem::forget).err()
    };
    let right: Vec<_> = (0..5)
        .map(|_| {
            node.counts
                .begin(browser("b"), address(0), Duration::ZERO)
                .ok()
                .unwrap()
        })
        .collect();
    proxy.fate.is_frozen.store(true, Ordering::SeqCst);
    let asked = Instant::now();
    thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                assert_eq!(begin(&node.counts), Some(NotBegun::Unavailable));
                assert!(asked.elapsed() < Duration::from_millis(2500));
            });
        }
    });
    let recovery = node.counts.recovery(address(0), Duration::ZERO);
    assert_eq!(recovery, Err(Refused::Unavailable));
    assert!(node.counts.standing(address(0)).is_err());
    right.into_iter().for_each(Attempt::forgive);

    proxy.fate.is_frozen.store(false, Ordering::SeqCst);
    let other = Node::of(place.open());
    for _ in 0..5 {
        eventually("the right ones to be taken back", || {
            begin(&other.counts).is_none()
        });
    }
    assert_eq!(begin(&other.counts), Some(NotBegun::Undecided));
}

#[test]
fn no_more_than_four_connections_serve_attempts() {
    let place = Place::new();
    let node = Node::of(place.open());
    let local = &node.store.database().unwrap().counts;
    let end = Instant::now() + QUESTION;
    let serving: Vec<_> = (0..MOST).map(|_| local.serve(end).ok().unwrap()).collect();

    let begun = node.counts.begin(browser("b"), address(0), Duration::ZERO);
    assert_eq!(begun.err(), Some(NotBegun::Unavailable));
    assert!(node.store.account("alice").is_ok());

    drop(serving);
    assert!(
        node.counts
            .begin(browser("b"), address(0), Duration::ZERO)
            .is_ok()
    );
}

#[test]
fn mails_of_two_nodes_share_their_limits_and_one_that_was_not_written_counts_for_none() {
    let place = Place::new();
    let nodes = two_nodes(&place);
    let rows = [
        (Key::Mailed(Digest::of("alice")), 20),
        (Key::UnprovenInAll, 200),
    ];
    let mail = |n: usize| nodes[n % 2].counts.mail(&rows).unwrap();
    let written: Vec<_> = (0..30).filter_map(mail).collect();
    assert_eq!(written.len(), 20);

    nodes[0].counts.take_mail_back(&rows, written[7]);
    assert!(mail(1).is_some());
    assert_eq!(mail(0), None);
}

#[test]
fn a_count_that_makes_no_difference_is_swept_and_the_lightest_make_room() {
    let place = Place::new();
    let node = Node::of(place.open());
    drop(
        node.counts
            .begin(account("alice"), address(4), Duration::ZERO)
            .ok()
            .unwrap(),
    );
    let rows = || place.sql("SELECT count(*) FROM throttle");
    assert_eq!(rows(), "5");
    node.store.database().unwrap().sweep_counts().unwrap();
    assert_eq!(rows(), "5");

    place.sql("UPDATE throttle SET until = 1 WHERE kind IN (1, 2)");
    place.sql(
        "INSERT INTO throttle (kind, key, until, heavy)
        SELECT 3, 'k' || n, 9000000000000000, n <= 100000 FROM generate_series(1, 100007) n",
    );
    node.store.database().unwrap().sweep_counts().unwrap();
    // Of the accounts those that may be lost lightly are gone.
    assert_eq!(
        place.sql("SELECT count(*) FROM throttle WHERE kind = 3"),
        "100000"
    );
    assert_eq!(
        place.sql("SELECT count(*) FROM throttle WHERE NOT heavy AND kind = 3"),
        "0"
    );
    assert_eq!(
        place.sql("SELECT count(*) FROM throttle WHERE kind <> 3"),
        "2"
    );
}
