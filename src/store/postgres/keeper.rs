//! The thread that keeps what was read lately true, and does the chores of the store. It has a
//! connection of its own, so that it never waits behind visitors.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use crate::accounts::token::Digest;
use crate::store::postgres::connection::Connection;
use crate::store::postgres::database::Shared;
use crate::store::postgres::recent::Version;
use crate::store::postgres::slice::texts;

/// How often what is in use is read again: a read that takes long leaves time for another before an
/// entry counts no more.
const ROUND: Duration = Duration::from_millis(250);

/// How often the last use of sessions is saved; a crash loses no more than that.
const CHORES: Duration = Duration::from_secs(60);

/// How long one question may take.
const QUESTION: Duration = Duration::from_secs(2);

/// How long it is remembered which changes were committed: far longer than anybody asks for one.
const REMEMBERED: &str = "DELETE FROM change WHERE at < clock_timestamp() - interval '1 hour'";

/// Runs until the store is closed, and then saves what is left to be saved. True if that was done.
pub(super) fn keep(shared: &Weak<Shared>, closed: &Receiver<()>) -> bool {
    let mut keeper = Keeper {
        connection: None,
        done: Instant::now(),
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
    /// When the chores were done.
    done: Instant,
}

impl Keeper {
    fn round(&mut self, shared: &Arc<Shared>) -> Option<()> {
        // Asked whether there is anything to ask or not: so a node knows that the database is away
        // before a visitor comes to wait for it, and that it is back.
        self.connection = shared.pool.probe(self.connection.take(), QUESTION);
        let began = Instant::now();
        let ids = shared.recent.in_use(began);
        if !ids.is_empty() {
            let found = self.call(shared, async |client| versions(client, &ids).await)?;
            shared.recent.renew(&ids, &found, began);
        }
        if self.done.elapsed() >= CHORES {
            self.save_uses(shared)?;
            self.call(shared, async |client| {
                client.execute_typed(REMEMBERED, &[]).await
            })?;
            self.call(shared, async |client| shared.challenges.sweep(client).await)?;
            self.done = Instant::now();
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
            self.call(shared, async |client| save(client, &uses).await)?;
        }
        shared.recent.saved(&uses, Instant::now());
        Some(())
    }

    fn call<R>(
        &mut self,
        shared: &Arc<Shared>,
        work: impl AsyncFnOnce(&mut Client) -> Result<R, tokio_postgres::Error>,
    ) -> Option<R> {
        if self.connection.is_none() {
            self.connection = shared.pool.open(Instant::now() + QUESTION).ok();
        }
        self.connection.as_mut()?.call(QUESTION, work).ok()
    }
}

/// Which of these sessions there are, and what their accounts are now.
async fn versions(
    client: &Client,
    ids: &[Digest],
) -> Result<HashMap<Digest, Version>, tokio_postgres::Error> {
    let known: HashMap<String, Digest> = ids.iter().map(|id| (id.text(), *id)).collect();
    let asked: Vec<String> = known.keys().cloned().collect();
    let query = "SELECT session.id, account.id, account.revision FROM session
        JOIN account USING (name) WHERE session.id = ANY($1)";
    let mut found = HashMap::new();
    for row in client.query_typed(query, &[texts(&asked)]).await? {
        if let Some(id) = known.get(row.try_get::<_, &str>(0)?) {
            let version = Version {
                account: row.try_get(1)?,
                revision: row.try_get(2)?,
            };
            found.insert(*id, version);
        }
    }
    Ok(found)
}

/// Saves last uses; one that another node has seen later stays.
async fn save(client: &Client, uses: &[(Digest, u64)]) -> Result<u64, tokio_postgres::Error> {
    let ids: Vec<String> = uses.iter().map(|(id, _)| id.text()).collect();
    let seen = |(_, seen): &(Digest, u64)| i64::try_from(*seen).unwrap_or(i64::MAX);
    let seen: Vec<i64> = uses.iter().map(seen).collect();
    let statement = "UPDATE session SET last_seen = greatest(session.last_seen, used.seen)
        FROM unnest($1::text[], $2::bigint[]) used(id, seen) WHERE session.id = used.id";
    let asked: [(&(dyn ToSql + Sync), Type); 2] = [texts(&ids), (&seen, Type::INT8_ARRAY)];
    client.execute_typed(statement, &asked).await
}
