//! Where a visitor may be sent after logging in: the one judge of `rd`.

use url::{Position, Url, form_urlencoded};

/// Longest `rd`, in bytes.
pub const MAX_LENGTH: usize = 2048;

/// The targets this site may send its visitors to.
pub struct Targets {
    public_url: Url,
    cookie_domain: Option<String>,
}

impl Targets {
    pub fn new(public_url: Url, cookie_domain: Option<String>) -> Self {
        Self {
            public_url,
            cookie_domain,
        }
    }

    /// Reads `rd` as a browser would and rebuilds it from its parts: a path of our own, or an
    /// https URL at the cookie domain or under it. Anything else is none, and so is one that grows
    /// too long by its rebuilding: it comes back with the form, where it would be refused.
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
        if target.origin() == self.public_url.origin() {
            let path = &target[Position::BeforePath..];
            // A browser reads two slashes as the beginning of a host.
            return (!path.starts_with("//")).then(|| path.to_owned());
        }
        let inside = self.is_in_domain(target.host_str()?);
        (target.scheme() == "https" && inside).then(|| target.to_string())
    }

    /// Host and path of an allowed target that is not ours.
    pub fn elsewhere(&self, allowed: &str) -> Option<(String, String)> {
        let target = Url::parse(allowed).ok()?;
        Some((target.host_str()?.to_owned(), target.path().to_owned()))
    }

    /// Whether a session of ours reaches this host: our own, and those that share it. Ports do not
    /// matter to cookies.
    pub fn covers(&self, host: &str) -> bool {
        self.public_url.host_str() == Some(host) || self.is_in_domain(host)
    }

    /// Only at a dot: `evilexample.com` is somebody else's.
    fn is_in_domain(&self, host: &str) -> bool {
        self.cookie_domain.as_deref().is_some_and(|domain| {
            host.strip_suffix(domain)
                .is_some_and(|sub| sub.is_empty() || sub.ends_with('.'))
        })
    }
}

/// A target as the value of a field in a query.
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
            // What stands in the query is the application's affair, also if it looks like ours.
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
                "https://app.example.com//evil.test//x?\\",
            ),
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

    /// A browser writes three bytes for one that is not ASCII.
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
