//! TLS and its files: versions, kinds of keys, the pair of the first run, new certificates, and
//! plain HTTP where TLS is spoken.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384,
    PKCS_ED25519, PKCS_RSA_SHA256, RsaKeySize, SignatureAlgorithm,
};
use rustix::process::Signal;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, ProtocolVersion, RootCertStore, StreamOwned,
    SupportedProtocolVersion,
};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

use crate::harness::{
    Server, Setup, Visitor, certificate_in, provider, read, wait_for, write_pair,
};

const HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

type Tls = StreamOwned<ClientConnection, TcpStream>;

/// A whole handshake with a server that must show this very certificate for this name.
fn handshake(
    server: &Server,
    certificate: &CertificateDer<'static>,
    name: &str,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<Tls, String> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut socket = server.socket();
    while connection.is_handshaking() {
        connection
            .complete_io(&mut socket)
            .map_err(|error| error.to_string())?;
    }
    Ok(StreamOwned::new(connection, socket))
}

fn shows(server: &Server, certificate: &CertificateDer<'static>) -> bool {
    handshake(server, certificate, "localhost", &[&TLS13]).is_ok()
}

/// A certificate for these names, signed by its own key.
fn certificate(names: &[&str], key: &KeyPair) -> String {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    CertificateParams::new(names)
        .unwrap()
        .self_signed(key)
        .unwrap()
        .pem()
}

fn key(kind: &'static SignatureAlgorithm) -> KeyPair {
    KeyPair::generate_for(kind).unwrap()
}

/// Puts a fresh P-256 pair for localhost there.
fn put_new_pair(dir: &Path) -> CertificateDer<'static> {
    let key = key(&PKCS_ECDSA_P256_SHA256);
    write_pair(dir, &certificate(&["localhost"], &key), &key);
    certificate_in(dir)
}

/// Rewrites `server.key` in the older form of its kind: PKCS#1 or SEC1.
fn make_traditional(dir: &Path) {
    let status = Command::new("openssl")
        .args([
            "pkey",
            "-traditional",
            "-in",
            "server.key",
            "-out",
            "traditional.key",
        ])
        .current_dir(dir)
        .status()
        .unwrap();
    assert!(status.success());
    fs::rename(dir.join("traditional.key"), dir.join("server.key")).unwrap();
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Names, modes and contents of all that lies in a directory.
fn contents(dir: &Path) -> Vec<(String, u32, Vec<u8>)> {
    let mut all: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (
                name,
                mode(&entry.path()),
                fs::read(entry.path()).unwrap_or_default(),
            )
        })
        .collect();
    all.sort();
    all
}

/// Starts a server that must refuse to: exit 1, a line, a hint, and everything as it was.
#[track_caller]
fn assert_refused(setup: &Setup, what: &str) {
    let before = contents(setup.dir());

    let (status, out, err) = setup.run();

    assert_eq!(status.code(), Some(1), "{err}");
    assert_eq!(out, "");
    let lines: Vec<&str> = err
        .lines()
        .filter(|line| line.starts_with("auth_user: "))
        .collect();
    assert_eq!(lines.len(), 2, "{err}");
    assert!(
        lines[0].starts_with("auth_user: cannot ") && lines[0].contains(what),
        "{err}"
    );
    assert!(lines[1].starts_with("auth_user: hint: "), "{err}");
    assert!(contents(setup.dir()) == before, "something was touched");
}

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

