//! Where a visitor may be sent after logging in. Nothing else judges `rd`.

use percent_encoding::percent_decode_str;
use url::{Position, Url, form_urlencoded};

use crate::host;

/// Longest `rd`, in bytes.
pub const MAX_LENGTH: usize = 2048;

/// What replaces an `rd` that is longer than that. No browser goes there.
pub const TOO_LONG: &str = "too-long:";

/// The targets this site may send its visitors to.
pub struct Targets {
    public_url: Url,
    cookie_domain: Option<String>,
}

impl Targets {
    /// `cookie_domain` is the domain in which the session is shared, if it is.
    pub fn new(public_url: Url, cookie_domain: Option<String>) -> Self {
        Self {
            public_url,
            cookie_domain,
        }
    }

    /// Reads `rd` as a browser would and rebuilds it from its parts: a path of this site, or an
    /// https URL at or under the cookie domain. `None` for anything else, and for a target that
    /// becomes too long when rebuilt: the form would send it back here only to be refused.
    pub fn allow(&self, rd: &str) -> Option<String> {
        if rd.is_empty() || rd.len() > MAX_LENGTH {
            return None;
        }
        self.rebuild(rd).filter(|target| target.len() <= MAX_LENGTH)
    }

    fn rebuild(&self, rd: &str) -> Option<String> {
        let target = self.public_url.join(rd).ok()?;
        if !target.username().is_empty() || target.password().is_some() {
            return None;
        }
        let host = target.host_str()?;
        let is_ours = self.public_url.host_str() == Some(host);
        if is_ours && is_logout(target.path()) {
            return None;
        }
        // The parser keeps a backslash that means nothing to it, but it may mean something to the
        // next reader.
        let path = target[Position::BeforePath..].replace('\\', "%5C");
        let port = target.port();
        if is_ours && target.scheme() == self.public_url.scheme() && port == self.public_url.port()
        {
            // A browser reads two slashes as the beginning of a host.
            return (!path.starts_with("//")).then_some(path);
        }
        if target.scheme() != "https" || !self.is_in_domain(host) {
            return None;
        }
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        Some(format!("https://{host}{port}{path}"))
    }

    /// Host and path of an allowed target at another site; `None` for a path of this one.
    pub fn elsewhere(&self, allowed: &str) -> Option<(String, String)> {
        let target = Url::parse(allowed).ok()?;
        Some((target.host_str()?.to_owned(), target.path().to_owned()))
    }

    /// Whether a browser sends our session to this host: our own, or one that shares the session.
    /// Ports do not matter to cookies.
    pub fn covers(&self, host: &str) -> bool {
        self.public_url.host_str() == Some(host) || self.is_in_domain(host)
    }

    /// Whether the session is shared with applications.
    pub fn is_shared(&self) -> bool {
        self.cookie_domain.is_some()
    }

    /// Whether an access token may be for this host, given in lower case and without a final dot:
    /// one that shares the session, and not our own.
    pub fn takes_tokens_at(&self, host: &str) -> bool {
        self.is_in_domain(host) && self.public_url.host_str() != Some(host)
    }

    fn is_in_domain(&self, host: &str) -> bool {
        let domain = self.cookie_domain.as_deref();
        domain.is_some_and(|domain| host::is_inside(host, domain))
    }
}

