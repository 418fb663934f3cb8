//! One connection from its first byte to its last: phases, each with a deadline that no byte
//! extends, and one write for each answer.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::front::connections::{Seat, Visit};
use crate::front::head::{Head, Version};
use crate::front::passed_on;
use crate::front::relay::Failure;
use crate::front::request::{Accepted, Bounds, Reader, Step};
use crate::front::socket::{Socket, Wire};
use crate::front::{Options, Shared, address};
use crate::http::{Method, Response};
use crate::metrics;
use crate::rejection::Rejection;

/// The first byte of every TLS connection: a handshake record (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 0x16;
/// Bytes that a refused client may still send, so that a client whose upload was too large gets to
/// read why. Dropping this much costs us some milliseconds; for slow clients, time is the limit.
const MOST_LINGERED: usize = 16 * 1024 * 1024;
/// Bytes read at once: more than a browser's request has.
const CHUNK: usize = 8 * 1024;

/// After how long without a request a connection lets go of its thread. If this were longer, a
/// crowd that arrives would hold the memory of many handshakes at once; if it were shorter, a
/// connection in use would change threads for each request.
const RESTLESS: Duration = Duration::from_millis(200);

/// Why a request did not arrive.
enum Missing {
    /// The client has gone, was idle for too long, or had to make room.
    Ended,
    /// No request has begun for a moment; one may begin until then.
    Resting {
        until: Instant,
    },
    Refused(Rejection),
}

/// What happens to a connection after a request.
enum Turn {
    Stays,
    Rests { until: Instant },
    Over,
}

impl From<Rejection> for Missing {
    fn from(refusal: Rejection) -> Self {
        Self::Refused(refusal)
    }
}

struct Conversation {
    shared: Arc<Shared>,
    seat: Seat,
    /// The place of the request under way, if a trusted proxy brought it.
    visit: Option<Visit>,
    peer: IpAddr,
    trusted: bool,
    /// The client speaks plain HTTP where TLS is spoken: heads are read, bodies are not.
    astray: bool,
    /// Until when the next request may begin; `None` once it has.
    idle_until: Option<Instant>,
    reader: Reader,
}

/// Serves a connection until it ends, in this thread and, after each rest, in another one.
pub fn hold(shared: Arc<Shared>, seat: Seat, stream: Arc<TcpStream>, peer: IpAddr) {
    let mut socket = Socket::new(stream, shared.timer.clone());
    let trusted = address::is_trusted(peer, &shared.options.trusted_proxies);
    let bounds = if trusted {
        Bounds::OF_PROXIES
    } else {
        Bounds::default()
    };
    let mut conversation = Conversation {
        shared: Arc::clone(&shared),
        seat,
        visit: None,
        peer,
        trusted,
        astray: false,
        idle_until: None,
        reader: Reader::new(bounds),
    };
    let Some(tls) = &shared.tls else {
        return conversation.hold(Box::new(socket));
    };
    socket.until(shared.timer.now() + shared.options.handshake);
    match socket.peek() {
        Ok(Some(TLS_HANDSHAKE)) => match tls.accept(socket) {
            Ok(wire) => conversation.hold(Box::new(wire)),
            Err(error) => tracing::debug!(%peer, %error, "no TLS handshake"),
        },
        Ok(Some(_)) => conversation.point_to_https(&mut socket),
        Ok(None) | Err(_) => {}
    }
}

impl Conversation {
    /// Serves requests until none comes for a moment, then lets go of the thread. Handshake and
    /// handlers have used its stack, and the allocator keeps for the thread what they freed. A
    /// connection is idle most of the time, and would hold on to both.
    fn hold(mut self, mut wire: Box<dyn Wire + Send>) {
        loop {
            match self.take_turn(&mut *wire) {
                Turn::Stays => {}
                Turn::Over => return,
                Turn::Rests { until } => return self.rest(wire, until),
            }
        }
    }

    fn rest(self, mut wire: Box<dyn Wire + Send>, until: Instant) {
        let (shared, peer) = (Arc::clone(&self.shared), self.peer);
        let stream = wire.socket().stream();
        let wake = move || self.hold(wire);
        if let Err(error) = shared.resting.keep(stream, until, wake) {
            tracing::debug!(%peer, %error, "a connection cannot rest");
        }
    }

    /// Serves one request.
    fn take_turn(&mut self, wire: &mut dyn Wire) -> Turn {
        let turn = self.serve(wire);
        self.visit = None;
        turn
    }

