//! The passkeys of an account: at most ten, no two with the same id, nor with another account's.

use std::sync::Arc;

use super::kept::{CredentialId, Handle, Passkey};
use super::using::{Step, Used};
use super::{MAX_PASSKEYS, Refused, RelyingParty, ensure};
use crate::accounts::{Account, Accounts};
use crate::clock::Timestamp;

/// Why a passkey is not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAdded {
    /// There is no such account.
    NoAccount,
    /// It has ten already.
    TooMany,
    /// Somebody has a passkey with this id already.
    Known,
}

impl Account {
    /// Whether a login takes more than the password: an authenticator app, or a passkey, even one
    /// for another host. Without either the next login enrols an app.
    pub fn has_second_factor(&self) -> bool {
        self.totp.is_some() || !self.passkeys.is_empty()
    }

    /// Its passkeys for this host; those for others are neither offered nor taken.
    pub fn passkeys_for<'a>(
        &'a self,
        party: &'a RelyingParty,
    ) -> impl Iterator<Item = &'a Passkey> {
        let all = self.passkeys.iter();
        all.filter(|passkey| passkey.rp == party.id())
    }

    /// Its passkey with this id.
    pub fn passkey(&self, id: &CredentialId) -> Option<&Passkey> {
        self.passkeys.iter().find(|passkey| passkey.id == *id)
    }

    /// By what its passkeys know whose they are; made when the first is asked for, and kept.
    pub fn give_handle(&mut self) -> &Handle {
        self.handle.get_or_insert_with(Handle::new)
    }

    /// Gives it another handle: what it has is another account's.
    pub fn renew_handle(&mut self) {
        self.handle = Some(Handle::new());
    }

    /// Whether it has room for another passkey.
    pub fn may_add_passkey(&self) -> bool {
        self.passkeys.len() < MAX_PASSKEYS
    }

    /// Notes the use of a passkey, which was checked a moment ago, on the account as it is now.
    ///
    /// # Errors
    ///
    /// [`Refused::Unknown`] if it was removed meanwhile, and [`Refused::Copied`] if its counter went
    /// further; then nothing is changed.
    pub fn use_passkey<C>(&mut self, used: &Used<C>, now: Timestamp) -> Result<(), Refused> {
        let mut all = self.passkeys.iter_mut();
        let kept = all.find(|kept| kept.id == used.id);
        let kept = kept.ok_or(Refused::Unknown)?;
        ensure(kept.is_ahead(used.count), Refused::Copied)?;
        kept.count = used.count;
        kept.used = Some(now);
        // What an authenticator says alone does not vouch for itself (Level 3, 7.2, 24).
        kept.verified |= used.verified && used.step == Step::AfterPassword;
        Ok(())
    }

    /// Notes that its owner is told of a copy of a passkey, and gives that one; `None` if they were of
    /// late, or there is none.
    pub fn note_copy(&mut self, id: &CredentialId, now: Timestamp) -> Option<&Passkey> {
        let mut all = self.passkeys.iter_mut();
        let kept = all.find(|kept| kept.id == *id && kept.is_copy_news(now))?;
        kept.copied = Some(now);
        Some(kept)
    }

    /// Removes a passkey, and gives it back; it ends no session.
    pub fn remove_passkey(&mut self, id: &CredentialId) -> Option<Passkey> {
        let at = self.passkeys.iter().position(|passkey| passkey.id == *id)?;
        Some(self.passkeys.remove(at))
    }
}

impl Accounts {
    /// The account that has a passkey with this id.
    pub fn owner_of(&self, id: &CredentialId) -> Option<&Arc<Account>> {
        self.by_name.get(self.owners.of_passkey(id)?)
    }

    /// Adds a passkey to an account (Level 3, 7.1, 26 to 29).
    ///
    /// # Errors
    ///
    /// Why it cannot be; then nothing is changed.
    pub fn add_passkey(&mut self, username: &str, passkey: Passkey) -> Result<(), NotAdded> {
        let account = self.find(username).ok_or(NotAdded::NoAccount)?;
        if self.owner_of(&passkey.id).is_some() {
            return Err(NotAdded::Known);
        }
        if !account.may_add_passkey() {
            return Err(NotAdded::TooMany);
        }
        let added = self.change(username, |account| account.passkeys.push(passkey));
        added.ok_or(NotAdded::NoAccount)
    }

    /// How many accounts have passkeys that are for another host than this.
    pub fn with_passkeys_elsewhere(&self, host: &str) -> usize {
        let elsewhere = |account: &Account| account.passkeys.iter().any(|own| own.rp != host);
        self.iter().filter(|account| elsewhere(account)).count()
    }

    /// The first passkey of this account, about to be added, that it has twice or that another has
    /// too.
    pub fn taken_passkey<'a>(&self, account: &'a Account) -> Option<&'a CredentialId> {
        let own = &account.passkeys;
        own.iter().enumerate().find_map(|(at, passkey)| {
            let twice = own[..at].iter().any(|other| other.id == passkey.id);
            (twice || self.owner_of(&passkey.id).is_some()).then_some(&passkey.id)
        })
    }
}
