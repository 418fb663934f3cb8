//! How many pages a second over connections that stay open, next to nginx with the same page.

use crate::checks::{CONNECTIONS, rate};
use crate::client::{Answer, KeyExchange, Peer, get, source};
use crate::report::{self, ROUNDS, Series, Target};
use crate::servers::{Nginx, Ours, Pair};

pub(crate) fn run() {
    let pair = Pair::new();
    let server = Ours::start(&pair);
    let ours = server.peer(KeyExchange::AsBrowsers);
    let nginx = Nginx::start(&pair, &login_page(&ours));
    let theirs = nginx
        .as_ref()
        .map(|nginx| nginx.peer(&pair, KeyExchange::AsBrowsers));

    let request = get("/login", "");
    let (mut our_rates, mut their_rates) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        our_rates.push(rate(&ours, &request));
        their_rates.extend(theirs.as_ref().map(|peer| rate(peer, &request)));
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
