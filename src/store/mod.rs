//! What outlives the process: accounts and sessions; and the operator's rules about access.
//!
//! Accounts and sessions are looked up by key, which may fail, and one change of an account and its
//! sessions is one save. So no other module depends on where they are kept, which is in two files.
//! Reads come from memory, which holds what is on disk and nothing else, and do not wait for a
//! save. A change is answered when it is on disk, or it has not happened. All this also holds when
//! somebody else changes the files: an editor, or another process like this one.

use std::collections::HashSet;
#[cfg(feature = "postgres")]
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::accounts::invitations::Invitation;
use crate::accounts::pending::Pending;
use crate::accounts::session::{Limits, Session, Sessions};
use crate::accounts::token::Digest;
use crate::accounts::{Account, Accounts, Taken};
use crate::clock::{Clock, Timestamp};
use crate::network::Network;

#[cfg_attr(
    not(feature = "postgres"),
    expect(dead_code, reason = "files are in memory as a whole")
)]
mod about;
mod access_toml;
mod asked;
mod challenges;
mod changes;
pub mod counts;
mod document;
mod draft;
mod error;
mod files;
mod fit;
mod flat_file;
mod hold;
mod json;
mod keys;
mod links;
mod lock;
mod look;
mod near_misses;
mod once;
mod opening;
mod pending;
#[cfg(feature = "postgres")]
pub mod postgres;
mod sessions_json;
#[cfg(test)]
mod tests;
mod told;
mod users_json;
#[cfg(feature = "postgres")]
mod whole;
mod worker;

use challenges::Asking;
use document::Document;
use draft::Base;
use files::Files;
use opening::{try_out_beside, unreadable};
#[cfg(feature = "postgres")]
use postgres::{Database, Opened, Shared};
#[cfg(test)]
use tests::memory::Memory;
use told::{Listener, hear_accounts};
use worker::Chores;

pub(crate) use about::About;
pub use access_toml::Rules;
pub use challenges::HeldChallenge;
pub use draft::Draft;
pub(crate) use draft::KeptMail;
pub use error::{NotSaved, OpenError, Unavailable};
pub use hold::{Hold, hold};
pub use look::{Looked, look};
pub use once::{Made, Unmade, once, read_sessions};
pub use opening::{
    UNFINISHED, check_directory, could_save, find_directory, full_path, is_unfinished,
    judge_accounts, read_accounts, rewrite_users,
};
pub use told::Told;
#[cfg(feature = "postgres")]
pub use whole::Whole;

/// How often the last use of sessions is saved; a crash loses no more than that.
const CHORES: Duration = Duration::from_secs(60);

/// Accounts and their sessions, looked up by name or cookie and changed as a whole.
///
/// No `Debug`: it holds everybody's keys.
pub struct Store {
    kept: Kept,
    /// What is pending, unless that is in a database.
    pending: Arc<Pending>,
    listener: Arc<Listener>,
    asking: Asking,
}

/// A session, and the account with the name in it.
pub type Who = (Arc<Session>, Arc<Account>);

/// An invitation, and the account that it is for if that was made already.
pub type Invited = (Invitation, Option<Arc<Account>>);

/// Where accounts and sessions are kept.
enum Kept {
    Files(Files),
    #[cfg(feature = "postgres")]
    Database(Box<Database>),
    #[cfg(test)]
    Memory(Memory),
}

impl Store {
    /// Opens the accounts at `users`, none if there is no file yet, and the sessions beside them.
    /// Sessions that are over by the `limits`, or belong to no account, are forgotten.
    ///
    /// # Errors
    ///
    /// If the accounts cannot be used just as they are, or files in their folder cannot be locked
    /// and replaced; nothing is touched then. Sessions that cannot be read are set aside instead,
    /// and everybody has to log in again.
    pub fn open(users: &Path, limits: Limits, clock: Arc<Clock>) -> Result<Self, OpenError> {
        check_directory(users)?;
        let path = users.with_file_name("sessions.json");
        let accounts = try_out_beside([users, &path], || {
            Document::<Accounts>::open(users, &clock).map_err(|damage| unreadable(users, damage))
        })?;
        // Last, since a damaged file is moved away, and so far nothing has been touched.
        let sessions = Document::<Sessions>::open(&path, &clock)
            .map_err(|damage| OpenError::new(&path, damage, "move the file away"))?;

        let known = accounts.published().get();
        let now = clock.now().timestamp();
        sessions.amend(|sessions| {
            sessions.drop_from_the_future(now);
            sessions.prune(&known, limits, now);
        });
        let listener = Arc::new(Listener::default());
        let hear = hear_accounts(&accounts, &listener);
        let chores = Chores {
            every: CHORES,
            prune: Box::new(move |sessions, accounts| {
                sessions.prune(accounts, limits, clock.now().timestamp());
            }),
        };
        let files = Files::start(accounts, sessions, chores, hear)
            .map_err(|error| OpenError::no_thread(users, &error))?;
        Ok(Self {
            kept: Kept::Files(files),
            pending: Arc::default(),
            listener,
            asking: Asking::default(),
        })
    }

