//! One connection from its first byte to its last: phases, each with an end in time that no byte
//! renews, and one write for each answer.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::front::connections::{Seat, Visit};
use crate::front::head::{Head, Version};
use crate::front::passed_on;
use crate::front::refusal::Refusal;
use crate::front::relay::Failure;
use crate::front::request::{Accepted, Bounds, Reader, Step};
use crate::front::socket::{Socket, Wire};
use crate::front::{Shared, address};
use crate::http::Response;

/// The first byte of every TLS connection: a handshake record (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 0x16;
/// What a refused client may still send, so that one whose upload was too large gets to read why.
/// Dropping this much costs us some milliseconds; time ends it for slow clients.
const MOST_LINGERED: usize = 16 * 1024 * 1024;
/// What is read at once: more than a request of a browser.
const CHUNK: usize = 8 * 1024;

/// How long each phase may take.
#[derive(Clone, Copy)]
pub struct Deadlines {
    pub handshake: Duration,
    /// From the first byte of a request to the end of its head.
    pub head: Duration,
    pub body: Duration,
    /// For the client to take the answer.
    pub answer: Duration,
    /// For the next request to begin, and the first.
    pub idle: Duration,
    /// For a client to read a refusal while it still sends.
    pub linger: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(5),
            head: Duration::from_secs(10),
            body: Duration::from_secs(10),
            answer: Duration::from_secs(20),
            idle: Duration::from_secs(60),
            linger: Duration::from_secs(1),
        }
    }
}

/// After how long without a request a connection lets go of its thread. Longer, and a crowd that
/// comes would hold the memory of many handshakes at once; shorter, and one that is used would
/// change threads for each request.
const RESTLESS: Duration = Duration::from_millis(200);

/// Why a request did not arrive.
enum Missing {
    /// The client has gone, is idle for too long, or had to make room.
    Ended,
    /// None has begun for a moment; one may until then.
    Resting {
        until: Instant,
    },
    Refused(Refusal),
}

/// What becomes of a connection after a request.
enum Turn {
    Stays,
    Rests { until: Instant },
    Over,
}

impl From<Refusal> for Missing {
    fn from(refusal: Refusal) -> Self {
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
    /// Plain HTTP where TLS is spoken: heads are read, bodies are not.
    astray: bool,
    /// Until when the next request may begin, while none has.
    idle_until: Option<Instant>,
    reader: Reader,
}

/// Serves a connection until it ends, here and, after each rest, in another thread.
pub fn hold(shared: Arc<Shared>, seat: Seat, stream: Arc<TcpStream>, peer: IpAddr) {
    let mut socket = Socket::new(stream);
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
    socket.until(Instant::now() + shared.options.deadlines.handshake);
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
    /// Talks until there is nothing to say for a moment, then lets go of the thread. A handshake and
    /// handlers have used its stack, and the allocator keeps for it what they freed: both would
    /// stay for as long as the connection does, which most of the time is idle.
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
                self.set_end(wire, self.deadlines().linger);
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

        self.set_end(wire, self.deadlines().head);
        let mut in_body = false;
        loop {
            match self.reader.step()? {
                Step::Complete(request) => return Ok(*request),
                Step::MoreHead => {}
                Step::MoreBody { .. } if self.astray => return Err(Refusal::PlainHttp.into()),
                Step::MoreBody { say_continue } => {
                    if !in_body {
                        in_body = true;
                        let visit = self.reader.head().map(|head| self.bring(head));
                        self.visit = visit.transpose()?.flatten();
                        self.set_end(wire, self.deadlines().body);
                    }
                    if say_continue {
                        wire.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
                            .map_err(|_| Missing::Ended)?;
                    }
                }
            }
            self.read_more(wire).map_err(|error| match error.kind() {
                ErrorKind::TimedOut => Missing::Refused(Refusal::TooSlow),
                _ => Missing::Ended,
            })?;
        }
    }

    /// Waits until a request begins, for a moment.
    fn await_request(&mut self, wire: &mut dyn Wire) -> Result<(), Missing> {
        let now = Instant::now();
        let until = match self.idle_until {
            // Awake again. It has been idle since before it rested.
            Some(until) => until,
            None if self.seat.rest() => now + self.deadlines().idle,
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
                self.refuse(wire, Refusal::Busy, Some(&request.head.target));
                return false;
            }
        };
        let answer = self.shared.site.answer(&received);

