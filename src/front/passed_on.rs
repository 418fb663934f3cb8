//! Which parts of a stranger's request are passed on: the fields on a list, and no others.

use std::io::Write;
use std::net::IpAddr;

use percent_encoding::{AsciiSet, percent_encode};

use crate::front::foreign;
use crate::front::request::Accepted;
use crate::http::{CLIENT_ADDRESS, FOREIGN_FIELD};

/// The fields that the site reads. Hop-by-hop fields and those about framing are not among them.
const FIELDS: [&str; 15] = [
    "accept",
    "content-type",
    "cookie",
    "host",
    "origin",
    "purpose",
    "sec-fetch-dest",
    "sec-fetch-mode",
    "sec-fetch-site",
    "sec-fetch-user",
    "sec-purpose",
    "user-agent",
    "x-moz",
    "x-purpose",
    "x-requested-with",
];

/// The fields by which a trusted proxy says which request it asks about.
const PROXY_FIELDS: [&str; 8] = [
    "authorization",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-method",
    "x-forwarded-proto",
    "x-forwarded-uri",
    "x-original-method",
    "x-original-url",
];

/// The request as tiny_http gets it: complete, ASCII, with the length of its decoded body and the
/// address it came from.
pub fn compose(request: &Accepted, client: IpAddr, from_trusted_proxy: bool) -> Vec<u8> {
    let head = &request.head;
    let mut bytes = Vec::with_capacity(1024 + request.body.len());
    bytes.extend_from_slice(format!("{} {} HTTP/1.1\r\n", head.method, head.target).as_bytes());
    for (name, value) in &head.fields {
        let name = name.as_str();
        // tiny_http closes the connection at a byte that is not ASCII. In these fields such a byte
        // is replaced: percent-encoding could turn something that is not a method into one.
        let passes = FIELDS.contains(&name)
            || from_trusted_proxy && PROXY_FIELDS.contains(&name) && name.ends_with("-method");
        if passes {
            let value = value.iter().map(|&b| if b.is_ascii() { b } else { b'?' });
            field(&mut bytes, name, value);
        } else if from_trusted_proxy && PROXY_FIELDS.contains(&name) {
            // Encoded here, since a question mark would end the path earlier than the application
            // ends it.
            let set = if name == AUTHORIZATION {
                PERCENT
            } else {
                NOTHING_ASCII
            };
            let value = percent_encode(value, set);
            field(&mut bytes, name, value.flat_map(str::bytes));
        }
    }
    let foreign = || {
        head.fields
            .iter()
            .find_map(|(name, _)| foreign::reason(name))
    };
    if let Some(why) = from_trusted_proxy.then(foreign).flatten() {
        field(&mut bytes, FOREIGN_FIELD, why.bytes());
    }
    // Writing to a Vec does not fail.
    let _ = write!(
        bytes,
        "content-length: {}\r\n{CLIENT_ADDRESS}: {client}\r\n\r\n",
        request.body.len()
    );
    bytes.extend_from_slice(&request.body);
    bytes
}

/// What an application gets back byte by byte, so its encoding must be undone without loss.
const AUTHORIZATION: &str = "authorization";

/// The ASCII byte that is encoded there.
const PERCENT: &AsciiSet = &AsciiSet::EMPTY.add(b'%');

/// The ASCII bytes that are encoded, which is none; bytes that are not ASCII always are.
const NOTHING_ASCII: &AsciiSet = &AsciiSet::EMPTY;

