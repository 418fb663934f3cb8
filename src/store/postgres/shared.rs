//! What everything that is kept in the database works with: the connections, the key, and what was
//! read lately.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::accounts::session::Limits;
use crate::store::error::Unavailable;
use crate::store::postgres::challenges::Challenges;
use crate::store::postgres::client::Client;
use crate::store::postgres::counts::Local;
use crate::store::postgres::failure::Failure;
use crate::store::postgres::open::Opened;
use crate::store::postgres::pool::Pool;
use crate::store::postgres::recent::{Owners, Recent};
use crate::store::postgres::rows::Damaged;
use crate::store::postgres::seal::Seal;

/// Least and most time between two rounds of chores.
const LEAST_CHORES: Duration = Duration::from_secs(5);
const MOST_CHORES: Duration = Duration::from_secs(60);

/// How long a question may take, with the wait for a connection.
const QUESTION: Duration = Duration::from_secs(2);

/// How long what is about everything may take.
pub(super) const AT_LENGTH: Duration = Duration::from_secs(60);

/// What has the server wait as long.
const WAIT_AT_LENGTH: &str = "SET statement_timeout TO '60s'";

/// A node's way to the database.
///
/// No `Debug`: it has the key.
pub(crate) struct Shared {
    pub(super) pool: Pool,
    pub(super) seal: Seal,
    pub(super) recent: Recent,
    pub(super) owners: Owners,
    pub(super) challenges: Challenges,
    pub(super) counts: Local,
    /// How long sessions last.
    pub(super) limits: Limits,
    /// Accounts and sessions, as last counted.
    counted: (AtomicUsize, AtomicUsize),
}

impl Shared {
    pub(super) fn of(opened: Opened, limits: Limits) -> Self {
        Self {
            pool: opened.pool,
            seal: opened.seal,
            recent: Recent::default(),
            owners: Owners::default(),
            challenges: opened.challenges,
            counts: Local::default(),
            limits,
            counted: Default::default(),
        }
    }

    /// How many accounts and sessions there were when that was last counted.
    pub(super) fn counted(&self) -> (usize, usize) {
        let (accounts, sessions) = &self.counted;
        (
            accounts.load(Ordering::Relaxed),
            sessions.load(Ordering::Relaxed),
        )
    }

    /// Notes how many accounts and sessions there are.
    pub(super) fn note_counts(&self, (accounts, sessions): (usize, usize)) {
        self.counted.0.store(accounts, Ordering::Relaxed);
        self.counted.1.store(sessions, Ordering::Relaxed);
    }

    /// How often the last use of sessions is saved: a crash loses no more than that, and other nodes
    /// do not know more. Often enough that no session is over by that.
    pub(super) fn chores_every(&self) -> Duration {
        (self.limits.idle / 4).clamp(LEAST_CHORES, MOST_CHORES)
    }

    /// Asks the database, once more where a connection turns out to have ended while nobody looked;
    /// so what is asked must do no harm if it is done twice.
    ///
    /// # Errors
    ///
    /// If there is no answer in time, or it cannot be what this program has written, which is
    /// logged.
    pub(super) fn ask<R>(
        &self,
        question: impl AsyncFn(&Client) -> Result<Result<R, Damaged>, tokio_postgres::Error>,
    ) -> Result<R, Unavailable> {
        let end = Instant::now() + QUESTION;
        loop {
            let mut connection = self.pool.lend(end).map_err(|_| Unavailable)?;
            match connection.call(left(end), &question) {
                Ok(Ok(read)) => return Ok(read),
                Ok(Err(damaged)) => {
                    say_damaged(&damaged);
                    return Err(Unavailable);
                }
                // The connection had ended while nobody looked.
                Err(failure) if failure.is_loss() && !left(end).is_zero() => {}
                Err(failure) => return Err(unanswered(&failure)),
            }
        }
    }
}

impl Shared {
    /// As [`Shared::ask`], for what may take long, on a connection of its own.
    pub(super) fn ask_at_length<R>(
        &self,
        question: impl AsyncFn(&Client) -> Result<Result<R, Damaged>, tokio_postgres::Error>,
    ) -> Result<R, Unavailable> {
        let opened = self.pool.open(Instant::now() + QUESTION);
        let mut connection = opened.map_err(|_| Unavailable)?;
        let asked = connection.call(AT_LENGTH, async |client| {
            client.batch_execute(WAIT_AT_LENGTH).await?;
            question(client).await
        });
        match asked {
            Ok(Ok(read)) => Ok(read),
            Ok(Err(damaged)) => {
                say_damaged(&damaged);
                Err(Unavailable)
            }
            Err(failure) => Err(unanswered(&failure)),
        }
    }
}

/// Says why a question was refused, unless that is over in a moment: that the database is away is said
/// once, not for each request.
pub(super) fn unanswered(failure: &Failure) -> Unavailable {
    if !failure.is_of_the_moment() {
        tracing::warn!(reason = %failure, "the database has refused a question");
    }
    Unavailable
}

pub(super) fn say_damaged(damaged: &Damaged) {
    let Damaged { which, reason } = damaged;
    tracing::error!(row = which, reason, "the database has something damaged");
}

/// The time that is left.
pub(super) fn left(end: Instant) -> Duration {
    end.saturating_duration_since(Instant::now())
}
