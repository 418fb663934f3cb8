//! Certificates that are served with a warning in the log.

use std::time::Duration;

use rcgen::{CertificateParams, PKCS_ECDSA_P256_SHA256};
use rustls::version::TLS13;
use time::OffsetDateTime;

use crate::files::certificate::{certificate, key};
use crate::harness::tls::handshake;
use crate::harness::{Setup, certificate_in, write_pair};

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
