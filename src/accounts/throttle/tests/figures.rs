//! What somebody who guesses achieves if they use every moment: the figures of README.md.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::accounts::WrongCodes;

use super::*;

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// How many guesses are looked at until each of these times, if each address guesses again as soon
/// as it may. `guess` says what the n-th address tries next.
fn guesses<const N: usize>(
    addresses: u32,
    guess: impl Fn(u32, u32) -> (Target, IpAddr),
    until: [u64; N],
) -> [u32; N] {
    let throttle = Throttle::new(0);
    let end = until.into_iter().max().unwrap();
    let (mut looked_at, mut counts) = (0, [0; N]);
    let mut next: BinaryHeap<_> = (0..addresses).map(|n| Reverse((0, n))).collect();
    while let Some(Reverse((now, n))) = next.pop() {
        if now >= end {
            continue;
        }
        let (target, address) = guess(n, looked_at);
        match fail(&throttle, target, address, now) {
            Ok(()) => {
                looked_at += 1;
                for (count, until) in counts.iter_mut().zip(until) {
                    *count += u32::from(now < until);
                }
                next.push(Reverse((now, n)));
            }
            Err(wait) => next.push(Reverse((now + wait.max(1), n))),
        }
    }
    counts
}

/// Attempts a day, once the waits are at their longest.
const A_DAY: u32 = 96;

#[test]
fn at_one_account_five_and_96_a_day_from_each_of_up_to_five_networks() {
    let from = |addresses| {
        let one_name = |n: u32, _| (account("a"), address(n));
        guesses(addresses, one_name, [1, HOUR, DAY, 2 * DAY])
    };
    for networks in 1..=5 {
        let [at_once, hour, day, two_days] = from(networks);
        assert_eq!(at_once, 5 * networks);
        assert_eq!(hour, 17 * networks);
        // The first waits are shorter than a quarter of an hour, so eight more attempts fit into
        // the first day.
        assert_eq!(day, (5 + A_DAY + 8) * networks);
        assert_eq!(two_days - day, A_DAY * networks);
    }
}

#[test]
fn at_one_account_thirty_and_96_a_day_from_more_than_five_networks() {
    let one_name = |n: u32, _| (account("a"), address(n));
    let figures = [30, 36, 30 + A_DAY + 2, 30 + 2 * A_DAY + 2];
    for networks in [6, 100] {
        let seen = guesses(networks, one_name, [1, HOUR, DAY, 2 * DAY]);
        assert_eq!(seen, figures, "{networks}");
    }
    assert_eq!(guesses(10_000, one_name, [1, HOUR]), [30, 36]);
    // The same from as many networks of one /48.
    let in_one_48 = |n, _| (account("a"), v6(1, u16::try_from(n).unwrap()));
    let seen = guesses(1000, in_one_48, [1, HOUR, DAY, 2 * DAY]);
    assert_eq!(seen, figures);
}

#[test]
fn at_many_names_from_one_address_and_from_one_48() {
    let ever_new = |n: u32, so_far: u32| (account(&so_far.to_string()), address(n));
    assert_eq!(guesses(1, ever_new, [1, HOUR]), [20, 87]);
    let in_one_48 = |n, so_far: u32| {
        let network = u16::try_from(n).unwrap();
        (account(&so_far.to_string()), v6(1, network))
    };
    assert_eq!(guesses(1000, in_one_48, [1, HOUR]), [200, 627]);
}

#[test]
fn through_a_browser_that_the_account_knows() {
    let one_browser = |_, _| (browser("b"), HOME);
    let seen = guesses(1, one_browser, [1, HOUR, DAY, 2 * DAY]);
    assert_eq!(seen, [5, 17, 5 + A_DAY + 8, 5 + 2 * A_DAY + 8]);
}

#[test]
fn at_the_codes_of_one_account_a_hundred_in_all() {
    let mut wrong = WrongCodes::default();
    let (mut now, mut times) = (0, Vec::new());
    while !wrong.is_at_the_end() {
        now += wrong.wait(secs(now)).map_or(0, |wait| wait.as_secs());
        wrong.add(secs(now));
        times.push(now);
        assert_eq!(wrong.is_to_be_told(), times.len() == 20);
    }
    let until = |end| times.iter().filter(|time| **time < end).count();
    assert_eq!((until(1), until(HOUR), times.len()), (5, 17, 100));
    // Nearly a day, and the owner is told after the first hour and a half.
    assert_eq!((times[19], times[99]), (5523, 77_523));
}
