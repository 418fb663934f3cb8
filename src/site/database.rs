//! The database that accounts are in, as far as that goes: it is looked at, and not served from.

use std::fs;

use crate::clock::Clock;
use crate::config::{self, Database, Place};
use crate::site::Problem;
use crate::store::postgres::{self, Opened, Refusal, Url};

/// The URL of the database, which may be in a file, out of sight of whoever lists processes.
///
/// # Errors
///
/// If the file cannot be read, or has no such URL in it.
pub fn url(place: &Place) -> Result<Url, Problem> {
    let path = match place {
        Place::Url(url) => return Ok(Url::clone(url)),
        Place::File(path) => path,
    };
    let hint = "AUTH_STORE_FILE names a file with one line such as \
                postgres://auth_user:password@db.example.com/auth";
    let text = fs::read_to_string(path)
        .map_err(|error| Problem::new(format_args!("cannot read {path:?}: {error}"), hint))?;
    Url::parse(config::clean(&text))
        .map_err(|why| Problem::new(format_args!("cannot use {path:?}: {why}"), hint))
}

/// Opens the database, or, `to_look`, only sees whether that could be, and changes nothing.
///
/// # Errors
///
/// What is not right; nothing is changed then.
pub(super) fn open(database: &Database, clock: &Clock, to_look: bool) -> Result<(), Problem> {
    let url = url(&database.place)?;
    let opened = match to_look {
        true => Opened::look(&url, &database.key, clock)?,
        false => Opened::open(&url, &database.key, clock)?,
    };
    if opened.asks_md5 {
        tracing::warn!(target: super::PROGRAM, "{}", postgres::BY_MD5);
    }
    Ok(())
}

/// What a start ends with, for as long as only files are served from.
pub(super) fn not_served() -> Problem {
    Problem::new(
        "cannot serve from a database yet",
        "leave out --store and --store-key, and the variables of these names",
    )
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::new(&refusal, refusal.hint())
    }
}
