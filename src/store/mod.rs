//! What outlives the process: accounts and sessions; and the operator's rules about access.
//!
//! Reading is done from memory, which holds what is on disk and nothing else, and waits for no
//! save. A change is answered when it is on disk, or it has not happened. Both also hold when
//! somebody else changes the files: an editor, or another process like this one.

use std::io::{self, Write};
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::access::Access;
use crate::accounts::edits::Edited;
use crate::accounts::session::{Limits, Session, Sessions};
use crate::accounts::token::Digest;
use crate::accounts::{Account, Accounts};
use crate::clock::{Clock, DRIFT, Timestamp};

mod access_toml;
mod document;
mod error;
mod fit;
mod flat_file;
mod json;
mod keeper;
mod lock;
mod near_misses;
mod sessions_json;
#[cfg(test)]
mod tests;
mod told;
mod users_json;

use document::{Content, Document, News, Published};
use error::Damage;
use flat_file::directory_of;
use keeper::{Chores, Hear, Keeper, Prompt};
use sessions_json::SessionsJson;
use told::Listener;
use users_json::UsersJson;

pub use error::{NotSaved, OpenError};
pub use told::Told;

/// How often the last use of sessions is saved; a crash forgets no more than that.
const CHORES: Duration = Duration::from_secs(60);

/// Accounts and sessions, in memory and on disk.
///
/// No `Debug`: it holds everybody's keys.
pub struct Store {
    accounts: Keeper<Accounts>,
    sessions: Keeper<Sessions>,
    access: Keeper<Access>,
    listener: Arc<Listener>,
}

impl Store {
    /// Opens the accounts at `users`, none if there is no file yet, and the sessions beside them.
    /// Sessions that are over by the `limits`, or belong to nobody, are forgotten.
    ///
    /// # Errors
    ///
    /// If the accounts cannot be used just as they are, or files in their folder cannot be locked
    /// and replaced; nothing is touched then. Sessions that cannot be read are set aside instead,
    /// and everybody has to log in again.
    pub fn open(users: &Path, limits: Limits, clock: Arc<Clock>) -> Result<Self, OpenError> {
        let directory = directory_of(users);
        if !directory.is_dir() {
            let damage = Damage::new(format!("there is no directory {directory:?}"));
            return Err(OpenError::new(users, damage, "make that directory first"));
        }
        let path = users.with_file_name("sessions.json");
        let (accounts, access) = try_out_beside([users, &path], || {
            let hint = match users.is_dir() {
                true => "that is a folder: name the file in it, which need not be there yet",
                false => "mend the file, or put back a copy",
            };
            let accounts = Document::<Accounts>::open(users, &clock)
                .map_err(|damage| OpenError::new(users, damage, hint))?;
            let path = directory.join("access.toml");
            let hint = "mend the rules; without the file everybody who is logged in may enter";
            let access = Document::<Access>::open(&path, &clock)
                .map_err(|damage| OpenError::new(&path, damage, hint))?;
            Ok((accounts, access))
        })?;
        // Last: a damaged one is moved away, and so far nothing has been touched.
        let sessions = Document::<Sessions>::open(&path, &clock)
            .map_err(|damage| OpenError::new(&path, damage, "move the file away"))?;

        let known = accounts.published();
        let listener = Arc::new(Listener::default());
        let now = clock.now().timestamp();
        sessions.amend(|sessions| {
            drop_from_the_future(sessions, now);
            drop_dead(sessions, &known.get(), limits, now);
        });
        let chores = Chores {
            every: CHORES,
            chore: Box::new(move |sessions| {
                drop_dead(sessions, &known.get(), limits, clock.now().timestamp());
            }),
        };
        let no_thread = |error: io::Error| OpenError::no_thread(users, &error);
        let access = Keeper::start(access, None, Box::new(|_| ())).map_err(no_thread)?;
        let sessions =
            Keeper::start(sessions, Some(chores), Box::new(|_| ())).map_err(no_thread)?;
        // What the start has found to be over leaves the file now.
        sessions.prompt().prompt();
        let hear = hear_accounts(&accounts, &listener, sessions.prompt());
        let accounts = Keeper::start(accounts, None, hear).map_err(no_thread)?;
        Ok(Self {
            accounts,
            sessions,
            access,
            listener,
        })
    }

