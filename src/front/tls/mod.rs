//! TLS: the only part of `front` that uses rustls. The certificate is read, served, and read again
//! when its files change; if the new one is bad, it is refused and the old one stays.

mod made;
mod pair;

use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::UnixTime;
use rustls::server::{ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, ServerConnection};

use crate::clock;
use crate::front::StartError;
use crate::front::socket::{Socket, Wire};
use crate::front::tls::pair::{Pair, Stamp};

/// The certificate's files, and how they are judged.
pub struct Files {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// The host of the public URL, which the certificate should name.
    pub host: String,
    /// A key that others can read is a warning, not an error.
    pub allow_open_key: bool,
}

/// The TLS side of the front.
pub struct Tls {
    files: Files,
    config: Arc<ServerConfig>,
    served: Arc<Served>,
    /// Locked while files are read, made and synced; no request ever takes this lock.
    watched: Mutex<Watched>,
    /// Whether somebody asked for the files to be read again.
    asked: AtomicBool,
}

struct Watched {
    /// The files as they were at the last look.
    seen: Stamp,
    /// The files as they were when they were last read, whether they were accepted or refused.
    judged: Stamp,
    /// After a failed renewal, no other before this moment (seconds since 1970).
    next_renewal: u64,
}

/// A failed renewal is tried again after an hour: there are weeks left.
const RENEWAL_PAUSE: u64 = 3600;

impl Tls {
    /// Reads the pair, or makes one if there is neither certificate nor key. `wall` is the time in
    /// seconds since 1970.
    ///
    /// # Errors
    ///
    /// If a file is missing, unreadable or not what it should be, or the key is open to others.
    pub fn open(files: Files, wall: u64) -> Result<Self, StartError> {
        made::ensure(&files, wall)?;
        // Taken before the files are read, so that a change in the meantime is seen at the first
        // look.
        let mut stamp = Stamp::of(&files);
        let mut pair = pair::load(&files)?;
        if made::is_to_be_renewed(&pair, &files, wall) {
            match made::renew(&files, wall).map_err(made::cannot_renew(&files)) {
                Ok(()) => {
                    stamp = Stamp::of(&files);
                    pair = pair::load(&files)?;
                    tracing::info!(sha256 = %pair.fingerprint(), "renewed the certificate");
                }
                // The old one is served as it is, with the warnings that belong to it.
                Err(error) => tracing::error!(%error, "the certificate stays as it is"),
            }
        }
        pair.warn(&files, wall);

        let served = Arc::new(Served {
            key: RwLock::new(Arc::clone(&pair.key)),
            made_here: AtomicBool::new(pair.made_here),
            not_after: AtomicI64::new(pair.not_after),
        });
        Ok(Self {
            config: Arc::new(config(&served).map_err(|error| StartError {
                what: format!("set up TLS: {error}"),
                hint: "see whether the system has randomness to give".to_owned(),
            })?),
            files,
            served,
            watched: Mutex::new(Watched {
                seen: stamp.clone(),
                judged: stamp,
                next_renewal: 0,
            }),
            asked: AtomicBool::new(false),
        })
    }

    /// Judges the files as [`Tls::open`] does, says the same in the log, and changes nothing. Gives
    /// what would become of them.
    ///
    /// # Errors
    ///
    /// As [`Tls::open`].
    pub fn look(files: &Files, wall: u64) -> Result<String, StartError> {
        if made::foresee(files)? == made::Foreseen::Make {
            // Named, since a path that was mistyped is a certificate that is not there.
            return Ok(format!(
                "a certificate will be made: {:?}",
                files.certificate
            ));
        }
        let pair = pair::load(files)?;
        if made::is_to_be_renewed(&pair, files, wall) {
            return Ok("the certificate will be renewed".to_owned());
        }
        pair.warn(files, wall);
        Ok("the certificate and its key belong together".to_owned())
    }

    /// Whether the certificate in use is one that this program made.
    pub fn is_made_here(&self) -> bool {
        self.served.made_here.load(Ordering::Acquire)
    }

    /// The end of the certificate in use, in seconds since 1970.
    pub fn not_after(&self) -> i64 {
        self.served.not_after.load(Ordering::Acquire)
    }

    /// Has the next look read the files again, changed or not.
    pub fn reload_soon(&self) {
        self.asked.store(true, Ordering::Release);
    }

    /// Looks whether the files have changed, or a certificate made here is about to end. Call this
    /// every half second or so; `wall` is the time in seconds since 1970. A change is taken up at
    /// the second look that finds the files alike, so that two files copied one after the other are
    /// read together.
    pub fn poll(&self, wall: u64) {
        let now = Stamp::of(&self.files);
        let mut watched = self.watched();
        if self.asked.swap(false, Ordering::AcqRel) {
            self.take_up(&mut watched, now, wall);
        } else if watched.seen != now {
            watched.seen = now;
        } else if watched.judged != now {
            self.take_up(&mut watched, now, wall);
        }
        drop(watched);
        self.renew_if_due(wall);
    }

