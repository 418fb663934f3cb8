//! The three cookies: their names, how they are set, and how they are taken back.

use std::time::Duration;

use crate::accounts::devices;
use crate::http::Request;

/// A login that waits for its code.
const LOGIN: &str = "__Host-login";

/// A browser that has logged in before.
const DEVICE: &str = "__Host-device";

/// Seconds for which a browser keeps this cookie after its last login: as long as the server
/// remembers the browser.
const DEVICE_AGE: u64 = devices::LIFETIME.as_secs();

/// The cookies of this server.
pub struct Cookies {
    session: &'static str,
    /// The end of the session's cookie: the attribute that names the domain it is shared in, if
    /// any.
    domain: String,
}

impl Cookies {
    /// With a domain, the session is shared with its sub-domains, which the `__Host-` prefix does
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

    /// Every session cookie that came: other hosts of the domain can add their own.
    pub fn sessions<'a>(&self, request: &'a Request) -> impl Iterator<Item = &'a str> {
        request.cookies(self.session)
    }

    /// The visitor's cookies except those with the session's name, as the value of one field.
    pub fn others(&self, request: &Request) -> String {
        let fields = request.headers.iter().filter(|(name, _)| name == "cookie");
        let pairs = fields
            .flat_map(|(_, value)| value.split(';'))
            .map(str::trim);
        let name = |pair: &str| pair.split('=').next().map(str::trim) == Some(self.session);
        let kept: Vec<&str> = pairs
            .filter(|pair| !pair.is_empty() && !name(pair))
            .collect();
        kept.join("; ")
    }

    /// The cookie of the login that waits for its code.
    pub fn login<'a>(&self, request: &'a Request) -> Option<&'a str> {
        request.cookie(LOGIN)
    }

    /// The cookie of a browser that has logged in before.
    pub fn device<'a>(&self, request: &'a Request) -> Option<&'a str> {
        request.cookie(DEVICE)
    }

    /// The `Set-Cookie` that gives the browser a session, for so long or until the browser is
    /// closed.
    pub fn set_session(&self, value: &str, stays: Option<Duration>) -> String {
        let mut cookie = set(self.session, value);
        if let Some(stays) = stays {
            cookie.push_str(&format!("; Max-Age={}", stays.as_secs()));
        }
        self.domain_wide(&cookie)
    }

    /// The `Set-Cookie` that takes the session from the browser.
    pub fn end_session(&self) -> String {
        self.domain_wide(&end(self.session, "/"))
    }

    /// Each `Set-Cookie` it takes to make the browser forget every session cookie that it sends
    /// with a request for this path, however those were set.
    pub fn forget_sessions(&self, path: &str) -> Vec<String> {
        if self.domain.is_empty() {
            return vec![end(self.session, "/")];
        }
        let paths = covering(path).into_iter();
        let both = |path: String| {
            let bare = end(self.session, &path);
            [self.domain_wide(&bare), bare]
        };
        paths.flat_map(both).collect()
    }

    /// The `Set-Cookie` that begins a login.
    pub fn set_login(&self, value: &str) -> String {
        set(LOGIN, value)
    }

    /// The `Set-Cookie` that keeps the cookie of a finished login for one more minute.
    pub fn keep_login(&self, value: &str) -> String {
        format!("{}; Max-Age=60", set(LOGIN, value))
    }

    /// The session that an answer with these cookies gives the browser.
    pub fn given_session<'a>(&self, set: &'a [String]) -> Option<&'a str> {
        given(self.session, set)
    }

    /// The login that an answer with these cookies gives the browser.
    pub fn given_login<'a>(&self, set: &'a [String]) -> Option<&'a str> {
        given(LOGIN, set)
    }

    /// Whether an answer with these cookies takes the session from the browser.
    pub fn ends_session(&self, set: &[String]) -> bool {
        set.contains(&self.end_session())
    }

    /// The `Set-Cookie` that ends a login.
    pub fn end_login(&self) -> String {
        end(LOGIN, "/")
    }

    /// The `Set-Cookie` by which a browser is known at its next login.
    pub fn set_device(&self, value: &str) -> String {
        format!("{}; Max-Age={DEVICE_AGE}", set(DEVICE, value))
    }

    fn domain_wide(&self, cookie: &str) -> String {
        format!("{cookie}{}", self.domain)
    }
}

fn given<'a>(name: &str, set: &'a [String]) -> Option<&'a str> {
    let pairs = set
        .iter()
        .filter_map(|cookie| cookie.split(';').next()?.split_once('='));
    let mut values = pairs
        .filter(|(set, _)| *set == name)
        .map(|(_, value)| value);
    values.find(|value| !value.is_empty())
}

fn set(name: &str, value: &str) -> String {
    set_at(name, value, "/")
}

fn set_at(name: &str, value: &str, path: &str) -> String {
    format!("{name}={value}; Secure; HttpOnly; SameSite=Lax; Path={path}")
}

fn end(name: &str, path: &str) -> String {
    format!("{}; Max-Age=0", set_at(name, "", path))
}

/// How many folders deep planted cookies are looked for: an answer has no room for more.
const MAX_DEPTH: usize = 3;

/// The paths whose cookies come with a request for this path (RFC 6265, section 5.1.4), down to
/// [`MAX_DEPTH`].
fn covering(path: &str) -> Vec<String> {
    let mut found = vec!["/".to_owned()];
    let ends = path.match_indices('/').map(|(at, _)| at).skip(1);
    for end in ends.chain([path.len()]).take(MAX_DEPTH) {
        let folder = &path[..end];
        // A path that would end the attribute cannot be named in it.
        let plain = folder
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b';');
        if plain && folder.len() > 1 && !folder.ends_with('/') {
            found.push(folder.to_owned());
            found.push(format!("{folder}/"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_session_is_host_only_unless_it_is_shared() {
        assert_eq!(
            Cookies::new(None).set_session("x", None),
            "__Host-session=x; Secure; HttpOnly; SameSite=Lax; Path=/"
        );
        assert_eq!(
            Cookies::new(Some("example.com")).end_session(),
            "__Secure-session=; Secure; HttpOnly; SameSite=Lax; Path=/; Max-Age=0; Domain=example.com"
        );
    }

    #[test]
    fn a_cookie_is_forgotten_on_every_path_that_it_came_for() {
        for (path, paths) in [
            ("/", &["/"][..]),
            ("", &["/"]),
            ("/a", &["/", "/a", "/a/"]),
            ("/a/", &["/", "/a", "/a/"]),
            ("/a/b", &["/", "/a", "/a/", "/a/b", "/a/b/"]),
            ("/a;x/b", &["/"]),
            ("/a/b;x", &["/", "/a", "/a/"]),
            ("//", &["/"]),
            (
                "/a/b/c/d/e",
                &["/", "/a", "/a/", "/a/b", "/a/b/", "/a/b/c", "/a/b/c/"],
            ),
        ] {
            assert_eq!(covering(path), paths, "{path}");
        }
        let shared = Cookies::new(Some("example.com"));
        assert_eq!(
            shared.forget_sessions("/"),
            [
                "__Secure-session=; Secure; HttpOnly; SameSite=Lax; Path=/; Max-Age=0; Domain=example.com",
                "__Secure-session=; Secure; HttpOnly; SameSite=Lax; Path=/; Max-Age=0",
            ]
        );
        let own = Cookies::new(None);
        assert_eq!(own.forget_sessions("/a/b"), [own.end_session()]);
    }
}
