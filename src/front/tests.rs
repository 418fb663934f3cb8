use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::sync::mpsc;
use std::thread::JoinHandle;

use super::*;
use crate::http;
use crate::reply::Outcome;

/// A front and its relay, on a port of their own; stopped when dropped.
pub struct Running {
    pub address: SocketAddr,
    pub front: Arc<Front>,
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
        let relay = Relay::open(2).unwrap();
        let service = Arc::new(Service {
            answer: Box::new(answer),
            failed: Box::new(|_| text(500, "failed")),
        });
        let room = Room {
            inner: 2,
            connections: 20,
        };
        let mut options = Options::new("https://localhost:8000".to_owned(), Vec::new(), room);
        options.deadlines.linger = Duration::from_millis(200);
        options.grace = Duration::from_millis(200);
        change(&mut options);
        let front = Front::new(
            listener,
            Parts {
                options,
                tls,
                relay,
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
            served: Some(thread::spawn(move || serving.serve())),
        }
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        // A test that hangs should fail instead.
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        stream
    }

    /// Sends the bytes, then reads until the server closes.
    pub fn exchange(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        stream.write_all(bytes).unwrap();
        read_to_end(&mut stream)
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
fn a_request_is_answered_and_the_connection_stays() {
    let running = Running::plain();
    let mut stream = running.connect();
    for path in ["/a", "/b"] {
        stream
            .write_all(format!("GET {path}?q HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes())
            .unwrap();
        let answer = read_one(&mut stream);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(!answer.contains("Connection:"), "{answer}");
        assert!(
            answer.ends_with(&format!("Get {path} 127.0.0.1 ")),
            "{answer}"
        );
    }
}

#[test]
fn bodies_small_and_large_arrive_whole() {
    let running = Running::plain();
    for size in [1, 1024, 1025, 65536] {
        let body = "z".repeat(size);
        let request = format!(
            "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {size}\r\n\r\n{body}"
        );
        assert!(
            running
                .exchange(request.as_bytes())
                .ends_with(&format!(" {body}"))
        );
    }
}

#[test]
fn dribbled_and_pipelined_requests_are_answered_in_order() {
    let running = Running::plain();
    let mut stream = running.connect();
    stream.set_nodelay(true).unwrap();
    for byte in b"GET /one HTTP/1.1\r\nHost: h\r\n\r\n" {
        stream.write_all(&[*byte]).unwrap();
    }
    let two =
        "POST /two HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
    let three = "GET /three HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    stream
        .write_all(format!("{two}{three}").as_bytes())
        .unwrap();

    let answers = read_to_end(&mut stream);

    let positions: Vec<_> = ["Get /one", "Post /two 127.0.0.1 hi", "Get /three"]
        .map(|part| answers.find(part).unwrap_or_else(|| panic!("{answers}")))
        .to_vec();
    assert!(positions.is_sorted());
    assert_eq!(answers.matches("Connection: close").count(), 1);
}

#[test]
fn head_is_answered_without_a_body() {
    let running = Running::plain();
    let answer = running.exchange(b"HEAD /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert!(answer.contains("Content-Length: 18\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
}

#[test]
fn http_1_0_closes_unless_asked_to_stay() {
    let running = Running::plain();
    let answer = running.exchange(b"GET / HTTP/1.0\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\nConnection: close\r\n"));

    let mut stream = running.connect();
    for _ in 0..2 {
        stream
            .write_all(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            .unwrap();
        let answer = read_one(&mut stream);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n"));
    }
}

#[test]
fn a_panic_costs_one_request() {
    let running = Running::plain();
    for _ in 0..5 {
        let answer =
            running.exchange(b"GET /panic HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
        assert!(answer.ends_with("failed"), "{answer}");
    }
    let answer = running.exchange(b"GET /ok HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert!(answer.contains("Get /ok"), "{answer}");
}

#[test]
fn a_refusal_closes_gently_on_a_client_that_still_sends() {
    let patient = |options: &mut Options| {
        options.deadlines.linger = Duration::from_secs(20);
        options.grace = Duration::from_secs(20);
    };
    let mut running = Running::start(patient, None, echo);
    let mut stream = running.connect();
    stream
        .write_all(
            b"POST / HTTP/1.1\r\nHost: h\r\nAccept: text/html\r\nContent-Length: 70000\r\n\r\n",
        )
        .unwrap();

    let answer = read_to_end(&mut stream);

    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
    assert!(answer.ends_with("too_large|text/html"), "{answer}");
    stream.write_all(&[b'x'; 70_000]).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(running.stop(), Some(true));
    // A reset could have come before the answer was read, and would have taken it away.
    assert!(stream.take_error().unwrap().is_none());
}

#[test]
fn a_refusal_of_head_has_no_body() {
    let answer = Running::plain().exchange(b"HEAD / HTTP/1.1\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
}

#[test]
fn a_client_that_waits_is_told_to_go_on() {
    let running = Running::plain();
    let mut stream = running.connect();
    stream
        .write_all(
            b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n",
        )
        .unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"ok").unwrap();
    assert!(read_one(&mut stream).ends_with(" ok"));
}

#[test]
fn heads_and_bodies_that_trickle_in_are_given_up() {
    let short = |options: &mut Options| {
        options.deadlines.head = Duration::from_millis(80);
        options.deadlines.body = Duration::from_millis(80);
    };
    let running = Running::start(short, None, echo);
    let head = "POST / HTTP/1.1\r\nHost: h\r\n";
    for start in [
        head.to_owned(),
        format!("{head}Content-Length: 60000\r\n\r\n"),
    ] {
        let mut stream = running.connect();
        stream.write_all(start.as_bytes()).unwrap();
        let mut trickle = stream.try_clone().unwrap();
        let trickling = thread::spawn(move || {
            while trickle.write_all(b"a").is_ok() {
                thread::park_timeout(Duration::from_millis(5));
            }
        });
        let answer = read_to_end(&mut stream);
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        let _ = stream.shutdown(Shutdown::Both);
        trickling.join().unwrap();
    }
}

#[test]
fn idle_connections_end_without_a_word() {
    let short = |options: &mut Options| options.deadlines.idle = Duration::from_millis(50);
    let running = Running::start(short, None, echo);
    assert_eq!(read_to_end(&mut running.connect()), "");

    let mut used = running.connect();
    used.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        .unwrap();
    read_one(&mut used);
    assert_eq!(read_to_end(&mut used), "");
}

/// The thread in which a request was answered.
fn thread_of(stream: &mut TcpStream) -> String {
    let request = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    stream.write_all(request).unwrap();
    read_one(stream)
        .split("\r\n\r\n")
        .nth(1)
        .unwrap()
        .to_owned()
}

#[test]
fn a_connection_without_a_request_for_a_moment_lets_go_of_its_thread() {
    let answer = |_: &http::Request| text(200, &format!("{:?}", thread::current().id()));
    let running = Running::start(|_| {}, None, answer);
    let mut stream = running.connect();
    let first = thread_of(&mut stream);
    let moved = (0..20).find_map(|_| {
        // Longer than a thread waits for another connection.
        thread::sleep(Duration::from_millis(1500));
        let now = thread_of(&mut stream);
        (now != first).then_some(now)
    });
    assert!(moved.is_some());
}

#[test]
fn a_connection_that_rests_ends_when_it_has_been_idle_for_long_enough_in_all() {
    let idle = Duration::from_millis(700);
    let running = Running::start(|options| options.deadlines.idle = idle, None, echo);
    let begun = Instant::now();
    assert_eq!(running.exchange(b""), "");
    assert!(begun.elapsed() >= idle);
}

#[test]
fn a_client_that_takes_no_answer_is_given_up() {
    let short = |options: &mut Options| options.deadlines.answer = Duration::from_millis(50);
    let large = |_: &http::Request| text(200, &"x".repeat(4_000_000));
    let running = Running::start(short, None, large);
    let mut stream = running.connect();
    // Pipelined, so that the answers fill every buffer on the way.
    stream
        .write_all(&b"GET / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(20))
        .unwrap();
    assert!(running.front.shared.connections.wait_until_empty_or_used());
}

impl Connections {
    /// Waits for the one connection of a test to come and go.
    fn wait_until_empty_or_used(&self) -> bool {
        let limit = Instant::now() + Duration::from_secs(20);
        while self.count() == 0 && Instant::now() < limit {
            thread::yield_now();
        }
        self.wait_until_empty(Duration::from_secs(20))
    }
}

#[test]
fn one_address_cannot_take_all_places() {
    let few = |options: &mut Options| options.connections_per_address = 2;
    let (asked, arrived) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let running = Running::start(few, None, move |request| {
        asked.send(()).unwrap();
        let _ = released.lock().unwrap().recv();
        echo(request)
    });
    let mut busy: Vec<TcpStream> = (0..2).map(|_| running.connect()).collect();
    for stream in &mut busy {
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            .unwrap();
        arrived.recv().unwrap();
    }

    assert_eq!(read_to_end(&mut running.connect()), "");

    drop(release);
    for stream in &mut busy {
        read_one(stream);
    }
}

#[test]
fn a_visitor_whose_answer_is_still_to_come_is_counted_behind_a_proxy() {
    let few = |options: &mut Options| {
        options.connections_per_address = 2;
        options.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    };
    let (asked, arrived) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let running = Running::start(few, None, move |request| {
        asked.send(()).unwrap();
        let _ = released.lock().unwrap().recv();
        echo(request)
    });
    let of = |visitor: &str| {
        format!("GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: {visitor}\r\n\r\n").into_bytes()
    };
    let mut busy: Vec<TcpStream> = (0..2).map(|_| running.connect()).collect();
    for stream in &mut busy {
        stream.write_all(&of("192.0.2.1")).unwrap();
        arrived.recv().unwrap();
    }

    let refused = running.exchange(&of("192.0.2.1"));
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    assert!(refused.contains("Connection: close"), "{refused}");

    drop(release);
    for stream in &mut busy {
        read_one(stream);
        // A request that is answered no longer counts, however long the connection stays.
        let is_answered = || {
            let mut another = running.connect();
            another.write_all(&of("192.0.2.1")).unwrap();
            read_one(&mut another).starts_with("HTTP/1.1 200 ")
        };
        // The answer can be read a moment before its request stops counting.
        let begun = Instant::now();
        while !is_answered() {
            assert!(begun.elapsed() < Duration::from_secs(20));
        }
    }
}

#[test]
fn stopping_lets_a_request_under_way_finish() {
    let (asked, arrived) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let patient = |options: &mut Options| options.grace = Duration::from_secs(20);
    let mut running = Running::start(patient, None, move |request| {
        asked.send(()).unwrap();
        let _ = released.lock().unwrap().recv();
        echo(request)
    });
    let mut idle = running.connect();
    let mut working = running.connect();
    working
        .write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        .unwrap();
    arrived.recv().unwrap();

    running.front.stop();
    assert_eq!(read_to_end(&mut idle), "");
    drop(release);

    assert!(read_to_end(&mut working).contains("Connection: close"));
    assert_eq!(running.stop(), Some(true));
    assert!(TcpStream::connect(running.address).is_err() || running.exchange(b"x").is_empty());
}

#[test]
fn stopping_does_not_wait_for_ever() {
    let (asked, arrived) = mpsc::channel();
    let (_release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let mut running = Running::start(
        |_| {},
        None,
        move |request| {
            asked.send(()).unwrap();
            let _ = released.lock().unwrap().recv();
            echo(request)
        },
    );
    let mut working = running.connect();
    working
        .write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        .unwrap();
    arrived.recv().unwrap();
    assert_eq!(running.stop(), Some(false));
}

#[test]
fn the_client_is_seen_through_a_trusted_proxy_only() {
    let request = b"GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 192.0.2.9\r\n\
        Auth-User-Client: 192.0.2.8\r\nConnection: close\r\n\r\n";
    assert!(
        Running::plain()
            .exchange(request)
            .contains("Get / 127.0.0.1")
    );
    let trusting =
        |options: &mut Options| options.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let running = Running::start(trusting, None, echo);
    assert!(running.exchange(request).contains("Get / 192.0.2.9"));
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
