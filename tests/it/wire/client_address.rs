//! Who the client is: never whom a stranger says, always whom a trusted proxy says.

use crate::harness::{Server, Setup, wait_for};
use crate::wire::framing::status;

/// What the log calls the client of a request that was sent with these fields.
fn seen_as(server: &Server, path: &str, fields: &str) -> String {
    let mut wire = server.connect();
    let length = "Content-Length: 0\r\n";
    wire.send(format!("POST {path} HTTP/1.1\r\nHost: h\r\n{fields}{length}\r\n").as_bytes());
    assert_eq!(status(&wire.read_answer()), "404");
    let event = format!("event=\"{}\"", path.trim_start_matches('/'));
    let line = wait_for("the request in the log", || {
        let log = server.log();
        log.lines()
            .find(|line| line.contains(&event))
            .map(str::to_owned)
    });
    let address = line.split("address=\"").nth(1).unwrap();
    address.split('"').next().unwrap().to_owned()
}

#[test]
fn a_stranger_cannot_say_where_they_come_from() {
    let server = Server::start_with(&["--trusted-proxy", "10.0.0.0/8"]);
    for (path, fields) in [
        ("/a", "X-Forwarded-For: 192.0.2.7\r\n"),
        ("/b", "Auth-User-Client: 192.0.2.7\r\n"),
        (
            "/c",
            "auth-user-client: 192.0.2.7\r\nauth-user-client: 192.0.2.8\r\n",
        ),
        ("/d", "Forwarded: for=192.0.2.7\r\nX-Real-IP: 192.0.2.7\r\n"),
        (
            "/e",
            "X-Forwarded-For: 10.0.0.1, 192.0.2.7\r\nClient-IP: 192.0.2.7\r\n",
        ),
    ] {
        assert_eq!(seen_as(&server, path, fields), "127.0.0.1", "{fields}");
    }
}

#[test]
fn a_trusted_proxy_says_where_a_visitor_comes_from() {
    let proxies = [
        "--no-tls",
        "--trusted-proxy",
        "127.0.0.1",
        "--trusted-proxy",
        "10.0.0.0/8",
    ];
    let server = Setup::new().with(&proxies).start();
    for (path, fields, client) in [
        ("/a", "X-Forwarded-For: 192.0.2.7\r\n", "192.0.2.7"),
        // From right to left, as far as the one who wrote an entry is trusted.
        (
            "/b",
            "X-Forwarded-For: 1.1.1.1, 192.0.2.7, 10.0.0.2\r\n",
            "192.0.2.7",
        ),
        (
            "/c",
            "X-Forwarded-For: 1.1.1.1, 192.0.2.7\r\nX-Forwarded-For: 10.0.0.2\r\n",
            "192.0.2.7",
        ),
        ("/d", "X-Forwarded-For: 10.0.0.3\r\n", "10.0.0.3"),
        (
            "/e",
            "X-Forwarded-For: 192.0.2.7, unknown, 10.0.0.2\r\n",
            "10.0.0.2",
        ),
        (
            "/f",
            "X-Forwarded-For: [2001:db8::1]:4711\r\n",
            "2001:db8::1",
        ),
        ("/g", "X-Forwarded-For: \u{e9}\r\n", "127.0.0.1"),
        ("/h", "auth-user-client: 192.0.2.7\r\n", "127.0.0.1"),
        ("/i", "", "127.0.0.1"),
    ] {
        assert_eq!(seen_as(&server, path, fields), client, "{fields}");
    }
}
