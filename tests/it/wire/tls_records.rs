//! TLS record by record: greetings in crumbs, keys renewed without end, sessions taken up again.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned};

use crate::harness::{Server, Wire, provider};

const HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n";

/// Far longer than any deadline under test, so that a busy machine fails nothing.
const LOST: Duration = Duration::from_secs(60);

type Tls = StreamOwned<ClientConnection, TcpStream>;

fn tls(server: &Server) -> Tls {
    match server.connect() {
        Wire::Tls(stream) => *stream,
        Wire::Plain(_) => panic!("no TLS"),
    }
}

/// A client that remembers sessions and would send data early, if it were let.
fn eager_client(server: &Server) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(server.certificate()).unwrap();
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.enable_early_data = true;
    Arc::new(config)
}

/// Asks for a page on a new connection; gives how the handshake was made, and whether the client
/// was let send data with its greeting.
fn visit(server: &Server, client: &Arc<ClientConfig>) -> (HandshakeKind, bool) {
    let name = ServerName::try_from("localhost").unwrap();
    let mut connection = ClientConnection::new(Arc::clone(client), name).unwrap();
    let early = connection.early_data().is_some();
    let mut wire = Wire::Tls(Box::new(StreamOwned::new(connection, server.socket())));
    wire.send(HEALTH);
    assert!(wire.read_answer().ends_with("\r\n\r\nok"));
    let Wire::Tls(stream) = wire else {
        panic!("no TLS")
    };
    (stream.conn.handshake_kind().unwrap(), early)
}

#[test]
fn a_greeting_in_many_records_is_understood() {
    let server = Server::start();
    let mut stream = tls(&server);
    let mut greeting = Vec::new();
    stream.conn.write_tls(&mut greeting).unwrap();
    // Its record has a head of five bytes; each byte of the rest gets such a head of its own.
    for byte in &greeting[5..] {
        let record = [0x16, 3, 1, 0, 1, *byte];
        stream.sock.write_all(&record).unwrap();
    }

    let mut wire = Wire::Tls(Box::new(stream));
    wire.send(HEALTH);

    assert!(wire.read_answer().ends_with("\r\n\r\nok"));
}

/// Data that comes with the greeting can be sent again by whoever has seen it.
#[test]
fn a_session_is_taken_up_again_but_without_early_data() {
    let server = Server::start();
    let client = eager_client(&server);

    let first = visit(&server, &client);
    let more: Vec<_> = (0..50).map(|_| visit(&server, &client)).collect();

    assert!(first.0 != HandshakeKind::Resumed);
    for (kind, early) in more {
        assert_eq!((kind, early), (HandshakeKind::Resumed, false));
    }
}

#[test]
fn keys_that_are_renewed_without_end_end_the_connection() {
    let server = Server::start();
    let mut stream = tls(&server);
    stream.write_all(HEALTH).unwrap();

    let begun = Instant::now();
    let mut ended = false;
    while !ended && begun.elapsed() < LOST {
        ended = stream.conn.refresh_traffic_keys().is_err() || stream.flush().is_err();
        let pause = Some(Duration::from_millis(1));
        stream.sock.set_read_timeout(pause).unwrap();
        ended |= match stream.read(&mut [0; 1024]) {
            Ok(count) => count == 0,
            Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
        };
    }

    assert!(ended, "never closed");
    let mut other = server.connect();
    other.send(HEALTH);
    assert!(other.read_answer().ends_with("\r\n\r\nok"));
}