    /// The store in a database that can be used. Sessions that are over by the `limits` are
    /// forgotten.
    ///
    /// # Errors
    ///
    /// If the system has no thread to give.
    #[cfg(feature = "postgres")]
    pub fn in_database(opened: Opened, limits: Limits) -> io::Result<Self> {
        Ok(Self {
            kept: Kept::Database(Box::new(Database::start(opened, limits)?)),
            pending: Arc::default(),
            listener: Arc::default(),
            asking: Asking::default(),
        })
    }

    /// A store that keeps nothing on disk.
    #[cfg(test)]
    pub(crate) fn in_memory() -> Self {
        Self {
            kept: Kept::Memory(Memory::default()),
            pending: Arc::default(),
            listener: Arc::default(),
            asking: Asking::default(),
        }
    }

    /// Has `hear` called with all that people must be told about the accounts, from the start on.
    /// It runs on the store's thread, so it must not wait or ask for a change.
    pub fn listen(&self, hear: impl FnMut(Told) + Send + 'static) {
        self.listener.listen(Box::new(hear));
    }

    /// How many accounts there are, and how many sessions that are not over; of a database, as counted
    /// within the last minute.
    pub fn count(&self, limits: Limits, now: Timestamp) -> (usize, usize) {
        #[cfg(feature = "postgres")]
        if let Kept::Database(database) = &self.kept {
            return database.counted();
        }
        let accounts = self.accounts().map_or(0, |accounts| accounts.len());
        let lasts = |session: &&Arc<Session>| !session.is_over(limits, now);
        let sessions = self.sessions();
        let sessions = sessions.map_or(0, |sessions| sessions.iter().filter(lasts).count());
        (accounts, sessions)
    }

    /// Whether there is no account.
    pub fn is_empty(&self) -> bool {
        #[cfg(feature = "postgres")]
        if let Kept::Database(database) = &self.kept {
            return database.is_empty().unwrap_or(false);
        }
        self.accounts().is_ok_and(|accounts| accounts.is_empty())
    }

    /// Whether the accounts cannot be read, so that no change to them can be saved until an
    /// operator mends the file.
    pub fn is_unreadable(&self) -> bool {
        match &self.kept {
            Kept::Files(files) => files.is_unreadable(),
            #[cfg(feature = "postgres")]
            Kept::Database(_) => false,
            #[cfg(test)]
            Kept::Memory(_) => false,
        }
    }

    /// How many accounts have passkeys that are for another host than this.
    ///
    /// # Errors
    ///
    /// If the accounts cannot be read now.
    pub fn with_passkeys_elsewhere(&self, host: &str) -> Result<usize, Unavailable> {
        #[cfg(feature = "postgres")]
        if let Kept::Database(database) = &self.kept {
            return database.with_passkeys_elsewhere(host);
        }
        Ok(self.accounts()?.with_passkeys_elsewhere(host))
    }

    /// Whether the store is in files.
    pub fn is_on_disk(&self) -> bool {
        matches!(self.kept, Kept::Files(_))
    }

    /// Whether the store is in a database that does not answer.
    pub fn is_away(&self) -> bool {
        match &self.kept {
            Kept::Files(_) => false,
            #[cfg(feature = "postgres")]
            Kept::Database(database) => database.is_away(),
            #[cfg(test)]
            Kept::Memory(_) => false,
        }
    }

    /// Whether the store is in files, or in a database that takes changes as far as is known.
    pub fn could_change(&self) -> bool {
        match &self.kept {
            #[cfg(feature = "postgres")]
            Kept::Database(database) => database.could_change(),
            _ => true,
        }
    }

    /// Whether a change could be asked for now. Files say so only once there is one.
    ///
    /// # Errors
    ///
    /// If a database does not answer, or takes no changes.
    pub fn takes_changes(&self) -> Result<(), Unavailable> {
        match &self.kept {
            #[cfg(feature = "postgres")]
            Kept::Database(database) => database.takes_changes(),
            _ => Ok(()),
        }
    }

    /// The database, for what else is kept in it; `None` where files are.
    #[cfg(feature = "postgres")]
    pub(crate) fn database(&self) -> Option<&Arc<Shared>> {
        match &self.kept {
            Kept::Database(database) => Some(database.shared()),
            _ => None,
        }
    }

