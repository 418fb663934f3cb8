//! What is too large, and what just fits.

use std::fs;

use crate::harness::Server;
use crate::wire::framing::{
    HIDDEN, assert_refused, assert_serves, both, chunked, get, line, post, status,
};

/// The most memory the server has ever had in use, in KiB.
fn peak(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn what_is_too_large_is_refused_before_it_takes_memory() {
    let long = "a".repeat(1 << 20);
    let line_of = |length: usize| {
        let around = "GET / HTTP/1.1".len();
        line(&format!("GET /{} HTTP/1.1", &long[..length - around]))
    };
    let head_of = |length: usize| {
        let around = get("A: \r\n").len();
        get(&format!("A: {}\r\n", &long[..length - around]))
    };
    let table = [
        (line_of(8193), 414),
        (line(&format!("GET /{long} HTTP/1.1")), 414),
        (long.clone(), 414),
        (head_of(16_385), 431),
        (get(&format!("A: {long}\r\n")), 431),
        (get(&format!("{long}: a\r\n")), 431),
        (get(&"A: b\r\n".repeat(100)), 431),
        (get(&"A: b\r\n".repeat(100_000)), 431),
        (post("Content-Length: 65537\r\n", &long[..65_537]), 413),
        (post("Content-Length: 1073741824\r\n", &long), 413),
        (
            chunked(&format!(
                "10000\r\n{}\r\n1\r\na\r\n0\r\n\r\n",
                &long[..65_536]
            )),
            413,
        ),
        // Chunks whose framing outweighs them, without an end.
        (
            chunked(&format!("1;{}\r\nx\r\n", &long[..200]).repeat(5000)),
            413,
        ),
        (chunked(&format!("1;{long}\r\n")), 400),
        (chunked(&format!("0\r\nA: {long}\r\n")), 431),
        (
            chunked(&format!("0\r\n{}", "A: b\r\n".repeat(100_000))),
            431,
        ),
    ];

    for server in both() {
        assert_serves(&server);
        let before = peak(&server);
        for (raw, status) in &table {
            assert_refused(&server, raw.as_bytes(), *status);
        }
        assert_serves(&server);
        let grown = peak(&server) - before;
        assert!(grown < 32 * 1024, "{grown} KiB more than before");
    }
}

#[test]
fn what_just_fits_is_answered_and_the_next_request_too() {
    let long = "a".repeat(1 << 16);
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let around = "GET / HTTP/1.1".len();
    let full_head = get("A: \r\n").len();
    let sized = format!("{form}Content-Length: 65536\r\n");
    let in_chunks = format!("{form}Transfer-Encoding: chunked\r\n");
    let fits = [
        (
            line(&format!("GET /{} HTTP/1.1", &long[..8192 - around])),
            "404",
        ),
        (
            get(&format!("A: {}\r\n", &long[..16_384 - full_head])),
            "200",
        ),
        (get(&"A: b\r\n".repeat(99)), "200"),
        // A form without the fields that are asked for: read, and found wanting.
        (post(&sized, &long), "400"),
        (
            post(&in_chunks, &format!("10000\r\n{long}\r\n0\r\n\r\n")),
            "400",
        ),
        (post(&in_chunks, "000\r\nA: dropped\r\n\r\n"), "400"),
        // A number may begin with zeros, in a length and, up to 16 digits, in a chunk's size.
        (
            post(
                &format!("{form}Content-Length: 00000000000000000001\r\n"),
                "a",
            ),
            "400",
        ),
        (
            post(&in_chunks, "0000000000000001\r\na\r\n0\r\n\r\n"),
            "400",
        ),
        // One empty line before a request is forgiven (RFC 9112, section 2.2).
        (format!("\r\n{}", get("")), "200"),
    ];

    for server in both() {
        let mut wire = server.connect();
        for (raw, expected) in &fits {
            wire.send(raw.as_bytes());
            let answer = wire.read_answer();
            assert_eq!(status(&answer), *expected, "{answer}");
            assert!(!answer.contains("Connection: close"), "{answer}");
        }
        wire.send(HIDDEN.as_bytes());
        assert!(wire.read_answer().ends_with("\r\n\r\nok"));
    }
}
