use std::fs::{self, Permissions};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use tempfile::TempDir;

use super::*;
use crate::front::tests::{Running, echo, options, read_one};

/// 2026-11-23.
const NOW: u64 = 1_795_392_000;
const DAY: u64 = 86_400;

fn files(directory: &TempDir) -> Files {
    Files {
        certificate: directory.path().join("server.crt"),
        key: directory.path().join("server.key"),
        host: "localhost".to_owned(),
        allow_open_key: false,
    }
}

fn write_pair(files: &Files, name: &str) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    write(files, &certificate.pem(), &key.serialize_pem());
}

fn write(files: &Files, certificate: &str, key: &str) {
    fs::write(&files.certificate, certificate).unwrap();
    fs::write(&files.key, key).unwrap();
    fs::set_permissions(&files.key, Permissions::from_mode(0o600)).unwrap();
}

fn refused(files: Files) -> String {
    match Tls::open(files, NOW) {
        Ok(_) => panic!("taken"),
        Err(error) => error.what,
    }
}

/// Accepts any certificate and keeps what it was shown.
#[derive(Debug)]
struct Anyone(rustls::crypto::CryptoProvider);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

type Client = StreamOwned<ClientConnection, TcpStream>;

fn client(
    running: &Running,
    version: &'static rustls::SupportedProtocolVersion,
    alpn: &[&str],
) -> Client {
    let provider = aws_lc_rs::default_provider();
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider.clone()))
        .with_protocol_versions(&[version])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone(provider)))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    StreamOwned::new(connection, running.connect())
}

fn ask(client: &mut Client) -> String {
    client
        .write_all(b"GET /tls HTTP/1.1\r\nHost: h\r\n\r\n")
        .unwrap();
    read_one(client)
}

fn shown(client: &Client) -> Vec<u8> {
    client.conn.peer_certificates().unwrap()[0].to_vec()
}

fn running(tls: Tls) -> (Running, Arc<Tls>) {
    let tls = Arc::new(tls);
    (Running::start(|_| {}, Some(Arc::clone(&tls)), echo), tls)
}

