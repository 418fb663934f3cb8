//! What a batch of changes makes of accounts and sessions, before any of it is saved.

use std::sync::Arc;
#[cfg(feature = "postgres")]
use std::time::Duration;

use zeroize::Zeroizing;

use crate::accounts::confirmations::{Confirmed, Links, Unconfirmed};
use crate::accounts::invitations::{Invitation, NotRegistered};
use crate::accounts::passkey::{NotAdded, Passkey};
use crate::accounts::password::PasswordHash;
use crate::accounts::pending::{Effect, Stage};
use crate::accounts::person::{Changed, Fate, Person};
use crate::accounts::session::{Session, Sessions};
use crate::accounts::setting::{Setting, Unset};
use crate::accounts::token::{Digest, DigestKey};
use crate::accounts::{Account, Accounts, Taken};
use crate::clock::Timestamp;

/// A new account, and the invitation by which its owner chooses a password, if there is one.
pub(super) type New = (Account, Option<(Digest, Invitation)>);

/// Accounts and sessions as the changes so far leave them.
pub struct Draft {
    pub(super) base: Base,
    pub(super) accounts: Arc<Accounts>,
    pub(super) sessions: Arc<Sessions>,
    /// New sessions, in the order in which they began.
    begun: Vec<Arc<Session>>,
    /// How many times sessions were ended.
    pub(super) ends: usize,
    /// Mails that are to be in the same database once the change is.
    pub(crate) mails: Vec<KeptMail>,
    /// The ids of sessions that were to end, whether or not they are among these.
    pub(super) asked_ends: Vec<Digest>,
    /// What waits under the id that the next change is about.
    pub(super) waiting: Option<Stage>,
    /// What the last change has made of what is pending.
    pub(super) pending: Effect,
}

/// A mail as it is kept.
///
/// No `Debug`: it may hold a password.
#[derive(Clone)]
pub(crate) struct KeptMail {
    /// Of the row; also in its Message-ID.
    pub(crate) name: String,
    /// When it was written, in seconds since 1970.
    #[cfg_attr(
        not(feature = "postgres"),
        expect(dead_code, reason = "files have a time")
    )]
    pub(crate) at: u64,
    /// Head and body.
    pub(crate) text: Zeroizing<Vec<u8>>,
}

/// What a draft starts from.
#[derive(Clone)]
pub(super) struct Base {
    pub(super) accounts: Arc<Accounts>,
    pub(super) sessions: Arc<Sessions>,
}

/// What a change has touched.
#[derive(Clone, Copy, Default, PartialEq)]
pub(super) struct Touched {
    pub(super) accounts: bool,
    pub(super) begins: bool,
    pub(super) ends: bool,
}

impl Draft {
    pub(super) fn of(base: Base) -> Self {
        Self {
            accounts: Arc::clone(&base.accounts),
            sessions: Arc::clone(&base.sessions),
            base,
            begun: Vec::new(),
            ends: 0,
            mails: Vec::new(),
            asked_ends: Vec::new(),
            waiting: None,
            pending: Effect::default(),
        }
    }

    /// The accounts as the changes so far leave them.
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// As [`Accounts::set`].
    ///
    /// # Errors
    ///
    /// As [`Accounts::set`].
    pub fn set(
        &mut self,
        username: &str,
        setting: &Setting,
        now: Timestamp,
    ) -> Option<Result<Arc<Account>, Unset>> {
        Arc::make_mut(&mut self.accounts).set(username, setting, now)
    }

    /// Adds an account at the end.
    ///
    /// # Errors
    ///
    /// If its name or e-mail belongs to another account; then nothing is changed.
    pub fn add(&mut self, account: Account) -> Result<(), Taken> {
        // Checked first, since a change copies the whole set.
        match self
            .accounts
            .taken(&account.username, account.email.as_deref())
        {
            Some(taken) => Err(taken),
            None => Arc::make_mut(&mut self.accounts).add(account),
        }
    }

    /// Adds accounts at the end with their invitations, all or none.
    ///
    /// # Errors
    ///
    /// Which of them has a name or e-mail that belongs to another.
    pub fn add_all(&mut self, new: &[New], now: Timestamp) -> Result<(), (usize, Taken)> {
        let mut accounts = Arc::clone(&self.accounts);
        for (at, (account, invitation)) in new.iter().enumerate() {
            let accounts = Arc::make_mut(&mut accounts);
            let added = accounts.add(account.clone());
            added.map_err(|taken| (at, taken))?;
            if let Some((token, invitation)) = invitation {
                accounts.invite(*token, invitation.clone(), now);
            }
        }
        self.accounts = accounts;
        Ok(())
    }

