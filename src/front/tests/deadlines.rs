//! How long each phase of a connection may take. Time passes as the tests say, but for what is
//! blocked in the system.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::front::Options;
use crate::front::tests::{
    PATIENCE, Running, echo, options, read_one, read_to_end, text, wait_until,
};
use crate::http;

#[test]
fn heads_and_bodies_that_trickle_in_are_given_up() {
    let running = Running::plain();
    let head = "POST / HTTP/1.1\r\nHost: h\r\n";
    let with_length = format!("{head}Content-Length: 60000\r\n\r\n");
    let options = options();
    for (start, deadline) in [(head, options.head), (with_length.as_str(), options.body)] {
        let begun = running.time();
        let mut stream = running.connect();
        stream.write_all(start.as_bytes()).unwrap();

        running.let_time_pass(&mut stream, |stream| drop(stream.write_all(b"a")));

        assert!(running.time() - begun >= deadline);
        let answer = read_to_end(&mut stream);
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }
}

#[test]
fn idle_connections_end_without_a_word() {
    // Shorter than the moment after which a connection rests.
    let short = |options: &mut Options| options.idle = Duration::from_millis(50);
    let running = Running::start(short, None, echo);
    assert_eq!(read_to_end(&mut running.connect()), "");

    let mut used = running.connect();
    used.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        .unwrap();
    read_one(&mut used);
    assert_eq!(read_to_end(&mut used), "");
}

#[test]
fn a_connection_that_rests_ends_when_it_has_been_idle_for_long_enough_in_all() {
    let running = Running::plain();
    let begun = running.time();
    let mut stream = running.connect();
    wait_until("the connection to rest", || running.all_rest());

    running.let_time_pass(&mut stream, |_| {});

    assert!(running.time() - begun >= options().idle);
    assert_eq!(read_to_end(&mut stream), "");
}

/// The thread in which a request was answered.
fn thread_of(stream: &mut TcpStream) -> String {
    let request = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    stream.write_all(request).unwrap();
    read_one(stream)
        .split("\r\n\r\n")
        .nth(1)
        .unwrap()
        .to_owned()
}

#[test]
fn a_connection_without_a_request_for_a_moment_lets_go_of_its_thread() {
    let answer = |_: &http::Request| text(200, &format!("{:?}", thread::current().id()));
    let running = Running::start(|_| {}, None, answer);
    let mut stream = running.connect();
    let first = thread_of(&mut stream);

    wait_until("the connection to rest", || running.all_rest());
    // Each thread holds a share.
    let threads = &running.front.shared.threads;
    wait_until("its thread to end", || Arc::strong_count(threads) == 2);

    assert_ne!(thread_of(&mut stream), first);
}

#[test]
fn a_client_that_takes_no_answer_is_given_up() {
    // The server is blocked in a write, which the system ends by its own clock.
    let short = |options: &mut Options| options.answer = Duration::from_millis(50);
    let large = |_: &http::Request| text(200, &"x".repeat(4_000_000));
    let running = Running::start(short, None, large);
    let mut stream = running.connect();
    // Pipelined, so that the answers fill every buffer on the way.
    stream
        .write_all(&b"GET / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(20))
        .unwrap();
    let connections = &running.front.shared.connections;
    wait_until("the connection to come", || connections.count() > 0);
    assert!(connections.wait_until_empty(PATIENCE));
}
