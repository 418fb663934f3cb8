//! A request and a response as the rest of the program sees them: complete, bounded, no socket.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::OnceLock;

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::clock::Moment;
use crate::fields::{Fields, TooMany};

/// The field in which `front` tells the rest of the program the client's address. Never passed on
/// from a client.
pub const CLIENT_ADDRESS: &str = "auth-user-client";

/// The field in which `front` tells the rest of the program why a proxy's question carries a field
/// that only the proxy itself may set. Never passed on from anyone.
pub const FOREIGN_FIELD: &str = "auth-user-foreign";

/// A request as `front` passed it on: its framing was checked and its size bounded there.
///
/// No `Debug`: the body may hold a password, the cookies a session.
pub struct Request {
    pub method: Method,
    /// The path as sent, without the query; not percent-decoded.
    pub path: String,
    /// The query as sent, without the `?`; empty if there is none.
    pub query: String,
    /// Names, in lower case, and values, in the order they came.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The body's fields, decoded at the first use.
    pub fields: OnceLock<Result<Fields, TooMany>>,
    /// The client's address, seen through trusted proxies; an IPv4-mapped one as IPv4.
    pub client: IpAddr,
    pub received: Moment,
}

/// Bytes that hold the head of most responses.
const HEAD: usize = 1024;

/// The methods that the site tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
    Other,
    Post,
}

impl Method {
    /// Methods are case-sensitive (RFC 9110, section 9.1).
    pub fn parse(name: &str) -> Self {
        match name {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            _ => Self::Other,
        }
    }
}

impl Request {
    /// The first field of this name, given in lower case. `_` and `-` are different characters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(field, _)| field == name)
            .map(|(_, value)| value.as_str())
    }

    /// The fields of the body, which are decoded at the first call.
    ///
    /// # Errors
    ///
    /// [`TooMany`].
    pub fn body_fields(&self) -> Result<&Fields, TooMany> {
        let fields = self.fields.get_or_init(|| Fields::parse(&self.body));
        fields.as_ref().map_err(|too_many| *too_many)
    }

    /// Whether the client's `Accept` names one of these media types or ranges. A client that sends
    /// none accepts none of them.
    pub fn accepts_any(&self, names: &[&str]) -> bool {
        let accept = self.header("accept").unwrap_or_default();
        names.iter().any(|name| quality(accept, name) > 0.0)
    }

    /// The field of this name; `None` if it is missing or came more than once.
    pub fn only(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(field, _)| field == name);
        let (_, value) = values.next()?;
        values.next().is_none().then_some(value)
    }

    /// The cookie of this name; `None` if it is missing or came more than once, since then one was
    /// planted.
    pub fn cookie(&self, name: &'static str) -> Option<&str> {
        let mut values = self.cookies(name);
        let value = values.next()?;
        values.next().is_none().then_some(value)
    }

    /// All cookies of this name, whoever set them.
    pub fn cookies<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(|(field, _)| field == "cookie")
            .flat_map(|(_, value)| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(move |(field, _)| *field == name)
            .map(|(_, value)| value)
    }
}

