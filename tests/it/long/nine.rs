//! Nine o'clock: all come at once to log in. Nobody is sent away, and whoever only looks at a page
//! does not notice.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::Server;
use crate::long::load::look_until;
use crate::long::owners::{Account, users};
use crate::long::usage::{Usage, watch};
use crate::long::{percentile, setup};

const PEOPLE: u32 = 300;
/// The first comes at its beginning, the last at its end.
const ALL_COME: Duration = Duration::from_secs(10);
/// From the arrival of the first.
const ALL_ARE_IN: Duration = Duration::from_secs(15);
const SLOWEST_PAGE: Duration = Duration::from_millis(50);

#[test]
fn three_hundred_who_come_within_ten_seconds_are_in_within_fifteen() {
    rush(PEOPLE, |n| {
        Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 1, 0, 1)) + n)
    });
}

/// People who come from as many addresses as `source` gives them.
fn rush(people: u32, source: impl Fn(u32) -> Ipv4Addr) {
    let count = usize::try_from(people).unwrap();
    let server = &setup(&users(count + 1)).start();
    let reader = Ipv4Addr::new(127, 0, 0, 2);
    let session = Account::numbered(count).log_in(server, reader, ALL_ARE_IN);
    let session = session.cookies.as_str();
    let look = |over| {
        thread::scope(|scope| {
            let pages = scope.spawn(|| look_until(over, server, "/login", ""));
            let checks = look_until(over, server, "/account", session);
            [pages.join().unwrap(), checks].map(|times| percentile(99, times))
        })
    };

    let over = &AtomicBool::new(false);
    let calm = thread::scope(|scope| {
        let looks = scope.spawn(|| look(over));
        thread::sleep(ALL_COME);
        over.store(true, Ordering::Relaxed);
        looks.join().unwrap()
    });
    over.store(false, Ordering::Relaxed);
    let begun = Instant::now();
    let (waits, all_in, busy, most) = thread::scope(|scope| {
        let looks = scope.spawn(|| look(over));
        let most = scope.spawn(|| watch(over, server));
        let comers: Vec<_> = (0..people)
            .map(|n| {
                thread::sleep((ALL_COME * n / (people - 1)).saturating_sub(begun.elapsed()));
                let source = source(n);
                scope.spawn(move || come(server, source, usize::try_from(n).unwrap()))
            })
            .collect();
        let waits: Vec<Duration> = comers.into_iter().map(|one| one.join().unwrap()).collect();
        let all_in = begun.elapsed();
        over.store(true, Ordering::Relaxed);
        (waits, all_in, looks.join().unwrap(), most.join().unwrap())
    });

    println!("all in after {all_in:.1?}, none told to come again");
    let typical = percentile(50, waits.clone());
    println!(
        "a login: median {typical:.1?}, longest {:.1?}",
        percentile(100, waits)
    );
    println!("page p99 {:.1?}, before {:.1?}", busy[0], calm[0]);
    println!("session check p99 {:.1?}, before {:.1?}", busy[1], calm[1]);
    println!("at most {most}");
    assert!(all_in <= ALL_ARE_IN);
    assert!(busy.iter().all(|p99| *p99 <= SLOWEST_PAGE));
    let promised = Usage::PROMISED;
    assert!(most.threads <= promised.threads && most.memory <= promised.memory);
}

/// How long it takes somebody to log in, with both factors and at the first try.
fn come(server: &Server, source: Ipv4Addr, n: usize) -> Duration {
    let come = Instant::now();
    let tried = Account::numbered(n).log_in_at_once(server, source);
    tried.unwrap_or_else(|refused| panic!("user{n} is refused: {refused}"));
    come.elapsed()
}
