//! How many checks a second for a proxy that keeps its connections open, next to nginx serving the
//! login page as a static file.

use std::io::Write as _;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use crate::accounts::{log_in, users};
use crate::client::{KeyExchange, Peer, get, source};
use crate::pages::login_page;
use crate::report::{self, ROUNDS, Series, Target};
use crate::servers::{Nginx, Ours, Pair};

pub(crate) const CONNECTIONS: usize = 32;
const ROUND: Duration = Duration::from_secs(3);

/// A proxy on this machine asks about the hosts of a domain.
const FLAGS: [&str; 6] = [
    "--public-url",
    "https://auth.example.com",
    "--cookie-domain",
    "example.com",
    "--trusted-proxy",
    "127.0.0.0/8",
];

/// As many rules as a large site has, of which the last one lets in.
const RULES: usize = 50;

pub(crate) fn run() {
    let pair = Pair::new();
    let dir = Ours::prepare(&pair, Some(&users(1000)));
    let mut rules = std::fs::File::create(dir.path().join("access.toml")).unwrap();
    for n in 0..RULES {
        let path = if n == RULES - 1 { "/" } else { "/closed" };
        write!(
            rules,
            "[[rule]]\nhost = \"app{n}.example.com\"\npath = \"{path}\"\ngroups = [\"users\"]\n"
        )
        .unwrap();
    }
    let server = Ours::start_as(dir, &pair, &FLAGS);
    let ours = server.peer(KeyExchange::AsBrowsers);
    let page = login_page(&ours);
    let nginx = Nginx::start(&pair, &page);
    let theirs = nginx
        .as_ref()
        .map(|nginx| nginx.peer(&pair, KeyExchange::AsBrowsers));
    let cookie = log_in(&ours, source(0), 0).unwrap();
    let host = format!("app{}.example.com", RULES - 1);
    let check = get(
        "/api/authz/forward-auth",
        &format!(
            "X-Forwarded-Method: GET\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: {host}\r\n\
             X-Forwarded-Uri: /some/path?and=query\r\nX-Forwarded-For: 192.0.2.1\r\n{cookie}"
        ),
    );

    let (mut our_rates, mut their_rates) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        our_rates.push(rate(&ours, &check));
        their_rates.extend(theirs.as_ref().map(|peer| rate(peer, &get("/login", ""))));
    }

    let what = format!("checks a second, {CONNECTIONS} connections");
    let (ours, theirs) = (Series::new(our_rates), Series::new(their_rates));
    match nginx {
        Some(_) => report::compare(&what, "/s", &ours, "nginx", &theirs, Target::AtLeast(0.4)),
        None => report::note(&what, format!("{:.0} /s", ours.median())),
    }
}

/// Answers a second to one request, repeated over connections that stay open.
pub(crate) fn rate(server: &Peer, request: &[u8]) -> f64 {
    let all_are_connected = Barrier::new(CONNECTIONS);
    let client = |n| {
        let mut connection = server.connect(source(n)).unwrap();
        all_are_connected.wait();
        let end = Instant::now() + ROUND;
        let mut answers = 0;
        while Instant::now() < end {
            let answer = connection.ask(request).unwrap();
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