    /// Makes the handshake with a client, until the socket's deadline at the latest.
    pub fn accept(&self, socket: Socket) -> io::Result<TlsWire> {
        let mut connection =
            ServerConnection::new(Arc::clone(&self.config)).map_err(io::Error::other)?;
        // Answers are bounded, so a limit would only cut them into several writes.
        connection.set_buffer_limit(None);
        let mut wire = TlsWire { connection, socket };
        while wire.connection.is_handshaking() {
            wire.connection.complete_io(&mut wire.socket)?;
        }
        wire.send()?;
        Ok(wire)
    }

    fn take_up(&self, watched: &mut Watched, stamp: Stamp, wall: u64) {
        watched.seen = stamp.clone();
        watched.judged = stamp;
        match pair::load(&self.files) {
            Ok(pair) => {
                pair.warn(&self.files, wall);
                tracing::info!(sha256 = %pair.fingerprint(), "took up the certificate");
                self.serve(pair);
            }
            Err(error) => {
                tracing::error!(%error, "the new certificate is refused; the old one stays");
            }
        }
    }

    fn serve(&self, pair: Pair) {
        let served = &self.served;
        *served.key.write().unwrap_or_else(PoisonError::into_inner) = pair.key;
        served.made_here.store(pair.made_here, Ordering::Release);
        served.not_after.store(pair.not_after, Ordering::Release);
    }

    fn renew_if_due(&self, wall: u64) {
        let mut watched = self.watched();
        if !self.is_made_here() || !made::is_due(self.not_after(), wall) {
            return;
        }
        if wall < watched.next_renewal {
            return;
        }
        watched.next_renewal = wall.saturating_add(RENEWAL_PAUSE);
        match made::renew(&self.files, wall) {
            Ok(()) => self.take_up(&mut watched, Stamp::of(&self.files), wall),
            Err(error) => {
                let error = made::cannot_renew(&self.files)(error);
                tracing::error!(%error, hint = error.hint, "the certificate stays as it is");
            }
        }
    }

    /// Each field is written independently: at worst, a panic costs one more look at the files.
    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn config(served: &Arc<Served>) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_details(provider, Arc::new(SystemClock))
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(served) as Arc<dyn ResolvesServerCert>);
    config.alpn_protocols = vec![b"http/1.1".to_vec(), b"http/1.0".to_vec()];
    // Sessions are resumed with tickets, so that strangers fill no table here.
    if !is_before_1970() {
        config.ticketer = Arc::new(Tickets(aws_lc_rs::Ticketer::new()?));
    }
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

/// rustls' tickets, which ask for the time themselves and panic if it is before 1970.
#[derive(Debug)]
struct Tickets(Arc<dyn ProducesTickets>);

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        self.0.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.0.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        (!is_before_1970()).then(|| self.0.encrypt(plain)).flatten()
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        (!is_before_1970())
            .then(|| self.0.decrypt(cipher))
            .flatten()
    }
}

fn is_before_1970() -> bool {
    clock::since_epoch().is_zero()
}

/// rustls' own clock panics before 1970 too.
#[derive(Debug)]
struct SystemClock;

impl TimeProvider for SystemClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(clock::since_epoch()))
    }
}

/// The pair in use: new handshakes get the newest one, open connections keep theirs.
struct Served {
    key: RwLock<Arc<CertifiedKey>>,
    /// Whether the pair was made here.
    made_here: AtomicBool,
    /// The end of the certificate (seconds since 1970).
    not_after: AtomicI64,
}

impl ResolvesServerCert for Served {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.key.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&current))
    }
}

/// Required by the trait; shows nothing, since a key is inside.
impl fmt::Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Served")
    }
}

/// A connection after its handshake.
pub struct TlsWire {
    connection: ServerConnection,
    socket: Socket,
}

impl TlsWire {
    fn send(&mut self) -> io::Result<()> {
        while self.connection.wants_write() {
            self.connection.write_tls(&mut self.socket)?;
        }
        Ok(())
    }
}

impl Read for TlsWire {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.connection.reader().read(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
            self.connection.read_tls(&mut self.socket)?;
            let outcome = self.connection.process_new_packets();
            // A key update needs an answer, an error an alert.
            let sent = self.send();
            outcome.map_err(io::Error::other)?;
            sent?;
        }
    }
}

impl Write for TlsWire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.connection.writer().write(bytes)?;
        self.send()?;
        Ok(taken)
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let taken = self.connection.writer().write_vectored(parts)?;
        self.send()?;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}

impl Wire for TlsWire {
    fn socket(&mut self) -> &mut Socket {
        &mut self.socket
    }

    fn say_goodbye(&mut self) {
        self.connection.send_close_notify();
        // A client that is gone needs no goodbye.
        let _ = self.send();
    }
}

#[cfg(test)]
mod tests;
