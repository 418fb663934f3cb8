//! The small server that shows the metrics: plain HTTP, one path, one answer for each connection.
//!
//! It shares nothing with the front, so what hangs here harms nobody there, and the other way round.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::memory;

/// Most connections at a time: a few that scrape, and some that hang. One more is closed at once.
pub const MOST_CONNECTIONS: usize = 16;

/// Bytes of a request's head: more than any that scrapes sends.
const MOST_HEAD: usize = 8 * 1024;

/// From the first byte until the head is complete, and until the answer is taken.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long whoever still sends may take to read the answer, and how many bytes of that are taken.
const LINGER: Duration = Duration::from_secs(1);
const MOST_LINGERED: usize = 64 * 1024;

/// The pause after a connection that could not be taken.
const PAUSE: Duration = Duration::from_millis(100);

/// Bytes of stack: the text is on the heap.
const STACK: usize = 128 * 1024;

/// The content of what scrapers ask for: version 0.0.4 of Prometheus's format.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

const PLAIN: &str = "text/plain; charset=utf-8";

/// What is shown.
pub type Text = Box<dyn Fn() -> String + Send + Sync>;

/// Opens the port, and gives its real address. Nobody is answered yet.
///
/// # Errors
///
/// If the port is taken, or this program may not use it.
pub fn listen(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Starts the thread that answers, which goes on until the process ends.
///
/// # Errors
///
/// If the system has no thread to give.
pub fn start(listener: TcpListener, text: Text) -> io::Result<()> {
    let scraped = Arc::new(Scraped {
        text,
        open: AtomicUsize::new(0),
    });
    let accept = move || loop {
        let taken = listener
            .accept()
            .and_then(|(stream, _)| scraped.take(stream));
        if taken.is_err() {
            // Descriptors or threads have run out, as the front says in the log.
            thread::sleep(PAUSE);
        }
    };
    thread::Builder::new()
        .name("metrics".to_owned())
        .stack_size(STACK)
        .spawn(accept)
        .map(drop)
}

struct Scraped {
    text: Text,
    open: AtomicUsize,
}

/// The place of a connection, given back when dropped.
struct Place(Arc<Scraped>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Scraped {
    /// Answers a connection in a thread of its own, or closes it if there are too many.
    fn take(self: &Arc<Self>, stream: TcpStream) -> io::Result<()> {
        let place = Place(Arc::clone(self));
        if self.open.fetch_add(1, Ordering::Relaxed) >= MOST_CONNECTIONS {
            return Ok(());
        }
        memory::allow_thread(STACK)?;
        thread::Builder::new()
            .name("scrape".to_owned())
            .stack_size(STACK)
            .spawn(move || {
                // Whoever has gone away needs no answer.
                let _ = place.0.answer(&stream);
            })
            .map(drop)
    }

    fn answer(&self, mut stream: &TcpStream) -> io::Result<()> {
        let end = Instant::now() + PATIENCE;
        let answer = match read_head(stream, end)? {
            Some(head) => self.answer_to(&head),
            None => refusal("400 Bad Request", "", true),
        };
        write_all(stream, answer.as_bytes(), Instant::now() + PATIENCE)?;
        stream.shutdown(Shutdown::Write)?;
        // Closing with unread bytes would send a reset, which can overtake the answer.
        let end = Instant::now() + LINGER;
        let mut dropped = 0;
        let mut bytes = [0; 1024];
        while dropped < MOST_LINGERED {
            stream.set_read_timeout(Some(left(end)?))?;
            match stream.read(&mut bytes)? {
                0 => break,
                count => dropped += count,
            }
        }
        Ok(())
    }

    fn answer_to(&self, head: &[u8]) -> String {
        let mut fields = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut fields);
        let (Ok(_), Some(method), Some(target)) =
            (request.parse(head), request.method, request.path)
        else {
            return refusal("400 Bad Request", "", true);
        };
        let with_body = method != "HEAD";
        let path = target.split('?').next().unwrap_or_default();
        match (method, path) {
            ("GET" | "HEAD", "/metrics") => {
                framed("200 OK", "", METRICS, &(self.text)(), with_body)
            }
            (_, "/metrics") => {
                let allow = "Allow: GET, HEAD\r\n";
                refusal("405 Method Not Allowed", allow, with_body)
            }
            _ => refusal("404 Not Found", "", with_body),
        }
    }
}

/// The bytes up to the end of the head; `None` if they are too many.
fn read_head(mut stream: &TcpStream, end: Instant) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    let mut bytes = [0; 1024];
    loop {
        stream.set_read_timeout(Some(left(end)?))?;
        let count = match stream.read(&mut bytes) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let before = head.len().saturating_sub(3);
        head.extend_from_slice(&bytes[..count]);
        if head[before..].windows(4).any(|four| four == b"\r\n\r\n") {
            return Ok(Some(head));
        }
        if head.len() > MOST_HEAD {
            return Ok(None);
        }
    }
}