    /// As [`Draft::add`], by the rules for strangers.
    pub(super) fn register(&mut self, account: Account, now: Timestamp) -> Result<(), Taken> {
        let (name, email) = (&account.username, account.email.as_deref());
        match self.accounts.taken_to_strangers(name, email, now) {
            Some(taken) => Err(taken),
            None => self.add(account),
        }
    }

    /// Opens a link that proves the present address of this account, or changes it `to` another,
    /// if the account is still as it was when somebody asked for that.
    pub(super) fn expect_confirmation(
        &mut self,
        of: &Account,
        to: Option<&str>,
        token: Digest,
        now: Timestamp,
    ) -> bool {
        let Some(account) = self.accounts.find(&of.username).cloned() else {
            return false;
        };
        let is_same = account.id == of.id && account.email == of.email;
        let is_as_then =
            account.password_id() == of.password_id() && account.generation == of.generation;
        let may_change = !account.disabled && is_as_then;
        if !is_same || (to.is_some() && !may_change) {
            return false;
        }
        let to = to.map(str::to_owned);
        Arc::make_mut(&mut self.accounts).expect_confirmation(token, &account, to, now);
        true
    }

    /// Closes a link.
    pub(super) fn close_confirmation(&mut self, token: Digest) {
        Arc::make_mut(&mut self.accounts).close_confirmation(token);
    }

    /// As [`Accounts::confirm`].
    pub(super) fn confirm(
        &mut self,
        token: Digest,
        now: Timestamp,
    ) -> Result<Confirmed, Unconfirmed> {
        if self.accounts.confirmable(token, now).is_none() {
            return Err(Unconfirmed::Unknown);
        }
        Arc::make_mut(&mut self.accounts).confirm(token, now)
    }

    /// Adds an invitation.
    ///
    /// # Errors
    ///
    /// If its address belongs to an account, unless it is for that one.
    pub fn invite(
        &mut self,
        token: Digest,
        invitation: Invitation,
        now: Timestamp,
    ) -> Result<(), Taken> {
        let email = invitation.email.as_deref();
        let owner = email.and_then(|email| self.accounts.resolve(email));
        if owner.is_some_and(|owner| invitation.account.is_none() || owner.id != invitation.account)
        {
            return Err(Taken::Email);
        }
        Arc::make_mut(&mut self.accounts).invite(token, invitation, now);
        Ok(())
    }

    /// Ends the invitation with this id, if it works.
    pub fn end_invitation(&mut self, id: &str, now: Timestamp) -> Option<Invitation> {
        Arc::make_mut(&mut self.accounts).end_invitation(id, now)
    }

    /// As [`Accounts::register_invited`].
    pub(super) fn register_invited(
        &mut self,
        token: Digest,
        account: Account,
        now: Timestamp,
    ) -> Result<(), NotRegistered> {
        Arc::make_mut(&mut self.accounts).register_invited(token, account, now)
    }

    /// As [`Accounts::claim`].
    pub(super) fn claim(
        &mut self,
        token: Digest,
        password: PasswordHash,
        now: Timestamp,
    ) -> Option<Arc<Account>> {
        self.accounts.invitation(token, now)?;
        Arc::make_mut(&mut self.accounts).claim(token, password, now)
    }

    /// As [`Accounts::add_passkey`].
    pub(super) fn add_passkey(&mut self, username: &str, passkey: Passkey) -> Result<(), NotAdded> {
        Arc::make_mut(&mut self.accounts).add_passkey(username, passkey)
    }

