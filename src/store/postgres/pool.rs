//! The connections of a node: few, and each for one at a time, in turn where many wait.
//!
//! Once the database is found to be away nobody waits for it any more: whoever comes is refused at
//! once, until the one who asks again and again, [`Pool::probe`], has had an answer. What was
//! connected before it went away, became read-only or came back is not used after that: another host
//! may take the writes now.
//!
//! The host in use is asked first whenever somebody connects, whatever its place in the URL: one that
//! was left and comes back may believe that it is still the one that takes writes.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::store::postgres::connection::{Connection, GIVES_UP};
use crate::store::postgres::hosts::{For, NoHost};
use crate::store::postgres::shared::left;
use crate::store::postgres::standing::{Standing, State};
use crate::store::postgres::tls::Trust;
use crate::store::postgres::url::Url;

/// Most connections that are open at the same time. A node is allowed ten; what is not among these
/// is for what must not wait behind visitors.
const MOST: usize = 8;

/// Most visitors who wait for a connection at the same time: the places of the others are for what
/// needs no database.
const MOST_WAITING: usize = 256;

/// How long whoever comes by may be quicker than those who wait. To wake somebody for each connection
/// that is given back takes longer than most questions; nobody is to wait for many times that.
const SOON: Duration = Duration::from_millis(2);

/// How long the host that is used may be silent before others are asked beside it: one of them may have
/// become the one that takes writes.
const SILENT: Duration = Duration::from_secs(1);

/// Connections to one database.
///
/// No `Debug`: they know the password.
pub(super) struct Pool {
    url: Url,
    trust: Option<Trust>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    idle: Vec<Connection>,
    /// Idle or lent.
    open: usize,
    /// Those who wait for one, the first who came at the front.
    line: VecDeque<Arc<Waiting>>,
    standing: Standing,
    /// The place in the URL of the host that was found to be the one to use.
    host: usize,
    /// For all connections that were lent since: becomes true when that host is left for another.
    is_left: Arc<AtomicBool>,
    /// How often the standing or the host has turned.
    turns: u64,
}

/// Somebody who waits for a connection.
struct Waiting {
    /// Each is woken alone.
    woken: Condvar,
    since: Instant,
}

impl Waiting {
    fn begin() -> Arc<Self> {
        Arc::new(Self {
            woken: Condvar::new(),
            since: Instant::now(),
        })
    }
}

impl Kept {
    /// Whether nobody came before who has waited for long.
    fn may_go(&self, own: &Arc<Waiting>) -> bool {
        let first = self.line.front();
        first.is_none_or(|first| Arc::ptr_eq(first, own) || first.since.elapsed() < SOON)
    }