#[test]
fn requests_are_answered_over_tls_1_3_and_1_2() {
    let directory = TempDir::new().unwrap();
    let (running, _) = running(Tls::open(files(&directory), NOW).unwrap());
    for version in [&TLS13, &TLS12] {
        let mut client = client(&running, version, &["h2", "http/1.1"]);
        assert!(ask(&mut client).ends_with("Get /tls 127.0.0.1 "));
        assert!(ask(&mut client).ends_with("Get /tls 127.0.0.1 "));
        assert_eq!(client.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    }
    let mut newer = client(&running, &TLS13, &["h2"]);
    assert!(newer.write_all(b"GET / HTTP/1.1\r\n\r\n").is_err() || newer.flush().is_err());
}

#[test]
fn the_first_run_makes_a_pair_that_only_its_owner_can_read() {
    let directory = TempDir::new().unwrap();
    let tls = Tls::open(files(&directory), NOW).unwrap();
    assert!(tls.is_made_here());
    let files = files(&directory);
    for file in [&files.certificate, &files.key] {
        let mode = fs::metadata(file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let names = fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(names, 2, "a draft stayed behind");
    let pair = pair::load(&files).ok().unwrap();
    for host in ["localhost", "LOCALHOST", "127.0.0.1", "::1", "[::1]"] {
        assert!(pair.covers(host), "{host}");
    }
    assert!(!pair.covers("example.com"));
    assert_eq!(pair.not_after, i64::try_from(NOW + 90 * DAY).unwrap());

    let before = fs::read(&files.certificate).unwrap();
    assert!(Tls::open(files, NOW + DAY).unwrap().is_made_here());
    let after = fs::read(directory.path().join("server.crt")).unwrap();
    assert!(before == after);
}

#[test]
fn our_own_certificate_names_the_public_urls_host_whatever_it_is() {
    let directory = TempDir::new().unwrap();
    let at = |host: &str| Files {
        host: host.to_owned(),
        ..files(&directory)
    };
    let key = || fs::read(directory.path().join("server.key")).unwrap();
    drop(Tls::open(at("nas.lan"), NOW).unwrap());
    let first = key();
    for host in [
        "nas.lan",
        "[2001:db8::5]",
        "[::ffff:c000:207]",
        "192.0.2.7",
        "xn--bcher-kva.example",
        "with.a.dot.",
        "under_score.lan",
    ] {
        assert!(Tls::open(at(host), NOW).unwrap().is_made_here());
        let pair = pair::load(&at(host)).ok().unwrap();
        assert!(pair.covers(host) && pair.covers("localhost"), "{host}");
        // Made again once, not at every start.
        let before = fs::read(directory.path().join("server.crt")).unwrap();
        drop(Tls::open(at(host), NOW).unwrap());
        let after = fs::read(directory.path().join("server.crt")).unwrap();
        assert!(before == after, "{host}");
        assert!(key() == first, "{host}");
    }
    // A certificate that was not made here is not renewed here.
    let directory = TempDir::new().unwrap();
    write_pair(&files(&directory), "localhost");
    let before = fs::read(directory.path().join("server.crt")).unwrap();
    let other = Files {
        host: "nas.lan".to_owned(),
        ..files(&directory)
    };
    assert!(!Tls::open(other, NOW).unwrap().is_made_here());
    assert!(before == fs::read(directory.path().join("server.crt")).unwrap());
}

#[test]
fn no_request_waits_while_the_files_are_at_work() {
    let directory = TempDir::new().unwrap();
    let tls = Tls::open(files(&directory), NOW).unwrap();
    // As while the files are read, made or synced on a disk that hangs.
    let at_work = tls.watched();
    assert!(tls.is_made_here());
    tls.reload_soon();
    drop(at_work);
}

#[test]
fn half_a_pair_is_refused_and_left_alone() {
    for gone in ["server.crt", "server.key"] {
        let directory = TempDir::new().unwrap();
        write_pair(&files(&directory), "localhost");
        fs::remove_file(directory.path().join(gone)).unwrap();
        let what = refused(files(&directory));
        assert!(what.contains(gone) && what.contains("is not"), "{what}");
        assert!(!directory.path().join(gone).exists());
    }
}

#[test]
fn a_first_run_cut_short_is_finished_at_the_next_start() {
    let directory = TempDir::new().unwrap();
    drop(Tls::open(files(&directory), NOW).unwrap());
    let certificate = directory.path().join("server.crt");
    fs::rename(&certificate, directory.path().join(".server.crt.draft")).unwrap();
    assert!(Tls::open(files(&directory), NOW).unwrap().is_made_here());
    assert!(certificate.exists());
}

#[test]
fn a_pair_that_does_not_match_or_cannot_be_read_is_refused() {
    let directory = TempDir::new().unwrap();
    let files = || files(&directory);
    write_pair(&files(), "localhost");
    let key = fs::read_to_string(files().key).unwrap();
    let certificate = fs::read_to_string(files().certificate).unwrap();
    write_pair(&files(), "localhost");
    let other = fs::read_to_string(files().key).unwrap();

    write(&files(), &certificate, &other);
    assert!(refused(files()).contains("does not belong"));
    for (certificate, key, complaint) in [
        ("", key.as_str(), "no certificate"),
        (key.as_str(), key.as_str(), "no certificate"),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            &key,
            "no certificate",
        ),
        (certificate.as_str(), "", "no key"),
        (certificate.as_str(), certificate.as_str(), "no key"),
        (
            certificate.as_str(),
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            "use the TLS key",
        ),
    ] {
        write(&files(), certificate, key);
        let what = refused(files());
        assert!(what.contains(complaint), "{what}");
    }
    fs::remove_file(files().key).unwrap();
    fs::create_dir(files().key).unwrap();
    assert!(refused(files()).contains("not a regular file"));
}

#[test]
fn a_key_that_others_can_read_is_refused_unless_that_is_allowed() {
    let directory = TempDir::new().unwrap();
    write_pair(&files(&directory), "localhost");
    for mode in [0o644, 0o604, 0o660] {
        let key = files(&directory).key;
        fs::set_permissions(key, Permissions::from_mode(mode)).unwrap();
        assert!(refused(files(&directory)).contains("others than its owner"));
        let mut allowed = files(&directory);
        allowed.allow_open_key = true;
        assert!(Tls::open(allowed, NOW).is_ok());
    }
}

#[test]
fn an_expired_certificate_of_an_authority_is_served() {
    let directory = TempDir::new().unwrap();
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new(vec!["old.example".to_owned()]).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.not_before = rcgen::date_time_ymd(2019, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let certificate = parameters.self_signed(&key).unwrap();
    write(&files(&directory), &certificate.pem(), &key.serialize_pem());

    let (running, tls) = running(Tls::open(files(&directory), NOW).unwrap());

    assert!(!tls.is_made_here());
    assert!(ask(&mut client(&running, &TLS13, &[])).contains("200 OK"));
}

#[test]
fn a_new_certificate_is_taken_up_and_open_connections_survive() {
    let directory = TempDir::new().unwrap();
    let (running, tls) = running(Tls::open(files(&directory), NOW).unwrap());
    let mut old = client(&running, &TLS13, &[]);
    ask(&mut old);

    write_pair(&files(&directory), "localhost");
    tls.reload_soon();
    tls.poll(NOW);

    let mut new = client(&running, &TLS13, &[]);
    ask(&mut new);
    assert!(shown(&old) != shown(&new));
    assert!(!tls.is_made_here());
    assert!(ask(&mut old).contains("200 OK"));
}

#[test]
fn a_bad_new_certificate_is_refused_and_the_old_one_stays() {
    let directory = TempDir::new().unwrap();
    let (running, tls) = running(Tls::open(files(&directory), NOW).unwrap());
    let mut before = client(&running, &TLS13, &[]);
    ask(&mut before);

    fs::write(files(&directory).certificate, "no certificate").unwrap();
    tls.reload_soon();
    tls.poll(NOW);

    let mut after = client(&running, &TLS13, &[]);
    ask(&mut after);
    assert!(shown(&before) == shown(&after));
    assert!(tls.is_made_here());
}

#[test]
fn changed_files_are_taken_up_once_they_have_settled() {
    let directory = TempDir::new().unwrap();
    let tls = Tls::open(files(&directory), NOW).unwrap();
    write_pair(&files(&directory), "localhost");
    tls.poll(NOW);
    assert!(tls.is_made_here());
    tls.poll(NOW);
    assert!(!tls.is_made_here());
}

#[test]
fn a_certificate_made_here_is_renewed_with_its_key_before_it_ends() {
    let directory = TempDir::new().unwrap();
    let tls = Tls::open(files(&directory), NOW).unwrap();
    let files = files(&directory);
    let key = fs::read(&files.key).unwrap();
    let not_after = || pair::load(&files).ok().unwrap().not_after;

    tls.poll(NOW + 59 * DAY);
    assert_eq!(not_after(), i64::try_from(NOW + 90 * DAY).unwrap());
    tls.poll(NOW + 61 * DAY);
    assert_eq!(not_after(), i64::try_from(NOW + 151 * DAY).unwrap());
    assert!(fs::read(&files.key).unwrap() == key);
    assert!(tls.is_made_here());
}

#[test]
fn a_certificate_of_the_operator_is_never_renewed() {
    let directory = TempDir::new().unwrap();
    write_pair(&files(&directory), "localhost");
    let before = fs::read(files(&directory).certificate).unwrap();
    let tls = Tls::open(files(&directory), 100_000 * DAY).unwrap();
    tls.poll(200_000 * DAY);
    assert!(fs::read(files(&directory).certificate).unwrap() == before);
}

#[test]
fn plain_http_on_the_tls_port_is_shown_the_way() {
    let directory = TempDir::new().unwrap();
    let (running, _) = running(Tls::open(files(&directory), NOW).unwrap());
    let answer = running.exchange(b"GET /login?rd=x HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 308 "), "{answer}");
    assert!(
        answer.contains("\r\nLocation: https://localhost:8000/login?rd=x\r\n"),
        "{answer}"
    );
    assert!(!answer.contains("Strict-Transport-Security"), "{answer}");
    let head = running.exchange(b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 308 ") && head.ends_with("\r\n\r\n"));

    for request in [
        &b"POST /login HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n"[..],
        b"DELETE / HTTP/1.1\r\nHost: h\r\n\r\n",
        b"garbage\r\n\r\n",
    ] {
        let answer = running.exchange(request);
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert!(!answer.contains("Location"), "{answer}");
    }
}

#[test]
fn a_handshake_that_stops_is_given_up() {
    let directory = TempDir::new().unwrap();
    let tls = Arc::new(Tls::open(files(&directory), NOW).unwrap());
    // The server is blocked in a read, which the system ends by its own clock.
    let short = |options: &mut crate::front::Options| {
        options.handshake = std::time::Duration::from_millis(60);
    };
    let running = Running::start(short, Some(tls), echo);
    for start in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01"] {
        let mut stream = running.connect();
        stream.write_all(start).unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.is_empty());
    }
}

#[test]
fn a_handshake_that_trickles_in_is_given_up() {
    let directory = TempDir::new().unwrap();
    let (running, _) = running(Tls::open(files(&directory), NOW).unwrap());
    let begun = running.time();
    let mut stream = running.connect();
    // The start of a greeting that would have 512 bytes.
    stream.write_all(b"\x16\x03\x01\x02\x00\x01").unwrap();

    running.let_time_pass(&mut stream, |stream| drop(stream.write_all(b"\0")));

    assert!(running.time() - begun >= options().handshake);
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(rest.is_empty());
}
