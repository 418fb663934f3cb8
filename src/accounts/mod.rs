//! The rules about accounts, pure: no file, no clock, no socket, nothing that waits.
//!
//! [`Accounts`] is the whole set in memory. It is cheap to copy, so that a change can be made on a
//! copy, saved, and only then shown to anybody.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::clock::{self, Timestamp};

pub mod access_token;
pub mod acts;
mod address;
pub mod confirmations;
pub mod devices;
pub mod edits;
mod ends;
pub mod former;
pub mod groups;
pub mod ids;
pub mod invitations;
pub mod kept;
pub mod labels;
pub mod listed;
pub mod login;
pub mod mailed;
pub mod names;
pub mod networks;
mod owners;
pub mod passkey;
pub mod password;
pub mod pending;
pub mod person;
pub mod registration;
pub mod regulars;
pub mod session;
pub mod setting;
pub mod shown_again;
pub mod throttle;
pub mod token;
pub mod totp;
pub mod unclaimed;

use access_token::AccessToken;
use confirmations::{Confirmations, Links};
use devices::Device;
use former::Former;
use ids::AccountId;
use invitations::Invitations;
use kept::{Created, Unknown};
use mailed::{Asked, MailedPassword};
use networks::KnownNetwork;
use owners::Owners;
use passkey::{Handle, Passkey};
use password::PasswordHash;
use shown_again::ShownAgain;
use token::Digest;

/// One account, in the shape it has in `users.json`.
///
/// No `Debug`: it holds the key of the second factor.
#[derive(Clone, Deserialize, Serialize)]
pub struct Account {
    /// As its owner wrote it; looked up without regard to case. The account's key in the file.
    #[serde(skip)]
    pub username: String,
    /// As its owner wrote it, the domain in its ASCII form; `None` if it has none.
    #[serde(deserialize_with = "Option::deserialize")]
    pub email: Option<String>,
    /// Whether its owner has used something mailed to that address, or an operator vouches for it.
    #[serde(default)]
    pub email_proven: bool,
    /// `None` only on the way from the file.
    #[serde(
        default,
        deserialize_with = "ids::read",
        skip_serializing_if = "Option::is_none"
    )]
    pub id: Option<AccountId>,
    /// The hash of the password; `None` until its owner chooses one.
    #[serde(deserialize_with = "Option::deserialize")]
    pub password: Option<PasswordHash>,
    /// When the account was made.
    #[serde(default, skip_serializing_if = "Created::is_unsaid")]
    pub created: Created,
    /// When its owner last logged in, by both steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_login: Option<Timestamp>,
    /// The groups it is in, which the access rules and applications go by.
    #[serde(default)]
    pub groups: Vec<String>,
    /// The second factor; `None` until the first login has enrolled one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub totp: Option<Totp>,
    /// By what its passkeys know whose they are; `None` until the first is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handle: Option<Handle>,
    /// Its passkeys, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passkeys: Vec<Passkey>,
    /// Its access tokens, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<AccessToken>,
    /// Digests of the recovery codes not used yet.
    #[serde(default)]
    pub recovery_codes: Vec<Digest>,
    /// Raised to end everything that was begun before: sessions and unfinished logins.
    #[serde(default, skip_serializing_if = "session::is_first")]
    pub generation: u64,
    /// The session that outlived the end of the others: the digest of its id and the generation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_session: Option<Digest>,
    /// Sessions that have shown password and code again, the latest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shown_again: Vec<ShownAgain>,
    /// A disabled account keeps its name and cannot log in.
    #[serde(default)]
    pub disabled: bool,
    /// Passwords that were mailed and not used yet, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mailed_passwords: Vec<MailedPassword>,
    /// The mails with a new password that were asked for within the last hour.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mails: Vec<Asked>,
    /// Wrong codes in a row from browsers the account does not know.
    #[serde(default, skip_serializing_if = "WrongCodes::is_none")]
    pub wrong_codes: WrongCodes,
    /// Browsers that have logged in before, newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<Device>,
    /// Networks from which it has logged in, the latest one last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<KnownNetwork>,
    /// Whether somebody registered it. False if an operator wrote it, or a version that did not
    /// keep this mark.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub registered: bool,
    /// What the account was when it was last written, see [`edits`]. Set only on the way from and
    /// to the file.
    #[serde(
        default,
        deserialize_with = "text_or_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub seal: Option<String>,
    /// What somebody else keeps in the file; never read, never dropped.
    #[serde(flatten)]
    pub other: Unknown,
}

impl Account {
    /// Its name and its address, by which people know it.
    pub fn names(&self) -> (&str, Option<&str>) {
        (&self.username, self.email.as_deref())
    }

    /// Whether a file with this account is of the second version, which 0.1.0 does not read: there each
    /// account had an address and a password hashed by this program, the time alone was kept of mails
    /// that were asked for, and a time in `created`.
    pub fn is_of_second(&self) -> bool {
        let is_ours = |password: &PasswordHash| !password.is_foreign();
        self.email.is_none()
            || !self.password.as_ref().is_some_and(is_ours)
            || !self.mails.iter().all(Asked::is_time_alone)
            || self.created.is_no_time()
    }

    /// Whether this is its address, however it is written.
    pub fn has_address(&self, address: &str) -> bool {
        let own = self.email.as_deref();
        own.is_some_and(|own| names::is_same(own, address))
    }
}

