//! The store on a database. Each change is one transaction, made again where others were in its way,
//! and answered when it is committed.
//!
//! # Whether a change was committed
//!
//! Each change leaves a row of its own. If the answer to its COMMIT is lost, another connection tries
//! to leave the same row: where it is there already, the change was committed, and where it was not,
//! it is now, so that the change never can be. If nobody can be asked, or the change still waits
//! there, nobody knows.

use std::cell::{Cell, RefCell};
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::store::postgres::client::Client;
use futures_util::future;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};

use crate::accounts::pending::Stage;
use crate::accounts::session::{Limits, Sessions};
use crate::accounts::token::{self, Digest};
use crate::accounts::{Account, Accounts};
use crate::clock::Timestamp;
use crate::metrics;
use crate::store::Who;
use crate::store::about::About;
use crate::store::draft::{Base, Draft};
use crate::store::error::{NotSaved, Unavailable};
use crate::store::postgres::connection::Connection;
use crate::store::postgres::failure::{Cause, Failure};
use crate::store::postgres::keeper;
use crate::store::postgres::open::Opened;
use crate::store::postgres::pending;
use crate::store::postgres::pool::NoConnection;
use crate::store::postgres::recent::{FRESH, LASTING, Version};
use crate::store::postgres::rows::{ACCOUNT, AccountRow, Damaged, SESSION, read_session};
use crate::store::postgres::seal::Seal;
use crate::store::postgres::shared::{AT_LENGTH, Shared, left, say_damaged};
use crate::store::postgres::slice::{self, Lock};
use crate::store::postgres::write::{Changes, Touched};

/// How long a change is tried, however often.
const CHANGE: Duration = Duration::from_secs(2);

/// Limits that end no session.
const FOR_EVER: Limits = Limits {
    idle: Duration::MAX,
    max: Duration::MAX,
    remember: Duration::MAX,
};

/// How long the fate of a change is asked for.
const FATE: Duration = Duration::from_millis(2_500);

/// How many changes at the same time are waited for at most before one is made again.
const AGAIN_AFTER: u64 = 20;

/// Accounts and sessions in a database.
///
/// No `Debug`: it has the key.
pub struct Database {
    shared: Arc<Shared>,
    /// Ends the thread when it is dropped.
    close: Mutex<Option<Sender<()>>>,
    /// Gives once, when the thread ends, whether everything was saved; `None` after that.
    ended: Mutex<Option<Receiver<bool>>>,
}

/// What a change has come to.
struct Made<R> {
    gave: R,
    /// Whether there was anything to write.
    is_written: bool,
}

/// Why an attempt at a change has failed.
enum Tried {
    /// It may help to try again.
    Again(Failure),
    InVain(NotSaved),
}

impl Tried {
    fn of(failure: Failure) -> Self {
        match may_help_again(&failure) {
            true => Self::Again(failure),
            false => Self::InVain(not_saved(&failure)),
        }
    }
}

/// Why a change was not made, apart from the database's own reasons.
enum Unmade {
    Damaged(Damaged),
    Panicked,
    Unwritable(serde_json::Error),
}

