//! The table of framing: classes of requests that readers could disagree about, and what comes of
//! each. The reader's own tests use it, and those that send its rows to the program over TLS and
//! without.

/// Requests that are odd in one way.
pub struct Class {
    pub name: &'static str,
    pub comes: Comes,
    /// Each is sent alone.
    pub requests: Vec<String>,
}

/// What comes of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Comes {
    /// It can be read in one way only; the site answers it with this status.
    Read(u16),
    /// Two readers could frame it in two ways, or it is out of bounds.
    Refused(u16),
}

use Comes::{Read, Refused};

/// Puts each text where `request` says.
fn class(
    name: &'static str,
    comes: Comes,
    request: impl Fn(&str) -> String,
    texts: &[&str],
) -> Class {
    let requests = texts.iter().map(|text| request(text)).collect();
    Class {
        name,
        comes,
        requests,
    }
}

fn as_it_is(raw: &str) -> String {
    raw.to_owned()
}

pub fn line(line: &str) -> String {
    format!("{line}\r\nHost: h\r\n\r\n")
}

pub fn get(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n")
}

pub fn post(fields: &str, body: &str) -> String {
    format!("POST /login HTTP/1.1\r\nHost: h\r\n{fields}\r\n{body}")
}

pub fn chunked(body: &str) -> String {
    post("Transfer-Encoding: chunked\r\n", body)
}

