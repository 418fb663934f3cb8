//! Logins with both factors, one at a time and many at a time, next to the build before.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::accounts::{log_in, users};
use crate::client::{KeyExchange, source};
use crate::columns::alternate;
use crate::report::{self, Goal, Series, Target};
use crate::servers::{Build, Pair, Server};

const AT_A_TIME: usize = 16;
const ROUND: Duration = Duration::from_secs(4);
/// One at a time, in a round.
const ALONE: usize = 12;
/// Enough that no account's turn comes twice while its code is good for one login.
const ACCOUNTS: usize = 3000;

pub(crate) fn run() {
    let pair = Pair::new();
    let users = users(ACCOUNTS);
    let servers: Vec<(Server, AtomicUsize)> = Build::all()
        .iter()
        .map(|build| (build.start_with(&pair, Some(&users)), AtomicUsize::new(0)))
        .collect();
    let [alone, rates, cpu] = alternate(
        &servers,
        |(server, _)| server.name,
        |(server, next)| {
            let alone = one_by_one(server, next);
            let [rate, cpu] = all_at_once(server, next);
            [alone, rate, cpu]
        },
    );
    let before = Build::BEFORE;
    let no_slower = Goal::Beside(before, Target::AtMost(1.05));
    alone.print("a login, one at a time", "ms", &[no_slower]);
    let more = Goal::Beside(before, Target::AtLeast(2.2));
    let title = format!("logins a second, {AT_A_TIME} at a time");
    rates.print(&title, "/s", &[more]);
    cpu.print("processor time of the server for each", "ms", &[]);
}

/// The median in milliseconds.
fn one_by_one(server: &Server, next: &AtomicUsize) -> f64 {
    let times = (0..ALONE).map(|_| {
        let begun = Instant::now();
        log_in_next(server, 0, next);
        begun.elapsed().as_secs_f64() * 1000.0
    });
    Series::new(times).median()
}

/// How many a second, and milliseconds of processor time for each.
fn all_at_once(server: &Server, next: &AtomicUsize) -> [f64; 2] {
    let (over, done) = (&AtomicBool::new(false), &AtomicUsize::new(0));
    let (begun, cpu) = (Instant::now(), server.cpu());
    thread::scope(|scope| {
        for n in 0..AT_A_TIME {
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    log_in_next(server, n, next);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        thread::sleep(report::round(ROUND));
        over.store(true, Ordering::Relaxed);
    });
    let done = done.load(Ordering::Relaxed) as f64;
    [
        done / begun.elapsed().as_secs_f64(),
        (server.cpu() - cpu) / done,
    ]
}

fn log_in_next(server: &Server, from: usize, next: &AtomicUsize) {
    let account = next.fetch_add(1, Ordering::Relaxed) % ACCOUNTS;
    let peer = server.peer(KeyExchange::AsBrowsers);
    log_in(&peer, source(from), account).unwrap();
}
