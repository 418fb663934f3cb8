//! Ways to a connection to the application that nobody asks about.

use std::io::{Read as _, Write as _};

use crate::proxies::{APP, Application, Deployment, Kind, LOGIN};

/// Without one HAProxy refuses whatever speaks of a WebSocket.
const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
const SETTINGS: &str = "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA";

/// What asks for a protocol that is no WebSocket, or in a way in which no browser asks for one.
const UPGRADES: [(&str, &[&str]); 13] = [
    (
        "GET",
        &[
            "Connection: Upgrade, HTTP2-Settings",
            "Upgrade: h2c",
            SETTINGS,
        ],
    ),
    ("GET", &["Connection: Upgrade", "Upgrade: H2C", SETTINGS]),
    ("GET", &["Connection: upgrade", "Upgrade: websocket, h2c"]),
    ("GET", &["Connection: upgrade", "Upgrade: h2c, websocket"]),
    (
        "GET",
        &["Connection: upgrade", "Upgrade: h2c", "Upgrade: websocket"],
    ),
    ("GET", &["Connection: upgrade", "Upgrade: websocket/13"]),
    ("GET", &["Connection: upgrade", "Upgrade: TLS/1.0"]),
    ("GET", &["Upgrade: h2c"]),
    ("GET", &["Connection: HTTP2-Settings", SETTINGS]),
    ("GET", &[SETTINGS]),
    (
        "POST",
        &[
            "Connection: upgrade",
            "Upgrade: websocket",
            "Content-Length: 0",
        ],
    ),
    ("HEAD", &["Connection: upgrade", "Upgrade: websocket"]),
    (
        "OPTIONS",
        &[
            "Connection: upgrade, HTTP2-Settings",
            "Upgrade: h2c",
            SETTINGS,
        ],
    ),
];

#[test]
fn whatever_is_no_websocket_passes_as_an_ordinary_request() {
    for kind in Kind::ALL {
        let login = Application::start();
        let deployment = Deployment::of(kind);
        let open = Deployment::asking(kind, &login);
        let session = deployment.session_cookie();
        for (method, fields) in UPGRADES {
            let fields = [fields, &[KEY, session.as_str()]].concat();

            let (_, answer) = deployment.raw(APP, &format!("{method} /x"), &fields);
            open.raw(LOGIN, &format!("{method} /x"), &fields);
            open.raw(APP, &format!("{method} /x"), &fields);

            assert_eq!(answer.status, 200, "{kind:?} {fields:?} {answer:?}");
            let passed = deployment.application.heads();
            assert_eq!(passed.len(), 1, "{kind:?} {fields:?}");
            for seen in passed.into_iter().chain(login.heads()) {
                let seen = seen.to_ascii_lowercase();
                assert!(!seen.contains("\nupgrade"), "{kind:?} {seen}");
                assert!(!seen.contains("http2-settings"), "{kind:?} {seen}");
            }
        }
    }
}

#[test]
fn of_two_upgrades_only_a_websocket_is_left() {
    for kind in Kind::ALL {
        let deployment = Deployment::of(kind);
        let session = deployment.session_cookie();
        let fields = [
            "Connection: upgrade",
            "Upgrade: websocket",
            "Upgrade: h2c",
            KEY,
            &session,
        ];

        let (_, answer) = deployment.raw(APP, "GET /x", &fields);

        let seen = deployment.application.heads().concat().to_ascii_lowercase();
        assert!(!seen.contains("h2c"), "{kind:?} {seen}");
        // nginx before 1.23 sees only the first.
        if kind != Kind::Nginx {
            assert_eq!(answer.status, 200, "{kind:?} {answer:?}");
        }
    }
}

#[test]
fn a_websocket_passes_however_it_is_spelled() {
    for kind in Kind::ALL {
        let deployment = Deployment::of(kind);
        let session = deployment.session_cookie();
        for spelling in ["websocket", "WebSocket", "WEBSOCKET"] {
            let upgrade = format!("Upgrade: {spelling}");
            let fields = [
                "Connection: keep-alive, Upgrade, Remote-User",
                &upgrade,
                "Sec-WebSocket-Version: 13",
                KEY,
                &session,
            ];

            let (mut wire, answer) = deployment.raw(APP, "GET /socket", &fields);

            assert_eq!(answer.status, 101, "{kind:?} {answer:?}");
            wire.write_all(b"through").unwrap();
            let mut back = [0; 7];
            wire.read_exact(&mut back).unwrap();
            assert_eq!(&back, b"through", "{kind:?}");
            let seen = deployment.application.heads().concat().to_ascii_lowercase();
            assert!(seen.contains("\r\nupgrade: websocket\r\n"), "{seen}");
            assert!(seen.contains("\r\nconnection: upgrade\r\n"), "{seen}");
            assert!(seen.contains("\r\nremote-user: alice\r\n"), "{seen}");
        }
    }
}

