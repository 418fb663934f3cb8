//! The steps of a login and of coming back after a lost password, as changes of one account.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::accounts::ids::AccountId;
use crate::accounts::kept::{Created, Unknown};
use crate::accounts::password::{Key, Password, PasswordHash};
use crate::accounts::token::{self, Digest};
use crate::accounts::totp::{self, Secret};
use crate::accounts::{Account, Totp, WrongCodes};
use crate::clock::{Moment, Timestamp};
use crate::network::Network;

/// How many recovery codes an account is given.
const RECOVERY_CODES: usize = 10;

/// Proof that a password was right, and what follows from it.
pub struct Authenticated {
    /// As the account's owner wrote it.
    pub username: String,
    /// [`PasswordHash::id`] of the account's password.
    pub password_id: Digest,
    /// Whether it has a second factor; if not, this login enrols one.
    pub enrolled: bool,
    /// The password was a mailed one, with this digest.
    pub mailed: Option<Digest>,
    /// The hash on file is weaker than one of today's.
    pub is_weak: bool,
    /// The hash on file was made by another program.
    pub is_foreign: bool,
}

/// Whether a password chosen by its owner was right. `key` is what [`Work::checking`] it against
/// the account's hash, or against none, has given.
///
/// [`Work::checking`]: crate::accounts::password::Work::checking
pub fn authenticate(found: Option<&Account>, key: &Key) -> Option<Authenticated> {
    let account = found.filter(|account| !account.disabled)?;
    let hash = account.password.as_ref().filter(|hash| hash.is_of(key))?;
    Some(Authenticated {
        username: account.username.clone(),
        password_id: hash.id(),
        enrolled: account.has_second_factor(),
        mailed: None,
        is_weak: hash.is_weak(),
        is_foreign: hash.is_foreign(),
    })
}

/// Proof that a password is a mailed one that still works. Costs no hashing.
pub fn authenticate_mailed(
    found: Option<&Account>,
    password: &Password,
    now: Timestamp,
) -> Option<Authenticated> {
    let account = found.filter(|account| !account.disabled)?;
    let mailed = account.mailed(password.as_str(), now)?;
    Some(Authenticated {
        username: account.username.clone(),
        password_id: account.password_id(),
        enrolled: account.has_second_factor(),
        mailed: Some(mailed),
        is_weak: false,
        is_foreign: false,
    })
}

/// What was right as the second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// A code of the authenticator.
    Code,
    /// A passkey, after the password.
    Passkey,
    /// A recovery code; `left` are not used yet.
    RecoveryCode { left: usize },
}

/// By what a login passed its second step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SecondStep {
    Code,
    /// A code of an authenticator that this login enrolled.
    Enrolment,
    /// A passkey after the password.
    Passkey,
    PasskeyAlone,
    RecoveryCode,
}

/// Why a code was not accepted.
#[derive(Debug, PartialEq)]
pub enum CodeRefused {
    /// Not looked at: after so many wrong codes, only a recovery code or a known browser's code is.
    RecoveryCodeNeeded,
    /// Not looked at: the account, or this browser, has to wait this long.
    TooEarly(Duration),
    /// Looked at and counted.
    Wrong,
    /// A wrong recovery code or passkey while the account has to wait: not counted.
    WrongMeanwhile,
}

/// What somebody tries as the second factor.
#[derive(Clone)]
pub enum Tried {
    /// A code of the authenticator, or a recovery code.
    Own(String),
    /// A code of a new authenticator, whose key the visitor has been shown.
    New,
    /// A passkey, and whether it was right when it was looked at.
    Passkey(bool),
    /// The key printed for this login in compatibility mode.
    PrintedKey,
}

/// Whether what was typed has the form of a recovery code.
pub fn is_recovery_code(typed: &str) -> bool {
    token::read_recovery_code(typed).is_some()
}

impl Account {
    /// An account as registration makes it.
    pub fn new(username: &str, email: &str, password: PasswordHash, now: Timestamp) -> Self {
        Self {
            password: Some(password),
            ..Self::without_password(username, Some(email), now)
        }
    }

