//! From starting a server with many accounts to its first answer. Ours reads them all; Glewlwyd
//! looks into its database when it is asked.

use std::time::Instant;

use tempfile::TempDir;

use crate::accounts::{log_in, users};
use crate::client::{KeyExchange, get, source};
use crate::columns::alternate;
use crate::report::{Goal, Target};
use crate::servers::{Build, Pair, Server};
use crate::{glewlwyd, report};

/// In each round: starts are short.
const STARTS: usize = 3;
const ACCOUNTS: usize = 10_000;

/// One that can be started, with what it wrote before.
struct Startable<'a> {
    name: &'static str,
    start: Box<dyn Fn(TempDir) -> Server + 'a>,
    dir: Option<TempDir>,
}

pub(crate) fn run() {
    let pair = Pair::new();
    let users = users(ACCOUNTS);
    let mut all: Vec<_> = Build::all()
        .into_iter()
        .map(|build| ours(build, &pair, &users))
        .collect();
    if let Some(server) = glewlwyd::start_with(&pair, b"<p>", ACCOUNTS) {
        all.push(Startable {
            name: server.name,
            start: Box::new(|dir| glewlwyd::start_in(dir, &pair)),
            dir: Some(server.stop()),
        });
    }
    let all: Vec<_> = all.into_iter().map(std::cell::RefCell::new).collect();
    let [times] = alternate(
        &all,
        |one| one.borrow().name,
        |one| {
            let mut one = one.borrow_mut();
            let times = (0..STARTS).map(|_| first_answer(&mut one));
            [report::Series::new(times).median()]
        },
    );
    times.print(
        &format!("start to first answer, {ACCOUNTS} accounts"),
        "ms",
        &[Goal::Alone(Target::AtMost(60.0))],
    );
}

/// One that has saved the accounts as it likes them.
fn ours<'a>(build: Build, pair: &'a Pair, users: &str) -> Startable<'a> {
    let server = build.start_with(pair, Some(users));
    log_in(&server.peer(KeyExchange::AsBrowsers), source(0), 0).unwrap();
    Startable {
        name: server.name,
        dir: Some(server.stop()),
        start: Box::new(move |dir| build.start_in(dir, pair, &[])),
    }
}

/// Milliseconds.
fn first_answer(one: &mut Startable<'_>) -> f64 {
    let dir = one.dir.take().unwrap();
    let begun = Instant::now();
    let server = (one.start)(dir);
    let mut connection = server
        .peer(KeyExchange::AsBrowsers)
        .connect(source(0))
        .unwrap();
    let answer = connection.ask(&get(server.page, "")).unwrap();
    let took = begun.elapsed();
    assert_eq!(answer.status, 200, "{}", answer.head);
    drop(connection);
    one.dir = Some(server.stop());
    took.as_secs_f64() * 1000.0
}