/// A response before it is framed: `front` adds what concerns the connection.
///
/// No `Debug`: it may hold recovery codes and cookies.
pub struct Response {
    pub status: u16,
    /// All fields except `Content-Length`, `Date` and `Connection`.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    /// Fields whose values go on byte by byte as they came, which may be no text.
    pub passed_on: Vec<(&'static str, Vec<u8>)>,
    pub body: Vec<u8>,
}

impl Response {
    /// The response as HTTP/1.1, complete except for `Connection`. `wall` is the time for `Date`,
    /// in seconds since 1970. A response to HEAD has no body but the `Content-Length` of the GET
    /// (RFC 9110, section 9.3.2).
    pub fn to_bytes(&self, wall: u64, with_body: bool) -> Vec<u8> {
        let body = if with_body { &self.body[..] } else { &[] };
        // Room for the body too, or adding it would copy everything once more.
        let mut head = String::with_capacity(HEAD + body.len());
        let _ = write!(head, "HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            debug_assert!(
                !value.contains(['\r', '\n', '\0']),
                "{name} would split the response"
            );
            let _ = write!(head, "{name}: {value}\r\n");
        }
        let _ = write!(head, "Date: {}\r\n", date(wall));
        let mut bytes = head.into_bytes();
        for (name, value) in &self.passed_on {
            debug_assert!(!value.iter().any(|byte| b"\r\n\0".contains(byte)));
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", self.body.len()).as_bytes());
        bytes.extend_from_slice(body);
        bytes
    }
}

/// The weight that an `Accept` field gives a media type or range (RFC 9110, section 12.4.2); zero
/// if it does not name it.
pub fn quality(accept: &str, name: &str) -> f32 {
    accept
        .split(',')
        .filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let named = parts.next()?.eq_ignore_ascii_case(name);
            let quality = parts.find_map(|part| part.strip_prefix("q="));
            named.then(|| quality.map_or(1.0, |q| q.parse().unwrap_or(0.0)))
        })
        .fold(0.0_f32, f32::max)
}

/// IMF-fixdate (RFC 9110, section 5.6.7).
fn date(wall: u64) -> String {
    const FORMAT: &[BorrowedFormatItem<'_>] = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    i64::try_from(wall)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .and_then(|moment| moment.format(FORMAT).ok())
        .unwrap_or_else(|| "Thu, 01 Jan 1970 00:00:00 GMT".to_owned())
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        302 => "Found",
        303 => "See Other",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
impl Request {
    /// One in which this field is there as often as it has values.
    pub fn with(field: &str, values: &[&str]) -> Self {
        let headers = values
            .iter()
            .map(|value| (field.to_owned(), (*value).to_owned()));
        Self {
            method: Method::Get,
            path: "/".to_owned(),
            query: String::new(),
            headers: headers.collect(),
            body: Vec::new(),
            fields: OnceLock::new(),
            client: std::net::Ipv4Addr::LOCALHOST.into(),
            received: Moment {
                wall: 0,
                steady: std::time::Duration::ZERO,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn with_cookies(values: &[&str]) -> Request {
        Request::with("cookie", values)
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let request = with_cookies(&["a=1; __Host-session=xyz; b=2"]);
        assert_eq!(request.cookie("__Host-session"), Some("xyz"));
        assert_eq!(request.cookie("session"), None);
    }

    #[test]
    fn two_cookies_of_one_name_count_as_none() {
        assert_eq!(with_cookies(&["s=1; s=2"]).cookie("s"), None);
        assert_eq!(with_cookies(&["s=1", "s=1"]).cookie("s"), None);
    }

    #[test]
    fn a_response_is_framed_with_its_length_and_date() {
        let response = Response {
            status: 200,
            headers: vec![("A", "b".into())],
            passed_on: Vec::new(),
            body: b"hi".to_vec(),
        };
        let head = "HTTP/1.1 200 OK\r\nA: b\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 2\r\n\r\n";
        assert_eq!(
            response.to_bytes(784_111_777, true),
            format!("{head}hi").into_bytes()
        );
        assert_eq!(response.to_bytes(784_111_777, false), head.as_bytes());
    }

    proptest! {
        /// However the pairs are spread over fields and whatever separates them, a cookie that came
        /// once is found and one that came twice is not.
        #[test]
        fn a_cookie_is_found_if_it_came_once(
            values in prop::collection::vec(
                prop::collection::vec("(s|t|ss| s|S|\\$s|)=?[a-z=\"]{0,3}", 0..4),
                0..3,
            ),
            glue in prop::sample::select(vec!["; ", ";", " ;\t", ";;"]),
        ) {
            let fields: Vec<String> = values.iter().map(|pairs| pairs.join(glue)).collect();
            let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
            let sent: Vec<&str> = values
                .iter()
                .flatten()
                .filter_map(|pair| pair.trim().strip_prefix("s="))
                .collect();

            let request = with_cookies(&fields);

            let expected = if let [value] = sent[..] { Some(value) } else { None };
            prop_assert_eq!(request.cookie("s"), expected);
        }
    }
}
