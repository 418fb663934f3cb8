//! The head of a request: request line and fields, checked so that nobody can read them in another
//! way.
//!
//! `lines` has already refused control bytes, bare CR and LF, and what is too long; httparse reads
//! the syntax; what must hold beyond it (RFC 9110 and 9112) is checked here.

use std::net::Ipv6Addr;

use crate::front::body::MAX_BODY;
use crate::rejection::Rejection;

/// The most fields that anybody may send.
pub const MAX_FIELDS: usize = 250;

/// Fields that must not be repeated: nobody could tell which of two is meant.
const SINGLE: [&str; 5] = [
    "content-length",
    "content-type",
    "host",
    "origin",
    "sec-fetch-site",
];

/// A head that can be read in one way only.
///
/// No `Debug`: fields and target may hold secrets.
#[derive(Clone, PartialEq)]
pub struct Head {
    pub method: String,
    /// `/path?query`, or `*`; printable ASCII. The absolute form is reduced to this.
    pub target: String,
    /// Names in lower case, in the order they came; values as sent, without space around them.
    pub fields: Vec<(String, Vec<u8>)>,
    pub framing: Framing,
    pub version: Version,
    pub keep_alive: bool,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
}

/// How the end of the body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Chunked,
    /// At most [`MAX_BODY`]; 0 without a `Content-Length`.
    Length(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    Http10,
    Http11,
}

/// Reads a whole head, the empty line included, with at most `most_fields` fields.
pub fn parse(bytes: &[u8], most_fields: usize) -> Result<Head, Rejection> {
    let version = version(bytes)?;

    let mut slots = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let slots = slots.get_mut(..most_fields).unwrap_or_default();
    let mut parsed = httparse::Request::new(slots);
    match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(end)) if end == bytes.len() => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Rejection::HeadTooLarge),
        Err(httparse::Error::HeaderName) => return Err(Rejection::Malformed("a bad field name")),
        _ => return Err(Rejection::Malformed("not a request head")),
    }
    let (Some(method), Some(target)) = (parsed.method, parsed.path) else {
        return Err(Rejection::Malformed("not a request line"));
    };
    let mut fields: Vec<(String, Vec<u8>)> = parsed
        .headers
        .iter()
        .map(|field| (field.name.to_ascii_lowercase(), field.value.to_vec()))
        .collect();

    if let Some(name) = SINGLE
        .into_iter()
        .find(|name| values(&fields, name).count() > 1)
    {
        return Err(Rejection::Malformed(match name {
            "host" => "more than one Host",
            "content-length" => "more than one Content-Length",
            _ => "a field that must not be repeated",
        }));
    }
    check_host(&fields, version)?;
    let target = reduce_target(method, target, &mut fields)?;
    let framing = framing(&fields, version)?;
    Ok(Head {
        method: method.to_owned(),
        target,
        framing,
        version,
        keep_alive: keeps_alive(&fields, version),
        expects_continue: expects_continue(&fields, version)?,
        fields,
    })
}

impl Head {
    /// The values of all fields of this name, given in lower case.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        values(&self.fields, name)
    }
}

fn values<'a>(fields: &'a [(String, Vec<u8>)], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    fields
        .iter()
        .filter(move |(field, _)| field == name)
        .map(|(_, value)| value.as_slice())
}

/// The members of a list that may be spread over several fields, without space around them.
fn members<'a>(fields: &'a [(String, Vec<u8>)], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    values(fields, name)
        .flat_map(|value| value.split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
}

/// Reads the version before anything else, so that HTTP/2 gets an answer that it understands. The
/// line must be three words with single spaces.
fn version(bytes: &[u8]) -> Result<Version, Rejection> {
    let line = bytes.split(|&byte| byte == b'\r').next().unwrap_or(bytes);
    let words: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    match words[..] {
        [method, target, version] if !method.is_empty() && !target.is_empty() => match version {
            b"HTTP/1.1" => Ok(Version::Http11),
            b"HTTP/1.0" => Ok(Version::Http10),
            [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
                Err(Rejection::UnknownVersion)
            }
            _ => Err(Rejection::Malformed("not an HTTP version")),
        },
        _ => Err(Rejection::Malformed("not a request line")),
    }
}

/// RFC 9112, section 3.2: HTTP/1.1 needs exactly one valid Host. Repeated ones have been refused
/// before this.
fn check_host(fields: &[(String, Vec<u8>)], version: Version) -> Result<(), Rejection> {
    match values(fields, "host").next() {
        Some(host) if is_authority(host) => Ok(()),
        Some(_) => Err(Rejection::Malformed("a bad Host")),
        None if version == Version::Http10 => Ok(()),
        None => Err(Rejection::Malformed("no Host")),
    }
}

