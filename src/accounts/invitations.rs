//! Invitations: links that let people make an account, or choose the password of one that was made
//! for them. Each is good once.

use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::accounts::ids::AccountId;
use crate::accounts::kept::Unknown;
use crate::accounts::password::PasswordHash;
use crate::accounts::token::Digest;
use crate::accounts::{Account, Accounts, Taken, groups, names};
use crate::clock::{DRIFT, Timestamp};

/// How long an invitation works unless somebody says otherwise.
pub const USUAL_LIFETIME: Duration = days(7);

/// The longest that an invitation works.
pub const MAX_LIFETIME: Duration = days(90);

const fn days(days: u64) -> Duration {
    Duration::from_secs(days * 24 * 60 * 60)
}

/// What a link lets its owner do, once.
#[derive(Clone, PartialEq, Deserialize, Serialize)]
pub struct Invitation {
    /// The address that it was mailed to: the account gets this one, and using the link proves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The groups of the account.
    pub groups: Vec<String>,
    /// The username of the administrator who made it, or [`OPERATOR`].
    pub by: String,
    /// When it stops working.
    pub expires: Timestamp,
    /// The account whose password is to be chosen, if one was made already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// What somebody else keeps in the file.
    #[serde(flatten)]
    pub other: Unknown,
}

/// Who did what a command did: no username has a blank.
pub const OPERATOR: &str = "the operator";

impl Invitation {
    /// Whether it still works. One that expires too far ahead was made while the clock was wrong.
    fn is_live(&self, now: Timestamp) -> bool {
        now < self.expires && self.expires <= now.plus(MAX_LIFETIME + DRIFT)
    }

    fn has_address(&self, address: &str) -> bool {
        let own = self.email.as_deref();
        own.is_some_and(|own| names::is_same(own, address))
    }
}

/// An invitation that works, and the account that it is for if that was made already.
pub type Open<'a> = (&'a Invitation, Option<&'a Arc<Account>>);

/// All invitations, by the digest of their token.
#[derive(Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Invitations(IndexMap<Digest, Invitation>);

impl Invitations {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Why nobody was registered by an invitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotRegistered {
    /// The invitation does not work, or not any more.
    NoInvitation,
    /// The invitation works on.
    Taken(Taken),
}

impl Accounts {
    /// All invitations, those that work no more among them.
    pub fn invitations(&self) -> &Arc<Invitations> {
        &self.invitations
    }

    /// Puts these in place of all invitations.
    pub fn set_invitations(&mut self, invitations: Invitations) {
        self.invitations = Arc::new(invitations);
        self.revision += 1;
    }

    /// Adds an invitation, and forgets those that are over.
    pub fn invite(&mut self, token: Digest, invitation: Invitation, now: Timestamp) {
        let open = &mut Arc::make_mut(&mut self.invitations).0;
        open.retain(|_, open| open.is_live(now));
        open.insert(token, invitation);
        self.revision += 1;
    }

    /// The invitation with this token, if it works.
    pub fn invitation(&self, token: Digest, now: Timestamp) -> Option<Open<'_>> {
        self.opened(self.invitations.0.get(&token)?, now)
    }

    /// The invitations that work, the oldest first, each with the id by which it can be ended.
    pub fn open_invitations(&self, now: Timestamp) -> Vec<(String, &Invitation)> {
        let all = self.invitations.0.iter();
        let open = all.filter(|(_, invitation)| self.opened(invitation, now).is_some());
        open.map(|(token, invitation)| (token.short(), invitation))
            .collect()
    }

    fn opened<'a>(&'a self, invitation: &'a Invitation, now: Timestamp) -> Option<Open<'a>> {
        if !invitation.is_live(now) || self.is_disowned(invitation) {
            return None;
        }
        let Some(id) = &invitation.account else {
            return Some((invitation, None));
        };
        // Whoever has chosen a password, by recovery perhaps, has come in already.
        // Nor does a link open an account that has another address since it was mailed.
        let waits = |account: &Account| {
            let is_same = match &invitation.email {
                Some(email) => account.has_address(email),
                None => account.email.is_none(),
            };
            is_same && account.password.is_none() && !account.disabled
        };
        let owner = self
            .iter()
            .find(|account| account.id.as_ref() == Some(id))?;
        waits(owner).then_some((invitation, Some(owner)))
    }

    /// Whether it would make an administrator although the one who made it is none any more: such
    /// a link must not outlive them.
    fn is_disowned(&self, invitation: &Invitation) -> bool {
        let mut named = invitation.groups.iter();
        let makes_one = named.any(|group| group == groups::ADMINISTRATORS);
        let may = |by: &Arc<Account>| by.is_administrator();
        makes_one && invitation.by != OPERATOR && !self.find(&invitation.by).is_some_and(may)
    }

    /// Ends the invitation with this id, and gives it back; `None` if none that works has it.
    pub fn end_invitation(&mut self, id: &str, now: Timestamp) -> Option<Invitation> {
        let all = self.invitations.0.iter();
        let mut meant = all.filter(|(token, _)| token.short() == id);
        let (token, invitation) = meant.next()?;
        self.opened(invitation, now)?;
        let token = *token;
        self.revision += 1;
        Arc::make_mut(&mut self.invitations).0.shift_remove(&token)
    }

    /// Adds an account that somebody registered by an invitation, which is used up; so are all
    /// others to the same address.
    ///
    /// # Errors
    ///
    /// Why it was not added; then nothing is changed.
    pub fn register_invited(
        &mut self,
        token: Digest,
        account: Account,
        now: Timestamp,
    ) -> Result<(), NotRegistered> {
        let open = self.invitation(token, now);
        let (invitation, None) = open.ok_or(NotRegistered::NoInvitation)? else {
            return Err(NotRegistered::NoInvitation);
        };
        let address = invitation.email.clone();
        let taken = self.taken_to_strangers(&account.username, account.email.as_deref(), now);
        if let Some(taken) = taken {
            return Err(NotRegistered::Taken(taken));
        }
        self.add(account).map_err(NotRegistered::Taken)?;
        self.end_invitations_that(|of, other| {
            let is_same = |address| other.has_address(address);
            of == token || (other.account.is_none() && address.as_deref().is_some_and(is_same))
        });
        Ok(())
    }

    /// Gives the account that this invitation is for its first password, by the owner of its
    /// address, who has used the link. `None` if the invitation does not work.
    pub fn claim(
        &mut self,
        token: Digest,
        password: PasswordHash,
        now: Timestamp,
    ) -> Option<Arc<Account>> {
        let (_, owner) = self.invitation(token, now)?;
        let owner = Arc::clone(owner?);
        self.change(&owner.username, |account| {
            account.change_password(password, None);
            account.email_proven |= account.email.is_some();
        });
        self.end_invitations_that(|_, other| other.account.is_some() && other.account == owner.id);
        self.find(&owner.username).cloned()
    }

    fn end_invitations_that(&mut self, which: impl Fn(Digest, &Invitation) -> bool) {
        Arc::make_mut(&mut self.invitations)
            .0
            .retain(|token, invitation| !which(*token, invitation));
        self.revision += 1;
    }
}

#[cfg(test)]
mod tests;
