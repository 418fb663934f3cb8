use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::mail::tests::sink::{Manners, Sink};
use crate::mail::tests::{
    again, finish, impatient, mail_to, names, one_failure_an_hour, with_schedule,
};

/// A self-signed certificate; with `IsCa::Ca` as `openssl req -x509` makes it, for which `names`
/// may be empty.
fn make_certificate(dir: &Path, is_ca: IsCa, names: &[&str]) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params
        .distinguished_name
        .push(DnType::CommonName, "localhost");
    params.is_ca = is_ca;
    let key = KeyPair::generate().unwrap();
    fs::write(
        dir.join("cert.pem"),
        params.self_signed(&key).unwrap().pem(),
    )
    .unwrap();
    fs::write(dir.join("key.pem"), key.serialize_pem()).unwrap();
}

fn server_config(dir: &Path) -> Arc<ServerConfig> {
    let chain = vec![CertificateDer::from_pem_file(dir.join("cert.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(dir.join("key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    Arc::new(config)
}

/// Posts one mail, waits for the first failure, and returns what the server heard in the clear.
fn heard_before_giving_up(manners: Manners, scheme: &str) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let sink = Sink::start(manners);
    let (schedule, failures) = one_failure_an_hour();
    let port = sink.address.port();
    let url = format!("{scheme}://bob:s3cret-smtp@localhost:{port}");
    let outbox = with_schedule(dir.path(), &url, schedule);

    outbox.post(&mail_to("alice@example.org")).unwrap();
    failures.recv_timeout(Duration::from_secs(60)).unwrap();

    finish(&outbox);
    assert_eq!(names(dir.path()).len(), 1);
    assert!(sink.is_empty());
    sink.clear.lock().unwrap().clone()
}

#[test]
fn a_server_without_starttls_is_told_nothing() {
    let heard = heard_before_giving_up(Manners::default(), "smtp");

    assert!(
        heard
            .iter()
            .all(|line| line.starts_with("EHLO") || line == "QUIT"),
        "{heard:?}"
    );
}

#[test]
fn a_server_with_a_certificate_nobody_trusts_is_told_nothing() {
    let house = IsCa::Ca(BasicConstraints::Unconstrained);
    for (scheme, implicit, is_ca) in [
        ("smtp", false, IsCa::NoCa),
        ("smtps", true, IsCa::NoCa),
        ("smtp", false, house),
        ("smtps", true, house),
    ] {
        let dir = tempfile::tempdir().unwrap();
        make_certificate(dir.path(), is_ca, &["localhost"]);
        let manners = Manners {
            tls: Some(server_config(dir.path())),
            implicit,
            ..Manners::default()
        };

        let heard = heard_before_giving_up(manners, scheme);

        assert!(
            heard
                .iter()
                .all(|line| line.starts_with("EHLO") || line == "STARTTLS"),
            "{heard:?}"
        );
    }
}

/// The trusted certificates are those of the whole process, so this runs in a process of its own,
/// where it can also look through the whole log.
#[test]
fn mail_and_password_go_over_tls_and_into_no_log() {
    send_in_a_child(
        "mail_and_password_go_over_tls_and_into_no_log",
        IsCa::NoCa,
        &["localhost"],
    );
}

#[test]
fn a_certificate_that_may_sign_others_is_trusted_by_name() {
    send_in_a_child(
        "a_certificate_that_may_sign_others_is_trusted_by_name",
        IsCa::Ca(BasicConstraints::Unconstrained),
        &["localhost"],
    );
}

#[test]
fn a_certificate_that_has_its_name_in_the_old_place_is_trusted_by_name() {
    send_in_a_child(
        "a_certificate_that_has_its_name_in_the_old_place_is_trusted_by_name",
        IsCa::Ca(BasicConstraints::Unconstrained),
        &[],
    );
}

fn send_in_a_child(test: &str, is_ca: IsCa, names: &[&str]) {
    const CHILD: &str = "TEST_TLS_CHILD";
    if let Some(dir) = std::env::var_os(CHILD) {
        return send_over_tls(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    make_certificate(dir.path(), is_ca, names);

    let trusted = dir.path().join("cert.pem");
    let environment = [
        (CHILD, dir.path().as_os_str()),
        ("SSL_CERT_FILE", trusted.as_os_str()),
    ];
    let output = again(&format!("mail::tests::tls::{test}"), "077", &environment);

    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("a mail was sent"), "{said}");
    assert!(said.contains("a mail was put off"), "{said}");
    for secret in ["s3cret", "AGJvYgBzM2NyZXQtc210cA"] {
        assert!(!said.contains(secret), "{said}");
    }
}

fn send_over_tls(dir: &Path) {
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(std::io::stdout)
        .init();
    for (scheme, implicit) in [("smtp", false), ("smtps", true)] {
        let outbox_dir = tempfile::tempdir().unwrap();
        let sink = Sink::start(Manners {
            replies: ["451 New password: later"].into(),
            tls: Some(server_config(dir)),
            implicit,
            ..Manners::default()
        });
        let port = sink.address.port();
        let url = format!("{scheme}://bob:s3cret%2Dsmtp@localhost:{port}");
        let outbox = with_schedule(outbox_dir.path(), &url, impatient());

        outbox.post(&mail_to("alice@example.org")).unwrap();

        sink.next();
        let received = sink.next();
        finish(&outbox);
        assert_eq!(received.to, ["RCPT TO:<alice@example.org>"]);
        assert_eq!(received.auth, "AUTH PLAIN AGJvYgBzM2NyZXQtc210cA==");
        let clear = sink.clear.lock().unwrap();
        assert!(
            clear
                .iter()
                .all(|line| line.starts_with("EHLO") || line == "STARTTLS")
        );
        assert!(names(outbox_dir.path()).is_empty());
    }
}
