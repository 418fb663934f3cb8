//! Requests and their answers on one connection.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use crate::front::Options;
use crate::front::tests::{Running, echo, read_one, read_to_end};

#[test]
fn a_request_is_answered_and_the_connection_stays() {
    let running = Running::plain();
    let mut stream = running.connect();
    for path in ["/a", "/b"] {
        stream
            .write_all(format!("GET {path}?q HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes())
            .unwrap();
        let answer = read_one(&mut stream);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(!answer.contains("Connection:"), "{answer}");
        assert!(
            answer.ends_with(&format!("Get {path} 127.0.0.1 ")),
            "{answer}"
        );
    }
}

#[test]
fn bodies_small_and_large_arrive_whole() {
    let running = Running::plain();
    for size in [1, 1024, 1025, 65536] {
        let body = "z".repeat(size);
        let request = format!(
            "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {size}\r\n\r\n{body}"
        );
        assert!(
            running
                .exchange(request.as_bytes())
                .ends_with(&format!(" {body}"))
        );
    }
}

#[test]
fn dribbled_and_pipelined_requests_are_answered_in_order() {
    let running = Running::plain();
    let mut stream = running.connect();
    stream.set_nodelay(true).unwrap();
    for byte in b"GET /one HTTP/1.1\r\nHost: h\r\n\r\n" {
        stream.write_all(&[*byte]).unwrap();
    }
    let two =
        "POST /two HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
    let three = "GET /three HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    stream
        .write_all(format!("{two}{three}").as_bytes())
        .unwrap();

    let answers = read_to_end(&mut stream);

    let positions: Vec<_> = ["Get /one", "Post /two 127.0.0.1 hi", "Get /three"]
        .map(|part| answers.find(part).unwrap_or_else(|| panic!("{answers}")))
        .to_vec();
    assert!(positions.is_sorted());
    assert_eq!(answers.matches("Connection: close").count(), 1);
}

#[test]
fn head_is_answered_without_a_body() {
    let running = Running::plain();
    let answer = running.exchange(b"HEAD /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert!(answer.contains("Content-Length: 18\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
}

#[test]
fn http_1_0_closes_unless_asked_to_stay() {
    let running = Running::plain();
    let answer = running.exchange(b"GET / HTTP/1.0\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\nConnection: close\r\n"));

    let mut stream = running.connect();
    for _ in 0..2 {
        stream
            .write_all(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            .unwrap();
        let answer = read_one(&mut stream);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n"));
    }
}

#[test]
fn a_panic_costs_one_request() {
    let running = Running::plain();
    for _ in 0..5 {
        let answer =
            running.exchange(b"GET /panic HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
        assert!(answer.ends_with("failed"), "{answer}");
    }
    let answer = running.exchange(b"GET /ok HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert!(answer.contains("Get /ok"), "{answer}");
}

#[test]
fn a_refusal_closes_gently_on_a_client_that_still_sends() {
    let patient = |options: &mut Options| {
        options.linger = Duration::from_secs(20);
        options.grace = Duration::from_secs(20);
    };
    let mut running = Running::start(patient, None, echo);
    let mut stream = running.connect();
    stream
        .write_all(
            b"POST / HTTP/1.1\r\nHost: h\r\nAccept: text/html\r\nContent-Length: 70000\r\n\r\n",
        )
        .unwrap();

    let answer = read_to_end(&mut stream);

    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
    assert!(answer.ends_with("too_large|text/html"), "{answer}");
    stream.write_all(&[b'x'; 70_000]).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(running.stop(), Some(true));
    // A reset could have come before the answer was read, and would have taken it away.
    assert!(stream.take_error().unwrap().is_none());
}

#[test]
fn a_refusal_of_head_has_no_body() {
    let answer = Running::plain().exchange(b"HEAD / HTTP/1.1\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
}

#[test]
fn a_client_that_waits_is_told_to_go_on() {
    let running = Running::plain();
    let mut stream = running.connect();
    stream
        .write_all(
            b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n",
        )
        .unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"ok").unwrap();
    assert!(read_one(&mut stream).ends_with(" ok"));
}

#[test]
fn the_client_is_seen_through_a_trusted_proxy_only() {
    let request = b"GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 192.0.2.9\r\n\
        Auth-User-Client: 192.0.2.8\r\nConnection: close\r\n\r\n";
    assert!(
        Running::plain()
            .exchange(request)
            .contains("Get / 127.0.0.1")
    );
    let trusting =
        |options: &mut Options| options.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let running = Running::start(trusting, None, echo);
    assert!(running.exchange(request).contains("Get / 192.0.2.9"));
}
