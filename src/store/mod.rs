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
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::accounts::confirmations::{Confirmed, Unconfirmed};
use crate::accounts::invitations::{Invitation, NotRegistered};
use crate::accounts::passkey::{CredentialId, NotAdded, Passkey};
use crate::accounts::password::PasswordHash;
use crate::accounts::person::Person;
use crate::accounts::session::{Limits, Session, Sessions};
use crate::accounts::token::Digest;
use crate::accounts::{Account, Accounts, Taken};
use crate::clock::{Clock, Timestamp};
use crate::durable::directory_of;
use crate::network::Network;

#[cfg_attr(
    not(feature = "postgres"),
    expect(dead_code, reason = "files are in memory as a whole")
)]
mod about;
mod access_toml;
mod asked;
mod document;
mod draft;
mod error;
mod files;
mod fit;
mod flat_file;
mod hold;
mod json;
mod lock;
mod look;
mod near_misses;
mod once;
#[cfg(feature = "postgres")]
pub mod postgres;
mod sessions_json;
#[cfg(test)]
mod tests;
mod told;
mod users_json;
mod worker;

use about::About;
use document::{Document, News};
use draft::Base;
use error::Damage;
use files::Files;
use flat_file::FlatFile;
#[cfg(feature = "postgres")]
use postgres::{Database, Opened};
#[cfg(test)]
use tests::memory::Memory;
use told::Listener;
use worker::{Chores, Hear};

pub use access_toml::Rules;
pub use draft::Draft;
pub use error::{NotSaved, OpenError, Unavailable};
pub use hold::{Hold, hold};
pub use look::{Looked, look};
pub use once::{Made, Unmade, once, read_sessions};
pub use told::Told;

/// How often the last use of sessions is saved; a crash loses no more than that.
const CHORES: Duration = Duration::from_secs(60);