impl Database {
    /// # Errors
    ///
    /// If the system has no thread to give.
    pub(in crate::store) fn start(opened: Opened, limits: Limits) -> io::Result<Self> {
        let shared = Arc::new(Shared::of(opened, limits));
        let (close, closed) = mpsc::channel();
        let (end, ended) = mpsc::sync_channel(1);
        let kept = Arc::downgrade(&shared);
        thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || {
                // If nobody is left to hear this, it does not matter.
                let _ = end.send(keeper::keep(&kept, &closed));
            })?;
        Ok(Self {
            shared,
            close: Mutex::new(Some(close)),
            ended: Mutex::new(Some(ended)),
        })
    }

    /// As a command uses it, which comes and goes: nothing is kept true, and no chores are done.
    pub fn of_command(opened: Opened) -> Self {
        Self {
            shared: Arc::new(Shared::of(opened, FOR_EVER)),
            close: Mutex::new(None),
            ended: Mutex::new(None),
        }
    }

    /// All accounts and sessions, however many there are.
    ///
    /// # Errors
    ///
    /// If they cannot be read.
    pub(crate) fn everything(&self) -> Result<(Arc<Accounts>, Arc<Sessions>), Unavailable> {
        let read = self.shared.ask_at_length(async |client| {
            slice::read(client, &About::everything(), &self.shared.seal, Lock::Not).await
        })?;
        Ok((read.accounts, read.sessions))
    }

    /// The accounts that are asked for, and their sessions.
    ///
    /// # Errors
    ///
    /// If they cannot be read.
    pub(crate) fn some(
        &self,
        about: &About,
    ) -> Result<(Arc<Accounts>, Arc<Sessions>), Unavailable> {
        let read = self.look(about)?;
        Ok((read.accounts, read.sessions))
    }

    /// Makes a change by a command, which may be a large one. Of one that is refused nothing is kept.
    ///
    /// # Errors
    ///
    /// If it could not be saved; the inner error, if the change gave that.
    pub(crate) fn change_at_once<R, E>(
        &self,
        about: &About,
        change: impl FnMut(&mut Draft) -> Result<R, E>,
    ) -> Result<Result<R, E>, NotSaved> {
        let change = RefCell::new(change);
        let limit = match about.is_everything {
            true => AT_LENGTH,
            false => CHANGE,
        };
        self.update_within(limit, about, |draft| {
            let gave = (change.borrow_mut())(draft);
            if gave.is_err() {
                *draft = Draft::of(draft.base.clone());
            }
            gave
        })
    }

    /// Saves when sessions were last used, and ends the thread, within `patience`. False if that
    /// was not saved.
    pub(in crate::store) fn close(&self, patience: Duration) -> bool {
        drop(taken(&self.close));
        let ended = taken(&self.ended);
        // Whoever asks again has had the answer already.
        ended.is_none_or(|ended| ended.recv_timeout(patience).unwrap_or(false))
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Whether the database does not answer.
    pub(in crate::store) fn is_away(&self) -> bool {
        self.shared.pool.is_away()
    }

    /// Whether a change could be saved, as far as is known.
    pub(in crate::store) fn could_change(&self) -> bool {
        self.shared.pool.is_well()
    }

    /// Asks whether the database takes changes.
    pub(in crate::store) fn takes_changes(&self) -> Result<(), Unavailable> {
        let query = "SELECT current_setting('transaction_read_only')";
        let is_read_only: String = self.shared.ask(async |client| {
            let row = client.query_one(query, &[]).await?;
            row.try_get(0).map(Ok)
        })?;
        match is_read_only.as_str() {
            "off" => Ok(()),
            _ => Err(Unavailable),
        }
    }

    /// How many accounts and sessions there are, as counted within the last minute.
    pub(in crate::store) fn counted(&self) -> (usize, usize) {
        self.shared.counted()
    }

    /// The part of the store that is asked for.
    pub(in crate::store) fn look(&self, about: &About) -> Result<Base, Unavailable> {
        let seal = &self.shared.seal;
        self.shared
            .ask(async |client| slice::read(client, about, seal, Lock::Not).await)
    }

    /// A session and its account, of this moment: who has changed something at one node and is sent on
    /// to another finds it there.
    pub(in crate::store) fn who(&self, id: Digest) -> Result<Option<Who>, Unavailable> {
        let began = Instant::now();
        let read = self.read_who(id)?;
        Ok(read.map(|(who, version)| self.shared.recent.put(who, version, began)))
    }

    /// As [`Database::who`], of a moment less than a second ago; while the database does not answer,
    /// of one a few seconds ago, if that lets the visitor in.
    pub(in crate::store) fn who_of_late(&self, id: Digest) -> Result<Option<Who>, Unavailable> {
        if let Some(known) = self.known(id, FRESH, Instant::now()) {
            return Ok(Some(known));
        }
        self.who(id).or_else(|unavailable| {
            let known = self.known(id, LASTING, Instant::now());
            known.map(Some).ok_or(unavailable)
        })
    }

    /// What a question about the owner of a token has found, which began then, or what was found last.
    pub(in crate::store) fn owner_of_late(
        &self,
        token: Digest,
        read: Result<Option<Arc<Account>>, Unavailable>,
        began: Instant,
    ) -> Result<Option<Arc<Account>>, Unavailable> {
        let at = match read {
            Ok(_) => began,
            Err(_) => Instant::now(),
        };
        self.shared.owners.of_late(token, read, at)
    }

    fn known(&self, id: Digest, within: Duration, now: Instant) -> Option<Who> {
        let known = self.shared.recent.get(id, within, now);
        known.filter(|(session, account)| session.is_of(account) && !account.disabled)
    }

    /// What waits under an id.
    pub(in crate::store) fn waiting(
        &self,
        id: Digest,
        now: Timestamp,
    ) -> Result<Option<Stage>, Unavailable> {
        let seal = &self.shared.seal;
        let shared = &self.shared;
        shared.ask(async |client| pending::read(client, (id, now), seal).await)
    }

    fn read_who(&self, id: Digest) -> Result<Option<(Who, Version)>, Unavailable> {
        let (id, seal) = (id.text(), &self.shared.seal);
        let late = self.shared.chores_every();
        self.shared.ask(async |client| {
            let query = format!(
                "SELECT {SESSION}, {ACCOUNT}, account.revision FROM session JOIN account USING (name)
                WHERE session.id = $1"
            );
            let row = client.query_opt(&query, &[(&id, Type::TEXT)]).await?;
            let who = row.map(|row| {
                let (session, account) = (read_session(&row, 0)?, AccountRow::read(&row, 3, seal)?);
                let session = session.known_late(late);
                let version = Version {
                    account: row.try_get(3).unwrap_or_default(),
                    revision: row.try_get(7).unwrap_or_default(),
                };
                Ok(((session.into(), account.into()), version))
            });
            Ok(who.transpose())
        })
    }

    /// Makes a change of a part of the store, and waits until it is committed.
    pub(in crate::store) fn update<R>(
        &self,
        about: &About,
        change: impl Fn(&mut Draft) -> R,
    ) -> Result<R, NotSaved> {
        self.update_within(CHANGE, about, change)
    }

    fn update_within<R>(
        &self,
        limit: Duration,
        about: &About,
        change: impl Fn(&mut Draft) -> R,
    ) -> Result<R, NotSaved> {
        let (begun, end) = (Instant::now(), Instant::now() + limit);
        let mut tries = 0;
        let why = loop {
            match self.try_once(about, &change, end) {
                Ok(Made { gave, is_written }) => {
                    if is_written {
                        metrics::saved(begun.elapsed(), true);
                    }
                    return Ok(gave);
                }
                Err(Tried::Again(failure)) if left(end).is_zero() => break not_saved(&failure),
                Err(Tried::Again(_)) => {
                    tries += 1;
                    rest(tries, end);
                }
                Err(Tried::InVain(why)) => break why,
            }
        };
        metrics::saved(begun.elapsed(), false);
        Err(why)
    }

    fn try_once<R>(
        &self,
        about: &About,
        change: &impl Fn(&mut Draft) -> R,
        end: Instant,
    ) -> Result<Made<R>, Tried> {
        let lent = self.shared.pool.lend(end);
        let mut connection = lent.map_err(|why| Tried::InVain(not_lent(&why)))?;
        let id: [u8; 16] = token::random();
        let is_sent = Cell::new(false);
        let mut made = None;
        let done = connection.call(left(end), async |client| {
            let attempt = Attempt {
                id: &id,
                about,
                seal: &self.shared.seal,
                is_sent: &is_sent,
            };
            attempt.make(client, change, &mut made).await
        });
        drop(connection);
        let made = made.map(|(made, touched)| {
            let Touched { ids, names } = touched;
            self.shared.recent.forget(&ids, &names);
            made
        });
        let nothing = || Tried::InVain(NotSaved::in_database(&"nothing was made"));
        match done {
            Ok(Ok(written)) => Ok(Made {
                gave: made.ok_or_else(nothing)?,
                is_written: matches!(written, Written::All),
            }),
            Ok(Err(unmade)) => Err(Tried::InVain(unmade.into())),
            Err(failure) if is_sent.get() && !failure.is_rollback() => {
                match self.was_committed(&id) {
                    Ok(true) => Ok(Made {
                        gave: made.ok_or_else(nothing)?,
                        is_written: true,
                    }),
                    Ok(false) => Err(Tried::of(failure)),
                    Err(()) => Err(Tried::InVain(unknown(&failure))),
                }
            }
            Err(failure) => Err(Tried::of(failure)),
        }
    }

    /// Whether a change was committed whose answer was lost; if it was not, it never will be.
    ///
    /// # Errors
    ///
    /// If nobody can be asked, or the change is still on its way.
    pub(super) fn was_committed(&self, id: &[u8]) -> Result<bool, ()> {
        let end = Instant::now() + FATE;
        let leave = "INSERT INTO change (id) VALUES ($1) ON CONFLICT DO NOTHING";
        let ask = |connection: &mut Connection| {
            let left = connection.call(left(end), async |client| {
                client.execute(leave, &[(&id, Type::BYTEA)]).await
            });
            left.map(|rows| rows == 0).map_err(|_| ())
        };
        match self.shared.pool.open(end) {
            Ok(mut connection) => ask(&mut connection),
            // There may be room on one of those there are.
            Err(none) if none.is_full() => {
                let mut lent = self.shared.pool.lend(end).map_err(|_| ())?;
                ask(&mut lent)
            }
            Err(_) => Err(()),
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.close(Duration::MAX);
    }
}

/// One attempt at a change.
struct Attempt<'a> {
    id: &'a [u8],
    about: &'a About,
    seal: &'a Seal,
    /// Whether the COMMIT may have reached the database.
    is_sent: &'a Cell<bool>,
}