    fn serve(&mut self, wire: &mut dyn Wire) -> Turn {
        match self.receive(wire) {
            Ok(request) => {
                if self.answer(wire, &request) {
                    return Turn::Stays;
                }
            }
            Err(Missing::Resting { until }) => return Turn::Rests { until },
            Err(Missing::Refused(refusal)) => {
                let target = self.reader.target();
                self.refuse(wire, refusal, target.as_deref());
            }
            Err(Missing::Ended) => {
                self.set_end(wire, self.options().linger);
                wire.say_goodbye();
            }
        }
        Turn::Over
    }

    /// Waits for a request and reads it to its end.
    fn receive(&mut self, wire: &mut dyn Wire) -> Result<Accepted, Missing> {
        if self.reader.is_idle() {
            self.await_request(wire)?;
        }
        if !self.seat.wait() {
            return Err(Missing::Ended);
        }

        self.set_end(wire, self.options().head);
        let mut in_body = false;
        loop {
            match self.reader.step()? {
                Step::Complete(request) => return Ok(*request),
                Step::MoreHead => {}
                Step::MoreBody { .. } if self.astray => return Err(Rejection::PlainHttp.into()),
                Step::MoreBody { say_continue } => {
                    if !in_body {
                        in_body = true;
                        let visit = self.reader.head().map(|head| self.bring(head));
                        self.visit = visit.transpose()?.flatten();
                        self.set_end(wire, self.options().body);
                    }
                    if say_continue {
                        wire.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
                            .map_err(|_| Missing::Ended)?;
                    }
                }
            }
            self.read_more(wire).map_err(|error| match error.kind() {
                ErrorKind::TimedOut => Missing::Refused(Rejection::TooSlow),
                _ => Missing::Ended,
            })?;
        }
    }

    /// Waits for a request to begin, but only for a moment.
    fn await_request(&mut self, wire: &mut dyn Wire) -> Result<(), Missing> {
        let now = self.shared.timer.now();
        let until = match self.idle_until {
            // Awake again: the idle time began before the rest.
            Some(until) => until,
            None if self.seat.rest() => now + self.options().idle,
            None => return Err(Missing::Ended),
        };
        self.idle_until = Some(until);
        let moment = now + RESTLESS;
        wire.socket().until(until.min(moment));
        self.read_more(wire).map_err(|error| match error.kind() {
            ErrorKind::TimedOut if moment < until => Missing::Resting { until },
            _ => Missing::Ended,
        })?;
        self.idle_until = None;
        Ok(())
    }

    /// Has a request answered. True if the connection stays open.
    fn answer(&mut self, wire: &mut dyn Wire, request: &Accepted) -> bool {
        if self.visit.is_none() {
            self.visit = match self.bring(&request.head) {
                Ok(visit) => visit,
                Err(refusal) => {
                    self.refuse(wire, refusal, Some(&request.head.target));
                    return false;
                }
            };
        }
        if !self.seat.work() {
            return false;
        }
        let client = self.client(&request.head);
        let passed_on = passed_on::compose(request, client, self.trusted);
        let received = match self.shared.relay.carry(&passed_on, &self.shared.clock) {
            Ok(request) => request,
            Err(failure) => {
                match failure {
                    Failure::Busy => self.hold_back(client),
                    Failure::Broken(error) => tracing::error!(%error, "a request did not pass"),
                }
                self.refuse(wire, Rejection::Busy, Some(&request.head.target));
                return false;
            }
        };
        let answer = self.shared.service.answer(&received);

        if tells_to_wait(&answer) {
            self.hold_back(client);
        }
        if !self.seat.wait() {
            return false;
        }
        let keep = request.head.keep_alive && !self.shared.connections.is_stopping();
        let framed = say_whether_it_stays(answer, keep, request.head.version);
        self.set_end(wire, self.options().answer);
        if wire.write_all(&framed).is_err() {
            return false;
        }
        if !keep {
            self.close(wire, !self.reader.is_idle());
        }
        keep
    }

    fn client(&self, head: &Head) -> IpAddr {
        let trusted = &self.options().trusted_proxies;
        address::client(self.peer, head.values("x-forwarded-for"), trusted)
    }

    /// A place for a request that a trusted proxy brings, counted for its visitor. What the proxy
    /// asks on its own account needs none.
    fn bring(&self, head: &Head) -> Result<Option<Visit>, Rejection> {
        if !self.trusted || head.values("x-forwarded-for").next().is_none() {
            return Ok(None);
        }
        let visit = self.shared.connections.bring(self.client(head));
        visit.map(Some).ok_or(Rejection::Busy)
    }

