//! The counts of throttling, over all nodes. A question locks exactly the rows that it is about, and
//! the rules judge those as if they were all there are.
//!
//! The time is the database's, so that all nodes agree. What is counted need not survive the crash
//! of the database, so nothing waits for its disk. A wait that was read is kept by the node until it
//! ends, and no more than [`MOST`] connections serve attempts: a flood of them holds up nobody else.

use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future;
use tokio_postgres::types::{ToSql, Type};

use crate::accounts::throttle::{Counted, Key, Part, Ticket};
use crate::accounts::token::Digest;
use crate::network::Network;
use crate::store::error::Unavailable;
use crate::store::postgres::client::Client;
use crate::store::postgres::rows::{Damaged, damaged};
use crate::store::postgres::shared::{Shared, left, say_damaged, unanswered};

mod asked;
mod rows;
mod sweep;

pub(in crate::store) use asked::{Begun, Counts};
pub(super) use sweep::sweep;

use rows::{ACCOUNT, BROWSER, CLEAR, Columns, LOCK, LOOK, MAKE, NOW, column, members_of, write};

/// Most connections that serve attempts at the same time.
pub(super) const MOST: usize = 4;

/// How long one question may take, with the wait for a connection.
pub(super) const QUESTION: Duration = Duration::from_secs(2);

/// Most waits that are kept, and most attempts whose end could not be told.
const MOST_WAITS: usize = 10_000;
const MOST_OWED: usize = 1_000;

/// What a node knows itself.
#[derive(Default)]
pub(super) struct Local {
    /// How many connections serve attempts.
    serving: Mutex<usize>,
    freed: Condvar,
    waits: Mutex<HashMap<Asker, Instant>>,
    /// What is to be taken back once the database can be asked.
    owed: Mutex<VecDeque<Owed>>,
    /// The time in place of the database's.
    #[cfg(test)]
    pub(super) now: Mutex<Option<Duration>>,
}

/// Who has to wait, and for what.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Asker {
    Attempt(Counted),
    Invited(Digest),
    Recovery(Network),
    Registration(Network),
}

/// What is done more than once without harm.
enum Owed {
    TakeBack(Ticket),
    Clear(Cleared),
}

/// What a good login clears.
#[derive(Clone, Copy)]
enum Cleared {
    Account(Digest),
    Browser(Digest),
}

/// A place among the connections that serve attempts.
pub(super) struct Serving<'a>(&'a Local);

impl Local {
    pub(super) fn serve(&self, end: Instant) -> Result<Serving<'_>, Unavailable> {
        let (serving, left) = (locked(&self.serving), left(end));
        let waited = self
            .freed
            .wait_timeout_while(serving, left, |serving| *serving >= MOST);
        let (mut serving, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            return Err(Unavailable);
        }
        *serving += 1;
        Ok(Serving(self))
    }

    /// How long this one still has to wait, as far as is known here.
    fn wait(&self, asker: Asker) -> Option<Duration> {
        let mut waits = locked(&self.waits);
        let left = left(*waits.get(&asker)?);
        if left.is_zero() {
            waits.remove(&asker);
            return None;
        }
        Some(left)
    }

    fn keep_wait(&self, asker: Asker, wait: Duration) {
        let mut waits = locked(&self.waits);
        if waits.len() >= MOST_WAITS {
            waits.retain(|_, end| !left(*end).is_zero());
        }
        // One that finds no room is asked about again.
        if waits.len() < MOST_WAITS {
            waits.insert(asker, Instant::now() + wait);
        }
    }

    fn forget_waits(&self, cleared: Cleared) {
        let is_cleared = |asker: &Asker| match (asker, cleared) {
            (Asker::Attempt(Counted::Password(of, _)), Cleared::Account(account)) => *of == account,
            (Asker::Attempt(Counted::Browser(of)), Cleared::Browser(browser)) => *of == browser,
            _ => false,
        };
        locked(&self.waits).retain(|asker, _| !is_cleared(asker));
    }

    #[cfg(all(test, feature = "databases"))]
    pub(super) fn forget_all_waits(&self) {
        locked(&self.waits).clear();
    }

    fn owe(&self, owed: Owed) {
        let mut all = locked(&self.owed);
        if all.len() < MOST_OWED {
            all.push_back(owed);
        }
    }
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        *locked(&self.0.serving) -= 1;
        self.0.freed.notify_one();
    }
}

