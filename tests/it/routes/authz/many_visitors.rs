//! What a trusted proxy may bring: large questions, and no more of one visitor than of anybody.

use std::io::Write as _;

use crate::harness::{Answer, Server, Setup, Wire, wait_for};
use crate::routes::authz::{self, AUTH_REQUEST, FORWARD_AUTH};

/// In plain HTTP, since what is asked does not depend on it.
fn setup() -> Setup {
    authz::setup().with(&["--no-tls"])
}

/// What the proxy says of a request of this visitor.
fn question(path: &str, visitor: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: auth\r\nConnection: close\r\nX-Forwarded-For: {visitor}\r\n\
         X-Forwarded-Method: GET\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: app.example.com\r\n\
         X-Forwarded-Uri: /\r\nX-Original-Method: GET\r\nX-Original-URL: https://app.example.com/\r\n"
    )
}

fn ask(server: &Server, request: &str) -> Answer {
    let mut wire = server.connect();
    wire.send(request.as_bytes());
    Answer::parse(&wire.read_to_end())
}

/// A request of this visitor whose body never comes to its end.
fn begin(server: &Server, visitor: &str) -> Wire {
    let mut wire = server.connect();
    let head = format!(
        "POST /login HTTP/1.1\r\nHost: auth\r\nX-Forwarded-For: {visitor}\r\nContent-Length: 100\r\n\
         Expect: 100-continue\r\n\r\n"
    );
    // If it is refused, the answer says so.
    let _ = wire.write_all(head.as_bytes());
    wire
}

#[test]
fn one_visitor_behind_a_proxy_has_a_hundred_requests_under_way_and_others_are_served() {
    let server = setup().alone().start();
    let begun = |visitor: &str| {
        let mut wire = begin(&server, visitor);
        let head = wire.read_head();
        assert_eq!(head, "HTTP/1.1 100 Continue\r\n\r\n", "{visitor}");
        wire
    };
    let refused = |visitor: &str| {
        for (path, status) in [("/login", 503), (FORWARD_AUTH, 503), (AUTH_REQUEST, 401)] {
            let answer = ask(&server, &format!("{}\r\n", question(path, visitor)));
            assert_eq!(answer.status, status, "{path} {visitor}");
            assert_eq!(answer.header("connection"), Some("close"));
        }
        let refused = begin(&server, visitor).read_to_end();
        assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    };
    let check = |visitor: &str| {
        let question = question(FORWARD_AUTH, visitor);
        ask(&server, &format!("{question}\r\n")).status
    };
    // One after the other, for each body has ten seconds: one subscriber's network, and an address.
    let of_one_64: Vec<Wire> = (1..=100)
        .map(|host| begun(&format!("2001:db8:1:1::{host:x}")))
        .collect();
    refused("2001:db8:1:1::ffff");
    assert_eq!(check("2001:db8:1:2::1"), 401);
    drop(of_one_64);

    let mut slow: Vec<Wire> = (1..=100).map(|_| begun("192.0.2.1")).collect();
    refused("192.0.2.1");
    refused("::ffff:192.0.2.1");
    // What the visitor writes into the field themselves stands before what the proxy adds.
    assert_eq!(check("198.51.100.1, 192.0.2.1"), 503);
    assert_eq!(check("192.0.2.2"), 401);
    assert_eq!(check("198.51.100.1"), 401);
    // One that is done with gives its place back, a moment after its answer.
    slow[0].send("x".repeat(100).as_bytes());
    assert!(slow[0].read_answer().starts_with("HTTP/1.1 415 "));
    wait_for("a place", || (check("192.0.2.1") == 401).then_some(()));
}

#[test]
fn a_crowd_of_slow_visitors_starves_no_check() {
    let server = setup().start();
    // More than all the connections there are.
    let mut slow: Vec<Wire> = Vec::new();
    for number in 0..1150 {
        let visitor = format!("192.0.2.{}", number / 90);
        slow.push(begin(&server, &visitor));
        if number % 50 == 0 {
            let answer = ask(
                &server,
                &format!("{}\r\n", question(FORWARD_AUTH, "198.51.100.1")),
            );
            assert_eq!(answer.status, 401, "after {number}");
        }
    }

    for number in 0..40 {
        let visitor = format!("198.51.100.{number}");
        let answer = ask(
            &server,
            &format!("{}\r\n", question(FORWARD_AUTH, &visitor)),
        );
        assert_eq!(answer.status, 401);
    }
    // Those that came first have made room.
    assert!(!slow[0].read_to_end().contains("HTTP/1.1 2"));
}

#[test]
fn a_question_may_be_as_large_as_what_a_proxy_takes_and_is_never_an_error_of_ours() {
    let server = setup().start();
    let fields = |path: &str, count: usize| {
        let mut request = question(path, "192.0.2.1");
        let there = request.matches("\r\n").count() - 1;
        for number in there..count {
            request.push_str(&format!("X-Field-{number}: x\r\n"));
        }
        request + "\r\n"
    };
    let bytes = |path: &str, size: usize| {
        let mut request = question(path, "192.0.2.1");
        // Cookies of many applications, none of them larger than browsers allow.
        while request.len() + 4096 < size {
            request.push_str(&format!("Cookie: a={}\r\n", "x".repeat(4000)));
        }
        let left = size - request.len() - "Cookie: b=\r\n\r\n".len();
        request + &format!("Cookie: b={}\r\n\r\n", "y".repeat(left))
    };
    for (path, fits, refused) in [
        (FORWARD_AUTH, 401, 431),
        (AUTH_REQUEST, 401, 403),
        ("/api/verify", 401, 431),
        ("/login", 200, 431),
        ("/", 200, 431),
        ("/healthz", 200, 431),
        ("/nowhere", 404, 431),
    ] {
        assert_eq!(bytes(path, 40 * 1024).len(), 40 * 1024);
        for (request, status) in [
            (fields(path, 101), fits),
            (fields(path, 250), fits),
            (fields(path, 251), refused),
            (fields(path, 2000), refused),
            (bytes(path, 20 * 1024), fits),
            (bytes(path, 40 * 1024), fits),
            (bytes(path, 40 * 1024 + 1), refused),
            (bytes(path, 200 * 1024), refused),
        ] {
            let answer = ask(&server, &request);
            assert_eq!(answer.status, status, "{path} {}", request.len());
        }
    }
}

#[test]
fn nobody_else_may_send_as_much() {
    let server = Server::start_with(&["--no-tls", "--trusted-proxy", "192.0.2.1"]);
    let status = |fields: &str| {
        ask(
            &server,
            &format!("GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{fields}\r\n"),
        )
        .status
    };
    assert_eq!(status(&"A: b\r\n".repeat(98)), 200);
    assert_eq!(status(&"A: b\r\n".repeat(99)), 431);
    assert_eq!(status(&format!("Cookie: {}\r\n", "x".repeat(16_000))), 200);
    assert_eq!(status(&format!("Cookie: {}\r\n", "x".repeat(16_400))), 431);
}