/// Whether any reader, even the most lenient, could take a path for `/logout`, which would end the
/// session that the login has just begun.
fn is_logout(path: &str) -> bool {
    let mut text = path.to_owned();
    for _ in 0..MAX_DECODING {
        let decoded = percent_decode_str(&text).decode_utf8_lossy().into_owned();
        if decoded == text {
            break;
        }
        text = decoded;
    }
    let mut names: Vec<&str> = Vec::new();
    for segment in text.split(['/', '\\']) {
        match segment
            .split([';', '?', '#'])
            .next()
            .unwrap_or_default()
            .trim()
        {
            "" | "." => {}
            ".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    matches!(names[..], [name] if name.eq_ignore_ascii_case("logout"))
}

/// How often a path is decoded to see what is in it. Nobody encodes nine times by mistake.
const MAX_DECODING: usize = 8;

/// Encodes a target as a value in a query.
pub fn encode(target: &str) -> String {
    form_urlencoded::byte_serialize(target.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn targets() -> Targets {
        let url = Url::parse("https://auth.example.com").unwrap();
        Targets::new(url, Some("example.com".to_owned()))
    }

    #[test]
    fn own_paths_and_hosts_under_the_domain_are_allowed() {
        for (rd, target) in [
            ("/account", "/account"),
            ("/account?a=b&c#d", "/account?a=b&c#d"),
            ("account", "/account"),
            // Without two slashes a browser reads these as paths, and so do we.
            ("https:evil.test", "/evil.test"),
            ("https:/evil.test", "/evil.test"),
            ("https://auth.example.com/x", "/x"),
            ("https://AUTH.example.com:443/x", "/x"),
            ("https://example.com/", "https://example.com/"),
            (
                "https://App.Example.com:8443/a?b=c",
                "https://app.example.com:8443/a?b=c",
            ),
            ("https://app.example.com:1/", "https://app.example.com:1/"),
            (
                "https://app.example.com:65535",
                "https://app.example.com:65535/",
            ),
            ("https://app.example.com:0443/", "https://app.example.com/"),
            // A name in letters of any script is the one a browser looks up.
            (
                "https://bücher.example.com/ü?ü=ü#ü",
                "https://xn--bcher-kva.example.com/%C3%BC?%C3%BC=%C3%BC#%C3%BC",
            ),
            ("https://ａｐｐ.example。com/", "https://app.example.com/"),
            // The query is the application's affair, even if it looks like ours.
            (
                "https://app.example.com/a?rd=https://evil.test/&x=%0d%0a",
                "https://app.example.com/a?rd=https://evil.test/&x=%0d%0a",
            ),
            (
                "/login?rd=https://evil.test/",
                "/login?rd=https://evil.test/",
            ),
            (
                "https://app.example.com//evil.test/\\x?\\",
                "https://app.example.com//evil.test//x?%5C",
            ),
            ("/a?b=\\c#\\d", "/a?b=%5Cc#%5Cd"),
            // Other people's log-outs are theirs.
            (
                "https://app.example.com/logout",
                "https://app.example.com/logout",
            ),
            ("/logout/x", "/logout/x"),
            ("/logouts", "/logouts"),
            ("/login?rd=/logout", "/login?rd=/logout"),
        ] {
            assert_eq!(targets().allow(rd).as_deref(), Some(target), "{rd}");
        }
    }

    #[test]
    fn everything_else_is_ignored() {
        for rd in [
            "",
            "//evil.test",
            "///evil.test",
            "/\\evil.test",
            "\\\\evil.test",
            "/\t/evil.test",
            "/\n/evil.test",
            "https://evil.test",
            "http://app.example.com/",
            "https://app.example.com@evil.test/",
            "https://user@app.example.com/",
            "https://user:pw@app.example.com/",
            "https://evilexample.com/",
            "https://example.com.evil.test/",
            "https://example.com./",
            "javascript:alert(1)",
            "data:text/html,x",
            "ftp://app.example.com/",
            "https://auth.example.com//evil.test",
            "https://auth.example.com/\\evil.test",
            " //evil.test",
            "https://[::1]/",
            "https://127.0.0.1/",
            "https://",
            "http://auth.example.com/",
            "https://app.example.com:65536/",
            "https://app.example.com:-1/",
            "https://app.example.com:a/",
            "https://app.example.com:80@evil.test/",
            "https://@evil.test/",
            "https://evil.test#@app.example.com/",
            "https://evil.test?.example.com/",
            "https://evil.test/.example.com",
            "https://evil.test\\.example.com/",
            "https://evil.test%2f.example.com/",
            "https://evil.test%00.example.com/",
            "https://evil.test\u{0}.example.com/",
            "https://examplé.com/",
            "https://exаmple.com/",
            "https://app.example.com.evil.test:443/",
            "https://example.co/",
            "https://xexample.com/",
            "https://app.example.com../",
            "ws://app.example.com/",
            "wss://app.example.com/",
            "\u{1}https://evil.test/",
            "ht\ntps://evil.test/",
            "/%5c/../\\/evil.test",
            "/.//evil.test",
            "/..//evil.test",
            // A URL in a URL has the origin of the inner one, and leads where the outer does.
            "blob:https://auth.example.com\\\\@evil.test/",
            "blob:https://auth.example.com/",
            "blob:https://app.example.com/x",
            "filesystem:https://auth.example.com/temporary/x",
            "view-source:https://auth.example.com/",
            "about:blank",
            "https:\\\\user@auth.example.com/",
            "https://:@auth.example.com:x/",
            "https://:pw@auth.example.com/",
            TOO_LONG,
            "/logout",
            "/logout/",
            "/logout?x",
            "/logout#x",
            "logout",
            "/LOGOUT",
            "/./logout",
            "/x/../logout",
            "/%6Cogout",
            "/%256cogout",
            "/logout%20",
            "/logout;x",
            "/log\tout",
            "\\logout",
            "/%2e/logout",
            "/x%2f..%2flogout",
            "https://auth.example.com/logout",
            "HTTPS://AUTH.example.com:443/logout?a=b",
            "https://auth.example.com:8443/logout",
        ] {
            assert_eq!(targets().allow(rd), None, "{rd:?}");
        }
        assert_eq!(
            targets().allow(&format!("/{}", "a".repeat(MAX_LENGTH))),
            None
        );
    }

    #[test]
    fn without_a_cookie_domain_only_own_paths_are_allowed() {
        let targets = Targets::new(Url::parse("https://localhost:8000").unwrap(), None);
        assert_eq!(targets.allow("/account").as_deref(), Some("/account"));
        assert_eq!(
            targets.allow("https://localhost:8000/x").as_deref(),
            Some("/x")
        );
        assert_eq!(targets.allow("https://localhost:9000/"), None);
        assert_eq!(targets.allow("https://example.com/"), None);
    }

    /// A browser writes three bytes for each that is not ASCII.
    #[test]
    fn what_grows_too_long_by_its_rebuilding_is_ignored() {
        let rd = |letters: usize| format!("/{}", "é".repeat(letters));
        let longest = (MAX_LENGTH - 1) / 6;
        let target = targets().allow(&rd(longest)).unwrap();
        assert_eq!(targets().allow(&target), Some(target));
        assert_eq!(targets().allow(&rd(longest + 1)), None);
    }

    #[test]
    fn a_session_reaches_our_own_host_and_those_of_the_domain() {
        let alone = Targets::new(Url::parse("https://localhost:8000").unwrap(), None);
        assert!(alone.covers("localhost"));
        assert!(!alone.covers("app.localhost"));
        for (host, covered) in [
            ("example.com", true),
            ("a.b.example.com", true),
            ("evilexample.com", false),
            ("example.com.evil.test", false),
            ("", false),
        ] {
            assert_eq!(targets().covers(host), covered, "{host}");
        }
    }

    proptest! {
        /// Whatever was allowed, a browser on our page goes to an allowed host, and allowing it
        /// again changes nothing.
        #[test]
        fn an_allowed_target_leads_where_it_says(rd in "([/\\\\:@.a-z%\t ]{0,12}|(https:)?[/\\\\]{1,4}([a-z:%]{0,4}@)?([a-zé0-9.-]{0,6}\\.)?)(example\\.com|evil\\.test)?(:[0-9]{0,5})?[/\\\\:@.a-z#?%\r\n]{0,8}(rd=//evil\\.test)?") {
            if let Some(target) = targets().allow(&rd) {
                let page = Url::parse("https://auth.example.com/login").unwrap();
                let reached = page.join(&target).unwrap();
                let host = reached.host_str().unwrap();
                prop_assert!(host == "example.com" || host.ends_with(".example.com"));
                prop_assert_eq!(reached.scheme(), "https");
                prop_assert_eq!(targets().allow(&target), Some(target));
            }
        }
    }
}
