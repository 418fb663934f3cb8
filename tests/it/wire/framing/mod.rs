//! Requests byte by byte: what is refused, what is answered, and that nothing hidden behind a
//! request is ever taken for another one. The table is the one that the reader's own tests use.

use crate::harness::Server;
use crate::wire::framing::table::{Class, Comes};

mod answered;
mod large;
#[path = "../../../../src/front/request/tests/table.rs"]
mod table;

/// Follows every bad request; whoever answers it has framed the bad one in a way of their own.
const HIDDEN: &str = "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n";

/// The servers that speak the two transports.
fn both() -> [Server; 2] {
    [Server::start(), Server::start_with(&["--no-tls"])]
}

#[test]
fn what_could_be_framed_in_two_ways_is_refused_over_tls() {
    assert_comes(&Server::start(), &table::classes());
}

#[test]
fn what_could_be_framed_in_two_ways_is_refused_without_tls() {
    assert_comes(&Server::start_with(&["--no-tls"]), &table::classes());
}

/// Sends the requests of these classes, each with another one behind it.
fn assert_comes(server: &Server, classes: &[Class]) {
    for class in classes {
        for raw in &class.requests {
            let shown: String = raw.chars().take(120).collect();
            let shown = format!("{}: {shown:?}", class.name);
            match class.comes {
                Comes::Refused(status) => assert_refused(server, raw, status, &shown),
                Comes::Read(status) => assert_read(server, raw, status, &shown),
            }
        }
    }
    assert_serves(server);
}

/// One answer with this status, and the end.
fn assert_refused(server: &Server, raw: &str, status: u16, shown: &str) {
    let mut wire = server.connect();
    wire.send(raw.as_bytes());
    wire.send(HIDDEN.as_bytes());

    let answer = wire.read_to_end();

    let start = format!("HTTP/1.1 {status} ");
    assert!(answer.starts_with(&start), "{shown}: {answer}");
    let closes = answer.contains("\r\nConnection: close\r\n");
    assert!(closes, "{shown}: {answer}");
    let answers = answer.matches("Content-Length: ").count();
    assert_eq!(answers, 1, "{shown}: {answer}");
}

/// An answer with this status, and then the other one's.
fn assert_read(server: &Server, raw: &str, status: u16, shown: &str) {
    let mut wire = server.connect();
    wire.send(raw.as_bytes());
    wire.send(HIDDEN.as_bytes());

    let answer = wire.read_answer();

    let start = format!("HTTP/1.1 {status} ");
    assert!(answer.starts_with(&start), "{shown}: {answer}");
    assert!(!answer.contains("Connection: close"), "{shown}: {answer}");
    let next = wire.read_answer();
    assert!(next.ends_with("\r\n\r\nok"), "{shown}: {next}");
}

/// The server is the process the test started: nobody would start it anew.
#[track_caller]
fn assert_serves(server: &Server) {
    let mut wire = server.connect();
    wire.send(HIDDEN.as_bytes());
    assert!(wire.read_answer().ends_with("\r\n\r\nok"));
}

pub(super) fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap()
}