/// Accounts and their sessions, looked up by name or cookie and changed as a whole.
///
/// No `Debug`: it holds everybody's keys.
pub struct Store {
    kept: Kept,
    listener: Arc<Listener>,
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
            listener,
        })
    }

    /// The store in a database that can be used.
    ///
    /// # Errors
    ///
    /// If the system has no thread to give.
    #[cfg(feature = "postgres")]
    pub fn in_database(opened: Opened) -> io::Result<Self> {
        Ok(Self {
            kept: Kept::Database(Box::new(Database::start(opened)?)),
            listener: Arc::default(),
        })
    }

    /// A store that keeps nothing on disk.
    #[cfg(test)]
    pub(crate) fn in_memory() -> Self {
        Self {
            kept: Kept::Memory(Memory::default()),
            listener: Arc::default(),
        }
    }

    /// Has `hear` called with all that people must be told about the accounts, from the start on.
    /// It runs on the store's thread, so it must not wait or ask for a change.
    pub fn listen(&self, hear: impl FnMut(Told) + Send + 'static) {
        self.listener.listen(Box::new(hear));
    }

    /// How many accounts there are, and how many sessions that are not over.
    pub fn count(&self, limits: Limits, now: Timestamp) -> (usize, usize) {
        let accounts = self.accounts().map_or(0, |accounts| accounts.len());
        let lasts = |session: &&Arc<Session>| !session.is_over(limits, now);
        let sessions = self.sessions();
        let sessions = sessions.map_or(0, |sessions| sessions.iter().filter(lasts).count());
        (accounts, sessions)
    }

    /// Whether there is no account.
    pub fn is_empty(&self) -> bool {
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

    /// The account with this username or e-mail.
    ///
    /// # Errors
    ///
    /// If it cannot be read now.
    pub fn account(&self, name: &str) -> Result<Option<Arc<Account>>, Unavailable> {
        let base = self.look(|| About::account(name).plain())?;
        Ok(base.accounts.resolve(name).cloned())
    }

    /// The account that has an access token with this hash; whether that is good is not judged.
    ///
    /// # Errors
    ///
    /// If it cannot be read now.
    pub fn owner_of_token(&self, hash: Digest) -> Result<Option<Arc<Account>>, Unavailable> {
        Ok(self.accounts()?.owner_of_token(hash).cloned())
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
        Ok(self.accounts()?.regular_networks(now))
    }

    /// Adds an account.
    ///
    /// # Errors
    ///
    /// As [`Store::change`]; the inner error, if its name or e-mail belongs to another account.
    pub fn add(&self, account: Account) -> Result<Result<(), Taken>, NotSaved> {
        let about = About::account(&account.username).and_owner(account.email.as_deref());
        self.update_of(about, move |draft| draft.add(account.clone()))
    }

    /// Adds an account that a stranger registered. They cannot have a name that somebody had before.
    ///
    /// # Errors
    ///
    /// As [`Store::add`].
    pub fn register(
        &self,
        account: Account,
        now: Timestamp,
    ) -> Result<Result<(), Taken>, NotSaved> {
        let about = About::account(&account.username).and_owner(account.email.as_deref());
        self.update_of(about, move |draft| draft.register(account.clone(), now))
    }

    /// Changes one account and its sessions, and returns what `change` returned once all of it is
    /// saved. `None` if there is no such account.
    ///
    /// `change` may run more than once, and only the last time counts: it must be quick, must not
    /// call the store, and must have no other effects.
    ///
    /// # Errors
    ///
    /// If the change panicked or could not be saved: then it has not happened, unless the disk
    /// failed at the very last step. In that case everybody sees the change, as they would after a
    /// restart.
    pub fn change<R: Send + 'static>(
        &self,
        username: &str,
        change: impl Fn(&mut Person<'_>) -> R + Send + 'static,
    ) -> Result<Option<R>, NotSaved> {
        let (about, username) = (About::account(username), username.to_owned());
        self.update_of(about, move |draft| draft.change(&username, &change))
    }

    /// As [`Store::change`], on behalf of another account, or the same: `may` judges that one in the
    /// same save, as it is at that moment, so that of two who take from each other what they ask
    /// with only the first is heard. It is given `None` if there is no such account.
    ///
    /// # Errors
    ///
    /// As [`Store::change`]; the inner error, if `may` gave that. Nothing is changed then.
    pub fn change_for<R: Send + 'static, E: Send + 'static>(
        &self,
        asker: &str,
        may: impl Fn(Option<&Person<'_>>) -> Result<(), E> + Send + 'static,
        username: &str,
        change: impl Fn(&mut Person<'_>) -> R + Send + 'static,
    ) -> Result<Result<Option<R>, E>, NotSaved> {
        let about = About::account(asker).and(username);
        let (asker, username) = (asker.to_owned(), username.to_owned());
        self.update_of(about, move |draft| {
            draft.change_for(&asker, &may, &username, &change)
        })
    }

    /// The account that has a passkey with this id.
    ///
    /// # Errors
    ///
    /// If it cannot be read now.
    pub fn owner_of(&self, passkey: &CredentialId) -> Result<Option<Arc<Account>>, Unavailable> {
        Ok(self.accounts()?.owner_of(passkey).cloned())
    }

    /// Adds a passkey to an account, if `may` allows it to that one as it is in the same save.
    ///
    /// # Errors
    ///
    /// As [`Store::change_for`]; the innermost error says why it was not added.
    pub fn add_passkey<E: Send + 'static>(
        &self,
        username: &str,
        may: impl Fn(Option<&Person<'_>>) -> Result<(), E> + Send + 'static,
        passkey: Passkey,
    ) -> Result<Result<Result<(), NotAdded>, E>, NotSaved> {
        let username = username.to_owned();
        self.update(move |draft| {
            draft.ask(&username, &may)?;
            Ok(draft.add_passkey(&username, passkey.clone()))
        })
    }

    /// All accounts as they are now.
    ///
    /// # Errors
    ///
    /// If they cannot be read now.
    pub fn everybody(&self) -> Result<Arc<Accounts>, Unavailable> {
        self.accounts()
    }

    /// Opens a link that proves the address of this account, unless it has another by now, or that
    /// changes it `to` another, unless the account was disabled or got a new password meanwhile;
    /// true if it was opened.
    ///
    /// # Errors
    ///
    /// As [`Store::change`].
    pub fn expect_confirmation(
        &self,
        account: &Arc<Account>,
        to: Option<&str>,
        token: Digest,
        now: Timestamp,
    ) -> Result<bool, NotSaved> {
        let about = About::account(&account.username);
        let (account, to) = (Arc::clone(account), to.map(str::to_owned));
        self.update_of(about, move |draft| {
            draft.expect_confirmation(&account, to.as_deref(), token, now)
        })
    }

    /// Closes a link whose mail could not be written.
    ///
    /// # Errors
    ///
    /// As [`Store::change`].
    pub fn close_confirmation(&self, token: Digest) -> Result<(), NotSaved> {
        self.update_of(About::link(token), move |draft| {
            draft.close_confirmation(token);
        })
    }

    /// Whether a link would prove or change an address now.
    ///
    /// # Errors
    ///
    /// If the accounts cannot be read now.
    pub fn is_confirmable(&self, token: Digest, now: Timestamp) -> Result<bool, Unavailable> {
        let base = self.look(|| About::link(token))?;
        Ok(base.accounts.confirmable(token, now).is_some())
    }

    /// Uses up a link that proves or changes an address.
    ///
    /// # Errors
    ///
    /// As [`Store::change`]; the inner error, if the link does nothing.
    pub fn confirm(
        &self,
        token: Digest,
        now: Timestamp,
    ) -> Result<Result<Confirmed, Unconfirmed>, NotSaved> {
        self.update_of(About::link(token), move |draft| draft.confirm(token, now))
    }

    /// The invitation with this token, if it works, and the account that it is for if that was made
    /// already.
    ///
    /// # Errors
    ///
    /// If the accounts cannot be read now.
    pub fn invitation(
        &self,
        token: Digest,
        now: Timestamp,
    ) -> Result<Option<Invited>, Unavailable> {
        let base = self.look(|| About::link(token))?;
        let open = base.accounts.invitation(token, now);
        Ok(open.map(|(invitation, account)| (invitation.clone(), account.cloned())))
    }

    /// Adds an invitation on behalf of an account, which `may` judges as in [`Store::change_for`].
    ///
    /// # Errors
    ///
    /// As [`Store::change_for`]; the innermost error, if its address belongs to an account that it
    /// is not for.
    pub fn invite_for<E: Send + 'static>(
        &self,
        asker: &str,
        may: impl Fn(Option<&Person<'_>>) -> Result<(), E> + Send + 'static,
        (token, invitation): (Digest, Invitation),
        now: Timestamp,
    ) -> Result<Result<Result<(), Taken>, E>, NotSaved> {
        let about = About::account(asker).and_owner(invitation.email.as_deref());
        let asker = asker.to_owned();
        self.update_of(about, move |draft| {
            draft.ask(&asker, &may)?;
            Ok(draft.invite(token, invitation.clone(), now))
        })
    }

    /// Ends the invitation with this id on behalf of an account, which `may` judges as in
    /// [`Store::change_for`], and gives it back; `None` if none that works has it.
    ///
    /// # Errors
    ///
    /// As [`Store::change_for`].
    pub fn end_invitation_for<E: Send + 'static>(
        &self,
        asker: &str,
        may: impl Fn(Option<&Person<'_>>) -> Result<(), E> + Send + 'static,
        id: &str,
        now: Timestamp,
    ) -> Result<Result<Option<Invitation>, E>, NotSaved> {
        let about = About::account(asker).and_short(id);
        let (asker, id) = (asker.to_owned(), id.to_owned());
        self.update_of(about, move |draft| {
            draft.ask(&asker, &may)?;
            Ok(draft.end_invitation(&id, now))
        })
    }

    /// Adds an account that somebody registered by an invitation, and uses that up.
    ///
    /// # Errors
    ///
    /// As [`Store::change`]; the inner error says why it was not added.
    pub fn register_invited(
        &self,
        token: Digest,
        account: Account,
        now: Timestamp,
    ) -> Result<Result<(), NotRegistered>, NotSaved> {
        let about = About::link(token).and(&account.username);
        let about = about.and_owner(account.email.as_deref());
        self.update_of(about, move |draft| {
            draft.register_invited(token, account.clone(), now)
        })
    }

    /// Gives the account that an invitation is for its first password, and uses the invitation up;
    /// `None` if it does not work.
    ///
    /// # Errors
    ///
    /// As [`Store::change`].
    pub fn claim(
        &self,
        token: Digest,
        password: PasswordHash,
        now: Timestamp,
    ) -> Result<Option<Arc<Account>>, NotSaved> {
        self.update_of(About::link(token), move |draft| {
            draft.claim(token, password.clone(), now)
        })
    }

    /// Ends the sessions with these ids, of whatever account.
    ///
    /// # Errors
    ///
    /// As [`Store::change`].
    pub fn end_sessions(&self, ids: Vec<Digest>) -> Result<(), NotSaved> {
        match &self.kept {
            Kept::Files(files) => files.end_sessions(ids),
            #[cfg(feature = "postgres")]
            Kept::Database(database) => {
                database.update(&About::default(), |draft| draft.end_sessions(&ids))
            }
            #[cfg(test)]
            Kept::Memory(memory) => memory.update(|draft| draft.end_sessions(&ids)),
        }
    }

    /// Removes accounts that nobody ever logged in to and that have stayed long enough, some at a
    /// time, and gives the names of those removed.
    ///
    /// # Errors
    ///
    /// As [`Store::change`].
    pub fn remove_unclaimed(&self, now: Timestamp) -> Result<Vec<String>, NotSaved> {
        let accounts = self.accounts();
        if accounts.is_ok_and(|accounts| accounts.never_enrolled(now).is_empty()) {
            return Ok(Vec::new());
        }
        self.update(move |draft| draft.remove_unclaimed(now))
    }

    /// Notes when access tokens were last used; costs a save only if that is news.
    ///
    /// # Errors
    ///
    /// As [`Store::change`].
    pub fn note_token_uses(&self, uses: Vec<(Digest, Timestamp)>) -> Result<(), NotSaved> {
        let accounts = self.accounts();
        if accounts.is_ok_and(|accounts| accounts.unnoted(&uses).is_empty()) {
            return Ok(());
        }
        self.update(move |draft| draft.note_token_uses(&uses))
    }

    /// Removes access tokens that expired long ago; costs a save only if there are any.
    ///
    /// # Errors
    ///
    /// As [`Store::change`].
    pub fn drop_past_tokens(&self, now: Timestamp) -> Result<(), NotSaved> {
        let accounts = self.accounts();
        if accounts.is_ok_and(|accounts| accounts.with_past_tokens(now).is_empty()) {
            return Ok(());
        }
        self.update(move |draft| draft.drop_past_tokens(now))
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

    fn update<R: Send + 'static>(
        &self,
        change: impl Fn(&mut Draft) -> R + Send + 'static,
    ) -> Result<R, NotSaved> {
        self.update_of(About::everything(), change)
    }

    /// Makes a change that looks at nothing but what it is `about`.
    #[cfg_attr(
        not(feature = "postgres"),
        expect(unused_variables, reason = "files are in memory as a whole")
    )]
    fn update_of<R: Send + 'static>(
        &self,
        about: About,
        change: impl Fn(&mut Draft) -> R + Send + 'static,
    ) -> Result<R, NotSaved> {
        match &self.kept {
            Kept::Files(files) => files.update(change),
            #[cfg(feature = "postgres")]
            Kept::Database(database) => database.update(&about, change),
            #[cfg(test)]
            Kept::Memory(memory) => memory.update(change),
        }
    }
}

