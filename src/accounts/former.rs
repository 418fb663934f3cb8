//! Names that somebody had before: applications may still know the former owner by them, so nobody
//! else gets them for a while, unless an operator says so.

use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;
use time::Date;
use time::macros::format_description;

use crate::accounts::{Account, Accounts, names};
use crate::clock::Timestamp;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a name is held after its account has gone.
const HELD: Duration = Duration::from_secs(180 * DAY.as_secs());

/// How old an account must have been for its name to be held: no application has built on a
/// younger one.
const OLD_ENOUGH: Duration = DAY;

/// Most names held of accounts that strangers made and gave up, so that nobody can fill the file.
pub const MOST_OF_STRANGERS: usize = 10_000;

/// The names, by [`names::key`], with the moment when each was given up.
#[derive(Clone, Default, PartialEq)]
pub struct Former(IndexMap<Arc<str>, Timestamp>);

impl Former {
    /// Whether no name is held.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this name is still held.
    pub fn holds(&self, username: &str, now: Timestamp) -> bool {
        let left = self.0.get(names::key(username).as_ref());
        left.is_some_and(|left| now.since(*left) < HELD)
    }

    /// Whether the name of this account is to be held when it goes.
    fn takes(&self, account: &Account, now: Timestamp) -> bool {
        let made = account.created.at();
        let was_used = made.is_none_or(|made| now.since(made) >= OLD_ENOUGH);
        was_used && (!account.registered || self.0.len() < MOST_OF_STRANGERS)
    }

    fn hold(&mut self, username: &str, now: Timestamp) {
        self.0.retain(|_, left| now.since(*left) < HELD);
        let name = names::key(username);
        self.0.shift_remove(name.as_ref());
        self.0.insert(name.into(), now);
    }
}

impl Serialize for Former {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(&self.0)
    }
}

impl<'de> Deserialize<'de> for Former {
    /// Takes a plain date too, which people write by hand.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = IndexMap::<String, Value>::deserialize(deserializer)?;
        let entry = |(name, date): (String, Value)| {
            let left = moment(&date)
                .ok_or_else(|| de::Error::custom(format_args!("the date of {name:?} is none")))?;
            Ok((names::key(&name).into(), left))
        };
        read.into_iter()
            .map(entry)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

/// Reads a moment, or a date as its first moment in UTC.
fn moment(value: &Value) -> Option<Timestamp> {
    if let Ok(moment) = Timestamp::deserialize(value) {
        return Some(moment);
    }
    let date = Date::parse(value.as_str()?, format_description!("[year]-[month]-[day]")).ok()?;
    let seconds = date.midnight().assume_utc().unix_timestamp();
    u64::try_from(seconds).ok().map(Timestamp)
}

impl Accounts {
    /// The names that are held.
    pub fn former(&self) -> &Arc<Former> {
        &self.former
    }

    /// Puts these in place of the names that are held.
    pub fn set_former(&mut self, former: Former) {
        self.former = Arc::new(former);
        self.revision += 1;
    }

    /// Removes an account whose owner or an operator has ended it, and holds its name.
    pub fn end(&mut self, username: &str, now: Timestamp) {
        if let Some(account) = self.remove(username) {
            self.hold_name(&account, now);
        }
    }

    /// Holds the name of this account, which has left or has another name now.
    fn hold_name(&mut self, account: &Account, now: Timestamp) {
        if self.former.takes(account, now) {
            Arc::make_mut(&mut self.former).hold(&account.username, now);
            self.revision += 1;
        }
    }

    /// Holds the name that an operator took from this account, however young it is: what was done on
    /// purpose is not undone by the next who comes along.
    pub(super) fn hold_name_of(&mut self, account: &Account, now: Timestamp) {
        Arc::make_mut(&mut self.former).hold(&account.username, now);
        self.revision += 1;
    }

