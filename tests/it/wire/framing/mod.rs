//! Requests byte by byte: what is refused, what is answered, and that nothing hidden behind a
//! request is ever taken for another one. One file for each subject; `refused` is the table.

use crate::harness::Server;

mod answered;
mod large;
mod refused;

/// Follows every bad request; whoever answers it has framed the bad one in a way of his own.
const HIDDEN: &str = "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n";

/// The servers that speak the two transports.
fn both() -> [Server; 2] {
    [Server::start(), Server::start_with(&["--no-tls"])]
}

fn line(line: &str) -> String {
    format!("{line}\r\nHost: h\r\n\r\n")
}

fn get(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n")
}

fn post(fields: &str, body: &str) -> String {
    format!("POST /login HTTP/1.1\r\nHost: h\r\n{fields}\r\n{body}")
}

fn chunked(body: &str) -> String {
    post("Transfer-Encoding: chunked\r\n", body)
}

/// Sends a bad request with another one behind it: one answer with this status, and the end.
#[track_caller]
fn assert_refused(server: &Server, raw: &[u8], status: u16) {
    let mut wire = server.connect();
    wire.send(raw);
    wire.send(HIDDEN.as_bytes());

    let answer = wire.read_to_end();

    let shown = String::from_utf8_lossy(&raw[..raw.len().min(120)]);
    let start = format!("HTTP/1.1 {status} ");
    assert!(answer.starts_with(&start), "{shown:?}: {answer}");
    let closes = answer.contains("\r\nConnection: close\r\n");
    assert!(closes, "{shown:?}: {answer}");
    let answers = answer.matches("Content-Length: ").count();
    assert_eq!(answers, 1, "{shown:?}: {answer}");
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
