use proptest::prelude::*;

use super::*;
use crate::front::head::{Framing, Version};
use crate::reply::Outcome;

const GOOD: &str = "GET / HTTP/1.1\r\nHost: h\r\n";

/// The status that a refusal is answered with.
fn status(refusal: Rejection) -> u16 {
    Outcome::Rejected(refusal).status()
}

fn refused(raw: impl AsRef<[u8]>) -> Option<u16> {
    parse(raw.as_ref()).err().map(status)
}

fn accepted(raw: impl AsRef<[u8]>) -> Accepted {
    match parse(raw.as_ref()) {
        Ok(Some((request, _))) => request,
        Ok(None) => panic!("needs more"),
        Err(refusal) => panic!("{refusal:?}"),
    }
}

fn with_body(fields: &str, body: &str) -> String {
    format!("POST /login HTTP/1.1\r\nHost: h\r\n{fields}\r\n{body}")
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
    reader.push(format!("{GOOD}\r\nHEAD /2 HTTP/1.0\r\n\r\n").as_bytes());
    for target in ["/", "/2"] {
        let Ok(Step::Complete(request)) = reader.step() else {
            panic!("no request");
        };
        assert_eq!(request.head.target, target);
    }
    assert!(reader.is_idle());
}

#[test]
fn lines_end_in_crlf_and_hold_no_control_bytes() {
    for raw in [
        "GET / HTTP/1.1\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n\n",
        "GET / HTTP/1.1\rHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nA: b\rc\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nA: \0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nA: \x1b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nA: \x7f\r\n\r\n",
        "\n",
        "\0",
        "\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
    ] {
        assert_eq!(refused(raw), Some(400), "{raw:?}");
    }
    assert_eq!(accepted(format!("\r\n{GOOD}\r\n")).head.target, "/");
    // Refused as soon as the byte comes, not only when the head is complete.
    for (raw, reason) in [("GET /\rx", "a bare CR"), ("GET /\x01", "a control byte")] {
        let refusal = parse(raw.as_bytes()).err();
        assert!(refusal == Some(Rejection::Malformed(reason)), "{raw:?}");
    }
}

