//! Clients that take their time: every phase ends when it must, whatever trickles in, and nobody
//! takes the places of others.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::{Server, Wire};

/// Far longer than any deadline under test, so that a busy machine fails nothing.
const LOST: Duration = Duration::from_secs(60);
/// Between two crumbs.
const CRUMB: Duration = Duration::from_millis(250);

/// Sends `first` and then a byte again and again until the server closes; how long that took, and
/// what it said.
fn trickle(mut socket: TcpStream, first: &[u8], byte: Option<u8>) -> (Duration, String) {
    let begun = Instant::now();
    let mut said = Vec::new();
    let mut bytes = [0; 4096];
    socket.set_read_timeout(Some(CRUMB)).unwrap();
    socket.write_all(first).unwrap();
    while begun.elapsed() < LOST {
        match socket.read(&mut bytes) {
            Ok(0) => break,
            Ok(count) => said.extend_from_slice(&bytes[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            // Reset: also a way to close.
            Err(_) => break,
        }
        if let Some(byte) = byte {
            // A server that has closed is seen at the next read.
            let _ = socket.write_all(&[byte]);
        }
    }
    (begun.elapsed(), String::from_utf8_lossy(&said).into_owned())
}

/// As [`trickle`], over TLS: only what comes before the trickle is read back.
fn trickle_over_tls(server: &Server, first: &[u8], byte: u8) -> (Duration, String) {
    let Wire::Tls(mut stream) = server.connect() else {
        panic!("no TLS")
    };
    let begun = Instant::now();
    let mut said = Vec::new();
    let mut bytes = [0; 4096];
    stream.write_all(first).unwrap();
    stream.sock.set_read_timeout(Some(CRUMB)).unwrap();
    while begun.elapsed() < LOST {
        match stream.read(&mut bytes) {
            Ok(0) => break,
            Ok(count) => said.extend_from_slice(&bytes[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
        let _ = stream.write_all(&[byte]);
    }
    (begun.elapsed(), String::from_utf8_lossy(&said).into_owned())
}

/// Asks for one page after the other and never reads an answer; how long the server put up with
/// that.
fn never_read(socket: TcpStream) -> Duration {
    rustix::net::sockopt::set_socket_recv_buffer_size(&socket, 4096).unwrap();
    socket.set_write_timeout(Some(CRUMB)).unwrap();
    let mut socket = socket;
    let begun = Instant::now();
    let pages = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(100);
    while begun.elapsed() < LOST {
        match socket.write(&pages) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
    }
    begun.elapsed()
}

/// Renews its keys and sends a byte of a head again and again; how long the server put up with
/// that.
fn renew_keys(server: &Server, head: &[u8]) -> Duration {
    let Wire::Tls(mut stream) = server.connect() else {
        panic!("no TLS")
    };
    stream.write_all(head).unwrap();
    let begun = Instant::now();
    stream.sock.set_read_timeout(Some(CRUMB)).unwrap();
    while begun.elapsed() < LOST {
        // The byte starts the count anew of updates that stand for nothing.
        if stream.conn.refresh_traffic_keys().is_err() {
            break;
        }
        let _ = stream.write_all(b"x");
        match stream.read(&mut [0; 4096]) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
    }
    begun.elapsed()
}

/// The signal to end comes in the middle of a request that is never finished.
fn end_under_way() -> Option<i32> {
    let mut server = Server::start_with(&["--no-tls"]);
    let mut wire = server.connect();
    let head = "POST /login HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n";
    wire.send(format!("{head}Content-Length: 9\r\n\r\n").as_bytes());
    assert_eq!(wire.read_head(), "HTTP/1.1 100 Continue\r\n\r\n");
    server.signal(Signal::TERM);
    server.wait().code()
}

#[test]
fn every_phase_ends_in_time_however_the_client_trickles() {
    let server = &Server::start();
    let plain = &Server::start_with(&["--no-tls"]);
    let head = b"GET / HTTP/1.1\r\nHost: h\r\nA: ";
    let body = b"POST /login HTTP/1.1\r\nHost: h\r\nContent-Length: 65536\r\n\r\na";
    let chunk = b"POST /login HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n8000\r\n";
    // A handshake record of 512 bytes that begins like a ClientHello.
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

    thread::scope(|scope| {
        let silent = scope.spawn(|| trickle(server.socket(), b"", None));
        let greeting = scope.spawn(|| trickle(server.socket(), hello, Some(b'x')));
        let astray = scope.spawn(|| trickle(server.socket(), head, Some(b'x')));
        let heads = [
            scope.spawn(|| trickle(plain.socket(), head, Some(b'x'))),
            scope.spawn(|| trickle(plain.socket(), b"G", Some(b'E'))),
            scope.spawn(|| trickle_over_tls(server, head, b'x')),
        ];
        let bodies = [
            scope.spawn(|| trickle(plain.socket(), body, Some(b'x'))),
            scope.spawn(|| trickle(plain.socket(), chunk, Some(b'x'))),
            scope.spawn(|| trickle_over_tls(server, body, b'x')),
        ];
        let renewing = scope.spawn(|| renew_keys(server, head));
        let deaf = scope.spawn(|| never_read(plain.socket()));
        let ending = scope.spawn(end_under_way);
        // Meanwhile others are served as ever.
        let mut wire = server.connect();
        wire.send(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n");
        assert!(wire.read_answer().ends_with("\r\n\r\nok"));

        // No less than promised to honest clients, and an end at all.
        let ended = |what: &str, took: Duration, promised: u64| {
            assert!(took < LOST, "{what} was never closed");
            assert!(
                took >= Duration::from_secs(promised - 1),
                "{what} took only {took:?}"
            );
        };
        for (what, client) in [("a silent client", silent), ("a slow greeting", greeting)] {
            let (took, said) = client.join().unwrap();
            ended(what, took, 5);
            assert!(!said.contains("HTTP"), "{what}: {said}");
        }
        let (took, said) = astray.join().unwrap();
        ended("plain HTTP on the TLS port", took, 10);
        assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
        for (what, clients) in [("a head", heads), ("a body", bodies)] {
            for client in clients {
                let (took, said) = client.join().unwrap();
                ended(what, took, 10);
                assert!(said.starts_with("HTTP/1.1 408 "), "{what}: {said}");
            }
        }
        ended(
            "a client that renews its keys",
            renewing.join().unwrap(),
            10,
        );
        ended("a client that does not read", deaf.join().unwrap(), 20);
        assert_eq!(ending.join().unwrap(), Some(0));
    });
}

/// The connection under a wire.
fn socket_of(wire: &Wire) -> &TcpStream {
    match wire {
        Wire::Plain(socket) => socket,
        Wire::Tls(stream) => &stream.sock,
    }
}

/// What a client has sent when it goes.
const BEGUN: [&[u8]; 8] = [
    b"",
    b"G",
    b"GET / HTTP/1.1\r\nHost: h\r\nA: ",
    b"POST /login HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf",
    b"POST /login HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nha",
    b"POST /login HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET / HTTP/9.9\r\nHost: h\r\n\r\n",
];

#[test]
fn a_client_that_is_gone_leaves_nothing_behind() {
    for server in [Server::start(), Server::start_with(&["--no-tls"])] {
        let before = server.held_at_rest();

        for begun in BEGUN {
            let mut wire = server.connect();
            wire.send(begun);
            // Closing sends a reset and forgets what was to be sent.
            let at_once = Some(Duration::ZERO);
            rustix::net::sockopt::set_socket_linger(socket_of(&wire), at_once).unwrap();
        }
        for part in [
            &b""[..],
            b"\x16",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        ] {
            let mut socket = server.socket();
            socket.write_all(part).unwrap();
        }

        server.wait_until_held(before);
        let mut wire = server.connect();
        wire.send(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n");
        assert!(wire.read_answer().ends_with("\r\n\r\nok"));
    }
}

#[test]
fn a_client_that_has_said_all_gets_its_answer_and_no_other() {
    for server in [Server::start(), Server::start_with(&["--no-tls"])] {
        let before = server.held_at_rest();

        for begun in BEGUN {
            for farewell in [false, true] {
                let mut wire = server.connect();
                wire.send(begun);
                if let (true, Wire::Tls(stream)) = (farewell, &mut wire) {
                    stream.conn.send_close_notify();
                    let _ = stream.flush();
                }
                // A client that had nothing to say has not even shaken hands.
                let _ = socket_of(&wire).shutdown(Shutdown::Write);

                let said = wire.read_to_end();

                let whole = begun.ends_with(b"\r\n\r\n");
                assert_eq!(
                    said.contains("Content-Length: "),
                    whole && !begun.starts_with(b"P")
                );
            }
        }

        server.wait_until_held(before);
    }
}

#[test]
fn one_address_has_a_hundred_connections_and_others_are_served() {
    let server = Server::start_with(&["--no-tls"]);
    let health = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n";
    // Each is in the middle of a request, so none can be asked to make room.
    let mut busy: Vec<Wire> = (0..100).map(|_| server.connect()).collect();
    for wire in &mut busy {
        wire.send(health);
        wire.read_answer();
        wire.send(b"GET /healthz HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n");
        wire.send(b"Expect: 100-continue\r\n\r\n");
        assert_eq!(wire.read_head(), "HTTP/1.1 100 Continue\r\n\r\n");
    }

    let mut one_more = server.connect();
    one_more.send(health);
    assert_eq!(one_more.read_to_end(), "");

    let elsewhere = server.socket_from(Ipv4Addr::new(127, 0, 0, 2));
    let mut other = server.connect_over(elsewhere);
    other.send(health);
    assert!(other.read_answer().ends_with("\r\n\r\nok"));

    for wire in &mut busy {
        wire.send(b"x");
        assert!(wire.read_answer().ends_with("\r\n\r\nok"));
    }
    // All are idle: the one that has been so the longest makes room.
    let mut one_more = server.connect();
    one_more.send(health);
    assert!(one_more.read_answer().ends_with("\r\n\r\nok"));
    assert_eq!(busy[0].read_to_end(), "");
    busy[1].send(health);
    assert!(busy[1].read_answer().ends_with("\r\n\r\nok"));
}

#[test]
fn a_trusted_proxy_has_as_many_connections_as_it_needs() {
    let server = Server::start_with(&["--no-tls", "--trusted-proxy", "127.0.0.1"]);
    let mut wires: Vec<Wire> = (0..150).map(|_| server.connect()).collect();
    for wire in &mut wires {
        wire.send(b"GET /healthz HTTP/1.1\r\n");
    }

    for wire in &mut wires {
        wire.send(b"Host: h\r\n\r\n");
        assert!(wire.read_answer().ends_with("\r\n\r\nok"));
    }
}
