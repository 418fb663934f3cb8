//! What an operator changes in the file by hand, and what that ends.
//!
//! Beside each account the file has a seal: what this program wrote last. What differs from it was
//! changed by another hand, also while no program ran. What another server on the same files
//! changes is sealed by that one.

use std::collections::HashMap;
use std::sync::Arc;

use crate::accounts::token::Digest;
use crate::accounts::{Account, Accounts, names};
use crate::clock::{DRIFT, Timestamp};

/// What an account was when it was last written.
///
/// In the file it is `NAME E-MAIL PASSWORD TOTP enabled`, password and key as parts of digests, `-`
/// where there is no key. The e-mail is there in full: a notice goes to the address before.
#[derive(Clone)]
pub struct Seal {
    username: String,
    email: String,
    password: String,
    totp: Option<String>,
    disabled: bool,
}

impl Seal {
    pub fn of(account: &Account) -> Self {
        let totp = account.totp.as_ref();
        Self {
            username: account.username.clone(),
            email: account.email.clone(),
            password: account.password.id().short(),
            totp: totp.map(|totp| Digest::of(&totp.secret.base32()).short()),
            disabled: account.disabled,
        }
    }

    /// Reads what [`Seal::text`] writes; none if it is something else.
    pub fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split(' ').collect();
        let [username, email, password, totp, state] = parts[..] else {
            return None;
        };
        let disabled = match state {
            "enabled" => false,
            "disabled" => true,
            _ => return None,
        };
        Some(Self {
            username: username.to_owned(),
            email: email.to_owned(),
            password: password.to_owned(),
            totp: (totp != "-").then(|| totp.to_owned()),
            disabled,
        })
    }

    /// As it stands in the file.
    pub fn text(&self) -> String {
        let state = if self.disabled { "disabled" } else { "enabled" };
        let totp = self.totp.as_deref().unwrap_or("-");
        let (username, email, password) = (&self.username, &self.email, &self.password);
        format!("{username} {email} {password} {totp} {state}")
    }

    /// What has been changed since.
    fn edit(&self, account: &Account) -> Edit {
        let now = Self::of(account);
        Edit {
            name: self.username != now.username,
            email: !names::is_same(&self.email, &now.email),
            password: self.password != now.password,
            // One that was given to an account without any takes nothing from anybody.
            totp: self.totp.is_some() && self.totp != now.totp,
            disabled: now.disabled && !self.disabled,
            returned: false,
        }
    }
}

/// What an operator changed of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Edit {
    name: bool,
    email: bool,
    password: bool,
    /// Removed, or another.
    totp: bool,
    /// Set, not taken back.
    disabled: bool,
    /// It had left the file and came back, or was put back to what it had been before.
    returned: bool,
}

impl Edit {
    fn is_none(self) -> bool {
        self == Self::default()
    }

    fn and(self, other: Self) -> Self {
        Self {
            name: self.name && other.name,
            email: self.email && other.email,
            password: self.password && other.password,
            totp: self.totp && other.totp,
            disabled: self.disabled && other.disabled,
            returned: self.returned && other.returned,
        }
    }

    fn ends_sessions(self) -> bool {
        self.name || self.password || self.totp || self.disabled || self.returned
    }

    /// What was changed, for the log.
    fn names(self) -> String {
        let names = [
            (self.name, "name"),
            (self.email, "email"),
            (self.password, "password"),
            (self.totp, "totp"),
            (self.disabled, "disabled"),
            // Under another name it is new to us, but has not been away.
            (self.returned && !self.name, "returned"),
        ];
        let changed = names.iter().filter(|(changed, _)| *changed);
        changed.map(|(_, name)| *name).collect::<Vec<_>>().join(" ")
    }
}

impl Account {
    /// Ends what rested on what an operator changed: the one rule about it. Sessions and logins
    /// begun before are of another generation, and so is whatever else asks for it.
    fn end_what_rested_on(&mut self, edit: Edit) {
        if edit.ends_sessions() {
            self.devices.clear();
        }
        if edit.name || edit.email || edit.password || edit.returned {
            self.mailed_passwords.clear();
        }
        if edit.totp {
            self.recovery_codes.clear();
            // Without recovery codes they might keep the owner out for good.
            self.wrong_codes.clear();
        }
    }
}

/// An account that an operator has changed, as it is now.
pub struct Edited {
    pub account: Arc<Account>,
    /// Its address before, if that is another now and was its own.
    pub email_before: Option<String>,
    pub password: bool,
    /// Removed, or another.
    pub totp: bool,
    /// What was changed, for the log.
    pub what: String,
    /// Its name before, if that is another now; for the log too.
    pub name_before: Option<String>,
}

impl Edited {
    /// One whose change ends nothing and is for the log alone.
    fn remark(account: &Arc<Account>, what: &str) -> Self {
        Self {
            account: Arc::clone(account),
            email_before: None,
            password: false,
            totp: false,
            what: what.to_owned(),
            name_before: None,
        }
    }
}

/// An account in the file that does not have the seal it should have, and which one it has.
pub struct Unsealed {
    pub username: String,
    pub seal: Option<Seal>,
}

