//! The way to a database that is not on this machine, played by one that is: TLS is demanded.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::cluster::{ADMIN, Cluster};
use crate::operator::{assert_cannot, run};
use crate::store::{on, with_key};

/// An authority, in PEM, and a certificate for localhost that it has signed, with its key.
fn signed() -> (String, String, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    (authority, certificate.pem(), key.serialize_pem())
}

#[test]
fn chain_and_name_are_checked_and_a_login_is_bound_to_the_connection() {
    let (authority, certificate, key) = signed();
    let cluster = Cluster::start(Some((&certificate, &key)));
    let (setup, _) = with_key();
    fs::write(setup.dir().join("authority.pem"), &authority).unwrap();
    fs::write(setup.dir().join("other.pem"), signed().0).unwrap();
    let database = cluster.database("right");
    let url = |user: &str, host: &str, more: &str| {
        let port = cluster.port;
        format!("postgres://{user}:right@{host}:{port}/{database}?sslmode=require{more}")
    };
    let migrate = |url: &str| {
        let (status, _, err) = run(&setup, &["store", "migrate", url], b"");
        assert_eq!(status, 0, "{url}: {err}");
    };
    let ours = "&sslrootcert=authority.pem";

    migrate(&url(&database, "localhost", ours));
    migrate(&url(
        &database,
        "localhost",
        &format!("{ours}&channel_binding=require"),
    ));
    // Asked for in clear, which is no harm here.
    cluster.sql(ADMIN, "CREATE ROLE clear SUPERUSER LOGIN PASSWORD 'right'");
    migrate(&url("clear", "localhost", ours));

    for (host, more, why) in [
        (
            "localhost",
            "&sslrootcert=other.pem",
            "invalid peer certificate",
        ),
        ("localhost", "", "invalid peer certificate"),
        ("127.0.0.1", ours, "invalid peer certificate"),
    ] {
        let said = assert_cannot(&on(&setup, &url(&database, host, more)), why, "sslrootcert");
        assert!(!said.contains("right@"), "{said}");
    }
}

#[test]
fn a_certificate_that_is_itself_trusted_is_taken_and_a_login_that_is_not_bound_is_not() {
    // As `openssl req -x509` makes it.
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    let cluster = Cluster::start(Some((&certificate, &key.serialize_pem())));
    let (setup, _) = with_key();
    fs::write(setup.dir().join("server.pem"), &certificate).unwrap();
    let database = cluster.database("right");
    let url = |host: &str, more: &str| {
        let port = cluster.port;
        format!(
            "postgres://{database}:right@{host}:{port}/{database}?sslmode=verify-full\
             &sslrootcert=server.pem{more}"
        )
    };

    let (status, _, err) = run(&setup, &["store", "migrate", &url("localhost", "")], b"");

    assert_eq!(status, 0, "{err}");
    assert_cannot(
        &on(&setup, &url("127.0.0.1", "")),
        "invalid peer certificate",
        "sslrootcert",
    );
    let md5 = "SET password_encryption = 'md5'; ALTER ROLE";
    cluster.sql(&database, &format!("{md5} {database} PASSWORD 'right'"));
    let bound = url("localhost", "&channel_binding=require");
    assert_cannot(&on(&setup, &bound), "channel binding", "channel_binding");
}

#[test]
fn a_server_without_tls_gets_not_one_byte_more() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = [0; 8];
        stream.read_exact(&mut asked).unwrap();
        stream.write_all(b"N").unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        (asked, rest)
    });
    let (setup, _) = with_key();
    let url = format!("postgres://u:hidden@localhost:{port}/d?sslmode=require");

    assert_cannot(&on(&setup, &url), "server does not support TLS", "ssl");

    let (asked, rest) = server.join().unwrap();
    // SSLRequest, and the number that stands for it.
    assert_eq!(asked, [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);
    assert_eq!(rest, b"");
}