        if tells_to_wait(&answer) {
            self.hold_back(client);
        }
        if !self.seat.wait() {
            return false;
        }
        let keep = request.head.keep_alive && !self.shared.connections.is_stopping();
        let framed = say_whether_it_stays(answer, keep, request.head.version);
        self.set_end(wire, self.deadlines().answer);
        if wire.write_all(&framed).is_err() {
            return false;
        }
        if !keep {
            self.close(wire, !self.reader.is_idle());
        }
        keep
    }

    fn client(&self, head: &Head) -> IpAddr {
        let trusted = &self.shared.options.trusted_proxies;
        address::client(self.peer, head.values("x-forwarded-for"), trusted)
    }

    /// A place for a request that a trusted proxy brings, by its visitor; none is needed for what
    /// the proxy asks by itself.
    fn bring(&self, head: &Head) -> Result<Option<Visit>, Refusal> {
        if !self.trusted || head.values("x-forwarded-for").next().is_none() {
            return Ok(None);
        }
        let visit = self.shared.connections.bring(self.client(head));
        visit.map(Some).ok_or(Refusal::Busy)
    }

    /// Lets one who was told to wait, and did not, wait here.
    fn hold_back(&self, client: IpAddr) {
        let time = self.shared.patience.refuse(client, Instant::now());
        if !time.is_zero() {
            self.seat.hold(time);
        }
    }

    fn refuse(&self, wire: &mut dyn Wire, refusal: Refusal, target: Option<&str>) {
        let accept = self.reader.accept();
        let response = (self.shared.refuse)(refusal, accept.as_deref(), target);
        let reason = match refusal {
            Refusal::Malformed(reason) => reason,
            other => other.code(),
        };
        // Strangers could fill a disk with these lines.
        tracing::debug!(peer = %self.peer, status = response.status, reason, "refused");
        self.send_last(wire, response, !self.reader.is_head());
    }

    /// Answers plain HTTP on the TLS port: whoever only wanted to look is shown the way.
    fn point_to_https(&mut self, wire: &mut dyn Wire) {
        self.astray = true;
        let request = match self.receive(wire) {
            Ok(request) => request,
            Err(Missing::Ended | Missing::Resting { .. }) => return,
            Err(Missing::Refused(refusal)) => return self.refuse(wire, refusal, None),
        };
        let accept = request.head.values("accept").next();
        let accept = accept.map(String::from_utf8_lossy);
        let mut response = (self.shared.refuse)(Refusal::PlainHttp, accept.as_deref(), None);
        if matches!(request.head.method.as_str(), "GET" | "HEAD") {
            let base = self.shared.options.public_url.trim_end_matches('/');
            let location = format!("{base}{}", request.head.target);
            response.status = 308;
            response.headers.push(("Location", location));
        }
        self.send_last(wire, response, request.head.method != "HEAD");
    }

    fn send_last(&self, wire: &mut dyn Wire, mut response: Response, with_body: bool) {
        if self.astray {
            // Not to be said where anybody could have said it (RFC 6797, section 7.2).
            response
                .headers
                .retain(|(name, _)| !name.eq_ignore_ascii_case("strict-transport-security"));
        }
        let bytes = response.to_bytes(self.shared.clock.now().wall, with_body);
        let framed = say_whether_it_stays(bytes, false, Version::Http11);
        if !self.seat.wait() {
            return;
        }
        self.set_end(wire, self.deadlines().answer);
        if wire.write_all(&framed).is_ok() {
            self.close(wire, true);
        }
    }

    /// Closes after an answer. With `unread`, what the client has sent beyond its request, or still
    /// sends, is dropped for a moment so that it gets to read the answer.
    fn close(&self, wire: &mut dyn Wire, unread: bool) {
        self.set_end(wire, self.deadlines().linger);
        wire.say_goodbye();
        if unread {
            wire.socket().linger(MOST_LINGERED);
        }
    }

    /// Reads once. An end of the stream is an error: it is never where a request may end.
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
        wire.socket().until(Instant::now() + phase);
    }

    fn deadlines(&self) -> &Deadlines {
        &self.shared.options.deadlines
    }
}

/// Whether the client is to come back later.
fn tells_to_wait(answer: &[u8]) -> bool {
    [&b"HTTP/1.1 429 "[..], b"HTTP/1.1 503 "]
        .iter()
        .any(|line| answer.starts_with(line))
}

/// Puts what concerns the connection behind the status line. Keeping it open is the rule in
/// HTTP/1.1 and goes without saying.
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
