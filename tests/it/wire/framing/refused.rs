//! The table of what is refused, and how, because two readers could read it in two ways. Each test
//! is a section of it: what stands in the left column is put where the test says, and the right
//! column is the status. Behind each request another one hides, which is never answered; the
//! connection closes. All of it over TLS and without.

use crate::wire::framing::{assert_refused, assert_serves, both, chunked, get, line, post};

/// Checks a section of the table: `request` makes a request of the left column.
#[track_caller]
fn refused(request: impl Fn(&str) -> String, rows: &[(&str, u16)]) {
    for server in both() {
        for (text, status) in rows {
            assert_refused(&server, request(text).as_bytes(), *status);
        }
        assert_serves(&server);
    }
}

/// The left column is the whole request.
fn as_it_is(raw: &str) -> String {
    raw.to_owned()
}

/// RFC 9112, section 6.3: digits and nothing else.
#[test]
fn a_content_length_is_one_plain_number_in_bounds() {
    let request = |value: &str| post(&format!("Content-Length: {value}\r\n"), "abcde");
    refused(
        request,
        &[
            ("", 400),
            ("5, 5", 400),
            ("5,5", 400),
            ("5,", 400),
            (",5", 400),
            ("5 5", 400),
            ("5\t5", 400),
            ("+5", 400),
            ("-5", 400),
            ("-0", 400),
            ("0x5", 400),
            ("5.0", 400),
            ("5e0", 400),
            ("1_0", 400),
            ("5;x", 400),
            ("\"5\"", 400),
            ("five", 400),
            ("\u{665}", 400),
            ("5\u{a0}", 400),
            ("\u{b}5", 400),
            ("65537", 413),
            ("10000000000", 413),
            ("4611686018427387904", 413),
            ("9223372036854775808", 413),
            ("18446744073709551615", 413),
            ("18446744073709551616", 413),
            ("99999999999999999999999999999999", 413),
        ],
    );
}

/// RFC 9112, sections 6.1 and 6.3: two answers to where the body ends are none.
#[test]
fn a_body_ends_in_one_way() {
    let request = |fields: &str| post(fields, "3\r\nabc\r\n0\r\n\r\n");
    refused(
        request,
        &[
            ("Content-Length: 3\r\nContent-Length: 3\r\n", 400),
            ("Content-Length: 3\r\nContent-Length: 4\r\n", 400),
            ("Content-Length: 0\r\ncontent-length: 13\r\n", 400),
            ("Content-Length: 13\r\nContent-Length:\r\n", 400),
            ("Content-Length: 13\r\nTransfer-Encoding: chunked\r\n", 400),
            ("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", 400),
            ("Transfer-Encoding: chunked\r\nContent-Length: x\r\n", 400),
            ("Transfer-Encoding: identity\r\nContent-Length: 13\r\n", 400),
            ("Transfer-Encoding: x\r\nContent-Length: 13\r\n", 400),
            ("Transfer-Encoding:\r\nContent-Length: 13\r\n", 400),
            (
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                400,
            ),
            (
                "Transfer-Encoding: chunked\r\nTransfer-encoding: x\r\n",
                400,
            ),
            (
                "Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n",
                400,
            ),
            ("Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n", 400),
        ],
    );
}

/// What reached the servers behind famous front ends as a second request.
#[test]
fn the_classics_of_smuggling_are_refused() {
    refused(
        as_it_is,
        &[
            // CL.TE, TE.CL, TE.TE.
            (
                "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n\
                 0\r\n\r\nG",
                400,
            ),
            (
                "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n\
                 26\r\nGET /healthz HTTP/1.1\r\nHost: h\r\n\r\n\r\n0\r\n\r\n",
                400,
            ),
            (
                "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\
                 Transfer-encoding: cow\r\n\r\n5c\r\nGPOST / HTTP/1.1\r\n\r\n0\r\n\r\n",
                400,
            ),
            // 0.CL: a length that one of two readers does not see.
            (
                "GET / HTTP/1.1\r\nHost: h\r\nContent-Length\t: 35\r\n\r\n",
                400,
            ),
            (
                "GET / HTTP/1.1\r\nHost: h\r\nA: b\rContent-Length: 35\r\n\r\n",
                400,
            ),
            (
                "GET / HTTP/1.1\r\nHost: h\r\nA: b\nContent-Length: 35\r\n\r\n",
                400,
            ),
            (
                "GET / HTTP/1.1\r\nHost: h\r\nA: b\0\r\nContent-Length: 35\r\n\r\n",
                400,
            ),
            (
                "GET / HTTP/1.1\r\n Content-Length: 35\r\nHost: h\r\n\r\n",
                400,
            ),
            (
                "GET / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n 35\r\n\r\n",
                400,
            ),
            // The preface of HTTP/2 by prior knowledge.
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
            // The start of a TLS connection, in plain HTTP or within TLS.
            ("\u{16}\u{3}\u{1}\u{2}\0\u{1}\0", 400),
        ],
    );
}

