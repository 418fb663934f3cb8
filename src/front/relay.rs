//! Carries a request through tiny_http, within the thread that has read it from the client.
//!
//! A tiny_http server with one connection is borrowed, written to and received from, and is free
//! again before the request is answered: a request that waits for a hash or a disk holds its own
//! thread and nothing else. Answers do not come this way.
//!
//! The sockets have abstract names, which need no disk, but to which any program on the machine
//! could connect in the moment they exist. So tiny_http is given a socket only when its queue is
//! full, with a connection of ours, and it is shut.

use std::io::{self, ErrorKind, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::panic;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::TryRng;
use rand::rngs::SysRng;
use rustix::io::Errno;
use rustix::net::{AddressFamily, Shutdown, SocketAddrUnix, SocketFlags, SocketType};

use crate::clock::Clock;
use crate::front::StartError;
use crate::http::Request;
use crate::server;

/// How long a request waits for a server: longer than any server is borrowed, unless all are stuck.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a request may take through tiny_http. It is complete, so that takes some hundredths of
/// a millisecond unless the machine stands still.
const PASSAGE: Duration = Duration::from_secs(30);
/// How often another program may be first to connect: only one that tries hard ever is.
const TRIES: usize = 20;
/// How long tiny_http may take to accept its connection at the start.
const OPENING: Duration = Duration::from_secs(10);

/// The tiny_http servers.
pub struct Relay {
    pool: Mutex<Pool>,
    freed: Condvar,
    patience: Duration,
}

struct Pool {
    free: Vec<Inner>,
    /// Servers that are free or lent; broken ones are gone.
    open: usize,
    /// Requests that wait for a server.
    waiting: usize,
}

/// A server with the only connection it will ever have, and our end of that.
struct Inner {
    /// Never dropped: that would make tiny_http look for the socket's name on a disk.
    server: &'static tiny_http::Server,
    stream: UnixStream,
}

/// Why a request did not pass.
#[derive(Debug)]
pub enum Failure {
    /// No server became free in time.
    Busy,
    /// The server broke. The request has not been carried out.
    Broken(io::Error),
}

impl Relay {
    /// Makes this many servers.
    ///
    /// # Errors
    ///
    /// If descriptors or threads are missing, or the system has no such sockets.
    pub fn open(servers: usize) -> Result<Self, StartError> {
        let free: io::Result<Vec<Inner>> = (0..servers).map(|_| Inner::open()).collect();
        let free = free.map_err(cannot_open)?;
        Ok(Self {
            pool: Mutex::new(Pool {
                open: free.len(),
                free,
                waiting: 0,
            }),
            freed: Condvar::new(),
            patience: PATIENCE,
        })
    }

    /// Carries one complete request; gives it as the handlers see it.
    ///
    /// # Errors
    ///
    /// If no server took the request, or the server broke; the next request may find one that
    /// works.
    pub fn carry(&self, request: &[u8], clock: &Clock) -> Result<Request, Failure> {
        let mut inner = self.borrow()?;
        match inner.carry(request, clock) {
            Ok(request) => {
                self.give_back(inner);
                Ok(request)
            }
            Err(error) => {
                self.replace(inner);
                Err(Failure::Broken(error))
            }
        }
    }

    fn borrow(&self) -> Result<Inner, Failure> {
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
        if let Some(inner) = pool.free.pop() {
            return Ok(inner);
        }
        if pool.open > 0 {
            return Err(Failure::Busy);
        }
        // All servers have broken, and none could be replaced.
        pool.open += 1;
        drop(pool);
        Inner::open().map_err(|error| {
            self.lock().open -= 1;
            Failure::Broken(error)
        })
    }

    fn give_back(&self, inner: Inner) {
        let mut pool = self.lock();
        pool.free.push(inner);
        let wanted = pool.waiting > 0;
        drop(pool);
        // Notifying costs a system call even if nobody waits.
        if wanted {
            self.freed.notify_one();
        }
    }

    /// Replaces a server that broke.
    fn replace(&self, broken: Inner) {
        // Dropped first, so that its descriptors are free for the new one.
        drop(broken);
        match Inner::open() {
            Ok(inner) => self.give_back(inner),
            Err(error) => {
                let mut pool = self.lock();
                pool.open = pool.open.saturating_sub(1);
                let left = pool.open;
                drop(pool);
                tracing::error!(%error, left, "cannot open another inner connection");
                // With none left, those who wait have nothing to wait for.
                self.freed.notify_all();
            }
        }
    }

    /// A push or a pop either happened or did not: the pool is whole after any panic.
    fn lock(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Starts a server with its connection, for which it has a thread of its own.
    fn open() -> io::Result<Self> {
        let (listener, stream) = full_queue()?;
        let server: &'static tiny_http::Server = Box::leak(Box::new(server_on(listener)?));
        let mut inner = Self { server, stream };
        inner.stream.write_all(b"GET / HTTP/1.1\r\n\r\n")?;
        let (mut served, mut shut) = (false, false);
        while !served || !shut {
            match server.recv_timeout(OPENING) {
                Ok(Some(probe)) => {
                    drop(probe.into_writer());
                    served = true;
                }
                Ok(None) => return Err(ErrorKind::TimedOut.into()),
                // The server's loop has taken what was in the queue and ended, and the socket is
                // closed with it.
                Err(_) => shut = true,
            }
        }
        Ok(inner)
    }

    fn carry(&mut self, request: &[u8], clock: &Clock) -> io::Result<Request> {
        // The socket's buffer holds the largest request: nobody reads its body before all of it is
        // written.
        self.stream.write_all(request)?;
        server::receive(self.server, PASSAGE, clock)
    }
}

fn cannot_open(error: io::Error) -> StartError {
    // The error where systemd does not allow such sockets; std has no name for it.
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
    "let this program use Unix sockets: a systemd unit needs AF_UNIX in RestrictAddressFamilies";

/// As [`tiny_http::Server::from_listener`], which panics if it gets no thread; this gives an error.
fn server_on(listener: UnixListener) -> io::Result<tiny_http::Server> {
    let started = panic::catch_unwind(|| tiny_http::Server::from_listener(listener, None));
    let no_thread = |_| io::Error::other("no thread could be started");
    started.map_err(no_thread)?.map_err(io::Error::other)
}

/// A socket that is shut, with one connection in its queue, which is ours.
fn full_queue() -> io::Result<(UnixListener, UnixStream)> {
    for _ in 0..TRIES {
        let mut name = [0; 16];
        SysRng.try_fill_bytes(&mut name).map_err(io::Error::other)?;
        let name = format!("auth_user-{:032x}", u128::from_be_bytes(name));
        if let Some(ours) = queue_of_ours(name.as_bytes(), || ())? {
            return Ok(ours);
        }
    }
    Err(io::Error::other("other programs are always there first"))
}

/// As [`full_queue`]; `None` if the connection is somebody else's. The queue has room for no more
/// than one, so if ours is in it, nobody else's is. `meanwhile` is for tests.
fn queue_of_ours(
    name: &[u8],
    meanwhile: impl FnOnce(),
) -> io::Result<Option<(UnixListener, UnixStream)>> {
    let address = SocketAddrUnix::new_abstract_name(name)?;
    let socket = |flags| {
        let flags = flags | SocketFlags::CLOEXEC;
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
    };
    let listener = socket(SocketFlags::empty())?;
    rustix::net::bind(&listener, &address)?;
    // Linux lets one more connection wait than it is told.
    rustix::net::listen(&listener, 0)?;
    meanwhile();

    let connect = || -> io::Result<Option<UnixStream>> {
        let stream = socket(SocketFlags::NONBLOCK)?;
        match rustix::net::connect(&stream, &address).map_err(io::Error::from) {
            Ok(()) => Ok(Some(UnixStream::from(stream))),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    };
    let ours = connect()?;
    if ours.is_some() && connect()?.is_some() {
        return Err(io::Error::other("a queue takes more than it is told to"));
    }
    rustix::net::shutdown(&listener, Shutdown::Read)?;
    let Some(stream) = ours else {
        return Ok(None);
    };
    stream.set_nonblocking(false)?;
    stream.set_write_timeout(Some(PASSAGE))?;
    Ok(Some((UnixListener::from(listener), stream)))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::SocketAddr;

    use super::*;

    const REQUEST: &[u8] = b"GET /here HTTP/1.1\r\nauth-user-client: ::1\r\n\r\n";

    /// A relay of one server.
    fn relay() -> Relay {
        let mut relay = Relay::open(1).unwrap();
        relay.patience = Duration::from_millis(20);
        relay
    }

    fn passes(relay: &Relay) -> bool {
        let request = relay.carry(REQUEST, &Clock::start());
        request.is_ok_and(|request| request.path == "/here")
    }

    #[test]
    fn nobody_can_knock_once_the_sockets_are_open() {
        let relay = Relay::open(9).unwrap();
        let pool = relay.lock();
        assert_eq!((pool.free.len(), pool.open), (9, 9));
        for inner in &pool.free {
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
        let mut stranger = None;
        let ours = queue_of_ours(name.as_bytes(), || {
            stranger = Some(UnixStream::connect_addr(&address).unwrap());
        });
        assert!(ours.unwrap().is_none());
        // The socket is gone, and with it any connection that waited there.
        let mut byte = [0];
        assert!(!matches!(stranger.unwrap().read(&mut byte), Ok(1..)));

        let (listener, _ours) = queue_of_ours(name.as_bytes(), || ()).unwrap().unwrap();
        assert!(UnixStream::connect_addr(&address).is_err());
        listener.accept().unwrap();
        assert!(listener.accept().is_err());
    }

    #[test]
    fn a_request_without_a_free_server_is_told_so() {
        let relay = relay();
        let taken = relay.borrow().unwrap();

        let told = relay.carry(REQUEST, &Clock::start());

        assert!(matches!(told, Err(Failure::Busy)));
        relay.give_back(taken);
        assert!(passes(&relay));
    }

    #[test]
    fn a_server_is_free_before_its_request_is_answered() {
        let relay = relay();
        let requests: Vec<Request> = (0..3)
            .map(|_| relay.carry(REQUEST, &Clock::start()).unwrap())
            .collect();
        assert_eq!(requests.len(), 3);
    }

    #[test]
    fn the_largest_request_passes() {
        let relay = relay();
        let (field, body) = ("x".repeat(64 << 10), "y".repeat(64 << 10));
        let length = body.len();
        let request = format!(
            "POST / HTTP/1.1\r\ncookie: {field}\r\ncontent-length: {length}\r\n\
             auth-user-client: ::1\r\n\r\n{body}"
        );
        for _ in 0..3 {
            let received = relay.carry(request.as_bytes(), &Clock::start()).unwrap();
            assert_eq!(received.body, body.as_bytes());
        }
    }

    #[test]
    fn what_is_no_request_breaks_one_server_and_another_takes_its_place() {
        for nonsense in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            b"GET / HTTP/1.1\r\nauth-user-client: me\r\n\r\n",
        ] {
            let relay = relay();
            let Err(Failure::Broken(_)) = relay.carry(nonsense, &Clock::start()) else {
                panic!("taken for a request");
            };
            assert!(passes(&relay));
            assert_eq!(relay.lock().open, 1);
        }
    }

    #[test]
    fn a_server_whose_connection_ends_is_replaced() {
        let relay = relay();
        relay.lock().free[0]
            .stream
            .shutdown(std::net::Shutdown::Both)
            .unwrap();
        assert!(!passes(&relay));
        assert!(passes(&relay));
    }

    #[test]
    fn without_any_server_left_the_next_request_opens_one() {
        let relay = relay();
        let mut pool = relay.lock();
        pool.free.clear();
        pool.open = 0;
        drop(pool);
        assert!(passes(&relay));
        assert_eq!(relay.lock().open, 1);
        assert!(passes(&relay));
    }
}
