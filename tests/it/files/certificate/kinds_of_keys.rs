//! Every kind of key, in every form, and certificates with their chain.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::Command;

use rcgen::{
    CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519,
    PKCS_RSA_SHA256, RsaKeySize,
};
use rustls::version::{TLS12, TLS13};

use crate::files::certificate::{HEALTH, certificate, key, set_mode};
use crate::harness::tls::handshake;
use crate::harness::{Setup, certificate_in, read, write_pair};

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
