//! One conversation with a mail server, and what its refusals mean for the mail.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{SmtpConnection, TlsParameters};
use lettre::transport::smtp::extension::ClientId;

use crate::mail::letter::Letter;
use crate::mail::smtp_url::{Security, SmtpUrl};
use crate::trust;

/// A connection to a server that has greeted us and knows who we are; over TLS, except to this
/// machine.
pub(super) struct Connection {
    connection: SmtpConnection,
}

/// Why a mail was not accepted. The text is for the log.
pub(super) enum SmtpError {
    /// The conversation broke, or the server takes no mail at all at the moment. This says little
    /// about the mail.
    Broken(String),
    /// Not now; another mail may well be accepted.
    Later(String),
    /// Never.
    Permanent(String),
}

impl Connection {
    /// Connects, secures the connection and authenticates. Whatever fails here, even a refused
    /// password, is not the fault of a mail.
    ///
    /// `now`, seconds since 1970, judges a certificate that is trusted by name.
    pub(super) fn open(url: &SmtpUrl, now: u64) -> Result<Self, String> {
        let mut connection = Self::secured(url, now)?;
        if let Some((user, password)) = &url.credentials {
            let credentials = Credentials::new(user.clone(), password.clone());
            connection
                .auth(&[Mechanism::Plain, Mechanism::Login], &credentials)
                .map_err(|error| told(&error))?;
        }
        Ok(Self { connection })
    }

    /// Connects to the server and, where there is TLS, to nobody else.
    ///
    /// A certificate that is itself on this machine's list of trusted ones is accepted too, even if
    /// it may sign others, which makes the library refuse it from a server. Nothing secret is sent
    /// before it was found on that list, and the handshake has proved by then that the server has
    /// its key.
    fn secured(url: &SmtpUrl, now: u64) -> Result<SmtpConnection, String> {
        let refused = match Self::connect(url, false) {
            Ok(connection) => return Ok(connection),
            Err(error) => error,
        };
        if !is_distrust(&refused) {
            return Err(told(&refused));
        }
        let by_name = Self::connect(url, true).ok().filter(|connection| {
            let trusted = trust::of_this_machine();
            let list = trusted.iter().map(Vec::as_slice);
            let shown = connection.peer_certificate();
            shown.is_ok_and(|shown| {
                trust::is_named(&shown, list, now) && trust::is_for(&shown, &url.host)
            })
        });
        by_name.ok_or_else(|| {
            format!("{}; to trust it, add its certificate to those of this machine, or set SSL_CERT_FILE to a file with it", told(&refused))
        })
    }

    fn connect(url: &SmtpUrl, any: bool) -> Result<SmtpConnection, Error> {
        // Read for each connection, so that a renewed bundle of trusted certificates needs no
        // restart.
        let tls = match url.security {
            Security::Implicit | Security::StartTls => Some(
                TlsParameters::builder(url.host.clone())
                    .dangerous_accept_invalid_certs(any)
                    .dangerous_accept_invalid_hostnames(any)
                    .build()?,
            ),
            Security::None => None,
        };
        let at_once = tls.as_ref().filter(|_| url.security == Security::Implicit);
        let server = (url.host.as_str(), url.port);
        let mut connection =
            SmtpConnection::connect(server, Some(STEP_TIMEOUT), &our_name(), at_once, None)?;
        if let (Some(tls), Security::StartTls) = (&tls, url.security) {
            // Fails if the server does not offer STARTTLS: nothing is ever sent in the clear
            // instead.
            connection.starttls(tls, &our_name())?;
        }
        Ok(connection)
    }

    pub(super) fn send(&mut self, letter: &Letter) -> Result<(), SmtpError> {
        // The end of the data adds its own line ending.
        let text = letter.text.strip_suffix(b"\r\n").unwrap_or(&letter.text);
        match self.connection.send(&letter.envelope, text) {
            Ok(_) => Ok(()),
            Err(error) => Err(SmtpError::from(&error)),
        }
    }

    /// Whether this connection can take another mail.
    pub(super) fn is_usable(&self) -> bool {
        !self.connection.has_broken()
    }

    pub(super) fn close(mut self) {
        // The mails are accepted; a server that does not say goodbye changes nothing.
        let _ = self.connection.quit();
    }
}

impl From<&Error> for SmtpError {
    fn from(error: &Error) -> Self {
        let reason = told(error);
        match error.status().map(u16::from) {
            // The server closes, or asks for what the settings lack (RFC 5321, section 3.8;
            // RFC 4954, section 6). The mail may be fine.
            Some(421 | 530 | 534 | 535 | 538) => Self::Broken(reason),
            Some(_) if error.is_permanent() => Self::Permanent(reason),
            Some(_) => Self::Later(reason),
            // The address or the text needs an extension that this server does not have.
            None if error.is_client() => Self::Permanent(reason),
            None => Self::Broken(reason),
        }
    }
}

/// Whether it was our side that rejected the TLS handshake, which the library reports as
/// `InvalidData`.
fn is_distrust(error: &Error) -> bool {
    let cause = StdError::source(error).and_then(|cause| cause.downcast_ref::<io::Error>());
    error.is_tls() || cause.is_some_and(|cause| cause.kind() == io::ErrorKind::InvalidData)
}

/// The error for the log: the server's own words are cut short and cannot start a line.
fn told(error: &Error) -> String {
    let words: String = error.to_string().chars().take(REASON_LENGTH).collect();
    words.escape_debug().to_string()
}

/// The host's name if it is fully qualified, and otherwise an address literal: RFC 5321, section
/// 4.1.4, does not allow a bare `myhost`.
fn our_name() -> ClientId {
    let uname = rustix::system::uname();
    match uname.nodename().to_str() {
        Ok(name) if is_full_name(name) => ClientId::Domain(name.to_owned()),
        _ => ClientId::default(),
    }
}

fn is_full_name(name: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    name.contains('.') && name.split('.').all(label)
}

/// The limit for connecting and for each wait for the server's next bytes. A server that needs
/// longer is in trouble, and the mail is tried again.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);

/// In characters: enough for a reply code, its text and an address.
const REASON_LENGTH: usize = 200;
