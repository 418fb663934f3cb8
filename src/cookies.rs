//! The three cookies: their names, how they are set, and how they are taken back.

use crate::http::Request;

/// A login that waits for its code.
const LOGIN: &str = "__Host-login";

/// A browser that has logged in before.
const DEVICE: &str = "__Host-device";

/// Seconds a browser is remembered: a year.
const DEVICE_AGE: u32 = 365 * 24 * 3600;

/// The cookies of this server.
pub struct Cookies {
    session: &'static str,
    /// Ends the session's cookie: the domain it is shared with, if any.
    domain: String,
}

impl Cookies {
    /// With a domain the session is shared with its sub-domains, which the `__Host-` prefix does
    /// not allow (RFC 6265bis, section 4.1.3).
    pub fn new(domain: Option<&str>) -> Self {
        match domain {
            Some(domain) => Self {
                session: "__Secure-session",
                domain: format!("; Domain={domain}"),
            },
            None => Self {
                session: "__Host-session",
                domain: String::new(),
            },
        }
    }

    pub fn session<'a>(&self, request: &'a Request) -> Option<&'a str> {
        request.cookie(self.session)
    }

    /// Every value of the session's cookie that came. Only for ending them: whoever can name a
    /// session may end it.
    pub fn sessions<'a>(&self, request: &'a Request) -> impl Iterator<Item = &'a str> {
        request.cookies(self.session)
    }

    pub fn login<'a>(&self, request: &'a Request) -> Option<&'a str> {
        request.cookie(LOGIN)
    }

    pub fn device<'a>(&self, request: &'a Request) -> Option<&'a str> {
        request.cookie(DEVICE)
    }

    pub fn set_session(&self, value: &str) -> String {
        self.domain_wide(&set(self.session, value))
    }

    pub fn end_session(&self) -> String {
        self.domain_wide(&end(self.session))
    }

    pub fn set_login(&self, value: &str) -> String {
        set(LOGIN, value)
    }

    pub fn end_login(&self) -> String {
        end(LOGIN)
    }

    pub fn set_device(&self, value: &str) -> String {
        format!("{}; Max-Age={DEVICE_AGE}", set(DEVICE, value))
    }

    fn domain_wide(&self, cookie: &str) -> String {
        format!("{cookie}{}", self.domain)
    }
}

fn set(name: &str, value: &str) -> String {
    format!("{name}={value}; Secure; HttpOnly; SameSite=Lax; Path=/")
}

fn end(name: &str) -> String {
    format!("{}; Max-Age=0", set(name, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_session_is_host_only_unless_it_is_shared() {
        assert_eq!(
            Cookies::new(None).set_session("x"),
            "__Host-session=x; Secure; HttpOnly; SameSite=Lax; Path=/"
        );
        assert_eq!(
            Cookies::new(Some("example.com")).end_session(),
            "__Secure-session=; Secure; HttpOnly; SameSite=Lax; Path=/; Max-Age=0; Domain=example.com"
        );
    }
}
