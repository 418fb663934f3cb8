//! How many session checks a second for a proxy that keeps its connections open. Next to nginx
//! serving our login page as a static file, for scale, and to Glewlwyd naming who is logged in,
//! without rules: it has no such question for proxies. And next to the same checks by an access
//! token, with a name as programs send it.

use std::fs::File;
use std::io::Write as _;

use auth_user::accounts::token::Digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
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

/// The column of checks by a token.
const BY_TOKEN: &str = "by token";

const TOKEN: &str = "au_abcdefghijklmnopqrstuvwxyz234567";

/// As many rules as a large site has, of which the last one lets in.
const RULES: usize = 50;

pub(crate) fn run() {
    let pair = Pair::new();
    let users = users(1000);
    let mut asked: Vec<(Server, Vec<u8>)> = Build::all()
        .iter()
        .map(|build| ours(build, &pair, &users))
        .collect();
    asked.push(by_token(&pair, &users));
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
            Goal::Beside(BY_TOKEN, Target::AtMost(1.2)),
        ],
    );
    cpu.print(
        "processor time of the server for each check (nginx: page)",
        "ms",
        &[],
    );
}

/// The same of this build, with a token in the place of the session.
fn by_token(pair: &Pair, users: &str) -> (Server, Vec<u8>) {
    let hash = serde_json::to_string(&Digest::of(TOKEN)).unwrap();
    let token = format!(
        "\"tokens\": [{{\"id\": \"a\", \"hash\": {hash}, \"name\": \"a\", \"hosts\": [\"{}\"], \
         \"created\": \"2026-11-22T12:00:00Z\", \"expires\": \"9999-11-22T12:00:00Z\"}}], \
         \"disabled\": false",
        host()
    );
    let users = users.replacen("\"disabled\": false", &token, 1);
    let dir = Build::prepare(pair, Some(&users));
    write_rules(&dir, "tokens = true\n");
    let mut server = Build::this().start_in(dir, pair, &FLAGS);
    server.name = BY_TOKEN;
    let basic = STANDARD.encode(format!("user0:{TOKEN}"));
    let question = question(&format!("Authorization: Basic {basic}\r\n"));
    (server, question)
}

/// The host of the last rule.
fn host() -> String {
    format!("app{}.example.com", RULES - 1)
}

/// What a proxy asks about somebody who brings this field.
fn question(who: &str) -> Vec<u8> {
    get(
        "/api/authz/forward-auth",
        &format!(
            "X-Forwarded-Method: GET\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: {}\r\n\
             X-Forwarded-Uri: /some/path?and=query\r\nX-Forwarded-For: 192.0.2.1\r\n{who}",
            host()
        ),
    )
}

/// A server with rules and somebody logged in, and the question about them.
fn ours(build: &Build, pair: &Pair, users: &str) -> (Server, Vec<u8>) {
    let dir = Build::prepare(pair, Some(users));
    write_rules(&dir, "");
    let server = build.start_in(dir, pair, &FLAGS);
    let peer = server.peer(KeyExchange::AsBrowsers);
    let cookie = log_in(&peer, source(0), 0).unwrap();
    (server, question(&cookie))
}

/// `more` is the end of each rule.
fn write_rules(dir: &TempDir, more: &str) {
    let mut rules = File::create(dir.path().join("access.toml")).unwrap();
    for n in 0..RULES {
        let path = if n == RULES - 1 { "/" } else { "/closed" };
        write!(
            rules,
            "[[rule]]\nhost = \"app{n}.example.com\"\npath = \"{path}\"\ngroups = [\"users\"]\n\
             {more}"
        )
        .unwrap();
    }
}