fn write_all(mut stream: &TcpStream, mut bytes: &[u8], end: Instant) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.set_write_timeout(Some(left(end)?))?;
        match stream.write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The time that is left, which no byte extends.
fn left(end: Instant) -> io::Result<Duration> {
    let left = end.saturating_duration_since(Instant::now());
    // Zero would mean no timeout at all.
    match left.is_zero() {
        true => Err(ErrorKind::TimedOut.into()),
        false => Ok(left),
    }
}

fn refusal(status: &str, fields: &str, with_body: bool) -> String {
    let reason = status.split_once(' ').map_or("", |(_, reason)| reason);
    framed(status, fields, PLAIN, &format!("{reason}\n"), with_body)
}

fn framed(status: &str, fields: &str, content: &str, body: &str, with_body: bool) -> String {
    let length = body.len();
    let body = if with_body { body } else { "" };
    format!(
        "HTTP/1.1 {status}\r\n{fields}Content-Type: {content}\r\nContent-Length: {length}\r\n\
         Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n\
         {body}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serve() -> SocketAddr {
        let (listener, address) = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        start(listener, Box::new(|| "what is counted\n".to_owned())).unwrap();
        address
    }

    fn connect(address: SocketAddr) -> TcpStream {
        let stream = TcpStream::connect(address).unwrap();
        // A test that hangs should fail instead.
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        stream
    }

    fn read(mut stream: TcpStream) -> String {
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = connect(address);
        stream.write_all(request.as_bytes()).unwrap();
        read(stream)
    }

    #[test]
    fn there_is_one_path_and_two_methods() {
        let address = serve();

        for (request, status, body) in [
            ("GET /metrics", "200", "what is counted\n"),
            ("GET /metrics?x=y", "200", "what is counted\n"),
            ("HEAD /metrics", "200", ""),
            ("POST /metrics", "405", "Method Not Allowed\n"),
            ("GET /", "404", "Not Found\n"),
            ("GET /metrics/", "404", "Not Found\n"),
            ("HEAD /login", "404", ""),
            ("GET", "400", "Bad Request\n"),
        ] {
            let answer = ask(address, &format!("{request} HTTP/1.1\r\nHost: h\r\n\r\n"));
            let (head, told) = answer.split_once("\r\n\r\n").unwrap();
            assert!(
                head.starts_with(&format!("HTTP/1.1 {status} ")),
                "{request}: {head}"
            );
            assert_eq!(told, body, "{request}");
            assert_eq!(
                head.contains("\r\nAllow: GET, HEAD\r\n"),
                status == "405",
                "{head}"
            );
            let is_shown = head.contains(&format!("\r\nContent-Type: {METRICS}\r\n"));
            assert_eq!(is_shown, status == "200", "{head}");
        }
        let long = format!("GET /metrics HTTP/1.1\r\nX: {}", "x".repeat(MOST_HEAD));
        assert!(ask(address, &long).starts_with("HTTP/1.1 400 "));
    }

    #[test]
    fn one_too_many_is_closed_and_a_place_that_is_given_back_is_taken_again() {
        let address = serve();
        let mut hanging: Vec<TcpStream> = (0..MOST_CONNECTIONS).map(|_| connect(address)).collect();

        assert_eq!(read(connect(address)), "");

        hanging.pop();
        let begun = Instant::now();
        let request = "GET /metrics HTTP/1.1\r\n\r\n";
        let answered = || {
            let mut stream = connect(address);
            let mut text = String::new();
            let sent = stream.write_all(request.as_bytes());
            // A connection that was closed at once may be reset.
            let _ = sent.and_then(|()| stream.read_to_string(&mut text));
            text.starts_with("HTTP/1.1 200 ")
        };
        while !answered() {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "no place came back"
            );
        }
    }
}