/// Reads the accounts at `users` as they are at this moment, none if there is no file, and touches
/// nothing. `None` instead of accounts if there is no file.
///
/// # Errors
///
/// If they cannot be used just as they are.
pub fn read_accounts(users: &Path) -> Result<Option<Accounts>, OpenError> {
    check_directory(users)?;
    let read = || -> Result<Option<Accounts>, Damage> {
        let file = FlatFile::of_command(users)?;
        if file.look()?.is_none() {
            return Ok(None);
        }
        let (accounts, _) = users_json::parse(&file.read()?.bytes)?;
        Ok(Some(accounts))
    };
    read().map_err(|damage| unreadable(users, damage))
}

/// The accounts in these bytes, which are those of the file at `users`, or are to be.
///
/// # Errors
///
/// If a server could not start on them.
pub fn judge_accounts(users: &Path, bytes: &[u8]) -> Result<Accounts, OpenError> {
    let parsed = users_json::parse(bytes).map_err(|damage| unreadable(users, damage))?;
    Ok(parsed.0)
}

/// The path as seen from anywhere, every link in it followed.
pub fn full_path(users: &Path) -> PathBuf {
    flat_file::real_path(users).unwrap_or_else(|_| users.to_owned())
}

/// Finds out whether the next save of the accounts could be made as a whole, and leaves no trace.
///
/// # Errors
///
/// What would fail, and what to do.
pub fn could_save(users: &Path) -> Result<(), OpenError> {
    fit::look(users)?;
    Ok(fit::find_room(users)?)
}

