//! A client that is made to be sent by the hundred: little work, no retries of its own, errors
//! instead of panics.

use std::io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::Ipv4Addr;

use crate::harness::{Server, Wire};

pub(super) struct Client {
    stream: BufReader<Wire>,
}

/// A form as a program sends it; `fields` are whole lines of the head.
pub(super) fn post(path: &str, fields: &str, form: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n{fields}\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    )
    .into_bytes()
}

impl Client {
    pub(super) fn connect(server: &Server, source: Ipv4Addr) -> io::Result<Self> {
        let wire = server.connect_over(server.try_socket_from(source)?);
        Ok(Self {
            stream: BufReader::new(wire),
        })
    }

    /// Sends a request on the connection there is, or a new one, and forgets it if it ends.
    /// Whatever comes of that: a crowd asks again.
    pub(super) fn insist(
        client: &mut Option<Self>,
        server: &Server,
        source: Ipv4Addr,
        request: &[u8],
    ) {
        let asked = match client {
            Some(client) => client.ask(request),
            None => Self::connect(server, source).and_then(|new| client.insert(new).ask(request)),
        };
        if asked.is_err() {
            *client = None;
        }
    }

    /// Fails the test unless there is an answer.
    pub(super) fn get(&mut self, path: &str, fields: &str) -> String {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n{fields}\r\n"
        );
        self.ask(request.as_bytes()).unwrap()
    }

    /// Sends a request and reads one answer, head and body.
    pub(super) fn ask(&mut self, request: &[u8]) -> io::Result<String> {
        // One that is refused before it is read to its end is answered all the same.
        let sent = self.stream.get_mut().write_all(request);
        let mut answer = String::new();
        let mut length = 0;
        loop {
            let begun = answer.len();
            if self.stream.read_line(&mut answer)? == 0 {
                return Err(sent.err().unwrap_or(ErrorKind::UnexpectedEof.into()));
            }
            match answer[begun..].trim_end().split_once(": ") {
                Some(("Content-Length", value)) => length = value.parse().unwrap_or(0),
                None if answer.ends_with("\r\n\r\n") => break,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        answer.push_str(&String::from_utf8_lossy(&body));
        Ok(answer)
    }
}