    /// The session whose cookie has this digest, which may be over, and the account named in it.
    ///
    /// # Errors
    ///
    /// If they cannot be read now.
    pub fn who(&self, id: Digest) -> Result<Option<Who>, Unavailable> {
        #[cfg(feature = "postgres")]
        if let Kept::Database(database) = &self.kept {
            return database.who(id);
        }
        // The session first: if the account changes meanwhile, that ends the session.
        let Some(session) = self.sessions()?.find(id).cloned() else {
            return Ok(None);
        };
        let account = self.accounts()?.find(&session.username).cloned();
        Ok(account.map(|account| (session, account)))
    }

    /// As [`Store::who`], for applications, which ask all the time: what was known less than a second
    /// ago, and while the store does not answer some seconds ago, if that lets the visitor in.
    ///
    /// # Errors
    ///
    /// If they cannot be read now, and are not known.
    pub fn who_of_late(&self, id: Digest) -> Result<Option<Who>, Unavailable> {
        #[cfg(feature = "postgres")]
        if let Kept::Database(database) = &self.kept {
            return database.who_of_late(id);
        }
        self.who(id)
    }

    /// The account with this username or e-mail.
    ///
    /// # Errors
    ///
    /// If it cannot be read now.
    pub fn account(&self, name: &str) -> Result<Option<Arc<Account>>, Unavailable> {
        let base = self.look(|| About::account(name).plain())?;
        Ok(base.accounts.resolve(name).cloned())
    }

    /// Which of a new account's name and e-mail a stranger cannot have; the name, if both.
    ///
    /// # Errors
    ///
    /// If the accounts cannot be read now.
    pub fn taken(
        &self,
        username: &str,
        email: Option<&str>,
        now: Timestamp,
    ) -> Result<Option<Taken>, Unavailable> {
        let base = self.look(|| About::account(username).and_owner(email))?;
        Ok(base.accounts.taken_to_strangers(username, email, now))
    }

    /// The sessions of an account, oldest first; some may be over.
    ///
    /// # Errors
    ///
    /// If they cannot be read now.
    pub fn sessions_of(&self, username: &str) -> Result<Vec<Arc<Session>>, Unavailable> {
        let base = self.look(|| About::account(username).plain())?;
        Ok(base.sessions.of(username).cloned().collect())
    }

    /// As [`Accounts::regular_networks`].
    ///
    /// # Errors
    ///
    /// If the accounts cannot be read now.
    pub fn regular_networks(&self, now: Timestamp) -> Result<HashSet<Network>, Unavailable> {
        #[cfg(feature = "postgres")]
        if let Kept::Database(database) = &self.kept {
            return database.regular_networks(now);
        }
        Ok(self.accounts()?.regular_networks(now))
    }

    /// All accounts as they are now.
    ///
    /// # Errors
    ///
    /// If they cannot be read now.
    pub fn everybody(&self) -> Result<Arc<Accounts>, Unavailable> {
        #[cfg(feature = "postgres")]
        if let Kept::Database(database) = &self.kept {
            return Ok(database.everything()?.0);
        }
        self.accounts()
    }

    /// Saves what has not been saved yet and ends the store's thread, within `patience`. Later
    /// changes are refused, and reading goes on. False if something was not saved. Dropping the
    /// store does the same, however long it takes.
    pub fn close(&self, patience: Duration) -> bool {
        match &self.kept {
            Kept::Files(files) => files.close(patience),
            #[cfg(feature = "postgres")]
            Kept::Database(database) => database.close(patience),
            #[cfg(test)]
            Kept::Memory(_) => true,
        }
    }

    fn accounts(&self) -> Result<Arc<Accounts>, Unavailable> {
        Ok(self.look(About::everything)?.accounts)
    }

    fn sessions(&self) -> Result<Arc<Sessions>, Unavailable> {
        Ok(self.look(About::everything)?.sessions)
    }

    /// What this is `about`, or more.
    #[cfg_attr(
        not(feature = "postgres"),
        expect(unused_variables, reason = "files are in memory as a whole")
    )]
    fn look(&self, about: impl FnOnce() -> About) -> Result<Base, Unavailable> {
        match &self.kept {
            Kept::Files(files) => Ok(Base {
                sessions: files.sessions(),
                accounts: files.accounts(),
            }),
            #[cfg(feature = "postgres")]
            Kept::Database(database) => database.look(&about()),
            #[cfg(test)]
            Kept::Memory(memory) => memory.read(),
        }
    }
}
