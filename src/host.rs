//! Names of hosts: how they are spelled, and which of them are in a domain.

use std::net::IpAddr;

/// Longest name as it is written, in characters (RFC 1035, section 2.3.4).
const MAX_LENGTH: usize = 253;

/// Whether this is a name as the internet has them (RFC 1123, section 2.1), in ASCII: labels of
/// letters, digits and inner hyphens. The last one has a letter, or it would be an address.
pub fn is_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    text.len() <= MAX_LENGTH
        && last.bytes().any(|b| b.is_ascii_alphabetic())
        && text.split('.').all(label)
}

/// Whether this may be the name of a machine or a container on a network of one's own, which may
/// have underscores too.
pub fn is_machine(text: &str) -> bool {
    let last = text.rsplit('.').next().unwrap_or_default();
    text.len() <= MAX_LENGTH
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && !last.bytes().all(|b| b.is_ascii_digit())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// Whether a host is this domain or below it. Only at a dot: `evilexample.com` is somebody else's.
/// Both in lower case.
pub fn is_inside(host: &str, domain: &str) -> bool {
    host == domain || is_below(host, domain)
}

/// As [`is_inside`], but not the domain itself.
pub fn is_below(host: &str, domain: &str) -> bool {
    let sub = host.strip_suffix(domain);
    sub.is_some_and(|sub| sub.ends_with('.'))
}

/// What this machine calls itself.
pub fn own() -> String {
    let uname = rustix::system::uname();
    uname.nodename().to_string_lossy().into_owned()
}

/// A URL's host as certificates name it: an address without brackets in its usual form, a name in
/// lower case without the dot of the root.
pub fn plain(host: &str) -> String {
    let host = host.trim_matches(['[', ']']);
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_string(),
        Err(_) => host.trim_end_matches('.').to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_labels_and_no_addresses() {
        let label = "a".repeat(63);
        let longest = format!("{label}.{label}.{label}.{}", "b".repeat(61));
        for name in [
            "a",
            "app.example.com",
            "xn--bcher-kva.example",
            "1.a",
            &longest,
        ] {
            assert!(is_name(name), "{name}");
        }
        let too_long = format!("{longest}b");
        for text in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "-a",
            "a-.b",
            "a_b",
            "a b",
            "1.2.3.4",
            "a.1",
            "bücher",
            &"a".repeat(64),
            &too_long,
        ] {
            assert!(!is_name(text), "{text}");
        }
    }

    #[test]
    fn machines_may_have_underscores() {
        for name in ["web_1", "a.b", "localhost", "a-1"] {
            assert!(is_machine(name), "{name}");
        }
        for text in ["", "_a", "a b", "a:1", "1", "1.2.3", "a/b"] {
            assert!(!is_machine(text), "{text}");
        }
    }

    #[test]
    fn a_domain_ends_at_a_dot() {
        assert!(is_inside("example.com", "example.com") && !is_below("example.com", "example.com"));
        assert!(
            is_inside("a.b.example.com", "example.com") && is_below("a.example.com", "example.com")
        );
        assert!(!is_inside("evilexample.com", "example.com"));
        assert!(!is_inside("com", "example.com"));
    }

    #[test]
    fn hosts_are_plain_as_certificates_have_them() {
        assert_eq!(plain("[::1]"), "::1");
        assert_eq!(plain("Login.Example.COM."), "login.example.com");
        assert_eq!(plain("127.0.0.1"), "127.0.0.1");
    }
}
