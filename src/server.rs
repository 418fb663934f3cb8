//! Between tiny_http and the handlers: turns what tiny_http received into a request, and what the
//! handlers return into bytes, even if one of them panics.
//!
//! What tiny_http reads was composed by `front` and nobody else, so it is bounded and complete. The
//! thread that receives a request also answers it; the answer does not go through tiny_http.

use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::time::Duration;

use crate::clock::{Clock, Moment};
use crate::http::{CLIENT_ADDRESS, Method, Request, Response};

/// How many characters of a path the log shows.
const SHOWN_PATH: usize = 200;

/// What answers requests.
pub struct Service {
    /// Answers a request; may panic.
    pub answer: Box<dyn Fn(&Request) -> Response + Send + Sync>,
    /// The answer to a request whose handling panicked.
    pub failed: Box<dyn Fn(&Request) -> Response + Send + Sync>,
}

impl Service {
    /// The answer as it goes over the wire.
    ///
    /// Going on after a panic is safe: what the handlers share is behind locks that recover from it
    /// (no lock stays poisoned).
    pub fn answer(&self, request: &Request) -> Vec<u8> {
        let attempt = |answer: &dyn Fn(&Request) -> Response| {
            catch_unwind(AssertUnwindSafe(|| answer(request)))
        };
        let response = attempt(&self.answer).unwrap_or_else(|_| {
            tracing::error!(path = shown(&request.path), "a handler panicked");
            attempt(&self.failed).unwrap_or_else(|_| bare_failure())
        });
        response.to_bytes(request.received.wall, request.method != Method::Head)
    }
}

fn bare_failure() -> Response {
    Response {
        status: 500,
        headers: Vec::new(),
        passed_on: Vec::new(),
        body: Vec::new(),
    }
}

/// A stranger chose the path: it is cut here, and quoted and escaped by the log's format.
fn shown(path: &str) -> String {
    path.chars().take(SHOWN_PATH).collect()
}

/// Receives the request that was just written, whole, to the one connection of `server`. When this
/// returns, the connection is free for the next one.
///
/// # Errors
///
/// If no request arrives within `patience`, or one arrives that `front` did not compose, which
/// cannot happen while the socket is private. After an error, nothing more can be received from
/// this server.
pub fn receive(
    server: &tiny_http::Server,
    patience: Duration,
    clock: &Clock,
) -> io::Result<Request> {
    let raw = server.recv_timeout(patience)?;
    let mut raw = raw.ok_or(ErrorKind::TimedOut)?;
    let request = read(&mut raw, clock.now());
    // If the request were simply dropped, tiny_http would send an answer of its own.
    drop(raw.into_writer());
    request
}

fn read(raw: &mut tiny_http::Request, received: Moment) -> io::Result<Request> {
    let mut body = Vec::with_capacity(raw.body_length().unwrap_or(0));
    raw.as_reader().read_to_end(&mut body)?;
    let mut headers: Vec<(String, String)> = raw
        .headers()
        .iter()
        .map(|header| {
            let name = header.field.as_str().as_str().to_ascii_lowercase();
            (name, header.value.as_str().to_owned())
        })
        .collect();
    let client: IpAddr = headers
        .iter()
        .find(|(name, _)| name == CLIENT_ADDRESS)
        .and_then(|(_, value)| value.parse().ok())
        .ok_or(ErrorKind::InvalidData)?;
    headers.retain(|(name, _)| name != CLIENT_ADDRESS);
    let (path, query) = raw.url().split_once('?').unwrap_or((raw.url(), ""));
    Ok(Request {
        method: Method::parse(raw.method().as_str()),
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body,
        fields: OnceLock::new(),
        client,
        received,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::front::relay::Relay;

    fn text(status: u16, body: &str) -> Response {
        Response {
            status,
            headers: Vec::new(),
            passed_on: Vec::new(),
            body: body.as_bytes().to_vec(),
        }
    }

    fn received(request: &str) -> Request {
        let relay = Relay::open(1).unwrap();
        let request = relay.carry(request.as_bytes(), &Clock::start());
        request.unwrap_or_else(|_| panic!("it did not arrive"))
    }

    #[test]
    fn a_request_arrives_with_all_its_parts() {
        let head = "POST /p%20?q?r HTTP/1.1\r\nCookie: a=b\r\nContent-Length: 2000\r\n\
            Auth-User-Client: 2001:db8::1\r\n\r\n";
        let request = received(&format!("{head}{}", "x".repeat(2000)));
        let fields = [("cookie", "a=b"), ("content-length", "2000")];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(request.headers, fields);
        assert_eq!(request.method, Method::Post);
        assert_eq!((&*request.path, &*request.query), ("/p%20", "q?r"));
        assert_eq!(request.client.to_string(), "2001:db8::1");
        assert_eq!(request.body, [b'x'; 2000]);
    }

    #[test]
    fn even_a_panic_about_a_panic_costs_one_request() {
        let service = Service {
            answer: Box::new(|request| {
                assert_ne!(request.path, "/panic", "as asked");
                text(200, "fine")
            }),
            failed: Box::new(|_| panic!("as asked")),
        };
        let answer = |path: &str| {
            let request = format!("GET {path} HTTP/1.1\r\nauth-user-client: ::1\r\n\r\n");
            String::from_utf8(service.answer(&received(&request))).unwrap()
        };
        assert!(answer("/panic").starts_with("HTTP/1.1 500 "));
        assert!(answer("/").ends_with("fine"));
    }
}