    /// Makes a client wait here if it was told to wait but did not.
    fn hold_back(&self, client: IpAddr) {
        let time = self.shared.patience.refuse(client, self.shared.timer.now());
        if !time.is_zero() {
            self.seat.hold(time);
        }
    }

    fn refuse(&self, wire: &mut dyn Wire, refusal: Rejection, target: Option<&str>) {
        let accept = self.reader.accept();
        let (response, code) = (self.shared.refuse)(refusal, accept.as_deref(), target);
        let reason = match refusal {
            Rejection::Malformed(reason) => reason,
            _ => code,
        };
        // Strangers could fill a disk with these lines.
        tracing::debug!(peer = %self.peer, status = response.status, reason, "refused");
        self.send_last(wire, response, self.reader.method());
    }

    /// Answers plain HTTP on the TLS port, and shows the way to those who only wanted to look.
    fn point_to_https(&mut self, wire: &mut dyn Wire) {
        self.astray = true;
        let request = match self.receive(wire) {
            Ok(request) => request,
            Err(Missing::Ended | Missing::Resting { .. }) => return,
            Err(Missing::Refused(refusal)) => return self.refuse(wire, refusal, None),
        };
        let accept = request.head.values("accept").next();
        let accept = accept.map(String::from_utf8_lossy);
        let (mut response, _) = (self.shared.refuse)(Rejection::PlainHttp, accept.as_deref(), None);
        if matches!(request.head.method.as_str(), "GET" | "HEAD") {
            let base = self.options().public_url.trim_end_matches('/');
            let location = format!("{base}{}", request.head.target);
            response.status = 308;
            response.headers.push(("Location", location.into()));
        }
        self.send_last(wire, response, Method::parse(&request.head.method));
    }

    fn send_last(&self, wire: &mut dyn Wire, mut response: Response, method: Method) {
        metrics::request(method, metrics::OTHER, response.status);
        let with_body = method != Method::Head;
        if self.astray {
            // Must not be sent over plain HTTP, where anybody could have added it (RFC 6797,
            // section 7.2).
            response
                .headers
                .retain(|(name, _)| !name.eq_ignore_ascii_case("strict-transport-security"));
        }
        let bytes = response.to_bytes(self.shared.clock.now().wall, with_body);
        let framed = say_whether_it_stays(bytes, false, Version::Http11);
        if !self.seat.wait() {
            return;
        }
        self.set_end(wire, self.options().answer);
        if wire.write_all(&framed).is_ok() {
            self.close(wire, true);
        }
    }

    /// Closes after an answer. With `unread`, whatever else the client has sent or still sends is
    /// read and dropped for a moment, so that it gets to read the answer.
    fn close(&self, wire: &mut dyn Wire, unread: bool) {
        self.set_end(wire, self.options().linger);
        wire.say_goodbye();
        if unread {
            wire.socket().linger(MOST_LINGERED);
        }
    }

    /// Reads once. The end of the stream is an error, since no request ends there.
    fn read_more(&mut self, wire: &mut dyn Wire) -> io::Result<()> {
        let mut chunk = [0; CHUNK];
        let count = loop {
            match wire.read(&mut chunk) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.reader.push(&chunk[..count]);
        Ok(())
    }

    fn set_end(&self, wire: &mut dyn Wire, phase: Duration) {
        wire.socket().until(self.shared.timer.now() + phase);
    }

    fn options(&self) -> &Options {
        &self.shared.options
    }
}

/// Whether an answer tells the client to come back later.
fn tells_to_wait(answer: &[u8]) -> bool {
    [&b"HTTP/1.1 429 "[..], b"HTTP/1.1 503 "]
        .iter()
        .any(|line| answer.starts_with(line))
}

/// Adds the `Connection` field behind the status line. In HTTP/1.1 a connection stays open by
/// default, which needs no field.
fn say_whether_it_stays(mut answer: Vec<u8>, keep: bool, version: Version) -> Vec<u8> {
    let field: &[u8] = match (keep, version) {
        (true, Version::Http11) => return answer,
        (true, Version::Http10) => b"Connection: keep-alive\r\n",
        (false, _) => b"Connection: close\r\n",
    };
    if let Some(end) = answer.windows(2).position(|pair| pair == b"\r\n") {
        answer.splice(end + 2..end + 2, field.iter().copied());
    }
    answer
}
