//! The networks that an account logs in from. Strangers must not use up what its owner may do from
//! there.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::accounts::Account;
use crate::accounts::kept::Unknown;
use crate::accounts::throttle::limits::{MEMBER_AGE, MEMBERSHIP, REGULARITY};
use crate::clock::{DRIFT, Moment, Timestamp};
use crate::network::Network;

/// Most networks an account remembers; the one with the oldest login makes room.
const MAX_NETWORKS: usize = 20;

/// A network from which the account has logged in with both factors.
#[derive(Clone, Deserialize, Serialize)]
pub struct KnownNetwork {
    /// The network.
    pub network: Network,
    /// The last login from there.
    pub last_login: Timestamp,
    /// What somebody else keeps in the file.
    #[serde(flatten)]
    pub other: Unknown,
}

impl Account {
    /// When the account last logged in from this network, with both factors; `None` if it never
    /// has, as far as it remembers.
    pub fn last_login_from(&self, network: Network) -> Option<Timestamp> {
        let known = self.networks.iter().find(|known| known.network == network);
        known.map(|known| known.last_login)
    }

    /// When the account last logged in from this network, as time since 1970, if that was within
    /// the last hour: failures from there are then likelier to be its owner's. `None` also if a
    /// stranger made the account less than a day ago.
    pub fn is_member_of(&self, network: Network, now: Moment) -> Option<Duration> {
        let today = now.timestamp();
        let at = self.last_login_from(network)?;
        let is_member = self.is_old(today) && today.since(at) < MEMBERSHIP;
        is_member.then(|| Duration::from_secs(at.0))
    }

    /// The networks from which the account has logged in recently (`REGULARITY`); none if a
    /// stranger made it less than a day ago.
    pub fn regular_networks(&self, now: Timestamp) -> impl Iterator<Item = Network> {
        let known = self.networks.iter().filter(move |_| self.is_old(now));
        known
            .filter(move |known| now.since(known.last_login) < REGULARITY)
            .map(|known| known.network)
    }

    /// The networks from which the account has logged in, each with the time from when to when it
    /// counts among the regular ones.
    pub fn spans(&self) -> impl Iterator<Item = (Network, Timestamp, Timestamp)> {
        let since = match self.registered {
            true => self.created.at().map(|created| created.plus(MEMBER_AGE)),
            false => Some(Timestamp(0)),
        };
        let known = self.networks.iter();
        known.filter_map(move |known| {
            Some((known.network, since?, known.last_login.plus(REGULARITY)))
        })
    }

    /// Whether no stranger can have made the account for the purpose.
    fn is_old(&self, now: Timestamp) -> bool {
        let created = self.created.at();
        !self.registered || created.is_some_and(|created| now.since(created) >= MEMBER_AGE)
    }

    /// Notes a login with both factors.
    pub fn logged_in_from(&mut self, network: Network, now: Timestamp) {
        // A login from the future was noted while the clock was wrong, and would never make room.
        let latest = now.plus(DRIFT);
        self.networks.retain(|known| known.last_login <= latest);
        let position = self
            .networks
            .iter()
            .position(|known| known.network == network);
        let before = position.map(|position| self.networks.remove(position));
        if self.networks.len() >= MAX_NETWORKS {
            self.networks.remove(0);
        }
        self.networks.push(KnownNetwork {
            network,
            last_login: now,
            other: before.map(|known| known.other).unwrap_or_default(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::password::PasswordHash;

    fn alice() -> Account {
        let hash = PasswordHash::quick();
        Account::new("alice", "alice@example.com", hash, Timestamp(0))
    }

    fn network(n: u8) -> Network {
        Network::of([192, 0, 2, n].into())
    }

    #[test]
    fn the_network_with_the_oldest_login_makes_room() {
        let mut account = alice();
        for n in 0..20 {
            account.logged_in_from(network(n), Timestamp(u64::from(n)));
        }
        account.logged_in_from(network(0), Timestamp(100));
        account.logged_in_from(network(20), Timestamp(101));

        assert_eq!(account.networks.len(), MAX_NETWORKS);
        assert_eq!(
            account.last_login_from(network(0)),
            Some(Timestamp(100)),
            "the latest login counts"
        );
        assert_eq!(account.last_login_from(network(1)), None);
        assert!(account.last_login_from(network(20)).is_some());
    }

    #[test]
    fn a_login_by_a_clock_that_was_ahead_is_forgotten() {
        let mut account = alice();
        account.logged_in_from(network(1), Timestamp(1_000_000));
        account.logged_in_from(network(2), Timestamp(1000));
        assert_eq!(account.networks.len(), 1);
    }

    #[test]
    fn networks_are_kept_as_people_write_them() {
        let mut account = alice();
        let six: std::net::IpAddr = "2001:db8:1:2:3::4".parse().unwrap();
        account.logged_in_from(network(1), Timestamp(0));
        account.logged_in_from(Network::of(six), Timestamp(0));

        let written = serde_json::to_value(&account).unwrap();

        assert_eq!(written["networks"][0]["network"], "192.0.2.1");
        assert_eq!(written["networks"][1]["network"], "2001:db8:1:2::/64");
        let read: Account = serde_json::from_value(written).unwrap();
        assert!(read.last_login_from(Network::of(six)).is_some());
    }
}
