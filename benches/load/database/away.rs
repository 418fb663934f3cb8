//! A database that is frozen: how long applications stay open, what is answered then, whether pages
//! that need no store notice, and how soon all is as before.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{KeyExchange, Peer, get, post, source};
use crate::cluster::Cluster;
use crate::database::Database;
use crate::database::people::{People, question, session_of};
use crate::report::{self, Series, Target};
use crate::servers::Pair;

const FROZEN: Duration = Duration::from_secs(12);

/// Between two questions, and between two looks at a page.
const PACE: Duration = Duration::from_millis(20);

/// What one round gave, in seconds, and pages in milliseconds.
struct Round {
    last_yes: f64,
    back: f64,
    change: f64,
    before: Series,
    meanwhile: Series,
}

pub(crate) fn run() {
    let (pair, people, cluster) = (Pair::new(), People::new(), Cluster::durable());
    let database = Database::with(&cluster, &people.users(1), &people.sessions(1));
    let server = database.start(&pair);
    let peer = server.peer(KeyExchange::AsBrowsers);
    let rounds: Vec<Round> = (0..report::rounds())
        .map(|_| round(&cluster, &peer))
        .collect();

    let of = |pick: fn(&Round) -> f64| Series::new(rounds.iter().map(pick));
    let yes = of(|round| round.last_yes);
    at_most("database frozen: the last yes", &yes, 6.0);
    let change = of(|round| round.change);
    at_most("a change, once the node knows: busy", &change, 0.5);
    let back = of(|round| round.back);
    at_most("back: the first yes", &back, 2.0);
    let before = of(|round| round.before.quantile(0.99));
    report::note("page p99, before", seen(&before, "ms"));
    let meanwhile = of(|round| round.meanwhile.quantile(0.99));
    report::note("page p99, while it is frozen", seen(&meanwhile, "ms"));
}

/// A line about seconds: the longest of all rounds is judged.
fn at_most(what: &str, seconds: &Series, limit: f64) {
    let longest = seconds.quantile(1.0);
    report::line(what, seen(seconds, "s"), longest, Target::AtMost(limit));
}

fn seen(series: &Series, unit: &str) -> String {
    format!("{:.2} {unit} ({})", series.median(), series.range())
}

fn round(cluster: &Cluster, peer: &Peer) -> Round {
    let question = question(&session_of(0));
    let mut connection = peer.connect(source(0)).unwrap();
    let mut status = || connection.ask(&question).unwrap().status;
    assert_eq!(status(), 200);
    let before = pages(peer, || thread::sleep(FROZEN / 4));
    let mut last_yes = Duration::ZERO;
    let mut change = Duration::ZERO;

    cluster.freeze(true);
    let frozen = Instant::now();
    let meanwhile = pages(peer, || {
        while frozen.elapsed() < FROZEN {
            let asked = frozen.elapsed();
            match status() {
                200 => last_yes = asked,
                other => assert_eq!(other, 503),
            }
            thread::sleep(PACE);
        }
        change = time_of_change(peer);
    });
    cluster.freeze(false);
    let thawed = Instant::now();
    while status() != 200 {
        thread::sleep(PACE);
    }
    Round {
        last_yes: last_yes.as_secs_f64(),
        back: thawed.elapsed().as_secs_f64(),
        change: change.as_secs_f64(),
        before,
        meanwhile,
    }
}

fn time_of_change(peer: &Peer) -> Duration {
    let mut connection = peer.connect(source(1)).unwrap();
    let asked = Instant::now();
    let answer = connection.ask(&post("/forgot_password", "", "username=user0"));
    assert_eq!(answer.unwrap().status, 503);
    asked.elapsed()
}

/// Milliseconds of the log-in page while something happens.
fn pages(peer: &Peer, meanwhile: impl FnOnce()) -> Series {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let times = scope.spawn(|| {
            let mut connection = peer.connect(source(2)).unwrap();
            let mut times = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let asked = Instant::now();
                let answer = connection.ask(&get("/login", "")).unwrap();
                times.push(asked.elapsed().as_secs_f64() * 1000.0);
                assert_eq!(answer.status, 200, "{}", answer.head);
                thread::sleep(PACE);
            }
            times
        });
        meanwhile();
        over.store(true, Ordering::Relaxed);
        Series::new(times.join().unwrap())
    })
}
