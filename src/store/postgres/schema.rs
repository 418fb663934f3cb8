//! The tables, by versions. A program of one version works on that and on the next, so that nodes
//! are replaced one by one: a later version first adds what it needs, and what nobody needs any more
//! goes with the one after that.

use std::time::Duration;

use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use crate::store::postgres::client::Client;
use crate::store::postgres::failure::Failure;
use crate::store::postgres::open;
use crate::store::postgres::refusal::Refusal;
use crate::store::postgres::url::Url;

/// The version that this program makes.
pub(super) const VERSION: i32 = 1;

/// What leads from each version to the next, from 0 on, which is none.
const STEPS: [&str; 1] = [include_str!("schema/1.sql")];

/// The tables of [`VERSION`].
pub(super) const TABLES: [&str; 13] = [
    "meta",
    "account",
    "credential",
    "regular",
    "session",
    "link",
    "former",
    "answered",
    "pending",
    "throttle",
    "change",
    "mail",
    "event",
];

/// How long raising the schema may take, and how long another that does the same is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often somebody else may be quicker.
const RACES: u32 = 5;

/// Steps may take long on many accounts, and wait for nodes that are at work.
const WHILE_RAISING: &str = "SET LOCAL statement_timeout TO '60s'; SET LOCAL lock_timeout TO '60s'";

/// Gives the version.
const OF_STORE: &str = "SELECT version FROM meta";

/// The version before and after.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Migrated {
    pub from: i32,
    pub to: i32,
    /// Whether the server takes the password as an MD5, which is easily guessed from.
    pub asks_md5: bool,
}

/// Makes the schema, or raises it, all of it or nothing.
///
/// # Errors
///
/// If the database cannot be reached or refuses, or the schema is of a later program.
pub fn migrate(url: &Url) -> Result<Migrated, Refusal> {
    let trust = open::trust(url)?;
    let mut connection = open::connect(url, trust.as_ref())?;
    let mut tries = 0..RACES;
    loop {
        match connection.call(PATIENCE, raise) {
            Ok((_, to)) if to > VERSION => return Err(too_late(to)),
            Ok((from, to)) => {
                let asks_md5 = connection.asks_md5;
                return Ok(Migrated { from, to, asks_md5 });
            }
            // Another does the same; what it has made is found the next time. A table of somebody
            // else with such a name stays in the way.
            Err(failure) if is_a_race(&failure) && tries.next().is_some() => {}
            Err(failure) => {
                let refusal = Refusal::of(&failure);
                let what = format!("cannot make the schema: {failure}");
                return Err(Refusal::new(what, refusal.hint()));
            }
        }
    }
}

/// Raises the schema in one transaction; gives the version before and after. A version above [`VERSION`] is left as it is.
async fn raise(client: &Client) -> Result<(i32, i32), tokio_postgres::Error> {
    let begin = format!("BEGIN ISOLATION LEVEL READ COMMITTED; {WHILE_RAISING}");
    let raise = async |client: &Client| {
        let from = match is_there(client).await? {
            true => {
                let locked = format!("{OF_STORE} FOR UPDATE");
                client.query_one(&locked, &[]).await?.try_get(0)?
            }
            false => 0,
        };
        let made = usize::try_from(from).unwrap_or(usize::MAX);
        for step in STEPS.iter().skip(made) {
            client.batch_execute(step).await?;
        }
        let to = from.max(VERSION);
        if to != from {
            let note = "UPDATE meta SET version = $1";
            client.execute(note, &[(&to, Type::INT4)]).await?;
        }
        Ok((from, to))
    };
    client.in_transaction(&begin, raise).await
}

/// Which version the schema has; `None` if there is none.
pub(super) async fn version(client: &Client) -> Result<Option<i32>, tokio_postgres::Error> {
    if !is_there(client).await? {
        return Ok(None);
    }
    let row = client.query_one(OF_STORE, &[]).await?;
    Ok(Some(row.try_get(0)?))
}

/// Whether this version can be worked on.
///
/// # Errors
///
/// If it is too old, or newer than by one.
pub(super) fn judge(version: Option<i32>, url: &Url) -> Result<(), Refusal> {
    let migrate = || format!("run: auth_user store migrate {}", url.for_shells());
    match version {
        None => Err(Refusal::new(
            "cannot use the store: it has no schema",
            migrate(),
        )),
        Some(old) if old < VERSION => Err(Refusal::new(
            format!("cannot use the store: its schema is version {old}, this needs {VERSION}"),
            migrate(),
        )),
        Some(new) if new > VERSION + 1 => Err(too_late(new)),
        Some(_) => Ok(()),
    }
}

fn too_late(version: i32) -> Refusal {
    Refusal::new(
        format!(
            "cannot use the store: its schema is version {version}, this knows up to {VERSION}"
        ),
        "run the program that has raised it, or a later one",
    )
}

/// Whether the table of the store itself is in the schema that counts.
async fn is_there(client: &Client) -> Result<bool, tokio_postgres::Error> {
    let found = "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = current_schema() AND c.relname = 'meta')";
    client.query_one(found, &[]).await?.try_get(0)
}

/// Whether this comes of somebody else who makes the same tables at this moment.
fn is_a_race(failure: &Failure) -> bool {
    let states = [
        SqlState::UNIQUE_VIOLATION,
        SqlState::DUPLICATE_TABLE,
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
    ];
    states.iter().any(|state| failure.is(state))
}
