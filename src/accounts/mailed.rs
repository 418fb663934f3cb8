//! Passwords mailed to people who have lost theirs: how many, for how long, and asked for by whom.
//!
//! Anybody may ask for one. So asking neither voids what the owner holds nor uses up all the mails
//! of the hour: each network has a share, and one mail is kept for networks the owner logs in from.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::accounts::Account;
use crate::accounts::kept::Unknown;
use crate::accounts::token::Digest;
use crate::as_typed;
use crate::clock::{DRIFT, Timestamp};
use crate::network::Network;

/// How long a mailed password works.
pub const LIFETIME: Duration = Duration::from_secs(30 * 60);

/// Most mailed passwords that work at the same time; beyond that the oldest makes room.
const MAX_LIVE: usize = 5;

/// Most new passwords mailed to one account within an hour.
const PER_HOUR: usize = 5;

/// Most of these that one network may ask for.
const PER_NETWORK: usize = 2;

/// Most of these that networks may ask for from which the account has never logged in.
const FOR_STRANGERS: usize = PER_HOUR - 1;

const HOUR: Duration = Duration::from_secs(3600);

/// A password that was mailed and not used yet.
#[derive(Clone, Deserialize, Serialize)]
pub struct MailedPassword {
    /// Digest of the password.
    pub digest: Digest,
    /// When it stops working.
    pub expires: Timestamp,
    /// What somebody else keeps in the file.
    #[serde(flatten)]
    pub other: Unknown,
}

impl MailedPassword {
    /// Whether it still works. One that expires too far ahead was mailed while the clock was wrong.
    fn is_live(&self, now: Timestamp) -> bool {
        now < self.expires && self.expires <= now.plus(LIFETIME + DRIFT)
    }
}

/// A mail with a new password that somebody asked for.
#[derive(Clone, Deserialize, Serialize)]
#[serde(from = "Written", into = "Written")]
pub struct Asked {
    /// When it was asked for.
    pub at: Timestamp,
    /// Where it was asked for; unknown for mails sent by an earlier version.
    pub network: Option<Network>,
    /// What somebody else keeps in the file.
    pub other: Unknown,
}

/// [`Asked`] as the file has it: 0.1.0 kept the time alone, and reads nothing else.
#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum Written {
    Time(Timestamp),
    Whole {
        at: Timestamp,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        network: Option<Network>,
        #[serde(flatten)]
        other: Unknown,
    },
}

impl From<Written> for Asked {
    fn from(written: Written) -> Self {
        match written {
            Written::Time(at) => Self {
                at,
                network: None,
                other: Unknown::default(),
            },
            Written::Whole { at, network, other } => Self { at, network, other },
        }
    }
}

impl From<Asked> for Written {
    fn from(asked: Asked) -> Self {
        match asked.is_time_alone() {
            true => Self::Time(asked.at),
            false => Self::Whole {
                at: asked.at,
                network: asked.network,
                other: asked.other,
            },
        }
    }
}

impl Account {
    /// Whether one more new password may be mailed for somebody in this network.
    pub fn may_be_mailed(&self, asker: Network, now: Timestamp) -> bool {
        let of_late = || self.mails.iter().filter(|mail| mail.is_of_late(now));
        let is_stranger = |network: Option<Network>| {
            network.is_none_or(|network| self.last_login_from(network).is_none())
        };
        let from = |network| of_late().filter(|mail| mail.network == network).count();
        let from_strangers = of_late().filter(|mail| is_stranger(mail.network)).count();
        of_late().count() < PER_HOUR
            && from(Some(asker)) < PER_NETWORK
            && (!is_stranger(Some(asker)) || from_strangers < FOR_STRANGERS)
    }

    /// Keeps a new mailed password; earlier ones go on working. Without an `asker`, when an
    /// administrator sends one, it is neither refused nor counted. False if there have been enough
    /// mails for this hour; then nothing is changed.
    pub fn mail_password(
        &mut self,
        digest: Digest,
        asker: Option<Network>,
        now: Timestamp,
    ) -> bool {
        if asker.is_some_and(|asker| !self.may_be_mailed(asker, now)) {
            return false;
        }
        self.mails.retain(|mail| mail.is_of_late(now));
        self.mails.extend(asker.map(|asker| Asked {
            at: now,
            network: Some(asker),
            other: Unknown::default(),
        }));
        self.mailed_passwords.retain(|mailed| mailed.is_live(now));
        if self.mailed_passwords.len() >= MAX_LIVE {
            self.mailed_passwords.remove(0);
        }
        self.mailed_passwords.push(MailedPassword {
            digest,
            expires: now.plus(LIFETIME),
            other: Unknown::default(),
        });
        true
    }

