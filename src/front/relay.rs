//! Hands a request to tiny_http over a private Unix socket and brings the answer back.
//!
//! The connections are opened at start and then the socket's name is removed, so nobody else can
//! ever knock and tiny_http never accepts under pressure. One request at a time is on each. An
//! answer is a length of four bytes (big endian) and as many bytes: no HTTP is parsed here.

use std::env;
use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::TryRng;
use rand::rngs::SysRng;

/// How long a request waits for a connection: longer than any answer takes unless all are stuck.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a client waits for an answer before it hears that the server is busy.
const SLOW: Duration = Duration::from_secs(30);
/// How long tiny_http gets to take up one connection at start.
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

impl Relay {
    /// Makes a tiny_http server and opens all connections to it.
    ///
    /// # Errors
    ///
    /// When the directory for temporary files cannot be written, or descriptors or threads are
    /// missing. Nothing stays behind.
    pub fn open(connections: usize) -> io::Result<(tiny_http::Server, Self)> {
        let room = PrivateDirectory::make()?;
        let path = room.path.join("s");
        let listener = UnixListener::bind(&path)?;
        let server = tiny_http::Server::from_listener(listener, None).map_err(io::Error::other)?;

        let mut free = Vec::with_capacity(connections);
        for _ in 0..connections {
            free.push(connect(&path, &server)?);
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
        Ok((server, relay))
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

/// Opens a connection and waits until a thread of tiny_http serves it. Its pool of threads loses
/// count when connections come quickly, and one it forgot would never be served.
fn connect(path: &Path, server: &tiny_http::Server) -> io::Result<UnixStream> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(SLOW))?;
    stream.set_write_timeout(Some(SLOW))?;
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n")?;
    let probe = server.recv_timeout(OPENING)?.ok_or(ErrorKind::TimedOut)?;
    let mut writer = probe.into_writer();
    writer.write_all(&0_u32.to_be_bytes())?;
    writer.flush()?;
    drop(writer);
    read_answer(&mut stream)?;
    Ok(stream)
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

/// A directory for the socket that only this user can enter, gone when dropped.
struct PrivateDirectory {
    path: PathBuf,
}

impl PrivateDirectory {
    fn make() -> io::Result<Self> {
        let mut name = [0; 16];
        SysRng.try_fill_bytes(&mut name).map_err(io::Error::other)?;
        let name = format!("auth_user-{:032x}", u128::from_be_bytes(name));
        let path = env::temp_dir().join(name);
        DirBuilder::new().mode(0o700).create(&path)?;
        let made = Self { path };
        // A strange umask may have taken rights from us as well.
        fs::set_permissions(&made.path, Permissions::from_mode(0o700))?;
        Ok(made)
    }
}

impl Drop for PrivateDirectory {
    fn drop(&mut self) {
        // Nothing is lost with a directory that stays: its name is random and nobody listens.
        let _ = fs::remove_dir_all(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    /// A relay of one connection whose requests are given to the test.
    fn relay() -> (tiny_http::Server, Relay) {
        let (server, mut relay) = Relay::open(1).unwrap();
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
    fn nothing_of_the_socket_can_be_found_once_it_is_open() {
        let (server, _relay) = Relay::open(1).unwrap();
        let address = server.server_addr().to_unix().unwrap();
        let path = address.as_pathname().unwrap();
        assert!(!path.exists());
        assert!(!path.parent().unwrap().exists());
    }

    #[test]
    fn the_directory_of_the_socket_is_closed_to_others() {
        let directory = PrivateDirectory::make().unwrap();
        let mode = fs::metadata(&directory.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn a_request_without_a_free_connection_is_told_so() {
        let (server, relay) = relay();
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
        drop(server);
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