#[test]
fn every_kind_of_key_in_every_form_is_served() {
    let rsa = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let p256 = key(&PKCS_ECDSA_P256_SHA256);
    let p384 = key(&PKCS_ECDSA_P384_SHA384);
    let ed25519 = key(&PKCS_ED25519);
    for (key, traditional, first_line) in [
        (&rsa, false, "-----BEGIN PRIVATE KEY-----"),
        (&rsa, true, "-----BEGIN RSA PRIVATE KEY-----"),
        (&p256, false, "-----BEGIN PRIVATE KEY-----"),
        (&p256, true, "-----BEGIN EC PRIVATE KEY-----"),
        (&p384, true, "-----BEGIN EC PRIVATE KEY-----"),
        (&ed25519, false, "-----BEGIN PRIVATE KEY-----"),
    ] {
        let setup = Setup::bare();
        write_pair(setup.dir(), &certificate(&["localhost"], key), key);
        if traditional {
            make_traditional(setup.dir());
        }
        let pem = read(setup.dir(), "server.key");
        assert_eq!(pem.lines().next(), Some(first_line));

        let server = setup.start();

        let certificate = certificate_in(setup.dir());
        for version in [&TLS12, &TLS13] {
            let mut tls = handshake(&server, &certificate, "localhost", &[version]).unwrap();
            tls.write_all(HEALTH).unwrap();
            let mut answer = [0; 15];
            tls.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"HTTP/1.1 200 OK", "{first_line}");
        }
    }
}

#[test]
fn a_key_may_come_with_its_parameters_and_a_certificate_with_its_chain() {
    let setup = Setup::bare();
    // As `openssl ecparam -genkey` writes it: the curve first, in a block of its own.
    let made = Command::new("openssl")
        .args([
            "ecparam",
            "-name",
            "prime256v1",
            "-genkey",
            "-out",
            "server.key",
        ])
        .current_dir(setup.dir())
        .status()
        .unwrap();
    assert!(made.success());
    assert!(read(setup.dir(), "server.key").starts_with("-----BEGIN EC PARAMETERS-----"));
    let exported = Command::new("openssl")
        .args(["pkcs8", "-topk8", "-nocrypt", "-in", "server.key"])
        .current_dir(setup.dir())
        .output()
        .unwrap();
    let key = KeyPair::from_pem(&String::from_utf8(exported.stdout).unwrap()).unwrap();
    let issuer_key = self::key(&PKCS_ECDSA_P256_SHA256);
    let mut issuer = CertificateParams::new(vec![]).unwrap();
    issuer.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let issuer_certificate = issuer.self_signed(&issuer_key).unwrap();
    let leaf = CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .signed_by(&key, &rcgen::Issuer::from_params(&issuer, &issuer_key))
        .unwrap();
    let chain = format!("The chain:\n{}{}", leaf.pem(), issuer_certificate.pem());
    fs::write(setup.dir().join("server.crt"), chain).unwrap();
    set_mode(&setup.dir().join("server.key"), 0o600);

    let server = setup.start();

    let root = issuer_certificate.der();
    let tls = handshake(&server, root, "localhost", &[&TLS13]).unwrap();
    assert_eq!(tls.conn.peer_certificates().unwrap().len(), 2);
}

#[test]
fn the_first_run_makes_a_pair_for_this_machine() {
    let setup = Setup::bare().under(&["sh", "-c", "umask 000; exec \"$0\" \"$@\""]);

    let server = setup.start();

    let der = certificate_in(setup.dir());
    let digest: Vec<String> = Sha256::digest(&der)
        .iter()
        .map(|b| format!("{b:02X}"))
        .collect();
    assert!(server.log().contains(&digest.join(":")), "{}", server.log());

    let (_, parsed) = X509Certificate::from_der(&der).unwrap();
    let names = parsed.subject_alternative_name().unwrap().unwrap();
    let names: Vec<String> = names
        .value
        .general_names
        .iter()
        .map(|name| match name {
            GeneralName::DNSName(name) => (*name).to_owned(),
            GeneralName::IPAddress(bytes) => format!("{bytes:?}"),
            other => panic!("{other:?}"),
        })
        .collect();
    let node = rustix::system::uname()
        .nodename()
        .to_str()
        .unwrap()
        .to_ascii_lowercase();
    for name in [
        "localhost",
        "[127, 0, 0, 1]",
        "[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]",
        &node,
    ] {
        assert!(
            names.iter().any(|known| known == name),
            "{name} is not in {names:?}"
        );
    }
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let left = parsed.validity().not_after.timestamp() - i64::try_from(now).unwrap();
    let day = 24 * 3600;
    assert!(
        (90 * day - 600..=90 * day).contains(&left),
        "{left} seconds"
    );
    let algorithm = &parsed.public_key().algorithm;
    assert_eq!(algorithm.algorithm.to_id_string(), "1.2.840.10045.2.1");
    assert_eq!(
        algorithm
            .parameters
            .as_ref()
            .unwrap()
            .as_oid()
            .unwrap()
            .to_id_string(),
        "1.2.840.10045.3.1.7"
    );
    for name in ["localhost", "127.0.0.1", "::1"] {
        handshake(&server, &der, name, &[&TLS13]).unwrap();
    }
}