    /// Counts a mail that an administrator asks for on the owner's behalf, towards the mails of the
    /// hour alone: [`Account::mail_password`] without an asker then keeps its password, and
    /// [`Account::unmail_password`] takes both back.
    ///
    /// # Errors
    ///
    /// How long it is until there is room for one more; then nothing is changed.
    pub fn count_mail_for_owner(&mut self, now: Timestamp) -> Result<(), Duration> {
        let mut of_late: Vec<Timestamp> = self.mails.iter().map(|mail| mail.at).collect();
        of_late.retain(|at| is_of_late(*at, now));
        if let Some(over) = of_late.len().checked_sub(PER_HOUR) {
            of_late.sort_unstable();
            let oldest = of_late.get(over).copied().unwrap_or(now);
            return Err(HOUR.saturating_sub(now.since(oldest)));
        }
        self.mails.retain(|mail| mail.is_of_late(now));
        self.mails.push(Asked {
            at: now,
            network: None,
            other: Unknown::default(),
        });
        Ok(())
    }

    /// Takes back [`Account::mail_password`] when its mail could not be written.
    pub fn unmail_password(&mut self, digest: Digest, asker: Option<Network>, at: Timestamp) {
        self.use_mailed_password(digest);
        let position = self
            .mails
            .iter()
            .rposition(|mail| mail.at == at && mail.network == asker);
        position.map(|position| self.mails.remove(position));
    }

    /// The digest of the mailed password that this is, if it still works. Costs no hashing.
    pub fn mailed(&self, typed: &str, now: Timestamp) -> Option<Digest> {
        let typed = as_typed::mailed_password(typed);
        self.mailed_passwords
            .iter()
            .find(|mailed| mailed.digest.matches(&typed) && mailed.is_live(now))
            .map(|mailed| mailed.digest)
    }

    /// Uses up a mailed password; false if that has been done already.
    pub fn use_mailed_password(&mut self, digest: Digest) -> bool {
        let before = self.mailed_passwords.len();
        self.mailed_passwords
            .retain(|mailed| mailed.digest != digest);
        self.mailed_passwords.len() < before
    }

    /// Takes over the one mailed password that earlier versions kept in a field of its own.
    pub fn take_up_mailed_password(&mut self) {
        const FIELD: &str = "mailed_password";
        let read = |value: &Value| MailedPassword::deserialize(value).ok();
        // A value that does not look like one is somebody else's, and stays.
        if let Some(mailed) = self.other.get(FIELD).and_then(read) {
            self.other.shift_remove(FIELD);
            self.mailed_passwords.push(mailed);
        }
    }
}

impl Asked {
    /// Whether nothing but the time is known of it.
    pub(super) fn is_time_alone(&self) -> bool {
        self.network.is_none() && self.other.is_empty()
    }

    /// Whether it counts for the present hour. One from the future was sent while the clock was
    /// wrong, and does not.
    fn is_of_late(&self, now: Timestamp) -> bool {
        is_of_late(self.at, now)
    }
}

