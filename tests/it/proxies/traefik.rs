//! What Traefik's `forwardAuth` sends and takes, sent and taken by a client: it is in no
//! distribution.

use crate::harness::tokens::{basic, secret};
use crate::harness::{Answer, Server, Setup, Visitor};

/// The address in what is printed, without the host.
const QUESTION: &str = "/api/authz/forward-auth?strict&cookie";

/// The question Traefik asks about a visitor's request: a GET with the fields of the visitor, and
/// those it has made anew from the connection.
fn ask(server: &Server, method: &str, uri: &str, fields: &[&str]) -> Answer {
    let mut head = format!("GET {QUESTION} HTTP/1.1\r\n");
    let own = [
        "Host: 127.0.0.1:8000",
        "User-Agent: Mozilla/5.0",
        &format!("X-Forwarded-Method: {method}"),
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: app.example.test",
        &format!("X-Forwarded-Uri: {uri}"),
        "X-Forwarded-For: 192.0.2.7",
        "Accept-Encoding: gzip",
        "Connection: close",
    ];
    for field in own.iter().chain(fields) {
        head.push_str(field);
        head.push_str("\r\n");
    }
    let mut wire = server.connect();
    wire.send(format!("{head}\r\n").as_bytes());
    Answer::parse(&wire.read_to_end())
}

fn server() -> Server {
    Setup::new()
        .for_domain("example.test")
        .with(&["--no-tls", "--trusted-proxy", "127.0.0.1"])
        .start()
}

#[test]
fn traefik_is_told_who_is_there_and_where_strangers_go() {
    let server = server();
    let (visitor, _) = Visitor::with_account(&server, "alice");
    let session = visitor.cookies.borrow()["__Secure-session"].clone();
    let session = format!("Cookie: a=b; __Secure-session={session}");
    // It passes on what else the visitor sends, and adds what it knows itself.
    let spoofed = [
        "X-Original-URL: https://x/",
        "X-Forwarded-Port: 443",
        "X-Forwarded-Server: proxy",
        "X-Real-Ip: 192.0.2.7",
    ];

    let known = ask(
        &server,
        "POST",
        "/a?b=c",
        &[&[session.as_str()], &spoofed[..]].concat(),
    );
    let page = ask(
        &server,
        "GET",
        "/a?b=c",
        &[&["Accept: text/html"], &spoofed[..]].concat(),
    );
    let form = ask(&server, "POST", "/a", &["Accept: text/html"]);
    let program = ask(&server, "GET", "/a", &["Accept: application/json"]);

    assert_eq!(known.status, 200);
    for (name, value) in [
        ("remote-user", "alice"),
        ("remote-name", "alice"),
        // Not proven.
        ("remote-email", "-"),
    ] {
        assert_eq!(known.header(name), Some(value));
    }
    assert!(
        known
            .header("remote-groups")
            .is_some_and(|groups| !groups.is_empty())
    );
    let login = "https://auth.example.test/login?rd=https%3A%2F%2Fapp.example.test%2Fa";
    let whole = format!("{login}%3Fb%3Dc&rm=GET");
    assert_eq!(
        (page.status, page.header("location")),
        (302, Some(whole.as_str()))
    );
    assert_eq!(form.status, 303);
    assert_eq!(program.status, 401);
}

/// As `authResponseHeaders` has it: the application gets the answer's `Authorization`, or none.
#[test]
fn the_application_behind_traefik_gets_its_own_authorization_and_no_token() {
    let server = server();
    let (visitor, _) = Visitor::with_account(&server, "alice");
    let session = visitor.cookies.borrow()["__Secure-session"].clone();
    let session = format!("Cookie: __Secure-session={session}");
    let token = format!("Bearer {}", secret('a'));
    let with_name = basic("alice", &secret('a'));
    for (sent, passed) in [
        ("Bearer abc", Some("Bearer abc")),
        ("Digest a=\"%41\", b", Some("Digest a=\"%41\", b")),
        (&token, None),
        (&with_name, None),
    ] {
        let answer = ask(
            &server,
            "GET",
            "/a",
            &[&session, &format!("Authorization: {sent}")],
        );
        assert_eq!(answer.status, 200, "{sent}");
        assert_eq!(answer.header("authorization"), passed, "{sent}");
    }
}

