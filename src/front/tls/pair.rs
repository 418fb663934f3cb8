//! A certificate and its key on disk: read, checked against each other, and judged.

use std::fs::{self, File};
use std::io::{self, Read};
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::x509::X509Name;

use crate::front::StartError;
use crate::front::tls::Files;
use crate::front::tls::made::MADE_HERE;
use crate::host;
use crate::log;

/// In bytes; a long chain has some 10 KiB.
const MAX_FILE: u64 = 1024 * 1024;

/// The most names of a certificate that are logged.
const MAX_TOLD: usize = 5;

/// No `Debug`: a key is inside.
pub struct Pair {
    pub key: Arc<CertifiedKey>,
    pub made_here: bool,
    /// Seconds since 1970.
    pub not_before: i64,
    pub not_after: i64,
    /// DNS names in lower case, addresses as text.
    names: Vec<String>,
}

/// What tells a changed file from an unchanged one.
#[derive(Clone, PartialEq)]
pub struct Stamp([Option<FileStamp>; 2]);

#[derive(Clone, PartialEq)]
struct FileStamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// The stamp of the files as they are now. A file that cannot be looked at counts as absent.
    pub fn of(files: &Files) -> Self {
        Self([&files.certificate, &files.key].map(|path| {
            fs::metadata(path).ok().map(|data| FileStamp {
                device: data.dev(),
                inode: data.ino(),
                size: data.size(),
                modified: (data.mtime(), data.mtime_nsec()),
                changed: (data.ctime(), data.ctime_nsec()),
            })
        }))
    }
}

/// Reads both files and makes sure that they belong together. The caller judges age and names.
pub fn load(files: &Files) -> Result<Pair, StartError> {
    let chain = read_chain(&files.certificate)?;
    let key = read_key(&files.key, files.allow_open_key)?;
    let key = aws_lc_rs::default_provider()
        .key_provider
        .load_private_key(key)
        .map_err(|error| StartError {
            what: format!("use the TLS key {:?}: {error}", files.key),
            hint: "give an RSA, ECDSA or Ed25519 key".to_owned(),
        })?;

    let leaf = chain
        .first()
        .ok_or_else(|| bad_certificate(&files.certificate))?;
    let (_, parsed) =
        X509Certificate::from_der(leaf).map_err(|_| bad_certificate(&files.certificate))?;
    let matches = key
        .public_key()
        .is_none_or(|public| public.as_ref() == parsed.public_key().raw);
    if !matches {
        return Err(StartError {
            what: format!(
                "serve TLS: the key {:?} does not belong to the certificate {:?}",
                files.key, files.certificate
            ),
            hint: "give the key of the first certificate in the file".to_owned(),
        });
    }
    let (made_here, names) = (is_made_here(&parsed), names(&parsed));
    let validity = parsed.validity();
    let (not_before, not_after) = (
        validity.not_before.timestamp(),
        validity.not_after.timestamp(),
    );
    Ok(Pair {
        key: Arc::new(CertifiedKey::new(chain, key)),
        made_here,
        not_before,
        not_after,
        names,
    })
}

impl Pair {
    /// SHA-256 of the certificate, as browsers show it.
    pub fn fingerprint(&self) -> String {
        let digest = Sha256::digest(self.key.cert.first().map_or(&[][..], |leaf| leaf.as_ref()));
        let pairs: Vec<String> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
        pairs.join(":")
    }

    /// Logs what visitors' browsers will complain about; `wall` is the time in seconds since 1970.
    pub fn warn(&self, files: &Files, wall: u64) {
        let wall = i64::try_from(wall).unwrap_or(i64::MAX);
        if self.not_after < wall {
            tracing::warn!(
                file = log::path(&files.certificate),
                until = date(self.not_after),
                "the certificate has expired"
            );
        } else if wall < self.not_before {
            tracing::warn!(
                file = log::path(&files.certificate),
                from = date(self.not_before),
                "the certificate is not valid yet"
            );
        }
        if !self.covers(&files.host) {
            tracing::warn!(
                file = log::path(&files.certificate),
                host = files.host,
                names = self.some_names(),
                "the certificate does not name the public URL's host"
            );
        }
    }

    /// The first few names, for the log, and how many more there are.
    fn some_names(&self) -> String {
        let told = self.names.get(..MAX_TOLD).unwrap_or(&self.names);
        let all = told.join(", ");
        match self.names.len() - told.len() {
            0 if all.is_empty() => "none".to_owned(),
            0 => all,
            more => format!("{all} and {more} more"),
        }
    }

