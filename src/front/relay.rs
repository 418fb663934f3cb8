//! Hands a request to tiny_http over private Unix sockets and brings the answer back.
//!
//! The connections are opened at start and then nobody else can ever knock, so tiny_http never
//! accepts under pressure. One request at a time is on each. An answer is a length of four bytes
//! (big endian) and as many bytes: no HTTP is parsed here.
//!
//! The sockets have names that no disk is needed for, and that any program on the machine could
//! connect to in the moment they are there. So tiny_http is given a socket only once its queue is
//! full, with connections of ours, and shut.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::panic;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::TryRng;
use rand::rngs::SysRng;
use rustix::io::Errno;
use rustix::net::{AddressFamily, Shutdown, SocketAddrUnix, SocketFlags, SocketType};

use crate::front::StartError;

/// How long a request waits for a connection: longer than any answer takes unless all are stuck.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a client waits for an answer before it hears that the server is busy.
const SLOW: Duration = Duration::from_secs(30);
/// Connections to one tiny_http server: as many as it has threads from the start. With more its
/// pool can lose count when they come quickly, and one it forgot would never be served.
const PER_SERVER: usize = 4;
/// How often somebody else may have come first: nobody who does not try hard ever does.
const TRIES: usize = 20;
/// How long tiny_http gets to take up its connections at start.
const OPENING: Duration = Duration::from_secs(10);
/// The largest page has some 50 KiB; more than this is no answer of ours.
const MAX_ANSWER: usize = 4 * 1024 * 1024;
/// Most answers arrive in one read of this size: a page with its style has more than 8 KiB.
const FIRST_READ: usize = 16 * 1024;

/// The inner connections.
pub struct Relay {
    pool: Mutex<Pool>,
    freed: Condvar,
    patience: Duration,
}

struct Pool {
    free: Vec<UnixStream>,
    /// Free or lent; broken ones are gone.
    open: usize,
    /// Requests that wait for one to come free.
    waiting: usize,
}

/// Why there is no answer.
pub enum Failure<'a> {
    /// No connection came free in time.
    Busy,
    /// The connection broke under this request, which may or may not have been carried out.
    Broken(io::Error),
    /// The answer is still to come, and the connection unusable until then.
    Late(Owed<'a>),
}

/// A connection whose answer nobody waits for any more.
pub struct Owed<'a> {
    relay: &'a Relay,
    stream: UnixStream,
}

/// A tiny_http server that has all the connections it will ever have, and how many those are.
///
/// It is never dropped: its end would look for a name on a disk.
pub struct Inner {
    pub server: &'static tiny_http::Server,
    pub connections: usize,
}

impl Relay {
    /// Makes tiny_http servers and opens all connections to them.
    ///
    /// # Errors
    ///
    /// When descriptors or threads are missing, or the system has no such sockets.
    pub fn open(connections: usize) -> Result<(Vec<Inner>, Self), StartError> {
        let (mut servers, mut free) = (Vec::new(), Vec::with_capacity(connections));
        while free.len() < connections {
            let count = PER_SERVER.min(connections - free.len());
            let (server, streams) = serve(count).map_err(cannot_open)?;
            servers.push(Inner {
                server,
                connections: count,
            });
            free.extend(streams);
        }
        let relay = Self {
            pool: Mutex::new(Pool {
                open: free.len(),
                free,
                waiting: 0,
            }),
            freed: Condvar::new(),
            patience: PATIENCE,
        };
        Ok((servers, relay))
    }

    /// Sends one complete request and waits for its answer.
    pub fn exchange(&self, request: &[u8]) -> Result<Vec<u8>, Failure<'_>> {
        let mut stream = self.borrow().ok_or(Failure::Busy)?;
        let answer = stream
            .write_all(request)
            .and_then(|()| read_answer(&mut stream));
        match answer {
            Ok(answer) => {
                self.give_back(stream);
                Ok(answer)
            }
            Err(error) if error.kind() == ErrorKind::TimedOut => Err(Failure::Late(Owed {
                relay: self,
                stream,
            })),
            Err(error) => {
                self.forget();
                Err(Failure::Broken(error))
            }
        }
    }

    fn borrow(&self) -> Option<UnixStream> {
        let mut pool = self.lock();
        if pool.free.is_empty() {
            pool.waiting += 1;
            (pool, _) = self
                .freed
                .wait_timeout_while(pool, self.patience, |pool| {
                    pool.free.is_empty() && pool.open > 0
                })
                .unwrap_or_else(PoisonError::into_inner);
            pool.waiting -= 1;
        }
        pool.free.pop()
    }

    fn give_back(&self, stream: UnixStream) {
        let mut pool = self.lock();
        pool.free.push(stream);
        let wanted = pool.waiting > 0;
        drop(pool);
        // Waking nobody is a system call all the same.
        if wanted {
            self.freed.notify_one();
        }
    }

    fn forget(&self) {
        let mut pool = self.lock();
        pool.open = pool.open.saturating_sub(1);
        let left = pool.open;
        drop(pool);
        tracing::error!(left, "an inner connection broke");
        // With none left, those who wait have nothing to wait for.
        self.freed.notify_all();
    }

    /// A push or a pop either happened or did not: the pool is whole after any panic.
    fn lock(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Owed<'_> {
    /// Waits, however long it takes, until the connection can be used again.
    pub fn settle(mut self) {
        loop {
            match read_answer(&mut self.stream) {
                Ok(_) => return self.relay.give_back(self.stream),
                Err(error) if error.kind() == ErrorKind::TimedOut => {}
                Err(_) => return self.relay.forget(),
            }
        }
    }
}

