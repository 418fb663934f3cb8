//! Mail over TLS, to servers that can be trusted and no others.

use std::fs;
use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::harness::smtp_sink::{Sink, Tls};
use crate::harness::{Setup, Visitor, provider, read, wait_for};
use crate::mail::{forgot, waiting};

/// What a mail server on localhost shows, with the certificate the program itself has.
fn certificate_of(setup: &Setup) -> Arc<ServerConfig> {
    let chain = vec![CertificateDer::from_pem_file(setup.dir().join("server.crt")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(setup.dir().join("server.key")).unwrap();
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    Arc::new(config)
}

#[test]
fn mail_goes_over_tls_to_a_server_whose_certificate_is_trusted() {
    for scheme in ["smtp", "smtps"] {
        let setup = Setup::new();
        let config = certificate_of(&setup);
        let sink = Sink::with(match scheme {
            "smtp" => Tls::Offered(config),
            _ => Tls::Implicit(config),
        });
        let url = format!("{scheme}://localhost:{}", sink.port);
        let setup = setup
            .with(&["--smtp", &url])
            .env("SSL_CERT_FILE", "server.crt");
        let server = setup.start();
        let visitor = Visitor::program(&server);
        visitor.register("alice");

        forgot(&visitor, "alice");

        assert_eq!(sink.next().subject(), "Your new password", "{scheme}");
        let clear = sink.clear.lock().unwrap();
        let harmless = |line: &String| line.starts_with("EHLO ") || line == "STARTTLS";
        assert!(clear.iter().all(harmless), "{clear:?}");
    }
}

#[test]
fn a_mail_server_that_cannot_be_trusted_hears_nothing() {
    let made = Setup::new();
    let ours = certificate_of(&made);
    // It is trusted, but for another host.
    let other = Setup::new();
    let names = ["mail.example.test".to_owned()];
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
    fs::write(other.dir().join("server.crt"), cert.pem()).unwrap();
    fs::write(other.dir().join("server.key"), signing_key.serialize_pem()).unwrap();
    let trusted = other.dir().join("server.crt");
    for (tls, trusted) in [
        (Tls::Never, None),
        (Tls::Offered(ours), None),
        (Tls::Offered(certificate_of(&other)), trusted.to_str()),
    ] {
        let sink = Sink::with(tls);
        let url = format!("smtp://bob:s3cret@localhost:{}", sink.port);
        let mut setup = Setup::new().with(&["--smtp", &url]);
        if let Some(trusted) = trusted {
            setup = setup.env("SSL_CERT_FILE", trusted);
        }
        let server = setup.start();
        let visitor = Visitor::program(&server);
        visitor.register("alice");

        forgot(&visitor, "alice");

        server.wait_for_log("cannot reach the mail server; mail waits");
        wait_for("the mail", || {
            (waiting(setup.dir()).len() == 1).then_some(())
        });
        assert!(sink.mails.try_recv().is_err());
        let clear = sink.clear.lock().unwrap();
        let harmless =
            |line: &String| line.starts_with("EHLO ") || line == "STARTTLS" || line == "QUIT";
        assert!(clear.iter().all(harmless), "{clear:?}");
        assert!(!read(setup.dir(), "log").contains("s3cret"));
    }
}