    /// Holds the names of accounts that an operator took out of the file, or renamed there, and
    /// gives those that are gone. Whatever else removes an account has held its name already;
    /// of one so young that its name is not held, nobody can tell.
    pub fn hold_left(&mut self, before: &Self, now: Timestamp) -> Vec<Arc<Account>> {
        let gone: Vec<Arc<Account>> = before
            .iter()
            .filter(|account| self.find(&account.username).is_none())
            // Whoever removes these frees their names.
            .filter(|account| !account.is_unclaimed())
            .cloned()
            .collect();
        let mut removed = Vec::new();
        for account in gone {
            if self.former.holds(&account.username, now) {
                continue;
            }
            self.hold_name(&account, now);
            let is_renamed = || self.iter().any(|other| other.id == account.id);
            if self.former.holds(&account.username, now) && !is_renamed() {
                removed.push(account);
            }
        }
        removed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::Created;
    use crate::accounts::password::PasswordHash;

    const START: Timestamp = Timestamp(1_800_000_000);

    fn days(days: u32) -> Timestamp {
        START.plus(DAY * days)
    }

    fn account(name: &str) -> Account {
        let email = format!("{name}@example.com");
        Account::new(name, &email, PasswordHash::quick(), START)
    }

    #[test]
    fn a_name_that_was_used_is_held_for_180_days_and_its_address_is_free() {
        let mut accounts = Accounts::default();
        accounts.add(account("Alice")).unwrap();
        accounts.end("alice", days(1));
        assert_eq!(accounts.taken("alice", Some("alice@example.com")), None);
        assert!(accounts.former().holds("ALICE", days(1)));
        assert!(accounts.former().holds("alice", Timestamp(days(181).0 - 1)));
        assert!(!accounts.former().holds("alice", days(181)));
    }

    #[test]
    fn a_name_of_less_than_a_day_is_free_and_one_of_unknown_age_is_not() {
        let mut accounts = Accounts::default();
        accounts.add(account("young")).unwrap();
        let undated = Account {
            created: Created::Unsaid,
            ..account("undated")
        };
        accounts.add(undated).unwrap();
        let now = Timestamp(days(1).0 - 1);
        for name in ["young", "undated", "nobody-at-all"] {
            accounts.end(name, now);
        }
        assert!(!accounts.former().holds("young", now));
        assert!(accounts.former().holds("undated", now));
        assert!(!accounts.former().holds("nobody-at-all", now));
    }

    #[test]
    fn strangers_cannot_fill_the_list_and_operators_are_not_stopped_by_it() {
        let mut accounts = Accounts::default();
        let full = (0..MOST_OF_STRANGERS).map(|n| (Arc::from(format!("n{n}")), days(1)));
        accounts.set_former(Former(full.collect()));
        accounts.add(account("stranger")).unwrap();
        let operators = Account {
            registered: false,
            ..account("member")
        };
        accounts.add(operators).unwrap();
        accounts.end("stranger", days(2));
        accounts.end("member", days(2));
        assert!(!accounts.former().holds("stranger", days(2)));
        assert!(accounts.former().holds("member", days(2)));
        // What is over makes room.
        accounts.add(account("other")).unwrap();
        accounts.end("other", days(181));
        assert!(!accounts.former().holds("n1", days(181)));
    }

    #[test]
    fn what_an_operator_takes_out_or_renames_is_held() {
        let mut before = Accounts::default();
        let used = Account {
            registered: false,
            ..account("alice")
        };
        before.add(used).unwrap();
        before.add(account("never-enrolled")).unwrap();
        let mut after = Accounts::default();
        after.hold_left(&before, days(2));
        assert!(after.former().holds("alice", days(2)));
        assert!(!after.former().holds("never-enrolled", days(2)));
        let once = after.revision();
        assert!(after.hold_left(&before, days(3)).is_empty());
        assert_eq!(after.revision(), once);
    }

    #[test]
    fn one_that_was_renamed_or_removed_by_the_program_was_not_removed_by_hand() {
        let mut before = Accounts::default();
        for name in ["alice", "bob"] {
            let used = Account {
                registered: false,
                ..account(name)
            };
            before.add(used).unwrap();
        }
        let mut after = Accounts::default();
        let alice = before.find("alice").unwrap();
        let renamed = Account {
            username: "alicia".to_owned(),
            ..Account::clone(alice)
        };
        after.add(renamed).unwrap();
        let mut former = Accounts::clone(&before);
        former.end("bob", days(2));
        after.set_former(Former::clone(former.former()));

        assert!(after.hold_left(&before, days(2)).is_empty());
        assert!(after.former().holds("alice", days(2)));
    }

    #[test]
    fn dates_are_read_as_people_write_them() {
        let read: Former =
            serde_json::from_str(r#"{"Alice": "2027-01-15", "bob": "2027-01-15T08:00:00Z"}"#)
                .unwrap();
        assert!(read.holds("alice", START) && read.holds("Bob", START));
        let written = serde_json::to_string(&read).unwrap();
        let expected = r#"{"alice":"2027-01-15T00:00:00Z","bob":"2027-01-15T08:00:00Z"}"#;
        assert_eq!(written, expected);
        assert!(serde_json::from_str::<Former>(r#"{"alice": "soon"}"#).is_err());
    }
}
