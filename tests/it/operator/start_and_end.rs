//! The first word of the program, how few descriptors it serves with, and its end by a signal.

use std::net::TcpStream;

use rustix::process::Signal;

use crate::harness::{Server, Setup, Visitor, wait_for};
use crate::operator::HEALTH;

#[test]
fn standard_output_carries_one_line() {
    for (arguments, scheme) in [(&[][..], "https"), (&["--no-tls"], "http")] {
        let mut server = Server::start_with(arguments);

        // The port is open by the time it is named.
        let port = server.socket().peer_addr().unwrap().port();
        let line = format!("Serving at port {port} ({scheme}://localhost:{port})\n");
        assert_eq!(server.announced, line);
        server.signal(Signal::TERM);
        server.wait();
        assert_eq!(server.rest_of_stdout(), "");
    }
}

#[test]
fn sixty_four_descriptors_are_enough_to_serve() {
    let limited = Setup::new().under(&["prlimit", "--nofile=64"]);
    let plain = limited.with(&["--no-tls"]).start();
    let tls = Setup::new().under(&["prlimit", "--nofile=64"]).start();
    // More than there is room for; over TLS none of them says a word.
    let idle: Vec<TcpStream> = (0..100).map(|_| plain.socket()).collect();
    let silent: Vec<TcpStream> = (0..100).map(|_| tls.socket()).collect();

    for server in [&plain, &tls] {
        wait_for("an answer", || {
            let mut wire = server.connect();
            wire.send(HEALTH);
            wire.read_to_end().ends_with("\r\n\r\nok").then_some(())
        });
    }
    let (alice, _) = Visitor::with_account(&tls, "alice");
    assert!(alice.is_logged_in());
    drop((idle, silent));
}

#[test]
fn a_signal_to_end_lets_requests_under_way_finish() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Server::start();
        let form = "username=alice&email=a%40example.com&password=seven+wild+horses";
        let mut idle = server.connect();
        idle.send(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n");
        idle.read_answer();
        let mut busy = server.connect();
        let head = "POST /register HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\
            Content-Type: application/x-www-form-urlencoded\r\n";
        busy.send(format!("{head}Content-Length: {}\r\n\r\n", form.len()).as_bytes());
        assert_eq!(busy.read_head(), "HTTP/1.1 100 Continue\r\n\r\n");

        server.signal(signal);

        // Whoever has nothing under way is let go, and nobody else is let in.
        assert_eq!(idle.read_to_end(), "");
        wait_for("the port to close", || {
            TcpStream::connect(("127.0.0.1", server.port))
                .is_err()
                .then_some(())
        });
        busy.send(form.as_bytes());
        let answer = busy.read_to_end();
        assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
        assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
        assert_eq!(server.wait().code(), Some(0));
        assert_eq!(server.users()["users"]["alice"]["email"], "a@example.com");
    }
}
