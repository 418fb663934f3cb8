//! One conversation with a mail server, and what its refusals mean for the mail.

use std::time::Duration;

use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{SmtpConnection, TlsParameters};
use lettre::transport::smtp::extension::ClientId;

use crate::mail::letter::Letter;
use crate::mail::smtp_url::{Security, SmtpUrl};

/// A server that has greeted us, over TLS unless it is on this machine, and knows who we are.
pub(super) struct Session {
    connection: SmtpConnection,
}

/// Why a mail was not accepted. The text is for the log.
pub(super) enum Refusal {
    /// The conversation broke, or the server takes no mail at all at the moment: it says little
    /// about this mail.
    Broken(String),
    /// Not now; another mail may well be accepted.
    Later(String),
    /// Never.
    Permanent(String),
}

impl Session {
    /// Connects, secures the connection and authenticates. Nothing that fails here is the fault of
    /// a mail, a refused password included.
    pub(super) fn open(url: &SmtpUrl) -> Result<Self, String> {
        Self::connect(url).map_err(|error| told(&error))
    }

    fn connect(url: &SmtpUrl) -> Result<Self, Error> {
        // Read anew each time: a renewed bundle of trusted certificates needs no restart.
        let tls = match url.security {
            Security::Implicit | Security::StartTls => Some(TlsParameters::new(url.host.clone())?),
            Security::None => None,
        };
        let at_once = tls.as_ref().filter(|_| url.security == Security::Implicit);
        let server = (url.host.as_str(), url.port);
        let mut connection =
            SmtpConnection::connect(server, Some(STEP_TIMEOUT), &our_name(), at_once, None)?;
        if let (Some(tls), Security::StartTls) = (&tls, url.security) {
            // Fails if the server does not offer it: there is no going on in clear.
            connection.starttls(tls, &our_name())?;
        }
        if let Some((user, password)) = &url.credentials {
            let credentials = Credentials::new(user.clone(), password.clone());
            connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials)?;
        }
        Ok(Self { connection })
    }

    pub(super) fn send(&mut self, letter: &Letter) -> Result<(), Refusal> {
        // The end of the data brings its own line ending.
        let text = letter.text.strip_suffix(b"\r\n").unwrap_or(&letter.text);
        match self.connection.send(&letter.envelope, text) {
            Ok(_) => Ok(()),
            Err(error) => Err(Refusal::from(&error)),
        }
    }

    /// Whether another mail can follow on this connection.
    pub(super) fn is_usable(&self) -> bool {
        !self.connection.has_broken()
    }

    pub(super) fn close(mut self) {
        // The mails are accepted; a server that does not say goodbye changes nothing.
        let _ = self.connection.quit();
    }
}

impl From<&Error> for Refusal {
    fn from(error: &Error) -> Self {
        let reason = told(error);
        match error.status().map(u16::from) {
            // The server closes, or asks for what the settings lack (RFC 5321, section 3.8;
            // RFC 4954, section 6). The mail may be fine.
            Some(421 | 530 | 534 | 535 | 538) => Self::Broken(reason),
            Some(_) if error.is_permanent() => Self::Permanent(reason),
            Some(_) => Self::Later(reason),
            // The address or the text needs an extension this server does not have.
            None if error.is_client() => Self::Permanent(reason),
            None => Self::Broken(reason),
        }
    }
}

/// The error for the log: the server's own words are cut short and cannot start a line.
fn told(error: &Error) -> String {
    let words: String = error.to_string().chars().take(REASON_LENGTH).collect();
    words.escape_debug().to_string()
}

/// The host's name if it is a full one, and otherwise an address literal: RFC 5321, section 4.1.4,
/// wants no bare `myhost`.
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

/// For connecting, and for each wait for the server's next bytes. A server that needs longer is
/// in trouble, and the mail is tried again.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);

/// Enough for a reply code, its text and an address.
const REASON_LENGTH: usize = 200;
