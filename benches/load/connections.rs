//! How many new connections a second: full handshake, one page, close. Next to nginx, and to the
//! Python server named by `BENCH_SCRIPT`, if one is.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{KeyExchange, Peer, get, source};
use crate::pages::login_page;
use crate::report::{self, ROUNDS, Series, Target};
use crate::servers::{Nginx, Ours, Pair, Script};

const CLIENTS: usize = 16;
const ROUND: Duration = Duration::from_secs(3);

pub(crate) fn run() {
    let pair = Pair::new();
    let server = Ours::start(&pair);
    let nginx = Nginx::start(&pair, &login_page(&server.peer(KeyExchange::X25519)));
    let keys = [
        (KeyExchange::X25519, "X25519"),
        (KeyExchange::AsBrowsers, "as browsers"),
    ];
    for (keys, name) in keys {
        let script = Script::start(keys);
        let ours = server.peer(keys);
        let nginx = nginx.as_ref().map(|nginx| nginx.peer(&pair, keys));
        side_by_side(
            name,
            &ours,
            nginx.as_ref(),
            script.as_ref().map(Script::peer).as_ref(),
        );
    }
}

fn side_by_side(keys: &str, ours: &Peer, nginx: Option<&Peer>, script: Option<&Peer>) {
    let (mut our_rates, mut nginx_rates, mut script_rates) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        our_rates.push(rate(ours));
        nginx_rates.extend(nginx.map(rate));
        script_rates.extend(script.map(rate));
    }

    let what = format!("new connections a second, {keys}");
    let ours = Series::new(our_rates);
    match nginx {
        Some(_) => {
            let theirs = Series::new(nginx_rates);
            report::compare(&what, "/s", &ours, "nginx", &theirs, Target::AtLeast(1.1));
        }
        None => report::note(&what, format!("{:.0} /s", ours.median())),
    }
    match script {
        Some(_) => {
            let theirs = Series::new(script_rates);
            report::compare(
                &what,
                "/s",
                &ours,
                "the script",
                &theirs,
                Target::AtLeast(3.0),
            );
        }
        None => report::note(&what, "no script: BENCH_SCRIPT names none"),
    }
}

fn rate(server: &Peer) -> f64 {
    let begun = Instant::now();
    let client = |n| {
        let mut visits = 0;
        while begun.elapsed() < ROUND {
            visit(server, n).unwrap();
            visits += 1;
        }
        visits
    };
    let client = &client;
    let visits: u32 = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|n| scope.spawn(move || client(n)))
            .collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .sum()
    });
    f64::from(visits) / begun.elapsed().as_secs_f64()
}

fn visit(server: &Peer, client: usize) -> io::Result<()> {
    let mut connection = server.connect(source(client))?;
    let answer = connection.ask(&get("/", "Connection: close\r\n"))?;
    assert_eq!(answer.status, 200, "{}", answer.head);
    Ok(())
}
