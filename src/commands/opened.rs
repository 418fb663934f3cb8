//! The accounts that a command works on, opened.

use std::path::PathBuf;

use super::Failure;
use super::said::Assumed;
use crate::config::OfServer;
#[cfg(feature = "postgres")]
use crate::operator::copy::Access;
use crate::operator::{Place, Source};
#[cfg(feature = "postgres")]
use crate::site;
#[cfg(feature = "postgres")]
use crate::store::postgres::Database;

/// What is open for as long as a command runs.
pub(super) enum Opened {
    Files(PathBuf),
    #[cfg(feature = "postgres")]
    Database(Box<Database>),
}

impl Opened {
    /// Opens the database, if one was told; files are opened when they are needed.
    ///
    /// # Errors
    ///
    /// If what was told cannot be used.
    pub(super) fn of(server: &OfServer) -> Result<Self, Failure> {
        #[cfg(feature = "postgres")]
        if let Some(told) = server.store()? {
            let opened = site::database_for_command(&told).map_err(wrong)?;
            return Ok(Self::Database(Box::new(opened)));
        }
        Ok(Self::Files(server.users.clone()))
    }

    /// Where a command works; `posting` is what its mails need to know, if it writes any.
    ///
    /// # Errors
    ///
    /// If what was told of events cannot be used.
    pub(super) fn place<'a>(
        &'a self,
        server: &OfServer,
        posting: Option<&'a Assumed>,
    ) -> Result<Place<'a>, Failure> {
        Ok(Place {
            source: self.source(),
            events_kept: server.events_kept()?,
            posting: posting.map(|assumed| &assumed.posting),
            progress: None,
        })
    }

    pub(super) fn source(&self) -> Source<'_> {
        match self {
            Self::Files(users) => Source::Files(users),
            #[cfg(feature = "postgres")]
            Self::Database(database) => Source::Database(database),
        }
    }
}

/// What opens the database, if one was told.
///
/// # Errors
///
/// If what was told cannot be used.
#[cfg(feature = "postgres")]
pub(super) fn access(server: &OfServer) -> Result<Option<Access>, Failure> {
    let Some(told) = server.store()? else {
        return Ok(None);
    };
    let url = site::database_url(&told.place).map_err(wrong)?;
    let key = told.key;
    Ok(Some(Access { url, key }))
}

#[cfg(feature = "postgres")]
pub(super) fn wrong(problem: site::Problem) -> Failure {
    let (what, hint) = problem.said();
    let hint = Some(hint);
    Failure::Failed { what, hint }
}
