//! What Traefik's `forwardAuth` sends and takes, sent and taken by a client: it is in no
//! distribution.

use crate::harness::{Answer, Server, Setup, Visitor};

/// The question Traefik asks about a visitor's request: a GET with the fields of the visitor, and
/// those it has made anew from the connection.
fn ask(server: &Server, method: &str, uri: &str, fields: &[&str]) -> Answer {
    let mut head = String::from("GET /api/authz/forward-auth HTTP/1.1\r\n");
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
    Server::start_with(&[
        "--no-tls",
        "--public-url",
        "https://auth.example.test",
        "--cookie-domain",
        "example.test",
        "--trusted-proxy",
        "127.0.0.1",
    ])
}

#[test]
fn traefik_is_told_who_is_there_and_where_strangers_go() {
    let server = server();
    let (visitor, _) = Visitor::with_account(&server, "alice");
    let session = visitor.cookies.borrow()["__Secure-session"].clone();
    let session = format!("Cookie: a=b; __Secure-session={session}");
    // It passes on what else the visitor sends.
    let spoofed = [
        "Remote-User: root",
        "X_Forwarded_Uri: /x",
        "X-Original-URL: https://x/",
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
        ("remote-email", "alice@example.com"),
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
        "        address: http://127.0.0.1:8000/api/authz/forward-auth",
        "          - url: http://127.0.0.1:9000",
    ] {
        assert!(
            printed.lines().any(|printed| printed == line),
            "{line}: {printed}"
        );
    }
}