/// Checks that the folder of the accounts is there.
///
/// # Errors
///
/// If it is not.
pub fn check_directory(users: &Path) -> Result<(), OpenError> {
    let directory = directory_of(users);
    if directory.is_dir() {
        return Ok(());
    }
    let damage = Damage::new(format!("there is no directory {directory:?}"));
    Err(OpenError::new(users, damage, "make that directory first"))
}

fn unreadable(users: &Path, damage: Damage) -> OpenError {
    let hint = match () {
        () if json::is_later(&damage) => {
            "start the auth_user that wrote it, or put back a copy from before"
        }
        () if users.is_dir() => {
            "that is a folder: name the file in it, which need not be there yet"
        }
        () if users.is_symlink() => {
            "mend the file, or put back a copy; or name the file itself, not a link to it"
        }
        () => "mend the file, or put back a copy",
    };
    OpenError::new(users, damage, hint)
}

/// Has people told the news of the accounts.
fn hear_accounts(document: &Document<Accounts>, listener: &Arc<Listener>) -> Hear {
    let (published, listener) = (document.published(), Arc::clone(listener));
    let file = document.path().display().to_string();
    Box::new(move |news| match news {
        News::TakenUp => {}
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

/// Reads, and meanwhile tries whether these files can be saved, since both wait for the disk.
fn try_out_beside<T>(
    paths: [&Path; 2],
    read: impl FnOnce() -> Result<T, OpenError>,
) -> Result<T, OpenError> {
    let try_out = || paths.iter().try_for_each(|path| fit::try_out(path));
    thread::scope(|scope| {
        let trying = thread::Builder::new().spawn_scoped(scope, try_out);
        let read = read();
        let tried = match trying {
            // A thread that panicked has found nothing wrong.
            Ok(thread) => thread.join().unwrap_or(Ok(())),
            Err(_) => try_out(),
        };
        let read = read?;
        tried?;
        Ok(read)
    })
}

/// What a save that changes nothing would make of the text of a users file. For texts without a
/// file, as in fuzzing.
///
/// # Errors
///
/// What an operator would be told about such a file.
pub fn rewrite_users(text: &[u8]) -> Result<Vec<u8>, String> {
    let (accounts, mut format) = users_json::parse(text).map_err(|damage| damage.to_string())?;
    let mut written = Vec::new();
    format
        .write(&accounts, &mut written)
        .map_err(|error| error.to_string())?;
    Ok(written)
}
