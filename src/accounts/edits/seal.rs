//! The seal of an account in the file: what this program wrote last, against which edits show.

use crate::accounts::Account;
use crate::accounts::edits::{Edit, is_same};
use crate::accounts::token::Digest;

/// What an account was when it was last written.
///
/// In the file it is `NAME E-MAIL PASSWORD TOTP enabled GROUPS` (or `disabled`), password, key and
/// groups as parts of digests, `-` where there is none. The e-mail is there in full: if it changes,
/// a notice goes to the old address. Earlier versions wrote no groups.
#[derive(Clone)]
pub struct Seal {
    pub(super) username: String,
    pub(super) email: Option<String>,
    password: String,
    totp: Option<String>,
    disabled: bool,
    /// `None` if the seal does not say.
    groups: Option<String>,
}

impl Seal {
    /// The seal of an account as it is.
    pub fn of(account: &Account) -> Self {
        let totp = account.totp.as_ref();
        Self {
            username: account.username.clone(),
            email: account.email.clone(),
            password: account.password_id().short(),
            totp: totp.map(|totp| Digest::of(&totp.secret.base32()).short()),
            disabled: account.disabled,
            // No group has a comma; what somebody wrote by hand may, and is no worse off.
            groups: Some(match account.groups.as_slice() {
                [] => NONE.to_owned(),
                groups => Digest::of(&groups.join(",")).short(),
            }),
        }
    }

    /// The seal after a change of what it seals that was not made by hand: what the change left
    /// alone is as it was.
    pub fn carried(self, before: &Account, after: &Account) -> Self {
        fn carried<T: PartialEq>(sealed: T, before: T, after: T) -> T {
            if before == after { sealed } else { after }
        }
        let (before, after) = (Self::of(before), Self::of(after));
        Self {
            username: carried(self.username, before.username, after.username),
            email: carried(self.email, before.email, after.email),
            password: carried(self.password, before.password, after.password),
            totp: carried(self.totp, before.totp, after.totp),
            disabled: carried(self.disabled, before.disabled, after.disabled),
            groups: carried(self.groups, before.groups, after.groups),
        }
    }

    /// Reads what [`Seal::text`] writes; `None` if this is something else.
    pub fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split(' ').collect();
        let (parts, groups) = match parts[..] {
            [ref parts @ .., groups] if parts.len() == 5 => (parts, Some(groups)),
            _ => (&parts[..], None),
        };
        let [username, email, password, totp, state] = *parts else {
            return None;
        };
        let disabled = match state {
            "enabled" => false,
            "disabled" => true,
            _ => return None,
        };
        Some(Self {
            username: username.to_owned(),
            email: (email != NONE).then(|| email.to_owned()),
            password: password.to_owned(),
            totp: (totp != NONE).then(|| totp.to_owned()),
            disabled,
            groups: groups.map(str::to_owned),
        })
    }

    /// The seal as it is written in the file.
    pub fn text(&self) -> String {
        let state = if self.disabled { "disabled" } else { "enabled" };
        let totp = self.totp.as_deref().unwrap_or(NONE);
        let email = self.email.as_deref().unwrap_or(NONE);
        let (username, password) = (&self.username, &self.password);
        let groups = self.groups.as_ref();
        let groups = groups.map_or_else(String::new, |groups| format!(" {groups}"));
        format!("{username} {email} {password} {totp} {state}{groups}")
    }

    /// What has been changed since the seal was written.
    pub(super) fn edit(&self, account: &Account) -> Edit {
        let now = Self::of(account);
        Edit {
            name: self.username != now.username,
            email: !is_same(self.email.as_deref(), now.email.as_deref()),
            password: self.password != now.password,
            // A second factor given to an account without one takes nothing from anybody.
            totp: self.totp.is_some() && self.totp != now.totp,
            disabled: now.disabled && !self.disabled,
            enabled: self.disabled && !now.disabled,
            groups: self.groups.is_some() && self.groups != now.groups,
            returned: false,
        }
    }
}

/// Stands in a seal for what the account does not have.
const NONE: &str = "-";
