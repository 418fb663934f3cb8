//! What auth_user is asked, and what a visitor is told by it.

use crate::harness::Answer;
use crate::proxies::{APP, Application, Deployment, Kind, LOGIN};

#[test]
fn what_the_check_needs_is_handed_on() {
    for kind in Kind::ALL {
        let login = Application::start();
        let deployment = Deployment::asking(kind, &login);
        let fields = [
            "Authorization: Bearer abc",
            "Sec-Fetch-Dest: empty",
            "Sec-Fetch-Mode: cors",
            "Sec-Fetch-Site: same-origin",
            "Sec-Fetch-User: ?1",
            "X-Requested-With: XMLHttpRequest",
            "Accept: */*",
        ];

        deployment.raw(
            APP,
            "GET /a",
            &[&["Connection: close"], &fields[..]].concat(),
        );

        let asked = login.heads().remove(0).to_ascii_lowercase();
        assert!(
            asked.lines().next().unwrap().contains("?strict "),
            "{kind:?} {asked}"
        );
        for field in fields {
            let field = field.to_ascii_lowercase();
            assert!(
                asked.contains(&format!("\r\n{field}\r\n")),
                "{kind:?} {field} {asked}"
            );
        }
    }
}

#[test]
fn neither_the_question_nor_the_login_is_asked_for_another_protocol() {
    for kind in Kind::ALL {
        let login = Application::start();
        let deployment = Deployment::asking(kind, &login);
        for host in [APP, LOGIN] {
            for upgrade in ["websocket", "h2c"] {
                let upgrade = format!("Upgrade: {upgrade}");
                let fields = [
                    "Connection: Upgrade, HTTP2-Settings",
                    &upgrade,
                    "HTTP2-Settings: AAMAAABkAAQAAP__",
                    "Sec-WebSocket-Version: 13",
                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                ];

                let (_, answer) = deployment.raw(host, "GET /a", &fields);

                let passes = matches!(answer.status, 101 | 200);
                assert!(passes, "{kind:?} {host} {answer:?}");
                let asked = login.heads().remove(0).to_ascii_lowercase();
                for name in ["upgrade", "http2-settings", "transfer-encoding"] {
                    let field = format!("\r\n{name}:");
                    assert!(!asked.contains(&field), "{kind:?} {host} {asked}");
                }
                let named = asked.lines().find(|line| line.starts_with("connection:"));
                let named = named.unwrap_or_default();
                assert!(!named.contains("upgrade"), "{kind:?} {host} {asked}");
            }
        }
    }
}

#[test]
fn what_only_a_proxy_may_ask_reaches_the_login_from_nobody() {
    for kind in Kind::ALL {
        let login = Application::start();
        let deployment = Deployment::asking(kind, &login);
        for name in [
            "X-Forwarded-For",
            "X-Forwarded-Host",
            "X-Forwarded-Method",
            "X-Forwarded-Proto",
            "X-Forwarded-Uri",
            "X-Original-Method",
            "X-Original-URL",
        ] {
            let field = format!("{name}: canary");

            let (_, answer) = deployment.raw(LOGIN, "GET /a", &["Connection: close", &field]);

            assert_eq!(answer.status, 200, "{kind:?} {name} {answer:?}");
            let asked = login.heads().concat();
            assert!(!asked.contains("canary"), "{kind:?} {name} {asked}");
            // Nor does the proxy say so itself, as it does where it asks.
            let field = format!("\r\n{}:", name.to_ascii_lowercase());
            let own = ["X-Forwarded-For", "X-Forwarded-Proto"].contains(&name);
            let said = asked.to_ascii_lowercase().contains(&field);
            assert!(own || !said, "{kind:?} {name} {asked}");
        }
    }
}

#[test]
fn only_a_navigation_is_sent_to_the_login() {
    for kind in Kind::ALL {
        let deployment = Deployment::of(kind);
        for (fields, status) in [
            (
                &[
                    "Accept: */*",
                    "Sec-Fetch-Mode: cors",
                    "Sec-Fetch-Dest: empty",
                ][..],
                401,
            ),
            (
                &[
                    "Accept: text/html",
                    "Sec-Fetch-Mode: no-cors",
                    "Sec-Fetch-Dest: image",
                ],
                401,
            ),
            (
                &[
                    "Accept: text/html",
                    "Sec-Fetch-Mode: navigate",
                    "Sec-Fetch-Dest: document",
                ],
                302,
            ),
            (
                &[
                    "Accept: text/html",
                    "Sec-Fetch-Mode: NAVIGATE",
                    "Sec-Fetch-Dest: iframe",
                ],
                302,
            ),
            (&["Accept: */*", "Authorization: Bearer abc"], 401),
            (&["Accept: application/json"], 401),
            (&["Accept: text/html"], 302),
        ] {
            let answer = deployment.ask("GET /a", fields);

            assert_eq!(answer.status, status, "{kind:?} {fields:?} {answer:?}");
            assert!(answer.header("location").is_some(), "{kind:?} {fields:?}");
        }
    }
}

