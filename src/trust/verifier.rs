//! What judges a server's certificate in a handshake.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{self, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::trust::{is_for, is_named};

/// Trusts what a root has signed, and a certificate that is itself on the list.
#[derive(Debug)]
pub(super) struct ByNameToo {
    by_signature: Arc<WebPkiServerVerifier>,
    all: Vec<CertificateDer<'static>>,
}

impl ByNameToo {
    /// `None` if no certificate on the list can be read.
    pub(super) fn new(
        all: Vec<CertificateDer<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Option<Self> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(all.iter().cloned());
        let by_signature =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
        let by_signature = by_signature.ok()?;
        Some(Self { by_signature, all })
    }
}

impl ServerCertVerifier for ByNameToo {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let signed = self
            .by_signature
            .verify_server_cert(shown, intermediates, name, ocsp, now);
        let all = self.all.iter().map(AsRef::as_ref);
        if signed.is_err() && is_named(shown, all, now.as_secs()) {
            if !is_for(shown, &name.to_str()) {
                client::verify_server_name(&ParsedCertificate::try_from(shown)?, name)?;
            }
            return Ok(ServerCertVerified::assertion());
        }
        signed
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by_signature
            .verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by_signature
            .verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.by_signature.supported_verify_schemes()
    }
}