/// RFC 9112, sections 6.1 and 7: `chunked`, once, and no other coding.
#[test]
fn the_only_transfer_coding_is_chunked() {
    let request = |value: &str| post(&format!("Transfer-Encoding: {value}\r\n"), "0\r\n\r\n");
    refused(
        request,
        &[
            ("", 400),
            ("gzip", 400),
            ("xchunked", 400),
            ("chunkedx", 400),
            ("chu nked", 400),
            ("identity", 400),
            ("chunked, identity", 400),
            ("chunked, gzip", 400),
            ("chunked, chunked", 400),
            ("gzip, chunked, chunked", 400),
            ("chunked,", 400),
            (", chunked", 400),
            ("chunked;q=1", 400),
            ("\"chunked\"", 400),
            ("'chunked'", 400),
            ("\u{b}chunked", 400),
            ("chunked\u{c}", 400),
            ("chunked\0", 400),
            ("chunked\u{a0}", 400),
            ("\u{212a}chunked", 400),
            ("gzip, chunked", 501),
            ("identity, chunked", 501),
            ("gzip;q=1, chunked", 501),
        ],
    );
    refused(
        |field| post(field, "0\r\n\r\n"),
        &[
            ("Transfer-Encoding : chunked\r\n", 400),
            ("Transfer-Encoding\t: chunked\r\n", 400),
            ("Transfer-Encoding:\r\n chunked\r\n", 400),
            ("Transfer-Encoding\r\n: chunked\r\n", 400),
            ("A: b\rTransfer-Encoding: chunked\r\n", 400),
            ("A: b\nTransfer-Encoding: chunked\r\n", 400),
        ],
    );
    // HTTP/1.0 knows no codings: somebody on the way did not either.
    refused(
        |fields| format!("POST /login HTTP/1.0\r\n{fields}\r\n0\r\n\r\n"),
        &[
            ("Transfer-Encoding: chunked\r\n", 400),
            (
                "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n",
                400,
            ),
            ("Transfer-Encoding: gzip, chunked\r\n", 400),
        ],
    );
}

/// RFC 9112, section 7.1.
#[test]
fn a_chunk_has_a_hexadecimal_size_and_ends_where_it_says() {
    refused(
        chunked,
        &[
            // The size.
            ("\r\n", 400),
            (";x\r\n", 400),
            ("g\r\n", 400),
            ("+3\r\nabc\r\n0\r\n\r\n", 400),
            ("-3\r\nabc\r\n0\r\n\r\n", 400),
            ("0x3\r\nabc\r\n0\r\n\r\n", 400),
            (" 3\r\nabc\r\n0\r\n\r\n", 400),
            ("3 \r\nabc\r\n0\r\n\r\n", 400),
            ("3\t\r\nabc\r\n0\r\n\r\n", 400),
            ("3_0\r\nabc\r\n0\r\n\r\n", 400),
            ("\u{663}\r\nabc\r\n0\r\n\r\n", 400),
            ("00000000000000003\r\nabc\r\n0\r\n\r\n", 400),
            ("10000000000000003\r\nabc\r\n0\r\n\r\n", 400),
            ("10001\r\n", 413),
            ("8000000000000000\r\n", 413),
            ("fffffffffffffffd\r\n", 413),
            ("ffffffffffffffff\r\n", 413),
            // Its extensions.
            ("3 ;x\r\nabc\r\n0\r\n\r\n", 400),
            ("3;a\rb\r\nabc\r\n0\r\n\r\n", 400),
            ("3;a\nb\r\nabc\r\n0\r\n\r\n", 400),
            ("3;a\r\r\nabc\r\n0\r\n\r\n", 400),
            ("3;\0\r\nabc\r\n0\r\n\r\n", 400),
            ("0;\n\r\n\r\n", 400),
            // The ends of its lines.
            ("3\nabc\n0\n\n", 400),
            ("3\nabc\r\n0\r\n\r\n", 400),
            ("3\rabc\r\n0\r\n\r\n", 400),
            ("3\r\r\nabc\r\n0\r\n\r\n", 400),
            ("3\r\nabcd\r\n0\r\n\r\n", 400),
            ("3\r\nab\r\n0\r\n\r\n", 400),
            ("3\r\nabc\n0\r\n\r\n", 400),
            ("3\r\nabc\r0\r\n\r\n", 400),
            ("3\r\nabc\r\r\n0\r\n\r\n", 400),
            ("3\r\nabcXX0\r\n\r\n", 400),
            ("3\r\nabc0\r\n\r\n", 400),
            // The last chunk and the trailers.
            ("0\n\n", 400),
            ("0\r\n\n", 400),
            ("0\r\n\rX", 400),
            ("0\r\n\r\r\n", 400),
            ("-0\r\n\r\n", 400),
            ("0\r\nbad trailer\r\n\r\n", 400),
            ("0\r\nA : b\r\n\r\n", 400),
            ("0\r\nA: b\r\n c\r\n\r\n", 400),
            ("0\r\n A: b\r\n\r\n", 400),
            ("0\r\nA: b\rc\r\n\r\n", 400),
            ("0\r\nA: \0\r\n\r\n", 400),
            ("0\r\nA: b\n\n", 400),
        ],
    );
}

