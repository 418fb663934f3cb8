//! Accounts that were registered and never enrolled: they hold names and addresses that others may
//! want, and nobody has ever logged in to them.

use std::time::Duration;

use crate::accounts::{Account, Accounts};
use crate::clock::Timestamp;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long such an account may stay.
const STAYS: Duration = Duration::from_secs(30 * DAY.as_secs());

/// How long it may stay where there are more than [`MANY`].
const STAYS_AMONG_MANY: Duration = Duration::from_secs(3 * DAY.as_secs());

const MANY: usize = 1_000;

/// Most that are removed at once: each removal moves up all accounts behind it.
pub const AT_ONCE: usize = 100;

/// The first day of 2026, before accounts had the mark `registered`: one with an earlier date was
/// made while the clock was wrong, and nobody knows how old it is.
const NOT_BEFORE: Timestamp = Timestamp(1_767_225_600);

impl Account {
    /// Whether somebody registered it and never logged in to it. An account whose second factor an
    /// operator removed has been somebody's; a disabled one is kept for its name.
    pub(super) fn is_unclaimed(&self) -> bool {
        self.registered && !self.has_second_factor() && self.networks.is_empty() && !self.disabled
    }

    /// When it was registered, if nobody has ever logged in to it; the end of time, if that is not
    /// known.
    pub fn unclaimed_since(&self) -> Option<Timestamp> {
        let made = self.created.at().filter(|made| *made >= NOT_BEFORE);
        self.is_unclaimed()
            .then(|| made.unwrap_or(Timestamp(u64::MAX)))
    }
}

/// How long accounts may stay that nobody has logged in to, of which there are so many.
pub fn stays(unclaimed: usize) -> Duration {
    match unclaimed > MANY {
        true => STAYS_AMONG_MANY,
        false => STAYS,
    }
}

impl Accounts {
    /// The names of the accounts that never enrolled and have stayed long enough; at most as many
    /// as are removed at once.
    pub fn never_enrolled(&self, now: Timestamp) -> Vec<String> {
        let unclaimed = self.iter().filter(|account| account.is_unclaimed());
        self.unclaimed_for(stays(unclaimed.count()), now)
    }

    fn unclaimed_for(&self, stays: Duration, now: Timestamp) -> Vec<String> {
        let since = |account: &Account| account.unclaimed_since();
        self.iter()
            .filter(|account| since(account).is_some_and(|since| now.since(since) >= stays))
            .take(AT_ONCE)
            .map(|account| account.username.clone())
            .collect()
    }

    /// Removes the accounts that [`Accounts::never_enrolled`] names, and gives their names.
    pub fn remove_never_enrolled(&mut self, now: Timestamp) -> Vec<String> {
        self.remove_all(self.never_enrolled(now))
    }

    /// Removes those that nobody has ever logged in to for so long, some at a time, and gives their
    /// names.
    pub fn remove_unclaimed_for(&mut self, stays: Duration, now: Timestamp) -> Vec<String> {
        self.remove_all(self.unclaimed_for(stays, now))
    }

    fn remove_all(&mut self, names: Vec<String>) -> Vec<String> {
        for name in &names {
            self.remove(name);
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::password::PasswordHash;
    use crate::accounts::{Created, Totp, totp};
    use crate::network::Network;

    const START: Timestamp = Timestamp(1_800_000_000);

    fn account(n: usize) -> Account {
        let (name, email) = (format!("u{n}"), format!("u{n}@b.c"));
        Account::new(&name, &email, PasswordHash::quick(), START)
    }

    fn days(days: u64) -> Timestamp {
        START.plus(DAY * u32::try_from(days).unwrap())
    }

    #[test]
    fn who_never_enrolled_goes_after_thirty_days_and_name_and_address_are_free() {
        let mut accounts = Accounts::default();
        accounts.add(account(1)).unwrap();
        let almost = Timestamp(days(30).0 - 1);
        assert!(accounts.remove_never_enrolled(almost).is_empty());

        assert_eq!(accounts.remove_never_enrolled(days(30)), ["u1"]);

        assert_eq!(accounts.taken("u1", Some("u1@b.c")), None);
    }

    #[test]
    fn among_more_than_a_thousand_they_go_after_three_days_some_at_a_time() {
        let mut accounts = Accounts::default();
        for n in 0..1_000 {
            accounts.add(account(n)).unwrap();
        }
        assert!(accounts.never_enrolled(days(3)).is_empty());

        accounts.add(account(1_000)).unwrap();

        assert!(accounts.never_enrolled(Timestamp(days(3).0 - 1)).is_empty());
        assert_eq!(accounts.remove_never_enrolled(days(3)).len(), 100);
        // From here on the others have their thirty days again.
        assert!(accounts.never_enrolled(days(29)).is_empty());
        let mut left = 901;
        while left > 0 {
            left -= accounts.remove_never_enrolled(days(30)).len();
        }
        assert!(accounts.is_empty());
    }

    #[test]
    fn all_others_stay() {
        let operators = Account {
            registered: false,
            ..account(0)
        };
        let enrolled = Account {
            totp: Some(Totp {
                secret: totp::Secret::new(),
                last_step: 0,
                other: Default::default(),
            }),
            ..account(1)
        };
        let disabled = Account {
            disabled: true,
            ..account(2)
        };
        let mut lost_their_phone = account(3);
        lost_their_phone.logged_in_from(Network::of([192, 0, 2, 1].into()), START);
        let undated = Account {
            created: Created::Unsaid,
            ..account(4)
        };
        let made_in_1970 = Account {
            created: Created::At(Timestamp(60)),
            ..account(5)
        };
        let made_in_the_future = Account {
            created: Created::At(days(2000)),
            ..account(6)
        };
        let mut accounts = Accounts::default();
        for account in [
            operators,
            enrolled,
            disabled,
            lost_their_phone,
            undated,
            made_in_1970,
            made_in_the_future,
        ] {
            accounts.add(account).unwrap();
        }
        assert!(accounts.remove_never_enrolled(days(1000)).is_empty());
        assert_eq!(accounts.len(), 7);
    }
}
