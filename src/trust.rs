//! Certificates that an operator trusts by name: the very one a server shows, instead of one that
//! signed it.
//!
//! `openssl req -x509` makes a certificate for a server and says in it that it may sign others.
//! Libraries refuse such a one from a server even where it is on the list of trusted ones. Whoever
//! has put it on that list has said whom they trust.

use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;
use x509_parser::time::ASN1Time;

/// The certificates (DER) that this machine trusts: those of `SSL_CERT_FILE` and `SSL_CERT_DIR` where
/// they are set, else the system's.
pub fn of_this_machine() -> Vec<Vec<u8>> {
    let found = rustls_native_certs::load_native_certs();
    let plain = |certificate: &[u8]| certificate.to_vec();
    found.certs.iter().map(|found| plain(found)).collect()
}

/// Whether a server's certificate (DER) is itself among the trusted ones, and valid at `now`,
/// seconds since 1970. Its name, and that the server has its key, are for others to check.
pub fn is_named<'a>(shown: &[u8], trusted: impl IntoIterator<Item = &'a [u8]>, now: u64) -> bool {
    let listed = trusted.into_iter().any(|listed| listed == shown);
    let seconds = i64::try_from(now).unwrap_or(i64::MAX);
    listed
        && X509Certificate::from_der(shown).is_ok_and(|(_, certificate)| {
            ASN1Time::from_timestamp(seconds)
                .is_ok_and(|now| certificate.validity().is_valid_at(now))
        })
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
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
}
