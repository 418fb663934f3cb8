//! The store in a database.

use std::fs;
use std::path::{self, Path, PathBuf};

use crate::accounts::session::Limits;
use crate::clock::Clock;
use crate::config::{self, Config, Database, Place};
use crate::log;
use crate::site::Problem;
use crate::store::Store;
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

/// Opens the store in the database.
///
/// # Errors
///
/// What is not right; nothing is changed then.
pub(super) fn open(database: &Database, limits: Limits, clock: &Clock) -> Result<Store, Problem> {
    let url = url(&database.place)?;
    let opened = Opened::open(&url, &database.key, clock)?;
    warn_of_md5(&opened);
    Store::in_database(opened, limits).map_err(Problem::no_threads)
}

/// Says in the log which files lie there that are not read.
pub(super) fn warn_of_files(directory: &Path, users: &Path) {
    let beside = ["sessions.json", "events.jsonl", "outbox"].map(|name| directory.join(name));
    for file in beside.iter().map(PathBuf::as_path).chain([users]) {
        if file.symlink_metadata().is_ok() {
            tracing::warn!(
                target: super::PROGRAM,
                file = log::path(file),
                "this is not read, since the accounts are in a database: auth_user store copy takes \
                 what is there to an empty one"
            );
        }
    }
}

/// Says in the log if this node sends no mail.
pub(super) fn warn_of_mail(config: &Config) {
    if config.smtp.is_none() {
        tracing::warn!(
            target: super::PROGRAM,
            "without --smtp mail waits in the database until a node with --smtp takes it, \
             24 hours at most"
        );
    }
}

/// What a command is told of where the accounts are: what stands before it, and its flags.
pub(super) fn for_command_line(database: &Database) -> (String, String) {
    let path = |path: &Path| {
        // Whoever copies the line is in another folder.
        let full = path::absolute(path).unwrap_or_else(|_| path.to_owned());
        log::path(&full)
    };
    let key = path(&database.key);
    match &database.place {
        Place::File(file) => (
            format!("AUTH_STORE_FILE={} ", path(file)),
            format!("--store-key {key}"),
        ),
        Place::Url(url) => {
            let url = url.shown();
            (String::new(), format!("--store {url} --store-key {key}"))
        }
    }
}

/// Opens the database as commands use it.
///
/// # Errors
///
/// What is not right; nothing is changed then.
pub fn for_command(database: &Database) -> Result<postgres::Database, Problem> {
    let url = url(&database.place)?;
    let opened = Opened::open_by_command(&url, &database.key, &Clock::start())?;
    warn_of_md5(&opened);
    Ok(postgres::Database::of_command(opened))
}

/// Sees whether the database could be opened, and changes nothing.
///
/// # Errors
///
/// What is not right.
pub(super) fn look(database: &Database, clock: &Clock) -> Result<postgres::Database, Problem> {
    let url = url(&database.place)?;
    let opened = Opened::look(&url, &database.key, clock)?;
    warn_of_md5(&opened);
    Ok(postgres::Database::of_command(opened))
}

fn warn_of_md5(opened: &Opened) {
    if opened.asks_md5 {
        tracing::warn!(target: super::PROGRAM, "{}", postgres::BY_MD5);
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::new(&refusal, refusal.hint())
    }
}
