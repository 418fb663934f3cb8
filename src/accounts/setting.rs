//! What an operator sets of an account, all of it in one change: address, name, groups.

use std::sync::Arc;

use crate::accounts::{Account, Accounts, Taken, groups, names};
use crate::clock::Timestamp;

/// What is to be set; the rest stays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Setting {
    /// An address, for which the operator vouches.
    pub email: Option<String>,
    pub name: Option<String>,
    pub groups: Option<Grouping>,
}

/// How the groups of an account are changed.
#[derive(Clone, Debug, PartialEq)]
pub enum Grouping {
    /// These and no others.
    All(Vec<String>),
    Add(Vec<String>),
    Remove(Vec<String>),
}

impl Grouping {
    fn of(&self, own: &[String]) -> Vec<String> {
        match self {
            Self::All(groups) => groups.clone(),
            Self::Add(groups) => {
                let new = groups.iter().filter(|group| !own.contains(group));
                own.iter().chain(new).cloned().collect()
            }
            Self::Remove(groups) => {
                let left = own.iter().filter(|group| !groups.contains(group));
                left.cloned().collect()
            }
        }
    }
}

/// Why nothing can be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unset {
    /// The name or the address is another's.
    Taken(Taken),
    /// The account would be in more groups than there may be.
    ManyGroups,
}

impl Accounts {
    /// Sets all of this for an account, and gives it as it is then. `None` if there is none.
    ///
    /// # Errors
    ///
    /// Why not; some of it may have been set then, and these accounts must not be kept.
    pub fn set(
        &mut self,
        username: &str,
        setting: &Setting,
        now: Timestamp,
    ) -> Option<Result<Arc<Account>, Unset>> {
        let account = Arc::clone(self.find(username)?);
        let mut name = account.username.clone();
        let mut set = || {
            if let Some(grouping) = &setting.groups {
                self.set_groups(&account, grouping)?;
            }
            if let Some(email) = &setting.email {
                self.set_email(&name, email).map_err(Unset::Taken)?;
            }
            if let Some(new) = &setting.name {
                self.rename(&name, new, now).map_err(Unset::Taken)?;
                name.clone_from(new);
            }
            Ok(())
        };
        let set = set();
        let account = self.find(&name).map(Arc::clone);
        set.map(|()| account).transpose()
    }

    fn set_groups(&mut self, account: &Account, grouping: &Grouping) -> Result<(), Unset> {
        let all = grouping.of(&account.groups);
        if all == account.groups {
            return Ok(());
        }
        // Who wrote more than that by hand can still take some away.
        if all.len() > groups::MAX && all.len() > account.groups.len() {
            return Err(Unset::ManyGroups);
        }
        self.change(&account.username, |account| account.groups = all);
        Ok(())
    }

    /// The address that an account has already is only proven.
    fn set_email(&mut self, username: &str, email: &str) -> Result<(), Taken> {
        let Some(account) = self.find(username).map(Arc::clone) else {
            return Ok(());
        };
        if !account.has_address(email) {
            return self.change_email(&account, email);
        }
        if !account.email_proven {
            self.change(username, |account| account.email_proven = true);
        }
        Ok(())
    }

    /// Gives an account another name, and its old one to nobody else for a while. Applications know
    /// its sessions by the old one, so they end, and with them what logs in: unfinished logins,
    /// mailed passwords and known browsers. All else stays, its place in the file too.
    ///
    /// # Errors
    ///
    /// If the name is another account's; then nothing is changed.
    pub fn rename(&mut self, username: &str, new: &str, now: Timestamp) -> Result<(), Taken> {
        let old = names::key(username);
        let Some((place, key, before)) = self.by_name.get_full(old.as_ref()) else {
            return Ok(());
        };
        if before.username == new {
            return Ok(());
        }
        let (key, before) = (Arc::clone(key), Arc::clone(before));
        let is_same_key = names::is_same(&before.username, new);
        if !is_same_key && self.find(new).is_some() {
            return Err(Taken::Username);
        }
        let mut account = Account::clone(&before);
        new.clone_into(&mut account.username);
        account.end_all_but(None);
        account.mailed_passwords.clear();
        account.devices.clear();
        let new_key: Arc<str> = match is_same_key {
            true => Arc::clone(&key),
            false => names::key(new).into(),
        };
        self.by_name.shift_remove_index(place);
        self.by_passkey.follow(&key, &before.passkeys, &[]);
        self.by_passkey.follow(&new_key, &[], &before.passkeys);
        self.by_name
            .shift_insert(place, Arc::clone(&new_key), Arc::new(account));
        if let Some(email) = &before.email {
            Arc::make_mut(&mut self.by_email).insert(names::key(email).into(), new_key);
        }
        self.revision += 1;
        if !is_same_key {
            self.hold_name_of(&before, now);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
