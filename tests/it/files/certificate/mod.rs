//! `server.crt` and `server.key`: read, refused, made, warned of, and read again.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, SignatureAlgorithm};
use rustls::pki_types::CertificateDer;
use rustls::version::TLS13;

use crate::harness::directory::contents;
use crate::harness::tls::handshake;
use crate::harness::{Server, Setup, certificate_in, write_pair};
use crate::operator::assert_cannot;

mod kinds_of_keys;
mod made_here;
mod refused;
mod replaced;
mod warnings;

const HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

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

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Starts a server that must refuse to: exit 1, a line, a hint, and everything as it was.
#[track_caller]
fn assert_refused(setup: &Setup, what: &str) {
    let before = contents(setup.dir());

    assert_cannot(setup, what, "");

    assert!(contents(setup.dir()) == before, "something was touched");
}
