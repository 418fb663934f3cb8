//! Another certificate while the program runs.

use std::fs;
use std::io::{Read as _, Write as _};

use rcgen::PKCS_ECDSA_P256_SHA256;
use rustix::process::Signal;
use rustls::version::TLS13;

use crate::files::certificate::{HEALTH, certificate, key, put_new_pair, set_mode, shows};
use crate::harness::tls::handshake;
use crate::harness::{Server, certificate_in, wait_for};

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
