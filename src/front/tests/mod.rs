mod answers;
mod caps;
mod deadlines;
mod stopping;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

use super::*;
use crate::http;
use crate::reply::Outcome;

/// What the program runs with, on a small machine.
pub fn options() -> Options {
    let room = Room {
        inner: 2,
        connections: 20,
    };
    Options::new("https://localhost:8000".to_owned(), Vec::new(), room)
}

/// A front and its relay, on a port of their own; stopped when dropped.
pub struct Running {
    pub address: SocketAddr,
    pub front: Arc<Front>,
    passed: Passed,
    served: Option<JoinHandle<bool>>,
}

impl Running {
    pub fn plain() -> Self {
        Self::start(|_| {}, None, echo)
    }

    pub fn start(
        change: impl FnOnce(&mut Options),
        tls: Option<Arc<Tls>>,
        answer: impl Fn(&http::Request) -> Response + Send + Sync + 'static,
    ) -> Self {
        let clock = Arc::new(Clock::start());
        let (listener, address) = listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let service = Arc::new(Service {
            answer: Box::new(answer),
            failed: Box::new(|_| text(500, "failed")),
        });
        let mut options = options();
        options.linger = Duration::from_millis(200);
        options.grace = Duration::from_millis(200);
        options.first = Duration::from_millis(50);
        change(&mut options);
        let passed = Passed::default();
        let front = Front::timed_by(
            passed.timer(),
            Listeners::own(listener),
            options,
            Parts {
                tls,
                service,
                refuse: Box::new(|refusal, accept, _| {
                    let refusal = Outcome::Rejected(refusal);
                    let body = format!("{}|{}", refusal.code(), accept.unwrap_or("-"));
                    let mut response = text(refusal.status(), &body);
                    let forever = ("Strict-Transport-Security", "max-age=1".into());
                    response.headers.push(forever);
                    (response, refusal.code())
                }),
                clock,
            },
        );
        let front = Arc::new(front.unwrap());
        let serving = Arc::clone(&front);
        Self {
            address,
            front,
            passed,
            served: Some(thread::spawn(move || serving.serve())),
        }
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        // A test that hangs should fail instead.
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends the bytes, then reads until the server closes.
    pub fn exchange(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        stream.write_all(bytes).unwrap();
        read_to_end(&mut stream)
    }

    /// The time as the front sees it.
    pub fn time(&self) -> Instant {
        self.passed.timer().now()
    }

    /// Lets seconds pass, and does `each` in every one, until the front answers on this connection
    /// or closes it.
    pub fn let_time_pass(&self, stream: &mut TcpStream, mut each: impl FnMut(&mut TcpStream)) {
        stream
            .set_read_timeout(Some(Duration::from_millis(5)))
            .unwrap();
        let begun = Instant::now();
        loop {
            self.passed.pass(Duration::from_secs(1));
            self.front.shared.resting.ring();
            each(stream);
            match stream.peek(&mut [0]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                _ => break,
            }
            assert!(begun.elapsed() < PATIENCE, "never given up");
        }
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
    }

    /// Whether every connection is at rest.
    fn all_rest(&self) -> bool {
        let open = self.front.shared.connections.count();
        open > 0 && self.front.shared.resting.count() == open
    }

    /// Stops the front and gives what `serve` returned.
    fn stop(&mut self) -> Option<bool> {
        self.front.stop();
        self.served.take().map(|served| served.join().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The system's time, and what a test lets pass besides. The system itself knows nothing of that:
/// who waits in a call waits for bytes, or for as long as was left at its start.
#[derive(Clone, Default)]
pub struct Passed(Arc<Mutex<Duration>>);

impl Passed {
    pub fn timer(&self) -> Timer {
        let passed = Arc::clone(&self.0);
        Timer::new(move || Instant::now() + *passed.lock().unwrap())
    }

    pub fn pass(&self, time: Duration) {
        *self.0.lock().unwrap() += time;
    }
}

/// How long anything may take before a test calls it lost.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for what another thread does and does not announce.
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

pub fn text(status: u16, body: &str) -> Response {
    Response {
        status,
        headers: Vec::new(),
        body: body.as_bytes().to_vec(),
    }
}

/// Answers with what it was asked.
pub fn echo(request: &http::Request) -> Response {
    assert_ne!(request.path, "/panic", "as asked");
    let body = String::from_utf8_lossy(&request.body);
    let (path, client) = (&request.path, request.client);
    text(200, &format!("{:?} {path} {client} {body}", request.method))
}

/// A front whose answers wait until the sender is dropped; the receiver tells of each request.
fn holding(change: impl FnOnce(&mut Options)) -> (Running, Receiver<()>, Sender<()>) {
    let (asked, arrived) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let released = Mutex::new(released);
    let running = Running::start(change, None, move |request| {
        asked.send(()).unwrap();
        let _: Result<(), _> = released.lock().unwrap().recv();
        echo(request)
    });
    (running, arrived, release)
}

pub fn read_to_end(stream: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    // A reset after the answer does not undo the answer.
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8(bytes).unwrap()
}

/// Reads one response with a body; no other may be in flight.
pub fn read_one(stream: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "closed early");
        bytes.push(byte[0]);
    }
    let head = String::from_utf8(bytes).unwrap();
    let length = head.split("Content-Length: ").nth(1).unwrap();
    let length = length.split('\r').next().unwrap().parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    head + &String::from_utf8(body).unwrap()
}

#[test]
fn what_to_do_about_a_port_fits_why_it_cannot_be_had() {
    for (address, why, remedy) in [
        (
            "0.0.0.0:443",
            ErrorKind::PermissionDenied,
            "setcap cap_net_bind_service=+ep",
        ),
        ("[::]:80", ErrorKind::PermissionDenied, "--listen [::]:8443"),
        (
            "0.0.0.0:8000",
            ErrorKind::PermissionDenied,
            "--listen 127.0.0.1:8000",
        ),
        (
            "127.0.0.1:443",
            ErrorKind::AddrInUse,
            "ss -ltnp 'sport = :443'",
        ),
        (
            "192.0.2.1:443",
            ErrorKind::AddrNotAvailable,
            "no address 192.0.2.1",
        ),
        (
            "192.0.2.1:443",
            ErrorKind::Unsupported,
            "--listen 127.0.0.1:8000",
        ),
    ] {
        let hint = super::remedy(address.parse().unwrap(), &why.into());
        assert!(hint.contains(remedy), "{hint}");
    }
}