fn is_of_late(at: Timestamp, now: Timestamp) -> bool {
    at <= now && now.since(at) < HOUR
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::password::{Password, PasswordHash};
    use crate::accounts::token;

    const START: u64 = 1_800_000_000;

    fn alice() -> Account {
        let hash = PasswordHash::quick();
        Account::new("alice", "alice@example.com", hash, Timestamp(START))
    }

    fn network(n: u8) -> Network {
        Network::of([192, 0, 2, n].into())
    }

    /// Asks from one network after the other, a second apart; which of them were mailed.
    fn ask(account: &mut Account, networks: &[u8]) -> Vec<bool> {
        let ask = |(n, from): (usize, &u8)| {
            let digest = Digest::of(&format!("{n} {from}"));
            let now = Timestamp(START + n as u64);
            account.mail_password(digest, Some(network(*from)), now)
        };
        networks.iter().enumerate().map(ask).collect()
    }

    #[test]
    fn five_mails_an_hour_of_which_no_network_takes_more_than_two() {
        for (networks, mailed) in [
            // At home, then everywhere else.
            ("hhh", "yyn"),
            ("hhabc", "yyyyy"),
            ("hhabcd", "yyyyyn"),
            // Strangers first: one is left for home, and only there.
            ("aaabbb", "yynyyn"),
            ("abcde", "yyyyn"),
            ("aabbch", "yyyyny"),
            ("aabbhh", "yyyyyn"),
            ("habcdh", "yyyyyn"),
            ("aabhbh", "yyyyyn"),
        ] {
            let mut account = alice();
            account.logged_in_from(network(b'h'), Timestamp(START));
            let expected: Vec<bool> = mailed.bytes().map(|byte| byte == b'y').collect();
            let asked = ask(&mut account, networks.as_bytes());
            assert_eq!(asked, expected, "{networks}");
        }
    }

    #[test]
    fn an_hour_later_there_are_five_again() {
        let mut account = alice();
        ask(&mut account, b"aabb");
        let at = |seconds| Timestamp(START + seconds);
        assert!(!account.may_be_mailed(network(b'c'), at(3599)));
        assert!(account.may_be_mailed(network(b'c'), at(3600)));
        // Mails from the future were sent while the clock was wrong.
        assert!(account.may_be_mailed(network(b'a'), Timestamp(START - 60)));
    }

    #[test]
    fn an_administrator_is_neither_refused_nor_counted() {
        let mut account = alice();
        ask(&mut account, b"aabb");
        for n in 0..3 {
            let digest = Digest::of(&n.to_string());
            assert!(account.mail_password(digest, None, Timestamp(START + 60)));
        }
        assert_eq!(account.mails.len(), 4);
        assert_eq!(account.mailed_passwords.len(), 5);
    }

    #[test]
    fn what_an_administrator_asks_for_on_their_behalf_counts_for_the_hour_alone() {
        let mut account = alice();
        // One network has had its share, and strangers theirs.
        ask(&mut account, b"aabb");
        let at = |seconds| Timestamp(START + seconds);
        assert_eq!(account.count_mail_for_owner(at(600)), Ok(()));
        assert!(account.mail_password(Digest::of("mailed"), None, at(600)));
        // The first of the five was a second old when the second was asked for.
        let wait = Duration::from_secs(3600 - 601);
        assert_eq!(account.count_mail_for_owner(at(601)), Err(wait));
        assert!(!account.may_be_mailed(network(b'h'), at(601)));
        assert_eq!(account.count_mail_for_owner(at(3600)), Ok(()));

        // Taken back, as if it had never been.
        let before = account.mails.len();
        account.unmail_password(Digest::of("mailed"), None, at(600));
        assert_eq!(account.mails.len(), before - 1);
        assert!(account.mailed("mailed", at(600)).is_none());
    }

    #[test]
    fn mailed_passwords_live_side_by_side_for_thirty_minutes_and_work_once() {
        let mut account = alice();
        let mut asked = Vec::new();
        for n in 0..4_u8 {
            let password = token::mailed_password();
            let now = Timestamp(START + 60 * u64::from(n));
            assert!(account.mail_password(Digest::of(&password), Some(network(n)), now));
            asked.push(password);
        }
        let now = Timestamp(START + 600);
        for password in &asked {
            assert!(account.mailed(password, now).is_some());
        }
        let first = account.mailed(&asked[0], Timestamp(START + 1799)).unwrap();
        assert!(account.mailed(&asked[0], Timestamp(START + 1800)).is_none());
        // If the clock is put back by an hour, it must not work for an hour more.
        assert!(account.mailed(&asked[0], Timestamp(START - 3600)).is_none());

        assert!(account.use_mailed_password(first));
        assert!(!account.use_mailed_password(first));
        assert!(account.mailed(&asked[0], now).is_none());
        assert!(account.mailed(&asked[1], now).is_some());
    }

    #[test]
    fn a_mail_that_could_not_be_written_never_was() {
        let mut account = alice();
        ask(&mut account, b"ab");
        let now = Timestamp(START + 60);
        for asker in [Some(network(b'a')), None] {
            assert!(account.mail_password(Digest::of("lost"), asker, now));
            account.unmail_password(Digest::of("lost"), asker, now);
        }
        assert_eq!(account.mails.len(), 2);
        assert!(account.mailed("lost", now).is_none());
        assert!(account.mailed("0 97", now).is_some());
    }

    #[test]
    fn what_an_earlier_version_kept_is_taken_up() {
        let digest = serde_json::to_value(Digest::of("mailed")).unwrap();
        let mut written = serde_json::to_value(alice()).unwrap();
        written["mailed_password"] = serde_json::json!({
            "digest": digest,
            "expires": Timestamp(START + 60),
        });
        written["mails"] = serde_json::json!([Timestamp(START)]);

        let mut account: Account = serde_json::from_value(written).unwrap();
        account.take_up_mailed_password();

        assert!(account.mailed("mailed", Timestamp(START)).is_some());
        let again = serde_json::to_value(&account).unwrap();
        assert_eq!(again.get("mailed_password"), None);
        assert_eq!(again["mailed_passwords"].as_array().unwrap().len(), 1);
        // A mail of which the asker is not known counts as a stranger's.
        let asked = ask(&mut account, b"abcd");
        assert_eq!(asked, [true, true, true, false]);
    }

    #[test]
    fn a_field_that_only_has_that_name_stays() {
        let mut account = alice();
        let mine = serde_json::json!("asked for it by telephone");
        account.other.insert("mailed_password".to_owned(), mine);
        account.take_up_mailed_password();
        assert_eq!(account.other.len(), 1);
        assert!(account.mailed_passwords.is_empty());
    }

    #[test]
    fn a_login_and_a_new_password_end_all_mailed_ones() {
        let mut account = alice();
        ask(&mut account, b"ab");
        account.logged_in(None, network(b'h'), Timestamp(START));
        assert!(account.mailed_passwords.is_empty());

        let mut account = alice();
        ask(&mut account, b"ab");
        let new = PasswordHash::new(&Password::new("long enough"));
        account.change_password(new, None);
        assert!(account.mailed_passwords.is_empty());
    }
}