impl Accounts {
    /// Ends what operators' edits end in accounts that were just read.
    ///
    /// `before` are those that this process and the file last agreed on, and when that was; none at
    /// the start. They tell what is new from what was settled already: an editor may save once more
    /// what it read before.
    pub fn settle(
        &mut self,
        unsealed: Vec<Unsealed>,
        before: Option<(&Self, Timestamp)>,
    ) -> Vec<Edited> {
        let mut names: Vec<String> = unsealed
            .iter()
            .map(|unsealed| unsealed.username.clone())
            .collect();
        let seals: HashMap<String, Option<Seal>> = unsealed
            .into_iter()
            .map(|unsealed| (unsealed.username, unsealed.seal))
            .collect();
        if let Some((before, _)) = before {
            let others = self.iter().filter(|account| {
                let known = before.find(&account.username);
                !seals.contains_key(&account.username)
                    && known.is_none_or(|known| known.generation > account.generation)
            });
            names.extend(others.map(|account| account.username.clone()));
        }
        let mut edited = Vec::new();
        if !names.is_empty() {
            let read = self.clone();
            let settled = names
                .iter()
                .filter_map(|name| self.settle_one(&read, name, &seals, before));
            edited.extend(settled);
        }
        if let Some((before, _)) = before {
            self.remark(before, &seals, &mut edited);
        }
        edited
    }

    /// Adds what ends nothing: accounts that are new, other groups, and accounts that are disabled
    /// no more.
    fn remark(
        &self,
        before: &Self,
        seals: &HashMap<String, Option<Seal>>,
        edited: &mut Vec<Edited>,
    ) {
        let known: HashMap<String, usize> = edited
            .iter()
            .enumerate()
            .map(|(at, edited)| (edited.account.username.clone(), at))
            .collect();
        for account in self.iter() {
            let name = &account.username;
            let before = before.find(name);
            // What this program made, here or as another process, has its seal.
            let added = before.is_none() && seals.contains_key(name);
            let what = [
                (added && !known.contains_key(name), "added"),
                (
                    before.is_some_and(|it| it.groups != account.groups),
                    "groups",
                ),
                (
                    before.is_some_and(|it| it.disabled && !account.disabled),
                    "enabled",
                ),
            ];
            let what = what.iter().filter(|(is, _)| *is).map(|(_, what)| *what);
            let what = what.collect::<Vec<_>>().join(" ");
            match known.get(name).and_then(|at| edited.get_mut(*at)) {
                _ if what.is_empty() => {}
                Some(edited) => edited.what = format!("{} {what}", edited.what),
                None => edited.push(Edited::remark(account, &what)),
            }
        }
    }

    /// What was changed of this account, if anything was that is news.
    fn settle_one(
        &mut self,
        read: &Self,
        name: &str,
        seals: &HashMap<String, Option<Seal>>,
        before: Option<(&Self, Timestamp)>,
    ) -> Option<Edited> {
        let account = read.find(name)?;
        let known = before.and_then(|(before, _)| before.find(name));
        let sealed = seals.get(name).and_then(Option::as_ref);
        let is_sealed = sealed.is_some() || !seals.contains_key(name);
        let of_known = known.map(|known| Seal::of(known));
        // Without a seal it is compared to what is known of it, if anything is.
        let seal = sealed.or(of_known.as_ref());
        let mut edit = seal.map(|seal| seal.edit(account)).unwrap_or_default();
        edit.returned = has_returned(account, known, before.map(|(_, at)| at), is_sealed);
        let news = match of_known.as_ref().map(|known| known.edit(account)) {
            Some(news) => edit.and(Edit {
                returned: !news.is_none(),
                ..news
            }),
            None => edit,
        };
        if edit.is_none() {
            return None;
        }
        let generation = known.map_or(0, |known| known.generation);
        self.change(name, |account| {
            account.end_what_rested_on(edit);
            // Never one that there was before.
            account.generation = account.generation.max(generation);
            if news.ends_sessions() {
                account.generation = account.generation.saturating_add(1);
            }
        });
        if news.is_none() {
            return None;
        }
        let email_before = seal.map(|seal| seal.email.clone());
        let name_before = seal.map(|seal| seal.username.clone());
        let name_before = name_before.filter(|_| news.name);
        // Copied from somebody who is still there, it is new.
        let is_copy = name_before
            .as_ref()
            .is_some_and(|from| !names::is_same(from, name) && read.find(from).is_some());
        Some(Edited {
            account: Arc::clone(self.find(name)?),
            email_before: email_before
                .filter(|email| news.email && !is_anothers(email, name, read, seals)),
            password: news.password,
            totp: news.totp,
            what: if is_copy {
                "added".to_owned()
            } else {
                news.names()
            },
            name_before: name_before.filter(|_| !is_copy),
        })
    }
}

/// Whether an account came back to the file, or went back to what it had been before.
///
/// One that another server has just made is younger than the last look at the file without it, but
/// for the time its registration was under way and what the two clocks are apart.
fn has_returned(
    account: &Account,
    known: Option<&Arc<Account>>,
    looked: Option<Timestamp>,
    is_sealed: bool,
) -> bool {
    let Some(looked) = looked else { return false };
    match known {
        Some(known) => {
            known.generation > account.generation && known.created.at() == account.created.at()
        }
        None if is_sealed => {
            let made = account.created.at();
            made.is_none_or(|made| made.plus(DRIFT) < looked)
        }
        // A new one by hand, unless it brings something along.
        None => {
            let new = account.generation == 0 && account.totp.is_none();
            !(new && account.devices.is_empty() && account.mailed_passwords.is_empty())
        }
    }
}

/// Whether an address before is that of another account, whose it was all along: people copy what
/// belongs to one account and change it.
fn is_anothers(
    email: &str,
    name: &str,
    read: &Accounts,
    seals: &HashMap<String, Option<Seal>>,
) -> bool {
    read.resolve(email).is_some_and(|owner| {
        let seal = seals.get(&owner.username).and_then(Option::as_ref);
        !names::is_same(&owner.username, name)
            && seal.is_none_or(|seal| names::is_same(&seal.email, email))
    })
}

#[cfg(test)]
mod tests;