/// The largest request that is answered: 40 KiB of head, in few fields or in 250.
#[test]
fn the_question_copes_with_what_the_proxy_takes() {
    for kind in Kind::ALL {
        let deployment = Deployment::of(kind);
        let session = deployment.session_cookie();
        let cookies = format!("{session}; a={}", "x".repeat(20 * 1024));
        let most = format!("{session}; a={}", "x".repeat(38 * 1024));
        let many: Vec<String> = (0..225)
            .map(|at| format!("X-Own-{at}: {}", "y".repeat(120)))
            .collect();
        let few: Vec<String> = (0..9)
            .map(|at| format!("X-Own-{at}: {}", "y".repeat(4000)))
            .collect();
        let with = |own: &[String]| -> Vec<String> {
            own.iter().cloned().chain([session.clone()]).collect()
        };
        for (what, fields) in [
            ("120 fields", with(&many[..120])),
            ("225 fields", with(&many)),
            ("nine large fields", with(&few)),
            ("20 KiB of cookies", vec![cookies.clone()]),
            ("38 KiB of cookies", vec![most.clone()]),
        ] {
            let fields: Vec<&str> = fields.iter().map(String::as_str).collect();

            let answer = deployment.ask("GET /large", &fields);

            assert_eq!(answer.status, 200, "{kind:?} {what} {}", answer.status);
            let stranger: Vec<String> = fields
                .iter()
                .map(|field| field.replace("__Secure-session=", "other="))
                .collect();
            let mut stranger: Vec<&str> = stranger.iter().map(String::as_str).collect();
            stranger.push("Accept: text/html");
            let answer = deployment.ask("GET /large", &stranger);
            assert_eq!(answer.status, 302, "{kind:?} {what} {}", answer.status);
        }
        // The login takes as much.
        let head = format!(
            "GET /login HTTP/1.1\r\nHost: auth.example.test:{}\r\nConnection: close\r\n{most}\r\n\r\n",
            deployment.port
        );
        let mut wire = deployment.connect("auth.example.test");
        wire.send(head.as_bytes());
        assert_eq!(Answer::parse(&wire.read_to_end()).status, 200, "{kind:?}");
        let more =
            |count| -> Vec<String> { (0..count).map(|at| format!("X-Own-{at}: y")).collect() };
        for fields in [
            vec![format!("{session}; a={}", "x".repeat(44 * 1024))],
            vec![format!("{session}; a={}", "x".repeat(60 * 1024))],
            more(320),
            more(2000),
        ] {
            let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
            let answer = deployment.ask(
                "GET /large",
                &[&fields, &["Accept: text/html"][..]].concat(),
            );
            assert!(
                (400..500).contains(&answer.status),
                "{kind:?} {} fields: {}",
                fields.len(),
                answer.status
            );
        }
    }
}

#[test]
fn a_host_of_any_length_is_served() {
    let long = format!(
        "{}.{}.{}.example.test",
        "a".repeat(63),
        "b".repeat(63),
        "c".repeat(63)
    );
    let longest = format!("{}.{}", "d".repeat(253 - 1 - long.len()), long);
    assert_eq!(longest.len(), 253);
    for kind in Kind::ALL {
        let deployment = Deployment::at(kind, &[APP, "two.example.test", &long, &longest]);
        let session = deployment.session_cookie();
        for host in [APP, "two.example.test", &long, &longest] {
            let (_, answer) = deployment.raw(host, "GET /", &["Connection: close", &session]);

            assert_eq!(answer.status, 200, "{kind:?} {host} {answer:?}");
            let seen = answer.body.to_ascii_lowercase();
            let authority = format!("\r\nx-forwarded-host: {host}:{}\r\n", deployment.port);
            assert!(seen.contains(&authority), "{kind:?} {seen}");
        }
    }
}