fn cannot_open(error: io::Error) -> StartError {
    // What systemd answers where it does not allow such sockets; std has no name for it.
    let unknown = Errno::from_io_error(&error) == Some(Errno::AFNOSUPPORT);
    StartError {
        what: format!("open the sockets between its own threads: {error}"),
        hint: match error.kind() {
            ErrorKind::PermissionDenied | ErrorKind::Unsupported => UNIX_SOCKETS,
            _ if unknown => UNIX_SOCKETS,
            _ => "raise the limits on open files, processes and memory: see ulimit -a",
        }
        .to_owned(),
    }
}

const UNIX_SOCKETS: &str =
    "let it use Unix sockets: a systemd unit needs AF_UNIX in RestrictAddressFamilies";

/// As [`tiny_http::Server::from_listener`], which panics if it gets no thread.
fn server_on(listener: UnixListener) -> io::Result<tiny_http::Server> {
    let started = panic::catch_unwind(|| tiny_http::Server::from_listener(listener, None));
    let no_thread = |_| io::Error::other("no thread could be started");
    started.map_err(no_thread)?.map_err(io::Error::other)
}

/// A tiny_http server, and all the connections it will ever have, each with a thread of its own.
fn serve(count: usize) -> io::Result<(&'static tiny_http::Server, Vec<UnixStream>)> {
    let (listener, mut streams) = full_queue(count)?;
    let server: &'static tiny_http::Server = Box::leak(Box::new(server_on(listener)?));
    for stream in &mut streams {
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n")?;
    }
    let (mut served, mut shut) = (0, false);
    while served < count || !shut {
        match server.recv_timeout(OPENING) {
            Ok(Some(probe)) => {
                let mut writer = probe.into_writer();
                writer.write_all(&0_u32.to_be_bytes())?;
                writer.flush()?;
                served += 1;
            }
            Ok(None) => return Err(ErrorKind::TimedOut.into()),
            // Its loop has taken what was in the queue and ended, and the socket with it.
            Err(_) => shut = true,
        }
    }
    for stream in &mut streams {
        read_answer(stream)?;
    }
    Ok((server, streams))
}

/// A socket that is shut, with `count` connections in its queue, all of them ours.
fn full_queue(count: usize) -> io::Result<(UnixListener, Vec<UnixStream>)> {
    for _ in 0..TRIES {
        let mut name = [0; 16];
        SysRng.try_fill_bytes(&mut name).map_err(io::Error::other)?;
        let name = format!("auth_user-{:032x}", u128::from_be_bytes(name));
        if let Some(ours) = queue_of_ours(name.as_bytes(), count, || ())? {
            return Ok(ours);
        }
    }
    Err(io::Error::other("other programs are always there first"))
}