fn locked<T>(kept: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change of it is done in one step.
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why a question has no answer.
enum Unasked {
    /// It has changed nothing.
    Unavailable,
    /// Nobody knows what it has changed.
    Unknown,
}

impl From<Unavailable> for Unasked {
    fn from(_: Unavailable) -> Self {
        Self::Unavailable
    }
}

impl From<Unasked> for Unavailable {
    fn from(_: Unasked) -> Self {
        Self
    }
}

/// Whether what a question has made of its rows is to be kept.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Save {
    Yes,
    No,
}

/// The rows of one question.
#[derive(Default)]
struct Rows {
    /// Nobody else changes them before the question is answered.
    locked: Vec<Key>,
    /// Only looked at.
    looked: Vec<Key>,
}

impl Shared {
    /// Has `judge` look at rows and change those that are locked.
    fn count<R>(&self, rows: &Rows, judge: impl Fn(&mut Part) -> (R, Save)) -> Result<R, Unasked> {
        let end = Instant::now() + QUESTION;
        // Whoever is refused at once takes no place from others.
        if self.pool.is_away() {
            return Err(Unasked::Unavailable);
        }
        let _serving = self.counts.serve(end)?;
        loop {
            let mut connection = self.pool.lend(end).map_err(|_| Unavailable)?;
            let is_sent = Cell::new(false);
            let done = connection.call(left(end), async |client| {
                self.transact(client, rows, &judge, &is_sent).await
            });
            match done {
                Ok(Ok(Some(answer))) => return Ok(answer),
                // A row was swept away meanwhile.
                Ok(Ok(None)) => {}
                Ok(Err(damaged)) => {
                    say_damaged(&damaged);
                    return Err(Unasked::Unavailable);
                }
                Err(failure) if is_sent.get() && !failure.is_rollback() => {
                    return Err(Unasked::Unknown);
                }
                Err(failure) if failure.is_loss() || failure.is_rollback() => {}
                Err(failure) => return Err(unanswered(&failure).into()),
            }
            if left(end).is_zero() {
                return Err(Unasked::Unavailable);
            }
        }
    }

    /// `None` if it is to be asked again.
    async fn transact<R>(
        &self,
        client: &Client,
        rows: &Rows,
        judge: &impl Fn(&mut Part) -> (R, Save),
        is_sent: &Cell<bool>,
    ) -> Result<Result<Option<R>, Damaged>, tokio_postgres::Error> {
        let judged = self.judge(client, rows, judge).await;
        if let Ok(Ok(Some((answer, part)))) = judged {
            let Some(mut part) = part else {
                client.batch_execute("ROLLBACK").await?;
                return Ok(Ok(Some(answer)));
            };
            is_sent.set(true);
            let written = write(client, &rows.locked, &mut part);
            future::try_join(written, client.batch_execute("COMMIT")).await?;
            return Ok(Ok(Some(answer)));
        }
        // A connection at rest must hold no locks.
        let rolled_back = client.batch_execute("ROLLBACK").await;
        let judged = judged?;
        rolled_back?;
        Ok(judged.map(|_| None))
    }

