//! Guessing at passwords and codes: what stops it, and whom it does not stop.

use crate::harness::{PASSWORD, Server, Visitor};

mod hashing_line;
mod limits;
mod owners_meanwhile;

const LOGIN: [(&str, &str); 2] = [("username", "alice"), ("password", PASSWORD)];

const WRONG: [(&str, &str); 2] = [("username", "alice"), ("password", "a wrong one")];

/// A server that believes a test where it comes from.
fn believing(more: &[&str]) -> Server {
    let flags = ["--no-tls", "--trusted-proxy", "127.0.0.1"];
    Server::start_with(&[&flags[..], more].concat())
}

/// A visitor from there, at a server that believes it.
fn from(server: &Server, address: &str) -> Visitor {
    Visitor::program(server).sending("x-forwarded-for", address)
}
