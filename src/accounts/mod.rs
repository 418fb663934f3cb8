//! The rules about accounts, pure: no file, no clock, no socket, nothing that waits.
//!
//! [`Accounts`] is the whole set in memory. It is cheap to copy, so that a change can be made on a
//! copy, saved, and only then shown to anybody.

use std::collections::HashMap;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use indexmap::IndexMap;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::clock;

pub mod devices;
pub mod edits;
mod ends;
pub mod kept;
pub mod login;
pub mod mailed;
pub mod names;
pub mod networks;
pub mod password;
pub mod pending;
pub mod regulars;
pub mod session;
pub mod throttle;
pub mod token;
pub mod totp;
mod unclaimed;

use devices::Device;
use kept::{Created, Unknown};
use mailed::{Asked, MailedPassword};
use networks::KnownNetwork;
use password::PasswordHash;
use token::Digest;

/// One account, in the shape it has in `users.json`.
///
/// No `Debug`: it holds the key of the second factor.
#[derive(Clone, Deserialize, Serialize)]
pub struct Account {
    /// As its owner wrote it; accounts are found without regard to case. The key in the file.
    #[serde(skip)]
    pub username: String,
    /// As its owner wrote it, the domain in its ASCII form.
    pub email: String,
    pub password: PasswordHash,
    #[serde(default, skip_serializing_if = "Created::is_unsaid")]
    pub created: Created,
    #[serde(default)]
    pub groups: Vec<String>,
    /// The second factor; none until the first login has enrolled one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub totp: Option<Totp>,
    /// Digests of the recovery codes not used yet.
    #[serde(default)]
    pub recovery_codes: Vec<Digest>,
    /// Raised to end everything that was begun before: sessions and log-ins under way.
    #[serde(default, skip_serializing_if = "session::is_first")]
    pub generation: u64,
    /// The session that outlived the end of the others: the digest of its id and the generation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_session: Option<Digest>,
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
    /// Networks from which it has logged in, the last one last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<KnownNetwork>,
    /// Whether somebody registered it. Not so if an operator wrote it, or a version that made no
    /// such mark.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub registered: bool,
    /// What it was when it was last written, see [`edits`]. Only on its way from and to the file.
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

/// A confirmed second factor.
#[derive(Clone, Deserialize, Serialize)]
pub struct Totp {
    pub secret: totp::Secret,
    /// The step of the last accepted code; none at or before it is accepted again (RFC 6238, 5.2).
    #[serde(default)]
    pub last_step: u64,
    #[serde(flatten)]
    pub other: Unknown,
}

/// Wrong codes in a row, kept with the account so that a restart does not forgive them.
#[derive(Clone, Default, PartialEq, Deserialize, Serialize)]
pub struct WrongCodes {
    pub count: u32,
    /// Since 1970 by the steady clock.
    #[serde(with = "clock::exact")]
    pub last: Duration,
    #[serde(flatten)]
    pub other: Unknown,
}

impl WrongCodes {
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
    /// Grows with every change, so that a change that changed nothing need not be saved.
    revision: u64,
    /// How to undo what has been done since an attempt began; none outside of one.
    undo: Option<Vec<Undo>>,
}

/// What takes one change back.
#[derive(Clone)]
enum Undo {
    Add,
    /// The account as it was.
    Change(Arc<Account>),
    /// The account, and where it stood.
    Remove(usize, Arc<Account>),
}

impl Accounts {
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
    pub fn taken(&self, username: &str, email: &str) -> Option<Taken> {
        if self.find(username).is_some() {
            return Some(Taken::Username);
        }
        self.by_email
            .contains_key(names::key(email).as_ref())
            .then_some(Taken::Email)
    }

    /// Adds an account at the end.
    ///
    /// # Errors
    ///
    /// If its name or e-mail belongs to another; then nothing is changed.
    pub fn add(&mut self, account: Account) -> Result<(), Taken> {
        if let Some(taken) = self.taken(&account.username, &account.email) {
            return Err(taken);
        }
        self.put(self.by_name.len(), Arc::new(account));
        self.note(Undo::Add);
        Ok(())
    }

    /// Gives the account to `change`, which must not touch its name or e-mail. None if there is no
    /// such account, or none any more.
    pub fn change<T>(
        &mut self,
        username: &str,
        change: impl FnOnce(&mut Account) -> T,
    ) -> Option<T> {
        let account = self.by_name.get_mut(names::key(username).as_ref())?;
        let before = Arc::clone(account);
        // On a copy, since `before` shares it: if this panics, nothing has happened.
        let mut changed = Account::clone(account);
        let result = change(&mut changed);
        *account = Arc::new(changed);
        self.note(Undo::Change(before));
        Some(result)
    }

    /// Removes an account; the others keep their order.
    pub fn remove(&mut self, username: &str) -> Option<Arc<Account>> {
        let (index, _, account) = self
            .by_name
            .shift_remove_full(names::key(username).as_ref())?;
        Arc::make_mut(&mut self.by_email).remove(names::key(&account.email).as_ref());
        self.note(Undo::Remove(index, Arc::clone(&account)));
        Some(account)
    }

    /// Carries out a change made of several steps, or nothing of it if it panics.
    ///
    /// # Errors
    ///
    /// What it panicked with.
    pub fn attempt<T>(&mut self, change: impl FnOnce(&mut Self) -> T) -> thread::Result<T> {
        let revision = self.revision;
        self.undo = Some(Vec::new());
        let result = panic::catch_unwind(AssertUnwindSafe(|| change(self)));
        let undo = self.undo.take().unwrap_or_default();
        if result.is_err() {
            for step in undo.into_iter().rev() {
                self.take_back(step);
            }
            self.revision = revision;
        }
        result
    }

    fn take_back(&mut self, step: Undo) {
        match step {
            Undo::Add => {
                let added = self.by_name.last().map(|(name, _)| Arc::clone(name));
                added.map(|name| self.remove(&name));
            }
            Undo::Change(before) => {
                if let Some(account) = self.by_name.get_mut(names::key(&before.username).as_ref()) {
                    *account = before;
                }
            }
            Undo::Remove(index, account) => self.put(index, account),
        }
    }

    fn put(&mut self, index: usize, account: Arc<Account>) {
        let name: Arc<str> = names::key(&account.username).into();
        Arc::make_mut(&mut self.by_email)
            .insert(names::key(&account.email).into(), Arc::clone(&name));
        self.by_name.shift_insert(index, name, account);
    }

    fn note(&mut self, step: Undo) {
        self.revision += 1;
        if let Some(undo) = &mut self.undo {
            undo.push(step);
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Account>> {
        self.by_name.values()
    }

    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Differs before and after a change.
    pub fn revision(&self) -> u64 {
        self.revision
    }
}

/// A text; anything else counts as none.
fn text_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::String(text) => Ok(Some(text)),
        _ => Ok(None),
    }
}
