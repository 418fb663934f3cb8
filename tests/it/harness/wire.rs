//! Requests and answers byte by byte.

use std::io::Read as _;
use std::net::TcpStream;

use rustls::{ClientConnection, StreamOwned};

/// A connection of bytes, with or without TLS.
pub(crate) enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Wire {
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        use std::io::Write as _;
        // The server may have refused and closed already; what it said is still to be read.
        let _ = match self {
            Self::Plain(socket) => socket.write_all(bytes),
            Self::Tls(stream) => stream.write_all(bytes),
        };
    }

    /// All that comes until the server closes.
    pub(crate) fn read_to_end(&mut self) -> String {
        let mut bytes = Vec::new();
        // A close without the TLS farewell ends it too.
        let _ = match self {
            Self::Plain(socket) => socket.read_to_end(&mut bytes),
            Self::Tls(stream) => stream.read_to_end(&mut bytes),
        };
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Reads one answer, by its Content-Length; the connection may stay open.
    pub(crate) fn read_answer(&mut self) -> String {
        let head = self.read_head();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "))
            .map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        self.read_exact(&mut body);
        head + &String::from_utf8(body).unwrap()
    }

    /// Reads status line and fields, and nothing after the empty line.
    pub(crate) fn read_head(&mut self) -> String {
        let mut bytes = Vec::new();
        let mut byte = [0];
        while !bytes.ends_with(b"\r\n\r\n") {
            self.read_exact(&mut byte);
            bytes.push(byte[0]);
        }
        String::from_utf8(bytes).unwrap()
    }

    fn read_exact(&mut self, bytes: &mut [u8]) {
        match self {
            Self::Plain(socket) => socket.read_exact(bytes).unwrap(),
            Self::Tls(stream) => stream.read_exact(bytes).unwrap(),
        }
    }
}