    /// Has somebody told of what operators do to the accounts, and of what was told before. On the
    /// store's thread: it must not wait, and ask for no change.
    pub fn listen(&self, hear: impl FnMut(Told) + Send + 'static) {
        self.listener.listen(Box::new(hear));
    }

    /// Whether the accounts cannot be read, so that no change to them can be saved until an
    /// operator mends the file.
    pub fn is_unreadable(&self) -> bool {
        self.accounts.is_unreadable()
    }

    /// All accounts as they are on disk.
    pub fn accounts(&self) -> Arc<Accounts> {
        self.accounts.get()
    }

    /// The account with this username or e-mail.
    pub fn resolve(&self, name: &str) -> Option<Arc<Account>> {
        self.accounts().resolve(name).cloned()
    }

    /// All sessions as they are on disk, save that they may have been used since.
    pub fn sessions(&self) -> Arc<Sessions> {
        self.sessions.get()
    }

    /// The session whose cookie has this digest; it may be over.
    pub fn session(&self, id: Digest) -> Option<Arc<Session>> {
        self.sessions().find(id).cloned()
    }

    /// For a change of the accounts to look at the sessions in the moment of its save.
    pub fn live_sessions(&self) -> LiveSessions {
        LiveSessions(self.sessions.published())
    }

    /// The rules about access as they were last good.
    pub fn access(&self) -> Arc<Access> {
        self.access.get()
    }

    /// Makes one change to the accounts and returns what `change` does once it is on disk.
    ///
    /// The change must be quick, since others wait for it, and must not call the store.
    ///
    /// # Errors
    ///
    /// If it could not be saved, or panicked: then it has not happened, unless the disk failed at
    /// the very last step, in which case everybody sees it, as they would after a restart.
    pub fn update<R: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Accounts) -> R + Send + 'static,
    ) -> Result<R, NotSaved> {
        self.accounts.update(change)
    }

    /// As [`Store::update`], for the sessions.
    ///
    /// # Errors
    ///
    /// As [`Store::update`].
    pub fn update_sessions<R: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Sessions) -> R + Send + 'static,
    ) -> Result<R, NotSaved> {
        self.sessions.update(change)
    }

    /// Saves what is still to be saved and ends the store's threads, within `patience`; later
    /// changes are refused, reading goes on. False if something was not saved. Dropping the store
    /// does the same, however long it takes.
    pub fn close(&self, patience: Duration) -> bool {
        self.accounts.tell_to_close();
        self.sessions.tell_to_close();
        self.access.tell_to_close();
        let end = Instant::now().checked_add(patience);
        let left = || {
            end.map_or(patience, |end| {
                end.saturating_duration_since(Instant::now())
            })
        };
        let accounts = self.accounts.wait_closed(left());
        let sessions = self.sessions.wait_closed(left());
        accounts && sessions
    }
}

/// The sessions as they are on disk at each moment.
pub struct LiveSessions(Published<Sessions>);

impl LiveSessions {
    /// Whether there is a session with this id; it may be over.
    pub fn has(&self, id: Digest) -> bool {
        self.0.get().find(id).is_some()
    }
}

/// What the news of the accounts lead to: dead sessions leave their file, and people are told.
fn hear_accounts(
    document: &Document<Accounts>,
    listener: &Arc<Listener>,
    sessions: Prompt<Sessions>,
) -> Hear<Accounts> {
    let (published, listener) = (document.published(), Arc::clone(listener));
    let file = document.path().display().to_string();
    Box::new(move |news| match news {
        News::TakenUp => sessions.prompt(),
        News::Edited(edited) => {
            let user = &edited.account.username;
            let was = edited.name_before.as_deref();
            tracing::info!(event = "edited_by_hand", user, was, changed = edited.what);
            listener.tell(Told::Edited(edited));
        }
        News::Unreadable(damage) => listener.tell(Told::Unreadable {
            accounts: published.get(),
            file: file.clone(),
            reason: damage.to_string(),
        }),
    })
}

/// Reads, and meanwhile, since that waits for the disk, tries whether these files can be saved.
fn try_out_beside<T>(
    paths: [&Path; 2],
    read: impl FnOnce() -> Result<T, OpenError>,
) -> Result<T, OpenError> {
    let try_out = || paths.iter().try_for_each(|path| fit::try_out(path));
    thread::scope(|scope| {
        let trying = thread::Builder::new().spawn_scoped(scope, try_out);
        let read = read();
        let tried = match trying {
            // What panicked has found nothing.
            Ok(thread) => thread.join().unwrap_or(Ok(())),
            Err(_) => try_out(),
        };
        let read = read?;
        tried?;
        Ok(read)
    })
}

