//! How accounts and their sessions are changed, each change in one save.

use crate::accounts::person::Person;
use crate::accounts::token::Digest;
use crate::accounts::{Account, Taken};
use crate::clock::Timestamp;
use crate::store::about::About;
use crate::store::draft::Draft;
use crate::store::{Kept, NotSaved, Store};

impl Store {
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
        self.change_of(about, move |draft| draft.change(&username, &change))
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
        self.change_of(about, move |draft| {
            draft.change_for(&asker, &may, &username, &change)
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
        #[cfg(feature = "postgres")]
        if let Kept::Database(database) = &self.kept {
            return database.remove_unclaimed(now);
        }
        let accounts = self.accounts();
        if accounts.is_ok_and(|accounts| accounts.never_enrolled(now).is_empty()) {
            return Ok(Vec::new());
        }
        self.update(move |draft| draft.remove_unclaimed(now))
    }

    pub(super) fn update<R: Send + 'static>(
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
    pub(super) fn update_of<R: Send + 'static>(
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
