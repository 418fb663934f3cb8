//! What stays the same of an account when its name changes, and is never given to another.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::accounts::{Account, Accounts, names, text_or_none, token};

/// The id of an account, for applications that must tell a new owner of a name from the former one:
/// 26 or more of `[a-z0-9]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct AccountId(Arc<str>);

/// Fewest characters; they hold 128 random bits.
const LENGTH: usize = 26;

/// Most characters, so that it fits in a header field.
const MAX_LENGTH: usize = 64;

impl AccountId {
    /// A new one, of 130 random bits.
    pub fn new() -> Self {
        Self(token::account_id().into())
    }

    /// Reads an id; `None` if this is none.
    fn parse(text: &str) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let fits = (LENGTH..=MAX_LENGTH).contains(&text.len());
        (fits && text.bytes().all(is_plain)).then(|| Self(text.into()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for AccountId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("not the id of an account"))
    }
}

impl Default for AccountId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads an id from the file; one that cannot be is as none, and the account gets its own.
pub(super) fn read<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<AccountId>, D::Error> {
    let text = text_or_none(deserializer)?;
    Ok(text.and_then(|text| AccountId::parse(&text)))
}

impl Accounts {
    /// Gives an id to each account that has none, and a new one to each that has another's, as
    /// people copy accounts by hand; a new handle, too, if it has another's. The one that had it
    /// `before` keeps it, else the first. Gives the names of those that had another's.
    pub fn give_ids(&mut self, before: Option<&Self>) -> Vec<String> {
        let lacking = self.iter().filter(|account| account.id.is_none());
        let lacking: Vec<String> = lacking.map(|account| account.username.clone()).collect();
        let mut copies = self.copies(|account| account.id.as_ref(), before);
        for name in lacking.iter().chain(&copies) {
            self.change(name, |account| account.id = Some(AccountId::new()));
        }
        for name in self.copies(|account| account.handle.as_ref(), before) {
            self.change(&name, Account::renew_handle);
            if !copies.contains(&name) {
                copies.push(name);
            }
        }
        copies
    }

    /// The names of the accounts that have something that is another's own.
    fn copies<K: Eq + Hash + 'static>(
        &self,
        own: impl Fn(&Account) -> Option<&K>,
        before: Option<&Self>,
    ) -> Vec<String> {
        let mut seen: HashSet<&K> = HashSet::with_capacity(self.len());
        let all = self.iter().filter_map(|account| own(account));
        let twice: HashSet<&K> = all.filter(|key| !seen.insert(key)).collect();
        if twice.is_empty() {
            return Vec::new();
        }
        let had_it = |account: &Account| {
            let known = before.and_then(|before| before.find(&account.username));
            known.is_some_and(|known| own(known) == own(account))
        };
        let shared = || {
            self.iter().filter_map(|account| {
                let key = own(account).filter(|key| twice.contains(key))?;
                Some((key, account))
            })
        };
        let mut owners: HashMap<&K, &str> = HashMap::new();
        for (key, account) in shared() {
            if !owners.contains_key(key) || had_it(account) {
                owners.insert(key, &account.username);
            }
        }
        shared()
            .filter(|(key, account)| {
                let owner = owners.get(key);
                owner.is_none_or(|owner| !names::is_same(owner, &account.username))
            })
            .map(|(_, account)| account.username.clone())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::password::PasswordHash;
    use crate::clock::Timestamp;

    fn accounts(with: &[(&str, Option<&AccountId>)]) -> Accounts {
        let mut accounts = Accounts::default();
        for (name, id) in with {
            let hash = PasswordHash::quick();
            let email = format!("{name}@example.com");
            let mut account = Account::new(name, &email, hash, Timestamp(1_800_000_000));
            account.id = id.cloned();
            accounts.add(account).unwrap();
        }
        accounts
    }

    fn id(accounts: &Accounts, name: &str) -> AccountId {
        accounts.find(name).unwrap().id.clone().unwrap()
    }

    #[test]
    fn an_id_is_26_small_letters_and_digits_or_more() {
        let new = AccountId::new();
        assert_eq!(new.as_str().len(), 26);
        assert_eq!(AccountId::parse(new.as_str()), Some(new.clone()));
        assert_ne!(new, AccountId::new());
        for odd in [
            "",
            "abc",
            &new.as_str()[1..],
            &new.as_str().to_uppercase(),
            &format!("{} ", new.as_str()),
            &"a".repeat(65),
        ] {
            assert_eq!(AccountId::parse(odd), None, "{odd:?}");
        }
    }

    #[test]
    fn an_account_without_an_id_gets_one_and_the_others_keep_theirs() {
        let own = AccountId::new();
        let mut accounts = accounts(&[("alice", Some(&own)), ("bob", None)]);
        assert!(accounts.give_ids(None).is_empty());
        assert_eq!(id(&accounts, "alice"), own);
        let bobs = id(&accounts, "bob");
        let revision = accounts.revision();
        assert!(accounts.give_ids(None).is_empty());
        assert_eq!(
            (id(&accounts, "bob"), accounts.revision()),
            (bobs, revision)
        );
    }

    #[test]
    fn a_copied_account_gets_an_id_of_its_own() {
        let own = AccountId::new();
        let read = [
            ("copy", Some(&own)),
            ("alice", Some(&own)),
            ("more", Some(&own)),
        ];
        // Where nothing is known, the first is the owner.
        let mut at_start = accounts(&read);
        assert_eq!(at_start.give_ids(None), ["alice", "more"]);
        assert_eq!(id(&at_start, "copy"), own);

        let before = accounts(&[("alice", Some(&own))]);
        let mut edited = accounts(&read);
        assert_eq!(edited.give_ids(Some(&before)), ["copy", "more"]);
        assert_eq!(id(&edited, "alice"), own);
        assert_ne!(id(&edited, "copy"), id(&edited, "more"));
    }
    #[test]
    fn a_copied_account_gets_a_handle_of_its_own() {
        let mut alice = accounts(&[("alice", None)]);
        alice.change("alice", |alice| {
            alice.give_handle();
        });
        let mut both = accounts(&[("copy", None), ("alice", None)]);
        let own = alice.find("alice").unwrap().handle.clone();
        for name in ["copy", "alice"] {
            both.change(name, |account| account.handle.clone_from(&own));
        }
        assert_eq!(both.give_ids(Some(&alice)), ["copy"]);
        let handle = |name| both.find(name).unwrap().handle.clone();
        assert!(handle("alice") == own && handle("copy").is_some_and(|copy| Some(copy) != own));
    }
}
