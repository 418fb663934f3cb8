//! How long an administrator waits for a page of the list, among very many accounts.

use std::time::Instant;

use crate::accounts::{log_in, users};
use crate::client::{KeyExchange, get, source};
use crate::report::{self, Series, Target};
use crate::servers::{Build, Pair};

const ACCOUNTS: usize = 100_000;

/// Requests of each kind.
const ASKED: usize = 100;

/// What is asked for, as a page and as JSON: the first page, one in the middle, what is found by a
/// part of an address, and what nobody has.
const QUERIES: [&str; 4] = ["", "?page=1000", "?q=777%40example", "?q=nobody-has-this"];

pub(crate) fn run() {
    let users = users(ACCOUNTS).replacen(r#"["users"]"#, r#"["users", "admins"]"#, 1);
    let server = Build::this().start_with(&Pair::new(), Some(&users));
    let peer = server.peer(KeyExchange::AsBrowsers);
    let cookies = log_in(&peer, source(0), 0).unwrap();
    let mut connection = peer.connect(source(0)).unwrap();
    for accept in ["text/html", "application/json"] {
        let fields = format!("Accept: {accept}\r\n{cookies}");
        for query in QUERIES {
            let request = get(&format!("/people{query}"), &fields);
            let times = Series::new((0..ASKED).map(|_| {
                let asked = Instant::now();
                let answer = connection.ask(&request).unwrap();
                assert_eq!(answer.status, 200, "{}", answer.head);
                asked.elapsed().as_secs_f64() * 1000.0
            }));
            let p99 = times.quantile(0.99);
            report::line(
                &format!("/people{query} as {accept}, {ACCOUNTS} accounts"),
                format!("p99 {p99:.1} ms, median {:.1}", times.median()),
                p99,
                Target::AtMost(50.0),
            );
        }
    }
}