/// RFC 9112, section 2.2: a line ends in CRLF; RFC 9110, section 5.5: no control bytes.
#[test]
fn lines_end_in_crlf_and_hold_no_control_bytes() {
    refused(
        as_it_is,
        &[
            ("GET / HTTP/1.1\nHost: h\n\n", 400),
            ("GET / HTTP/1.1\nHost: h\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: h\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: h\r\n\n", 400),
            ("GET / HTTP/1.1\rHost: h\r\r", 400),
            ("GET / HTTP/1.1\r\r\nHost: h\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: h\r\n\r\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: h\r\nA: b\rc\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: h\r\nA: b\r\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: h\r\nA: \0\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: h\r\nA: \u{8}\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: h\r\nA: \u{b}\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: h\r\nA: \u{1b}[2J\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: h\r\nA: \u{7f}\r\n\r\n", 400),
            ("GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n", 400),
            ("GET\0 / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
            ("\0\0\0\0", 400),
            ("\n", 400),
            // One empty line before a request is forgiven, two are not.
            ("\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
            ("\r\n\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
            ("\r\n GET / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        ],
    );
}

/// RFC 9112, section 5: a name is a token, the colon follows at once, a line is not folded.
#[test]
fn a_field_is_a_name_and_a_value_on_one_line() {
    refused(
        |field| get(&format!("{field}\r\n")),
        &[
            ("A : b", 400),
            ("A\t: b", 400),
            (": b", 400),
            (":", 400),
            ("A b: c", 400),
            ("A", 400),
            ("A(: b", 400),
            ("\"A\": b", 400),
            ("A/B: c", 400),
            ("A@b: c", 400),
            ("[A]: b", 400),
            ("\u{e9}: b", 400),
            ("A\u{b}: b", 400),
            ("A\0: b", 400),
            ("A: b\r\n c", 400),
            ("A: b\r\n\tc", 400),
            ("A: b\r\n ", 400),
            ("A:\r\n b", 400),
        ],
    );
    refused(
        |first| format!("GET / HTTP/1.1\r\n{first}\r\nHost: h\r\n\r\n"),
        &[
            (" A: b", 400),
            ("\tA: b", 400),
            (" ", 400),
            (" Host: h", 400),
        ],
    );
}

/// What the site decides by is said once.
#[test]
fn fields_that_decide_are_not_repeated() {
    refused(
        |name| get(&format!("{name}: a\r\n{}: a\r\n", name.to_lowercase())),
        &[
            ("Content-Type", 400),
            ("Origin", 400),
            ("Sec-Fetch-Site", 400),
            ("Host", 400),
            ("Content-Length", 400),
        ],
    );
}

/// RFC 9110, section 10.1.1.
#[test]
fn the_only_expectation_is_to_be_told_to_go_on() {
    refused(
        |fields| post(&format!("{fields}Content-Length: 5\r\n"), "abcde"),
        &[
            ("Expect: tea\r\n", 417),
            ("Expect:\r\n", 417),
            ("Expect: 200-ok\r\n", 417),
            ("Expect: 100-continue, tea\r\n", 417),
            ("Expect: 100-continue;a=b\r\n", 417),
            ("Expect: 100-continue\r\nExpect: tea\r\n", 417),
        ],
    );
}

/// RFC 9112, section 3.2, and RFC 3986, section 3.2: one host, without user information.
#[test]
fn there_is_exactly_one_valid_host() {
    let bad = [
        ("", 400),
        ("a b", 400),
        ("a\tb", 400),
        ("a b/c", 400),
        ("a/b", 400),
        ("http://a", 400),
        ("u@a", 400),
        ("@a", 400),
        ("a:b", 400),
        ("a:+80", 400),
        ("a: 80", 400),
        ("a:80:80", 400),
        ("a:65536", 400),
        (":80", 400),
        ("a, b", 400),
        ("[::1", 400),
        ("[a]", 400),
        ("[]", 400),
        ("[::1]x", 400),
        ("[::1%25lo]", 400),
        ("::1", 400),
        ("%zz", 400),
        ("%4", 400),
        ("\u{e9}", 400),
        ("a?b", 400),
        ("a#b", 400),
        ("<a>", 400),
        ("a\\b", 400),
        ("\"a\"", 400),
        ("{a}", 400),
    ];
    for version in ["1.1", "1.0"] {
        refused(
            |host| format!("GET / HTTP/{version}\r\nHost: {host}\r\n\r\n"),
            &bad,
        );
    }
    refused(
        |fields| format!("GET / HTTP/1.1\r\n{fields}\r\n"),
        &[
            ("", 400),
            ("Host: h\r\nHost: h\r\n", 400),
            ("Host: h\r\nhost: other\r\n", 400),
            ("Host: h\r\nHOST:\r\n", 400),
            ("X-Forwarded-Host: h\r\n", 400),
        ],
    );
    // Not even if the target says which.
    let absolute = "GET http://h/ HTTP/1.1\r\n\r\n";
    let two = "GET http://h/ HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n";
    let empty = "GET http://h/ HTTP/1.1\r\nHost:\r\n\r\n";
    refused(as_it_is, &[(absolute, 400), (two, 400), (empty, 400)]);
}

/// RFC 9112, section 3: method, target and version with single spaces between.
#[test]
fn a_request_line_is_three_words() {
    refused(
        line,
        &[
            ("GET", 400),
            ("GET /", 400),
            ("GET /\u{20}", 400),
            ("GET  / HTTP/1.1", 400),
            ("GET /  HTTP/1.1", 400),
            ("GET / HTTP/1.1 ", 400),
            ("GET / HTTP/1.1\t", 400),
            (" GET / HTTP/1.1", 400),
            ("GET / / HTTP/1.1", 400),
            ("GET / HTTP/1.1 HTTP/1.1", 400),
            ("GET\t/\tHTTP/1.1", 400),
            ("G(T / HTTP/1.1", 400),
            ("GET: / HTTP/1.1", 400),
            ("G\u{e9}T / HTTP/1.1", 400),
            ("CONNECT h:443 HTTP/1.1", 501),
            ("CONNECT / HTTP/1.1", 501),
        ],
    );
}

/// RFC 9112, section 2.3.
#[test]
fn the_version_is_1_1_or_1_0() {
    refused(
        |version| line(&format!("GET / {version}")),
        &[
            ("http/1.1", 400),
            ("HTTP/1", 400),
            ("HTTP/11", 400),
            ("HTTP/1.", 400),
            ("HTTP/.1", 400),
            ("HTTP/1.10", 400),
            ("HTTP/01.1", 400),
            ("HTTP/+1.1", 400),
            ("HTTP/1,1", 400),
            ("HTTP/1.1x", 400),
            ("HTTP/1.\u{661}", 400),
            ("HTTPS/1.1", 400),
            ("ICY/1.1", 400),
            ("HTTP/0.9", 505),
            ("HTTP/1.2", 505),
            ("HTTP/1.9", 505),
            ("HTTP/2.0", 505),
            ("HTTP/3.0", 505),
        ],
    );
}

/// RFC 9112, section 3.2: a path, or a whole URL of http or https; nothing else.
#[test]
fn a_target_is_a_path_or_a_url_of_ours() {
    refused(
        |target| line(&format!("GET {target} HTTP/1.1")),
        &[
            ("index", 400),
            ("*", 400),
            ("?a", 400),
            ("\\", 400),
            ("/#top", 400),
            ("#", 400),
            ("/\u{e9}", 400),
            ("/\u{7f}", 400),
            ("h:443", 400),
            ("ftp://h/", 400),
            ("file:///etc/passwd", 400),
            ("javascript:alert(1)", 400),
            ("http:", 400),
            ("http://", 400),
            ("http:///", 400),
            ("http://:80/", 400),
            ("http:/h/", 400),
            ("http:\\\\h/", 400),
            ("http://u@h/", 400),
            ("http://u:p@h/", 400),
            ("http://h:x/", 400),
            ("http://h:65536/", 400),
            ("http://h\\@other/", 400),
            ("http://h/#top", 400),
            ("http://[::1/", 400),
        ],
    );
    refused(
        line,
        &[("POST * HTTP/1.1", 400), ("OPTIONS ** HTTP/1.1", 400)],
    );
}
