//! What holds for any bytes.

use proptest::prelude::*;

use crate::front::head::Framing;
use crate::front::request::parse;
use crate::front::request::tests::{in_pieces, status};

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
