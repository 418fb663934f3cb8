//! Bytes from strangers end here: the accept loop, the caps, and a thread for each connection that
//! is not at rest.
//!
//! What leaves this module is a complete request in strict form, with the address it came from. The
//! front knows no users and no pages; it is given the function that writes its refusals.

pub mod address;
mod body;
mod connections;
mod conversation;
mod crowd;
mod foreign;
mod head;
mod lines;
mod listeners;
mod options;
mod passed_on;
mod patience;
pub mod relay;
pub mod request;
mod resting;
mod room;
mod socket;
mod threads;
mod timer;
pub mod tls;

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::clock::Clock;
use crate::front::connections::Connections;
use crate::front::listeners::Bell;
pub use crate::front::listeners::Listeners;
pub use crate::front::options::Options;
use crate::front::patience::Patience;
use crate::front::relay::Relay;
use crate::front::resting::Resting;
pub use crate::front::room::Room;
use crate::front::threads::Threads;
use crate::front::timer::Timer;
use crate::front::tls::Tls;
use crate::http::Response;
use crate::rejection::Rejection;
use crate::server::Service;

/// Why the program cannot start: what failed, and what to do. Printed as `auth_user: cannot …` and
/// `auth_user: hint: …`.
#[derive(Debug)]
pub struct StartError {
    pub what: String,
    pub hint: String,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}", self.what)
    }
}

impl std::error::Error for StartError {}

impl StartError {
    /// For whatever could not start its threads.
    pub fn no_threads(error: io::Error) -> Self {
        Self {
            what: format!("start threads: {error}"),
            hint:
                "raise the limit on processes or memory, for instance with ulimit -u and ulimit -v"
                    .to_owned(),
        }
    }
}

/// Makes the response to bytes that are not a request, from the client's `Accept` and the target,
/// as far as they are known. Gives what the log calls the refusal, too.
pub type Refuse =
    Box<dyn Fn(Rejection, Option<&str>, Option<&str>) -> (Response, &'static str) + Send + Sync>;

/// What the front works with, besides its options.
pub struct Parts {
    /// `None` for plain HTTP, behind a proxy that speaks TLS.
    pub tls: Option<Arc<Tls>>,
    pub service: Arc<Service>,
    pub refuse: Refuse,
    pub clock: Arc<Clock>,
}

/// The front, from the moment its port is open.
pub struct Front {
    /// `None` once they are closed.
    listeners: Mutex<Option<Listeners>>,
    shared: Arc<Shared>,
    stop: Arc<Stop>,
    bell: Bell,
}

/// What all connections share.
struct Shared {
    options: Options,
    tls: Option<Arc<Tls>>,
    relay: Relay,
    service: Arc<Service>,
    refuse: Refuse,
    clock: Arc<Clock>,
    connections: Arc<Connections>,
    threads: Arc<Threads>,
    resting: Arc<Resting>,
    patience: Patience,
    timer: Timer,
}

/// The pause between two tries when the system has run out of something.
const PAUSE: Duration = Duration::from_millis(100);
/// How long there must be no failure before a shortage counts as over.
const QUIET: Duration = Duration::from_secs(10);
/// The pause between two looks at the certificate's files.
const WATCH: Duration = Duration::from_millis(500);

/// Opens the port, so that its real number is known. Nobody is answered yet.
///
/// # Errors
///
/// If the port is taken, or this program may not use it.
pub fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let opened = TcpListener::bind(address)
        .and_then(|listener| listener.local_addr().map(|address| (listener, address)));
    opened.map_err(|error| StartError {
        what: format!("listen on {address}: {error}"),
        hint: remedy(address, &error),
    })
}

/// What to do about a port that cannot be opened.
fn remedy(address: SocketAddr, error: &io::Error) -> String {
    let port = address.port();
    let no_descriptors = matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE)
    );
    match error.kind() {
        ErrorKind::PermissionDenied if port < 1024 => format!(
            "ports below 1024 need a right: give it with `setcap cap_net_bind_service=+ep` on this \
             program, or by AmbientCapabilities=CAP_NET_BIND_SERVICE in a systemd unit; or take \
             another port, for instance --listen {}",
            SocketAddr::new(address.ip(), 8443)
        ),
        ErrorKind::AddrInUse => format!(
            "see what else listens there, for instance with `ss -ltnp 'sport = :{port}'`, or give \
             another address with --listen"
        ),
        ErrorKind::AddrNotAvailable => format!(
            "this machine has no address {}: see `ip address`, or listen on all with --listen {}",
            address.ip(),
            SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port)
        ),
        _ if no_descriptors => "raise the limit on open files: see ulimit -n".to_owned(),
        _ => "give another address with --listen, for instance --listen 127.0.0.1:8000".to_owned(),
    }
}

impl Front {
    /// # Errors
    ///
    /// If the system has no threads or descriptors to give, or not the sockets that the relay needs.
    pub fn new(listeners: Listeners, options: Options, parts: Parts) -> Result<Self, StartError> {
        Self::timed_by(Timer::default(), listeners, options, parts)
    }

    fn timed_by(
        timer: Timer,
        listeners: Listeners,
        options: Options,
        parts: Parts,
    ) -> Result<Self, StartError> {
        let relay = Relay::open(options.room.inner)?;
        let threads = Arc::<Threads>::default();
        let resting = Resting::start(Arc::clone(&threads), timer.clone());
        let resting = resting.map_err(StartError::no_threads)?;
        let most = options.room.connections;
        let connections = Connections::new(most, options.connections_per_address);
        Ok(Self {
            listeners: Mutex::new(Some(listeners)),
            bell: Bell::new().map_err(StartError::no_threads)?,
            shared: Arc::new(Shared {
                options,
                tls: parts.tls,
                relay,
                service: parts.service,
                refuse: parts.refuse,
                clock: parts.clock,
                connections,
                resting,
                threads,
                patience: Patience::new(timer.now()),
                timer,
            }),
            stop: Arc::default(),
        })
    }