    /// Gives the answer, and the rows if they are to be written.
    async fn judge<R>(
        &self,
        client: &Client,
        rows: &Rows,
        judge: &impl Fn(&mut Part) -> (R, Save),
    ) -> Result<Result<Option<(R, Option<Part>)>, Damaged>, tokio_postgres::Error> {
        let mut wanted = Columns::of(&rows.locked);
        let looked = Columns::of(&rows.looked);
        // In one order, so that nobody waits for one another.
        wanted.sort();
        let begin = client.batch_execute(
            "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL synchronous_commit = off",
        );
        let (kinds, keys) = (&wanted.kinds, &wanted.keys);
        let asked: [(&(dyn ToSql + Sync), Type); 2] =
            [(kinds, Type::INT2_ARRAY), (keys, Type::TEXT_ARRAY)];
        let looked_at: [(&(dyn ToSql + Sync), Type); 2] = [
            (&looked.kinds, Type::INT2_ARRAY),
            (&looked.keys, Type::TEXT_ARRAY),
        ];
        let make = client.execute(MAKE, &asked);
        let lock = client.query(LOCK, &asked);
        let look = client.query(LOOK, &looked_at);
        // After the locks, or another attempt could be later than what it waited for.
        let now = client.query_one(NOW, &[]);
        let ((), _, found, looked, now) = future::try_join5(begin, make, lock, look, now).await?;
        if found.len() < rows.locked.len() {
            return Ok(Ok(None));
        }
        let now: i64 = now.try_get(0)?;
        let now = self.time(Duration::from_micros(u64::try_from(now).unwrap_or(0)));
        let all = rows.locked.iter().chain(&rows.looked);
        let all: HashMap<(i16, String), Key> = all.map(|key| (column(*key), *key)).collect();
        let mut bodies = Vec::new();
        for row in found.iter().chain(&looked) {
            let place = (row.try_get(0)?, row.try_get(1)?);
            if let Some(key) = all.get(&place) {
                bodies.push((*key, row.try_get::<_, String>(2)?));
            }
        }
        let mut part = match Part::of(&bodies, now) {
            Ok(part) => part,
            Err((key, error)) => {
                let (kind, _) = column(key);
                return Ok(Err(damaged(
                    "throttle",
                    &kind.to_string(),
                    &error.to_string(),
                )));
            }
        };
        let (answer, save) = judge(&mut part);
        Ok(Ok(Some((answer, (save == Save::Yes).then_some(part)))))
    }

    /// Does what could not be done while the database was away.
    pub(super) fn settle_counts(&self) {
        // No more than one has come by now: what fails is owed again.
        let owed: Vec<Owed> = locked(&self.counts.owed).drain(..).collect();
        for one in owed {
            match one {
                Owed::TakeBack(ticket) => self.decide(ticket, true),
                Owed::Clear(cleared) => self.clear(cleared),
            }
        }
    }

    #[cfg(all(test, feature = "databases"))]
    pub(super) fn sweep_counts(&self) -> Result<(), Unavailable> {
        self.ask(async |client| sweep(client).await.map(Ok))
    }

    fn decide(&self, ticket: Ticket, is_forgiven: bool) {
        let rows = Rows {
            looked: members_of(ticket.from),
            locked: ticket.keys.clone(),
        };
        if rows.locked.is_empty() {
            return;
        }
        let decided = self.count(&rows, |part| (part.decide(&ticket, is_forgiven), Save::Yes));
        // What has failed counts as that without being told, in a minute.
        if decided.is_err() && is_forgiven {
            self.counts.owe(Owed::TakeBack(ticket));
        }
    }

    fn clear(&self, cleared: Cleared) {
        self.counts.forget_waits(cleared);
        let clear = async |client: &Client| {
            let (kind, from, to) = match cleared {
                // All that begin with it.
                Cleared::Account(account) => {
                    let of = account.text();
                    (ACCOUNT, format!("{of} "), format!("{of}!"))
                }
                Cleared::Browser(browser) => (BROWSER, browser.text(), String::new()),
            };
            let own = from.trim_end().to_owned();
            let begin = client.batch_execute("BEGIN; SET LOCAL synchronous_commit = off");
            let asked: [(&(dyn ToSql + Sync), Type); 4] = [
                (&from, Type::TEXT),
                (&to, Type::TEXT),
                (&kind, Type::INT2),
                (&own, Type::TEXT),
            ];
            let delete = client.execute(CLEAR, &asked);
            let commit = client.batch_execute("COMMIT");
            future::try_join3(begin, delete, commit).await?;
            Ok(())
        };
        let end = Instant::now() + QUESTION;
        let cleared_now = || {
            let _serving = self.counts.serve(end).ok()?;
            let mut connection = self.pool.lend(end).ok()?;
            connection.call(left(end), clear).ok()
        };
        if self.pool.is_away() || cleared_now().is_none() {
            self.counts.owe(Owed::Clear(cleared));
        }
    }

    #[cfg(test)]
    fn time(&self, read: Duration) -> Duration {
        locked(&self.counts.now).unwrap_or(read)
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "tests have a time of their own")]
    fn time(&self, read: Duration) -> Duration {
        read
    }
}
