//! The certificate of the first run: self-signed, made and renewed here.
//!
//! A renewal keeps the key, so it replaces one file and can never leave two that do not match. The
//! first run writes both as drafts before it renames either; a start that finds only one of the
//! pair finishes what a crash between the two renames left undone.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use time::{Duration, OffsetDateTime};

use crate::durable::{self, Draft, directory_of};
use crate::front::StartError;
use crate::front::tls::pair::Pair;
use crate::front::tls::{Files, pair};
use crate::host;
use crate::log;

/// The common name by which our own certificate is recognized.
pub const MADE_HERE: &str = "auth_user, made at the first run";
const VALID: Duration = Duration::days(90);
/// How much time is left when it is renewed: weeks in which a full disk can be noticed.
const RENEWED: Duration = Duration::days(30);
/// How far visitors' clocks may be behind ours.
const SLACK: Duration = Duration::hours(1);

/// Makes the pair if there is neither certificate nor key.
pub fn ensure(files: &Files, wall: u64) -> Result<(), StartError> {
    let _lock = lock(&files.key);
    match (exists(&files.certificate), exists(&files.key)) {
        (true, true) => Ok(()),
        (false, false) => make(files, wall).map_err(cannot_make(files)),
        (false, true) if finish(&files.certificate) => Ok(()),
        (false, true) => Err(half(&files.key, &files.certificate)),
        (true, false) => Err(half(&files.certificate, &files.key)),
    }
}

/// What [`ensure`] would do, found out without a trace.
pub fn foresee(files: &Files) -> Result<Foreseen, StartError> {
    match (exists(&files.certificate), exists(&files.key)) {
        (true, true) => Ok(Foreseen::Nothing),
        (false, true) if exists(&draft_of(&files.certificate)) => Ok(Foreseen::Make),
        (false, true) => Err(half(&files.key, &files.certificate)),
        (true, false) => Err(half(&files.certificate, &files.key)),
        (false, false) => {
            let folders = [&files.certificate, &files.key].map(|path| directory_of(path));
            for folder in folders {
                durable::probe(folder)
                    .map(drop)
                    .map_err(cannot_make(files))?;
            }
            Ok(Foreseen::Make)
        }
    }
}

/// What a start does before it reads the pair.
#[derive(Clone, Copy, PartialEq)]
pub enum Foreseen {
    Nothing,
    /// Makes it, or completes what was made.
    Make,
}

fn cannot_make(files: &Files) -> impl Fn(io::Error) -> StartError {
    |error| StartError {
        what: format!(
            "make the certificate {:?} and its key {:?}: {error}",
            files.certificate, files.key
        ),
        hint: "start in a directory that can be written, or give --cert and --key".to_owned(),
    }
}

/// Whether a certificate that ends at `not_after` should be renewed at `wall`.
pub fn is_due(not_after: i64, wall: u64) -> bool {
    i64::try_from(wall).is_ok_and(|wall| wall >= not_after.saturating_sub(RENEWED.whole_seconds()))
}

/// Whether a pair that was made here ends soon, or is for another host.
pub fn is_to_be_renewed(pair: &Pair, files: &Files, wall: u64) -> bool {
    pair.made_here && (is_due(pair.not_after, wall) || !pair.covers(&files.host))
}

/// Makes a new certificate for the existing key.
pub fn renew(files: &Files, wall: u64) -> io::Result<()> {
    let pem = fs::read_to_string(&files.key)?;
    let key = KeyPair::from_pem(&pem).map_err(io::Error::other)?;
    let certificate = sign(&key, &files.host, wall)?;
    let draft = write_draft(&files.certificate, &certificate)?;
    Ok(durable::rename(&draft, &files.certificate)?)
}

/// What to say about a renewal that failed.
pub fn cannot_renew(files: &Files) -> impl Fn(io::Error) -> StartError {
    |error| StartError {
        what: format!("renew the certificate {:?}: {error}", files.certificate),
        hint: "let this program write there, or give --cert and --key".to_owned(),
    }
}

fn half(present: &Path, missing: &Path) -> StartError {
    StartError {
        what: format!("serve TLS: {present:?} is there but {missing:?} is not"),
        hint: "give both with --cert and --key, or remove the one to have a new pair made"
            .to_owned(),
    }
}

fn exists(path: &Path) -> bool {
    // A link that leads nowhere counts as there: writing through it would be a surprise.
    fs::symlink_metadata(path).is_ok()
}

/// With this lock, two servers started at once in one directory make one pair. Where there are no
/// locks, as on some network file systems, checking that the pair matches still notices.
fn lock(path: &Path) -> Option<File> {
    let directory = File::open(directory_of(path)).ok()?;
    directory.lock().ok()?;
    Some(directory)
}

fn make(files: &Files, wall: u64) -> io::Result<()> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(io::Error::other)?;
    let certificate = sign(&key, &files.host, wall)?;
    let certificate_draft = write_draft(&files.certificate, &certificate)?;
    let key_draft = write_draft(&files.key, &key.serialize_pem())?;
    durable::rename(&key_draft, &files.key)?;
    durable::rename(&certificate_draft, &files.certificate)?;
    if let Ok(pair) = pair::load(files) {
        tracing::info!(
            file = log::path(&files.certificate),
            sha256 = %pair.fingerprint(),
            "made a self-signed certificate"
        );
    }
    Ok(())
}

/// Completes a first run that crashed between its two renames.
fn finish(certificate: &Path) -> bool {
    durable::rename(&draft_of(certificate), certificate).is_ok()
}

fn sign(key: &KeyPair, host: &str, wall: u64) -> io::Result<String> {
    let now = i64::try_from(wall)
        .ok()
        .and_then(|wall| OffsetDateTime::from_unix_timestamp(wall).ok())
        .ok_or_else(|| io::Error::other("the clock is beyond all years"))?;
    let mut parameters = CertificateParams::new(names(host)).map_err(io::Error::other)?;
    parameters.distinguished_name = DistinguishedName::new();
    parameters
        .distinguished_name
        .push(DnType::CommonName, MADE_HERE);
    parameters.not_before = now.saturating_sub(SLACK);
    parameters.not_after = now.saturating_add(VALID);
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = parameters.self_signed(key).map_err(io::Error::other)?;
    Ok(certificate.pem())
}

/// The names by which the machine may be called from nearby, and by its visitors.
fn names(host: &str) -> Vec<String> {
    let mut names = ["localhost", "127.0.0.1", "::1"]
        .map(str::to_owned)
        .to_vec();
    let own = host::own().to_ascii_lowercase();
    let plain = own
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
    let own = Some(own).filter(|own| plain && !own.is_empty());
    for name in own.into_iter().chain([host::plain(host)]) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn draft_of(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".draft");
    path.with_file_name(name)
}

/// Writes the draft of `path` beside it. The draft stays if the program dies, for a start after a
/// crash.
fn write_draft(path: &Path, text: &str) -> io::Result<PathBuf> {
    let draft = Draft::create_anew(draft_of(path), 0o600)?;
    draft.file().write_all(text.as_bytes())?;
    draft.sync()?;
    Ok(draft.leave())
}
