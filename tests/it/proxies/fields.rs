//! What a visitor who may enter says to be taken for somebody else, and what of it an application
//! hears.

use crate::harness::Answer;
use crate::proxies::{APP, Deployment, Kind, LOGIN};

/// The fields of a head as a program hears them that takes them for variables, as CGI does: names
/// of letters and digits, and an underscore for all else.
fn as_cgi(head: &str) -> Vec<(String, String)> {
    let fields = head.lines().skip(1).take_while(|line| !line.is_empty());
    let variable = |c: char| match c.to_ascii_uppercase() {
        c if c.is_ascii_alphanumeric() => c,
        _ => '_',
    };
    fields
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| {
            (
                name.chars().map(variable).collect(),
                value.trim().to_owned(),
            )
        })
        .collect()
}

/// Fails unless whoever was let in is `alice` to the application, once, and nothing in its head is
/// the visitor's `canary`.
fn is_alice(kind: Kind, what: &str, head: &str) {
    let variables = as_cgi(head);
    let users: Vec<&str> = variables
        .iter()
        .filter(|(name, _)| name == "REMOTE_USER")
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(users, ["alice"], "{kind:?} {what:?} {head}");
    assert!(!head.contains("canary"), "{kind:?} {what:?} {head}");
}

/// What a visitor's `Connection` field may name to have it taken away on the last hop.
const CONNECTIONS: [&[&str]; 7] = [
    &["Connection: close, Remote-User, Remote-Groups, Remote-Name, Remote-Email"],
    &["Connection: close, remote-user"],
    &["Connection: close", "Connection: REMOTE-USER"],
    &["Connection: close, X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto"],
    &["Connection: close, Cookie"],
    &["Connection: close, Host, Content-Length"],
    &["Connection: close, keep-alive, X-Own, Remote-User"],
];

#[test]
fn connection_names_nothing_of_ours() {
    for kind in Kind::ALL {
        let deployment = Deployment::of(kind);
        let session = deployment.session_cookie();
        for fields in CONNECTIONS {
            let fields = [fields, &["X-Own: kept", &session]].concat();

            let (_, answer) = deployment.raw(APP, "GET /", &fields);

            assert_eq!(answer.status, 200, "{kind:?} {fields:?} {answer:?}");
            let head = deployment.application.heads().concat();
            is_alice(kind, &format!("{fields:?}"), &head);
            let variables = as_cgi(&head);
            for name in ["X_FORWARDED_FOR", "X_FORWARDED_HOST", "HOST", "X_OWN"] {
                let count = variables.iter().filter(|(field, _)| field == name).count();
                assert_eq!(count, 1, "{kind:?} {fields:?} {head}");
            }
            let connection = variables.iter().filter(|(name, _)| name == "CONNECTION");
            for (_, value) in connection {
                let value = value.to_ascii_lowercase();
                assert!(
                    ["close", "keep-alive"].contains(&value.as_str()),
                    "{kind:?} {head}"
                );
            }
        }
    }
}

/// Names that become those of an identity for some application.
const NAMES: [&str; 19] = [
    "Remote.User",
    "Remote_User",
    "remote_user",
    "Remote-User",
    "REMOTE!USER",
    "Remote#User",
    "Remote$User",
    "Remote%User",
    "Remote&User",
    "Remote'User",
    "Remote*User",
    "Remote+User",
    "Remote^User",
    "Remote`User",
    "Remote|User",
    "Remote~User",
    "X_Forwarded.User",
    "X.WebAuth_User",
    "Remote User",
];

#[test]
fn no_name_but_of_letters_digits_and_hyphens_reaches_the_application() {
    for kind in Kind::ALL {
        let deployment = Deployment::of(kind);
        let session = deployment.session_cookie();
        for name in NAMES {
            let field = format!("{name}: canary");
            let (_, answer) =
                deployment.raw(APP, "GET /", &["Connection: close", &field, &session]);

            assert_passed_as_alice(kind, &field, &answer, &deployment);
            // Where nginx left that to auth_user, it would be refused.
            let is_left_out = kind == Kind::Nginx && !name.contains(' ');
            assert!(!is_left_out || answer.status == 200, "{name} {answer:?}");
        }
    }
}

/// Left out or refused: an error of the proxy's own would be neither.
fn assert_passed_as_alice(kind: Kind, what: &str, answer: &Answer, deployment: &Deployment) {
    let heads = deployment.application.heads();
    let status = answer.status;
    assert!(
        status == 200 || (400..500).contains(&status),
        "{kind:?} {what:?} {answer:?}"
    );
    assert_eq!(heads.len(), usize::from(status == 200), "{kind:?} {what:?}");
    for head in heads {
        is_alice(kind, what, &head);
    }
}