#[test]
fn every_file_is_its_owners_alone_whatever_the_umask() {
    for umask in ["000", "777"] {
        let setup =
            Setup::bare().under(&["sh", "-c", &format!("umask {umask}; exec \"$0\" \"$@\"")]);
        let server = setup.start();
        let (alice, _) = Visitor::with_account(&server, "alice");

        alice
            .post("/forgot_password", &[("username", "alice")])
            .expect("new_password_sent");

        let mail = || {
            fs::read_dir(server.path("outbox"))
                .unwrap()
                .flatten()
                .next()
        };
        let mail = wait_for("the mail", mail).path();
        for name in ["server.crt", "server.key", "users.json", "sessions.json"] {
            wait_for(name, || server.path(name).exists().then_some(()));
            assert_eq!(mode(&server.path(name)), 0o600, "{name} under {umask}");
        }
        assert_eq!(mode(&mail), 0o600, "{mail:?} under {umask}");
        assert_eq!(mode(&server.path("outbox")), 0o700, "under {umask}");
        let others: Vec<_> = contents(setup.dir())
            .into_iter()
            .filter(|(name, mode, _)| name != "log" && !matches!(mode, 0o600 | 0o700))
            .map(|(name, mode, _)| format!("{name} {mode:o}"))
            .collect();
        assert_eq!(others, [""; 0], "under {umask}");
    }
}

#[test]
fn a_second_run_keeps_the_pair_of_the_first() {
    let setup = Setup::bare();
    let mut first = setup.start();
    let (certificate, key) = (certificate_in(setup.dir()), read(setup.dir(), "server.key"));
    first.kill();

    let second = setup.start();

    assert!(shows(&second, &certificate));
    assert_eq!(read(setup.dir(), "server.key"), key);
}

#[test]
fn a_pair_made_here_is_renewed_before_it_ends() {
    let setup = Setup::bare();
    setup.start();
    let made = certificate_in(setup.dir());
    let (_, parsed) = X509Certificate::from_der(&made).unwrap();
    let name = parsed
        .subject()
        .iter_common_name()
        .next()
        .unwrap()
        .as_str()
        .unwrap();
    let key = KeyPair::from_pem(&read(setup.dir(), "server.key")).unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_after = OffsetDateTime::now_utc() + Duration::from_secs(9 * 24 * 3600);
    let ending = params.self_signed(&key).unwrap();
    write_pair(setup.dir(), &ending.pem(), &key);

    let server = setup.start();

    let renewed = certificate_in(setup.dir());
    assert!(renewed != *ending.der());
    assert!(shows(&server, &renewed));
    let (_, parsed) = X509Certificate::from_der(&renewed).unwrap();
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let left = parsed.validity().not_after.timestamp() - now;
    assert!(left > 89 * 24 * 3600, "{left} seconds");
}

#[test]
fn a_pair_of_somebody_elses_is_never_renewed() {
    let setup = Setup::bare();
    let key = key(&PKCS_ECDSA_P256_SHA256);
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_after = OffsetDateTime::now_utc() + Duration::from_secs(24 * 3600);
    let ending = params.self_signed(&key).unwrap();
    write_pair(setup.dir(), &ending.pem(), &key);

    let server = setup.start();

    assert!(shows(&server, ending.der()));
    assert!(certificate_in(setup.dir()) == *ending.der());
}

#[test]
fn half_a_pair_is_refused() {
    for missing in ["server.crt", "server.key"] {
        let setup = Setup::bare();
        put_new_pair(setup.dir());
        fs::remove_file(setup.dir().join(missing)).unwrap();

        assert_refused(&setup, &format!("{missing:?} is not"));
    }
}

