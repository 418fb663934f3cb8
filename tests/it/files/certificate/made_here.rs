//! The pair that the program makes itself: for what names, how long, and when anew.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustix::process::Signal;
use rustls::version::TLS13;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

use crate::files::certificate::{key, shows};
use crate::harness::tls::handshake;
use crate::harness::{Setup, certificate_in, read, write_pair};

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
fn the_first_certificate_names_the_public_urls_host_and_follows_it() {
    let bare = Setup::bare();
    let mut shown = Vec::new();
    for (url, renewed) in [
        ("https://nas.lan:8000", false),
        ("https://nas.lan", false),
        ("https://[2001:db8::5]:8000", true),
        ("https://192.0.2.7", true),
        ("https://b\u{fc}cher.example", true),
        ("https://localhost:8000", false),
    ] {
        let setup = bare.clone().with(&["--public-url", url]);
        let mut server = setup.start();
        let log = read(bare.dir(), "log");
        assert!(!log.contains("does not name"), "{url}: {log}");
        let certificate = certificate_in(bare.dir());
        assert_eq!(
            renewed,
            shown.last().is_some_and(|last| *last != certificate),
            "{url}"
        );
        shown.push(certificate);
        server.signal(Signal::TERM);
        server.wait();
    }
}
