//! Links that were mailed: those that prove or change an address, and invitations.

use std::sync::Arc;

use crate::accounts::confirmations::{Confirmed, Unconfirmed};
use crate::accounts::invitations::{Invitation, NotRegistered};
use crate::accounts::password::PasswordHash;
use crate::accounts::person::Person;
use crate::accounts::token::Digest;
use crate::accounts::{Account, Taken};
use crate::clock::Timestamp;
use crate::store::about::About;
use crate::store::{Invited, NotSaved, Store, Unavailable};

impl Store {
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
}
