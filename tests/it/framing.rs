//! Requests byte by byte: what is refused, what is answered, and that nothing hidden behind a
//! request is ever taken for another one.

use std::fs;

use crate::harness::{Server, Setup, wait_for};

/// Follows every bad request; whoever answers it has framed the bad one in a way of his own.
const HIDDEN: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n";

/// The servers that speak the two transports.
fn both() -> [Server; 2] {
    [Server::start(), Server::start_with(&["--no-tls"])]
}

fn get(fields: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n").into_bytes()
}

fn post(fields: &str, body: &str) -> Vec<u8> {
    format!("POST /login HTTP/1.1\r\nHost: h\r\n{fields}\r\n{body}").into_bytes()
}

fn chunked(body: &str) -> Vec<u8> {
    post("Transfer-Encoding: chunked\r\n", body)
}

fn line(line: &str) -> Vec<u8> {
    format!("{line}\r\nHost: h\r\n\r\n").into_bytes()
}

/// Sends a bad request with another one behind it: one answer with this status, and the end.
#[track_caller]
fn assert_refused(server: &Server, raw: &[u8], status: u16) {
    let mut wire = server.connect();
    wire.send(raw);
    wire.send(HIDDEN);

    let answer = wire.read_to_end();

    let shown = String::from_utf8_lossy(&raw[..raw.len().min(120)]);
    let start = format!("HTTP/1.1 {status} ");
    assert!(answer.starts_with(&start), "{shown:?}: {answer}");
    assert!(
        answer.contains("\r\nConnection: close\r\n"),
        "{shown:?}: {answer}"
    );
    assert_eq!(
        answer.matches("Content-Length: ").count(),
        1,
        "{shown:?}: {answer}"
    );
}

/// The server is the process the test started: nobody would start it anew.
#[track_caller]
fn assert_serves(server: &Server) {
    let mut wire = server.connect();
    wire.send(HIDDEN);
    assert!(wire.read_answer().ends_with("\r\n\r\nok"));
}

/// The most memory the server has ever had in use, in KiB.
fn peak(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap()
}