impl Attempt<'_> {
    /// Makes the change, leaves in `made` what it gave, and commits.
    ///
    /// A transaction that is not committed is rolled back at once: a connection at rest must hold no
    /// locks.
    async fn make<R>(
        &self,
        client: &Client,
        change: &impl Fn(&mut Draft) -> R,
        made: &mut Option<(R, Touched)>,
    ) -> Result<Result<Written, Unmade>, tokio_postgres::Error> {
        let written = self.write(client, change, made).await;
        if matches!(written, Ok(Ok(Written::All))) {
            self.is_sent.set(true);
            client.batch_execute("COMMIT").await?;
            return written;
        }
        let rolled_back = client.batch_execute("ROLLBACK").await;
        let written = written?;
        rolled_back?;
        Ok(written)
    }

    async fn write<R>(
        &self,
        client: &Client,
        change: &impl Fn(&mut Draft) -> R,
        made: &mut Option<(R, Touched)>,
    ) -> Result<Result<Written, Unmade>, tokio_postgres::Error> {
        let begin = client.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED");
        let read = slice::read(client, self.about, self.seal, Lock::Held);
        // Carried out after the lock on the account is had, since it is asked after that.
        let waiting = async {
            match self.about.pending {
                Some(id) => pending::read(client, id, self.seal).await,
                None => Ok(Ok(None)),
            }
        };
        let ((), base, waiting) = future::try_join3(begin, read, waiting).await?;
        let (base, waiting) = match base.and_then(|base| Ok((base, waiting?))) {
            Ok(read) => read,
            Err(damaged) => return Ok(Err(Unmade::Damaged(damaged))),
        };
        let mut draft = Draft::of(base);
        draft.waiting = waiting;
        let gave = panic::catch_unwind(AssertUnwindSafe(|| change(&mut draft)));
        let Ok(gave) = gave else {
            return Ok(Err(Unmade::Panicked));
        };
        let changes = match Changes::of(&draft, self.seal) {
            Ok(changes) => changes,
            Err(error) => return Ok(Err(Unmade::Unwritable(error))),
        };
        *made = Some((gave, changes.touched()));
        if changes.are_none() {
            return Ok(Ok(Written::Nothing));
        }
        let witness = "INSERT INTO change (id) VALUES ($1)";
        let id: [(&(dyn ToSql + Sync), Type); 1] = [(&self.id, Type::BYTEA)];
        let witness = client.execute(witness, &id);
        future::try_join(changes.write(client, self.seal), witness).await?;
        Ok(Ok(Written::All))
    }
}

