//! Browsers that have logged in before: each has counts of its own, so that the guesses of others
//! do not make the owner wait there.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::accounts::kept::Unknown;
use crate::accounts::token::Digest;
use crate::accounts::{Account, WrongCodes};
use crate::clock::{DRIFT, Timestamp};

/// Most browsers an account remembers; the one that has not logged in for longest makes room.
pub const MAX_DEVICES: usize = 10;

/// How long a browser is known after its last login.
pub const LIFETIME: Duration = Duration::from_secs(180 * 24 * 3600);

/// Longest description of a browser that is kept, in characters.
const MAX_AGENT: usize = 200;

/// A browser that has logged in to the account, known by its device cookie.
#[derive(Clone, Deserialize, Serialize)]
pub struct Device {
    /// Digest of its device cookie.
    pub id: Digest,
    /// Its first login.
    pub created: Timestamp,
    /// Its last login; `None` in files of versions that did not note it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<Timestamp>,
    /// What the browser says it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub agent: String,
    /// Wrong codes in a row from this browser.
    #[serde(default, skip_serializing_if = "WrongCodes::is_none")]
    pub wrong_codes: WrongCodes,
    /// What somebody else keeps in the file.
    #[serde(flatten)]
    pub other: Unknown,
}

impl Device {
    /// A browser that logs in for the first time.
    pub fn new(id: Digest, agent: &str, now: Timestamp) -> Self {
        Self {
            id,
            created: now,
            last_used: Some(now),
            agent: agent.chars().take(MAX_AGENT).collect(),
            wrong_codes: WrongCodes::default(),
            other: Unknown::default(),
        }
    }

    /// When it logged in last.
    pub fn last_used(&self) -> Timestamp {
        self.last_used.unwrap_or(self.created)
    }

    /// Whether it is still known. A time from the future was noted while the clock was wrong, and
    /// would keep the browser known for too long.
    fn is_live(&self, now: Timestamp) -> bool {
        let latest = now.plus(DRIFT);
        let (created, last_used) = (self.created, self.last_used());
        created <= latest && last_used <= latest && now.since(last_used) < LIFETIME
    }
}

impl Account {
    /// The browsers that are still known, the one that logged in last first.
    pub fn known_devices(&self, now: Timestamp) -> impl Iterator<Item = &Device> {
        let known = self.devices.iter().rev();
        known
            .filter(move |device| device.is_live(now))
            .take(MAX_DEVICES)
    }

    /// Whether the browser with this digest is still known.
    pub fn knows_device(&self, id: Digest, now: Timestamp) -> bool {
        self.known_devices(now).any(|known| known.id == id)
    }

    /// Remembers a browser that has logged in.
    pub fn remember_device(&mut self, device: Device, now: Timestamp) {
        self.devices.retain(|known| known.is_live(now));
        let room = self.devices.len().saturating_sub(MAX_DEVICES - 1);
        self.devices.drain(..room);
        self.devices.push(device);
    }

    /// Notes a login of a known browser, which is now the last to make room.
    pub(super) fn came_back(&mut self, id: Digest, now: Timestamp) {
        let position = self.devices.iter().position(|known| known.id == id);
        if let Some(position) = position {
            let mut known = self.devices.remove(position);
            known.wrong_codes.clear();
            known.last_used = Some(now);
            self.devices.push(known);
        }
    }

    /// Forgets every browser but this one.
    pub fn forget_other_devices(&mut self, id: Option<Digest>) {
        self.devices.retain(|known| Some(known.id) == id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::password::PasswordHash;

    const DAY: u64 = 24 * 3600;
    const START: Timestamp = Timestamp(1_800_000_000);

    fn alice() -> Account {
        Account::new("alice", "alice@example.com", PasswordHash::quick(), START)
    }

    fn browser(n: u32) -> Digest {
        Digest::of(&n.to_string())
    }

    fn days(days: u64) -> Timestamp {
        Timestamp(START.0 + days * DAY)
    }

    #[test]
    fn the_browser_that_has_not_logged_in_for_longest_makes_room() {
        let mut account = alice();
        for n in 0..10 {
            account.remember_device(Device::new(browser(n), "", START), START);
        }
        account.came_back(browser(0), START);
        account.remember_device(Device::new(browser(10), "", START), START);

        let knows = |n| account.knows_device(browser(n), START);
        assert!(knows(0) && knows(10) && !knows(1));
        assert_eq!(account.known_devices(START).count(), 10);
        let newest = account.known_devices(START).next();
        assert!(newest.is_some_and(|device| device.id == browser(10)));
    }

    #[test]
    fn a_browser_is_known_for_180_days_from_its_last_login() {
        let mut account = alice();
        account.remember_device(Device::new(browser(1), "Firefox", START), START);
        assert!(account.knows_device(browser(1), Timestamp(days(180).0 - 1)));
        assert!(!account.knows_device(browser(1), days(180)));

        account.came_back(browser(1), days(100));
        assert!(account.knows_device(browser(1), days(279)));
        assert!(!account.knows_device(browser(1), days(280)));

        account.remember_device(Device::new(browser(2), "", days(300)), days(300));
        assert_eq!(account.devices.len(), 1, "what is over is dropped");
    }

    #[test]
    fn a_browser_from_the_future_is_not_known() {
        let mut account = alice();
        account.remember_device(Device::new(browser(1), "", days(400)), days(400));
        assert!(!account.knows_device(browser(1), START));
        let edited = Device {
            last_used: None,
            ..Device::new(browser(2), "", days(9999))
        };
        account.devices.push(edited);
        assert!(!account.knows_device(browser(2), START));
    }

    #[test]
    fn all_others_are_forgotten_and_perhaps_this_one_too() {
        let mut account = alice();
        for n in 0..3 {
            account.remember_device(Device::new(browser(n), "", START), START);
        }
        account.forget_other_devices(Some(browser(1)));
        assert!(account.knows_device(browser(1), START) && account.devices.len() == 1);
        account.forget_other_devices(None);
        assert!(account.devices.is_empty());
    }
}
