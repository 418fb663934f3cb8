//! Where the accounts are that operators work on, with what is kept beside them.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::accounts::Accounts;
use crate::accounts::ids::AccountId;
use crate::accounts::session::Sessions;
use crate::events::{self, Event, Reader, Seen};
#[cfg(feature = "postgres")]
use crate::host;
use crate::mail::{self, Outbox, Sender};
use crate::operator::{Refused, outbox_of};
#[cfg(feature = "postgres")]
use crate::store::postgres::{Database, EventRows, MailRows};
use crate::store::{self, About, Draft, Unmade};

/// Where accounts are.
#[derive(Clone, Copy)]
pub enum Source<'a> {
    /// A file, beside which the rest is.
    Files(&'a Path),
    /// A database, in which the rest is too.
    #[cfg(feature = "postgres")]
    Database(&'a Database),
}

/// What a change gave, and the file that was made for it, if there was none.
pub(super) type Made<R> = (R, Option<PathBuf>);

impl<'a> Source<'a> {
    /// All accounts as they are now; nothing is touched.
    ///
    /// # Errors
    ///
    /// If they cannot be read.
    pub fn everybody(self) -> Result<Accounts, Refused> {
        match self {
            Self::Files(users) => {
                let read = store::read_accounts(users).map_err(Refused::NoFile)?;
                Ok(read.unwrap_or_default())
            }
            #[cfg(feature = "postgres")]
            Self::Database(database) => {
                let (accounts, _) = database.everything().map_err(|_| Refused::Away)?;
                Ok(Accounts::clone(&accounts))
            }
        }
    }

    /// The accounts that this is about, with their sessions, which may be over; perhaps more.
    ///
    /// # Errors
    ///
    /// If they cannot be read.
    #[cfg_attr(
        not(feature = "postgres"),
        expect(unused_variables, reason = "files are read and changed as a whole")
    )]
    pub(super) fn some(
        self,
        about: impl FnOnce() -> About,
    ) -> Result<(Accounts, Sessions), Refused> {
        match self {
            Self::Files(users) => Ok((self.everybody()?, store::read_sessions(users))),
            #[cfg(feature = "postgres")]
            Self::Database(database) => {
                let read = database.some(&about()).map_err(|_| Refused::Away)?;
                Ok((Accounts::clone(&read.0), Sessions::clone(&read.1)))
            }
        }
    }

    /// Makes a change of what it is about, which may be made more than once, and saves it unless it
    /// is refused.
    ///
    /// # Errors
    ///
    /// [`Refused`]; nothing is changed then.
    #[cfg_attr(
        not(feature = "postgres"),
        expect(unused_variables, reason = "files are read and changed as a whole")
    )]
    pub(super) fn change<R>(
        self,
        about: impl FnOnce() -> About,
        change: impl FnMut(&mut Draft) -> Result<R, Refused>,
    ) -> Result<Made<R>, Refused> {
        match self {
            Self::Files(users) => {
                let made = store::once(users, change).map_err(|why| match why {
                    Unmade::Unreadable(error) => Refused::NoFile(error),
                    Unmade::NotSaved(error) => Refused::NotSaved(error),
                })??;
                let is_new = made.is_new;
                Ok((made.gave, is_new.then(|| store::full_path(users))))
            }
            #[cfg(feature = "postgres")]
            Self::Database(database) => {
                let made = database.change_at_once(&about(), change);
                Ok((made.map_err(Refused::NotSaved)??, None))
            }
        }
    }

    /// The outbox to add mails to, and whether it was made just now; `None` where mails are saved
    /// with the change they tell of.
    pub(super) fn outbox(self, from: Sender) -> Option<Result<(Outbox, bool), Refused>> {
        match self {
            Self::Files(users) => {
                Some(Outbox::of_command(outbox_of(users), from).map_err(Refused::NoOutbox))
            }
            #[cfg(feature = "postgres")]
            Self::Database(_) => None,
        }
    }

    /// How many more mails the outbox takes, besides new passwords.
    pub(super) fn room_for_mails(self) -> Result<usize, Refused> {
        match self {
            Self::Files(users) => mail::room(&outbox_of(users)).map_err(Refused::NoOutbox),
            #[cfg(feature = "postgres")]
            Self::Database(database) => {
                let waiting = MailRows::of(database.shared()).count();
                let waiting = waiting.map_err(|_| Refused::Away)?;
                Ok(mail::MAX_OTHERS.saturating_sub(waiting))
            }
        }
    }

    /// Adds events; they have happened in any case.
    pub(super) fn note(self, kept: Duration, happened: &[Event]) -> io::Result<()> {
        match self {
            Self::Files(users) => events::append(users, kept, happened),
            #[cfg(feature = "postgres")]
            Self::Database(database) => {
                let rows = EventRows::of(database.shared());
                events::append_in_database(&rows, &host::own(), kept, happened)
            }
        }
    }

    /// The last events of an account, the newest first.
    pub(super) fn recent(self, id: &AccountId) -> Vec<Seen> {
        match self {
            Self::Files(users) => events::recent(&events::beside(users), id),
            #[cfg(feature = "postgres")]
            Self::Database(database) => {
                events::recent_in_database(&EventRows::of(database.shared()), id)
            }
        }
    }

    /// All events.
    ///
    /// # Errors
    ///
    /// If there is no such folder.
    pub fn events(self) -> Result<Reader, Refused> {
        match self {
            Self::Files(users) => {
                store::check_directory(users).map_err(Refused::NoFile)?;
                Ok(Reader::new(events::beside(users)))
            }
            #[cfg(feature = "postgres")]
            Self::Database(database) => Ok(Reader::in_database(EventRows::of(database.shared()))),
        }
    }

    /// Where mails wait, if that is a folder.
    pub fn outbox_folder(self) -> Option<PathBuf> {
        match self {
            Self::Files(users) => Some(store::full_path(&outbox_of(users))),
            #[cfg(feature = "postgres")]
            Self::Database(_) => None,
        }
    }
}
