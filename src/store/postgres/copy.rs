//! All of a store, read at one moment and written to an empty database.
//!
//! A database that is being copied to is marked, from before the first row until everything was
//! compared: nodes and commands refuse one that has the mark.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_postgres::Row;

use crate::clock::Clock;
use crate::store::postgres::client::Client;
use crate::store::postgres::connection::Connection;
use crate::store::postgres::failure::Failure;
use crate::store::postgres::open::{Opened, REACHED, REACHED_BY_COMMAND};
use crate::store::postgres::refusal::Refusal;
use crate::store::postgres::rows::{self, Damaged};
use crate::store::postgres::seal::Seal;
use crate::store::postgres::url::Url;

mod lines;
mod read;
mod write;

pub use lines::EventLines;

/// How long one statement may take, and its answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Rows that are read or written at once.
const AT_ONCE: usize = 2_000;

/// Nobody waits for a copy, and it may think for long between two statements.
const SETTINGS: &str = "SET statement_timeout TO '55s'; SET lock_timeout TO '10s';
    SET idle_in_transaction_session_timeout TO 0";

/// The events in their order.
const EVENTS: &str = "SELECT line FROM event ORDER BY place";

/// What is in the way of a copy, if there is any; the other tables follow from these.
const FULL: [&str; 6] = ["account", "session", "link", "former", "mail", "event"];

/// A mail that waits, as a file would have it.
///
/// No `Debug`: the text may hold a password.
#[derive(Clone, PartialEq)]
pub struct KeptMail {
    /// Without the ending of its file.
    pub name: String,
    /// When it was written, in seconds since 1970.
    pub at: u64,
    pub text: Vec<u8>,
}

/// How long hosts are looked for before there is no copy.
#[derive(Clone, Copy)]
pub enum Patience {
    /// As at a start.
    Long,
    /// As by a command of operators.
    Short,
}

impl Patience {
    fn reached(self) -> Duration {
        match self {
            Self::Long => REACHED,
            Self::Short => REACHED_BY_COMMAND,
        }
    }
}

/// A database that is copied from, or to.
pub struct Side {
    connection: Connection,
    seal: Arc<Seal>,
}

impl Side {
    /// A store to copy from.
    ///
    /// # Errors
    ///
    /// If a node could not serve from it.
    pub fn from(url: &Url, key: &Path, clock: &Clock, patience: Patience) -> Result<Self, Refusal> {
        let reached = patience.reached();
        Self::new(Opened::look_from_copy(url, key, clock, reached)?, reached)
    }

    /// A database to copy to, of which nothing is changed yet.
    ///
    /// # Errors
    ///
    /// If it cannot be used, or is not empty.
    pub fn to(url: &Url, key: &Path, clock: &Clock, patience: Patience) -> Result<Self, Refusal> {
        let reached = patience.reached();
        let mut side = Self::new(Opened::look_for_copy(url, key, clock, reached)?, reached)?;
        match side.call(async |client| full_table(client).await)? {
            None => Ok(side),
            Some(table) => Err(is_full(&table)),
        }
    }

    fn new(opened: Opened, reached: Duration) -> Result<Self, Refusal> {
        let connection = opened.pool.open(Instant::now() + reached)?;
        let mut side = Self {
            connection,
            seal: Arc::new(opened.seal),
        };
        side.run(SETTINGS)?;
        Ok(side)
    }

    fn run(&mut self, statement: &str) -> Result<(), Refusal> {
        self.call(async |client| client.batch_execute(statement).await)
    }

    fn call<R>(
        &mut self,
        work: impl AsyncFnOnce(&Client) -> Result<R, tokio_postgres::Error>,
    ) -> Result<R, Refusal> {
        let called = self.connection.call(PATIENCE, work);
        called.map_err(|failure: Failure| Refusal::of(&failure))
    }
}

/// A table with something in it that is in the way, unless it was left by a copy.
async fn full_table(client: &Client) -> Result<Option<String>, tokio_postgres::Error> {
    let unfinished = client.query_one("SELECT is_unfinished FROM meta", &[]);
    if unfinished.await?.try_get(0)? {
        return Ok(None);
    }
    for table in FULL {
        let query = format!("SELECT EXISTS (SELECT FROM {table})");
        let found = client.query_one(&query, &[]).await?;
        if found.try_get(0)? {
            return Ok(Some(table.to_owned()));
        }
    }
    Ok(None)
}

fn is_full(table: &str) -> Refusal {
    Refusal::new(
        format!("cannot fill the database: its table {table} is not empty"),
        "name a database with nothing in it but the tables that auth_user store migrate makes",
    )
}

fn damaged(Damaged { which, reason }: Damaged) -> Refusal {
    Refusal::new(
        format!("cannot use what is to be copied: {which} is damaged: {reason}"),
        "mend it, or remove it, and try again",
    )
}

fn column<'a, T: tokio_postgres::types::FromSql<'a>>(
    row: &'a Row,
    n: usize,
    table: &str,
) -> Result<T, Damaged> {
    row.try_get(n)
        .map_err(|error| rows::damaged(table, "?", &error.to_string()))
}
