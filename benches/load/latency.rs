//! How long a page and a session check take while others log in, or guess passwords.
//!
//! A few who look ask now and then, whatever the others' answers take: one alone would ask less
//! often the slower the server is, and see the good moments.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::accounts::{guess, log_in, users};
use crate::client::{Connection, KeyExchange, Peer, get, source};
use crate::report::{self, Series, Target};
use crate::servers::{Build, Pair};

const ROUND: Duration = Duration::from_secs(4);
/// Before anything is measured, so that the queues have their length.
const WARM_UP: Duration = Duration::from_millis(500);
/// Who ask for the page, and as many who have a session checked.
const PROBERS: u32 = 10;
/// From one request of a prober to the next.
const PACE: Duration = Duration::from_millis(40);

const VISITORS: usize = 16;
const GUESSERS: usize = 200;
/// Enough that none logs in twice in a round.
const ACCOUNTS: usize = 1000;
/// The one whose session is checked.
const PROBER: usize = ACCOUNTS - 1;

/// What one round gave, in milliseconds.
struct Round {
    page: Series,
    check: Series,
    /// What the crowd got done each second.
    crowd: f64,
    refused: f64,
}

pub(crate) fn run() {
    let pair = Pair::new();
    let users = users(ACCOUNTS);
    let (mut quiet, mut logins, mut guesses) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..report::rounds() {
        // A server of its own for each, since codes and failures are remembered.
        let round = |crowd: Crowd| {
            let server = Build::this().start_with(&pair, Some(&users));
            probe(&server.peer(KeyExchange::AsBrowsers), crowd)
        };
        quiet.push(round(Crowd::Nobody));
        logins.push(round(Crowd::Visitors));
        guesses.push(round(Crowd::Guessers));
    }

    print(&quiet, "nobody else is there", None);
    print(&logins, &format!("{VISITORS} log in"), Some(10.0));
    let rate = Series::new(logins.iter().map(|round| round.crowd)).median();
    report::note("logins a second meanwhile", format!("{rate:.1}"));
    print(
        &guesses,
        &format!("{GUESSERS} guess passwords"),
        Some(250.0),
    );
    let rate = Series::new(guesses.iter().map(|round| round.crowd)).median();
    let refused = Series::new(guesses.iter().map(|round| round.refused)).median();
    let seen = format!("{rate:.1} looked at, {refused:.0} refused");
    report::note("guesses a second meanwhile", seen);
}

/// One of the measured series of a round.
type Pick = fn(&Round) -> &Series;

fn print(rounds: &[Round], while_what: &str, target: Option<f64>) {
    let rows: [(&str, Pick); 2] = [
        ("page", |round| &round.page),
        ("session check", |round| &round.check),
    ];
    for (name, of) in rows {
        let quantile = |part| Series::new(rounds.iter().map(|round| of(round).quantile(part)));
        let p99 = quantile(0.99);
        let what = format!("{name}, {while_what}");
        let seen = format!(
            "p99 {:.1} ms ({}), median {:.1}",
            p99.median(),
            p99.range(),
            quantile(0.5).median()
        );
        match target {
            Some(limit) => report::line(&what, seen, p99.median(), Target::AtMost(limit)),
            None => report::note(&what, seen),
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Crowd {
    Nobody,
    Visitors,
    Guessers,
}

fn probe(server: &Peer, crowd: Crowd) -> Round {
    let cookies = log_in(server, source(0), PROBER).unwrap();
    let session = format!("Accept: application/json\r\n{cookies}");
    let over = AtomicBool::new(false);
    let (done, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let next = AtomicUsize::new(0);
    let size = match crowd {
        Crowd::Nobody => 0,
        Crowd::Visitors => VISITORS,
        Crowd::Guessers => GUESSERS,
    };
    thread::scope(|scope| {
        for n in 1..=size {
            let (over, done, refused, next) = (&over, &done, &refused, &next);
            scope.spawn(move || match crowd {
                Crowd::Guessers => guess_until(over, server, n, done, refused),
                _ => log_in_until(over, server, n, next, done),
            });
        }
        thread::sleep(WARM_UP);
        let before = (
            done.load(Ordering::Relaxed),
            refused.load(Ordering::Relaxed),
        );
        let begun = Instant::now();
        let pages = scope.spawn(|| times(server, &get("/login", "")));
        let checks = scope.spawn(|| times(server, &get("/account", &session)));
        let (page, check) = (pages.join().unwrap(), checks.join().unwrap());
        let seconds = begun.elapsed().as_secs_f64();
        let each_second =
            |now: &AtomicUsize, before| (now.load(Ordering::Relaxed) - before) as f64 / seconds;
        let (crowd, refused) = (
            each_second(&done, before.0),
            each_second(&refused, before.1),
        );
        over.store(true, Ordering::Relaxed);
        Round {
            page,
            check,
            crowd,
            refused,
        }
    })
}

/// Milliseconds of each request of all probers, who take turns to begin.
fn times(server: &Peer, request: &[u8]) -> Series {
    let begun = Instant::now();
    let prober = |n| {
        let mut connection = server.connect(source(0)).unwrap();
        let mut due = begun + PACE * n / PROBERS;
        let mut times = Vec::new();
        while due < begun + ROUND {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let asked = Instant::now();
            let answer = connection.ask(request).unwrap();
            times.push(asked.elapsed().as_secs_f64() * 1000.0);
            assert_eq!(answer.status, 200, "{}", answer.head);
            due = (due + PACE).max(Instant::now());
        }
        times
    };
    let prober = &prober;
    thread::scope(|scope| {
        let probers: Vec<_> = (0..PROBERS)
            .map(|n| scope.spawn(move || prober(n)))
            .collect();
        Series::new(
            probers
                .into_iter()
                .flat_map(|prober| prober.join().unwrap()),
        )
    })
}

fn log_in_until(
    over: &AtomicBool,
    server: &Peer,
    n: usize,
    next: &AtomicUsize,
    done: &AtomicUsize,
) {
    while !over.load(Ordering::Relaxed) {
        let account = next.fetch_add(1, Ordering::Relaxed);
        assert!(account < PROBER, "more logins than accounts");
        log_in(server, source(n), account).unwrap();
        done.fetch_add(1, Ordering::Relaxed);
    }
}

/// Guesses as fast as answers come, each at another account.
fn guess_until(
    over: &AtomicBool,
    server: &Peer,
    n: usize,
    done: &AtomicUsize,
    refused: &AtomicUsize,
) {
    let mut connection = None;
    let mut account = n;
    while !over.load(Ordering::Relaxed) {
        account = (account + GUESSERS) % PROBER;
        match status(&mut connection, server, n, &guess(account)) {
            Ok(401) => done.fetch_add(1, Ordering::Relaxed),
            // Busy or throttled, or turned away at the door.
            Ok(_) | Err(_) => refused.fetch_add(1, Ordering::Relaxed),
        };
    }
}

/// Asks on the connection that is open, or on a new one; it stays open if it can.
fn status(
    open: &mut Option<Connection>,
    server: &Peer,
    n: usize,
    request: &[u8],
) -> io::Result<u16> {
    let mut connection = match open.take() {
        Some(connection) => connection,
        None => server.connect(source(n))?,
    };
    let answer = connection.ask(request)?;
    *open = Some(connection);
    Ok(answer.status)
}
