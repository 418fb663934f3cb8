//! How many pages a second over connections that stay open, next to nginx with the same page.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Answer, KeyExchange, Peer, get, source};
use crate::report::{self, ROUNDS, Series, Target};
use crate::servers::{Nginx, Ours, Pair};

const CONNECTIONS: usize = 32;
const ROUND: Duration = Duration::from_secs(3);

pub(crate) fn run() {
    let pair = Pair::new();
    let server = Ours::start(&pair);
    let ours = server.peer(KeyExchange::AsBrowsers);
    let nginx = Nginx::start(&pair, &login_page(&ours));
    let theirs = nginx
        .as_ref()
        .map(|nginx| nginx.peer(&pair, KeyExchange::AsBrowsers));

    let (mut our_rates, mut their_rates) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        our_rates.push(rate(&ours));
        their_rates.extend(theirs.as_ref().map(rate));
    }

    let what = format!("pages a second, {CONNECTIONS} connections");
    let (ours, theirs) = (Series::new(our_rates), Series::new(their_rates));
    match nginx {
        Some(_) => report::compare(&what, "/s", &ours, "nginx", &theirs, Target::AtLeast(0.6)),
        None => report::note(&what, format!("{:.0} /s", ours.median())),
    }
}

/// The page all servers are to serve.
pub(crate) fn login_page(server: &Peer) -> Answer {
    let mut connection = server.connect(source(0)).unwrap();
    let page = connection.ask(&get("/login", "")).unwrap();
    assert_eq!(page.status, 200, "{}", page.head);
    page
}

fn rate(server: &Peer) -> f64 {
    let all_are_connected = Barrier::new(CONNECTIONS);
    let client = |n| {
        let mut connection = server.connect(source(n)).unwrap();
        let request = get("/login", "");
        all_are_connected.wait();
        let end = Instant::now() + ROUND;
        let mut answers = 0;
        while Instant::now() < end {
            let answer = connection.ask(&request).unwrap();
            assert_eq!(answer.status, 200, "{}", answer.head);
            answers += 1;
        }
        answers
    };
    let client = &client;
    let answers: u32 = thread::scope(|scope| {
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|n| scope.spawn(move || client(n)))
            .collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .sum()
    });
    f64::from(answers) / ROUND.as_secs_f64()
}
