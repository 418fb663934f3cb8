//! The networks from which accounts log in. Where there is a line, visitors from there go first: a
//! crowd of strangers must not hold up the people the site is for.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::accounts::Accounts;
use crate::clock::{Moment, Timestamp};
use crate::network::Network;

/// How long the networks are used before the accounts are gone through again, which takes a
/// millisecond for ten thousand of them.
const FRESH: Duration = Duration::from_secs(60);

/// The networks, gathered from the accounts when somebody asks.
#[derive(Default)]
pub struct Regulars {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    networks: HashSet<Network>,
    /// When the accounts were gone through.
    gathered: Option<Duration>,
}

impl Accounts {
    /// The networks from which accounts that are a day old, or were made by an operator, have
    /// logged in recently ([`Account::regular_networks`](super::Account::regular_networks)).
    pub fn regular_networks(&self, now: Timestamp) -> HashSet<Network> {
        self.iter()
            .flat_map(|account| account.regular_networks(now))
            .collect()
    }
}

impl Regulars {
    /// Whether `network` is one of [`Accounts::regular_networks`], which `gather` gives. While
    /// `gather` gives `None`, what it last gave counts.
    pub fn has(
        &self,
        network: Network,
        now: Moment,
        gather: impl FnOnce(Timestamp) -> Option<HashSet<Network>>,
    ) -> bool {
        let mut state = self.state();
        let age = state.gathered.map(|then| now.steady.saturating_sub(then));
        if age.is_none_or(|age| age >= FRESH)
            && let Some(networks) = gather(now.timestamp())
        {
            state.networks = networks;
            state.gathered = Some(now.steady);
        }
        state.networks.contains(&network)
    }

    /// Notes that such an account has logged in from this network.
    pub fn note(&self, network: Network) {
        self.state().networks.insert(network);
    }

    /// The set is replaced whole, so a panic cannot leave half of one.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::Account;
    use crate::accounts::kept::Created;
    use crate::accounts::password::PasswordHash;

    const DAY: u64 = 24 * 3600;
    const NOW: u64 = 1_800_000_000;

    fn at(seconds: u64) -> Moment {
        Moment {
            wall: seconds,
            steady: Duration::from_secs(seconds),
        }
    }

    fn network(n: u8) -> Network {
        Network::of([192, 0, 2, n].into())
    }

    fn account(name: &str, created: u64, logins: &[(u8, u64)]) -> Account {
        let email = format!("{name}@example.com");
        let mut account = Account::new(name, &email, PasswordHash::quick(), Timestamp(created));
        for (n, at) in logins {
            account.logged_in_from(network(*n), Timestamp(*at));
        }
        account
    }

    fn all(accounts: Vec<Account>) -> Accounts {
        let mut all = Accounts::default();
        for account in accounts {
            all.add(account).unwrap();
        }
        all
    }

    #[test]
    fn a_network_is_regular_for_thirty_days_after_the_login_of_an_account_that_is_old_enough() {
        let old = NOW - 40 * DAY;
        let by_operator = Account {
            registered: false,
            created: Created::default(),
            ..account("carol", NOW, &[(3, NOW)])
        };
        let accounts = all(vec![
            account("alice", old, &[(2, NOW - 30 * DAY), (1, NOW - 29 * DAY)]),
            by_operator,
            account("new", NOW - DAY + 1, &[(4, NOW)]),
            account("day-old", NOW - DAY, &[(5, NOW)]),
        ]);
        let regulars = Regulars::default();
        let gather = |now| Some(accounts.regular_networks(now));
        let has = |n| regulars.has(network(n), at(NOW), gather);
        assert_eq!(
            [1, 2, 3, 4, 5, 6].map(has),
            [true, false, true, false, true, false]
        );
    }

    #[test]
    fn a_login_counts_at_once_and_an_edit_after_a_minute() {
        let regulars = Regulars::default();
        let one = all(vec![account("alice", 0, &[(1, NOW)])]);
        let one = |now| Some(one.regular_networks(now));
        assert!(!regulars.has(network(1), at(NOW), |_| Some(HashSet::new())));
        assert!(!regulars.has(network(1), at(NOW + 59), one));
        assert!(regulars.has(network(1), at(NOW + 60), one));
        regulars.note(network(2));
        assert!(regulars.has(network(2), at(NOW + 60), one));
    }

    #[test]
    fn what_cannot_be_gathered_anew_goes_on_counting() {
        let regulars = Regulars::default();
        let one = all(vec![account("alice", 0, &[(1, NOW)])]);
        assert!(regulars.has(network(1), at(NOW), |now| Some(one.regular_networks(now))));
        assert!(regulars.has(network(1), at(NOW + 60), |_| None));
    }
}
