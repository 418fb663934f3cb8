//! Changes: each is one transaction, made again where others were in its way, and answered when it is
//! committed.
//!
//! # Whether a change was committed
//!
//! Each change leaves a row of its own. If the answer to its COMMIT is lost, another connection tries
//! to leave the same row: where it is there already, the change was committed, and where it was not,
//! it is now, so that the change never can be. If nobody can be asked, or the change still waits
//! there, nobody knows.

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::thread;
use std::time::{Duration, Instant};

use futures_util::future;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};

use super::Database;
use crate::accounts::token;
use crate::metrics;
use crate::store::about::About;
use crate::store::draft::Draft;
use crate::store::error::NotSaved;
use crate::store::postgres::client::Client;
use crate::store::postgres::connection::Connection;
use crate::store::postgres::failure::{Cause, Failure};
use crate::store::postgres::pending;
use crate::store::postgres::pool::NoConnection;
use crate::store::postgres::rows::Damaged;
use crate::store::postgres::seal::Seal;
use crate::store::postgres::shared::{AT_LENGTH, left, say_damaged};
use crate::store::postgres::slice::{self, Lock};
use crate::store::postgres::write::{Changes, Touched};

/// How long a change is tried, however often.
const CHANGE: Duration = Duration::from_secs(2);

/// How long the fate of a change is asked for.
const FATE: Duration = Duration::from_secs(2);

/// How many changes at the same time are waited for at most before one is made again.
const AGAIN_AFTER: u64 = 20;

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
    pub(in crate::store::postgres) fn was_committed(&self, id: &[u8]) -> Result<bool, ()> {
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
    let elsewhere = failure.is_loss() || failure.cause == Cause::ReadOnly;
    elsewhere || others.iter().any(|state| failure.is(state))
}

/// Waits a little, another time for each who may be in the way of the others.
fn rest(tries: u64, end: Instant) {
    let [random] = token::random::<1>();
    let pause = Duration::from_millis(tries.min(AGAIN_AFTER) * (1 + u64::from(random) % 8));
    thread::sleep(pause.min(left(end)));
}