/// A confirmed second factor.
#[derive(Clone, Deserialize, Serialize)]
pub struct Totp {
    /// The key shared with the authenticator.
    pub secret: totp::Secret,
    /// The step of the last accepted code; no code at or before that step is accepted again (RFC
    /// 6238, section 5.2).
    #[serde(default)]
    pub last_step: u64,
    /// What somebody else keeps in the file.
    #[serde(flatten)]
    pub other: Unknown,
}

/// Wrong codes in a row, kept with the account so that a restart does not forgive them.
#[derive(Clone, Default, PartialEq, Deserialize, Serialize)]
pub struct WrongCodes {
    /// How many.
    pub count: u32,
    /// When the last one came: since 1970, by the steady clock.
    #[serde(with = "clock::exact")]
    pub last: Duration,
    /// What somebody else keeps in the file.
    #[serde(flatten)]
    pub other: Unknown,
}

impl WrongCodes {
    /// Whether there is nothing to write to the file.
    pub fn is_none(&self) -> bool {
        self.count == 0 && self.other.is_empty()
    }

    /// Forgives them all.
    pub fn clear(&mut self) {
        self.count = 0;
    }
}

/// What somebody else has already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    Email,
    Username,
}

/// All accounts, in the order of the file, no two with the same name or e-mail.
#[derive(Clone, Default)]
pub struct Accounts {
    /// By [`names::key`] of the username.
    by_name: IndexMap<Arc<str>, Arc<Account>>,
    /// [`names::key`] of the e-mail to that of the username. Shared between copies: most changes
    /// touch no e-mail.
    by_email: Arc<HashMap<Arc<str>, Arc<str>>>,
    /// Whose passkeys and access tokens are, by the names as in `by_name`.
    owners: Owners,
    /// The names that somebody had before.
    former: Arc<Former>,
    /// The links by which people prove their addresses.
    confirmations: Arc<Confirmations>,
    /// The links by which people make accounts.
    invitations: Arc<Invitations>,
    /// Grows with every change, so that a change that changed nothing need not be saved.
    revision: u64,
}

impl Accounts {
    /// Finds by username, without regard to case.
    pub fn find(&self, username: &str) -> Option<&Arc<Account>> {
        self.by_name.get(names::key(username).as_ref())
    }

    /// Finds by username, or by e-mail if there is an `@`, which no username has.
    pub fn resolve(&self, name: &str) -> Option<&Arc<Account>> {
        if name.contains('@') {
            let owner = self
                .by_email
                .get(names::key(&names::ascii_domain(name)).as_ref())?;
            self.by_name.get(owner)
        } else {
            self.find(name)
        }
    }

    /// What of a new account's name and e-mail somebody has already, the name first.
    pub fn taken(&self, username: &str, email: Option<&str>) -> Option<Taken> {
        if self.find(username).is_some() {
            return Some(Taken::Username);
        }
        let is_taken = |email| self.by_email.contains_key(names::key(email).as_ref());
        email.is_some_and(is_taken).then_some(Taken::Email)
    }

    /// As [`Accounts::taken`], of what strangers may take: a name that somebody had before is not.
    pub fn taken_to_strangers(
        &self,
        username: &str,
        email: Option<&str>,
        now: Timestamp,
    ) -> Option<Taken> {
        if self.former.holds(username, now) {
            return Some(Taken::Username);
        }
        self.taken(username, email)
    }

    /// Adds an account at the end.
    ///
    /// # Errors
    ///
    /// If its name or e-mail belongs to another; then nothing is changed.
    pub fn add(&mut self, account: Account) -> Result<(), Taken> {
        if let Some(taken) = self.taken(&account.username, account.email.as_deref()) {
            return Err(taken);
        }
        let name: Arc<str> = names::key(&account.username).into();
        if let Some(email) = &account.email {
            let owner = Arc::clone(&name);
            Arc::make_mut(&mut self.by_email).insert(names::key(email).into(), owner);
        }
        self.owners.follow(&name, None, Some(&account));
        self.by_name.insert(name, Arc::new(account));
        self.revision += 1;
        Ok(())
    }

    /// Gives the account to `change`, which must not touch its name or e-mail. `None` if there is
    /// no such account.
    pub fn change<T>(
        &mut self,
        username: &str,
        change: impl FnOnce(&mut Account) -> T,
    ) -> Option<T> {
        let mut account = Account::clone(self.find(username)?);
        let result = change(&mut account);
        self.replace(Arc::new(account));
        Some(result)
    }

    /// Puts an account in place of the one with the same name, which must have the same e-mail.
    /// Nothing happens if there is none.
    pub fn replace(&mut self, account: Arc<Account>) {
        let name = names::key(&account.username);
        if let Some((_, name, place)) = self.by_name.get_full_mut(name.as_ref()) {
            self.owners.follow(name, Some(place), Some(&account));
            *place = account;
            self.revision += 1;
        }
    }

    /// Removes an account and gives it back; the others keep their order.
    pub fn remove(&mut self, username: &str) -> Option<Arc<Account>> {
        let name = names::key(username);
        let (name, account) = self.by_name.shift_remove_entry(name.as_ref())?;
        self.owners.follow(&name, Some(&account), None);
        if let Some(email) = &account.email {
            Arc::make_mut(&mut self.by_email).remove(names::key(email).as_ref());
        }
        self.end_links(&account, Links::All);
        self.revision += 1;
        Some(account)
    }

    /// All accounts, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Account>> {
        self.by_name.values()
    }

    /// How many accounts there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there are no accounts.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Differs before and after a change.
    pub fn revision(&self) -> u64 {
        self.revision
    }
}

/// Reads a text; anything else counts as `None`.
fn text_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::String(text) => Ok(Some(text)),
        _ => Ok(None),
    }
}