#[test]
fn over_http2_neither() {
    for kind in Kind::ALL {
        let deployment = Deployment::of(kind);
        let cookie = format!("__Secure-session={}", deployment.session());
        let authority = format!("{APP}:{}", deployment.port);
        let odd = (1..=255).filter(|byte: &u8| !byte.is_ascii_alphanumeric() && *byte != b'-');
        let odd = odd.filter(|byte| *byte < 0x82 || *byte > 0xfd);
        for byte in odd {
            let name = [b"remote".as_slice(), &[byte], b"user"].concat();
            let mut stream = deployment.h2(APP);
            let fields: [(&[u8], &[u8]); 6] = [
                (b":method", b"GET"),
                (b":scheme", b"https"),
                (b":authority", authority.as_bytes()),
                (b":path", b"/"),
                (b"cookie", cookie.as_bytes()),
                (&name, b"canary"),
            ];
            stream.head(&fields, true);

            let outcome = stream.outcome(usize::MAX);

            let heads = deployment.application.heads();
            assert_ne!(outcome.status, Some(500), "{kind:?} {byte}");
            // Caddy's answers of 502 have no number in the table; they have no body either.
            let refused = outcome.status.is_none() || outcome.status == Some(400);
            assert_eq!(heads.is_empty(), refused, "{kind:?} {byte} {outcome:?}");
            for head in heads {
                is_alice(kind, &format!("{byte}"), &head);
            }
        }
        let log = crate::harness::read(deployment.dir.path(), "log");
        assert!(!log.contains("invalid header field name"), "{kind:?} {log}");
    }
}

/// Names that no list has, by how they begin.
const BEGUN: [&str; 14] = [
    "Remote-Role",
    "Remote-Department",
    "REMOTE-whatever",
    "X-Remote-Group",
    "X-Remote-Whatever",
    "X-Auth-Whatever",
    "x-auth-token-subject",
    "X-WEBAUTH-ROLE",
    "X-WebAuth-Whatever",
    "X-Forwarded-Whatever",
    "X-Original-Whatever",
    "X-Rewrite-Whatever",
    "Proxy",
    "X-Real-IP",
];

#[test]
fn no_field_that_begins_like_an_identity_reaches_the_application() {
    for kind in Kind::ALL {
        let deployment = Deployment::of(kind);
        let session = deployment.session_cookie();
        for name in BEGUN {
            let field = format!("{name}: canary");
            let fields = ["Connection: close", &field, &session];

            let (_, answer) = deployment.raw(APP, "GET /", &fields);

            assert!(
                [200, 403].contains(&answer.status),
                "{kind:?} {field} {answer:?}"
            );
            assert_passed_as_alice(kind, &field, &answer, &deployment);
            let known =
                kind != Kind::Nginx || ["Remote-Role", "Proxy", "X-Real-IP"].contains(&name);
            assert!(
                !known || answer.status == 200,
                "{kind:?} {field} {answer:?}"
            );
        }
    }
}

/// Fields behind a body, as nginx and Caddy pass none on; HAProxy's configuration says that it
/// does, and is told not to from the version on that can.
#[test]
fn no_field_behind_a_body_reaches_the_application() {
    for kind in [Kind::Nginx, Kind::Caddy] {
        let deployment = Deployment::of(kind);
        let session = deployment.session_cookie();
        for announced in [&["Trailer: Remote-User"][..], &["TE: trailers"], &[]] {
            let mut fields = vec!["Connection: close", "Transfer-Encoding: chunked", &session];
            fields.extend(announced);
            let mut head = format!("POST / HTTP/1.1\r\nHost: {APP}:{}\r\n", deployment.port);
            head.push_str(&fields.join("\r\n"));
            head.push_str("\r\n\r\n3\r\nabc\r\n0\r\nRemote-User: canary\r\n\r\n");
            let mut wire = deployment.connect(APP);
            wire.send(head.as_bytes());

            let answer = Answer::parse(&wire.read_to_end());

            assert_eq!(answer.status, 200, "{kind:?} {answer:?}");
            assert!(answer.body.contains("body: 3\n"), "{kind:?} {answer:?}");
            let seen = answer.body.to_ascii_lowercase();
            assert!(!seen.contains("canary"), "{kind:?} {seen}");
            // Caddy announces what it then leaves out.
            let announced = seen.contains("\ntrailer:");
            assert!(kind == Kind::Caddy || !announced, "{kind:?} {seen}");
        }
        let mut stream = deployment.h2(APP);
        let authority = format!("{APP}:{}", deployment.port);
        let cookie = session.trim_start_matches("Cookie: ");
        let fields: [(&[u8], &[u8]); 5] = [
            (b":method", b"POST"),
            (b":scheme", b"https"),
            (b":authority", authority.as_bytes()),
            (b":path", b"/"),
            (b"cookie", cookie.as_bytes()),
        ];
        stream.head(&fields, false);
        stream.data(b"abc", false);
        stream.head(&[(b"remote-user", b"canary")], true);

        let outcome = stream.outcome(usize::MAX);

        assert!(!outcome.body.contains("canary"), "{kind:?} {outcome:?}");
    }
}