    /// Changes an account; `None` if there is no such one. If `change` panics, nothing happens.
    pub fn change<R>(
        &mut self,
        username: &str,
        change: impl Fn(&mut Person<'_>) -> R,
    ) -> Option<R> {
        let person = Person::new(self.accounts.find(username)?, &self.sessions);
        let mut person = person.with(self.waiting.as_ref());
        let result = change(&mut person);
        let Changed {
            account,
            begun,
            ended,
            ends_changes,
            pending,
        } = person.changed();
        self.pending = pending;
        match account {
            Fate::Stays => {}
            Fate::Changes(account) => {
                let accounts = Arc::make_mut(&mut self.accounts);
                if ends_changes {
                    accounts.end_links(&account, Links::Changes);
                }
                accounts.replace(account);
            }
            Fate::Goes(now) => Arc::make_mut(&mut self.accounts).end(username, now),
        }
        begun.into_iter().for_each(|session| self.begin(session));
        self.end_sessions(&ended);
        Some(result)
    }

    /// Changes an account as [`Draft::change`] does, if `may` allows it to the one that asks, as
    /// that one is then; `may` is given none if there is none.
    pub(super) fn change_for<R, E>(
        &mut self,
        asker: &str,
        may: impl Fn(Option<&Person<'_>>) -> Result<(), E>,
        username: &str,
        change: impl Fn(&mut Person<'_>) -> R,
    ) -> Result<Option<R>, E> {
        self.ask(asker, may)?;
        Ok(self.change(username, change))
    }

    /// Has `may` judge the one that asks, as that one is now; it is given none if there is none.
    pub(super) fn ask<E>(
        &self,
        asker: &str,
        may: impl Fn(Option<&Person<'_>>) -> Result<(), E>,
    ) -> Result<(), E> {
        let asker = self.accounts.find(asker);
        let asker = asker.map(|account| Person::new(account, &self.sessions));
        may(asker.as_ref())
    }

    pub(super) fn begin(&mut self, session: Arc<Session>) {
        Arc::make_mut(&mut self.sessions).add(Arc::clone(&session));
        self.begun.push(session);
    }

    pub(super) fn end_sessions(&mut self, ids: &[Digest]) {
        self.asked_ends.extend_from_slice(ids);
        if ids.iter().any(|id| self.sessions.find(*id).is_some()) {
            self.end_with(|sessions, _| sessions.end(ids));
        }
    }

    /// Ends sessions in the way that `end` does.
    pub(super) fn end_with(&mut self, end: impl Fn(&mut Sessions, &Accounts)) {
        let before = self.sessions.revision();
        end(Arc::make_mut(&mut self.sessions), &self.accounts);
        if self.sessions.revision() != before {
            self.ends += 1;
        }
    }

    /// The key of the challenges: a `fresh` one if none is kept.
    pub(super) fn keep_challenge_key(&mut self, fresh: &Arc<DigestKey>) -> Arc<DigestKey> {
        if let Some(kept) = self.sessions.challenge_key() {
            return Arc::clone(kept);
        }
        Arc::make_mut(&mut self.sessions).keep_challenge_key(Arc::clone(fresh));
        // Saved and refused as the end of a session is: no account rests on it.
        self.ends += 1;
        Arc::clone(fresh)
    }

    /// Removes accounts that nobody ever logged in to and that have stayed long enough, some at a
    /// time. They have no sessions.
    pub(super) fn remove_unclaimed(&mut self, now: Timestamp) -> Vec<String> {
        Arc::make_mut(&mut self.accounts).remove_never_enrolled(now)
    }

    /// Removes accounts that nobody ever logged in to for so long, some at a time.
    #[cfg(feature = "postgres")]
    pub(super) fn remove_unclaimed_for(&mut self, stays: Duration, now: Timestamp) -> Vec<String> {
        Arc::make_mut(&mut self.accounts).remove_unclaimed_for(stays, now)
    }

    /// As [`Accounts::note_uses`].
    pub(super) fn note_token_uses(&mut self, uses: &[(Digest, Timestamp)]) {
        if !self.accounts.unnoted(uses).is_empty() {
            Arc::make_mut(&mut self.accounts).note_uses(uses);
        }
    }

    /// As [`Accounts::drop_past_tokens`].
    pub(super) fn drop_past_tokens(&mut self, now: Timestamp) {
        if !self.accounts.with_past_tokens(now).is_empty() {
            Arc::make_mut(&mut self.accounts).drop_past_tokens(now);
        }
    }

    /// The sessions including both those that have begun and those that have ended; `None` if none
    /// began.
    pub(super) fn begun(&self) -> Option<Arc<Sessions>> {
        if self.begun.is_empty() {
            return None;
        }
        let mut sessions = Sessions::clone(&self.base.sessions);
        for session in &self.begun {
            sessions.add(Arc::clone(session));
        }
        Some(sessions.into())
    }

    pub(super) fn changes_accounts(&self) -> bool {
        self.accounts.revision() != self.base.accounts.revision()
    }

    pub(super) fn changes_sessions(&self) -> bool {
        self.sessions.revision() != self.base.sessions.revision()
    }

    /// Runs `make`, and gives what it returns and what it touches.
    pub(super) fn note<R>(&mut self, make: impl FnOnce(&mut Self) -> R) -> (R, Touched) {
        let before = (self.accounts.revision(), self.begun.len(), self.ends);
        let made = make(self);
        let touched = Touched {
            accounts: self.accounts.revision() != before.0,
            begins: self.begun.len() != before.1,
            ends: self.ends != before.2,
        };
        (made, touched)
    }
}
