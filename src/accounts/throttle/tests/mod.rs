//! The rule, with the time passed in.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::limits::MAX_WAIT;
use super::*;

mod figures;

const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn account(name: &str) -> Target {
    Target::Account(Digest::of(name))
}

fn browser(name: &str) -> Target {
    Target::Device(Digest::of(name))
}

fn address(n: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(n))
}

/// An address in the /64 with the number `network` of the /48 with the number `block`.
fn v6(block: u16, network: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, block, network, 0, 0, 0, 1))
}

/// Tries a wrong password; gives the seconds to wait if it comes too early.
fn fail(throttle: &Throttle, target: Target, address: IpAddr, now: u64) -> Result<(), u64> {
    match throttle.begin(target, address, secs(now)) {
        Ok(attempt) => {
            drop(attempt);
            Ok(())
        }
        Err(TooEarly::Wait(wait)) => Err(wait.as_secs()),
        Err(TooEarly::Undecided) => panic!("all is decided"),
    }
}

/// Tries wrong passwords one after the other, each as soon as it may; gives the waits in between.
fn waits(throttle: &Throttle, target: Target, address: IpAddr, tries: usize) -> Vec<u64> {
    let (mut now, mut waits) = (1000, Vec::new());
    for _ in 0..tries {
        let wait = fail(throttle, target, address, now).err().unwrap_or(0);
        if wait > 0 {
            assert_eq!(
                fail(throttle, target, address, now + wait - 1),
                Err(1),
                "not a second earlier"
            );
            now += wait;
            assert_eq!(fail(throttle, target, address, now), Ok(()), "and then");
        }
        waits.push(wait);
    }
    waits
}