#[test]
fn a_pair_that_does_not_match_is_refused() {
    let setup = Setup::bare();
    put_new_pair(setup.dir());
    let other = key(&PKCS_ECDSA_P256_SHA256);
    fs::write(setup.dir().join("server.key"), other.serialize_pem()).unwrap();

    assert_refused(&setup, "does not belong");
}

#[test]
fn garbage_instead_of_a_pair_is_refused() {
    let half = "-----BEGIN CERTIFICATE-----\nMIIB\n";
    let hollow = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (name, garbage) in [
        ("server.crt", ""),
        ("server.crt", "garbage"),
        ("server.crt", half),
        ("server.crt", hollow),
        ("server.key", ""),
        ("server.key", "garbage"),
        ("server.key", hollow),
        (
            "server.key",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        ),
    ] {
        let setup = Setup::bare();
        put_new_pair(setup.dir());
        fs::write(setup.dir().join(name), garbage).unwrap();

        assert_refused(&setup, name);
    }
}

#[test]
fn a_key_that_is_encrypted_or_no_file_is_refused() {
    let setup = Setup::bare();
    put_new_pair(setup.dir());
    let encrypted = Command::new("openssl")
        .args([
            "pkey",
            "-aes256",
            "-passout",
            "pass:x",
            "-in",
            "server.key",
            "-out",
            "locked",
        ])
        .current_dir(setup.dir())
        .status()
        .unwrap();
    assert!(encrypted.success());
    fs::rename(setup.dir().join("locked"), setup.dir().join("server.key")).unwrap();
    assert_refused(&setup, "server.key");

    fs::remove_file(setup.dir().join("server.key")).unwrap();
    fs::create_dir(setup.dir().join("server.key")).unwrap();
    assert_refused(&setup, "server.key");
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    for mode in [0o644, 0o604, 0o660, 0o666, 0o602] {
        let setup = Setup::bare();
        put_new_pair(setup.dir());
        set_mode(&setup.dir().join("server.key"), mode);

        assert_refused(&setup, "server.key");
    }
}

#[test]
fn a_key_that_others_can_read_is_a_warning_in_compatibility_mode() {
    let setup = Setup::bare().with(&["--compat"]);
    put_new_pair(setup.dir());
    set_mode(&setup.dir().join("server.key"), 0o644);

    let server = setup.start();

    let log = server.log();
    assert!(
        log.contains("WARN others than its owner can read the TLS key"),
        "{log}"
    );
}

#[test]
fn a_key_of_root_may_be_readable_by_a_group() {
    let setup = Setup::bare();
    let certificate = put_new_pair(setup.dir());
    set_mode(&setup.dir().join("server.key"), 0o640);
    if !rustix::process::geteuid().is_root() {
        // Of anybody else it is not.
        return assert_refused(&setup, "server.key");
    }

    let server = setup.start();

    assert!(shows(&server, &certificate));
}

#[test]
fn an_expired_certificate_is_served_with_a_warning() {
    let setup = Setup::bare();
    let key = key(&PKCS_ECDSA_P256_SHA256);
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_after = OffsetDateTime::now_utc() - Duration::from_secs(3600);
    write_pair(setup.dir(), &params.self_signed(&key).unwrap().pem(), &key);

    let ended = params.not_after.date();

    let server = setup.start();

    let log = server.log();
    let warning = log
        .lines()
        .find(|line| line.contains("WARN the certificate has expired"));
    let warning = warning.unwrap_or_else(|| panic!("{log}"));
    assert!(warning.contains(&format!("until=\"{ended}T")), "{warning}");
    // It is the client who turns away.
    let seen = handshake(
        &server,
        &certificate_in(setup.dir()),
        "localhost",
        &[&TLS13],
    );
    assert!(
        seen.as_ref().is_err_and(|error| error.contains("expired")),
        "{:?}",
        seen.err()
    );
}

#[test]
fn a_certificate_that_is_not_valid_yet_is_served_with_a_warning() {
    let setup = Setup::bare();
    let key = key(&PKCS_ECDSA_P256_SHA256);
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_before = OffsetDateTime::now_utc() + Duration::from_secs(3 * 24 * 3600);
    write_pair(setup.dir(), &params.self_signed(&key).unwrap().pem(), &key);

    let server = setup.start();

    let log = server.log();
    let warning = format!("from=\"{}T", params.not_before.date());
    let said = |line: &str| line.contains("not valid yet") && line.contains(&warning);
    assert!(log.lines().any(said), "{log}");
}

