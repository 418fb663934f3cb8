//! Session checks: those that the node answers from what it has read lately, beside a node on files,
//! and those for which it asks the database.

use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use crate::client::{KeyExchange, source};
use crate::cluster::Cluster;
use crate::columns::alternate;
use crate::crowd::{CONNECTIONS, repeat_in_turn};
use crate::database::people::{People, question, session_of};
use crate::database::{DATABASE, Database, FILES, on_files};
use crate::report::{self, Goal, Series, Target};
use crate::servers::{Pair, Server};

/// Sessions that are in use.
const IN_USE: usize = 1000;

/// Sessions that are asked about for the first time in a round.
const FIRST: usize = 4000;

/// From many sessions in use: checks a second, and how many of a hundred ask.
pub(crate) fn cached() {
    let (pair, people, cluster) = (Pair::new(), People::new(), Cluster::durable());
    let (users, sessions) = (people.users(IN_USE), people.sessions(IN_USE));
    let database = Database::with(&cluster, &users, &sessions);
    let questions: Vec<Vec<u8>> = (0..IN_USE).map(|n| question(&session_of(n))).collect();
    let asked = [database.start(&pair), on_files(&pair, &users, &sessions)];
    let transactions = || -> f64 {
        let count = "SELECT xact_commit + xact_rollback FROM pg_stat_database
            WHERE datname = current_database()";
        cluster.sql(&database.name, count).parse().unwrap()
    };
    let [rates, cpu, asking] = alternate(
        &asked,
        |server| server.name,
        |server| {
            let before = transactions();
            let [rate, cpu, answers] = repeat_in_turn(server, &questions);
            // What a connection has done is counted within a second.
            thread::sleep(std::time::Duration::from_millis(1500));
            let transactions = transactions() - before;
            [rate, cpu, 100.0 * transactions / answers]
        },
    );
    let what = format!("session checks a second, {IN_USE} in use, {CONNECTIONS} connections");
    let goal = Goal::Beside(FILES, Target::AtLeast(0.9));
    rates.print(&what, "/s", &[goal]);
    cpu.print("processor time of the server for each check", "ms", &[]);
    let what = "transactions in the database for a hundred checks, all chores among them";
    asking.print(what, "", &[Goal::Alone(Target::AtMost(1.0))]);
}

/// Milliseconds of checks that ask the database.
pub(crate) fn asking() {
    let (pair, people, cluster) = (Pair::new(), People::new(), Cluster::durable());
    let count = FIRST * report::rounds();
    let database = Database::with(&cluster, &people.users(count), &people.sessions(count));
    let server = database.start(&pair);
    let (mut first, mut unknown) = (Vec::new(), Vec::new());
    for round in 0..report::rounds() {
        let range = round * FIRST..(round + 1) * FIRST;
        first.push(times(&server, 200, range.clone(), session_of));
        let nobodys = |n: usize| session_of(n + 1_000_000);
        unknown.push(times(&server, 401, range, nobodys));
    }
    for (what, rounds) in [
        ("first check of a session", first),
        ("check of an unknown session", unknown),
    ] {
        let p99 = Series::new(rounds.iter().map(|times| times.quantile(0.99)));
        let median = Series::new(rounds.iter().map(Series::median));
        let what = format!("{what}, {CONNECTIONS} at once");
        let seen = format!(
            "p99 {:.1} ms ({}), median {:.1}",
            p99.median(),
            p99.range(),
            median.median()
        );
        report::line(&what, seen, p99.median(), Target::AtMost(10.0));
    }
    println!("{DATABASE}: each is asked about once");
}

/// Milliseconds of each check.
fn times(
    server: &Server,
    status: u16,
    sessions: std::ops::Range<usize>,
    who: impl Fn(usize) -> String + Sync,
) -> Series {
    let peer = server.peer(KeyExchange::AsBrowsers);
    let all_are_connected = Barrier::new(CONNECTIONS);
    let client = |client: usize| {
        let mut connection = peer.connect(source(client)).unwrap();
        all_are_connected.wait();
        let own = sessions.clone().skip(client).step_by(CONNECTIONS);
        let time = |n| {
            let question = question(&who(n));
            let asked = Instant::now();
            let answer = connection.ask(&question).unwrap();
            let took = asked.elapsed().as_secs_f64() * 1000.0;
            assert_eq!(answer.status, status, "{}", answer.head);
            took
        };
        own.map(time).collect::<Vec<f64>>()
    };
    let client = &client;
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|n| scope.spawn(move || client(n)))
            .collect();
        Series::new(
            clients
                .into_iter()
                .flat_map(|client| client.join().unwrap()),
        )
    })
}
