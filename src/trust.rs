//! Certificates that an operator trusts by name: the one that a server shows, not one that signed
//! it.
//!
//! `openssl req -x509` marks a server's certificate as one that may sign others, and puts the
//! server's name only where browsers no longer look. Libraries refuse such a certificate from a
//! server, even if it is on the list of trusted ones. But the operator put it on that list because
//! they trust this very server.

use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;
use x509_parser::time::ASN1Time;

mod verifier;

use verifier::ByNameToo;

/// The certificates (DER) that this machine trusts: those of `SSL_CERT_FILE` and `SSL_CERT_DIR`
/// where they are set, else the system's.
pub fn of_this_machine() -> Vec<Vec<u8>> {
    let found = rustls_native_certs::load_native_certs();
    let plain = |certificate: &[u8]| certificate.to_vec();
    found.certs.iter().map(|found| plain(found)).collect()
}

/// TLS to servers whose certificate is signed by one of these, or is one of them. Name and dates are
/// checked in either case. `None` if none of these is a certificate.
///
/// # Errors
///
/// If this program's TLS lacks what it needs.
pub fn client(all: Vec<CertificateDer<'static>>) -> io::Result<Option<ClientConfig>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let Some(verifier) = ByNameToo::new(all, Arc::clone(&provider)) else {
        return Ok(None);
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(Some(config))
}

/// Whether a server's certificate (DER) is itself among the trusted ones, and valid at `now`,
/// seconds since 1970. It is up to the caller to check that it [`is_for`] that server, and that the
/// server has its key.
pub fn is_named<'a>(shown: &[u8], trusted: impl IntoIterator<Item = &'a [u8]>, now: u64) -> bool {
    let listed = trusted.into_iter().any(|listed| listed == shown);
    let seconds = i64::try_from(now).unwrap_or(i64::MAX);
    listed
        && X509Certificate::from_der(shown).is_ok_and(|(_, certificate)| {
            ASN1Time::from_timestamp(seconds)
                .is_ok_and(|now| certificate.validity().is_valid_at(now))
        })
}

/// Whether a certificate (DER) is for `host`, a name or an address: by the names in it or, where it
/// has none, by the common name of its subject.
pub fn is_for(shown: &[u8], host: &str) -> bool {
    let shown = CertificateDer::from(shown);
    let parsed = ParsedCertificate::try_from(&shown).ok();
    let by_names = parsed
        .zip(ServerName::try_from(host).ok())
        .is_some_and(|(parsed, name)| client::verify_server_name(&parsed, &name).is_ok());
    by_names || is_called(&shown, host)
}

fn is_called(shown: &[u8], host: &str) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(shown) else {
        return false;
    };
    let mut names = certificate.subject().iter_common_name();
    let called = names.any(|name| {
        name.as_str()
            .is_ok_and(|name| name.eq_ignore_ascii_case(host))
    });
    called && matches!(certificate.subject_alternative_name(), Ok(None))
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};
    use time::OffsetDateTime;

    use super::*;

    const YEAR: u64 = 31_536_000;

    /// As `openssl req -x509` makes it, valid in 1971 and 1972.
    fn house() -> Vec<u8> {
        let mut params = CertificateParams::new(["mail.lan".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let at = |seconds: u64| OffsetDateTime::from_unix_timestamp(seconds as i64).unwrap();
        (params.not_before, params.not_after) = (at(YEAR), at(3 * YEAR));
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn only_the_very_certificate_on_the_list_is_trusted_and_only_while_it_is_valid() {
        let (ours, other) = (house(), house());
        let named = |shown: &[u8], list: &[&[u8]], now| is_named(shown, list.iter().copied(), now);

        assert!(named(&ours, &[&other, &ours], 2 * YEAR));
        assert!(!named(&ours, &[&other], 2 * YEAR));
        assert!(!named(&ours, &[], 2 * YEAR));
        assert!(!named(&ours, &[&ours], YEAR - 1));
        assert!(!named(&ours, &[&ours], 3 * YEAR + 1));
        assert!(!named(b"no certificate", &[b"no certificate"], 2 * YEAR));
    }

    #[test]
    fn a_certificate_is_for_the_names_in_it_and_else_for_its_common_name() {
        let made = |names: &[&str], called: &str| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let mut params = CertificateParams::new(names).unwrap();
            params.distinguished_name.push(DnType::CommonName, called);
            let key = KeyPair::generate().unwrap();
            params.self_signed(&key).unwrap().der().to_vec()
        };
        for (names, called, host, expected) in [
            (&["mail.lan", "::1"][..], "x", "mail.lan", true),
            (&["mail.lan", "::1"], "x", "::1", true),
            (&["mail.lan"], "other.lan", "other.lan", false),
            (&["mail.lan"], "mail.lan", "xmail.lan", false),
            (&[], "Mail.lan", "mail.LAN", true),
            (&[], "192.0.2.1", "192.0.2.1", true),
            (&[], "mail.lan", "other.lan", false),
            (&[], "*.lan", "mail.lan", false),
        ] {
            let certificate = made(names, called);
            assert_eq!(
                is_for(&certificate, host),
                expected,
                "{names:?} {called} {host}"
            );
        }
        assert!(!is_for(b"no certificate", "mail.lan"));
    }
}