    /// The same before a password is chosen, and perhaps without an address.
    pub fn without_password(username: &str, email: Option<&str>, now: Timestamp) -> Self {
        Self {
            username: username.to_owned(),
            email: email.map(str::to_owned),
            email_proven: false,
            id: Some(AccountId::new()),
            password: None,
            created: Created::At(now),
            last_login: None,
            groups: vec!["users".to_owned()],
            totp: None,
            handle: None,
            passkeys: Vec::new(),
            tokens: Vec::new(),
            recovery_codes: Vec::new(),
            disabled: false,
            mailed_passwords: Vec::new(),
            mails: Vec::new(),
            wrong_codes: WrongCodes::default(),
            generation: 0,
            kept_session: None,
            shown_again: Vec::new(),
            devices: Vec::new(),
            networks: Vec::new(),
            registered: true,
            seal: None,
            other: Unknown::default(),
        }
    }

    /// Replaces the password, which ends all sessions and unfinished logins begun under the old
    /// one, and forgets all browsers but this one.
    pub fn change_password(&mut self, new: PasswordHash, browser: Option<Digest>) {
        self.password = Some(new);
        self.mailed_passwords.clear();
        self.forget_other_devices(browser);
    }

    /// Makes `secret` the second factor in place of another, as [`Account::confirm_secret`], and
    /// forgets all browsers.
    ///
    /// # Errors
    ///
    /// As [`Account::accept_code`].
    pub fn move_to_secret(
        &mut self,
        secret: &Secret,
        typed: &str,
        device: Option<Digest>,
        now: Moment,
    ) -> Result<(), CodeRefused> {
        self.confirm_secret(secret, typed, device, now)?;
        self.forget_other_devices(None);
        Ok(())
    }

    /// How long the next code from this browser has to wait; all unknown browsers share one wait.
    pub fn code_wait(&self, device: Option<Digest>, now: Moment) -> Option<Duration> {
        match self.devices.iter().find(|known| Some(known.id) == device) {
            Some(known) => known.wrong_codes.wait(now.steady),
            None => self.wrong_codes.wait(now.steady),
        }
    }

    /// Why what is tried must not be judged, if so: judging would change nothing and cost a save.
    /// What cannot be guessed and is right is judged whatever the counts say.
    pub fn stops(&self, tried: &Tried, device: Option<Digest>, now: Moment) -> Option<CodeRefused> {
        let wait = self.code_wait(device, now);
        let is_known = device.is_some_and(|device| self.knows_device(device, now.timestamp()));
        match tried {
            Tried::PrintedKey | Tried::Passkey(true) => return None,
            Tried::Passkey(false) => return wait.map(|_| CodeRefused::WrongMeanwhile),
            Tried::Own(typed) if is_recovery_code(typed) => {
                let is_stopped = wait.is_some() && !self.has_recovery_code(typed);
                return is_stopped.then_some(CodeRefused::WrongMeanwhile);
            }
            Tried::Own(_)
                if !is_known && self.has_second_factor() && self.wrong_codes.is_at_the_end() =>
            {
                return Some(CodeRefused::RecoveryCodeNeeded);
            }
            _ => {}
        }
        wait.map(CodeRefused::TooEarly)
    }

    fn has_recovery_code(&self, typed: &str) -> bool {
        let code = token::read_recovery_code(typed);
        code.is_some_and(|code| self.recovery_codes.iter().any(|kept| kept.matches(&code)))
    }

    /// Accepts a code of the authenticator or a recovery code, and uses it up.
    ///
    /// # Errors
    ///
    /// If the code comes too early, which changes nothing, or is wrong, which is counted.
    pub fn accept_code(
        &mut self,
        typed: &str,
        device: Option<Digest>,
        now: Moment,
    ) -> Result<Accepted, CodeRefused> {
        self.judge_code(&Tried::Own(typed.to_owned()), device, now, |account| {
            account.use_code(typed, now)
        })
    }

    /// Accepts the key that was printed for this login in compatibility mode, or a code.
    ///
    /// # Errors
    ///
    /// As [`Account::accept_code`].
    pub fn accept_printed_key(
        &mut self,
        key_is_right: bool,
        typed: &str,
        now: Moment,
    ) -> Result<(), CodeRefused> {
        let tried = match key_is_right {
            true => Tried::PrintedKey,
            false => Tried::Own(typed.to_owned()),
        };
        self.judge_code(&tried, None, now, |account| match key_is_right {
            true => Some(()),
            false => account.use_code(typed, now).map(|_| ()),
        })
    }

