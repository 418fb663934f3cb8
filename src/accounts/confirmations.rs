//! Links by which people prove that an address is theirs: mailed to it, and good once. Some prove the
//! address that an account has, and some give it the one that they were mailed to.

use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::accounts::ids::AccountId;
use crate::accounts::kept::Unknown;
use crate::accounts::token::Digest;
use crate::accounts::{Account, Accounts};
use crate::clock::{DRIFT, Timestamp};

/// How long a link works.
pub const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// Most links that are open at the same time, so that nobody can fill the file; the oldest makes
/// room. No more are mailed within their lifetime.
pub const MAX_OPEN: usize = 10_000;

/// What a link is for.
#[derive(Clone, PartialEq, Deserialize, Serialize)]
struct Confirmation {
    account: AccountId,
    /// The address that the account has, as long as the link is open; `None` if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    /// The address to have in its place; `None` if the link proves the one it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    expires: Timestamp,
    #[serde(flatten)]
    other: Unknown,
}

impl Confirmation {
    /// Whether the link works. One that expires too far ahead was mailed while the clock was wrong.
    fn is_live(&self, now: Timestamp) -> bool {
        now < self.expires && self.expires <= now.plus(LIFETIME + DRIFT)
    }
}

/// The open links, by the digest of their token.
#[derive(Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Confirmations(IndexMap<Digest, Confirmation>);

impl Confirmations {
    /// Whether no link is open.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Which links of an account something ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Links {
    All,
    /// Those that would change its address.
    Changes,
}

/// What a link has done.
pub struct Confirmed {
    /// The account, whose address is proven now.
    pub account: Arc<Account>,
    /// The account as it was, if it had another address.
    pub before: Option<Arc<Account>>,
}

/// Why a link does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unconfirmed {
    /// The address belongs to another account by now.
    Taken,
    /// It is used, over or unknown, or what it rested on has changed.
    Unknown,
}

impl Accounts {
    /// The open confirmations.
    pub fn confirmations(&self) -> &Arc<Confirmations> {
        &self.confirmations
    }

    /// Puts these in place of the open confirmations.
    pub fn set_confirmations(&mut self, confirmations: Confirmations) {
        self.confirmations = Arc::new(confirmations);
        self.revision += 1;
    }

    /// Opens a link: for the present address of this account, or to give it another. Those opened
    /// before stay open.
    pub fn expect_confirmation(
        &mut self,
        token: Digest,
        account: &Account,
        to: Option<String>,
        now: Timestamp,
    ) {
        let Some(id) = account.id.clone() else { return };
        if account.email.is_none() && to.is_none() {
            return;
        }
        let open = &mut Arc::make_mut(&mut self.confirmations).0;
        open.retain(|_, open| open.is_live(now));
        if open.len() >= MAX_OPEN {
            open.shift_remove_index(0);
        }
        let confirmation = Confirmation {
            account: id,
            email: account.email.clone(),
            to,
            expires: now.plus(LIFETIME),
            other: Unknown::default(),
        };
        open.insert(token, confirmation);
        self.revision += 1;
    }

    /// Closes a link, as when its mail could not be written.
    pub fn close_confirmation(&mut self, token: Digest) {
        if self.confirmations.0.contains_key(&token) {
            Arc::make_mut(&mut self.confirmations)
                .0
                .shift_remove(&token);
            self.revision += 1;
        }
    }

    /// Ends the open links of this account.
    pub fn end_links(&mut self, account: &Account, which: Links) {
        let is_over = |open: &Confirmation| {
            account.id.as_ref() == Some(&open.account) && (which == Links::All || open.to.is_some())
        };
        if self.confirmations.0.values().any(is_over) {
            let open = &mut Arc::make_mut(&mut self.confirmations).0;
            open.retain(|_, open| !is_over(open));
            self.revision += 1;
        }
    }

    /// The account that a link is for, if the link works.
    pub fn confirmable(&self, token: Digest, now: Timestamp) -> Option<&Arc<Account>> {
        self.link(token, now).map(|(owner, _)| owner)
    }

