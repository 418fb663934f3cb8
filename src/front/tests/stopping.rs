//! How the front ends.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use crate::front::Options;
use crate::front::tests::{holding, read_to_end};

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
