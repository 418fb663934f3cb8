//! What those who answer for all accounts do to them: the rules, whoever asks.

use std::time::Duration;

use crate::accounts::password::{self, Password, PasswordHash};
use crate::accounts::person::Person;
use crate::accounts::token::Digest;
use crate::accounts::{Account, groups};
use crate::clock::Timestamp;

/// Why a password cannot be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnfitPassword {
    TooShort,
    TooLong,
    /// On the list of common ones, or the account's own name or address.
    Common,
}

/// The password that somebody chose for an account, by the rules of registration.
///
/// # Errors
///
/// Why it cannot be that.
pub fn choose_password(
    chosen: &str,
    username: &str,
    email: Option<&str>,
) -> Result<Password, UnfitPassword> {
    if chosen.chars().count() > password::MAX_SENT {
        return Err(UnfitPassword::TooLong);
    }
    let chosen = Password::new(chosen);
    match chosen.length() {
        length if length > password::MAX_LENGTH => Err(UnfitPassword::TooLong),
        length if length < password::MIN_LENGTH => Err(UnfitPassword::TooShort),
        _ if chosen.is_easy_to_guess(username, email) => Err(UnfitPassword::Common),
        _ => Ok(chosen),
    }
}

/// What an administrator does to an account.
#[derive(Clone, PartialEq)]
pub enum Act {
    Disable,
    Enable,
    EndSessions,
    /// All the groups it is to be in.
    Groups(Vec<String>),
    NewPassword,
    Remove,
    ResetSecondFactor,
}

/// Why an act was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undone {
    /// Nothing is mailed to an account that is disabled.
    Disabled,
    /// Nothing can be mailed to an account without an address.
    NoAddress,
    /// Enough has been mailed for this hour; how long until there is room.
    TooManyMails(Duration),
}

impl Act {
    /// Whether administrators cannot do this to themselves: each would shut them out.
    pub fn shuts_out(&self) -> bool {
        match self {
            Self::Disable | Self::Remove => true,
            Self::Groups(groups) => !groups.iter().any(|name| name == groups::ADMINISTRATORS),
            Self::Enable | Self::EndSessions | Self::NewPassword | Self::ResetSecondFactor => false,
        }
    }

    /// Changes the account; `own` is the session that asks, if it is one of this account. Whether
    /// its owner is to be told by mail.
    ///
    /// # Errors
    ///
    /// Why nothing was changed.
    pub fn change(
        &self,
        person: &mut Person<'_>,
        own: Option<Digest>,
        now: Timestamp,
    ) -> Result<bool, Undone> {
        match self {
            Self::Disable if person.account().disabled => {}
            Self::Disable => person.account_mut().disable(),
            Self::Enable if !person.account().disabled => {}
            Self::Enable => person.account_mut().enable(),
            Self::EndSessions => person.account_mut().end_all_but(own),
            Self::Groups(groups) if person.account().groups == *groups => {}
            Self::Groups(groups) => person.account_mut().groups.clone_from(groups),
            Self::NewPassword if person.account().disabled => return Err(Undone::Disabled),
            Self::NewPassword if person.account().email.is_none() => {
                return Err(Undone::NoAddress);
            }
            Self::NewPassword => {
                let counted = person.account_mut().count_mail_for_owner(now);
                counted.map_err(Undone::TooManyMails)?;
            }
            Self::Remove => person.remove(now),
            Self::ResetSecondFactor => return Ok(person.account_mut().reset_second_factor()),
        }
        Ok(false)
    }
}

impl Account {
    /// Whether it answers for all accounts.
    pub fn is_administrator(&self) -> bool {
        !self.disabled && self.is_in(groups::ADMINISTRATORS)
    }

    /// Whether it is in this group, to the letter.
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own == group)
    }

    /// Keeps it from logging in, and ends its sessions and unfinished logins.
    pub fn disable(&mut self) {
        if !self.disabled {
            self.disabled = true;
            self.end_all_but(None);
        }
    }

    /// Lets it log in again; what was begun before, by whoever disabled it in whatever way, stays
    /// ended.
    pub fn enable(&mut self) {
        if self.disabled {
            self.disabled = false;
            self.end_all_but(None);
        }
    }

    /// Takes away the second factor and all that stands in for it, and ends what was begun with
    /// it; the next login enrols anew. Whether there was one.
    pub fn reset_second_factor(&mut self) -> bool {
        self.recovery_codes.clear();
        self.devices.clear();
        // Without recovery codes, these counts might keep the owner out for good.
        self.wrong_codes.clear();
        self.end_all_but(None);
        self.totp.take().is_some()
    }

    /// An account as an operator makes it, who vouches for its address.
    pub fn made_by_operator(
        username: &str,
        email: &str,
        groups: Vec<String>,
        password: PasswordHash,
        now: Timestamp,
    ) -> Self {
        Self {
            email_proven: true,
            groups,
            registered: false,
            ..Self::new(username, email, password, now)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{UnfitPassword, choose_password};

    #[test]
    fn a_password_is_judged_by_its_normalised_form() {
        let choose = |chosen: &str| {
            choose_password(chosen, "alice-smith", Some("alice@example.com"))
                .map(|chosen| chosen.length())
        };
        assert_eq!(choose("1234567"), Err(UnfitPassword::TooShort));
        // Seven letters, two characters each.
        assert_eq!(choose(&"u\u{308}".repeat(7)), Err(UnfitPassword::TooShort));
        assert_eq!(choose(&"u\u{308}".repeat(256)), Ok(256));
        assert_eq!(choose(&"x".repeat(257)), Err(UnfitPassword::TooLong));
        assert_eq!(choose("Password1"), Err(UnfitPassword::Common));
        assert_eq!(choose("Alice-Smith"), Err(UnfitPassword::Common));
        assert_eq!(choose("ALICE@example.com"), Err(UnfitPassword::Common));
        assert_eq!(choose("  a good one  "), Ok(14));
    }
}
