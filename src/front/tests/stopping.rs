//! How the front ends.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use crate::front::Options;
use crate::front::tests::{Running, echo, holding, read_to_end, wait_until};

#[test]
fn stopping_lets_a_request_under_way_finish() {
    let patient = |options: &mut Options| options.grace = Duration::from_secs(20);
    let (mut running, arrived, release) = holding(patient);
    let mut idle = running.connect();
    let mut working = running.connect();
    working
        .write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        .unwrap();
    arrived.recv().unwrap();

    running.front.stop();
    assert_eq!(read_to_end(&mut idle), "");
    drop(release);

    assert!(read_to_end(&mut working).contains("Connection: close"));
    assert_eq!(running.stop(), Some(true));
    assert!(TcpStream::connect(running.address).is_err() || running.exchange(b"x").is_empty());
}

#[test]
fn stopping_does_not_wait_for_ever() {
    let (mut running, arrived, _release) = holding(|_| {});
    let mut working = running.connect();
    working
        .write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        .unwrap();
    arrived.recv().unwrap();
    assert_eq!(running.stop(), Some(false));
}

#[test]
fn who_was_let_in_before_the_end_gets_one_answer() {
    let patient = |options: &mut Options| {
        options.first = Duration::from_secs(20);
        options.grace = Duration::from_secs(20);
    };
    let mut running = Running::start(patient, None, echo);
    let mut used = running.connect();
    used.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        .unwrap();
    assert!(used.peek(&mut [0]).unwrap() > 0);
    let mut new = running.connect();
    let mut resting = running.connect();
    wait_until("all to rest", || {
        running.front.connections() == 3 && running.all_rest()
    });
    let mut just_come = running.connect();
    wait_until("the last to be let in", || running.front.connections() == 4);

    running.front.stop();

    // Who has had an answer is let go.
    assert!(read_to_end(&mut used).starts_with("HTTP/1.1 200 "));
    for stream in [&mut new, &mut resting, &mut just_come] {
        stream
            .write_all(b"GET /late HTTP/1.1\r\nHost: h\r\n\r\n")
            .unwrap();
        let answer = read_to_end(stream);
        assert!(answer.contains("Get /late"), "{answer}");
        assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
    }
    assert_eq!(running.stop(), Some(true));
}

#[test]
fn who_never_says_a_word_does_not_hold_up_the_end() {
    let patient = |options: &mut Options| options.grace = Duration::from_secs(3600);
    let mut running = Running::start(patient, None, echo);
    let mut silent = running.connect();
    wait_until("it to be let in", || running.front.connections() == 1);

    assert_eq!(running.stop(), Some(true));
    assert_eq!(read_to_end(&mut silent), "");
}