#[test]
fn the_request_line_is_three_words() {
    for (line, status) in [
        ("GET /", 400),
        ("GET  / HTTP/1.1", 400),
        ("GET / HTTP/1.1 ", 400),
        (" GET / HTTP/1.1", 400),
        ("GET / / HTTP/1.1", 400),
        ("GET\t/ HTTP/1.1", 400),
        ("G(T / HTTP/1.1", 400),
        ("GET / http/1.1", 400),
        ("GET / HTTP/1", 400),
        ("GET / HTTP/1.10", 400),
        ("GET / HTTP/01.1", 400),
        ("GET / FTP/1.1", 400),
        ("GET / HTTP/2.0", 505),
        ("GET / HTTP/0.9", 505),
        ("GET / HTTP/1.2", 505),
        ("PRI * HTTP/2.0", 505),
        ("GET index HTTP/1.1", 400),
        ("GET * HTTP/1.1", 400),
        ("GET /#top HTTP/1.1", 400),
        ("GET /\u{e9} HTTP/1.1", 400),
        ("GET ftp://h/ HTTP/1.1", 400),
        ("GET http:// HTTP/1.1", 400),
        ("GET http://u@h/ HTTP/1.1", 400),
        ("CONNECT h:443 HTTP/1.1", 501),
    ] {
        let raw = format!("{line}\r\nHost: h\r\n\r\n");
        assert_eq!(refused(&raw), Some(status), "{line:?}");
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
fn field_names_are_tokens_and_lines_are_not_folded() {
    for field in [
        "A : b",
        "A\t: b",
        ": b",
        "A b: c",
        "A",
        " A: b",
        "\tA: b",
        "A(: b",
        "\u{e9}: b",
    ] {
        let raw = format!("{GOOD}{field}\r\n\r\n");
        assert_eq!(refused(&raw), Some(400), "{field:?}");
    }
    assert_eq!(refused(format!("{GOOD}A: b\r\n c\r\n\r\n")), Some(400));
    assert_eq!(
        refused("GET / HTTP/1.1\r\n A: b\r\nHost: h\r\n\r\n"),
        Some(400)
    );
}

#[test]
fn there_is_exactly_one_valid_host() {
    let with = |fields: &str, version| format!("GET / HTTP/{version}\r\n{fields}\r\n");
    for fields in [
        "Host: a\r\nHost: a\r\n",
        "Host:\r\n",
        "Host: a b\r\n",
        "Host: a/b\r\n",
        "Host: u@a\r\n",
        "Host: a:b\r\n",
        "Host: a:65536\r\n",
        "Host: :80\r\n",
        "Host: a, b\r\n",
        "Host: [::1\r\n",
        "Host: [a]\r\n",
        "Host: [::1]x\r\n",
        "Host: %zz\r\n",
        "Host: \u{e9}\r\n",
    ] {
        // A comma is a sub-delimiter of a name; the space after it is not.
        assert_eq!(refused(with(fields, "1.1")), Some(400), "{fields:?}");
        assert_eq!(refused(with(fields, "1.0")), Some(400), "{fields:?}");
    }
    assert_eq!(refused(with("", "1.1")), Some(400));
    assert_eq!(accepted(with("", "1.0")).head.version, Version::Http10);
    for host in ["a", "a.b:1", "127.0.0.1:8000", "[::1]:8000", "a:", "%41"] {
        accepted(with(&format!("Host: {host}\r\n"), "1.1"));
    }
}

#[test]
fn a_content_length_is_one_number() {
    for value in ["5, 5", "+3", "-3", "0x3", "", "3 3", "3.0", "\u{663}"] {
        let raw = with_body(&format!("Content-Length: {value}\r\n"), "abcde");
        assert_eq!(refused(&raw), Some(400), "{value:?}");
    }
    for fields in [
        "Content-Length: 3\r\nContent-Length: 3\r\n",
        "Content-Length: 3\r\ncontent-length: 4\r\n",
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
    ] {
        assert_eq!(refused(with_body(fields, "abcd")), Some(400), "{fields:?}");
    }
    for value in [
        "65537",
        "10000000000",
        "4611686018427387904",
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999999999",
    ] {
        let raw = with_body(&format!("Content-Length: {value}\r\n"), "");
        assert_eq!(refused(&raw), Some(413), "{value:?}");
    }
    let raw = with_body("Content-Length: 65536\r\n", &"x".repeat(65536));
    assert_eq!(accepted(raw).body.len(), 65536);
}

#[test]
fn the_only_coding_is_chunked() {
    for (value, status) in [
        ("gzip", 400),
        ("xchunked", 400),
        ("identity", 400),
        ("chunked, identity", 400),
        ("chunked, chunked", 400),
        ("chunked,", 400),
        (", chunked", 400),
        ("chunked;q=1", 400),
        ("", 400),
        ("gzip, chunked", 501),
        ("identity, chunked", 501),
    ] {
        let raw = with_body(&format!("Transfer-Encoding: {value}\r\n"), "0\r\n\r\n");
        assert_eq!(refused(&raw), Some(status), "{value:?}");
    }
    let twice = "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n";
    assert_eq!(refused(with_body(twice, "0\r\n\r\n")), Some(400));
    let old = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(refused(old), Some(400));
    let raw = with_body("Transfer-Encoding: CHUNKED\r\n", "1\r\na\r\n0\r\n\r\n");
    assert_eq!(accepted(raw).body, b"a");
}

#[test]
fn chunks_are_put_together_exactly() {
    let chunked = |body: &str| with_body("Transfer-Encoding: chunked\r\n", body);
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
    for body in [
        "+3\r\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "\r\n",
        ";x\r\n",
        "g\r\n",
        "3 \r\nabc\r\n0\r\n\r\n",
        " 3\r\nabc\r\n0\r\n\r\n",
        "3 ;x\r\nabc\r\n0\r\n\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "3\r\nabc0\r\n\r\n",
        "3;\x01\r\nabc\r\n0\r\n\r\n",
        "3;a\rb\r\nabc\r\n0\r\n\r\n",
        "3;a\nb\r\nabc\r\n0\r\n\r\n",
        "00000000000000003\r\nabc\r\n0\r\n\r\n",
        "0\r\nbad trailer\r\n\r\n",
        "0\r\nA: b\r\n c\r\n\r\n",
        "0\r\nA: \0\r\n\r\n",
        "0\r\nA: b\n\r\n",
    ] {
        assert_eq!(refused(chunked(body)), Some(400), "{body:?}");
    }
    for body in ["ffffffffffffffff\r\n", "10001\r\n", "8000000000000000\r\n"] {
        assert_eq!(refused(chunked(body)), Some(413), "{body:?}");
    }
    assert_eq!(
        refused(chunked(&format!("1;{}", "x".repeat(300)))),
        Some(400)
    );
    assert_eq!(
        refused(chunked(&format!("0\r\nA: {}", "x".repeat(5000)))),
        Some(431)
    );
    // Many chunks whose framing outweighs them.
    let wasteful = format!("1;{}\r\nx\r\n", "y".repeat(200)).repeat(2000);
    assert_eq!(refused(chunked(&wasteful)), Some(413));
}

#[test]
fn the_head_is_bounded() {
    let line = |length: usize| format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(length));
    let around = "GET / HTTP/1.1".len();
    accepted(line(8192 - around));
    assert_eq!(refused(line(8193 - around)), Some(414));
    assert_eq!(refused("G".repeat(8193)), Some(414));

    let head = |size: usize| {
        let rest = GOOD.len() + "A: \r\n\r\n".len();
        format!("{GOOD}A: {}\r\n\r\n", "a".repeat(size - rest))
    };
    assert_eq!(head(16384).len(), 16384);
    accepted(head(16384));
    assert_eq!(refused(head(16385)), Some(431));

    accepted(format!("{GOOD}{}\r\n", "A: b\r\n".repeat(99)));
    assert_eq!(
        refused(format!("{GOOD}{}\r\n", "A: b\r\n".repeat(100))),
        Some(431)
    );
}

#[test]
fn fields_the_site_decides_by_are_not_repeated() {
    for name in ["Content-Type", "Origin", "Sec-Fetch-Site"] {
        let raw = format!("{GOOD}{name}: a\r\n{name}: a\r\n\r\n");
        assert_eq!(refused(raw), Some(400), "{name}");
    }
    let cookies = accepted(format!("{GOOD}Cookie: a=1\r\nCookie: b=2\r\n\r\n"));
    assert_eq!(cookies.head.values("cookie").count(), 2);
}

#[test]
fn a_body_that_is_waited_for_is_asked_for_once() {
    let mut reader = Reader::default();
    reader.push(with_body("Content-Length: 2\r\nExpect: 100-Continue\r\n", "").as_bytes());
    let asks = |reader: &mut Reader| match reader.step() {
        Ok(Step::MoreBody { say_continue }) => Some(say_continue),
        _ => None,
    };
    assert_eq!(asks(&mut reader), Some(true));
    assert_eq!(asks(&mut reader), Some(false));
    reader.push(b"a");
    assert_eq!(asks(&mut reader), Some(false));

    let mut on_its_way = Reader::default();
    on_its_way.push(with_body("Content-Length: 2\r\nExpect: 100-continue\r\n", "a").as_bytes());
    assert_eq!(asks(&mut on_its_way), Some(false));

    let unknown = with_body("Content-Length: 2\r\nExpect: tea\r\n", "ab");
    assert_eq!(refused(unknown), Some(417));
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
    assert!(reader.is_head());
}

/// A second reader, as simple as possible: it trusts that the syntax is good and only finds the
/// end.
fn plainly(bytes: &[u8]) -> (String, Vec<u8>, usize) {
    let skip = if bytes.starts_with(b"\r\n") { 2 } else { 0 };
    let text = &bytes[skip..];
    let head = text
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap()
        + 4;
    let lines = String::from_utf8_lossy(&text[..head]).into_owned();
    let field = |name: &str| {
        lines.split("\r\n").find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field
                .eq_ignore_ascii_case(name)
                .then(|| value.trim().to_owned())
        })
    };
    let line = lines.split("\r\n").next().unwrap().to_owned();
    let mut rest = &text[head..];
    let mut body = Vec::new();
    if let Some(length) = field("content-length") {
        let length: usize = length.parse().unwrap();
        body.extend_from_slice(&rest[..length]);
        rest = &rest[length..];
    } else if field("transfer-encoding").is_some() {
        loop {
            let end = rest.windows(2).position(|two| two == b"\r\n").unwrap();
            let size = std::str::from_utf8(&rest[..end]).unwrap();
            let size = usize::from_str_radix(size.split(';').next().unwrap(), 16).unwrap();
            rest = &rest[end + 2..];
            if size == 0 {
                break;
            }
            body.extend_from_slice(&rest[..size]);
            rest = &rest[size + 2..];
        }
        while !rest.starts_with(b"\r\n") {
            let end = rest.windows(2).position(|two| two == b"\r\n").unwrap();
            rest = &rest[end + 2..];
        }
        rest = &rest[2..];
    }
    (line, body, bytes.len() - rest.len())
}