fn field(bytes: &mut Vec<u8>, name: &str, value: impl Iterator<Item = u8>) {
    bytes.extend_from_slice(name.as_bytes());
    bytes.extend_from_slice(b": ");
    bytes.extend(value);
    bytes.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::front::request;

    /// Fields that concern one connection, or that only we may set: nobody behind the front sees
    /// them.
    const NEVER: [&str; 19] = [
        "auth-user-client",
        "auth-user-foreign",
        "connection",
        "content-encoding",
        "expect",
        "forwarded",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "range",
        "remote-user",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-http-method-override",
        "x_forwarded_for",
    ];

    fn passed(raw: &str, trusted: bool) -> String {
        let (request, _) = request::parse(raw.as_bytes()).ok().flatten().unwrap();
        let client = "192.0.2.1".parse().unwrap();
        String::from_utf8(compose(&request, client, trusted)).unwrap()
    }

    #[test]
    fn only_listed_fields_pass() {
        let raw = "GET /a?b HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, x\r\nCookie: a=1\r\n\
            Cookie: b=2\r\nX-Forwarded-For: 1.1.1.1\r\nAuth-User-Client: 1.1.1.1\r\n\
            Remote-User: root\r\nUpgrade: h2c\r\nX_Requested_With: x\r\n\r\n";
        assert_eq!(
            passed(raw, false),
            "GET /a?b HTTP/1.1\r\nhost: h\r\ncookie: a=1\r\ncookie: b=2\r\n\
             content-length: 0\r\nauth-user-client: 192.0.2.1\r\n\r\n"
        );
    }

    #[test]
    fn forwarded_fields_pass_from_trusted_proxies() {
        let raw = "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-Uri: /x\r\nX-Original-URL: /y\r\n\r\n";
        let passed = passed(raw, true);
        assert!(passed.contains("\r\nx-forwarded-uri: /x\r\nx-original-url: /y\r\n"));
    }

    #[test]
    fn what_is_not_ascii_in_them_ends_no_path() {
        let raw = "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-Uri: /a\u{e9}%2f/../b?c\r\n\r\n";
        assert!(passed(raw, true).contains("\r\nx-forwarded-uri: /a%C3%A9%2f/../b?c\r\n"));
    }

    #[test]
    fn what_an_application_gets_back_can_be_told_byte_by_byte() {
        let raw = "GET / HTTP/1.1\r\nHost: h\r\nAuthorization: X %41\u{e9} =\r\n\r\n";
        assert!(passed(raw, true).contains("\r\nauthorization: X %2541%C3%A9 =\r\n"));
        assert!(!passed(raw, false).contains("authorization"));
    }

    #[test]
    fn a_field_that_only_looks_like_one_of_them_does_not_pass() {
        let raw = "GET / HTTP/1.1\r\nHost: h\r\nX_Forwarded_Host: x\r\nX-Forwarded_Uri: /x\r\n\
            X-Forwarded-Prefix: /x\r\nX-Authelia-URL: x\r\nX-Original-Host: x\r\nForwarded: x\r\n\r\n";
        assert_eq!(
            passed(raw, true),
            "GET / HTTP/1.1\r\nhost: h\r\nauth-user-foreign: its name has other characters than \
             letters, digits and hyphens\r\ncontent-length: 0\r\nauth-user-client: 192.0.2.1\r\n\r\n"
        );
    }

    #[test]
    fn a_chunked_body_passes_with_its_length_in_ascii() {
        let raw = "POST / HTTP/1.1\r\nHost: h\r\nUser-Agent: \u{e9}\r\n\
            Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        assert_eq!(
            passed(raw, false),
            "POST / HTTP/1.1\r\nhost: h\r\nuser-agent: ??\r\n\
             content-length: 3\r\nauth-user-client: 192.0.2.1\r\n\r\nabc"
        );
    }

    #[test]
    fn an_absolute_target_takes_the_place_of_the_host() {
        let raw = "GET http://real.example:81?q HTTP/1.1\r\nHost: other.example\r\n\r\n";
        assert!(passed(raw, false).starts_with("GET /?q HTTP/1.1\r\nhost: real.example:81\r\n"));
    }

    #[test]
    fn what_concerns_the_connection_is_on_no_list() {
        for name in NEVER.into_iter().chain(["content-length"]) {
            assert!(!FIELDS.contains(&name), "{name}");
            assert!(!PROXY_FIELDS.contains(&name), "{name}");
        }
    }

    #[test]
    fn a_field_that_connection_nominates_is_what_it_was() {
        let raw = "POST / HTTP/1.1\r\nHost: h\r\nConnection: Cookie, Content-Length, Host, close\r\n\
            Cookie: a=1\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(
            passed(raw, false),
            "POST / HTTP/1.1\r\nhost: h\r\ncookie: a=1\r\n\
             content-length: 3\r\nauth-user-client: 192.0.2.1\r\n\r\nabc"
        );
    }

    #[test]
    fn trailers_are_dropped() {
        let raw = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
            0\r\nHost: other\r\nContent-Length: 9\r\nCookie: a=1\r\n\r\n";
        assert_eq!(
            passed(raw, false),
            "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\nauth-user-client: 192.0.2.1\r\n\r\n"
        );
    }

    proptest! {
        /// tiny_http gets one length, that of the body; one address, the real one; one host; and no
        /// field that is not on a list; all in ASCII.
        #[test]
        fn nothing_passes_that_is_not_listed(
            fields in prop::collection::vec(
                (
                    prop_oneof![
                        prop::sample::select(NEVER.to_vec()),
                        prop::sample::select(FIELDS.to_vec()),
                        prop::sample::select(PROXY_FIELDS.to_vec()),
                    ],
                    "[ -~\u{e9}]{0,12}",
                ),
                0..12,
            ),
            body in "[a-z:\r\n]{0,40}",
            trusted: bool,
        ) {
            let fields: String = fields
                .iter()
                .map(|(name, value)| format!("{name}: {value}\r\n"))
                .collect();
            let length = body.len();
            let raw = format!(
                "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n{fields}\r\n{body}"
            );
            // Some are refused: two hosts, codings, expectations.
            let Ok(Some((request, _))) = request::parse(raw.as_bytes()) else {
                return Ok(());
            };
            let bytes = compose(&request, "192.0.2.1".parse().unwrap(), trusted);

            let text = String::from_utf8(bytes).unwrap();
            let (head, rest) = text.split_once("\r\n\r\n").unwrap();
            prop_assert!(head.is_ascii());
            prop_assert_eq!(rest, body);
            let names: Vec<&str> = head
                .lines()
                .skip(1)
                .map(|line| line.split_once(": ").unwrap().0)
                .collect();
            let listed: BTreeSet<&str> = FIELDS
                .into_iter()
                .chain(PROXY_FIELDS.into_iter().filter(|_| trusted))
                .chain(["content-length", CLIENT_ADDRESS])
                .chain(trusted.then_some(FOREIGN_FIELD))
                .collect();
            prop_assert!(names.iter().all(|name| listed.contains(name)), "{}", head);
            for once in ["content-length", CLIENT_ADDRESS, "host"] {
                prop_assert_eq!(names.iter().filter(|name| **name == once).count(), 1);
            }
            let ours = format!("\r\ncontent-length: {length}\r\n{CLIENT_ADDRESS}: 192.0.2.1");
            prop_assert!(head.ends_with(&ours), "{}", head);
        }
    }
}