/// HAProxy lets a WebSocket come over HTTP/2 (RFC 8441), and anything else as well.
#[test]
fn over_http2_only_a_websocket_is_a_tunnel() {
    let deployment = Deployment::of(Kind::Haproxy);
    let session = deployment.session();
    let authority = format!("{APP}:{}", deployment.port);
    let cookie = format!("__Secure-session={session}");
    let connect = |protocol: &[u8]| {
        let mut stream = deployment.h2(APP);
        let fields: [(&[u8], &[u8]); 8] = [
            (b":method", b"CONNECT"),
            (b":protocol", protocol),
            (b":scheme", b"https"),
            (b":authority", authority.as_bytes()),
            (b":path", b"/socket"),
            (b"sec-websocket-version", b"13"),
            (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
            (b"cookie", cookie.as_bytes()),
        ];
        stream.head(&fields, false);
        let begun = stream.begun();
        stream.data(b"through", false);
        (begun.status, stream.outcome(b"through".len()).body)
    };

    let socket = connect(b"websocket");
    let tunnel = connect(b"h2c");

    assert_eq!(socket, (Some(200), "through".to_owned()));
    assert_ne!(tunnel.1, "through", "{tunnel:?}");
    let seen = deployment.application.heads();
    assert!(!seen.iter().any(|head| head.contains("h2c")), "{seen:?}");
}

#[test]
fn over_http2_no_field_asks_for_a_tunnel() {
    for kind in Kind::ALL {
        let deployment = Deployment::of(kind);
        let authority = format!("{APP}:{}", deployment.port);
        let cookie = format!("__Secure-session={}", deployment.session());
        let mut stream = deployment.h2(APP);
        let fields: [(&[u8], &[u8]); 7] = [
            (b":method", b"GET"),
            (b":scheme", b"https"),
            (b":authority", authority.as_bytes()),
            (b":path", b"/socket"),
            (b"upgrade", b"websocket"),
            (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
            (b"cookie", cookie.as_bytes()),
        ];

        stream.head(&fields, true);
        let outcome = stream.outcome(1);

        assert_ne!(outcome.status, Some(101), "{kind:?} {outcome:?}");
        let seen = deployment.application.heads().concat().to_ascii_lowercase();
        assert!(!seen.contains("\r\nupgrade:"), "{kind:?} {seen}");
        assert!(!seen.contains("\r\nconnection: upgrade"), "{kind:?} {seen}");
    }
}

#[test]
fn no_method_that_tunnels_or_tells_reaches_the_application() {
    for kind in Kind::ALL {
        let deployment = Deployment::of(kind);
        let session = deployment.session_cookie();
        let port = deployment.port;
        for line in [
            "TRACE /".to_owned(),
            "trace /".to_owned(),
            "Trace /".to_owned(),
            "CONNECT /".to_owned(),
            "connect /".to_owned(),
            "Connect /x".to_owned(),
            format!("CONNECT {APP}:{port}"),
            "CONNECT 127.0.0.1:22".to_owned(),
        ] {
            for host in [APP, LOGIN] {
                let (_, answer) = deployment.raw(host, &line, &["Connection: close", &session]);

                assert!(
                    (400..500).contains(&answer.status),
                    "{kind:?} {line} {answer:?}"
                );
                let seen = deployment.application.heads();
                assert!(seen.is_empty(), "{kind:?} {line} {seen:?}");
            }
        }
        for line in [
            "VERSION-CONTROL /",
            "M-SEARCH /",
            "PROPFIND /",
            "UPDATE-REDIRECT-REF /",
        ] {
            let (_, answer) = deployment.raw(APP, line, &["Connection: close", &session]);

            assert_eq!(answer.status, 200, "{kind:?} {line} {answer:?}");
        }
    }
}

/// auth_user refuses these methods as well. A proxy that asked would depend on that, so here it
/// would be told yes to everything.
#[test]
fn no_method_that_tunnels_or_tells_is_even_asked_about() {
    for kind in Kind::ALL {
        let login = Application::start();
        let deployment = Deployment::asking(kind, &login);
        let there = format!("CONNECT {APP}:{}", deployment.port);
        for line in [
            "TRACE /",
            "trace /",
            "CONNECT /",
            "Connect /",
            &there,
            "CONNECT 127.0.0.1:22",
        ] {
            for host in [APP, LOGIN] {
                let (_, answer) = deployment.raw(host, line, &["Connection: close"]);

                assert!(
                    (400..500).contains(&answer.status),
                    "{kind:?} {host} {line} {answer:?}"
                );
                let heard = [login.heads(), deployment.application.heads()].concat();
                assert!(heard.is_empty(), "{kind:?} {host} {line} {heard:?}");
            }
        }
    }
}
