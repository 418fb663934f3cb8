//! How many connections and requests one client may have.

use std::io::Write;
use std::net::TcpStream;

use crate::front::Options;
use crate::front::tests::{holding, read_one, read_to_end, wait_until};

#[test]
fn one_address_cannot_take_all_places() {
    let few = |options: &mut Options| options.connections_per_address = 2;
    let (running, arrived, release) = holding(few);
    let mut busy: Vec<TcpStream> = (0..2).map(|_| running.connect()).collect();
    for stream in &mut busy {
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            .unwrap();
        arrived.recv().unwrap();
    }

    assert_eq!(read_to_end(&mut running.connect()), "");

    drop(release);
    for stream in &mut busy {
        read_one(stream);
    }
}

#[test]
fn a_visitor_whose_answer_is_still_to_come_is_counted_behind_a_proxy() {
    let few = |options: &mut Options| {
        options.connections_per_address = 2;
        options.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    };
    let (running, arrived, release) = holding(few);
    let of = |visitor: &str| {
        format!("GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: {visitor}\r\n\r\n").into_bytes()
    };
    let mut busy: Vec<TcpStream> = (0..2).map(|_| running.connect()).collect();
    for stream in &mut busy {
        stream.write_all(&of("192.0.2.1")).unwrap();
        arrived.recv().unwrap();
    }

    let refused = running.exchange(&of("192.0.2.1"));
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    assert!(refused.contains("Connection: close"), "{refused}");

    drop(release);
    for stream in &mut busy {
        read_one(stream);
        // A request that is answered no longer counts, however long the connection stays.
        let is_answered = || {
            let mut another = running.connect();
            another.write_all(&of("192.0.2.1")).unwrap();
            read_one(&mut another).starts_with("HTTP/1.1 200 ")
        };
        // The answer can be read a moment before its request stops counting.
        wait_until("the visitor's place to be free", is_answered);
    }
}
