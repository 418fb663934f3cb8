//! The tiny_http loop: a bounded pool of threads, each of which takes a request, has it answered
//! and writes the answer back to `front` in one piece.
//!
//! What tiny_http reads was composed by `front`: bounded, complete, and from nobody else.

use std::io::{self, Write};
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use crate::clock::Clock;
use crate::http::{CLIENT_ADDRESS, Method, Request, Response};

/// Handlers parse small forms and fill pages; hashing has threads of its own.
const STACK: usize = 512 * 1024;
/// What the log shows of a path at most.
const SHOWN_PATH: usize = 200;

/// What answers requests.
pub struct Site {
    pub answer: Box<dyn Fn(&Request) -> Response + Send + Sync>,
    /// The answer to a request whose handling panicked.
    pub failed: Box<dyn Fn(&Request) -> Response + Send + Sync>,
}

/// The running pool.
pub struct Workers {
    servers: Vec<Source>,
    stopping: Arc<AtomicBool>,
    /// Disconnected once the last worker has ended.
    ended: Receiver<()>,
}

/// Where requests come from: a tiny_http server, which lives as long as the process, and how many
/// it can have under way at once.
pub type Source = (&'static tiny_http::Server, usize);

/// Starts the threads that answer what these servers receive, as many for each as it can have
/// requests.
///
/// # Errors
///
/// When the system has no room for the threads; those already started end.
pub fn start(servers: Vec<Source>, site: &Arc<Site>, clock: &Arc<Clock>) -> io::Result<Workers> {
    let (alive, ended) = channel();
    let workers = Workers {
        servers,
        stopping: Arc::default(),
        ended,
    };
    for (server, count) in &workers.servers {
        for _ in 0..*count {
            let worker = Worker {
                server,
                site: Arc::clone(site),
                clock: Arc::clone(clock),
                stopping: Arc::clone(&workers.stopping),
                _alive: alive.clone(),
            };
            let started = thread::Builder::new()
                .name("worker".to_owned())
                .stack_size(STACK)
                .spawn(move || worker.run());
            if let Err(error) = started {
                workers.tell_to_stop();
                return Err(error);
            }
        }
    }
    Ok(workers)
}

impl Workers {
    /// Lets requests under way finish for at most `patience`. False if one did not.
    pub fn stop(self, patience: Duration) -> bool {
        self.tell_to_stop();
        // Nobody ever sends: the channel only tells when all have hung up.
        self.ended.recv_timeout(patience) == Err(RecvTimeoutError::Disconnected)
    }

    fn tell_to_stop(&self) {
        self.stopping.store(true, Ordering::Release);
        for (server, count) in &self.servers {
            for _ in 0..*count {
                server.unblock();
            }
        }
    }
}

struct Worker {
    server: &'static tiny_http::Server,
    site: Arc<Site>,
    clock: Arc<Clock>,
    stopping: Arc<AtomicBool>,
    _alive: Sender<()>,
}

impl Worker {
    fn run(&self) {
        while !self.stopping.load(Ordering::Acquire) {
            match self.server.recv() {
                Ok(request) => self.serve(request),
                Err(_) if self.stopping.load(Ordering::Acquire) => {}
                // Only its accept loop reports errors, and all connections are open by now.
                Err(error) => tracing::error!(%error, "tiny_http"),
            }
        }
    }

    fn serve(&self, mut raw: tiny_http::Request) {
        let request = read(&mut raw, &self.clock);
        // Taken before anything can panic: tiny_http would answer in its own words.
        let writer = raw.into_writer();
        let bytes = match request {
            Some(request) => {
                let with_body = request.method != Method::Head;
                self.answer(&request)
                    .to_bytes(request.received.wall, with_body)
            }
            None => {
                tracing::error!("a request without its body or its client's address");
                bare_failure().to_bytes(self.clock.now().wall, true)
            }
        };
        if let Err(error) = send(writer, &bytes) {
            tracing::error!(%error, "cannot hand an answer back");
        }
    }

    /// What the site guards with locks recovers from a panic by itself (no lock stays poisoned).
    fn answer(&self, request: &Request) -> Response {
        catch_unwind(AssertUnwindSafe(|| (self.site.answer)(request))).unwrap_or_else(|_| {
            tracing::error!(path = shown(&request.path), "a handler panicked");
            catch_unwind(AssertUnwindSafe(|| (self.site.failed)(request)))
                .unwrap_or_else(|_| bare_failure())
        })
    }
}

fn bare_failure() -> Response {
    Response {
        status: 500,
        headers: Vec::new(),
        body: Vec::new(),
    }
}

/// A stranger chose the path: it is cut here, and quoted and escaped by the log's format.
fn shown(path: &str) -> String {
    path.chars().take(SHOWN_PATH).collect()
}

/// One write for length and answer: two would wake the front twice.
fn send(mut writer: Box<dyn Write + Send>, answer: &[u8]) -> io::Result<()> {
    let length = u32::try_from(answer.len()).map_err(io::Error::other)?;
    let mut bytes = Vec::with_capacity(answer.len() + 4);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(answer);
    writer.write_all(&bytes)?;
    writer.flush()
}

/// None if `front` did not compose it, which cannot happen while the socket is private.
fn read(raw: &mut tiny_http::Request, clock: &Clock) -> Option<Request> {
    let mut body = Vec::with_capacity(raw.body_length().unwrap_or(0));
    raw.as_reader().read_to_end(&mut body).ok()?;
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
        .and_then(|(_, value)| value.parse().ok())?;
    headers.retain(|(name, _)| name != CLIENT_ADDRESS);
    let (path, query) = raw.url().split_once('?').unwrap_or((raw.url(), ""));
    Some(Request {
        method: Method::parse(raw.method().as_str()),
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body,
        fields: OnceLock::new(),
        client,
        received: clock.now(),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    fn text(status: u16, body: &str) -> Response {
        Response {
            status,
            headers: Vec::new(),
            body: body.as_bytes().to_vec(),
        }
    }

    /// One worker and a connection to it.
    fn start(
        answer: impl Fn(&Request) -> Response + Send + Sync + 'static,
        failed: impl Fn(&Request) -> Response + Send + Sync + 'static,
    ) -> (Workers, UnixStream) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let server = tiny_http::Server::from_listener(listener, None).unwrap();
        let server = Box::leak(Box::new(server));
        let stream = UnixStream::connect(&path).unwrap();
        let site = Arc::new(Site {
            answer: Box::new(answer),
            failed: Box::new(failed),
        });
        let workers = super::start(vec![(server, 1)], &site, &Arc::new(Clock::start())).unwrap();
        (workers, stream)
    }

    fn ask(stream: &mut UnixStream, request: &str) -> String {
        stream.write_all(request.as_bytes()).unwrap();
        let mut length = [0; 4];
        stream.read_exact(&mut length).unwrap();
        let mut answer = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut answer).unwrap();
        String::from_utf8(answer).unwrap()
    }

    #[test]
    fn a_request_reaches_the_site_with_all_its_parts() {
        let (_workers, mut stream) = start(
            |request| {
                assert_eq!(
                    request.headers,
                    [
                        ("cookie".to_owned(), "a=b".to_owned()),
                        ("content-length".to_owned(), "2000".to_owned()),
                    ]
                );
                let (path, query) = (&request.path, &request.query);
                let length = request.body.len();
                text(200, &format!("{path} {query} {} {length}", request.client))
            },
            |_| text(500, ""),
        );
        let head = "POST /p%20?q?r HTTP/1.1\r\nCookie: a=b\r\nContent-Length: 2000\r\n\
            Auth-User-Client: 2001:db8::1\r\n\r\n";
        let answer = ask(&mut stream, &format!("{head}{}", "x".repeat(2000)));
        assert!(
            answer.ends_with("\r\n\r\n/p%20 q?r 2001:db8::1 2000"),
            "{answer}"
        );
    }

    #[test]
    fn even_a_panic_about_a_panic_costs_one_request() {
        let (_workers, mut stream) = start(
            |request| {
                assert_ne!(request.path, "/panic");
                text(200, "fine")
            },
            |_| panic!("as asked"),
        );
        let get = |path: &str| format!("GET {path} HTTP/1.1\r\nauth-user-client: ::1\r\n\r\n");
        assert!(ask(&mut stream, &get("/panic")).starts_with("HTTP/1.1 500 "));
        assert!(ask(&mut stream, &get("/")).ends_with("fine"));
    }

    #[test]
    fn a_request_that_does_not_come_from_the_front_does_not_reach_the_site() {
        let (_workers, mut stream) = start(|_| text(200, ""), |_| text(500, ""));
        for field in ["", "auth-user-client: me\r\n"] {
            let answer = ask(&mut stream, &format!("GET / HTTP/1.1\r\n{field}\r\n"));
            assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
        }
    }

    #[test]
    fn stopping_waits_for_the_request_under_way_but_not_for_ever() {
        let (asked, arrived) = channel();
        let (release, released) = channel::<()>();
        let released = std::sync::Mutex::new(released);
        let answer = move |_: &Request| {
            asked.send(()).unwrap();
            let _ = released.lock().unwrap().recv();
            text(200, "")
        };
        let (workers, mut stream) = start(answer, |_| text(500, ""));
        stream
            .write_all(b"GET / HTTP/1.1\r\nauth-user-client: ::1\r\n\r\n")
            .unwrap();
        arrived.recv().unwrap();
        assert!(!workers.stop(Duration::from_millis(20)));
        drop(release);

        let (idle, _stream) = start(|_| text(200, ""), |_| text(500, ""));
        assert!(idle.stop(Duration::from_secs(20)));
    }
}