/// Bytes that are almost a request, or are one: good and bad pieces in any order.
fn near_requests() -> impl Strategy<Value = Vec<u8>> {
    let start = prop_oneof![
        8 => Just("POST /a HTTP/1.1\r\n"),
        2 => Just("\r\nGET /b?c HTTP/1.0\r\n"),
        1 => Just("GET http://x/ HTTP/1.1\r\n"),
        1 => Just("GET / HTTP/1.1\n"),
    ];
    let field = prop_oneof![
        6 => Just("Host: h\r\n"),
        3 => Just("Content-Length: 5\r\n"),
        1 => Just("Content-Length: 005\r\n"),
        1 => Just("Content-Length: +5\r\n"),
        3 => Just("Transfer-Encoding: chunked\r\n"),
        1 => Just("Transfer-Encoding: x, chunked\r\n"),
        1 => Just("Content-Length : 3\r\n"),
        2 => Just("A: b\r\n"),
        1 => Just(" c\r\n"),
        1 => Just("A:\r\n"),
    ];
    let body = prop_oneof![
        Just("hello"),
        Just("5\r\nhello\r\n"),
        Just("5;x=y\r\nhello\r\n"),
        Just("2\r\nhi\r\n"),
        Just("0\r\n"),
        Just("T: r\r\n"),
        Just("\r\n"),
        Just("\n"),
        Just("GET /next HTTP/1.1\r\n"),
    ];
    (
        start,
        prop::collection::vec(field, 0..4),
        prop::collection::vec(body, 0..6),
    )
        .prop_map(|(start, fields, body)| {
            let (fields, body) = (fields.concat(), body.concat());
            format!("{start}{fields}\r\n{body}").into_bytes()
        })
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_second_reader_frames_what_is_accepted_in_the_same_way(bytes in near_requests()) {
        if let Ok(Some((request, used))) = parse(&bytes) {
            let (line, body, end) = plainly(&bytes);
            prop_assert_eq!(used, end);
            prop_assert_eq!(&request.body, &body);
            prop_assert!(line.starts_with(&request.head.method));
            let chunked = request.head.framing == Framing::Chunked;
            prop_assert!(chunked || request.head.framing == Framing::Length(body.len()));
        }
    }

    #[test]
    fn how_the_bytes_are_split_does_not_matter(
        bytes in near_requests(),
        size in 1_usize..40,
    ) {
        let whole = parse(&bytes).map(|done| done.map(|(request, _)| request));
        let split = in_pieces(bytes.chunks(size));
        prop_assert!(whole.map_err(status) == split);
    }

    #[test]
    fn no_bytes_panic(bytes: Vec<u8>, after in near_requests()) {
        let _ = parse(&bytes);
        let mut both = after;
        both.truncate(both.len() / 2);
        both.extend_from_slice(&bytes);
        let _ = parse(&both);
    }
}
