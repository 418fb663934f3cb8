//! Which versions of TLS are spoken, and plain HTTP where TLS is.

use std::io::{Read as _, Write as _};

use rustls::ProtocolVersion;
use rustls::version::{TLS12, TLS13};

use crate::harness::tls::handshake;
use crate::harness::{Server, certificate_in};

#[test]
fn tls_1_2_and_1_3_are_spoken() {
    let server = Server::start();
    let certificate = certificate_in(server.dir.path());
    for (offered, spoken) in [
        (&[&TLS12][..], ProtocolVersion::TLSv1_2),
        (&[&TLS13], ProtocolVersion::TLSv1_3),
        (&[&TLS12, &TLS13], ProtocolVersion::TLSv1_3),
    ] {
        let tls = handshake(&server, &certificate, "localhost", offered).unwrap();
        assert_eq!(tls.conn.protocol_version(), Some(spoken));
    }
}

#[test]
fn older_versions_of_tls_are_refused() {
    let server = Server::start();
    // SSL 3.0, TLS 1.0 and TLS 1.1.
    for minor in [0, 1, 2] {
        let mut hello = vec![3, minor];
        hello.extend([7; 32]);
        hello.push(0);
        // ECDHE with ECDSA or RSA and AES-128, and RSA alone, as clients of that time had them.
        hello.extend([0, 6, 0xc0, 0x09, 0xc0, 0x13, 0x00, 0x2f]);
        hello.extend([1, 0]);
        let length = u8::try_from(hello.len()).unwrap();
        let mut record = vec![0x16, 3, 1, 0, length + 4, 1, 0, 0, length];
        record.extend(hello);
        let mut socket = server.socket();

        socket.write_all(&record).unwrap();

        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        // A fatal alert and nothing else: protocol_version, or what the hello lacks by 1.2.
        assert_eq!(
            (answer[0], answer.len(), answer[5]),
            (0x15, 7, 2),
            "3.{minor}: {answer:?}"
        );
    }
}

/// What plain HTTP on the TLS port is answered.
fn plainly(server: &Server, raw: &[u8]) -> String {
    let mut socket = server.socket();
    socket.write_all(raw).unwrap();
    let mut answer = String::new();
    let _ = socket.read_to_string(&mut answer);
    answer
}

#[test]
fn plain_http_on_the_tls_port_is_shown_the_way() {
    let server = Server::start_with(&["--public-url", "https://login.example.com"]);
    for (request, location) in [
        (
            "GET /login?rd=%2F HTTP/1.1\r\nHost: evil.example",
            "/login?rd=%2F",
        ),
        ("HEAD / HTTP/1.1\r\nHost: evil.example:8000", "/"),
        ("GET http://evil.example/x HTTP/1.1\r\nHost: h", "/x"),
        ("GET //evil.example HTTP/1.1\r\nHost: h", "//evil.example"),
        ("GET /nowhere HTTP/1.0", "/nowhere"),
    ] {
        let answer = plainly(&server, format!("{request}\r\n\r\n").as_bytes());
        assert!(answer.starts_with("HTTP/1.1 308 "), "{request}: {answer}");
        let location = format!("\r\nLocation: https://login.example.com{location}\r\n");
        assert!(answer.contains(&location), "{request}: {answer}");
        assert!(
            answer.contains("\r\nConnection: close\r\n"),
            "{request}: {answer}"
        );
        // A header that only counts over TLS, and that anybody could put here.
        assert!(!answer.contains("Strict-Transport-Security"), "{answer}");
    }
}

#[test]
fn plain_http_that_would_send_something_is_refused_unread() {
    let server = Server::start();
    for request in [
        "POST /login HTTP/1.1\r\nHost: h\r\nContent-Length: 27\r\n\r\nusername=a&password=secret1",
        "POST /login HTTP/1.1\r\nHost: h\r\nContent-Length: 27\r\n\r\n",
        "POST /logout HTTP/1.1\r\nHost: h\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
        "DELETE / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "nonsense\r\n\r\n",
        "\0\0\0\0",
    ] {
        let answer = plainly(&server, request.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 400 "), "{request:?}: {answer}");
        assert!(!answer.contains("Location"), "{answer}");
    }
    assert!(
        !server.log().contains("event="),
        "a handler was asked: {}",
        server.log()
    );
}
