//! What an application says, and what a visitor hears of it.

use std::io::Read as _;

use crate::harness::{Answer, Wire};
use crate::proxies::application::{OWN_COOKIES, PLANTED_COOKIES};
use crate::proxies::{APP, Deployment, Kind, LOGIN};

#[test]
fn an_application_sets_its_own_cookies_and_not_ours() {
    for kind in Kind::ALL {
        let deployment = Deployment::of(kind);
        let session = deployment.session_cookie();

        let answer = deployment.ask("GET /set-cookies", &[&session]);

        let set: Vec<&str> = answer
            .headers
            .iter()
            .filter(|(name, value)| name == "set-cookie" && !value.is_empty())
            .map(|(_, value)| value.as_str())
            .collect();
        assert!(
            answer.header("clear-site-data").is_none(),
            "{kind:?} {answer:?}"
        );
        let insisting = answer
            .headers
            .iter()
            .filter(|(name, _)| name == "strict-transport-security");
        let insisting: Vec<&str> = insisting.map(|(_, value)| value.as_str()).collect();
        assert_eq!(insisting, ["max-age=63072000"], "{kind:?}");
        for own in OWN_COOKIES {
            assert_eq!(
                set.iter().filter(|cookie| **cookie == own).count(),
                1,
                "{kind:?} {set:?}"
            );
        }
        let others: Vec<&&str> = set
            .iter()
            .filter(|cookie| !OWN_COOKIES.contains(cookie))
            .collect();
        if kind == Kind::Nginx {
            // Without `Secure` no browser keeps it, for its name (RFC 6265bis, section 4.1.3).
            assert_eq!(others.len(), PLANTED_COOKIES.len(), "{others:?}");
            for cookie in others {
                let lower = cookie.to_ascii_lowercase();
                let mut attributes = lower.split(';').map(str::trim);
                assert!(
                    !attributes.any(|attribute| attribute == "secure"),
                    "{cookie:?}"
                );
            }
        } else {
            assert!(others.is_empty(), "{kind:?} {others:?}");
        }
    }
}

/// What an application may not say, the login must: a log-out empties what a browser keeps of it.
#[test]
fn what_the_login_says_of_its_own_stays() {
    for kind in Kind::ALL {
        let deployment = Deployment::of(kind);
        let session = deployment.session_cookie();
        let fields = ["Connection: close", "Content-Length: 0", &session];

        let (_, answer) = deployment.raw(LOGIN, "POST /logout", &fields);

        assert_eq!(
            answer.header("clear-site-data"),
            Some("\"storage\""),
            "{kind:?} {answer:?}"
        );
        let ended = |(name, value): &(String, String)| {
            name == "set-cookie" && value.starts_with("__Secure-session=;")
        };
        assert!(answer.headers.iter().any(ended), "{kind:?} {answer:?}");
    }
}

#[test]
fn answers_with_many_or_large_fields_pass() {
    for kind in Kind::ALL {
        let deployment = Deployment::of(kind);
        let session = deployment.session_cookie();
        for path in ["/one-field", "/many-fields"] {
            let answer = deployment.ask(&format!("GET {path}"), &[&session]);

            let large = answer
                .headers
                .iter()
                .filter(|(name, _)| name.starts_with("x-large"));
            let bytes: usize = large
                .map(|(name, value)| name.len() + value.len() + 4)
                .sum();
            assert_eq!(
                (answer.status, answer.body.as_str()),
                (200, "large"),
                "{kind:?} {path}"
            );
            assert!(bytes >= 32 * 1024 - 16, "{kind:?} {path} {bytes}");

            let mut stream = deployment.h2(APP);
            let authority = format!("{APP}:{}", deployment.port);
            let cookie = session.trim_start_matches("Cookie: ");
            let fields: [(&[u8], &[u8]); 5] = [
                (b":method", b"GET"),
                (b":scheme", b"https"),
                (b":authority", authority.as_bytes()),
                (b":path", path.as_bytes()),
                (b"cookie", cookie.as_bytes()),
            ];
            stream.head(&fields, true);
            let outcome = stream.outcome(usize::MAX);
            assert_eq!(outcome.body, "large", "{kind:?} {path} {outcome:?}");
        }
    }
}

fn read_until(wire: &mut Wire, end: &str) -> String {
    let mut seen = String::new();
    let mut byte = [0];
    while !seen.ends_with(end) {
        wire.read_exact(&mut byte).unwrap();
        seen.push(char::from(byte[0]));
    }
    seen
}

/// The application sends no second event before the connection ends: what is held back would come
/// never.
#[test]
fn events_come_as_they_are_sent() {
    for kind in Kind::ALL {
        let deployment = Deployment::of(kind);
        let session = deployment.session_cookie();
        let mut wire = deployment.connect(APP);
        let head = format!(
            "GET /events HTTP/1.1\r\nHost: {APP}:{}\r\n{session}\r\n\r\n",
            deployment.port
        );
        wire.send(head.as_bytes());

        let seen = read_until(&mut wire, "data: first\n\n");

        assert!(seen.contains("200 OK"), "{kind:?} {seen}");
    }
}

#[test]
fn uploads_of_any_size_pass_in_one_piece_or_in_chunks() {
    const LENGTH: usize = 24 << 20;
    for kind in Kind::ALL {
        let deployment = Deployment::of(kind);
        let session = deployment.session_cookie();

        let whole = deployment.send("PUT /up", &[&session], &vec![b'x'; LENGTH]);
        let mut wire = deployment.connect(APP);
        let head = format!(
            "PUT /up HTTP/1.1\r\nHost: {APP}:{}\r\nConnection: close\r\n{session}\r\n\
             Transfer-Encoding: chunked\r\n\r\n{LENGTH:x}\r\n",
            deployment.port
        );
        wire.send(head.as_bytes());
        wire.send(&vec![b'x'; LENGTH]);
        wire.send(b"\r\n0\r\n\r\n");
        let chunked = Answer::parse(&wire.read_to_end());

        for answer in [whole, chunked] {
            let all = format!("body: {LENGTH}\n");
            assert!(answer.body.ends_with(&all), "{kind:?} {answer:?}");
        }
    }
}

#[test]
fn both_families_of_addresses_are_served() {
    for kind in Kind::ALL {
        let deployment = Deployment::of(kind);
        for address in ["127.0.0.1", "[::1]"] {
            let address = format!("{address}:{}", deployment.port).parse().unwrap();
            let mut wire = deployment.connect_to(address, APP, &[]);
            let head = format!(
                "GET / HTTP/1.1\r\nHost: {APP}:{}\r\nConnection: close\r\nAccept: text/html\r\n\r\n",
                deployment.port
            );
            wire.send(head.as_bytes());

            assert_eq!(
                Answer::parse(&wire.read_to_end()).status,
                302,
                "{kind:?} {address}"
            );
        }
    }
}

/// Statuses that mean something of their own where auth_user answers.
#[test]
fn what_an_application_refuses_or_fails_at_is_its_own() {
    for kind in Kind::ALL {
        let deployment = Deployment::of(kind);
        let session = deployment.session_cookie();
        for status in [400, 401, 403, 404, 421, 429, 500, 503] {
            let answer = deployment.ask(&format!("GET /own/{status}"), &[&session]);

            assert_eq!(answer.status, status, "{kind:?} {answer:?}");
            assert_eq!(answer.body, "own", "{kind:?} {status} {answer:?}");
        }
    }
}