/// What a change has left to be committed.
enum Written {
    Nothing,
    All,
}

impl From<Unmade> for NotSaved {
    fn from(unmade: Unmade) -> Self {
        match unmade {
            Unmade::Damaged(damaged) => {
                say_damaged(&damaged);
                Self::in_database(&format_args!("{} is damaged", damaged.which))
            }
            Unmade::Panicked => Self::in_database(&"the change panicked"),
            Unmade::Unwritable(error) => Self::in_database(&error),
        }
    }
}

fn not_lent(why: &NoConnection) -> NotSaved {
    match why {
        NoConnection::Busy => NotSaved::busy_database(&"all connections are in use"),
        NoConnection::Away(why) => NotSaved::busy_database(why),
    }
}

fn unknown(failure: &Failure) -> NotSaved {
    tracing::error!(
        reason = %failure,
        "nobody knows whether the database has saved a change"
    );
    NotSaved::unknown_in_database(failure)
}

fn not_saved(failure: &Failure) -> NotSaved {
    match failure.is_of_the_moment() {
        true => NotSaved::busy_database(failure),
        false => {
            let not_saved = NotSaved::in_database(failure);
            tracing::error!(reason = %failure, "the database has not saved a change");
            not_saved
        }
    }
}

/// Whether the same change may succeed if it is made again: others were in its way, or it did not
/// come to be committed.
fn may_help_again(failure: &Failure) -> bool {
    let others = [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
        // Somebody has just taken the name or the address: the rules say so the next time.
        SqlState::UNIQUE_VIOLATION,
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
    ];
    // On another connection, or to another host.
    let elsewhere = [Cause::Lost, Cause::ReadOnly].contains(&failure.cause);
    elsewhere || others.iter().any(|state| failure.is(state))
}

/// Waits a little, another time for each who may be in the way of the others.
fn rest(tries: u64, end: Instant) {
    let [random] = token::random::<1>();
    let pause = Duration::from_millis(tries.min(AGAIN_AFTER) * (1 + u64::from(random) % 8));
    thread::sleep(pause.min(left(end)));
}

fn taken<T>(kept: &Mutex<Option<T>>) -> Option<T> {
    kept.lock().unwrap_or_else(PoisonError::into_inner).take()
}
