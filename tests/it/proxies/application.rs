//! An application that has no login: it shows what it was sent.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use crate::harness::PATIENCE;

/// Listens until the test ends.
pub(crate) struct Application {
    pub(crate) address: SocketAddr,
}

/// What a server answers to the key that RFC 6455, section 1.3, takes for an example.
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

impl Application {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for socket in listener.incoming() {
                thread::spawn(move || drop(socket.map(answer)));
            }
        });
        Self { address }
    }
}

/// Answers one request with its head and the length of its body, as text; or takes up a WebSocket
/// and sends back what comes.
fn answer(socket: TcpStream) -> Option<()> {
    socket.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut reader = BufReader::new(socket.try_clone().ok()?);
    let mut socket = socket;
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let field = |name: &str| {
        head.lines().find_map(|line| {
            let (field, value) = line.split_once(": ")?;
            field.eq_ignore_ascii_case(name).then(|| value.to_owned())
        })
    };
    if field("upgrade").is_some() {
        let taken = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
        );
        socket.write_all(taken.as_bytes()).ok()?;
        let mut sent = [0; 64];
        let length = reader.read(&mut sent).ok()?;
        return socket.write_all(&sent[..length]).ok();
    }
    let length = if field("transfer-encoding").is_some() {
        read_chunks(&mut reader)?
    } else {
        let length = field("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        length
    };
    let text = format!("{head}body: {length}\n");
    let body = if head.starts_with("HEAD") { "" } else { &text };
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        text.len()
    );
    socket.write_all(answer.as_bytes()).ok()
}

fn read_chunks(reader: &mut BufReader<TcpStream>) -> Option<usize> {
    let mut total = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let length = usize::from_str_radix(line.trim(), 16).ok()?;
        let mut chunk = vec![0; length + 2];
        reader.read_exact(&mut chunk).ok()?;
        total += length;
        if length == 0 {
            return Some(total);
        }
    }
}
