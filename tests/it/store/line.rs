//! A line to the database that is slow, freezes, goes dead or is cut.

use std::collections::HashSet;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::cluster::Cluster;
use crate::harness::Setup;
use crate::operator::run;
use crate::store::{on, with_key};

/// What becomes of what is said.
#[derive(Default)]
struct Fate {
    /// It goes nowhere, and nobody hears of that.
    is_dead: AtomicBool,
    /// It arrives once this is over.
    is_frozen: AtomicBool,
    /// Nobody gets through.
    is_cut: AtomicBool,
    /// It arrives so many milliseconds later.
    delay: AtomicU64,
    /// The line goes dead behind the next COMMIT of a change, which arrives.
    dies_at_commit: AtomicBool,
    /// Both ends of all that was connected, to be cut.
    ends: Mutex<Vec<TcpStream>>,
}

impl Fate {
    fn is(&self, what: &AtomicBool) -> bool {
        what.load(Ordering::SeqCst)
    }
}

/// The line, which ends with the process.
pub(crate) struct Line {
    port: u16,
    fate: Arc<Fate>,
}

impl Line {
    pub(crate) fn to(cluster: &Cluster) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (fate, server) = (Arc::new(Fate::default()), cluster.port);
        let of_all = Arc::clone(&fate);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let fate = Arc::clone(&of_all);
                thread::spawn(move || carry(&client, server, &fate));
            }
        });
        Self { port, fate }
    }

    /// A folder with a key, on a new database of this cluster behind this line.
    pub(crate) fn setup(&self, cluster: &Cluster) -> Setup {
        let (setup, _) = with_key();
        let database = cluster.database("secret");
        let port = self.port;
        let url = format!("postgres://{database}:secret@127.0.0.1:{port}/{database}");
        let (status, _, err) = run(&setup, &["store", "migrate", &url], b"");
        assert_eq!(status, 0, "{err}");
        on(&setup, &url).for_applications()
    }

    pub(crate) fn set_dead(&self, is_dead: bool) {
        self.fate.is_dead.store(is_dead, Ordering::SeqCst);
    }

    /// Has the line go dead behind the next COMMIT of a change.
    pub(crate) fn die_at_commit(&self) {
        self.fate.dies_at_commit.store(true, Ordering::SeqCst);
    }

    /// Whether that is still to come.
    pub(crate) fn is_to_die(&self) -> bool {
        self.fate.is(&self.fate.dies_at_commit)
    }

    #[cfg(feature = "long")]
    pub(crate) fn freeze(&self, is_frozen: bool) {
        self.fate.is_frozen.store(is_frozen, Ordering::SeqCst);
    }

    #[cfg(feature = "long")]
    pub(crate) fn delay(&self, delay: Duration) {
        let delay = u64::try_from(delay.as_millis()).unwrap();
        self.fate.delay.store(delay, Ordering::SeqCst);
    }

    /// Ends all that was connected, and refuses others, or ends that.
    #[cfg(feature = "long")]
    pub(crate) fn cut(&self, is_cut: bool) {
        self.fate.is_cut.store(is_cut, Ordering::SeqCst);
        if is_cut {
            for end in self.fate.ends.lock().unwrap().drain(..) {
                // Whoever has closed it already has done the same.
                let _ = end.shutdown(Shutdown::Both);
            }
        }
    }
}

fn carry(client: &TcpStream, server: u16, fate: &Fate) {
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).unwrap();
    for end in [client, &server] {
        end.set_nodelay(true).unwrap();
        fate.ends.lock().unwrap().push(end.try_clone().unwrap());
    }
    if fate.is(&fate.is_cut) {
        close(client, &server);
        return;
    }
    let mut listener = Listener::default();
    thread::scope(|scope| {
        scope.spawn(|| pass(&server, client, fate, |_| ()));
        pass(client, &server, fate, |bytes| {
            let commits = listener.hears_commit(bytes);
            if commits && fate.dies_at_commit.swap(false, Ordering::SeqCst) {
                fate.is_dead.store(true, Ordering::SeqCst);
            }
        });
    });
}

/// Passes on what one says to the other, and has `hear` hear it before.
fn pass(one: &TcpStream, other: &TcpStream, fate: &Fate, mut hear: impl FnMut(&[u8])) {
    let (said, heard) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::scope(|scope| {
        scope.spawn(move || {
            for (due, bytes) in heard {
                thread::sleep(due.saturating_duration_since(Instant::now()));
                while fate.is(&fate.is_frozen) {
                    thread::sleep(Duration::from_millis(2));
                }
                let mut other = other;
                if other.write_all(&bytes).is_err() {
                    break;
                }
            }
            close(one, other);
        });
        while let Some(bytes) = next(one) {
            let is_dead_already = fate.is(&fate.is_dead);
            hear(&bytes);
            let delay = Duration::from_millis(fate.delay.load(Ordering::SeqCst));
            if !is_dead_already && said.send((Instant::now() + delay, bytes)).is_err() {
                break;
            }
        }
        drop(said);
    });
}

fn next(mut stream: &TcpStream) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 65_536];
    let length = stream.read(&mut bytes).ok().filter(|length| *length > 0)?;
    bytes.truncate(length);
    Some(bytes)
}

fn close(one: &TcpStream, other: &TcpStream) {
    // Whoever has closed it already has done the same.
    let _ = one.shutdown(Shutdown::Both);
    let _ = other.shutdown(Shutdown::Both);
}

/// What leaves a change's witness, whose text goes over a connection only until it is prepared there.
const WITNESS: &[u8] = b"INSERT INTO change";

/// Follows what a client says ("Message Formats" in the documentation of PostgreSQL).
#[derive(Default)]
struct Listener {
    unread: Vec<u8>,
    has_begun: bool,
    /// The names of statements that leave a witness.
    witnesses: HashSet<Vec<u8>>,
    /// Whether the transaction is a change.
    is_change: bool,
}

impl Listener {
    /// Whether there is the COMMIT of a change in what comes now.
    fn hears_commit(&mut self, bytes: &[u8]) -> bool {
        self.unread.extend(bytes);
        let mut hears = false;
        while let Some((kind, body)) = self.message() {
            hears |= self.follow(kind, &body);
        }
        hears
    }

    /// The next message, if all of it is there. The first has no kind.
    fn message(&mut self) -> Option<(u8, Vec<u8>)> {
        let at = usize::from(self.has_begun);
        let length = self.unread.get(at..at + 4)?.try_into().unwrap();
        let end = at + usize::try_from(u32::from_be_bytes(length)).unwrap();
        let body = self.unread.get(at + 4..end)?.to_vec();
        let kind = if self.has_begun { self.unread[0] } else { 0 };
        self.unread.drain(..end);
        self.has_begun = true;
        Some((kind, body))
    }

    fn follow(&mut self, kind: u8, body: &[u8]) -> bool {
        let mut words = body.split(|byte| *byte == 0);
        let (first, second) = (words.next().unwrap_or(b""), words.next().unwrap_or(b""));
        match kind {
            // A statement by its name.
            b'P' if second.starts_with(WITNESS) => {
                self.witnesses.insert(first.to_vec());
            }
            b'P' => {
                self.witnesses.remove(first);
            }
            // It is to be done, as a portal by its name.
            b'B' => self.is_change |= self.witnesses.contains(second),
            b'Q' if first == b"COMMIT" => return std::mem::take(&mut self.is_change),
            b'Q' if first.starts_with(b"BEGIN") || first == b"ROLLBACK" => self.is_change = false,
            _ => {}
        }
        false
    }
}
