//! Links by which people prove that an address is theirs: mailed to it, and good once.

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
const MAX_OPEN: usize = 10_000;

/// What a link proves: that this address is this account's.
#[derive(Clone, PartialEq, Deserialize, Serialize)]
struct Confirmation {
    account: AccountId,
    email: String,
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

    /// Opens a link for the present address of this account; those opened before stay open.
    pub fn expect_confirmation(&mut self, token: Digest, account: &Account, now: Timestamp) {
        let (Some(id), Some(email)) = (account.id.clone(), account.email.clone()) else {
            return;
        };
        let open = &mut Arc::make_mut(&mut self.confirmations).0;
        open.retain(|_, open| open.is_live(now));
        if open.len() >= MAX_OPEN {
            open.shift_remove_index(0);
        }
        let confirmation = Confirmation {
            account: id,
            email,
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

    /// The account whose address a link proves, if the link works and that is still its address.
    pub fn confirmable(&self, token: Digest, now: Timestamp) -> Option<&Arc<Account>> {
        let open = self.confirmations.0.get(&token)?;
        let owner = self.resolve(&open.email)?;
        (open.is_live(now) && owner.id.as_ref() == Some(&open.account)).then_some(owner)
    }

    /// Uses a link up: the address of its account is proven. Gives that account, or `None` if the
    /// link proves nothing.
    pub fn confirm(&mut self, token: Digest, now: Timestamp) -> Option<Arc<Account>> {
        let owner = Arc::clone(self.confirmable(token, now)?);
        self.close_confirmation(token);
        self.change(&owner.username, |account| account.email_proven = true);
        self.find(&owner.username).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::password::PasswordHash;

    const START: Timestamp = Timestamp(1_800_000_000);

    fn with_alice() -> (Accounts, Arc<Account>) {
        let hash = "$pbkdf2-sha256$i=1,l=32$c2FsdA$Eg+2z/z4syxD5yJSVsT4N6hlSMkszDVICAWYfLcL4Xs";
        let hash = PasswordHash::parse(hash).ok().unwrap();
        let mut accounts = Accounts::default();
        let alice = Account::new("alice", "alice@example.com", hash, START);
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
        accounts.expect_confirmation(token("1"), &alice, START);
        accounts.expect_confirmation(token("2"), &alice, START.plus(Duration::from_secs(9)));

        assert!(accounts.confirm(token("1"), START).unwrap().email_proven);
        assert!(accounts.confirm(token("1"), START).is_none());
        assert!(accounts.confirm(token("2"), START).is_some());
        assert!(accounts.confirmations().is_empty());
        assert!(accounts.confirm(token("none"), START).is_none());
    }

    #[test]
    fn a_link_is_good_for_a_day() {
        let (mut accounts, alice) = with_alice();
        accounts.expect_confirmation(token("1"), &alice, START);
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
        accounts.expect_confirmation(token("1"), &alice, START);
        accounts.remove("alice");
        let moved = Account {
            email: Some("new@example.com".to_owned()),
            ..Account::clone(&alice)
        };
        accounts.add(moved).unwrap();
        assert!(accounts.confirm(token("1"), START).is_none());

        accounts.remove("alice");
        let next_owner = Account {
            id: Some(AccountId::new()),
            ..Account::clone(&alice)
        };
        accounts.add(next_owner).unwrap();
        assert!(accounts.confirm(token("1"), START).is_none());
    }

    #[test]
    fn links_are_bounded_and_those_that_are_over_go() {
        let (mut accounts, alice) = with_alice();
        for n in 0..=MAX_OPEN {
            accounts.expect_confirmation(token(&n.to_string()), &alice, START);
        }
        assert!(accounts.confirmable(token("0"), START).is_none());
        assert!(accounts.confirmable(token("1"), START).is_some());
        accounts.expect_confirmation(token("late"), &alice, START.plus(LIFETIME));
        assert_eq!(accounts.confirmations().0.len(), 1);
    }
}
