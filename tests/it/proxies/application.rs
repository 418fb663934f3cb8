//! An application that has no login: it shows what it was sent, believes whatever its proxy passes
//! on, and speaks whatever it is asked to.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::harness::PATIENCE;

/// Listens until the test ends.
pub(crate) struct Application {
    pub(crate) address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

/// What a server answers to the key that RFC 6455, section 1.3, takes for an example.
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

impl Application {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::default();
        let kept = Arc::clone(&heads);
        thread::spawn(move || {
            for socket in listener.incoming() {
                let heads = Arc::clone(&kept);
                thread::spawn(move || socket.map(|socket| answer(socket, &heads)));
            }
        });
        Self { address, heads }
    }

    /// The heads of all requests since it was last asked.
    pub(crate) fn heads(&self) -> Vec<String> {
        std::mem::take(&mut *self.heads.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A request's head.
struct Head(String);

impl Head {
    fn read(reader: &mut BufReader<TcpStream>) -> Option<Self> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let mut line = Vec::new();
            if reader.read_until(b'\n', &mut line).ok()? == 0 {
                return None;
            }
            head.push_str(&String::from_utf8_lossy(&line));
        }
        Some(Self(head))
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.0.lines().find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    fn path(&self) -> &str {
        let target = self.0.split(' ').nth(1).unwrap_or_default();
        target.split('?').next().unwrap_or_default()
    }
}

/// Answers one request, with its head and what followed as text unless its path says otherwise.
fn answer(mut socket: TcpStream, heads: &Mutex<Vec<String>>) -> Option<()> {
    socket.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut reader = BufReader::new(socket.try_clone().ok()?);
    let head = Head::read(&mut reader)?;
    heads
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(head.0.clone());
    if let Some(protocol) = head.field("upgrade") {
        let taken = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: {protocol}\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
        );
        socket.write_all(taken.as_bytes()).ok()?;
        return echo(&mut reader, &mut socket);
    }
    if head.0.to_ascii_uppercase().starts_with("CONNECT") {
        socket.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok()?;
        return echo(&mut reader, &mut socket);
    }
    match head.path() {
        "/events" => return events(&mut reader, &mut socket),
        "/one-field" => {
            let fields = format!("X-Large: {}\r\n", "x".repeat(32 * 1024 - 16));
            return say(&mut socket, &fields, "large");
        }
        "/many-fields" => {
            let field = |at| format!("X-Large-{at:03}: {}\r\n", "x".repeat(314));
            let fields: String = (0..100).map(field).collect();
            return say(&mut socket, &fields, "large");
        }
        "/set-cookies" => return say(&mut socket, &set_cookies(), "set"),
        path => {
            if let Some(status) = path.strip_prefix("/own/") {
                let answer = format!("HTTP/1.1 {status} Own\r\nContent-Length: 3\r\n\r\nown");
                return socket.write_all(answer.as_bytes()).ok();
            }
        }
    }
    let (length, trailers) = if head.field("transfer-encoding").is_some() {
        read_chunks(&mut reader)?
    } else {
        let length = head
            .field("content-length")
            .map_or(0, |length| length.parse().unwrap());
        std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink()).ok()?;
        (length, String::new())
    };
    let text = format!("{}{trailers}body: {length}\n", head.0);
    let shown = if head.0.starts_with("HEAD") {
        ""
    } else {
        &text
    };
    let fields = format!(
        "Content-Type: text/plain\r\nContent-Length: {}\r\n",
        text.len()
    );
    let answer = format!("HTTP/1.1 200 OK\r\n{fields}Connection: close\r\n\r\n{shown}");
    socket.write_all(answer.as_bytes()).ok()
}

fn say(socket: &mut TcpStream, fields: &str, text: &str) -> Option<()> {
    let length = text.len();
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n{fields}\r\n{text}"
    );
    socket.write_all(answer.as_bytes()).ok()
}

/// What an application may set, and what is ours.
pub(crate) const OWN_COOKIES: [&str; 4] = [
    "theme=dark; Path=/; Secure",
    "a=__Secure-session=1; Path=/",
    "lang=de; Expires=Wed, 21 Oct 2099 07:28:00 GMT",
    "__Secure-sessions=1; Secure; Path=/",
];
pub(crate) const PLANTED_COOKIES: [&str; 7] = [
    "__Secure-session=evil; Domain=example.test; Path=/; Secure",
    "__Secure-session =evil; Secure; Path=/",
    "__Secure-session\t=evil; secure; Path=/",
    " \t__Secure-session=evil; Secure; Path=/a",
    "=__Secure-session=evil; Secure; Domain=example.test",
    "= __Secure-session=evil; Secure",
    "__Secure-session=evil; SECURE; Secure; SameSite=Lax",
];

fn set_cookies() -> String {
    let mut fields =
        String::from("Clear-Site-Data: \"cookies\"\r\nStrict-Transport-Security: max-age=0\r\n");
    for (at, own) in OWN_COOKIES.iter().enumerate() {
        fields.push_str(&format!("Set-Cookie: {own}\r\n"));
        for planted in PLANTED_COOKIES.iter().skip(at * 2).take(2) {
            fields.push_str(&format!("Set-Cookie:{planted}\r\n"));
        }
    }
    fields
}

/// Sends an event, and the next one only after a byte of the visitor's next request has come: who
/// holds the first back waits for ever.
fn events(reader: &mut BufReader<TcpStream>, socket: &mut TcpStream) -> Option<()> {
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    socket.write_all(head.as_bytes()).ok()?;
    socket.write_all(b"d\r\ndata: first\n\n\r\n").ok()?;
    // Until the proxy hangs up, as it does once the visitor has.
    socket
        .set_read_timeout(Some(Duration::from_secs(900)))
        .ok()?;
    reader.read_exact(&mut [0]).ok()
}

fn echo(reader: &mut BufReader<TcpStream>, socket: &mut TcpStream) -> Option<()> {
    let mut sent = [0; 64];
    let length = reader.read(&mut sent).ok()?;
    socket.write_all(&sent[..length]).ok()
}

/// Reads a body in chunks: its length, and the fields behind it.
fn read_chunks(reader: &mut BufReader<TcpStream>) -> Option<(u64, String)> {
    let mut total = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let length = u64::from_str_radix(line.trim(), 16).ok()?;
        if length == 0 {
            break;
        }
        std::io::copy(&mut reader.by_ref().take(length + 2), &mut std::io::sink()).ok()?;
        total += length;
    }
    let mut trailers = String::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            return Some((total, trailers));
        }
        trailers.push_str("trailer ");
        trailers.push_str(&line);
    }
}
