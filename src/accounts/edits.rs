//! What an operator changes in the file by hand, and what that ends.
//!
//! Each account in the file has a seal: what this program wrote last. What differs from the seal
//! was changed by hand, even while no server ran. What another server on the same files changes,
//! that server seals.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::accounts::confirmations::Links;
use crate::accounts::ids::AccountId;
use crate::accounts::{Account, Accounts, names};
use crate::clock::{DRIFT, Timestamp};

mod seal;

pub use seal::Seal;

/// Whether two accounts have the same address, or neither has one.
fn is_same(one: Option<&str>, other: Option<&str>) -> bool {
    one.map(names::key) == other.map(names::key)
}

/// What an operator changed of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Edit {
    name: bool,
    email: bool,
    password: bool,
    /// Removed or replaced.
    totp: bool,
    /// Set, not taken back.
    disabled: bool,
    /// Taken back, which ends nothing.
    enabled: bool,
    /// Changed, which ends nothing.
    groups: bool,
    /// The account had left the file and came back, or was put back to an earlier state.
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
            enabled: self.enabled && other.enabled,
            groups: self.groups && other.groups,
            returned: self.returned && other.returned,
        }
    }

    fn ends_sessions(self) -> bool {
        self.name || self.password || self.totp || self.disabled || self.returned
    }

    /// Which of its open links end.
    fn ends_links(self) -> Option<Links> {
        match self {
            Self { email: true, .. } | Self { returned: true, .. } => Some(Links::All),
            Self { password: true, .. } | Self { disabled: true, .. } | Self { totp: true, .. } => {
                Some(Links::Changes)
            }
            _ => None,
        }
    }

    /// What was changed, for the log.
    fn names(self) -> String {
        let names = [
            (self.name, "name"),
            (self.email, "email"),
            (self.password, "password"),
            (self.totp, "totp"),
            (self.disabled, "disabled"),
            // Under another name the account is new to us, but has not been away.
            (self.returned && !self.name, "returned"),
            (self.groups, "groups"),
            (self.enabled, "enabled"),
        ];
        let changed = names.iter().filter(|(changed, _)| *changed);
        changed.map(|(_, name)| *name).collect::<Vec<_>>().join(" ")
    }
}

impl Account {
    /// Ends what rested on what an operator changed: the one rule about it. Sessions and unfinished
    /// logins end by the generation, which the caller raises.
    fn end_what_rested_on(&mut self, edit: Edit) {
        if edit.ends_sessions() {
            self.devices.clear();
        }
        if edit.name || edit.email || edit.password || edit.returned {
            self.mailed_passwords.clear();
        }
        if edit.totp {
            self.recovery_codes.clear();
            self.passkeys.clear();
            self.tokens.clear();
            // Without recovery codes, these counts might keep the owner out for good.
            self.wrong_codes.clear();
        }
    }
}

/// An account that an operator has changed, as it is now.
pub struct Edited {
    /// The account after the edit.
    pub account: Arc<Account>,
    /// Its old address, if that was changed and had been its own.
    pub email_before: Option<String>,
    /// Whether the password was changed.
    pub password: bool,
    /// Whether the second factor was removed or replaced.
    pub totp: bool,
    /// What was changed, for the log.
    pub what: String,
    /// Its old name, if that was changed; also for the log.
    pub name_before: Option<String>,
}

impl Edited {
    /// The news about an account whose key in the file is `name`. `seal` is what it had before, and
    /// the file is what was read with its seals.
    fn of(
        account: &Arc<Account>,
        name: &str,
        news: Edit,
        seal: Option<&Seal>,
        (read, seals): (&Accounts, &HashMap<String, Option<Seal>>),
    ) -> Self {
        let email_before = seal.and_then(|seal| seal.email.clone());
        let name_before = seal.map(|seal| seal.username.clone());
        let name_before = name_before.filter(|_| news.name);
        // An account copied from one that is still there is new.
        let is_copy = name_before
            .as_ref()
            .is_some_and(|from| !names::is_same(from, name) && read.find(from).is_some());
        Self {
            account: Arc::clone(account),
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
        }
    }

    /// The news that an account has left the file.
    pub fn removed(account: &Arc<Account>) -> Self {
        Self::remark(account, "removed")
    }

