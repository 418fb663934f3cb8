//! From starting the program with many accounts to its first answer.

use std::time::Instant;

use crate::accounts::users;
use crate::client::{KeyExchange, get, source};
use crate::report::{self, Series, Target};
use crate::servers::{Ours, Pair};

const STARTS: usize = 11;
const ACCOUNTS: usize = 10_000;

pub(crate) fn run() {
    let pair = Pair::new();
    let users = users(ACCOUNTS);
    let times = Series::new((0..STARTS).map(|_| first_answer(&pair, &users)));

    let what = format!("start to first answer, {ACCOUNTS} accounts");
    let seen = format!("{:.0} ms ({})", times.median(), times.range());
    report::line(&what, seen, times.median(), Target::AtMost(100.0));
}

/// Milliseconds.
fn first_answer(pair: &Pair, users: &str) -> f64 {
    let dir = Ours::prepare(pair, Some(users));
    let begun = Instant::now();
    let server = Ours::start_in(dir, pair);
    let mut connection = server
        .peer(KeyExchange::AsBrowsers)
        .connect(source(0))
        .unwrap();
    let answer = connection.ask(&get("/healthz", "")).unwrap();
    let took = begun.elapsed();
    assert_eq!(answer.status, 200, "{}", answer.head);
    took.as_secs_f64() * 1000.0
}