/// What a save that changes nothing would make of the text of a users file. For trying texts
/// without a file, as fuzzing does.
///
/// # Errors
///
/// What an operator would be told of such a file.
pub fn rewrite_users(text: &[u8]) -> Result<Vec<u8>, String> {
    let (accounts, mut format) = users_json::parse(text).map_err(|damage| damage.to_string())?;
    let mut written = Vec::new();
    format
        .write(&accounts, &mut written)
        .map_err(|error| error.to_string())?;
    Ok(written)
}

impl Content for Accounts {
    type Format = UsersJson;

    type Edited = Edited;

    const NAME: &'static str = "users file";

    const REPLACED_WHEN_DAMAGED: bool = false;

    fn parse(bytes: &[u8]) -> Result<(Self, UsersJson), Damage> {
        users_json::parse(bytes)
    }

    fn oddities(format: &mut UsersJson) -> Vec<String> {
        format.take_oddities()
    }

    fn settle(
        &mut self,
        format: &mut UsersJson,
        before: Option<(&Self, Timestamp)>,
    ) -> (Vec<Edited>, bool) {
        let revision = Self::revision(self);
        let unsealed = format.take_unsealed();
        // Accounts that are not sealed are, with the next save.
        let owes = !unsealed.is_empty();
        let edited = Self::settle(self, unsealed, before);
        (edited, owes || Self::revision(self) != revision)
    }

    fn write(&self, format: &mut UsersJson, out: &mut dyn Write) -> io::Result<()> {
        format.write(self, out)
    }

    fn revision(&self) -> u64 {
        Self::revision(self)
    }

    fn attempt<R>(&mut self, change: impl FnOnce(&mut Self) -> R) -> thread::Result<R> {
        Self::attempt(self, change)
    }
}

impl Content for Sessions {
    type Format = SessionsJson;

    type Edited = ();

    const NAME: &'static str = "sessions file";

    const REPLACED_WHEN_DAMAGED: bool = true;

    fn parse(bytes: &[u8]) -> Result<(Self, SessionsJson), Damage> {
        sessions_json::parse(bytes)
    }

    fn write(&self, format: &mut SessionsJson, out: &mut dyn Write) -> io::Result<()> {
        format.write(self, out)
    }

    fn revision(&self) -> u64 {
        Self::revision(self)
    }

    /// The time of last use only ever grows, so the sum does with any of them.
    fn touches(&self) -> u64 {
        self.iter()
            .fold(0, |sum, session| sum.wrapping_add(session.last_seen().0))
    }

    /// Keeps a use that was noted since the file was written.
    fn inherit(&self, before: &Self) {
        for session in before.iter() {
            if let Some(read) = self.find(session.id) {
                read.seen(session.last_seen());
            }
        }
    }

    fn attempt<R>(&mut self, change: impl FnOnce(&mut Self) -> R) -> thread::Result<R> {
        let mut changed = self.clone();
        let result = panic::catch_unwind(AssertUnwindSafe(|| change(&mut changed)))?;
        *self = changed;
        Ok(result)
    }
}

/// Drops sessions made while the clock was wrong: they would not end when they should.
fn drop_from_the_future(sessions: &mut Sessions, now: Timestamp) {
    let latest = now.plus(DRIFT);
    sessions.retain(|session| session.created <= latest && session.last_seen() <= latest);
}

/// Drops sessions that are over, those of accounts that are gone, and those begun under another
/// password than the present one, which is perhaps just being saved if they are young.
fn drop_dead(sessions: &mut Sessions, accounts: &Accounts, limits: Limits, now: Timestamp) {
    sessions.retain(|session| {
        let account = accounts.find(&session.username);
        let young = now.since(session.created) < CHORES;
        // Generations only grow: this one is none that is just being saved.
        let is_over = |account: &Account| session.basis.generation < account.generation;
        !session.is_over(limits, now)
            && account.is_some_and(|account| session.is_of(account) || (young && !is_over(account)))
    });
}