#[test]
fn the_sixth_failure_in_a_row_from_a_network_waits_and_each_one_twice_as_long() {
    let throttle = Throttle::new(0);
    let seen = waits(&throttle, account("a"), HOME, 17);
    assert_eq!(seen[..5], [0; 5]);
    assert_eq!(seen[5..], [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
    // From elsewhere, the owner notices nothing.
    assert_eq!(fail(&throttle, account("a"), address(9), 1000), Ok(()));
}

#[test]
fn a_second_is_a_second_wherever_in_one_it_begins() {
    let throttle = Throttle::new(0);
    let begin = |millis| throttle.begin(account("a"), HOME, Duration::from_millis(millis));
    for _ in 0..6 {
        drop(begin(100_931));
    }
    let early = TooEarly::Wait(Duration::from_millis(1));
    assert_eq!(begin(101_930).err(), Some(early));
    assert!(begin(101_931).is_ok());
}

#[test]
fn nobody_from_five_networks_makes_an_owner_elsewhere_wait() {
    let throttle = Throttle::new(0);
    let networks = [address(1), address(2), v6(1, 1), v6(2, 1), v6(3, 1)];
    for now in 0..2000 {
        for network in networks {
            let _ = fail(&throttle, account("a"), network, now);
        }
    }
    assert_eq!(fail(&throttle, account("a"), HOME, 2000), Ok(()));
}

#[test]
fn from_the_thirtieth_failure_of_more_networks_on_an_account_waits_everywhere() {
    let throttle = Throttle::new(0);
    for network in 0..6 {
        for _ in 0..5 {
            assert_eq!(fail(&throttle, account("a"), address(network), 100), Ok(()));
        }
    }
    let mut now = 100;
    for (n, wait) in (100..).zip([60, 120, 240, 480, 900, 900]) {
        // Each from a new network, as every failure adds now.
        assert_eq!(fail(&throttle, account("a"), address(n), now), Err(wait));
        now += wait;
        assert_eq!(fail(&throttle, account("a"), address(n), now), Ok(()));
    }
    assert_eq!(fail(&throttle, account("b"), address(1), now), Ok(()));
    throttle.clear(account("a"));
    assert_eq!(fail(&throttle, account("a"), HOME, now), Ok(()), "cleared");
}

#[test]
fn a_48_is_one_place_to_an_account_and_has_thirty_tries_at_it() {
    let throttle = Throttle::new(0);
    for network in 0..30 {
        assert_eq!(fail(&throttle, account("a"), v6(1, network), 100), Ok(()));
    }
    let mut now = 100;
    for (network, wait) in (100..).zip([60, 120]) {
        let early = fail(&throttle, account("a"), v6(1, network), now);
        assert_eq!(early, Err(wait), "a new /64 helps nobody");
        now += wait;
        assert_eq!(fail(&throttle, account("a"), v6(1, network), now), Ok(()));
    }
    // To the others this is one network, which adds five.
    for neighbour in [address(1), address(2), v6(2, 1), v6(3, 1)] {
        for _ in 0..5 {
            assert_eq!(fail(&throttle, account("a"), neighbour, 200), Ok(()));
        }
    }
    assert_eq!(fail(&throttle, account("a"), HOME, 200), Ok(()));
}

#[test]
fn a_forgiven_attempt_does_not_count() {
    let throttle = Throttle::new(0);
    for target in [account("a"), browser("b")] {
        for now in 0..100 {
            for address in [HOME, v6(1, 1)] {
                let attempt = throttle.begin(target, address, secs(now)).ok().unwrap();
                attempt.forgive();
            }
        }
        assert_eq!(fail(&throttle, target, HOME, 100), Ok(()));
    }
}

/// Ways to reach each limit by attempts that are all still being looked at.
type Way = (&'static str, u32, fn(u32) -> (Target, IpAddr));

const WAYS: [Way; 7] = [
    ("an account from a network", 5, |_| (account("a"), HOME)),
    ("an account from a /48", 30, |n| {
        (account("a"), v6(1, u16::try_from(n).unwrap()))
    }),
    ("an account from everywhere", 30, |n| {
        (account("a"), address(n))
    }),
    ("an account from six networks", 30, |n| {
        (account("a"), address(n % 6))
    }),
    ("a network", 20, |n| (account(&n.to_string()), HOME)),
    ("a /48", 200, |n| {
        let network = u16::try_from(n).unwrap();
        (account(&n.to_string()), v6(1, network))
    }),
    ("a browser", 5, |_| (browser("b"), HOME)),
];

#[test]
fn a_limit_that_only_the_undecided_reach_refuses_nobody_before_they_are_decided() {
    for (what, limit, way) in WAYS {
        let throttle = Throttle::new(0);
        let begin = |n, now| {
            let (target, address) = way(n);
            throttle.begin(target, address, secs(now))
        };
        let mut begun: Vec<_> = (0..limit).map(|n| begin(n, 7).ok().unwrap()).collect();
        assert_eq!(begin(limit, 7).err(), Some(TooEarly::Undecided), "{what}");

        // One was right, so there is room for one.
        let again = || begin(limit - 1, 7);
        begun.pop().unwrap().forgive();
        begun.push(again().ok().unwrap());
        assert_eq!(again().err(), Some(TooEarly::Undecided), "{what}");

        // All but one are wrong, so that one decides.
        let last = begun.pop().unwrap();
        begun.clear();
        assert_eq!(again().err(), Some(TooEarly::Undecided), "{what}");
        drop(last);
        let refused = again().err();
        assert!(matches!(refused, Some(TooEarly::Wait(_))), "{what}");
    }
}

#[test]
fn a_network_and_a_48_wait_after_twenty_and_two_hundred_failures() {
    let throttle = Throttle::new(0);
    let guess = |n: u32, from| fail(&throttle, account(&n.to_string()), from, 100);
    for n in 0..20 {
        assert_eq!(guess(n, HOME), Ok(()));
    }
    assert_eq!(guess(20, HOME), Err(1));
    assert_eq!(guess(20, address(7)), Ok(()));

    for n in 0..200 {
        let network = u16::try_from(n / 20).unwrap();
        assert_eq!(guess(100 + n, v6(1, network)), Ok(()));
    }
    assert_eq!(guess(400, v6(1, 77)), Err(1), "a new /64 of the same /48");
    assert_eq!(guess(400, v6(2, 77)), Ok(()));
    // A quarter of an hour later they no longer count.
    assert_eq!(fail(&throttle, account("x"), HOME, 100 + 900), Ok(()));
}

#[test]
fn who_has_failed_stands_behind_who_has_not_and_a_new_64_behind_its_48() {
    let throttle = Throttle::new(0);
    let failures = |from| match throttle.standing(from) {
        Standing::Stranger { failures } => failures,
        Standing::Known => panic!("nobody is known"),
    };
    for n in 0..20 {
        let from = v6(1, u16::try_from(n).unwrap());
        assert_eq!(fail(&throttle, account(&n.to_string()), from, 100), Ok(()));
    }
    assert_eq!(fail(&throttle, account("x"), HOME, 100), Ok(()));

    assert_eq!(failures(HOME), 1);
    assert_eq!(failures(v6(1, 77)), 2, "a new /64 of a /48 that failed");
    assert_eq!(failures(v6(2, 77)), 0);
    assert_eq!(failures(address(7)), 0);
}

#[test]
fn a_login_clears_an_accounts_counts_and_not_its_networks() {
    let throttle = Throttle::new(0);
    for n in 0..15 {
        assert_eq!(fail(&throttle, account(&n.to_string()), HOME, 100), Ok(()));
    }
    for _ in 0..5 {
        assert_eq!(fail(&throttle, account("mine"), HOME, 100), Ok(()));
    }
    throttle.clear(account("mine"));
    assert_eq!(fail(&throttle, account("mine"), HOME, 100), Err(1));
    assert_eq!(fail(&throttle, account("mine"), address(1), 100), Ok(()));
}

#[test]
fn each_member_of_a_network_buys_it_one_more_failure_for_an_hour() {
    let throttle = Throttle::new(0);
    for home in [HOME, v6(1, 1)] {
        for n in 0..250 {
            throttle.note_member(Digest::of(&n.to_string()), home, secs(1000));
            // Twice is once.
            throttle.note_member(Digest::of(&n.to_string()), home, secs(1000));
        }
        let guess = |n: u32, now| fail(&throttle, account(&n.to_string()), home, now);
        for n in 0..270 {
            assert_eq!(guess(n, 1000), Ok(()));
        }
        assert_eq!(guess(270, 1000), Err(1));
        // An hour later it is a network like any other.
        for n in 0..20 {
            assert_eq!(guess(n, 1000 + 3600), Ok(()));
        }
        assert!(guess(20, 1000 + 3600).is_err());
        throttle.clear(account("0"));
    }
}

#[test]
fn a_club_of_which_a_tenth_mistypes_does_not_wait() {
    let throttle = Throttle::new(0);
    for n in 0..250 {
        let name = n.to_string();
        let now = 1000 + n / 4;
        if n % 10 == 0 {
            assert_eq!(fail(&throttle, account(&name), HOME, now), Ok(()));
        }
        let right = throttle.begin(account(&name), HOME, secs(now));
        right.ok().unwrap().forgive();
        throttle.clear(account(&name));
        throttle.note_member(Digest::of(&name), HOME, secs(now));
    }
}

#[test]
fn a_known_browser_waits_for_its_own_failures_only_and_counts_for_nothing_else() {
    let throttle = Throttle::new(0);
    for n in 0..100 {
        let _ = fail(&throttle, account("a"), address(n), 100);
        let _ = fail(&throttle, account(&n.to_string()), HOME, 100);
    }
    let seen = waits(&throttle, browser("own"), HOME, 17);
    assert_eq!(seen[..5], [0; 5]);
    assert_eq!(seen[5..8], [1, 2, 4]);
    assert_eq!(seen[14..], [512, 900, 900]);

    let throttle = Throttle::new(0);
    for n in 0..100 {
        let _ = fail(&throttle, browser(&n.to_string()), HOME, 100);
        drop(code(&throttle, CodeFrom::KnownBrowser, 100));
    }
    for _ in 0..5 {
        assert_eq!(fail(&throttle, account("a"), HOME, 100), Ok(()));
    }
}

fn code(throttle: &Throttle, from: CodeFrom, now: u64) -> Result<Attempt<'_>, TooEarly> {
    throttle.begin_code(from, HOME, None, secs(now))
}

#[test]
fn codes_and_passwords_are_failures_of_one_network() {
    let throttle = Throttle::new(0);
    for n in 0..10 {
        drop(code(&throttle, CodeFrom::Stranger, 7).ok().unwrap());
        assert_eq!(fail(&throttle, account(&n.to_string()), HOME, 7), Ok(()));
    }
    let early = TooEarly::Wait(secs(1));
    assert_eq!(code(&throttle, CodeFrom::Stranger, 7).err(), Some(early));
    assert_eq!(fail(&throttle, account("a"), HOME, 7), Err(1));
    assert!(code(&throttle, CodeFrom::KnownBrowser, 7).is_ok());
}

#[test]
fn who_types_a_recovery_code_or_has_a_mailed_password_does_not_wait_for_the_network() {
    let throttle = Throttle::new(0);
    for n in 0..20 {
        let _ = fail(&throttle, account(&n.to_string()), HOME, 7);
    }
    for _ in 0..50 {
        drop(code(&throttle, CodeFrom::Excused, 7).ok().unwrap());
    }
    // Nor does what was let through make the wait longer for the others.
    assert_eq!(fail(&throttle, account("a"), HOME, 7), Err(1));
    // The account's own wait holds.
    let begun = throttle.begin_code(CodeFrom::Excused, HOME, Some(secs(5)), secs(7));
    assert_eq!(begun.err(), Some(TooEarly::Wait(secs(5))));
}

#[test]
fn the_longest_of_several_waits_is_told() {
    let throttle = Throttle::new(0);
    for n in 0..22 {
        let _ = fail(&throttle, account(&n.to_string()), HOME, 7 + n * 2);
    }
    for of_account in [1, 100, 900] {
        let wait = Some(secs(of_account));
        let begun = throttle.begin_code(CodeFrom::Stranger, HOME, wait, secs(50));
        let network = throttle.begin_code(CodeFrom::Stranger, HOME, None, secs(50));
        let Some(TooEarly::Wait(network)) = network.err() else {
            panic!("the network waits");
        };
        let longest = network.max(secs(of_account));
        assert_eq!(begun.err(), Some(TooEarly::Wait(longest)));
    }
}

#[test]
fn waiting_as_told_is_enough_though_members_leave_meanwhile() {
    let throttle = Throttle::new(0);
    for n in 0..4 {
        throttle.note_member(Digest::of(&n.to_string()), HOME, secs(1000));
    }
    // Four more failures than a network without members may have: a second to wait now, sixteen
    // once the members are gone.
    for n in 0..24 {
        assert_eq!(fail(&throttle, account(&n.to_string()), HOME, 4599), Ok(()));
    }
    assert_eq!(fail(&throttle, account("x"), HOME, 4599), Err(16));
    assert_eq!(fail(&throttle, account("x"), HOME, 4599 + 15), Err(1));
    assert_eq!(fail(&throttle, account("x"), HOME, 4599 + 16), Ok(()));
}

/// Numbers that look random and are the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

#[test]
fn whatever_has_happened_waiting_as_told_is_enough_and_less_is_not() {
    let mut numbers = Numbers(88_172_645_463_325_252);
    for _ in 0..200 {
        let throttle = Throttle::new(0);
        let mut now = Duration::from_millis(10_000_000);
        for _ in 0..150 {
            now += Duration::from_millis(numbers.below(60_000));
            let name = numbers.below(4).to_string();
            let target = account(&name);
            let from = match numbers.below(3) {
                0 => address(u32::try_from(numbers.below(8)).unwrap()),
                1 => v6(1, u16::try_from(numbers.below(8)).unwrap()),
                _ => HOME,
            };
            if numbers.below(5) == 0 {
                throttle.note_member(Digest::of(&name), from, now);
            }
            match throttle.begin(target, from, now) {
                Ok(attempt) if numbers.below(20) == 0 => attempt.forgive(),
                Ok(attempt) => drop(attempt),
                Err(TooEarly::Undecided) => panic!("all is decided"),
                Err(TooEarly::Wait(wait)) => {
                    assert!(wait <= MAX_WAIT);
                    let just_before = now + wait - Duration::from_millis(1);
                    let early = throttle.begin(target, from, just_before);
                    assert!(early.is_err(), "less than what is left was told");
                    let then = throttle.begin(target, from, now + wait);
                    assert!(then.is_ok(), "waiting as told is enough");
                    let _ = then.map(Attempt::forgive);
                }
            }
        }
    }
}

#[test]
fn made_up_names_and_networks_lock_out_nobody_and_forgive_nobody() {
    let throttle = Throttle::new(0);
    for n in 0..6 {
        for _ in 0..5 {
            let _ = fail(&throttle, account("victim"), address(n), 100);
        }
    }
    let rows = u32::try_from(MAX_ROWS).unwrap();
    for n in 0..rows + 500 {
        let _ = fail(&throttle, account(&n.to_string()), address(n), 101);
        let place = v6(u16::try_from(n).unwrap(), 1);
        let _ = fail(&throttle, account("another"), place, 101);
        let _ = fail(&throttle, browser(&n.to_string()), HOME, 101);
        let _ = throttle.recovery(place, secs(101));
        throttle.note_member(Digest::of(&n.to_string()), place, secs(101));
    }
    let state = throttle.state();
    assert!(state.from_networks.len() <= MAX_ROWS && state.from_blocks.len() <= MAX_ROWS);
    assert!(state.accounts.len() <= MAX_ROWS && state.browsers.len() <= MAX_ROWS);
    assert!(state.networks.len() <= MAX_ROWS && state.recoveries.len() <= MAX_ROWS);
    assert!(state.blocks.len() <= MAX_LARGE_ROWS && state.members.len() <= MAX_LARGE_ROWS);
    drop(state);
    assert_eq!(fail(&throttle, account("somebody else"), HOME, 102), Ok(()));
    assert!(throttle.recovery(HOME, secs(102)).is_ok());
    assert!(fail(&throttle, account("victim"), HOME, 102).is_err());
}

#[test]
fn registrations_and_recoveries_are_limited_by_network_and_ten_times_so_by_48() {
    let throttle = Throttle::new(2);
    let (registration, recovery) = (
        |from, now| throttle.registration(from, secs(now)),
        |from, now| throttle.recovery(from, secs(now)),
    );
    for (take, limit) in [
        (
            &registration as &dyn Fn(IpAddr, u64) -> Result<(), Duration>,
            2,
        ),
        (&recovery, 20),
    ] {
        for _ in 0..limit {
            assert_eq!(take(HOME, 100), Ok(()));
        }
        assert_eq!(take(HOME, 110), Err(secs(3590)));
        assert_eq!(take(HOME, 3699), Err(secs(1)));
        assert_eq!(take(HOME, 3700), Ok(()));
        assert_eq!(take(address(1), 100), Ok(()));
        for n in 0..limit * 10 {
            assert_eq!(take(v6(1, n / limit), 100), Ok(()));
        }
        assert_eq!(take(v6(1, 77), 110), Err(secs(3590)));
        assert_eq!(take(v6(2, 77), 110), Ok(()));
        assert_eq!(take(v6(1, 77), 3700), Ok(()));
    }
}

#[test]
fn a_registration_that_is_forgiven_is_none_and_zero_is_no_limit() {
    let throttle = Throttle::new(1);
    for n in 0..100 {
        for from in [HOME, v6(1, 1)] {
            assert_eq!(throttle.registration(from, secs(n)), Ok(()));
            throttle.forgive_registration(from, secs(n));
        }
    }
    let throttle = Throttle::new(0);
    for _ in 0..1000 {
        assert_eq!(throttle.registration(HOME, secs(1)), Ok(()));
    }
}

#[test]
fn a_clock_set_back_makes_nobody_wait_longer() {
    use crate::accounts::WrongCodes;
    let mut wrong = WrongCodes::default();
    for _ in 0..6 {
        wrong.add(secs(1_000_000));
    }
    let wait = Some(secs(2));
    assert_eq!(wrong.wait(secs(1_000_000)), wait);
    assert_eq!(wrong.wait(secs(1_000_000 - 60)), wait);
    assert_eq!(wrong.wait(secs(1_000_000 - 61)), None);
    assert_eq!(wrong.wait(secs(1_000_002)), None);
    // The next one counts by the clock as it is.
    wrong.add(secs(0));
    assert_eq!(wrong.wait(secs(0)), Some(secs(4)));
}