/// Whether this is `host[:port]` (RFC 3986, section 3.2), without user information, and not empty.
fn is_authority(bytes: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(bytes) else {
        return false;
    };
    let (host, rest) = match text.strip_prefix('[') {
        Some(literal) => {
            let Some((address, rest)) = literal.split_once(']') else {
                return false;
            };
            if address.parse::<Ipv6Addr>().is_err() {
                return false;
            }
            ("literal", rest)
        }
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    is_registered_name(host.as_bytes()) && (rest.is_empty() || is_port(rest))
}

/// Whether this is `:` and a port; RFC 3986, section 3.2.3, lets the number be missing.
fn is_port(text: &str) -> bool {
    text.strip_prefix(':').is_some_and(|port| {
        port.bytes().all(|byte| byte.is_ascii_digit())
            && (port.is_empty() || port.parse::<u16>().is_ok())
    })
}

fn is_registered_name(mut bytes: &[u8]) -> bool {
    let not_empty = !bytes.is_empty();
    while let Some((&byte, rest)) = bytes.split_first() {
        bytes = match (byte, rest) {
            (b'%', [high, low, rest @ ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                rest
            }
            (b'%', _) => return false,
            _ if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte) => rest,
            _ => return false,
        };
    }
    not_empty
}

/// The target as origin form or `*`. An absolute one takes the place of the Host field (RFC 9112,
/// section 3.2.2).
fn reduce_target(
    method: &str,
    target: &str,
    fields: &mut [(String, Vec<u8>)],
) -> Result<String, Rejection> {
    if method == "CONNECT" {
        return Err(Rejection::UnknownMethod);
    }
    let bad = Rejection::Malformed("a bad target");
    // A fragment is never sent (RFC 9112, section 3.2); some readers would cut it off, others not.
    if !target
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'#')
    {
        return Err(bad);
    }
    if target.starts_with('/') || (target == "*" && method == "OPTIONS") {
        return Ok(target.to_owned());
    }

    let (scheme, rest) = target.split_once("://").ok_or(bad)?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(bad);
    }
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if !is_authority(authority.as_bytes()) {
        return Err(bad);
    }
    if let Some((_, host)) = fields.iter_mut().find(|(name, _)| name == "host") {
        *host = authority.as_bytes().to_vec();
    }
    Ok(if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/{path}")
    })
}

/// RFC 9112, section 6; wherever it leaves a choice, this refuses.
fn framing(fields: &[(String, Vec<u8>)], version: Version) -> Result<Framing, Rejection> {
    let codings = values(fields, "transfer-encoding").count();
    let length = values(fields, "content-length").next();
    match (codings, length) {
        (0, None) => Ok(Framing::Length(0)),
        (0, Some(length)) => body_length(length).map(Framing::Length),
        (_, Some(_)) => Err(Rejection::Malformed("Content-Length and Transfer-Encoding")),
        _ if version == Version::Http10 => {
            Err(Rejection::Malformed("Transfer-Encoding on HTTP/1.0"))
        }
        (1, None) => check_codings(fields).map(|()| Framing::Chunked),
        _ => Err(Rejection::Malformed("more than one Transfer-Encoding")),
    }
}

fn body_length(value: &[u8]) -> Result<usize, Rejection> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(Rejection::Malformed("a bad Content-Length"));
    }
    str::from_utf8(value)
        .ok()
        .and_then(|digits| digits.parse().ok())
        .filter(|&length| length <= MAX_BODY)
        .ok_or(Rejection::BodyTooLarge)
}

/// Accepts exactly `chunked`. Other codings before a final `chunked` are refused as unknown,
/// anything else as malformed.
fn check_codings(fields: &[(String, Vec<u8>)]) -> Result<(), Rejection> {
    let codings: Vec<&[u8]> = members(fields, "transfer-encoding").collect();
    let chunked = |coding: &&[u8]| coding.eq_ignore_ascii_case(b"chunked");
    match codings.split_last() {
        Some((last, [])) if chunked(last) => Ok(()),
        Some((last, before))
            if chunked(last) && !before.iter().any(|c| c.is_empty() || chunked(c)) =>
        {
            Err(Rejection::UnknownCoding)
        }
        _ => Err(Rejection::Malformed("a bad Transfer-Encoding")),
    }
}

fn keeps_alive(fields: &[(String, Vec<u8>)], version: Version) -> bool {
    let says = |option: &[u8]| {
        members(fields, "connection").any(|member| member.eq_ignore_ascii_case(option))
    };
    !says(b"close") && (version == Version::Http11 || says(b"keep-alive"))
}

/// An expectation on HTTP/1.0 is ignored (RFC 9110, section 10.1.1).
fn expects_continue(fields: &[(String, Vec<u8>)], version: Version) -> Result<bool, Rejection> {
    if version == Version::Http10 {
        return Ok(false);
    }
    let mut expectations = values(fields, "expect").peekable();
    let expected = expectations.peek().is_some();
    if expectations.all(|value| value.eq_ignore_ascii_case(b"100-continue")) {
        Ok(expected)
    } else {
        Err(Rejection::ExpectationFailed)
    }
}