/// As [`full_queue`]; None if a connection of somebody else is among them. The queue has room for
/// no more than `count`, so if all of ours are in it, nobody else's is. `meanwhile` is for tests.
fn queue_of_ours(
    name: &[u8],
    count: usize,
    meanwhile: impl FnOnce(),
) -> io::Result<Option<(UnixListener, Vec<UnixStream>)>> {
    let address = SocketAddrUnix::new_abstract_name(name)?;
    let socket = |flags| {
        let flags = flags | SocketFlags::CLOEXEC;
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
    };
    let listener = socket(SocketFlags::empty())?;
    rustix::net::bind(&listener, &address)?;
    // Linux lets one more wait than it is told.
    let backlog = i32::try_from(count).map_err(io::Error::other)? - 1;
    rustix::net::listen(&listener, backlog)?;
    meanwhile();

    let mut streams = Vec::with_capacity(count);
    for _ in 0..=count {
        let stream = socket(SocketFlags::NONBLOCK)?;
        match rustix::net::connect(&stream, &address).map_err(io::Error::from) {
            Ok(()) => streams.push(UnixStream::from(stream)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    if streams.len() > count {
        return Err(io::Error::other("a queue takes more than it is told to"));
    }
    rustix::net::shutdown(&listener, Shutdown::Read)?;
    if streams.len() < count {
        return Ok(None);
    }
    for stream in &streams {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(SLOW))?;
        stream.set_write_timeout(Some(SLOW))?;
    }
    Ok(Some((UnixListener::from(listener), streams)))
}

/// Reads a length and so many bytes, and no more: there is no second answer to come. `TimedOut`
/// means that nothing has come yet.
fn read_answer(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; FIRST_READ];
    let mut filled = 0;
    loop {
        match stream.read(&mut bytes[filled..]) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock && filled == 0 => {
                return Err(ErrorKind::TimedOut.into());
            }
            Err(error) => return Err(error),
        }
        let Some((length, rest)) = bytes[..filled].split_first_chunk::<4>() else {
            continue;
        };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if length > MAX_ANSWER || rest.len() > length {
            return Err(ErrorKind::InvalidData.into());
        }
        if rest.len() == length {
            return Ok(rest.to_vec());
        }
        if bytes.len() < length + 4 {
            bytes.resize(length + 4, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::SocketAddr;
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    /// A relay of one connection whose requests are given to the test.
    fn relay() -> (&'static tiny_http::Server, Relay) {
        let (mut inner, mut relay) = Relay::open(1).unwrap();
        let server = inner.pop().unwrap().server;
        relay.patience = Duration::from_millis(20);
        for stream in &relay.lock().free {
            let short = Some(Duration::from_millis(50));
            stream.set_read_timeout(short).unwrap();
        }
        (server, relay)
    }

    fn answer(request: tiny_http::Request, bytes: &[u8]) {
        let mut writer = request.into_writer();
        writer.write_all(bytes).unwrap();
        writer.flush().unwrap();
    }

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\ncontent-length: 0\r\n\r\n";

    #[test]
    fn nobody_can_knock_once_the_sockets_are_open() {
        let (inner, _relay) = Relay::open(9).unwrap();
        let counts: Vec<usize> = inner.iter().map(|inner| inner.connections).collect();
        assert_eq!(counts, [4, 4, 1]);
        for inner in inner {
            let address = inner.server.server_addr().to_unix().unwrap();
            assert!(address.as_pathname().is_none(), "it needs a disk");
            let refused = UnixStream::connect_addr(&address).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        }
    }

    #[test]
    fn a_stranger_who_was_there_first_gets_no_connection() {
        let name = format!("auth_user-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        for count in [1, 2, 4] {
            let mut stranger = None;
            let ours = queue_of_ours(name.as_bytes(), count, || {
                stranger = Some(UnixStream::connect_addr(&address).unwrap());
            });
            assert!(ours.unwrap().is_none(), "{count}");
            // The socket is gone, and with it what waited there.
            let mut byte = [0];
            assert!(!matches!(stranger.unwrap().read(&mut byte), Ok(1..)));

            let (listener, ours) = queue_of_ours(name.as_bytes(), count, || ())
                .unwrap()
                .unwrap();
            assert_eq!(ours.len(), count);
            assert!(UnixStream::connect_addr(&address).is_err(), "{count}");
            for _ in 0..count {
                listener.accept().unwrap();
            }
            assert!(listener.accept().is_err());
        }
    }

    #[test]
    fn a_request_without_a_free_connection_is_told_so() {
        let (_, relay) = relay();
        let (done, finished) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(|| {
                let taken = relay.borrow();
                done.send(()).unwrap();
                thread::park_timeout(Duration::from_millis(60));
                relay.give_back(taken.unwrap());
            });
            finished.recv().unwrap();
            assert!(matches!(relay.exchange(REQUEST), Err(Failure::Busy)));
        });
    }

    #[test]
    fn a_late_answer_does_not_become_the_next_ones() {
        let (server, relay) = relay();
        let Err(Failure::Late(owed)) = relay.exchange(REQUEST) else {
            panic!("an answer came from nobody");
        };
        let late = server.recv().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| answer(late, b"\0\0\0\x04late"));
            owed.settle();
        });
        thread::scope(|scope| {
            scope.spawn(|| answer(server.recv().unwrap(), b"\0\0\0\x02ok"));
            assert_eq!(relay.exchange(REQUEST).ok(), Some(b"ok".to_vec()));
        });
    }

    #[test]
    fn a_connection_that_answers_nonsense_is_not_used_again() {
        for nonsense in [&b"HTTP/1.1 200 OK\r\n\r\n"[..], b"\0\0\0\x01xy"] {
            let (server, relay) = relay();
            thread::scope(|scope| {
                scope.spawn(|| answer(server.recv().unwrap(), nonsense));
                let Err(Failure::Broken(error)) = relay.exchange(REQUEST) else {
                    panic!("taken for an answer");
                };
                assert_eq!(error.kind(), ErrorKind::InvalidData);
            });
            assert_eq!(relay.lock().open, 0);
            assert!(matches!(relay.exchange(REQUEST), Err(Failure::Busy)));
        }
    }

    #[test]
    fn an_answer_larger_than_one_read_arrives_whole() {
        let (server, relay) = relay();
        let page = vec![b'x'; 300_000];
        let mut framed = 300_000_u32.to_be_bytes().to_vec();
        framed.extend_from_slice(&page);
        thread::scope(|scope| {
            scope.spawn(|| answer(server.recv().unwrap(), &framed));
            assert!(relay.exchange(REQUEST).ok() == Some(page));
        });
    }
}