/// The classes whose requests are small.
pub fn classes() -> Vec<Class> {
    [
        lengths(),
        codings(),
        chunks(),
        lines(),
        fields(),
        hosts(),
        request_lines(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// RFC 9112, sections 6.1 and 6.3: a length is digits and nothing else, and two answers to where
/// the body ends are none.
fn lengths() -> Vec<Class> {
    let length = |value: &str| post(&format!("Content-Length: {value}\r\n"), "abcde");
    vec![
        class(
            "a length that is not one plain number",
            Refused(400),
            length,
            &[
                "", "5, 5", "5,5", "5,", ",5", "5 5", "5\t5", "+5", "-5", "-0", "0x5", "5.0",
                "5e0", "1_0", "5;x", "\"5\"", "five", "\u{665}", "5\u{a0}", "\u{b}5",
            ],
        ),
        class(
            "a length out of bounds",
            Refused(413),
            length,
            &[
                "65537",
                "10000000000",
                "4611686018427387904",
                "9223372036854775808",
                "18446744073709551615",
                "18446744073709551616",
                "99999999999999999999999999",
                "99999999999999999999999999999999",
            ],
        ),
        class(
            "a body that ends in two ways",
            Refused(400),
            |fields| post(fields, "3\r\nabc\r\n0\r\n\r\n"),
            &[
                "Content-Length: 3\r\nContent-Length: 3\r\n",
                "Content-Length: 3\r\nContent-Length: 4\r\n",
                "Content-Length: 3\r\ncontent-length: 4\r\n",
                "Content-Length: 0\r\ncontent-length: 13\r\n",
                "Content-Length: 13\r\nContent-Length:\r\n",
                "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
                "Content-Length: 13\r\nTransfer-Encoding: chunked\r\n",
                "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
                "Transfer-Encoding: chunked\r\nContent-Length: x\r\n",
                "Transfer-Encoding: identity\r\nContent-Length: 13\r\n",
                "Transfer-Encoding: x\r\nContent-Length: 13\r\n",
                "Transfer-Encoding:\r\nContent-Length: 13\r\n",
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                "Transfer-Encoding: chunked\r\nTransfer-encoding: x\r\n",
                "Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n",
                "Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n",
            ],
        ),
        // What reached the servers behind famous front ends as a second request.
        class(
            "a classic of smuggling",
            Refused(400),
            as_it_is,
            &[
                // CL.TE, TE.CL, TE.TE.
                "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n\
                 0\r\n\r\nG",
                "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n\
                 26\r\nGET /healthz HTTP/1.1\r\nHost: h\r\n\r\n\r\n0\r\n\r\n",
                "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\
                 Transfer-encoding: cow\r\n\r\n5c\r\nGPOST / HTTP/1.1\r\n\r\n0\r\n\r\n",
                // 0.CL: a length that one of two readers does not see.
                "GET / HTTP/1.1\r\nHost: h\r\nContent-Length\t: 35\r\n\r\n",
                "GET / HTTP/1.1\r\nHost: h\r\nA: b\rContent-Length: 35\r\n\r\n",
                "GET / HTTP/1.1\r\nHost: h\r\nA: b\nContent-Length: 35\r\n\r\n",
                "GET / HTTP/1.1\r\nHost: h\r\nA: b\0\r\nContent-Length: 35\r\n\r\n",
                "GET / HTTP/1.1\r\n Content-Length: 35\r\nHost: h\r\n\r\n",
                "GET / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n 35\r\n\r\n",
                // The start of a TLS connection, in plain HTTP or within TLS.
                "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0",
            ],
        ),
        // RFC 9110, section 10.1.1.
        class(
            "an expectation other than to be told to go on",
            Refused(417),
            |fields| post(&format!("{fields}Content-Length: 5\r\n"), "abcde"),
            &[
                "Expect: tea\r\n",
                "Expect:\r\n",
                "Expect: 200-ok\r\n",
                "Expect: 100-continue, tea\r\n",
                "Expect: 100-continue;a=b\r\n",
                "Expect: 100-continue\r\nExpect: tea\r\n",
            ],
        ),
    ]
}

/// RFC 9112, sections 6.1 and 7: `chunked`, once, and no other coding.
fn codings() -> Vec<Class> {
    let coding = |value: &str| post(&format!("Transfer-Encoding: {value}\r\n"), "0\r\n\r\n");
    vec![
        class(
            "a coding after which nobody knows where the body ends",
            Refused(400),
            coding,
            &[
                "",
                "gzip",
                "xchunked",
                "chunkedx",
                "chu nked",
                "identity",
                "chunked, identity",
                "chunked, gzip",
                "chunked, chunked",
                "gzip, chunked, chunked",
                "chunked,",
                ", chunked",
                "chunked;q=1",
                "\"chunked\"",
                "'chunked'",
                "\u{b}chunked",
                "chunked\u{c}",
                "chunked\0",
                "chunked\u{a0}",
                "\u{212a}chunked",
            ],
        ),
        class(
            "a coding below chunked",
            Refused(501),
            coding,
            &["gzip, chunked", "identity, chunked", "gzip;q=1, chunked"],
        ),
        class(
            "a coding that only some readers see",
            Refused(400),
            |field| post(field, "0\r\n\r\n"),
            &[
                "Transfer-Encoding : chunked\r\n",
                "Transfer-Encoding\t: chunked\r\n",
                "Transfer-Encoding:\r\n chunked\r\n",
                "Transfer-Encoding\r\n: chunked\r\n",
                "A: b\rTransfer-Encoding: chunked\r\n",
                "A: b\nTransfer-Encoding: chunked\r\n",
            ],
        ),
        // HTTP/1.0 knows no codings: somebody on the way did not either.
        class(
            "a coding in HTTP/1.0",
            Refused(400),
            |fields| format!("POST /login HTTP/1.0\r\n{fields}\r\n0\r\n\r\n"),
            &[
                "Transfer-Encoding: chunked\r\n",
                "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n",
                "Transfer-Encoding: gzip, chunked\r\n",
            ],
        ),
    ]
}

/// RFC 9112, section 7.1: a chunk has a hexadecimal size and ends where it says.
fn chunks() -> Vec<Class> {
    vec![
        class(
            "a size that is not hexadecimal digits",
            Refused(400),
            chunked,
            &[
                "\r\n",
                ";x\r\n",
                "g\r\n",
                "+3\r\nabc\r\n0\r\n\r\n",
                "-3\r\nabc\r\n0\r\n\r\n",
                "0x3\r\nabc\r\n0\r\n\r\n",
                " 3\r\nabc\r\n0\r\n\r\n",
                "3 \r\nabc\r\n0\r\n\r\n",
                "3\t\r\nabc\r\n0\r\n\r\n",
                "3_0\r\nabc\r\n0\r\n\r\n",
                "\u{663}\r\nabc\r\n0\r\n\r\n",
                "00000000000000003\r\nabc\r\n0\r\n\r\n",
                "10000000000000003\r\nabc\r\n0\r\n\r\n",
                "-0\r\n\r\n",
            ],
        ),
        class(
            "a size out of bounds",
            Refused(413),
            chunked,
            &[
                "10001\r\n",
                "8000000000000000\r\n",
                "fffffffffffffffd\r\n",
                "ffffffffffffffff\r\n",
            ],
        ),
        class(
            "an extension with blanks before it or control bytes in it",
            Refused(400),
            chunked,
            &[
                "3 ;x\r\nabc\r\n0\r\n\r\n",
                "3;a\rb\r\nabc\r\n0\r\n\r\n",
                "3;a\nb\r\nabc\r\n0\r\n\r\n",
                "3;a\r\r\nabc\r\n0\r\n\r\n",
                "3;\0\r\nabc\r\n0\r\n\r\n",
                "3;\u{1}\r\nabc\r\n0\r\n\r\n",
                "0;\n\r\n\r\n",
            ],
        ),
        class(
            "a chunk that does not end where it says",
            Refused(400),
            chunked,
            &[
                "3\nabc\n0\n\n",
                "3\nabc\r\n0\r\n\r\n",
                "3\rabc\r\n0\r\n\r\n",
                "3\r\r\nabc\r\n0\r\n\r\n",
                "3\r\nabcd\r\n0\r\n\r\n",
                "3\r\nab\r\n0\r\n\r\n",
                "3\r\nabc\n0\r\n\r\n",
                "3\r\nabc\r0\r\n\r\n",
                "3\r\nabc\r\r\n0\r\n\r\n",
                "3\r\nabcXX0\r\n\r\n",
                "3\r\nabc0\r\n\r\n",
            ],
        ),
        class(
            "trailers that are not fields, each on a line of its own",
            Refused(400),
            chunked,
            &[
                "0\n\n",
                "0\r\n\n",
                "0\r\n\rX",
                "0\r\n\r\r\n",
                "0\r\nbad trailer\r\n\r\n",
                "0\r\nA : b\r\n\r\n",
                "0\r\nA: b\r\n c\r\n\r\n",
                "0\r\n A: b\r\n\r\n",
                "0\r\nA: b\rc\r\n\r\n",
                "0\r\nA: \0\r\n\r\n",
                "0\r\nA: b\n\n",
                "0\r\nA: b\n\r\n",
            ],
        ),
    ]
}

/// RFC 9112, section 2.2: a line ends in CRLF; RFC 9110, section 5.5: no control bytes.
fn lines() -> Vec<Class> {
    vec![
        class(
            "a line that does not end in CRLF",
            Refused(400),
            as_it_is,
            &[
                "GET / HTTP/1.1\nHost: h\n\n",
                "GET / HTTP/1.1\nHost: h\r\n\r\n",
                "GET / HTTP/1.1\r\nHost: h\n\r\n",
                "GET / HTTP/1.1\r\nHost: h\r\n\n",
                "GET / HTTP/1.1\rHost: h\r\r",
                "GET / HTTP/1.1\rHost: h\r\n\r\n",
                "GET / HTTP/1.1\r\r\nHost: h\r\n\r\n",
                "GET / HTTP/1.1\r\nHost: h\r\n\r\r\n",
                "GET / HTTP/1.1\r\nHost: h\r\nA: b\rc\r\n\r\n",
                "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\r\n\r\n",
                "\n",
                "\r\n\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
            ],
        ),
        class(
            "a control byte",
            Refused(400),
            as_it_is,
            &[
                "GET / HTTP/1.1\r\nHost: h\r\nA: \0\r\n\r\n",
                "GET / HTTP/1.1\r\nHost: h\r\nA: \u{8}\r\n\r\n",
                "GET / HTTP/1.1\r\nHost: h\r\nA: \u{b}\r\n\r\n",
                "GET / HTTP/1.1\r\nHost: h\r\nA: \u{1b}\r\n\r\n",
                "GET / HTTP/1.1\r\nHost: h\r\nA: \u{1b}[2J\r\n\r\n",
                "GET / HTTP/1.1\r\nHost: h\r\nA: \u{7f}\r\n\r\n",
                "GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n",
                "GET\0 / HTTP/1.1\r\nHost: h\r\n\r\n",
                "\0",
                "\0\0\0\0",
            ],
        ),
        class(
            "one empty line before a request, which is forgiven",
            Read(200),
            as_it_is,
            &["\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"],
        ),
        class(
            "two empty lines before a request, or a blank",
            Refused(400),
            as_it_is,
            &[
                "\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
                "\r\n GET / HTTP/1.1\r\nHost: h\r\n\r\n",
            ],
        ),
    ]
}

/// RFC 9112, section 5: a name is a token, the colon follows at once, a line is not folded. What
/// the site decides by is said once.
fn fields() -> Vec<Class> {
    vec![
        class(
            "a line that is not a name and a value",
            Refused(400),
            |field| get(&format!("{field}\r\n")),
            &[
                "A : b",
                "A\t: b",
                ": b",
                ":",
                "A b: c",
                "A",
                "A(: b",
                "\"A\": b",
                "A/B: c",
                "A@b: c",
                "[A]: b",
                "\u{e9}: b",
                "A\u{b}: b",
                "A\0: b",
                "A: b\r\n c",
                "A: b\r\n\tc",
                "A: b\r\n ",
                "A:\r\n b",
                " A: b",
                "\tA: b",
            ],
        ),
        class(
            "a first line that is folded",
            Refused(400),
            |first| format!("GET / HTTP/1.1\r\n{first}\r\nHost: h\r\n\r\n"),
            &[" A: b", "\tA: b", " ", " Host: h"],
        ),
        class(
            "a field that decides and is repeated",
            Refused(400),
            |name| get(&format!("{name}: a\r\n{}: a\r\n", name.to_lowercase())),
            &[
                "Content-Type",
                "Origin",
                "Sec-Fetch-Site",
                "Host",
                "Content-Length",
            ],
        ),
    ]
}

/// RFC 9112, section 3.2, and RFC 3986, section 3.2: one host, without user information.
fn hosts() -> Vec<Class> {
    let bad = [
        "",
        "a b",
        "a\tb",
        "a b/c",
        "a/b",
        "http://a",
        "u@a",
        "@a",
        "a:b",
        "a:+80",
        "a: 80",
        "a:80:80",
        "a:65536",
        ":80",
        // A comma is a sub-delimiter of a name; the space after it is not.
        "a, b",
        "[::1",
        "[a]",
        "[]",
        "[::1]x",
        "[::1%25lo]",
        "::1",
        "%zz",
        "%4",
        "\u{e9}",
        "a?b",
        "a#b",
        "<a>",
        "a\\b",
        "\"a\"",
        "{a}",
    ];
    vec![
        class(
            "a host and its port",
            Read(200),
            |host| format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"),
            &["a", "a.b:1", "127.0.0.1:8000", "[::1]:8000", "a:", "%41"],
        ),
        class(
            "no host that could be",
            Refused(400),
            |host| format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"),
            &bad,
        ),
        class(
            "no host that could be, in HTTP/1.0",
            Refused(400),
            |host| format!("GET / HTTP/1.0\r\nHost: {host}\r\n\r\n"),
            &bad,
        ),
        class(
            "two hosts, or none",
            Refused(400),
            |fields| format!("GET / HTTP/1.1\r\n{fields}\r\n"),
            &[
                "",
                "Host: h\r\nHost: h\r\n",
                "Host: h\r\nhost: other\r\n",
                "Host: h\r\nHOST:\r\n",
                "X-Forwarded-Host: h\r\n",
            ],
        ),
        class(
            "two hosts in HTTP/1.0",
            Refused(400),
            |fields| format!("GET / HTTP/1.0\r\n{fields}\r\n"),
            &["Host: a\r\nHost: a\r\n"],
        ),
        class(
            "no host in HTTP/1.0, which does not ask for one",
            Read(200),
            |fields| format!("GET / HTTP/1.0\r\n{fields}\r\n"),
            &["Connection: keep-alive\r\n"],
        ),
        class(
            "two hosts, or none, where the target names one",
            Refused(400),
            |fields| format!("GET http://h/ HTTP/1.1\r\n{fields}\r\n"),
            &["", "Host: h\r\nHost: h\r\n", "Host:\r\n"],
        ),
    ]
}

/// RFC 9112, section 3: method, target and version with single spaces between.
fn request_lines() -> Vec<Class> {
    let version = |version: &str| line(&format!("GET / {version}"));
    vec![
        class(
            "a request line that is not three words",
            Refused(400),
            line,
            &[
                "GET",
                "GET /",
                "GET /\u{20}",
                "GET  / HTTP/1.1",
                "GET /  HTTP/1.1",
                "GET / HTTP/1.1 ",
                "GET / HTTP/1.1\t",
                " GET / HTTP/1.1",
                "GET / / HTTP/1.1",
                "GET / HTTP/1.1 HTTP/1.1",
                "GET\t/ HTTP/1.1",
                "GET\t/\tHTTP/1.1",
                "G(T / HTTP/1.1",
                "GET: / HTTP/1.1",
                "G\u{e9}T / HTTP/1.1",
            ],
        ),
        class(
            "a tunnel",
            Refused(501),
            line,
            &["CONNECT h:443 HTTP/1.1", "CONNECT / HTTP/1.1"],
        ),
        // RFC 9112, section 2.3.
        class(
            "what is no version",
            Refused(400),
            version,
            &[
                "http/1.1",
                "HTTP/1",
                "HTTP/11",
                "HTTP/1.",
                "HTTP/.1",
                "HTTP/1.10",
                "HTTP/01.1",
                "HTTP/+1.1",
                "HTTP/1,1",
                "HTTP/1.1x",
                "HTTP/1.\u{661}",
                "HTTPS/1.1",
                "ICY/1.1",
                "FTP/1.1",
            ],
        ),
        class(
            "a version other than 1.1 and 1.0",
            Refused(505),
            version,
            &["HTTP/0.9", "HTTP/1.2", "HTTP/1.9", "HTTP/2.0", "HTTP/3.0"],
        ),
        class(
            "the preface of HTTP/2 by prior knowledge",
            Refused(505),
            as_it_is,
            &[
                "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                "PRI * HTTP/2.0\r\nHost: h\r\n\r\n",
            ],
        ),
        // RFC 9112, section 3.2.
        class(
            "a target that is neither a path nor a whole URL of http or https",
            Refused(400),
            |target| line(&format!("GET {target} HTTP/1.1")),
            &[
                "index",
                "*",
                "?a",
                "\\",
                "/#top",
                "#",
                "/\u{e9}",
                "/\u{7f}",
                "h:443",
                "ftp://h/",
                "file:///etc/passwd",
                "javascript:alert(1)",
                "http:",
                "http://",
                "http:///",
                "http://:80/",
                "http:/h/",
                "http:\\\\h/",
                "http://u@h/",
                "http://u:p@h/",
                "http://h:x/",
                "http://h:65536/",
                "http://h\\@other/",
                "http://h/#top",
                "http://[::1/",
            ],
        ),
        class(
            "a target of OPTIONS alone, or of nothing",
            Refused(400),
            line,
            &["POST * HTTP/1.1", "OPTIONS ** HTTP/1.1"],
        ),
    ]
}

/// Longer than any bound.
const LONG: usize = 1 << 20;

/// What is too large, and what just fits.
pub fn large() -> Vec<Class> {
    let long = "a".repeat(LONG);
    let line_of = |length: usize| {
        let around = "GET / HTTP/1.1".len();
        line(&format!("GET /{} HTTP/1.1", &long[..length - around]))
    };
    let head_of = |length: usize| {
        let around = get("A: \r\n").len();
        get(&format!("A: {}\r\n", &long[..length - around]))
    };
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let of_length =
        |length: &str, body: &str| post(&format!("{form}Content-Length: {length}\r\n"), body);
    let in_chunks = |body: &str| post(&format!("{form}Transfer-Encoding: chunked\r\n"), body);
    let full = &long[..65_536];
    let of = |name, comes, requests| Class {
        name,
        comes,
        requests,
    };
    vec![
        of(
            "a request line that just fits",
            Read(404),
            vec![line_of(8192)],
        ),
        of(
            "a request line that is too long",
            Refused(414),
            vec![
                line_of(8193),
                line(&format!("GET /{long} HTTP/1.1")),
                "G".repeat(8193),
                long.clone(),
            ],
        ),
        of(
            "a head that just fits",
            Read(200),
            vec![head_of(16_384), get(&"A: b\r\n".repeat(99))],
        ),
        of(
            "a head that is too large",
            Refused(431),
            vec![
                head_of(16_385),
                get(&format!("A: {long}\r\n")),
                get(&format!("{long}: a\r\n")),
                get(&"A: b\r\n".repeat(100)),
                get(&"A: b\r\n".repeat(100_000)),
            ],
        ),
        // A form without the fields that are asked for: read, and found wanting.
        of(
            "a body that just fits",
            Read(400),
            vec![
                of_length("65536", full),
                in_chunks(&format!("10000\r\n{full}\r\n0\r\n\r\n")),
            ],
        ),
        of(
            "a body that is too large",
            Refused(413),
            vec![
                post("Content-Length: 65537\r\n", &long[..65_537]),
                post("Content-Length: 1073741824\r\n", &long),
                chunked(&format!("10000\r\n{full}\r\n1\r\na\r\n0\r\n\r\n")),
                // Chunks whose framing outweighs them, without an end.
                chunked(&format!("1;{}\r\nx\r\n", &long[..200]).repeat(5000)),
            ],
        ),
        of(
            "a chunk's size line that is too long",
            Refused(400),
            vec![
                chunked(&format!("1;{}", &long[..300])),
                chunked(&format!("1;{long}\r\n")),
            ],
        ),
        of(
            "trailers that are too large",
            Refused(431),
            vec![
                chunked(&format!("0\r\nA: {}", &long[..5000])),
                chunked(&format!("0\r\nA: {long}\r\n")),
                chunked(&format!("0\r\n{}", "A: b\r\n".repeat(100_000))),
            ],
        ),
        // In a length any number of them, in a chunk's size up to 16 digits.
        of(
            "a number that begins with zeros",
            Read(400),
            vec![
                in_chunks("000\r\nA: dropped\r\n\r\n"),
                of_length("00000000000000000001", "a"),
                in_chunks("0000000000000001\r\na\r\n0\r\n\r\n"),
            ],
        ),
    ]
}