    /// A change that ends nothing and is only for the log.
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

/// An account in the file that does not have the seal it should have.
pub struct Unsealed {
    /// The key of the account in the file.
    pub username: String,
    /// The seal that it has, if it can be read.
    pub seal: Option<Seal>,
}

impl Accounts {
    /// Ends what operators' edits end in accounts that were just read, and gives the edits.
    ///
    /// `before` holds the accounts that this process and the file last agreed on, and when that
    /// was; `None` at the start. It tells new edits from settled ones: an editor may save once more
    /// what it read earlier.
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
        let left = before.map_or_else(HashMap::new, |(before, _)| before.left(self));
        let known = |account: &Account| {
            let by_name = before?.0.find(&account.username);
            by_name.or_else(|| left.get(account.id.as_ref()?).copied())
        };
        if before.is_some() {
            let others = self.iter().filter(|account| {
                !seals.contains_key(&account.username)
                    && known(account).is_none_or(|known| known.generation > account.generation)
            });
            names.extend(others.map(|account| account.username.clone()));
        }
        let mut edited = Vec::new();
        if !names.is_empty() {
            let (read, at) = (self.clone(), before.map(|(_, at)| at));
            for name in names {
                let known = read.find(&name).and_then(|account| known(account));
                edited.extend(self.settle_one((&read, known, at), &name, &seals));
            }
        }
        if let Some((before, _)) = before {
            self.remark_new(before, &seals, &mut edited);
        }
        edited
    }

    /// Adds the accounts that are new and end nothing. One made by this program, in this process or
    /// another, has its seal.
    fn remark_new(
        &self,
        before: &Self,
        seals: &HashMap<String, Option<Seal>>,
        edited: &mut Vec<Edited>,
    ) {
        let known: HashSet<String> = edited
            .iter()
            .map(|edited| edited.account.username.clone())
            .collect();
        let new = self.iter().filter(|account| {
            let name = &account.username;
            seals.contains_key(name) && before.find(name).is_none() && !known.contains(name)
        });
        edited.extend(new.map(|account| Edited::remark(account, "added")));
    }

    /// The accounts that are not in `now` by their name, by their id.
    fn left(&self, now: &Self) -> HashMap<&AccountId, &Arc<Account>> {
        let left = self.iter();
        left.filter(|account| now.find(&account.username).is_none())
            .filter_map(|account| Some((account.id.as_ref()?, account)))
            .collect()
    }

    /// What was changed of this account, if any of that is new. What was read comes with what was
    /// known of the account, and when.
    fn settle_one(
        &mut self,
        (read, known, at): (&Self, Option<&Arc<Account>>, Option<Timestamp>),
        name: &str,
        seals: &HashMap<String, Option<Seal>>,
    ) -> Option<Edited> {
        let account = read.find(name)?;
        let sealed = seals.get(name).and_then(Option::as_ref);
        let is_sealed = sealed.is_some() || !seals.contains_key(name);
        let of_known = known.map(|known| Seal::of(known));
        // Without a seal, the account is compared to what is known of it, if anything is.
        let seal = sealed.or(of_known.as_ref());
        let mut edit = seal.map(|seal| seal.edit(account)).unwrap_or_default();
        edit.returned = has_returned(account, known, at, is_sealed);
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
            // Never a generation that there was before.
            account.generation = account.generation.max(generation);
            if news.ends_sessions() {
                account.generation = account.generation.saturating_add(1);
            }
        });
        // The id of a copy is still that of the account it was copied from.
        let is_copy = edit.name && seal.is_some_and(|seal| read.find(&seal.username).is_some());
        if let Some(which) = edit.ends_links().filter(|_| !is_copy) {
            self.end_links(account, which);
        }
        if news.is_none() {
            return None;
        }
        let account = self.find(name)?;
        Some(Edited::of(account, name, news, seal, (read, seals)))
    }
}

/// Whether an account came back to the file, or went back to an earlier state.
///
/// An account that another server has just made is younger than the last look at the file without
/// it, give or take the time its registration took and the difference between the two clocks.
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
        // Made by hand and new, unless it brings something along.
        None => {
            let new = account.generation == 0 && !account.has_second_factor();
            !(new && account.devices.is_empty() && account.mailed_passwords.is_empty())
        }
    }
}

/// Whether an old address belongs to another account, and did all along: people make an account by
/// copying another one and changing it.
fn is_anothers(
    email: &str,
    name: &str,
    read: &Accounts,
    seals: &HashMap<String, Option<Seal>>,
) -> bool {
    read.resolve(email).is_some_and(|owner| {
        let seal = seals.get(&owner.username).and_then(Option::as_ref);
        !names::is_same(&owner.username, name)
            && seal.is_none_or(|seal| is_same(seal.email.as_deref(), Some(email)))
    })
}

#[cfg(test)]
mod tests;
