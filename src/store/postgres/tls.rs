//! TLS to a database: the certificates that are trusted, and what binds a login to the connection.

use std::error::Error;
use std::fs;
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll};

use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_rustls::client::TlsStream as Encrypted;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;
use x509_parser::signature_algorithm::SignatureAlgorithm;

use crate::store::postgres::watched::Watched;
use crate::trust;

/// Whose certificates are trusted.
#[derive(Clone)]
pub(super) struct Trust(Arc<ClientConfig>);

impl Trust {
    /// The certificates in this file, or else the system's authorities.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or has none in it, or the system has none.
    pub(super) fn new(root: Option<&Path>) -> io::Result<Self> {
        let all = match root {
            Some(root) => in_file(root)?,
            None => {
                let machine = trust::of_this_machine();
                machine.into_iter().map(CertificateDer::from).collect()
            }
        };
        let config =
            trust::client(all)?.ok_or_else(|| io::Error::other("there is no certificate in it"))?;
        Ok(Self(Arc::new(config)))
    }

    /// The way to a server of this name or address.
    ///
    /// # Errors
    ///
    /// If it is neither.
    pub(super) fn way_to(&self, name: &str, asks_md5: &Arc<AtomicBool>) -> io::Result<Way> {
        let name = ServerName::try_from(name).map_err(io::Error::other)?;
        Ok(Way {
            name: name.to_owned(),
            config: Arc::clone(&self.0),
            asks_md5: Arc::clone(asks_md5),
        })
    }
}

/// Whether this error of a handshake says that the server is not trusted, or has no TLS at all.
pub(super) fn is_about_trust(error: &(dyn Error + 'static)) -> bool {
    match error.downcast_ref() {
        Some(error) => matches!(error, rustls::Error::InvalidCertificate(_)),
        // The library's own word for a server that says so.
        None => error.to_string() == "server does not support TLS",
    }
}

fn in_file(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let bytes = fs::read(path)?;
    rustls_pemfile::certs(&mut bytes.as_slice()).collect()
}

/// How to begin TLS with one server.
pub(super) struct Way {
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
    asks_md5: Arc<AtomicBool>,
}

impl<S> TlsConnect<S> for Way
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Watched<Bound<S>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Stream>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move {
            let connector = tokio_rustls::TlsConnector::from(self.config);
            let stream = connector.connect(self.name, stream).await?;
            Ok(Watched::new(Bound(stream), true, &self.asks_md5))
        })
    }
}

/// A stream that knows which certificate the server has shown.
pub(super) struct Bound<S>(Encrypted<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Bound<S> {
    fn channel_binding(&self) -> ChannelBinding {
        let (_, session) = self.0.get_ref();
        let shown = session.peer_certificates().and_then(|chain| chain.first());
        match shown.and_then(|shown| end_point(shown)) {
            Some(digest) => ChannelBinding::tls_server_end_point(digest),
            None => ChannelBinding::none(),
        }
    }
}

/// The digest of a certificate (DER) that stands for the server's end of the connection (RFC 5929,
/// section 4.1): by the hash of its own signature, or SHA-256 where that is weaker. `None` if its
/// signature has no hash of its own, as Ed25519.
fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let algorithm = &parsed.signature_algorithm;
    let id = match SignatureAlgorithm::try_from(algorithm) {
        Ok(SignatureAlgorithm::RSASSA_PSS(parameters)) => {
            parameters.hash_algorithm_oid().to_id_string()
        }
        _ => algorithm.algorithm.to_id_string(),
    };
    match id.as_str() {
        // MD5 and SHA-1 with RSA, SHA-1 with ECDSA, SHA-1 for PSS, and SHA-256 with each.
        "1.2.840.113549.1.1.4"
        | "1.2.840.113549.1.1.5"
        | "1.2.840.10045.4.1"
        | "1.3.14.3.2.26"
        | "1.2.840.113549.1.1.11"
        | "1.2.840.10045.4.3.2"
        | "2.16.840.1.101.3.4.2.1" => Some(Sha256::digest(certificate).to_vec()),
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" | "2.16.840.1.101.3.4.2.2" => {
            Some(Sha384::digest(certificate).to_vec())
        }
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" | "2.16.840.1.101.3.4.2.3" => {
            Some(Sha512::digest(certificate).to_vec())
        }
        _ => None,
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Bound<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Bound<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{
        CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519,
        SignatureAlgorithm,
    };

    use super::*;

    #[test]
    fn a_certificate_stands_for_its_server_by_the_hash_of_its_signature() {
        let length = |algorithm: &'static SignatureAlgorithm| {
            let key = KeyPair::generate_for(algorithm).unwrap();
            let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
            let certificate = params.self_signed(&key).unwrap();
            end_point(certificate.der()).map(|digest| digest.len())
        };

        assert_eq!(length(&PKCS_ECDSA_P256_SHA256), Some(32));
        assert_eq!(length(&PKCS_ECDSA_P384_SHA384), Some(48));
        assert_eq!(length(&PKCS_ED25519), None);
        assert_eq!(end_point(b"no certificate"), None);
    }
}