#[test]
fn a_certificate_for_another_name_is_served_with_a_warning() {
    let setup = Setup::bare().with(&["--public-url", "https://login.example.com"]);
    let key = key(&PKCS_ECDSA_P256_SHA256);
    let names = ["other", "b", "c", "d", "e", "f", "g"].map(|name| format!("{name}.example.com"));
    let names = names.each_ref().map(String::as_str);
    write_pair(setup.dir(), &certificate(&names, &key), &key);

    let server = setup.start();

    let log = server.log();
    let warning = log
        .lines()
        .find(|line| line.contains("WARN the certificate does not name the public URL's host"));
    let warning = warning.unwrap_or_else(|| panic!("{log}"));
    for said in [
        "host=\"login.example.com\"",
        "names=\"other.example.com, ",
        "e.example.com and 2 more",
    ] {
        assert!(warning.contains(said), "{said}: {warning}");
    }
    let certificate = certificate_in(setup.dir());
    handshake(&server, &certificate, "other.example.com", &[&TLS13]).unwrap();
}

#[test]
fn a_fitting_certificate_is_served_without_a_warning() {
    for names in [&["login.example.com"][..], &["a.example", "*.Example.com"]] {
        let setup = Setup::bare().with(&["--public-url", "https://login.example.com"]);
        let key = key(&PKCS_ECDSA_P256_SHA256);
        write_pair(setup.dir(), &certificate(names, &key), &key);

        let server = setup.start();

        assert!(!server.log().contains("WARN"), "{}", server.log());
    }
}

#[test]
fn a_new_certificate_is_taken_up_and_open_connections_go_on() {
    let server = Server::start();
    let old = certificate_in(server.dir.path());
    let mut open = handshake(&server, &old, "localhost", &[&TLS13]).unwrap();

    let new = put_new_pair(server.dir.path());

    server.wait_for_log("took up the certificate");
    assert!(shows(&server, &new));
    assert!(!shows(&server, &old));
    open.write_all(HEALTH).unwrap();
    let mut answer = [0; 15];
    open.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
}

#[test]
fn sighup_reads_the_certificate_again_even_if_nothing_changed() {
    let server = Server::start();
    let certificate = certificate_in(server.dir.path());

    server.signal(Signal::HUP);

    server.wait_for_log("took up the certificate");
    assert!(shows(&server, &certificate));
}

#[test]
fn a_bad_new_certificate_is_refused_and_the_old_one_stays() {
    let server = Server::start();
    let old = certificate_in(server.dir.path());
    let refusals = || {
        server
            .log()
            .matches("the new certificate is refused")
            .count()
    };
    let write = |name: &str, text: &str| fs::write(server.path(name), text).unwrap();
    // The key changes first, so that at no moment there is a pair that would be good.
    let ruin: [&dyn Fn(); 4] = [
        &|| write("server.crt", "garbage"),
        &|| {
            write("server.key", &key(&PKCS_ECDSA_P256_SHA256).serialize_pem());
            write(
                "server.crt",
                &certificate(&["localhost"], &key(&PKCS_ECDSA_P256_SHA256)),
            );
        },
        &|| {
            let open = key(&PKCS_ECDSA_P256_SHA256);
            write("server.key", &open.serialize_pem());
            set_mode(&server.path("server.key"), 0o644);
            write("server.crt", &certificate(&["localhost"], &open));
        },
        &|| fs::remove_file(server.path("server.key")).unwrap(),
    ];
    for (done, ruin) in ruin.iter().enumerate() {
        ruin();
        server.signal(Signal::HUP);

        wait_for("the refusal", || (refusals() > done).then_some(()));
        assert!(shows(&server, &old));
    }

    // And it goes on watching.
    let new = put_new_pair(server.dir.path());
    wait_for("the new certificate", || shows(&server, &new).then_some(()));
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
