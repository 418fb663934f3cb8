//! What opens an account, or an application, without a name: passkeys and access tokens.

use std::sync::Arc;
#[cfg(feature = "postgres")]
use std::time::Instant;

use crate::accounts::Account;
use crate::accounts::passkey::{CredentialId, NotAdded, Passkey};
use crate::accounts::person::Person;
use crate::accounts::token::Digest;
use crate::clock::Timestamp;
#[cfg(feature = "postgres")]
use crate::store::Kept;
use crate::store::about::About;
use crate::store::{NotSaved, Store, Unavailable};

impl Store {
    /// The account that has an access token with this hash; whether that is good is not judged. While
    /// a database does not answer, as it was some seconds ago: applications go on for that long.
    ///
    /// # Errors
    ///
    /// If it cannot be read now.
    pub fn owner_of_token(&self, hash: Digest) -> Result<Option<Arc<Account>>, Unavailable> {
        #[cfg(feature = "postgres")]
        let began = Instant::now();
        let read = self.look(|| About::default().and_token(hash).plain());
        let owner = read.map(|base| base.accounts.owner_of_token(hash).cloned());
        #[cfg(feature = "postgres")]
        if let Kept::Database(database) = &self.kept {
            return database.owner_of_late(hash, owner, began);
        }
        owner
    }

    /// The account that has a passkey with this id.
    ///
    /// # Errors
    ///
    /// If it cannot be read now.
    pub fn owner_of(&self, passkey: &CredentialId) -> Result<Option<Arc<Account>>, Unavailable> {
        let base = self.look(|| About::default().and_passkey(passkey).plain())?;
        Ok(base.accounts.owner_of(passkey).cloned())
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
        let about = About::account(username).and_passkey(&passkey.id);
        let username = username.to_owned();
        self.update_of(about, move |draft| {
            draft.ask(&username, &may)?;
            Ok(draft.add_passkey(&username, passkey.clone()))
        })
    }

    /// Notes when access tokens were last used; costs a save only if that is news.
    ///
    /// # Errors
    ///
    /// As [`Store::change`].
    pub fn note_token_uses(&self, uses: Vec<(Digest, Timestamp)>) -> Result<(), NotSaved> {
        let about = || {
            let uses = uses.iter().map(|(hash, _)| *hash);
            uses.fold(About::default(), About::and_token)
        };
        let base = self.look(|| about().plain());
        if base.is_ok_and(|base| base.accounts.unnoted(&uses).is_empty()) {
            return Ok(());
        }
        self.update_of(about(), move |draft| draft.note_token_uses(&uses))
    }

    /// Removes access tokens that expired long ago; costs a save only if there are any.
    ///
    /// # Errors
    ///
    /// As [`Store::change`].
    pub fn drop_past_tokens(&self, now: Timestamp) -> Result<(), NotSaved> {
        #[cfg(feature = "postgres")]
        if let Kept::Database(database) = &self.kept {
            return database.drop_past_tokens(now);
        }
        let accounts = self.accounts();
        if accounts.is_ok_and(|accounts| accounts.with_past_tokens(now).is_empty()) {
            return Ok(());
        }
        self.update(move |draft| draft.drop_past_tokens(now))
    }
}