    /// Whether the certificate names the host, directly or by a wildcard for its first label.
    pub fn covers(&self, host: &str) -> bool {
        let host = host::plain(host);
        let parent = host.split_once('.').map(|(_, parent)| parent);
        self.names
            .iter()
            .any(|name| *name == host || (parent.is_some() && name.strip_prefix("*.") == parent))
    }
}

/// A time, given in seconds since 1970, for the log.
fn date(seconds: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(seconds).ok();
    let text = time.and_then(|time| time.format(&Rfc3339).ok());
    text.unwrap_or_else(|| seconds.to_string())
}

fn bad_certificate(path: &Path) -> StartError {
    StartError {
        what: format!("read the TLS certificate {path:?}: there is no certificate in it"),
        hint: "give a PEM file with the chain, the server's own certificate first".to_owned(),
    }
}

/// What to do about a file that cannot be read.
fn remedy(path: &Path, error: &io::Error, flag: &str) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            format!(
                "let the user this runs as read it: see `namei -l {path:?}`, then chown or chmod"
            )
        }
        _ => format!("give the right path with {flag}"),
    }
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, StartError> {
    let (bytes, _) = read(path).map_err(|error| StartError {
        hint: remedy(path, &error, "--cert"),
        what: format!("read the TLS certificate {path:?}: {error}"),
    })?;
    let chain: Vec<CertificateDer<'static>> = rustls_pemfile::certs(&mut bytes.as_slice())
        .collect::<Result<_, _>>()
        .map_err(|_| bad_certificate(path))?;
    if chain.is_empty() {
        return Err(bad_certificate(path));
    }
    Ok(chain)
}

fn read_key(path: &Path, allow_open: bool) -> Result<PrivateKeyDer<'static>, StartError> {
    let (bytes, metadata) = read(path).map_err(|error| StartError {
        hint: remedy(path, &error, "--key"),
        what: format!("read the TLS key {path:?}: {error}"),
    })?;
    if is_open(metadata.mode(), metadata.uid()) {
        if !allow_open {
            return Err(StartError {
                what: format!("use the TLS key {path:?}: others than its owner can read it"),
                hint: format!("take the rights away: chmod 600 {path:?}"),
            });
        }
        tracing::warn!(
            file = log::path(path),
            "others than its owner can read the TLS key"
        );
    }
    rustls_pemfile::private_key(&mut bytes.as_slice())
        .ok()
        .flatten()
        .ok_or_else(|| StartError {
            what: format!("read the TLS key {path:?}: there is no key in it"),
            hint: "give a PEM file with a PKCS#8, PKCS#1 or SEC1 key, not encrypted".to_owned(),
        })
}

/// Whether the group or others have rights, apart from 0640 of root, which is how packages share a
/// key.
fn is_open(mode: u32, owner: u32) -> bool {
    let shared = mode & 0o077;
    shared != 0 && !(shared == 0o040 && owner == 0)
}

/// Reads a file with its metadata; both are of one and the same open file.
fn read(path: &Path) -> io::Result<(Vec<u8>, fs::Metadata)> {
    // Checked before opening: a pipe would keep us waiting.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(io::Error::other("larger than 1 MiB"));
    }
    Ok((bytes, metadata))
}

fn is_made_here(certificate: &X509Certificate<'_>) -> bool {
    let says_so = |name: &X509Name<'_>| {
        let mut names = name.iter_common_name();
        names.next().and_then(|name| name.as_str().ok()) == Some(MADE_HERE)
            && name.iter_attributes().count() == 1
    };
    says_so(certificate.subject()) && says_so(certificate.issuer())
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let address = |bytes: &[u8]| match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes)
            .ok()
            .map(|b| IpAddr::from(b).to_string()),
        _ => <[u8; 16]>::try_from(bytes)
            .ok()
            .map(|b| IpAddr::from(b).to_string()),
    };
    extension
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            GeneralName::IPAddress(bytes) => address(bytes),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_root_may_share_a_key_with_a_group() {
        assert!(!is_open(0o100_600, 1000));
        assert!(!is_open(0o100_400, 1000));
        assert!(!is_open(0o100_640, 0));
        for (mode, owner) in [
            (0o640, 1000),
            (0o644, 0),
            (0o604, 0),
            (0o660, 0),
            (0o620, 0),
        ] {
            assert!(is_open(mode, owner), "{mode:o} of {owner}");
        }
    }
}
