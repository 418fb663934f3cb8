//! What happened to accounts, as rows, for all nodes.

use std::sync::Arc;

use tokio_postgres::types::{ToSql, Type};

use crate::accounts::token;
use crate::store::error::Unavailable;
use crate::store::postgres::client::Client;
use crate::store::postgres::shared::Shared;

/// Most rows that go at once: a statement has its limit.
const AT_ONCE: i64 = 10_000;

/// The rows of events.
#[derive(Clone)]
pub struct EventRows(Arc<Shared>);

/// An event that is to be a row.
pub(crate) struct EventRow {
    /// Random: what is written twice, since an answer was lost, is there once.
    id: [u8; 16],
    /// Milliseconds since 1970.
    at: i64,
    /// The id of the account.
    account: Option<String>,
    /// As in the file, without its end.
    line: String,
}

impl EventRow {
    pub(crate) fn new(at: i64, account: Option<String>, line: String) -> Self {
        Self {
            id: token::random(),
            at,
            account,
            line,
        }
    }
}

/// In this order, and with a place after all that are there.
const INSERT: &str = "INSERT INTO event (id, at, account, line)
    SELECT id, at, account, line
    FROM unnest($1::bytea[], $2::bigint[], $3::text[], $4::text[])
        WITH ORDINALITY new(id, at, account, line, n)
    ORDER BY n ON CONFLICT (id) DO NOTHING";

impl EventRows {
    pub(crate) fn of(shared: &Arc<Shared>) -> Self {
        Self(Arc::clone(shared))
    }

    /// Adds these, all of them or none.
    pub(crate) fn add(&self, rows: &[EventRow]) -> Result<(), Unavailable> {
        self.0
            .ask(async |client| Ok(Ok(insert(client, rows).await?)))
    }

    /// The last `most` lines of an account, the newest first.
    pub(crate) fn newest_of(&self, id: &str, most: usize) -> Result<Vec<String>, Unavailable> {
        // What a node has written last need not have happened last.
        let query = "SELECT line FROM (SELECT line, at, place FROM event
                WHERE account = $1 ORDER BY place DESC LIMIT $2) newest
            ORDER BY at DESC, place DESC";
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        self.0.ask(async |client| {
            let asked: [(&(dyn ToSql + Sync), Type); 2] = [(&id, Type::TEXT), (&most, Type::INT8)];
            let rows = client.query(query, &asked).await?;
            let lines = rows.into_iter().map(|row| row.try_get(0));
            Ok(Ok(lines.collect::<Result<_, _>>()?))
        })
    }

    /// The next lines with their places: those behind `last`, `most` of them, and those at these
    /// places.
    pub(crate) fn next(
        &self,
        last: i64,
        at: &[i64],
        most: i64,
    ) -> Result<Vec<(i64, String)>, Unavailable> {
        let query = "SELECT place, line FROM event WHERE place = ANY($1)
            UNION ALL (SELECT place, line FROM event WHERE place > $2 ORDER BY place LIMIT $3)
            ORDER BY place";
        self.0.ask(async |client| {
            let asked: [(&(dyn ToSql + Sync), Type); 3] = [
                (&at, Type::INT8_ARRAY),
                (&last, Type::INT8),
                (&most, Type::INT8),
            ];
            let rows = client.query(query, &asked).await?;
            let lines = rows
                .iter()
                .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
            Ok(Ok(lines.collect::<Result<_, _>>()?))
        })
    }

    /// Drops those from before a moment, in milliseconds since 1970.
    pub(crate) fn drop_before(&self, oldest: i64) -> Result<(), Unavailable> {
        let drop = "DELETE FROM event WHERE id IN (SELECT id FROM event
            WHERE at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)";
        loop {
            let dropped = self.0.ask(async |client| {
                let asked: [(&(dyn ToSql + Sync), Type); 2] =
                    [(&oldest, Type::INT8), (&AT_ONCE, Type::INT8)];
                Ok(Ok(client.execute(drop, &asked).await?))
            })?;
            if dropped == 0 {
                return Ok(());
            }
        }
    }
}

pub(super) async fn insert(
    client: &Client,
    rows: &[EventRow],
) -> Result<(), tokio_postgres::Error> {
    let ids: Vec<&[u8]> = rows.iter().map(|row| row.id.as_slice()).collect();
    let at: Vec<i64> = rows.iter().map(|row| row.at).collect();
    let accounts: Vec<Option<&str>> = rows.iter().map(|row| row.account.as_deref()).collect();
    let lines: Vec<&str> = rows.iter().map(|row| row.line.as_str()).collect();
    let columns: [(&(dyn ToSql + Sync), Type); 4] = [
        (&ids, Type::BYTEA_ARRAY),
        (&at, Type::INT8_ARRAY),
        (&accounts, Type::TEXT_ARRAY),
        (&lines, Type::TEXT_ARRAY),
    ];
    client.execute(INSERT, &columns).await?;
    Ok(())
}