    /// A link that works, with its account. That is looked for one by one: whoever has such a link
    /// was mailed it, and the name may have changed.
    fn link(&self, token: Digest, now: Timestamp) -> Option<(&Arc<Account>, &Confirmation)> {
        let open = self.confirmations.0.get(&token)?;
        let is_owner = |account: &&Arc<Account>| account.id.as_ref() == Some(&open.account);
        let owner = self.iter().find(is_owner)?;
        let is_still = match &open.email {
            Some(email) => owner.has_address(email),
            None => owner.email.is_none(),
        };
        (open.is_live(now) && is_still).then_some((owner, open))
    }

    /// Uses a link up: its account has the address that it was mailed to, and that is proven.
    ///
    /// # Errors
    ///
    /// Why it does nothing; then nothing is changed.
    pub fn confirm(&mut self, token: Digest, now: Timestamp) -> Result<Confirmed, Unconfirmed> {
        let (owner, open) = self.link(token, now).ok_or(Unconfirmed::Unknown)?;
        let (owner, to) = (Arc::clone(owner), open.to.clone());
        let before = match to {
            Some(email) => {
                self.change_email(&owner, &email)
                    .map_err(|_| Unconfirmed::Taken)?;
                Some(Arc::clone(&owner))
            }
            None => {
                self.close_confirmation(token);
                self.change(&owner.username, |account| account.email_proven = true);
                None
            }
        };
        let account = self.find(&owner.username).cloned().unwrap_or(owner);
        Ok(Confirmed { account, before })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::password::PasswordHash;

    const START: Timestamp = Timestamp(1_800_000_000);

    fn with_alice() -> (Accounts, Arc<Account>) {
        let mut accounts = Accounts::default();
        let alice = Account::new("alice", "alice@example.com", PasswordHash::quick(), START);
        accounts.add(alice).unwrap();
        let alice = Arc::clone(accounts.find("alice").unwrap());
        (accounts, alice)
    }

    fn token(text: &str) -> Digest {
        Digest::of(text)
    }

    #[test]
    fn a_link_proves_the_address_once_and_those_before_stay_alive() {
        let (mut accounts, alice) = with_alice();
        accounts.expect_confirmation(token("1"), &alice, None, START);
        accounts.expect_confirmation(token("2"), &alice, None, START.plus(Duration::from_secs(9)));

        assert!(
            accounts
                .confirm(token("1"), START)
                .ok()
                .unwrap()
                .account
                .email_proven
        );
        assert!(accounts.confirm(token("1"), START).is_err());
        assert!(accounts.confirm(token("2"), START).is_ok());
        assert!(accounts.confirmations().is_empty());
        assert!(accounts.confirm(token("none"), START).is_err());
    }

    #[test]
    fn a_link_is_good_for_a_day() {
        let (mut accounts, alice) = with_alice();
        accounts.expect_confirmation(token("1"), &alice, None, START);
        let end = START.plus(LIFETIME);
        assert!(
            accounts
                .confirmable(token("1"), Timestamp(end.0 - 1))
                .is_some()
        );
        assert!(accounts.confirmable(token("1"), end).is_none());
        // Nor does a clock set back make it last longer.
        let before = Timestamp(START.0 - 3600);
        assert!(accounts.confirmable(token("1"), before).is_none());
    }

    #[test]
    fn a_link_proves_no_other_address_and_nothing_of_another_account() {
        let (mut accounts, alice) = with_alice();
        accounts.expect_confirmation(token("1"), &alice, None, START);
        accounts.remove("alice");
        let moved = Account {
            email: Some("new@example.com".to_owned()),
            ..Account::clone(&alice)
        };
        accounts.add(moved).unwrap();
        assert!(accounts.confirm(token("1"), START).is_err());

        accounts.remove("alice");
        let next_owner = Account {
            id: Some(AccountId::new()),
            ..Account::clone(&alice)
        };
        accounts.add(next_owner).unwrap();
        assert!(accounts.confirm(token("1"), START).is_err());
    }

    #[test]
    fn links_are_bounded_and_those_that_are_over_go() {
        let (mut accounts, alice) = with_alice();
        for n in 0..=MAX_OPEN {
            accounts.expect_confirmation(token(&n.to_string()), &alice, None, START);
        }
        assert!(accounts.confirmable(token("0"), START).is_none());
        assert!(accounts.confirmable(token("1"), START).is_some());
        accounts.expect_confirmation(token("late"), &alice, None, START.plus(LIFETIME));
        assert_eq!(accounts.confirmations().0.len(), 1);
    }
}
