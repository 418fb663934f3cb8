//! `--smtp`: which mail server, how the connection is secured, and who we are there.
//!
//! An error says what is wrong without repeating any part of the URL: a password with a `/` or a
//! `#` in it can end up in any part.

use std::fmt::{self, Display};
use std::net::IpAddr;

use url::{Host, Url};

use crate::host;

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
    /// In the clear; only to this machine itself.
    None,
    /// TLS after STARTTLS, with no mail or password sent before it (RFC 3207).
    StartTls,
}

impl SmtpUrl {
    /// Reads `smtps://`, or `smtp://` for STARTTLS, or `smtp://…?tls=none` for a loopback host.
    /// User name and password are percent-decoded. The default ports are 465, 587 and 25.
    pub fn parse(text: &str) -> Result<Self, SmtpUrlError> {
        let url = Url::parse(text).map_err(|_| SmtpUrlError("it is not a URL"))?;
        // First: HOST:PORT alone is a URL of another scheme, and odd in every respect.
        if !matches!(url.scheme(), "smtp" | "smtps") {
            return Err(SmtpUrlError("it starts with neither smtps:// nor smtp://"));
        }
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
            _ => {
                return Err(SmtpUrlError(
                    "smtp://…?tls=none is the only option there is",
                ));
            }
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
        // Of schemes that browsers do not know, an IPv4 address is a name to this parser.
        Some(Host::Domain(name)) if host::is_machine(name) || name.parse::<IpAddr>().is_ok() => {
            Ok(name.to_ascii_lowercase())
        }
        Some(Host::Domain(_)) => Err(SmtpUrlError("the host's name is not valid")),
        Some(Host::Ipv4(address)) => Ok(address.to_string()),
        Some(Host::Ipv6(address)) => Ok(address.to_string()),
        None => Err(SmtpUrlError("it names no host")),
    }
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
        // `from_str_radix` alone would accept a sign.
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::{Security, SmtpUrl};

    fn parts(text: &str) -> Option<(String, u16, Security)> {
        let url = SmtpUrl::parse(text).ok()?;
        Some((url.host, url.port, url.security))
    }

    #[test]
    fn the_scheme_says_how_the_connection_is_secured() {
        for (text, host, port, security) in [
            (
                "smtps://mail.example.com",
                "mail.example.com",
                465,
                Security::Implicit,
            ),
            (
                "smtps://mail.example.com:1465/",
                "mail.example.com",
                1465,
                Security::Implicit,
            ),
            (
                "smtp://Mail.Example.com",
                "mail.example.com",
                587,
                Security::StartTls,
            ),
            (
                "smtp://[2001:db8::1]:25",
                "2001:db8::1",
                25,
                Security::StartTls,
            ),
            ("smtp://localhost", "localhost", 587, Security::StartTls),
            ("smtp://localhost?tls=none", "localhost", 25, Security::None),
            (
                "smtp://127.0.0.2:2525/?tls=none",
                "127.0.0.2",
                2525,
                Security::None,
            ),
            ("smtp://[::1]:2525?tls=none", "::1", 2525, Security::None),
        ] {
            assert_eq!(
                parts(text),
                Some((host.to_owned(), port, security)),
                "{text}"
            );
        }
    }

    #[test]
    fn user_name_and_password_are_percent_decoded() {
        let url = SmtpUrl::parse("smtps://me%40example.com:a%2Fb%25+%C3%A4:@h.example").ok();

        let credentials = url.unwrap().credentials.unwrap();

        assert_eq!(credentials.0, "me@example.com");
        assert_eq!(credentials.1, "a/b%+ä:");
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "mail.example.com",
            "mail.example.com:465",
            "http://mail.example.com",
            "smtps://",
            "smtps:mail.example.com",
            "smtps://mail.example.com:0",
            "smtps://mail.example.com:465/inbox",
            "smtps://mail.example.com#tls",
            "smtps://mail.example.com?tls=none",
            "smtps://localhost?tls=none",
            "smtp://mail.example.com?tls=none",
            "smtp://127.0.0.1.example.com?tls=none",
            "smtp://localhost.example.com?tls=none",
            "smtp://10.0.0.1?tls=none",
            "smtp://localhost?tls=opportunistic",
            "smtp://localhost?tls=none&tls=required",
            "smtp://mail%0d%0a.example.com",
            "smtp://bücher.example",
            "smtps://me@mail.example.com",
            "smtps://:secret@mail.example.com",
            "smtps://me:a%zz@mail.example.com",
            "smtps://me:a%+1@mail.example.com",
            "smtps://me:a%4@mail.example.com",
            "smtps://me:a%ff@mail.example.com",
            "smtps://me:a%00@mail.example.com",
            "smtps://me:a%@mail.example.com",
        ] {
            assert!(SmtpUrl::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        /// This holds even where a character of the password ends the part of the URL that it
        /// stands in.
        #[test]
        fn no_error_repeats_the_password(before in "[/?#@:%\\[ ]{0,3}", after in "[/?#@:%\\] ]{0,3}") {
            let text = format!("smtp://me:{before}hunter22{after}@mail.example.com:587?tls=none");
            if let Err(error) = SmtpUrl::parse(&text) {
                prop_assert!(!error.to_string().contains("hunter22"));
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "(smtps?://)?\\PC{0,40}", any: String) {
            let _ = (SmtpUrl::parse(&text), SmtpUrl::parse(&any));
        }
    }
}
