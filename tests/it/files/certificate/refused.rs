//! Pairs the program does not start with.

use std::fs;
use std::process::Command;

use rcgen::PKCS_ECDSA_P256_SHA256;

use crate::files::certificate::{assert_refused, key, put_new_pair, set_mode, shows};
use crate::harness::Setup;

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