    /// Accepts a passkey that was checked, for `judge` to note its use on the account as it is now;
    /// `judge` gives `None` if the passkey was wrong, or is by now.
    ///
    /// # Errors
    ///
    /// As [`Account::accept_code`].
    pub fn accept_passkey(
        &mut self,
        is_right: bool,
        device: Option<Digest>,
        now: Moment,
        judge: impl FnOnce(&mut Self) -> Option<()>,
    ) -> Result<Accepted, CodeRefused> {
        self.judge_code(&Tried::Passkey(is_right), device, now, |account| {
            judge(account).map(|()| Accepted::Passkey)
        })
    }

    /// Makes `secret` the second factor if `typed` is a code of it.
    ///
    /// # Errors
    ///
    /// As [`Account::accept_code`].
    pub fn confirm_secret(
        &mut self,
        secret: &Secret,
        typed: &str,
        device: Option<Digest>,
        now: Moment,
    ) -> Result<(), CodeRefused> {
        self.judge_code(&Tried::New, device, now, |account| {
            // A key confirmed twice at once must not forget the codes used in between.
            let last = account.totp.as_ref().filter(|own| own.secret == *secret);
            let last_step = last.map_or(0, |own| own.last_step);
            let step = secret.accept(typed, now.wall, last_step)?;
            let before = account.totp.take();
            account.totp = Some(Totp {
                secret: secret.clone(),
                last_step: step,
                other: before.map(|own| own.other).unwrap_or_default(),
            });
            Some(())
        })
    }

    /// Replaces the recovery codes; the new ones are shown once and kept as digests.
    pub fn new_recovery_codes(&mut self) -> Vec<String> {
        let codes: Vec<String> = (0..RECOVERY_CODES)
            .map(|_| token::recovery_code())
            .collect();
        self.recovery_codes = codes.iter().map(|code| Digest::of(code)).collect();
        codes
    }

    /// Whether nobody has logged in yet, by both steps.
    pub fn has_never_logged_in(&self) -> bool {
        // Older versions did not note when.
        self.last_login.is_none() && self.devices.is_empty() && self.networks.is_empty()
    }

    /// What a login with both factors leaves behind: its time, no count of wrong codes, no mailed
    /// password, a known network, and a known browser that is the last to make room.
    pub fn logged_in(&mut self, device: Option<Digest>, network: Network, now: Timestamp) {
        self.wrong_codes.clear();
        if let Some(device) = device {
            self.came_back(device, now);
        }
        self.mailed_passwords.clear();
        self.last_login = Some(now);
        self.logged_in_from(network, now);
    }

    fn judge_code<T>(
        &mut self,
        tried: &Tried,
        device: Option<Digest>,
        now: Moment,
        accept: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Result<T, CodeRefused> {
        if let Some(why) = self.stops(tried, device, now) {
            return Err(why);
        }
        if let Some(accepted) = accept(self) {
            return Ok(accepted);
        }
        match self
            .devices
            .iter_mut()
            .find(|known| Some(known.id) == device)
        {
            Some(known) => known.wrong_codes.add(now.steady),
            None => self.wrong_codes.add(now.steady),
        }
        Err(CodeRefused::Wrong)
    }

    fn use_code(&mut self, typed: &str, now: Moment) -> Option<Accepted> {
        if !totp::is_code(typed) {
            return self.use_recovery_code(typed);
        }
        let totp = self.totp.as_mut()?;
        totp.last_step = totp.secret.accept(typed, now.wall, totp.last_step)?;
        Some(Accepted::Code)
    }

    fn use_recovery_code(&mut self, typed: &str) -> Option<Accepted> {
        let code = token::read_recovery_code(typed)?;
        let before = self.recovery_codes.len();
        self.recovery_codes.retain(|kept| !kept.matches(&code));
        let left = self.recovery_codes.len();
        (left < before).then_some(Accepted::RecoveryCode { left })
    }
}

#[cfg(test)]
mod tests;
