//! The rule, with the time passed in.

mod accounts;
mod figures;
mod networks;
mod waits;

use std::net::{Ipv4Addr, Ipv6Addr};

use super::*;

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

fn code(throttle: &Throttle, from: CodeFrom, now: u64) -> Result<Attempt<'_>, TooEarly> {
    throttle.begin_code(from, HOME, None, secs(now))
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
