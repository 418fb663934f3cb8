//! What a reverse proxy is told of the visitors it asks about, and whom it is told to let in.

use std::io::Write as _;

use crate::harness::{Answer, Server, Setup, Visitor, place};

mod access_rules;
mod authorization;
mod let_in;
mod many_visitors;
mod public;
mod questions_read;
mod questions_refused;
mod refused_tokens;
mod sent_to_login;
mod tokens;

const FORWARD_AUTH: &str = "/api/authz/forward-auth";
const AUTH_REQUEST: &str = "/api/authz/auth-request";
const VERIFY: &str = "/api/verify";

const BROWSER: &str = "text/html,application/xhtml+xml,*/*;q=0.8";

/// A server whose sessions sub-domains share, asked by a proxy on this machine.
fn setup() -> Setup {
    Setup::new().for_applications()
}

/// A proxy asks about a visitor, with these fields and no others.
fn ask(server: &Server, method: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: auth\r\nConnection: close\r\n");
    for (name, value) in fields {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    let mut wire = server.connect();
    wire.write_all(format!("{request}\r\n").as_bytes()).unwrap();
    Answer::parse(&wire.read_to_end())
}

/// What Caddy, HAProxy and Traefik say of a request.
fn forwarded<'a>(method: &'a str, host: &'a str, uri: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("X-Forwarded-Method", method),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", host),
        ("X-Forwarded-Uri", uri),
        ("Accept", BROWSER),
    ]
}

/// What nginx says of one.
fn original<'a>(method: &'a str, url: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("X-Original-Method", method),
        ("X-Original-URL", url),
        ("Accept", BROWSER),
    ]
}

fn with<'a>(
    mut fields: Vec<(&'a str, &'a str)>,
    more: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    fields.extend_from_slice(more);
    fields
}

fn without<'a>(mut fields: Vec<(&'a str, &'a str)>, name: &str) -> Vec<(&'a str, &'a str)> {
    fields.retain(|(field, _)| *field != name);
    fields
}

/// The session of somebody who has passed both factors, as a cookie field.
fn session(visitor: &Visitor) -> String {
    format!(
        "__Secure-session={}",
        visitor.cookies.borrow()["__Secure-session"]
    )
}

/// A server and alice's session at it.
fn with_alice() -> (Server, Visitor, String) {
    let server = setup().start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let cookie = session(&alice);
    (server, alice, cookie)
}

fn is_let_in(server: &Server, cookie: &str) -> bool {
    let is_let_in = || {
        let fields = forwarded("GET", "app.example.com", "/");
        let fields = with(fields, &[("Cookie", cookie)]);
        let status = ask(server, "GET", FORWARD_AUTH, &fields).status;
        assert!(status == 200 || status == 302, "{status}");
        status == 200
    };
    is_let_in() && place::lasts(server.dir.path(), is_let_in)
}
