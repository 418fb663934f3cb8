//! How long a session that was ended at one node is let in by another, which is asked about it all
//! the time.

use std::thread;
use std::time::{Duration, Instant};

use crate::client::{KeyExchange, Peer, post, source};
use crate::cluster::Cluster;
use crate::database::Database;
use crate::database::people::{People, question, session_of};
use crate::report::{self, Series, Target};
use crate::servers::Pair;

const SESSIONS: usize = 1000;

/// Who end sessions at the same time.
const CLIENTS: usize = 8;

/// How long the other node is asked before the end.
const BEFORE: Duration = Duration::from_millis(100);

/// The end must hold within this, in milliseconds.
const LIMIT: f64 = 1000.0;

pub(crate) fn run() {
    let (pair, people, cluster) = (Pair::new(), People::new(), Cluster::durable());
    let (users, sessions) = (people.users(SESSIONS), people.sessions(SESSIONS));
    let database = Database::with(&cluster, &users, &sessions);
    let nodes = [database.start(&pair), database.start(&pair)];
    let [one, other] = [0, 1].map(|n: usize| nodes[n].peer(KeyExchange::AsBrowsers));
    let client = |client: usize| {
        let own = (client..SESSIONS).step_by(CLIENTS);
        own.map(|n| until_refused(&one, &other, client, n))
            .collect::<Vec<f64>>()
    };
    let client = &client;
    let times: Vec<f64> = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|n| scope.spawn(move || client(n)))
            .collect();
        let times = clients
            .into_iter()
            .flat_map(|client| client.join().unwrap());
        times.collect()
    });
    let in_time = times.iter().filter(|time| **time <= LIMIT).count();
    let times = Series::new(times);
    report::note(
        "ended at one node, refused at another",
        format!(
            "after {:.0} ms (median), {:.0} (p99), {:.0} (longest)",
            times.median(),
            times.quantile(0.99),
            times.quantile(1.0)
        ),
    );
    let what = format!("of {SESSIONS}, within {LIMIT} ms");
    let all = Target::AtLeast(SESSIONS as f64);
    report::line(&what, in_time, in_time as f64, all);
}

/// Milliseconds from the answer to a log-out at one node to the first refusal at the other.
fn until_refused(one: &Peer, other: &Peer, client: usize, n: usize) -> f64 {
    let mut other = other.connect(source(client)).unwrap();
    let mut one = one.connect(source(client)).unwrap();
    let question = question(&session_of(n));
    let begun = Instant::now();
    while begun.elapsed() < BEFORE {
        assert_eq!(other.ask(&question).unwrap().status, 200);
    }
    let answer = one.ask(&post("/logout", &session_of(n), "")).unwrap();
    let ended = Instant::now();
    assert_eq!(answer.status, 200, "{}", answer.head);
    while other.ask(&question).unwrap().status == 200 {}
    ended.elapsed().as_secs_f64() * 1000.0
}
