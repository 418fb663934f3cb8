//! Requests and answers byte by byte.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use rustls::{ClientConnection, StreamOwned};

/// A connection of bytes, with or without TLS.
pub(crate) enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Wire {
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        // The server may have refused and closed already; what it said is still to be read.
        let _ = self.write_all(bytes);
    }

    /// All that comes until the server closes.
    pub(crate) fn read_to_end(&mut self) -> String {
        let mut bytes = Vec::new();
        // A close without the TLS farewell ends it too.
        let _ = Read::read_to_end(self, &mut bytes);
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
        self.read_exact(&mut body).unwrap();
        head + &String::from_utf8(body).unwrap()
    }

    /// Reads status line and fields, and nothing after the empty line.
    pub(crate) fn read_head(&mut self) -> String {
        let mut bytes = Vec::new();
        let mut byte = [0];
        while !bytes.ends_with(b"\r\n\r\n") {
            self.read_exact(&mut byte).unwrap();
            bytes.push(byte[0]);
        }
        String::from_utf8(bytes).unwrap()
    }
}

impl Read for Wire {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(bytes),
            Self::Tls(stream) => stream.read(bytes),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
