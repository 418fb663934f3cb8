//! What is odd and yet can be read in one way only: it is answered, and so is the request after it.

use crate::harness::Server;
use crate::wire::framing::table::post;
use crate::wire::framing::{HIDDEN, both, status};

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

    wire.send(post(&format!("{fields}Content-Length: 10\r\n"), "").as_bytes());
    assert_eq!(wire.read_head(), "HTTP/1.1 100 Continue\r\n\r\n");
    wire.send(b"username=a");
    assert_eq!(status(&wire.read_answer()), "400");

    // Whoever has begun to send is not told, and whoever may not send is refused.
    let begun = post(&format!("{fields}Content-Length: 10\r\n"), "username=a");
    wire.send(begun.as_bytes());
    assert_eq!(status(&wire.read_answer()), "400");
    let too_long = post(&format!("{fields}Content-Length: 65537\r\n"), "");
    wire.send(too_long.as_bytes());
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

/// CL.0, TE.0 and their like: whoever does not expect a body there reads it all the same.
#[test]
fn a_body_is_never_taken_for_a_request() {
    let length = HIDDEN.len();
    let counted = format!("Content-Length: {length}\r\nContent-Type: message/http\r\n\r\n{HIDDEN}");
    let in_chunks =
        format!("Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{HIDDEN}\r\n0\r\n\r\n");
    for server in both() {
        let mut wire = server.connect();
        for (request_line, expected) in [
            ("GET /login", "200"),
            ("GET /healthz", "200"),
            ("GET /nowhere", "404"),
            ("DELETE /login", "405"),
            ("OPTIONS *", "404"),
            ("OPTIONS /login", "405"),
            ("TRACE /", "405"),
            ("PATCH /healthz", "405"),
            // The wrong type, or none.
            ("POST /login", "415"),
            // Methods are case-sensitive (RFC 9110, section 9.1), and any token may be one.
            ("get /", "405"),
            ("Post /login", "405"),
            ("!#$%&'*+-.^_`|~ /", "405"),
        ] {
            for framed in [&counted, &in_chunks] {
                wire.send(format!("{request_line} HTTP/1.1\r\nHost: h\r\n{framed}").as_bytes());
                let answer = wire.read_answer();
                assert_eq!(status(&answer), expected, "{request_line}: {answer}");
                assert!(!answer.contains("message/http"), "{answer}");
                assert!(
                    !answer.ends_with("ok") || request_line == "GET /healthz",
                    "{answer}"
                );
            }
        }
        wire.send(HIDDEN.as_bytes());
        assert!(wire.read_answer().ends_with("\r\n\r\nok"));
    }
}

/// Trailers that would frame, route or log in if they were merged into the head: dropped.
#[test]
fn trailers_change_nothing() {
    let trailers = "0\r\nContent-Length: 500\r\nTransfer-Encoding: chunked\r\nHost: other\r\n\
        Connection: close\r\nContent-Type: text/plain\r\nCookie: __Host-session=x\r\n\
        Origin: https://evil.test\r\nAccept: application/json\r\n\r\n";
    let form = "Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\
        Trailer: Content-Length, Host\r\n";
    for server in both() {
        let mut wire = server.connect();

        wire.send(post(form, trailers).as_bytes());
        wire.send(HIDDEN.as_bytes());

        let answer = wire.read_answer();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert!(
            answer.ends_with("The field username is missing."),
            "{answer}"
        );
        assert!(wire.read_answer().ends_with("\r\n\r\nok"));
    }
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
    plain.send(HIDDEN.as_bytes());
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
        // It, not the Host field, says which host is meant; both are ours as far as we care.
        "https://third.example:/healthz",
        "/healthz?a=b",
    ] {
        wire.send(format!("GET {target} HTTP/1.1\r\nHost: other.example\r\n\r\n").as_bytes());
        let answer = wire.read_answer();
        assert!(answer.ends_with("\r\n\r\nok"), "{target}: {answer}");
    }
    wire.send(b"GET http://localhost HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(status(&wire.read_answer()), "200");
}

/// Fields about the connection are nobody's business behind the front, those it nominates stay what
/// they are, and names that only look alike are other names.
#[test]
fn fields_about_the_connection_do_no_harm() {
    for server in both() {
        let mut wire = server.connect();
        for fields in [
            "Connection: upgrade\r\nUpgrade: websocket\r\n",
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
            "Upgrade: h2c, websocket, TLS/1.3\r\n",
            "Connection: keep-alive, Content-Length, Host\r\n",
            "Connection: Transfer-Encoding, Cookie\r\nCookie: a=1\r\n",
            "Connection: ,,\r\nConnection:\r\nConnection: \"close\"\r\n",
            "Keep-Alive: timeout=9999\r\nProxy-Connection: close\r\n",
            "TE: trailers, chunked\r\nTrailer: Content-Length\r\n",
            "Proxy-Authorization: Basic YTpi\r\nProxy-Authenticate: Basic\r\n",
            "Content-Encoding: gzip\r\nRange: bytes=0-0\r\nIf-None-Match: *\r\n",
            "X-HTTP-Method-Override: POST\r\nX-Original-URL: /account\r\nX-Rewrite-URL: /account\r\n",
            "Content_Length: 50\r\nTransfer_Encoding: chunked\r\nHost_: x\r\n_: x\r\n",
            "Content-Length-: 50\r\nX-Transfer-Encoding: chunked\r\nContentLength: 50\r\n",
            "Cookie: \r\nA:\r\nB: \u{e9}\r\nUser-Agent: \u{1f600}\r\nAccept: \u{e9}\r\n",
            "Cookie: a=1\r\nCookie: a=2\r\nCookie: a=1\r\n",
            "Accept: text/html\r\nAccept: application/json\r\nAccept:\r\n",
            "Max-Forwards: 0\r\nVia: 1.0 a, 1.1 b\r\nForwarded: for=_\r\n",
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
}
