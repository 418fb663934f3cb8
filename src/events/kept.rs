//! Where events are kept, to add to: a file, or a table of the database that accounts are in.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::events::file::Log;
use crate::events::keeper;
use crate::events::line::Event;
#[cfg(feature = "postgres")]
use crate::events::rows::Rows;

/// The events of the past, and where the next ones go.
pub(super) enum Kept {
    File(Log),
    #[cfg(feature = "postgres")]
    Rows(Rows),
}

impl Kept {
    /// Adds an event, which may be kept only once it is synced.
    ///
    /// # Errors
    ///
    /// If it cannot be kept, and is lost.
    pub(super) fn append(&mut self, event: &Event) -> io::Result<()> {
        match self {
            Self::File(log) => log.append(&event.line()),
            #[cfg(feature = "postgres")]
            Self::Rows(rows) => rows.append(event),
        }
    }

    /// Makes what was added stay there.
    ///
    /// # Errors
    ///
    /// If that cannot be done now.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        match self {
            Self::File(log) => log.sync(),
            #[cfg(feature = "postgres")]
            Self::Rows(rows) => rows.sync(),
        }
    }

    /// How many events would be kept by another try to sync them.
    pub(super) fn unsynced(&self) -> u64 {
        match self {
            // What a disk does to lines that it has taken, nobody can count.
            Self::File(_) => 0,
            #[cfg(feature = "postgres")]
            Self::Rows(rows) => rows.waiting(),
        }
    }

    /// Whether they are in a database.
    pub(super) fn is_in_database(&self) -> bool {
        !matches!(self, Self::File(_))
    }

    /// Drops the events from before `oldest`, since 1970.
    ///
    /// # Errors
    ///
    /// If that cannot be done now.
    pub(super) fn drop_before(&self, oldest: Duration) -> io::Result<()> {
        match self {
            Self::File(log) => keeper::drop_before(log.path(), oldest),
            #[cfg(feature = "postgres")]
            Self::Rows(rows) => rows.drop_before(oldest),
        }
    }
}

/// For the log.
impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(log) => log.path().display().fmt(f),
            #[cfg(feature = "postgres")]
            Self::Rows(_) => f.write_str("the database"),
        }
    }
}