/// As `authResponseHeaders` has it: the application gets the answer's `Cookie`, or none.
#[test]
fn the_application_behind_traefik_gets_all_cookies_but_the_session() {
    let server = server();
    let (visitor, _) = Visitor::with_account(&server, "alice");
    let session = visitor.cookies.borrow()["__Secure-session"].clone();
    let session = format!("__Secure-session={session}");

    for (cookies, expected) in [
        (format!("Cookie: {session}"), None),
        (format!("Cookie: {session}; a=b"), Some("a=b")),
        (format!("Cookie: a=b;\t{session};c=d"), Some("a=b; c=d")),
        (
            format!("Cookie: a=b\r\nCookie: {session}; c=d"),
            Some("a=b; c=d"),
        ),
        (
            format!("Cookie: __Secure-session=x; {session}; c"),
            Some("c"),
        ),
        (
            format!("Cookie: {session}; __Secure-session =x; c="),
            Some("c="),
        ),
    ] {
        let answer = ask(&server, "GET", "/", &[&cookies]);

        assert_eq!(answer.status, 200, "{cookies:?} {answer:?}");
        assert_eq!(answer.header("cookie"), expected, "{cookies:?}");
    }
}

#[test]
fn traefik_lets_nothing_through_that_only_a_proxy_may_say() {
    let server = server();
    let (visitor, _) = Visitor::with_account(&server, "alice");
    let session = visitor.cookies.borrow()["__Secure-session"].clone();
    let session = format!("Cookie: __Secure-session={session}");
    for field in [
        "Remote-Whatever: x",
        "Remote.User: x",
        "X_WebAuth_Whatever: x",
        "X-Auth-Whatever: x",
        "X-Rewrite-Whatever: x",
        "X-Forwarded-Whatever: x",
    ] {
        let answer = ask(&server, "GET", "/", &[&session, field]);

        assert_eq!(answer.status, 403, "{field} {answer:?}");
    }
}

#[test]
fn what_is_printed_for_traefik_passes_only_websockets_and_says_what_it_cannot_do() {
    let (status, printed, _) = Setup::bare()
        .with(&[
            "proxy-config",
            "traefik",
            "--app",
            "app.example.test=[::1]:9000",
        ])
        .with(&["--app", "two.example.test=two:80"])
        .run();

    assert!(status.success());
    for host in ["app.example.test", "two.example.test"] {
        for line in [
            format!("      rule: \"Host(`{host}`) && !Method(`CONNECT`) && !Method(`TRACE`)\""),
            format!(
                "      rule: \"Host(`{host}`) && Method(`GET`) && HeaderRegexp(`Upgrade`, `(?i)^websocket$`)\""
            ),
        ] {
            assert!(
                printed.lines().any(|printed| printed == line),
                "{line}: {printed}"
            );
        }
    }
    for line in [
        "      middlewares: [strip, ordinary, hsts, ask, unsaid]",
        "      middlewares: [strip, websocket, hsts, ask, unsaid]",
        "          HTTP2-Settings: \"\"",
        "          Upgrade: \"\"",
        "          Upgrade: websocket",
        "          Clear-Site-Data: \"\"",
        "        authResponseHeaders: [Remote-User, Remote-Groups, Remote-Name, Remote-Email, Remote-Id, Cookie, Authorization]",
        "          - url: http://[::1]:9000",
        "          - url: http://two:80",
    ] {
        assert!(
            printed.lines().any(|printed| printed == line),
            "{line}: {printed}"
        );
    }
    for what in ["`Set-Cookie`", "421", "WebSocket", "trailers"] {
        let said = printed.lines().filter(|line| line.starts_with('#'));
        assert!(
            said.into_iter().any(|line| line.contains(what)),
            "{what}: {printed}"
        );
    }
}

#[test]
fn what_is_printed_for_traefik_takes_away_every_spelling() {
    let (status, printed, _) = Setup::bare()
        .with(&["proxy-config", "traefik", "--app", "app.example.test"])
        .with(&["--upstream", "127.0.0.1:9000"])
        .run();

    assert!(status.success());
    for line in [
        "# file: traefik.yml",
        "# file: dynamic.yml",
        "          Remote-User: \"\"",
        "          Remote_User: \"\"",
        "          X_Forwarded_User: \"\"",
        "        trustForwardHeader: false",
        "        address: http://127.0.0.1:8000/api/authz/forward-auth?strict&cookie",
        "          - url: http://127.0.0.1:9000",
    ] {
        assert!(
            printed.lines().any(|printed| printed == line),
            "{line}: {printed}"
        );
    }
}
