mod properties;
mod table;

use super::*;
use crate::front::head::Version;
use crate::front::request::tests::table::{Comes, chunked, classes, get, large, post};
use crate::reply::Outcome;

/// The status that a refusal is answered with.
fn status(refusal: Rejection) -> u16 {
    Outcome::Rejected(refusal).status()
}

fn accepted(raw: impl AsRef<[u8]>) -> Accepted {
    match parse(raw.as_ref()) {
        Ok(Some((request, _))) => request,
        Ok(None) => panic!("needs more"),
        Err(refusal) => panic!("{refusal:?}"),
    }
}

/// The outcome of pushing the bytes in these pieces; a refusal is given by its status.
fn in_pieces<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Result<Option<Accepted>, u16> {
    let mut reader = Reader::default();
    for piece in pieces {
        reader.push(piece);
        if let Step::Complete(request) = reader.step().map_err(status)? {
            return Ok(Some(*request));
        }
    }
    Ok(None)
}

/// What the table says of requests like this one, in whatever pieces they come.
#[track_caller]
fn assert_comes(class: &table::Class, raw: &str, in_pieces_of: usize) {
    let result = in_pieces(raw.as_bytes().chunks(in_pieces_of));
    let comes = match (result, class.comes) {
        // The status is the site's.
        (Ok(Some(_)), read @ Comes::Read(_)) => Some(read),
        (Ok(_), _) => None,
        (Err(status), _) => Some(Comes::Refused(status)),
    };
    let shown: String = raw.chars().take(120).collect();
    assert_eq!(comes, Some(class.comes), "{}: {shown:?}", class.name);
}

#[test]
fn what_could_be_framed_in_two_ways_is_refused_and_nothing_else_is() {
    for class in classes() {
        for raw in &class.requests {
            assert_comes(&class, raw, raw.len());
            assert_comes(&class, raw, 1);
        }
    }
}

#[test]
fn what_is_too_large_is_refused_and_what_just_fits_is_not() {
    for class in large() {
        for raw in &class.requests {
            assert_comes(&class, raw, raw.len());
        }
    }
}

#[test]
fn a_plain_request_is_read_to_its_end() {
    let raw = "POST /login?a=b HTTP/1.1\r\nHost: h:8000\r\nContent-Length: 3\r\n\r\nx=yGET";
    let (request, used) = parse(raw.as_bytes()).ok().flatten().unwrap();
    assert_eq!(used, raw.len() - 3);
    assert_eq!(request.head.method, "POST");
    assert_eq!(request.head.target, "/login?a=b");
    assert_eq!(request.body, b"x=y");
    assert!(request.head.keep_alive);
}

#[test]
fn pipelined_requests_come_out_one_by_one() {
    let mut reader = Reader::default();
    reader.push(format!("{}HEAD /2 HTTP/1.0\r\n\r\n", get("")).as_bytes());
    for target in ["/", "/2"] {
        let Ok(Step::Complete(request)) = reader.step() else {
            panic!("no request");
        };
        assert_eq!(request.head.target, target);
    }
    assert!(reader.is_idle());
}

/// Not only when the head is complete.
#[test]
fn a_byte_that_cannot_be_is_refused_as_soon_as_it_comes() {
    for (raw, reason) in [("GET /\rx", "a bare CR"), ("GET /\x01", "a control byte")] {
        let refusal = parse(raw.as_bytes()).err();
        assert!(refusal == Some(Rejection::Malformed(reason)), "{raw:?}");
    }
}

#[test]
fn targets_come_out_in_origin_form() {
    for (method, target, reduced) in [
        ("GET", "/a?b=c&d", "/a?b=c&d"),
        ("GET", "//a/../b", "//a/../b"),
        ("GET", "http://h/a?b", "/a?b"),
        ("GET", "HTTPS://h:1", "/"),
        ("GET", "http://[::1]:80?x", "/?x"),
        ("OPTIONS", "*", "*"),
        ("TRACE", "/", "/"),
    ] {
        let request = accepted(format!("{method} {target} HTTP/1.1\r\nHost: h\r\n\r\n"));
        assert_eq!(request.head.target, reduced);
    }
}

#[test]
fn chunks_are_put_together_exactly() {
    for (body, decoded) in [
        ("0\r\n\r\n", ""),
        ("000\r\n\r\n", ""),
        (
            "3\r\nabc\r\n0A;x=\"y\"\r\n0123456789\r\n0\r\n\r\n",
            "abc0123456789",
        ),
        ("1;a\r\nz\r\n0;b\r\nTrailer: x\r\n\r\n", "z"),
    ] {
        assert_eq!(accepted(chunked(body)).body, decoded.as_bytes(), "{body:?}");
    }
    let shouted = post("Transfer-Encoding: CHUNKED\r\n", "1\r\na\r\n0\r\n\r\n");
    assert_eq!(accepted(shouted).body, b"a");
}

#[test]
fn a_body_is_as_long_as_its_length() {
    let raw = post("Content-Length: 65536\r\n", &"x".repeat(65536));
    assert_eq!(accepted(raw).body.len(), 65536);
}

#[test]
fn cookies_may_come_in_several_fields() {
    let cookies = accepted(get("Cookie: a=1\r\nCookie: b=2\r\n"));
    assert_eq!(cookies.head.values("cookie").count(), 2);
}

#[test]
fn http_1_0_is_told_apart() {
    assert_eq!(
        accepted("GET / HTTP/1.0\r\n\r\n").head.version,
        Version::Http10
    );
    assert_eq!(accepted(get("")).head.version, Version::Http11);
}

#[test]
fn a_body_that_is_waited_for_is_asked_for_once() {
    let mut reader = Reader::default();
    reader.push(post("Content-Length: 2\r\nExpect: 100-Continue\r\n", "").as_bytes());
    let asks = |reader: &mut Reader| match reader.step() {
        Ok(Step::MoreBody { say_continue }) => Some(say_continue),
        _ => None,
    };
    assert_eq!(asks(&mut reader), Some(true));
    assert_eq!(asks(&mut reader), Some(false));
    reader.push(b"a");
    assert_eq!(asks(&mut reader), Some(false));

    let mut on_its_way = Reader::default();
    on_its_way.push(post("Content-Length: 2\r\nExpect: 100-continue\r\n", "a").as_bytes());
    assert_eq!(asks(&mut on_its_way), Some(false));

    let old = "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n";
    let mut reader = Reader::default();
    reader.push(old.as_bytes());
    assert_eq!(asks(&mut reader), Some(false));
}

#[test]
fn a_connection_stays_open_as_its_version_says() {
    for (version, connection, stays) in [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: x, CLOSE\r\n", false),
        ("1.1", "Connection: upgrade\r\n", true),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        (
            "1.0",
            "Connection: keep-alive\r\nConnection: close\r\n",
            false,
        ),
    ] {
        let raw = format!("GET / HTTP/{version}\r\nHost: h\r\n{connection}\r\n");
        assert_eq!(
            accepted(raw).head.keep_alive,
            stays,
            "{version} {connection}"
        );
    }
}

#[test]
fn what_a_client_accepts_is_found_even_in_a_bad_head() {
    let mut reader = Reader::default();
    reader.push(b"HEAD / HTTP/1.1\r\nACCEPT: text/html\r\nA : b\r\n\r\n");
    assert!(reader.step().is_err());
    assert_eq!(reader.accept().as_deref(), Some("text/html"));
    assert_eq!(reader.method(), Method::Head);
}