#[test]
fn what_two_readers_could_read_in_two_ways_is_refused() {
    let mut table: Vec<(Vec<u8>, u16)> = Vec::new();
    let mut refuse = |raw: Vec<u8>, status| table.push((raw, status));

    // Content-Length.
    for value in [
        "5, 5", "5,5", "+3", "-3", "0x3", "", "3 3", "3.0", "1e1", "three", "\u{663}", "3;x",
    ] {
        refuse(post(&format!("Content-Length: {value}\r\n"), "abcde"), 400);
    }
    for value in [
        "65537",
        "10000000000",
        "4611686018427387904",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999999999999999",
    ] {
        refuse(post(&format!("Content-Length: {value}\r\n"), ""), 413);
    }
    for fields in [
        "Content-Length: 3\r\nContent-Length: 3\r\n",
        "Content-Length: 3\r\nContent-Length: 4\r\n",
        "Content-Length: 0\r\ncontent-length: 3\r\n",
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
        "Transfer-Encoding: identity\r\nContent-Length: 3\r\n",
        "Content-Length : 3\r\n",
    ] {
        refuse(post(fields, "abc"), 400);
    }

    // Transfer-Encoding.
    for (value, status) in [
        ("gzip", 400),
        ("xchunked", 400),
        ("identity", 400),
        ("chunked, identity", 400),
        ("chunked, gzip", 400),
        ("chunked, chunked", 400),
        ("chunked,", 400),
        (", chunked", 400),
        ("chunked;q=1", 400),
        ("\"chunked\"", 400),
        ("\u{b}chunked", 400),
        ("", 400),
        ("gzip, chunked", 501),
        ("identity, chunked", 501),
    ] {
        refuse(
            post(&format!("Transfer-Encoding: {value}\r\n"), "0\r\n\r\n"),
            status,
        );
    }
    let twice = "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n";
    refuse(post(twice, "0\r\n\r\n"), 400);
    refuse(post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"), 400);
    refuse(post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"), 400);
    let old = "POST /login HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    refuse(old.into(), 400);

    // Chunks.
    for body in [
        "+3\r\nabc\r\n0\r\n\r\n",
        "-3\r\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "\r\n",
        ";x\r\n",
        "g\r\n",
        " 3\r\nabc\r\n0\r\n\r\n",
        "3 \r\nabc\r\n0\r\n\r\n",
        "3 ;x\r\nabc\r\n0\r\n\r\n",
        "3\nabc\n0\n\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "3\r\nabc0\r\n\r\n",
        "3;a\rb\r\nabc\r\n0\r\n\r\n",
        "3;a\nb\r\nabc\r\n0\r\n\r\n",
        "3;\0\r\nabc\r\n0\r\n\r\n",
        "00000000000000003\r\nabc\r\n0\r\n\r\n",
        "10000000000000003\r\nabc\r\n0\r\n\r\n",
        "0\r\nbad trailer\r\n\r\n",
        "0\r\nA: b\r\n c\r\n\r\n",
        "0\r\nA: b\n\n",
    ] {
        refuse(chunked(body), 400);
    }
    for body in ["10001\r\n", "8000000000000000\r\n", "ffffffffffffffff\r\n"] {
        refuse(chunked(body), 413);
    }

    // Ends of lines and control bytes.
    for raw in [
        &b"GET / HTTP/1.1\nHost: h\n\n"[..],
        b"GET / HTTP/1.1\r\nHost: h\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\n\n",
        b"GET / HTTP/1.1\rHost: h\r\r",
        b"GET / HTTP/1.1\r\nHost: h\r\nA: b\rc\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nA: b\r\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nA: \0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nA: \x1b[2J\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nA: \x7f\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n",
        b"\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
        b"\0\0\0\0",
        b"\n",
    ] {
        refuse(raw.to_vec(), 400);
    }

    // Fields.
    for field in [
        "A : b",
        "A\t: b",
        ": b",
        "A b: c",
        "A",
        "A(: b",
        "\u{e9}: b",
        "A\u{b}: b",
    ] {
        refuse(get(&format!("{field}\r\n")), 400);
    }
    refuse(get("A: b\r\n c\r\n"), 400);
    refuse(get("A: b\r\n\tc\r\n"), 400);
    refuse(b"GET / HTTP/1.1\r\n Host: h\r\n\r\n".to_vec(), 400);
    refuse(b"GET / HTTP/1.1\r\n A: b\r\nHost: h\r\n\r\n".to_vec(), 400);
    for name in ["Content-Type", "Origin", "Sec-Fetch-Site"] {
        refuse(get(&format!("{name}: a\r\n{name}: b\r\n")), 400);
    }
    refuse(get("Expect: tea\r\n"), 417);

    // Host.
    refuse(b"GET / HTTP/1.1\r\n\r\n".to_vec(), 400);
    refuse(get("Host: h\r\n"), 400);
    refuse(get("host: other\r\n"), 400);
    for host in [
        "", "a b", "a b/c", "a/b", "u@a", "a:b", "a:65536", ":80", "a, b", "[::1", "[a]", "[::1]x",
        "%zz", "\u{e9}", "a?b", "a#b", "<a>", "a\\b",
    ] {
        refuse(
            format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").into(),
            400,
        );
        refuse(
            format!("GET / HTTP/1.0\r\nHost: {host}\r\n\r\n").into(),
            400,
        );
    }

    // Request line: words, versions, methods, targets.
    for (text, status) in [
        ("GET /", 400),
        ("GET", 400),
        ("GET  / HTTP/1.1", 400),
        ("GET / HTTP/1.1 ", 400),
        (" GET / HTTP/1.1", 400),
        ("GET / / HTTP/1.1", 400),
        ("GET\t/\tHTTP/1.1", 400),
        ("G(T / HTTP/1.1", 400),
        ("G\u{e9}T / HTTP/1.1", 400),
        ("GET / http/1.1", 400),
        ("GET / HTTP/1", 400),
        ("GET / HTTP/1.10", 400),
        ("GET / HTTP/01.1", 400),
        ("GET / HTTP/1,1", 400),
        ("GET / ICY/1.1", 400),
        ("GET / HTTP/0.9", 505),
        ("GET / HTTP/1.2", 505),
        ("GET / HTTP/2.0", 505),
        ("GET / HTTP/3.0", 505),
        ("PRI * HTTP/2.0", 505),
        ("GET index HTTP/1.1", 400),
        ("GET * HTTP/1.1", 400),
        ("GET ?a HTTP/1.1", 400),
        ("GET \\ HTTP/1.1", 400),
        ("GET /#top HTTP/1.1", 400),
        ("GET /\u{e9} HTTP/1.1", 400),
        ("GET h:443 HTTP/1.1", 400),
        ("GET ftp://h/ HTTP/1.1", 400),
        ("GET http:// HTTP/1.1", 400),
        ("GET http:/h/ HTTP/1.1", 400),
        ("GET http://u@h/ HTTP/1.1", 400),
        ("GET http://h:x/ HTTP/1.1", 400),
        ("CONNECT h:443 HTTP/1.1", 501),
        ("CONNECT / HTTP/1.1", 501),
    ] {
        refuse(line(text), status);
    }

    for server in both() {
        for (raw, status) in &table {
            assert_refused(&server, raw, *status);
        }
        assert_serves(&server);
    }
}

#[test]
fn what_is_too_large_is_refused_before_it_takes_memory() {
    let long = "a".repeat(1 << 20);
    let line_of = |length: usize| {
        let around = "GET / HTTP/1.1".len();
        line(&format!("GET /{} HTTP/1.1", &long[..length - around]))
    };
    let head_of = |length: usize| {
        let around = get("A: \r\n").len();
        get(&format!("A: {}\r\n", &long[..length - around]))
    };
    let table = [
        (line_of(8193), 414),
        (line(&format!("GET /{long} HTTP/1.1")), 414),
        (long.clone().into_bytes(), 414),
        (head_of(16_385), 431),
        (get(&format!("A: {long}\r\n")), 431),
        (get(&format!("{long}: a\r\n")), 431),
        (get(&"A: b\r\n".repeat(100)), 431),
        (get(&"A: b\r\n".repeat(100_000)), 431),
        (post("Content-Length: 65537\r\n", &long[..65_537]), 413),
        (post("Content-Length: 1073741824\r\n", &long), 413),
        (
            chunked(&format!(
                "10000\r\n{}\r\n1\r\na\r\n0\r\n\r\n",
                &long[..65_536]
            )),
            413,
        ),
        // Chunks whose framing outweighs them, without an end.
        (
            chunked(&format!("1;{}\r\nx\r\n", &long[..200]).repeat(5000)),
            413,
        ),
        (chunked(&format!("1;{long}\r\n")), 400),
        (chunked(&format!("0\r\nA: {long}\r\n")), 431),
        (
            chunked(&format!("0\r\n{}", "A: b\r\n".repeat(100_000))),
            431,
        ),
    ];

    for server in both() {
        assert_serves(&server);
        let before = peak(&server);
        for (raw, status) in &table {
            assert_refused(&server, raw, *status);
        }
        assert_serves(&server);
        let grown = peak(&server) - before;
        assert!(grown < 32 * 1024, "{grown} KiB more than before");
    }
}

#[test]
fn what_just_fits_is_answered_and_the_next_request_too() {
    let server = Server::start();
    let long = "a".repeat(1 << 16);
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let around = "GET / HTTP/1.1".len();
    let full_head = get("A: \r\n").len();
    let sized = format!("{form}Content-Length: 65536\r\n");
    let in_chunks = format!("{form}Transfer-Encoding: chunked\r\n");
    let mut wire = server.connect();
    for (raw, expected) in [
        (
            line(&format!("GET /{} HTTP/1.1", &long[..8192 - around])),
            "404",
        ),
        (
            get(&format!("A: {}\r\n", &long[..16_384 - full_head])),
            "200",
        ),
        (get(&"A: b\r\n".repeat(99)), "200"),
        // A form without the fields that are asked for: read, and found wanting.
        (post(&sized, &long), "400"),
        (
            post(&in_chunks, &format!("10000\r\n{long}\r\n0\r\n\r\n")),
            "400",
        ),
        (post(&in_chunks, "000\r\nA: dropped\r\n\r\n"), "400"),
        // One empty line before a request is forgiven (RFC 9112, section 2.2).
        ([b"\r\n".to_vec(), get("")].concat(), "200"),
    ] {
        wire.send(&raw);
        let answer = wire.read_answer();
        assert_eq!(status(&answer), expected, "{answer}");
        assert!(!answer.contains("Connection: close"), "{answer}");
    }
    wire.send(HIDDEN);
    assert!(wire.read_answer().ends_with("\r\n\r\nok"));
}

#[test]
fn a_form_sent_in_chunks_and_in_crumbs_is_put_together() {
    let server = Server::start();
    let mut wire = server.connect();
    let raw = "POST /register HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\
        Content-Type: application/x-www-form-urlencoded\r\n\r\n\
        6\r\nuserna\r\n1E;ext=\"1\"\r\nme=alice&email=alice%40example\r\n\
        0000021\r\n.com&password=seven+wild+horses!!\r\n0;last\r\nUsername: mallory\r\n\r\n";

    for byte in raw.bytes() {
        wire.send(&[byte]);
    }

    let answer = wire.read_answer();
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    assert!(
        answer.ends_with("\r\n\r\nUser successfully registered."),
        "{answer}"
    );
    assert_eq!(
        server.users()["users"]["alice"]["email"],
        "alice@example.com"
    );
}

#[test]
fn a_client_that_waits_to_send_its_body_is_told_to_go_on() {
    let server = Server::start();
    let fields = "Content-Type: application/x-www-form-urlencoded\r\nExpect: 100-continue\r\n";
    let mut wire = server.connect();

    wire.send(&post(&format!("{fields}Content-Length: 10\r\n"), ""));
    assert_eq!(wire.read_head(), "HTTP/1.1 100 Continue\r\n\r\n");
    wire.send(b"username=a");
    assert_eq!(status(&wire.read_answer()), "400");

    // Whoever has begun to send is not told, and whoever may not send is refused.
    wire.send(&post(
        &format!("{fields}Content-Length: 10\r\n"),
        "username=a",
    ));
    assert_eq!(status(&wire.read_answer()), "400");
    wire.send(&post(&format!("{fields}Content-Length: 65537\r\n"), ""));
    assert!(wire.read_to_end().starts_with("HTTP/1.1 413 "));
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    for server in both() {
        let mut wire = server.connect();

        wire.send(
            b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n\
              GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n\
              HEAD /healthz HTTP/1.1\r\nHost: h\r\n\r\n\
              POST /healthz HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc\
              GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n\
              GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n",
        );

        assert_eq!(status(&wire.read_answer()), "200");
        assert_eq!(status(&wire.read_answer()), "404");
        assert_eq!(status(&wire.read_head()), "200");
        let refusal = wire.read_answer();
        assert_eq!(status(&refusal), "405");
        assert!(refusal.contains("\r\nAllow: GET, HEAD\r\n"), "{refusal}");
        // Nothing is answered after the last one that was to be answered.
        let last = wire.read_to_end();
        assert_eq!(last.matches("HTTP/1.1 200 OK").count(), 1, "{last}");
        assert!(
            last.contains("\r\nConnection: close\r\n") && last.ends_with("\r\n\r\nok"),
            "{last}"
        );
    }
}

#[test]
fn a_body_is_never_taken_for_a_request() {
    let server = Server::start();
    let body = "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n";
    let mut wire = server.connect();
    for (method, path, expected) in [
        ("GET", "/login", "200"),
        ("GET", "/nowhere", "404"),
        ("DELETE", "/login", "405"),
        ("OPTIONS", "*", "404"),
        ("TRACE", "/", "405"),
        // The wrong type, and a GET that ought to have none at all.
        ("POST", "/login", "415"),
        ("get", "/", "405"),
    ] {
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n");
        wire.send(format!("{head}Content-Type: message/http\r\n\r\n{body}").as_bytes());
        let answer = wire.read_answer();
        assert_eq!(status(&answer), expected, "{method} {path}: {answer}");
        assert!(!answer.contains("message/http"), "{answer}");
    }
    wire.send(HIDDEN);
    assert!(wire.read_answer().ends_with("\r\n\r\nok"));
}

#[test]
fn a_client_of_http_1_0_is_kept_only_if_it_asks() {
    let server = Server::start();

    let mut asking = server.connect();
    for _ in 0..2 {
        asking.send(b"GET /healthz HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
        let answer = asking.read_answer();
        assert!(
            answer.contains("\r\nConnection: keep-alive\r\n"),
            "{answer}"
        );
    }

    let mut plain = server.connect();
    plain.send(b"GET /healthz HTTP/1.0\r\n\r\n");
    plain.send(HIDDEN);
    let answer = plain.read_to_end();
    assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
    assert_eq!(answer.matches("\r\n\r\nok").count(), 1, "{answer}");
}

#[test]
fn head_answers_as_get_without_a_body() {
    let server = Server::start();
    let mut wire = server.connect();
    for path in [
        "/",
        "/login",
        "/nowhere",
        "/healthz",
        "/account",
        "/register",
    ] {
        wire.send(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes());
        let whole = wire.read_answer();
        wire.send(format!("HEAD {path} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes());
        let head = wire.read_head();

        let without_date = |head: &str| -> Vec<String> {
            let lines = head.lines().filter(|line| !line.starts_with("Date: "));
            lines.map(str::to_owned).collect()
        };
        let fields = whole.split("\r\n\r\n").next().unwrap();
        assert_eq!(
            without_date(head.trim_end()),
            without_date(fields),
            "{path}"
        );
    }
    // A refusal of a HEAD has no body either, or it would be read as the next answer.
    wire.send(b"HEAD / HTTP/1.1\r\n\r\n");
    let refusal = wire.read_to_end();
    assert!(
        refusal.starts_with("HTTP/1.1 400 ") && refusal.ends_with("\r\n\r\n"),
        "{refusal}"
    );
}

#[test]
fn a_target_may_be_a_whole_url() {
    let server = Server::start();
    let mut wire = server.connect();
    for target in [
        "http://localhost/healthz",
        "HTTPS://[::1]:8000/healthz?a",
        "/healthz?a=b",
    ] {
        wire.send(format!("GET {target} HTTP/1.1\r\nHost: other.example\r\n\r\n").as_bytes());
        let answer = wire.read_answer();
        assert!(answer.ends_with("\r\n\r\nok"), "{target}: {answer}");
    }
    wire.send(b"GET http://localhost HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(status(&wire.read_answer()), "200");
}

#[test]
fn strange_paths_lead_nowhere() {
    let server = Server::start();
    let mut wire = server.connect();
    for path in [
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2fetc/passwd",
        "/..\\..\\users.json",
        "/users.json",
        "/server.key",
        "/sessions.json",
        "/outbox/",
        "//users.json",
        "/./users.json",
        "/login/",
        "//login",
        "/login;x",
        "/LOGIN",
        "/%6cogin",
        "/login%00",
        "/static/style.css",
        "/\"<script>",
        "/%",
        "/{}|^`",
    ] {
        wire.send(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes());
        let answer = wire.read_answer();
        assert_eq!(status(&answer), "404", "{path}: {answer}");
        assert!(
            answer.ends_with("\r\n\r\nThere is no such page."),
            "{path}: {answer}"
        );
    }
}

#[test]
fn fields_about_the_connection_do_no_harm() {
    let server = Server::start();
    let mut wire = server.connect();
    for fields in [
        "Connection: upgrade\r\nUpgrade: websocket\r\n",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
        "Connection: keep-alive, Content-Length, Host\r\n",
        "Connection: ,,\r\n",
        "Keep-Alive: timeout=9999\r\nProxy-Connection: close\r\n",
        "TE: trailers, chunked\r\nTrailer: Content-Length\r\n",
        "Proxy-Authorization: Basic YTpi\r\n",
        "Content-Encoding: gzip\r\nRange: bytes=0-0\r\nIf-None-Match: *\r\n",
        "X-HTTP-Method-Override: POST\r\nX-Original-URL: /account\r\nX-Rewrite-URL: /account\r\n",
        "Cookie: \r\nA:\r\nB: \u{e9}\r\nUser-Agent: \u{1f600}\r\nAccept: \u{e9}\r\n",
    ] {
        wire.send(
            format!("GET /healthz HTTP/1.1\r\nHost: h\r\n{fields}Content-Length: 3\r\n\r\nabc")
                .as_bytes(),
        );
        let answer = wire.read_answer();
        assert_eq!(status(&answer), "200", "{fields}: {answer}");
        assert!(answer.ends_with("\r\n\r\nok"), "{fields}: {answer}");
    }
}

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
fn a_stranger_cannot_say_where_he_comes_from() {
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
