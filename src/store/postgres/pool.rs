//! The connections of a node: few, and each for one at a time.
//!
//! Once the database is found to be away nobody waits for it any more: whoever comes is refused at
//! once, until the one who asks again and again, [`Pool::probe`], has had an answer.

use std::ops::{Deref, DerefMut};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::store::postgres::connection::{Connection, For, NoHost};
use crate::store::postgres::tls::Trust;
use crate::store::postgres::url::Url;

/// Most connections that are open at the same time. A node is allowed ten; what is not among these
/// is for what must not wait behind visitors.
const MOST: usize = 8;

/// Most who wait for a connection at the same time: more would keep all threads from what needs no
/// database.
const MOST_WAITING: usize = 32;

/// Connections to one database.
///
/// No `Debug`: they know the password.
pub(super) struct Pool {
    url: Url,
    trust: Option<Trust>,
    kept: Mutex<Kept>,
    freed: Condvar,
}

#[derive(Default)]
struct Kept {
    idle: Vec<Connection>,
    /// Idle or lent.
    open: usize,
    /// How many wait for one.
    waiting: usize,
    away: Option<Away>,
}

/// Since when the database has been away, and why.
struct Away {
    since: Instant,
    why: String,
}

/// Why there is no connection.
pub(super) enum NoConnection {
    /// All are in use, or the database has none to give.
    Busy,
    /// With the reason.
    Away(String),
}

impl Pool {
    pub(super) fn new(url: Url, trust: Option<Trust>) -> Self {
        Self {
            url,
            trust,
            kept: Mutex::default(),
            freed: Condvar::new(),
        }
    }

    /// A connection, which goes back when it is dropped.
    ///
    /// # Errors
    ///
    /// If none comes before `end`.
    pub(super) fn lend(&self, end: Instant) -> Result<Lent<'_>, NoConnection> {
        let mut kept = self.kept();
        loop {
            if let Some(away) = &kept.away {
                return Err(NoConnection::Away(away.why.clone()));
            }
            if let Some(idle) = kept.idle.pop() {
                return Ok(Lent::new(self, idle));
            }
            if kept.open < MOST {
                kept.open += 1;
                drop(kept);
                let opened = self.open(end);
                return opened.map(|new| Lent::new(self, new)).map_err(|none| {
                    self.give_up();
                    match none.is_full() {
                        true => NoConnection::Busy,
                        false => NoConnection::Away(self.note_away(none.reasons())),
                    }
                });
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || kept.waiting >= MOST_WAITING {
                return Err(NoConnection::Busy);
            }
            kept.waiting += 1;
            let waited = self.freed.wait_timeout(kept, left);
            kept = waited.unwrap_or_else(PoisonError::into_inner).0;
            kept.waiting -= 1;
        }
    }

    /// Whether the database does not answer.
    pub(super) fn is_away(&self) -> bool {
        self.kept().away.is_some()
    }

    /// A new connection, beside all others and never kept.
    pub(super) fn open(&self, end: Instant) -> Result<Connection, NoHost> {
        let trust = self.trust.as_ref();
        let writing = Connection::open(&self.url, trust, For::Writing, end);
        match writing {
            // What only reads goes on.
            Err(none) if none.would_be_read() && !self.url.wants_writes => {
                Connection::open(&self.url, trust, For::Reading, end)
            }
            opened => opened,
        }
    }

    /// Connects if the database is away, or asks on this connection, and notes how it stands. Gives
    /// the connection on, or another; `None` if there is none.
    pub(super) fn probe(&self, kept: Option<Connection>, limit: Duration) -> Option<Connection> {
        let mut usable = kept.filter(|kept| !kept.is_lost());
        if let Some(connection) = &mut usable {
            let asked = connection.call(limit, async |client| client.check_connection().await);
            if asked.is_ok() {
                self.note_back();
                return usable;
            }
        }
        match self.open(Instant::now() + limit) {
            Ok(connection) => {
                self.note_back();
                Some(connection)
            }
            // It answers, if only by that.
            Err(none) if none.is_full() => None,
            Err(none) => {
                self.note_away(none.reasons());
                None
            }
        }
    }

    /// Notes that the database does not answer, once, and gives the reason back.
    fn note_away(&self, why: String) -> String {
        let mut kept = self.kept();
        if kept.away.is_none() {
            tracing::error!(reason = why, "the database is away");
            let since = Instant::now();
            kept.away = Some(Away {
                since,
                why: why.clone(),
            });
        }
        // None of them has heard anything since.
        kept.open -= kept.idle.len();
        kept.idle.clear();
        drop(kept);
        self.freed.notify_all();
        why
    }

    fn note_back(&self) {
        if let Some(away) = self.kept().away.take() {
            let seconds = away.since.elapsed().as_secs();
            tracing::info!(seconds, "the database is back");
        }
    }

    fn give_back(&self, connection: Connection) {
        if connection.is_lost() {
            let is_silent = connection.is_silent();
            drop(connection);
            self.give_up();
            if is_silent {
                self.note_away("it does not answer".to_owned());
            }
        } else {
            self.kept().idle.push(connection);
            self.freed.notify_one();
        }
    }

    fn give_up(&self) {
        self.kept().open -= 1;
        self.freed.notify_one();
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Every change of it is done in one step.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that goes back when it is dropped.
pub(super) struct Lent<'a> {
    pool: &'a Pool,
    /// `None` only while it is being dropped.
    connection: Option<Connection>,
}

impl<'a> Lent<'a> {
    fn new(pool: &'a Pool, connection: Connection) -> Self {
        Self {
            pool,
            connection: Some(connection),
        }
    }
}

impl Deref for Lent<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
            .as_ref()
            .expect("it is there until it is dropped")
    }
}

impl DerefMut for Lent<'_> {
    fn deref_mut(&mut self) -> &mut Connection {
        self.connection
            .as_mut()
            .expect("it is there until it is dropped")
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.pool.give_back(connection);
        }
    }
}