    /// Serves until [`Front::stop`] is called, then lets requests under way finish. False if some
    /// were not finished in time.
    pub fn serve(&self) -> bool {
        self.accept_until_stopped();
        let (connections, options) = (&self.shared.connections, &self.shared.options);
        connections.stop();
        let first = options.first.min(options.grace);
        let mut finished = connections.wait_until_empty(first);
        if !finished {
            connections.close_new();
            finished = connections.wait_until_empty(options.grace.saturating_sub(first));
        }
        self.shared.resting.stop();
        finished
    }

    /// Starts the thread that takes up a new certificate. Nobody waits for this thread at the end,
    /// since it may be waiting for a disk.
    ///
    /// # Errors
    ///
    /// If the system has no thread to give.
    pub fn watch_certificate(&self) -> io::Result<()> {
        let Some(tls) = self.shared.tls.clone() else {
            return Ok(());
        };
        let (stop, clock) = (Arc::clone(&self.stop), Arc::clone(&self.shared.clock));
        thread::Builder::new()
            .name("certificate".to_owned())
            .spawn(move || {
                while !stop.wait(WATCH) {
                    tls.poll(clock.now().wall);
                }
            })
            .map(drop)
    }

    /// Has the certificate read again at the next look. Never waits.
    pub fn reload_certificate(&self) {
        if let Some(tls) = &self.shared.tls {
            tls.reload_soon();
        }
    }

    /// Makes `serve` return; may be called from any thread, and more than once.
    pub fn stop(&self) {
        self.stop.order();
        self.bell.ring();
    }

    /// How long ago [`Front::stop`] was first called; zero if it was not.
    pub fn since_stop(&self) -> Duration {
        self.stop.since()
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.shared.connections.count()
    }

    /// Takes connections until the front is stopped, then closes the port. What waits in a socket
    /// that is shared is left to whoever shares it.
    fn accept_until_stopped(&self) {
        // One value, taken whole.
        let mut listeners = self
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(listeners) = listeners.take() else {
            return;
        };
        let mut shortage = Shortage::default();
        let mut turn = 0;
        while !self.stop.is_ordered() {
            match listeners.accept(&self.bell, &mut turn).transpose() {
                None => return,
                Some(Ok((stream, peer))) => match self.start(stream, peer) {
                    Ok(()) => shortage.ease(),
                    // The next in the queue is tried at once, or the queue would drain slowly.
                    Err(error) => self.make_room(&mut shortage, &error),
                },
                Some(Err(error)) if is_the_clients(&error) => {}
                Some(Err(error)) => {
                    self.make_room(&mut shortage, &error);
                    self.stop.wait(PAUSE);
                }
            }
        }
    }

    fn make_room(&self, shortage: &mut Shortage, error: &io::Error) {
        shortage.log(error);
        self.shared.connections.close_longest_waiting();
    }

    /// Starts a connection's thread. A connection beyond the caps is closed at once.
    ///
    /// # Errors
    ///
    /// When the system has no thread to give.
    fn start(&self, stream: TcpStream, peer: SocketAddr) -> io::Result<()> {
        let peer = peer.ip().to_canonical();
        // An answer leaves in one write; waiting to fill a packet would only delay it.
        if stream.set_nodelay(true).is_err() {
            return Ok(());
        }
        let stream = Arc::new(stream);
        let trusted = address::is_trusted(peer, &self.shared.options.trusted_proxies);
        let seat = self
            .shared
            .connections
            .admit(Arc::clone(&stream), peer, trusted);
        let Some(seat) = seat else {
            tracing::debug!(%peer, "too many connections");
            return Ok(());
        };
        let shared = Arc::clone(&self.shared);
        let work = move || conversation::hold(shared, seat, stream, peer);
        self.shared.threads.run(work)
    }
}

/// Whether an error of accept concerns one client and not us.
fn is_the_clients(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted
    )
}

/// A time in which descriptors, threads or memory are short; logged once at each end.
#[derive(Default)]
struct Shortage {
    last: Option<Instant>,
}

impl Shortage {
    fn log(&mut self, error: &io::Error) {
        if self.last.replace(Instant::now()).is_none() {
            tracing::error!(%error, "cannot take connections for the moment");
        }
    }

    /// Notes that a connection was taken. During a shortage, a connection that ends lets another
    /// one in now and then, so some quiet must pass before the shortage counts as over.
    fn ease(&mut self) {
        if self.last.is_some_and(|last| last.elapsed() >= QUIET) {
            tracing::info!("taking connections again");
            self.last = None;
        }
    }
}

/// An order that is given once and that a thread can wait for.
#[derive(Default)]
struct Stop {
    ordered: Mutex<Option<Instant>>,
    given: Condvar,
}

impl Stop {
    fn order(&self) {
        self.lock().get_or_insert_with(Instant::now);
        self.given.notify_all();
    }

    fn is_ordered(&self) -> bool {
        self.lock().is_some()
    }

    fn since(&self) -> Duration {
        self.lock().map_or(Duration::ZERO, |at| at.elapsed())
    }

    /// Waits for the order, but no longer than `at_most`. True once it was given.
    fn wait(&self, at_most: Duration) -> bool {
        let (ordered, _) = self
            .given
            .wait_timeout_while(self.lock(), at_most, |ordered| ordered.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        ordered.is_some()
    }

    /// Only one value is written: a panic cannot leave it half done.
    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.ordered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
