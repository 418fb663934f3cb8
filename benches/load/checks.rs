//! How many session checks a second for a proxy that keeps its connections open. Next to nginx
//! serving our login page as a static file, for scale, and to Glewlwyd naming who is logged in,
//! without rules: it has no such question for proxies.

use std::fs::File;
use std::io::Write as _;

use tempfile::TempDir;

use crate::accounts::{log_in, users};
use crate::client::{KeyExchange, get, source};
use crate::columns::alternate;
use crate::crowd::{CONNECTIONS, repeat};
use crate::report::{Goal, Target};
use crate::servers::{Build, Pair, Server};
use crate::{glewlwyd, nginx};

/// A proxy on this machine asks about the hosts of a domain.
const FLAGS: [&str; 8] = [
    "--public-url",
    "https://auth.example.com",
    "--cookie-domain",
    "example.com",
    "--registration",
    "open",
    "--trusted-proxy",
    "127.0.0.0/8",
];

/// As many rules as a large site has, of which the last one lets in.
const RULES: usize = 50;

pub(crate) fn run() {
    let pair = Pair::new();
    let users = users(1000);
    let mut asked: Vec<(Server, Vec<u8>)> = Build::all()
        .iter()
        .map(|build| ours(build, &pair, &users))
        .collect();
    let page = asked[0].0.wait_for_page();
    if let Some(nginx) = nginx::start(&pair, &page) {
        asked.push((nginx, get("/login", "")));
    }
    if let Some(server) = glewlwyd::start(&pair, &page) {
        let cookie = glewlwyd::log_in(&server).unwrap();
        asked.push((server, get(glewlwyd::CHECK, &cookie)));
    }
    let [rates, cpu] = alternate(
        &asked,
        |(server, _)| server.name,
        |(server, request)| repeat(server, request),
    );
    rates.print(
        &format!("session checks a second, {CONNECTIONS} connections (nginx: pages)"),
        "/s",
        &[
            Goal::Beside(nginx::NAME, Target::AtLeast(0.4)),
            Goal::Beside(glewlwyd::NAME, Target::AtLeast(5.0)),
        ],
    );
    cpu.print(
        "processor time of the server for each check (nginx: page)",
        "ms",
        &[],
    );
}

/// A server with rules and somebody logged in, and the question about them.
fn ours(build: &Build, pair: &Pair, users: &str) -> (Server, Vec<u8>) {
    let dir = Build::prepare(pair, Some(users));
    write_rules(&dir);
    let server = build.start_in(dir, pair, &FLAGS);
    let peer = server.peer(KeyExchange::AsBrowsers);
    let cookie = log_in(&peer, source(0), 0).unwrap();
    let host = format!("app{}.example.com", RULES - 1);
    let question = get(
        "/api/authz/forward-auth",
        &format!(
            "X-Forwarded-Method: GET\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: {host}\r\n\
             X-Forwarded-Uri: /some/path?and=query\r\nX-Forwarded-For: 192.0.2.1\r\n{cookie}"
        ),
    );
    (server, question)
}

fn write_rules(dir: &TempDir) {
    let mut rules = File::create(dir.path().join("access.toml")).unwrap();
    for n in 0..RULES {
        let path = if n == RULES - 1 { "/" } else { "/closed" };
        write!(
            rules,
            "[[rule]]\nhost = \"app{n}.example.com\"\npath = \"{path}\"\ngroups = [\"users\"]\n"
        )
        .unwrap();
    }
}