    /// Waits in line, no longer than `left`.
    fn wait<'a>(
        mut kept: MutexGuard<'a, Self>,
        own: &Arc<Waiting>,
        left: Duration,
    ) -> MutexGuard<'a, Self> {
        if !kept.is_in_line(own) {
            kept.line.push_back(Arc::clone(own));
        }
        let waited = own.woken.wait_timeout(kept, left);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn is_in_line(&self, own: &Arc<Waiting>) -> bool {
        self.line.iter().any(|one| Arc::ptr_eq(one, own))
    }

    /// Leaves the line, and has the next one look whether there is something for them.
    fn leave(&mut self, own: &Arc<Waiting>) {
        self.line.retain(|one| !Arc::ptr_eq(one, own));
        if !self.idle.is_empty() || self.open < MOST {
            self.wake_next();
        }
    }

    fn wake_next(&self) {
        if let Some(first) = self.line.front() {
            first.woken.notify_one();
        }
    }

    /// Uses another host from now on; who still waits for the one before gives up.
    fn go_to(&mut self, host: usize) {
        self.host = host;
        self.is_left.store(true, Ordering::Relaxed);
        self.is_left = Arc::default();
        self.begin_anew();
    }

    /// Whatever was connected before is not used again.
    fn begin_anew(&mut self) {
        self.turns += 1;
        self.open -= self.idle.len();
        self.idle.clear();
        self.wake_all();
    }

    fn wake_all(&self) {
        for one in &self.line {
            one.woken.notify_one();
        }
    }
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
        }
    }

    /// A connection, which goes back when it is dropped.
    ///
    /// # Errors
    ///
    /// If none comes before `end`.
    pub(super) fn lend(&self, end: Instant) -> Result<Lent<'_>, NoConnection> {
        let own = Waiting::begin();
        let mut kept = self.kept();
        let mut is_full = false;
        loop {
            if let Some(why) = kept.standing.away() {
                let why = why.to_owned();
                kept.leave(&own);
                return Err(NoConnection::Away(why));
            }
            let (turns, may_go) = (kept.turns, kept.may_go(&own));
            let is_left = Arc::clone(&kept.is_left);
            if may_go && let Some(idle) = kept.idle.pop() {
                kept.leave(&own);
                return Ok(Lent::new(self, idle, turns, is_left));
            }
            if may_go && kept.open < MOST && !is_full {
                kept.open += 1;
                kept.leave(&own);
                drop(kept);
                if let Some(new) = self.open_counted(end)? {
                    return Ok(Lent::new(self, new, turns, is_left));
                }
                // One of those there are may come back in time.
                is_full = true;
                kept = self.kept();
                continue;
            }
            if is_full && kept.open == 0 {
                self.turn(&mut kept, State::Full);
                kept.leave(&own);
                return Err(NoConnection::Busy);
            }
            let left = left(end);
            let is_no_room = kept.line.len() >= MOST_WAITING && !kept.is_in_line(&own);
            if left.is_zero() || is_no_room {
                kept.leave(&own);
                return Err(NoConnection::Busy);
            }
            kept = Kept::wait(kept, &own, left);
        }
    }

    /// A new connection, which has been counted already; `None` if the database has no more to give.
    ///
    /// # Errors
    ///
    /// If none comes before `end`.
    fn open_counted(&self, end: Instant) -> Result<Option<Connection>, NoConnection> {
        let had_time = left(end) >= GIVES_UP;
        let none = match self.open(end) {
            Ok(new) => return Ok(Some(new)),
            Err(none) => none,
        };
        self.give_up();
        match none {
            none if none.is_full() => Ok(None),
            // Whoever had waited in line may have had hardly any time left for an answer.
            none if none.is_late() && !had_time => Err(NoConnection::Busy),
            none => Err(NoConnection::Away(self.note_away(none.reasons()))),
        }
    }

    /// Whether the database does not answer.
    pub(super) fn is_away(&self) -> bool {
        self.kept().standing.away().is_some()
    }

    /// Whether a change could be saved, as far as is known.
    pub(super) fn is_well(&self) -> bool {
        self.kept().standing.is_well()
    }

    /// A new connection, beside all others and never kept. What only reads goes on where no host
    /// takes writes.
    pub(super) fn open(&self, end: Instant) -> Result<Connection, NoHost> {
        let host = self.kept().host;
        self.open_from(host, end)
    }

    /// The same, asking the host at this place in the URL first.
    pub(super) fn open_from(&self, first: usize, end: Instant) -> Result<Connection, NoHost> {
        Connection::open(&self.url, self.trust.as_ref(), For::Reading, first, end)
    }

    /// Asks on this connection how the database stands, or on another, and notes it. Gives the
    /// connection on that has answered; `None` if there is none.
    pub(super) fn probe(&self, kept: Option<Connection>, limit: Duration) -> Option<Connection> {
        let mut usable = kept.filter(|kept| !kept.is_lost());
        if let Some(connection) = &mut usable {
            let asked = connection.ask_whether_it_takes_writes(self.before_others(limit));
            if asked.is_ok() && self.is_as_good_as_any(connection) {
                self.note(connection);
                self.look_for_room(limit);
                return usable;
            }
        }
        let silent = usable.filter(Connection::is_silent);
        let first = match silent {
            // It has had its time.
            Some(silent) => (silent.host + 1) % self.url.hosts.len(),
            None => self.kept().host,
        };
        match self.open_from(first, Instant::now() + limit) {
            Ok(connection) => {
                self.note(&connection);
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

    /// How long a host may be silent before the others are asked, where there are others.
    fn before_others(&self, limit: Duration) -> Duration {
        match self.url.hosts.len() {
            1 => limit,
            _ => limit.min(SILENT),
        }
    }

    /// Whether no other host would do more.
    fn is_as_good_as_any(&self, connection: &Connection) -> bool {
        let is_only_one = self.url.hosts.len() == 1 && !self.url.wants_writes;
        connection.takes_writes || is_only_one
    }

    /// Connects once more where there was no connection to be had; who comes next has it.
    fn look_for_room(&self, limit: Duration) {
        if !self.kept().standing.is_full() {
            return;
        }
        let Ok(found) = self.open(Instant::now() + limit) else {
            return;
        };
        let mut kept = self.kept();
        self.turn(&mut kept, State::of(&found));
        kept.open += 1;
        kept.idle.push(found);
    }

    /// Notes how the host of a connection stands, and that this is the one to use. That one can be had
    /// does not follow from one that there is.
    pub(super) fn note(&self, connection: &Connection) {
        let mut kept = self.kept();
        if kept.host != connection.host {
            kept.go_to(connection.host);
        }
        if !kept.standing.is_full() {
            self.turn(&mut kept, State::of(connection));
        }
    }

    /// Notes that the database does not answer, and gives the reason back.
    fn note_away(&self, why: String) -> String {
        self.turn(&mut self.kept(), State::Away(why.clone()));
        why
    }

    /// Notes how the database stands. Where that has turned, nothing from before is used again.
    fn turn(&self, kept: &mut Kept, now: State) {
        if kept.standing.turn(now) {
            kept.begin_anew();
        }
    }

    /// Takes a connection back that was lent after so many turns.
    fn give_back(&self, connection: Connection, turns: u64) {
        let mut kept = self.kept();
        let is_of_now = kept.turns == turns;
        if is_of_now && !connection.is_lost() {
            kept.idle.push(connection);
            kept.wake_next();
            return;
        }
        drop(kept);
        let is_away = connection.is_of_one_away();
        drop(connection);
        self.give_up();
        // What an earlier host does says nothing of the one that is used now.
        if is_away && is_of_now {
            self.note_away("it does not answer".to_owned());
        }
    }

    fn give_up(&self) {
        let mut kept = self.kept();
        kept.open -= 1;
        // Whoever waits for the last of them waits in vain.
        kept.wake_all();
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Every change of it is done in one step.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that goes back when it is dropped.
pub(super) struct Lent<'a> {
    pool: &'a Pool,
    /// How often the standing had turned when it was lent.
    turns: u64,
    /// `None` only while it is being dropped.
    connection: Option<Connection>,
}

impl<'a> Lent<'a> {
    fn new(
        pool: &'a Pool,
        mut connection: Connection,
        turns: u64,
        is_left: Arc<AtomicBool>,
    ) -> Self {
        connection.heed(is_left);
        Self {
            pool,
            turns,
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
            self.pool.give_back(connection, self.turns);
        }
    }
}
