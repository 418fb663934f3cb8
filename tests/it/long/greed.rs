//! Six hundred clients at once that take places and give nothing: each is closed by its deadline
//! although it keeps sending, others are served meanwhile, and all is given back.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Server, Wire};

const CLIENTS: usize = 600;
/// From one address at most.
const PER_ADDRESS: usize = 100;
/// Between two crumbs of one client, and two looks at all of them.
const CRUMB: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(200);
/// What a busy machine may add to a deadline.
const SLACK: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// Says nothing at all.
    Silent,
    /// Half a greeting of TLS, byte by byte.
    Greeting,
    Head,
    Body,
    /// Asks and asks, and never reads an answer. Each costs the kernel some MB, so they are few.
    Deaf,
}

impl Kind {
    fn of(number: usize, tls: bool) -> Self {
        match number % 30 {
            0 => Self::Deaf,
            n if n % 4 == 1 && tls => Self::Greeting,
            n if n % 4 == 2 => Self::Head,
            n if n % 4 == 3 => Self::Body,
            _ => Self::Silent,
        }
    }

    fn deadline(self, tls: bool) -> Duration {
        Duration::from_secs(match self {
            Self::Silent if !tls => 60,
            Self::Silent | Self::Greeting => 5,
            Self::Head | Self::Body => 10,
            // Filling the buffers on the way takes a while.
            Self::Deaf => 30,
        })
    }

    fn first(self) -> &'static [u8] {
        match self {
            Self::Silent => b"",
            Self::Greeting => b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            Self::Head => b"GET / HTTP/1.1\r\nHost: h\r\nA: ",
            Self::Body => b"POST /login HTTP/1.1\r\nHost: h\r\nContent-Length: 65536\r\n\r\na",
            Self::Deaf => b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        }
    }
}

struct Client {
    kind: Kind,
    wire: Wire,
    begun: Instant,
    next: Instant,
    /// How long it was put up with.
    took: Option<Duration>,
}

impl Client {
    fn start(server: &Server, number: usize, tls: bool) -> Self {
        let kind = Kind::of(number, tls);
        let last = u8::try_from(2 + number / PER_ADDRESS).unwrap();
        let socket = server.socket_from(Ipv4Addr::new(127, 0, 0, last));
        if kind == Kind::Deaf {
            rustix::net::sockopt::set_socket_recv_buffer_size(&socket, 4096).unwrap();
        }
        let mut wire = match kind {
            Kind::Silent | Kind::Greeting => Wire::Plain(socket),
            _ => server.connect_over(socket),
        };
        wire.send(kind.first());
        match &wire {
            Wire::Plain(socket) => socket.set_nonblocking(true).unwrap(),
            Wire::Tls(stream) => stream.sock.set_nonblocking(true).unwrap(),
        }
        let begun = Instant::now();
        Self {
            kind,
            wire,
            begun,
            next: begun,
            took: None,
        }
    }

    fn look(&mut self) {
        if self.took.is_some() {
            return;
        }
        let ended = if self.kind == Kind::Deaf {
            let questions = self.kind.first().repeat(40);
            is_end(&self.write(&questions), ErrorKind::WriteZero)
        } else {
            let mut answer = [0; 4096];
            let read = match &mut self.wire {
                Wire::Plain(socket) => socket.read(&mut answer),
                Wire::Tls(stream) => stream.read(&mut answer),
            };
            matches!(read, Ok(0)) || is_end(&read.map(drop), ErrorKind::WouldBlock)
        };
        if ended {
            self.took = Some(self.begun.elapsed());
        } else if self.kind != Kind::Silent
            && self.kind != Kind::Deaf
            && self.next.elapsed() >= CRUMB
        {
            self.next = Instant::now();
            let _ = self.write(b"x");
        }
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match &mut self.wire {
            Wire::Plain(socket) => socket.write_all(bytes),
            Wire::Tls(stream) => stream.write_all(bytes),
        }
    }
}

fn is_end(outcome: &std::io::Result<()>, not: ErrorKind) -> bool {
    let kind = outcome.as_ref().err().map(std::io::Error::kind);
    kind.is_some_and(|kind| kind != ErrorKind::WouldBlock && kind != not)
}

fn outlasts_six_hundred(server: &Server, tls: bool) {
    let before = server.held_at_rest();
    let mut clients: Vec<Client> = (0..CLIENTS)
        .map(|number| Client::start(server, number, tls))
        .collect();
    let begun = Instant::now();
    let longest = if tls { 30 } else { 60 };
    let lost = Duration::from_secs(longest) + 2 * SLACK;
    let mut served = 0;

    while clients.iter().any(|client| client.took.is_none()) && begun.elapsed() < lost {
        clients.iter_mut().for_each(Client::look);
        let mut honest = server.connect();
        honest.send(b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        assert!(honest.read_to_end().ends_with("\r\n\r\nok"));
        served += 1;
        thread::sleep(LOOK);
    }

    for client in &clients {
        let (kind, deadline) = (client.kind, client.kind.deadline(tls));
        let took = client.took.unwrap_or(lost);
        assert!(took < deadline + SLACK, "{kind:?} took {took:?}");
    }
    println!("{served} others were served meanwhile");
    drop(clients);
    server.wait_until_held(before);
}

#[test]
fn six_hundred_greedy_clients_are_outlasted_over_tls() {
    outlasts_six_hundred(&Server::start(), true);
}

#[test]
fn six_hundred_greedy_clients_are_outlasted_in_plain_http() {
    outlasts_six_hundred(&Server::start_with(&["--no-tls"]), false);
}

#[test]
fn ten_thousand_forms_of_garbage_break_nothing() {
    crate::wire::garbage_forms::shrugs_off(10_000);
}
