//! The thread that keeps what was read lately true, and does the chores of the store. It has a
//! connection of its own, so that it never waits behind visitors.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::accounts::token::Digest;
use crate::clock;
use crate::store::postgres::client::Client;
use crate::store::postgres::connection::Connection;
use crate::store::postgres::counts;
use crate::store::postgres::pending;
use crate::store::postgres::sessions;
use crate::store::postgres::shared::Shared;

/// How often it is looked what is to be read again: a read that takes long leaves time for another before
/// an entry counts no more.
const ROUND: Duration = Duration::from_millis(250);

/// Most that are read again by one question: visitors with questions of their own have their turn
/// between two.
const AT_ONCE: usize = 1_000;

/// How long one question may take.
const QUESTION: Duration = Duration::from_secs(2);

/// How long it is remembered which changes were committed: far longer than anybody asks for one.
const REMEMBERED: &str = "DELETE FROM change WHERE at < clock_timestamp() - interval '1 hour'";

/// Runs until the store is closed, and then saves what is left to be saved. True if that was done.
pub(super) fn keep(shared: &Weak<Shared>, closed: &Receiver<()>) -> bool {
    let mut keeper = Keeper {
        connection: None,
        done: None,
    };
    loop {
        let waited = closed.recv_timeout(ROUND);
        let Some(shared) = shared.upgrade() else {
            return true;
        };
        if waited != Err(RecvTimeoutError::Timeout) {
            return keeper.save_uses(&shared).is_some();
        }
        // What fails is tried again in the next round: until then entries only grow older.
        let _ = keeper.round(&shared);
    }
}

struct Keeper {
    /// `None` until it is needed, and once it is lost.
    connection: Option<Connection>,
    /// When the chores were last done.
    done: Option<Instant>,
}

impl Keeper {
    fn round(&mut self, shared: &Arc<Shared>) -> Option<()> {
        // Asked whether there is anything to ask or not: so a node knows that the database is away
        // before a visitor comes to wait for it, and that it is back.
        self.connection = shared.pool.probe(self.connection.take(), QUESTION);
        for ids in shared.recent.due(Instant::now()).chunks(AT_ONCE) {
            let began = Instant::now();
            let found = self.call(shared, async |client| sessions::versions(client, ids).await)?;
            shared.recent.renew(ids, found, began);
        }
        // The rest of it are changes.
        if !shared.pool.is_well() {
            return None;
        }
        shared.settle_counts();
        if self
            .done
            .is_none_or(|done| done.elapsed() >= shared.chores_every())
        {
            self.save_uses(shared)?;
            self.call(shared, async |client| {
                client.execute(&pending::sweep(), &[]).await?;
                counts::sweep(client).await?;
                client.execute(REMEMBERED, &[]).await
            })?;
            self.call(shared, async |client| shared.challenges.sweep(client).await)?;
            let (limits, every) = (shared.limits, shared.chores_every());
            let now = clock::since_epoch();
            self.call(shared, async |client| {
                sessions::end_those_over(client, limits, every, now).await
            })?;
            let counts = self.call(shared, async |client| sessions::count(client).await)?;
            shared.note_counts(counts);
            self.done = Some(Instant::now());
        }
        Some(())
    }

    fn save_uses(&mut self, shared: &Arc<Shared>) -> Option<()> {
        let unsaved = shared.recent.unsaved();
        let uses: Vec<(Digest, u64)> = unsaved
            .iter()
            .map(|session| (session.id, session.last_seen().0))
            .collect();
        if !uses.is_empty() {
            self.call(shared, async |client| {
                sessions::save_uses(client, &uses).await
            })?;
        }
        shared.recent.saved(&uses, Instant::now());
        Some(())
    }

    fn call<R>(
        &mut self,
        shared: &Arc<Shared>,
        work: impl AsyncFnOnce(&Client) -> Result<R, tokio_postgres::Error>,
    ) -> Option<R> {
        if self.connection.is_none() {
            self.connection = shared.pool.open(Instant::now() + QUESTION).ok();
        }
        self.connection.as_mut()?.call(QUESTION, work).ok()
    }
}