/// Not even that there would be some: an application might answer with fields behind its body.
#[test]
fn no_field_behind_a_body_is_announced_or_asked_for() {
    for kind in Kind::ALL {
        let deployment = Deployment::of(kind);
        let session = deployment.session_cookie();
        let fields = [
            "Connection: close, TE",
            "TE: trailers",
            "Trailer: X-Own",
            &session,
        ];

        let (_, answer) = deployment.raw(APP, "GET /", &fields);

        assert_eq!(answer.status, 200, "{kind:?} {answer:?}");
        let seen = answer.body.to_ascii_lowercase();
        for name in ["te", "trailer"] {
            assert!(!seen.contains(&format!("\n{name}:")), "{kind:?} {seen}");
        }
    }
}

/// Cookie fields with the session in them, as `SESSION`, and what an application gets of them.
const COOKIES: [(&[&str], &str); 13] = [
    (&["Cookie: SESSION"], ""),
    (&["Cookie: SESSION; a=1"], "a=1"),
    (&["Cookie: a=1; SESSION"], "a=1"),
    (&["Cookie: a=1; SESSION; b=2"], "a=1; b=2"),
    (&["Cookie: a=1;SESSION;b=2"], "a=1;b=2"),
    (&["Cookie: a=1;\tSESSION"], "a=1"),
    (&["Cookie: a=1;\t \tSESSION; b=2"], "a=1; b=2"),
    (
        &["Cookie: a=1; __Secure-session=planted; SESSION; b=2"],
        "a=1; b=2",
    ),
    (&["Cookie: SESSION; __Secure-session=planted"], ""),
    (
        &["Cookie: SESSION; __Secure-session=x; b=2; __Secure-session=y"],
        "b=2",
    ),
    (&["Cookie: SESSION; __Secure-session =planted"], ""),
    (&["Cookie: a=1;__Secure-session\t=planted;\tSESSION"], "a=1"),
    (
        &["Cookie: a=1", "Cookie: SESSION", "Cookie: b=2"],
        "a=1; b=2",
    ),
];

#[test]
fn the_session_is_taken_out_of_whatever_shape_the_cookies_have() {
    for kind in Kind::ALL {
        let deployment = Deployment::of(kind);
        let session = deployment.session();
        for (cookies, expected) in COOKIES {
            let named = format!("__Secure-session={session}");
            let cookies: Vec<String> = cookies
                .iter()
                .map(|field| field.replace("SESSION", &named))
                .collect();
            let mut fields: Vec<&str> = cookies.iter().map(String::as_str).collect();
            fields.push("Connection: close");

            let (_, answer) = deployment.raw(APP, "GET /", &fields);

            assert_eq!(answer.status, 200, "{kind:?} {cookies:?} {answer:?}");
            assert!(
                !answer.body.contains("ession"),
                "{kind:?} {cookies:?} {answer:?}"
            );
            let sent = as_cgi(&answer.body);
            let sent: Vec<&str> = sent
                .iter()
                .filter(|(name, value)| name == "COOKIE" && !value.is_empty())
                .map(|(_, value)| value.as_str())
                .collect();
            let plain = |text: &str| text.replace([' ', '\t'], "");
            assert_eq!(
                plain(&sent.join("; ")),
                plain(expected),
                "{kind:?} {cookies:?}"
            );
        }
        let planted = "__Secure-session=planted;".repeat(9);
        let more = format!("Cookie: a=1;{planted}__Secure-session={session};b=2");
        let (_, answer) = deployment.raw(APP, "GET /", &["Connection: close", &more]);
        assert!(!answer.body.contains("ession"), "{kind:?} {answer:?}");
    }
}

#[test]
fn a_host_that_is_not_served_is_misdirected() {
    for kind in Kind::ALL {
        let deployment = Deployment::of(kind);
        let session = deployment.session_cookie();
        let port = deployment.port;
        for name in [APP, LOGIN] {
            for host in [
                "other.example.test".to_owned(),
                format!("other.example.test:{port}"),
                format!("app.example.test.evil.test:{port}"),
                format!("xapp.example.test:{port}"),
                format!("other.example.test,{name}"),
                format!("{name},other.example.test:{port}"),
                "127.0.0.1".to_owned(),
                format!("[::1]:{port}"),
            ] {
                let head = format!(
                    "GET /secret HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{session}\r\n\r\n"
                );
                let mut wire = deployment.connect(name);
                wire.send(head.as_bytes());

                let answer = Answer::parse(&wire.read_to_end());

                assert_eq!(answer.status, 421, "{kind:?} {host} {answer:?}");
            }
        }
    }
}
