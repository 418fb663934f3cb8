//! Why the store on a database cannot be used, for the operator.

use std::error::Error;
use std::fmt;

use tokio_postgres::error::SqlState;

use crate::store::postgres::failure::{Cause, Failure};
use crate::store::postgres::hosts::NoHost;

/// Why the database cannot be used as it is, and what to do. Never has a password in it.
#[derive(Debug)]
pub struct Refusal {
    what: String,
    hint: String,
}

impl Refusal {
    pub(super) fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            hint: hint.into(),
        }
    }

    /// For something that the database was asked, or was to do.
    pub(super) fn of(failure: &Failure) -> Self {
        Self::new(
            format!("cannot use the store: {failure}"),
            what_to_do(failure),
        )
    }

    /// One sentence on what to do.
    pub fn hint(&self) -> &str {
        &self.hint
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Error for Refusal {}

impl From<NoHost> for Refusal {
    fn from(none: NoHost) -> Self {
        // What can be mended: a host that is away may be so on purpose.
        let mut told = none.0.iter().map(|(_, failure)| failure);
        let first = none.0.first().map(|(_, failure)| failure);
        let worst = told.find(|failure| !failure.is_loss()).or(first);
        let what = match none.would_be_read() {
            true => "cannot use the store: no host takes writes",
            false => "cannot reach the store",
        };
        Self::new(
            format!("{what}: {}", none.reasons()),
            worst.map_or("name a host", what_to_do),
        )
    }
}

/// What the operator should look at.
fn what_to_do(failure: &Failure) -> &'static str {
    let refused = match &failure.cause {
        Cause::Refused(state) => state,
        Cause::ReadOnly => {
            return "name the host that takes writes, and look whether the database is a standby \
                    or set to read-only";
        }
        Cause::Mistrust => {
            return "name the certificate of its authority, or its own, with sslrootcert, and the \
                    host by a name that is in it; or turn on ssl in the server";
        }
        Cause::NoLogin => {
            return "look at the user and the password, at channel_binding, and at the server's \
                    pg_hba.conf";
        }
        Cause::Lost | Cause::Late => {
            return "look whether the database runs and takes connections where --store says, and \
                    at its log";
        }
    };
    let is = |states: &[&SqlState]| states.contains(&refused);
    match () {
        () if is(&[
            &SqlState::INVALID_PASSWORD,
            &SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
        ]) =>
        {
            "look at the user and the password, and at the server's pg_hba.conf"
        }
        () if is(&[&SqlState::INVALID_CATALOG_NAME]) => {
            "make the database, or name another behind the host"
        }
        () if is(&[&SqlState::INSUFFICIENT_PRIVILEGE]) => {
            "store migrate needs the right to create in the schema; everything else needs SELECT, \
             INSERT, UPDATE and DELETE on its tables"
        }
        () if is(&[&SqlState::TOO_MANY_CONNECTIONS]) => {
            "raise max_connections in the server, or end other programs: a node takes up to 10"
        }
        () if is(&[&SqlState::READ_ONLY_SQL_TRANSACTION]) => {
            "name the host that takes writes, and look whether the database is a standby or set \
             to read-only"
        }
        () => "look at the database's log",
    }
}
