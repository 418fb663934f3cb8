//! Usernames and e-mail addresses: which are allowed, and which are the same.
//!
//! Usernames keep to a plain alphabet, ASCII letters, digits and `. _ - +`, so that no two look
//! alike, none needs normalising, and every one can stand in a header.

use std::borrow::Cow;

use crate::host;

/// Longest username, in characters.
pub const MAX_USERNAME: usize = 64;

/// Longest e-mail address, in bytes (RFC 5321, section 4.5.3.1.3, less the angle brackets).
pub const MAX_EMAIL: usize = 254;

/// Whether an account may have this name.
pub fn is_username(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= MAX_USERNAME
        && bytes
            .next()
            .is_some_and(|first| first.is_ascii_alphanumeric())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"._-+".contains(&byte))
}

/// What all spellings of one username or e-mail have in common: the name in ASCII lower case.
pub fn key(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

/// Whether two spellings have the same [`key`].
pub fn is_same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// The address as it is kept: the local part as written, the domain in ASCII and lower case.
///
/// `None` unless a mail server would take it as `local@domain`. The local part is a dot-atom (RFC
/// 5322, section 3.2.3) of at most 64 bytes, without quotes or comments, and without characters
/// that a program on the way might take for an option, a command or a route. The domain is a host
/// name (RFC 5321, section 2.3.5) without a trailing dot.
pub fn parse_email(address: &str) -> Option<String> {
    let (local, domain) = address.rsplit_once('@')?;
    let domain = idna::domain_to_ascii_strict(domain).ok()?;
    let email = format!("{local}@{domain}");
    (is_local_part(local) && host::is_name(&domain) && email.len() <= MAX_EMAIL).then_some(email)
}

/// The address with its domain in ASCII, for looking it up; unchanged if it is not an address.
pub fn ascii_domain(address: &str) -> String {
    parse_email(address).unwrap_or_else(|| address.to_owned())
}

fn is_local_part(local: &str) -> bool {
    local.len() <= 64
        && local.starts_with(|first: char| first.is_ascii_alphanumeric())
        && local.split('.').all(|atom| {
            !atom.is_empty()
                && atom
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"_+-=/&*#?^{}~'".contains(&byte))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_are_usernames() {
        for name in ["alice", "A", "7", "bob.smith-2_x+y", &"a".repeat(64)] {
            assert!(is_username(name), "{name}");
        }
    }

    #[test]
    fn odd_names_are_not_usernames() {
        for name in [
            "",
            " alice",
            "alice ",
            "a b",
            ".alice",
            "-x",
            "аlice",
            "ａｌｉｃｅ",
            "al\u{200b}ice",
            "ALİCE",
            "ﬁ",
            "a\nb",
            "a\0b",
            "\"><script>",
            "{username}",
            "a/b",
            "a@b",
            "josé",
            &"a".repeat(65),
        ] {
            assert!(!is_username(name), "{name:?}");
        }
    }

    #[test]
    fn addresses_a_mail_server_takes_are_kept() {
        for (address, kept) in [
            ("alice@example.com", "alice@example.com"),
            ("A.l-i+c_e@Example.COM", "A.l-i+c_e@example.com"),
            ("root@localhost", "root@localhost"),
            ("o'brien@example.com", "o'brien@example.com"),
            ("a._+-=/&*#?^{}~'z@b", "a._+-=/&*#?^{}~'z@b"),
            ("a_@b", "a_@b"),
            ("7@1.example.2com", "7@1.example.2com"),
            ("alice@пример.рф", "alice@xn--e1afmkfd.xn--p1ai"),
            ("alice@bücher.example", "alice@xn--bcher-kva.example"),
        ] {
            assert_eq!(parse_email(address).as_deref(), Some(kept));
        }
    }

    #[test]
    fn addresses_a_mail_server_may_refuse_are_refused() {
        for address in [
            "",
            "@",
            "a@",
            "@b",
            "alice",
            "a@b@c",
            "a@b.",
            "a@.b",
            "a@b..c",
            ".a@b",
            "a.@b",
            "a..b@c",
            "\"a b\"@c",
            "a b@c",
            "a@b c",
            "a(x)@b",
            "a@[127.0.0.1]",
            "a@b,c@d",
            "<a@b>",
            "a@b>",
            "a@b\r\nBcc: c@d",
            "a\0@b",
            "a@-b",
            "a@b-",
            "é@b",
            "a@b_c",
            "a@b\u{2028}",
            // What programs on the way take for something else.
            "-oQ/tmp@b",
            "-@b",
            "_a@b",
            "'a@b",
            "~a@b",
            "|sh@b",
            "a|b@c",
            "a%b@c",
            "x!y@b",
            "a`b@c",
            "a$b@c",
            "a;b@c",
            "a\"b@c",
            "user@127.0.0.1",
            "user@1",
            "user@example.1",
            "user@0x7f.1",
        ] {
            assert_eq!(parse_email(address), None, "{address:?}");
        }
        assert_eq!(parse_email(&format!("{}@b", "a".repeat(65))), None);
        assert_eq!(parse_email(&format!("a@{}.b", "c".repeat(64))), None);
        assert_eq!(
            parse_email(&format!("{}@{}", "a".repeat(64), ["b"; 100].join("."))),
            None
        );
    }
}
