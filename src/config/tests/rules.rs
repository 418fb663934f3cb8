//! What one setting says of another.

use super::*;
use crate::config::flags::issuer;

#[test]
fn the_default_address_depends_on_who_can_listen_in() {
    let listen = |arguments: &[&str]| read(arguments).listen.to_string();
    assert_eq!(listen(&[]), "0.0.0.0:8000");
    assert_eq!(listen(&["--no-tls"]), "127.0.0.1:8000");
    assert_eq!(listen(&["--compat"]), "127.0.0.1:8000");
    assert_eq!(
        listen(&["--compat", "--trusted-proxy", "10.0.0.1"]),
        "0.0.0.0:8000"
    );
    assert_eq!(listen(&["--compat", "--listen", "0.0.0.0:1"]), "0.0.0.0:1");
}

#[test]
fn passwords_do_not_cross_a_network_in_the_clear() {
    let (what, hint) = wrong(&["--no-tls", "--listen", "0.0.0.0:8000"]);
    assert!(
        what.starts_with("--no-tls with --listen 0.0.0.0:8000 "),
        "{what}"
    );
    assert!(hint.contains("--trusted-proxy"), "{hint}");
    let variables = [("AUTH_NO_TLS", "1"), ("AUTH_LISTEN", "0.0.0.0:8000")];
    let (what, hint) = wrong_with(&[], &variables);
    assert!(
        what.starts_with("AUTH_NO_TLS with AUTH_LISTEN=0.0.0.0:8000 "),
        "{what}"
    );
    assert!(
        hint.contains("AUTH_TRUSTED_PROXIES") && !hint.contains("--"),
        "{hint}"
    );

    let proxied = [
        "--no-tls",
        "--listen",
        "0.0.0.0:1",
        "--trusted-proxy",
        "10.0.0.0/8",
    ];
    assert!(!read(&proxied).tls);
}

#[test]
fn strangers_cannot_register_by_themselves_where_applications_share_the_session() {
    const DOMAIN: [&str; 2] = ["--cookie-domain", "example.com"];
    let alone = read(&[]);
    assert!(alone.registration.is_open() && alone.notices.is_empty());

    let shared = read(&DOMAIN);
    assert_eq!(shared.registration, Registration::Invited);
    assert_eq!(shared.notices.len(), 1);
    let said = &shared.notices[0];
    assert!(said.contains("--registration open"), "{said}");

    for (who, registration) in [
        ("open", Registration::Open),
        ("closed", Registration::Closed),
        ("invited", Registration::Invited),
    ] {
        let told = read(&[&DOMAIN[..], &["--registration", who]].concat());
        assert_eq!(told.registration, registration);
        assert!(told.notices.is_empty(), "{who}");
    }
}

#[test]
fn half_a_set_up_is_warned_of_by_the_name_it_was_given() {
    const URL: (&str, &str) = ("--public-url", "https://a.example.com");
    const PROXY: (&str, &str) = ("--trusted-proxy", "10.0.0.1");
    const DOMAIN: (&str, &str) = ("--cookie-domain", "example.com");
    const SMTP: (&str, &str) = ("--smtp", "smtps://h.example");
    for (flags, warnings) in [
        (&[][..], &[][..]),
        (&[DOMAIN, URL, PROXY], &[]),
        (&[DOMAIN, URL], &["--cookie-domain without --trusted-proxy"]),
        (
            &[DOMAIN, PROXY],
            &[
                "\"localhost\", which is not in it",
                "--trusted-proxy without --public-url",
            ],
        ),
        (
            &[DOMAIN, PROXY, ("--public-url", "https://a.example.org")],
            &["\"a.example.org\", which is not in it"],
        ),
        (&[("--no-tls", "")], &["--no-tls without --trusted-proxy"]),
        (
            &[URL, ("--trusted-proxy", "0.0.0.0/0")],
            &["--trusted-proxy 0.0.0.0/0 lets everybody"],
        ),
        (&[URL, SMTP], &["--smtp without --mail-from"]),
        (&[URL, SMTP, ("--mail-from", "me@example.com")], &[]),
        (
            &[SMTP, ("--mail-from", "me@example.com")],
            &["--smtp without --public-url"],
        ),
        (
            &[("--public-url", "http://login.example.com")],
            &["--public-url http://login.example.com"],
        ),
        (&[("--public-url", "http://localhost:80")], &[]),
        (
            &[URL, PROXY, ("--no-tls", ""), ("--key", "k")],
            &["--key is not used with --no-tls"],
        ),
        (
            &[("--session-idle", "2d")],
            &["--session-idle 2days never counts"],
        ),
        (&[("--session-max", "5m")], &[]),
        (
            &[("--remember", "2h")],
            &["--remember 2h is shorter than a session may last anyway, 1day"],
        ),
        (&[("--remember", "0")], &[]),
    ] {
        let arguments: Vec<&str> = flags
            .iter()
            .flat_map(|(flag, value)| [*flag, *value])
            .filter(|word| !word.is_empty())
            .collect();
        let said = read(&arguments).warnings;
        assert_eq!(said.len(), warnings.len(), "{arguments:?}: {said:?}");
        for (said, begin) in said.iter().zip(warnings) {
            assert!(said.contains(begin), "{said}");
        }
    }

    let by_variable = [
        ("AUTH_COOKIE_DOMAIN", "example.com"),
        ("AUTH_PUBLIC_URL", "https://example.com"),
    ];
    let said = read_with(&[], &by_variable).ok().unwrap().warnings;
    assert!(
        said[0].starts_with("AUTH_COOKIE_DOMAIN without AUTH_TRUSTED_PROXIES "),
        "{said:?}"
    );

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("smtp");
    std::fs::write(&file, "smtps://h.example").unwrap();
    let by_file = [("AUTH_SMTP_FILE", file.to_str().unwrap())];
    let said = read_with(&[], &by_file).ok().unwrap().warnings;
    assert_eq!(said.len(), 2, "{said:?}");
    for said in said {
        assert!(said.starts_with("AUTH_SMTP_FILE without "), "{said}");
    }
}

#[test]
fn the_issuer_that_nobody_gave_obeys_the_rule_for_given_ones() {
    for (url, label) in [
        ("https://login.example.com", "login.example.com"),
        ("https://[2001:db8::1]:8000", "2001-db8--1"),
        ("https://[::1]", "--1"),
        ("https://192.0.2.1", "192.0.2.1"),
        ("https://b\u{fc}cher.example", "xn--bcher-kva.example"),
        (
            "https://a-very-long-label-that-somebody-needed.another-long-label-of-theirs.example.com",
            "a-very-long-label-that-somebody-needed.another-long-label-of-the",
        ),
    ] {
        let url = Url::parse(url).unwrap();
        let made = default_issuer(url.host_str().unwrap());
        assert_eq!(made, label);
        assert!(issuer(&made).is_ok(), "{made}");
    }
}
