//! What strangers and visitors send to be taken for somebody else.

use crate::proxies::{APP, Deployment, Kind};

/// What makes some application or proxy take one for somebody else.
const SPOOFED: [&str; 23] = [
    "Remote-User: canary",
    "Remote-Groups: canary",
    "Remote-Name: canary",
    "Remote-Email: canary",
    "Remote-Id: canary",
    "Remote_User: canary",
    "Remote_Groups: canary",
    "rEMOTE-uSER: canary",
    "X-Forwarded-User: canary",
    "X_Forwarded_User: canary",
    "X-Forwarded_Email: canary",
    "X-Forwarded-Groups: canary",
    "X-Forwarded-For: canary",
    "X-Forwarded-Host: canary.example.test",
    "X-Forwarded-Proto: canary",
    "X-Forwarded-Uri: /canary",
    "X-Forwarded-Method: CANARY",
    "X-Forwarded-Prefix: /canary",
    "X-Original-URL: https://canary.example.test/",
    "X-Original-Method: CANARY",
    "X-Auth-Request-User: canary",
    "X-Rewrite-URL: /canary",
    "Forwarded: for=canary",
];

#[test]
fn nothing_a_visitor_says_of_himself_reaches_the_application() {
    for kind in Kind::ALL {
        let deployment = Deployment::of(kind);
        let session = format!("Cookie: __Secure-session={}", deployment.session());
        let with_session: Vec<&str> = SPOOFED.into_iter().chain([session.as_str()]).collect();

        let stranger = deployment.ask("GET /", &[&SPOOFED[..], &["Accept: text/html"]].concat());
        let visitor = deployment.ask("GET /", &with_session);

        let shown = format!("{stranger:?}").to_ascii_lowercase();
        assert_eq!(stranger.status, 302, "{kind:?} {shown}");
        assert!(!shown.contains("canary"), "{kind:?} {shown}");
        let seen = visitor.body.to_ascii_lowercase();
        assert!(!seen.contains("canary"), "{kind:?} {seen}");
        assert!(
            seen.contains("\r\nremote-user: alice\r\n"),
            "{kind:?} {seen}"
        );
        assert_eq!(seen.matches("remote").count(), 5, "{kind:?} {seen}");
        assert!(!seen.contains("session"), "{kind:?} {seen}");
    }
}

#[test]
fn no_spelling_of_a_host_or_a_target_gets_past_the_check() {
    for kind in Kind::ALL {
        let deployment = Deployment::of(kind);
        let session = format!("Cookie: __Secure-session={}", deployment.session());
        let port = deployment.port;

        for host in [
            format!("APP.Example.TEST:{port}"),
            format!("app.example.test.:{port}"),
            "app.example.test".to_owned(),
            "127.0.0.1".to_owned(),
            "localhost".to_owned(),
        ] {
            let answer = deployment.ask("GET /secret", &[&format!("Host: {host}")]);
            assert!(
                !answer.body.contains("/secret"),
                "{kind:?} {host} {answer:?}"
            );
            assert_ne!(answer.status, 200, "{kind:?} {host} {answer:?}");
        }
        for target in [
            "/a/../b",
            "/%2e%2e/b",
            "/a/..%5cb\\",
            "/a#b",
            "//auth.example.test/",
            "*",
            "https://evil.test/",
            "/%",
        ] {
            let answer = deployment.ask(&format!("GET {target}"), &[]);
            assert_ne!(answer.status, 200, "{kind:?} {target} {answer:?}");
        }
        // Not even for who may enter: what was asked about would not be what is got.
        for target in ["/a/../b", "/%2e%2e/b", "/a/%2E./b"] {
            let answer = deployment.ask(&format!("GET {target}"), &[&session]);
            assert!(
                (400..404).contains(&answer.status),
                "{kind:?} {target} {answer:?}"
            );
        }
    }
}

#[test]
fn a_target_without_a_path_is_none_or_the_front_page() {
    for kind in Kind::ALL {
        let deployment = Deployment::of(kind);
        let session = deployment.session_cookie();
        for line in [
            "GET https://app.example.test",
            "GET app.example.test/secret",
            "OPTIONS *",
        ] {
            let (_, answer) = deployment.raw(APP, line, &["Connection: close", &session]);
            // Caddy answers `*` by itself.
            let passed = answer
                .body
                .lines()
                .next()
                .is_some_and(|it| it == "GET / HTTP/1.1");
            let refused = answer.status >= 400 || answer.body.is_empty();
            assert!(passed || refused, "{kind:?} {line} {answer:?}");
        }
    }
}

/// What was asked about, and nothing beside it.
#[test]
fn a_whole_address_reaches_the_application_as_its_path() {
    for kind in Kind::ALL {
        let deployment = Deployment::of(kind);
        let session = deployment.session_cookie();
        let port = deployment.port;
        for line in [
            format!("GET https://{APP}:{port}/a/b?x=1&y=%2F"),
            format!("GET http://{APP}:{port}/a/b?x=1&y=%2F"),
        ] {
            let (_, answer) = deployment.raw(APP, &line, &["Connection: close", &session]);

            assert_eq!(answer.status, 200, "{kind:?} {line} {answer:?}");
            let first = answer.body.lines().next();
            assert_eq!(first, Some("GET /a/b?x=1&y=%2F HTTP/1.1"), "{kind:?}");
            let host = format!("\r\nhost: {APP}:{port}\r\n");
            assert!(answer.body.to_ascii_lowercase().contains(&host), "{kind:?}");
        }
    }
}

#[test]
fn haproxy_lets_nothing_through_when_its_script_fails() {
    for (begins, status) in [
        ("local fields = txn.http:req_get_headers()", 503),
        ("local set = values(txn.http:res_get_headers()", 502),
    ] {
        let deployment = Deployment::with(Kind::Haproxy, |_, text| {
            text.replace(begins, &format!("error('broken')\n    {begins}"))
        });
        let session = deployment.session_cookie();

        let answer = deployment.ask("GET /set-cookies", &[&session]);

        assert_eq!(answer.status, status, "{answer:?}");
        assert!(answer.header("set-cookie").is_none(), "{answer:?}");
    }
}
