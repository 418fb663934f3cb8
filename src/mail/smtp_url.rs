//! `--smtp`: which mail server, how it is secured, and who we are there.
//!
//! An error says what is wrong without repeating any part of the URL: a password with a `/` or a
//! `#` in it can end up in any part.

use std::fmt::{self, Display};
use std::net::IpAddr;

use url::{Host, Url};

/// A mail server.
///
/// No `Debug`: it holds the password.
#[derive(Clone)]
pub struct SmtpUrl {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) security: Security,
    /// User name and password.
    pub(super) credentials: Option<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Security {
    /// TLS from the first byte (RFC 8314, section 3.3).
    Implicit,
    /// In clear; only to this machine itself.
    None,
    /// TLS after STARTTLS, and nothing else before it (RFC 3207).
    StartTls,
}

impl SmtpUrl {
    /// Takes `smtps://`, or `smtp://` for STARTTLS, or `smtp://…?tls=none` for a loopback host.
    /// User name and password are percent-decoded. The default ports are 465, 587 and 25.
    pub fn parse(text: &str) -> Result<Self, SmtpUrlError> {
        let url = Url::parse(text).map_err(|_| SmtpUrlError("it is not a URL"))?;
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err(SmtpUrlError(
                "nothing may follow the port; write / ? # in a password as %2F %3F %23",
            ));
        }
        let host = host(&url)?;
        let (security, default_port) = match (url.scheme(), url.query()) {
            ("smtps", None) => (Security::Implicit, 465),
            ("smtp", None) => (Security::StartTls, 587),
            ("smtp", Some("tls=none")) if is_loopback(&host) => (Security::None, 25),
            ("smtp", Some("tls=none")) => {
                return Err(SmtpUrlError("tls=none is for a loopback host only"));
            }
            ("smtp" | "smtps", Some(_)) => {
                return Err(SmtpUrlError(
                    "smtp://…?tls=none is the only option there is",
                ));
            }
            _ => return Err(SmtpUrlError("it starts with neither smtps:// nor smtp://")),
        };
        let port = url.port().unwrap_or(default_port);
        if port == 0 {
            return Err(SmtpUrlError("there is no port 0"));
        }
        Ok(Self {
            host,
            port,
            security,
            credentials: credentials(&url)?,
        })
    }

    /// The server as a log line names it.
    pub(super) fn name(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// What is wrong with the URL, without any of its text.
#[derive(Debug, PartialEq, Eq)]
pub struct SmtpUrlError(&'static str);

impl Display for SmtpUrlError {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(self.0)
    }
}

impl std::error::Error for SmtpUrlError {}

fn host(url: &Url) -> Result<String, SmtpUrlError> {
    match url.host() {
        Some(Host::Domain(name)) if is_name(name) => Ok(name.to_ascii_lowercase()),
        Some(Host::Domain(_)) => Err(SmtpUrlError("the host's name is not one")),
        Some(Host::Ipv4(address)) => Ok(address.to_string()),
        Some(Host::Ipv6(address)) => Ok(address.to_string()),
        None => Err(SmtpUrlError("it names no host")),
    }
}

/// The letters a host's name is made of; an international one is given in its ASCII form.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

fn credentials(url: &Url) -> Result<Option<(String, String)>, SmtpUrlError> {
    match (url.username(), url.password()) {
        ("", None) => Ok(None),
        ("", Some(_)) => Err(SmtpUrlError("it has a password but no user name")),
        (_, None) => Err(SmtpUrlError("it has a user name but no password")),
        (user, Some(password)) => Ok(Some((percent_decoded(user)?, percent_decoded(password)?))),
    }
}

fn percent_decoded(text: &str) -> Result<String, SmtpUrlError> {
    let mut pieces = text.split('%');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let (code, rest) = piece.split_at_checked(2).ok_or(BAD_PERCENT)?;
        // `from_str_radix` alone would take a sign.
        if !code.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(BAD_PERCENT);
        }
        bytes.push(u8::from_str_radix(code, 16).map_err(|_| BAD_PERCENT)?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    let decoded = String::from_utf8(bytes)
        .map_err(|_| SmtpUrlError("its user name or password is not UTF-8"))?;
    if decoded.contains(char::is_control) {
        // NUL separates the parts of AUTH PLAIN (RFC 4616, section 2).
        return Err(SmtpUrlError(
            "its user name or password has a control character",
        ));
    }
    Ok(decoded)
}

const BAD_PERCENT: SmtpUrlError =
    SmtpUrlError("a % in its user name or password is not followed by two hex digits; write %25");
