//! The mails that tell owners what happened to their account.

use crate::accounts::Account;
use crate::clock::{Moment, Timestamp};
use crate::mail::passkeys;
use crate::mail::texts::{Mail, one_line, written};

mod tokens;

/// Something that happened to an account.
#[derive(Clone)]
pub enum Notice {
    AccountDeleted,
    /// Its owner moved to a new authenticator.
    AuthenticatorChanged,
    /// The people who run the site changed it.
    Edited(Edit),
    /// A link that was mailed to the new address was used. The notice goes to the old one: it is
    /// for the account as it was before.
    EmailChanged(String),
    /// A login by both steps came from a browser that the account did not know.
    NewLogin {
        address: String,
        /// What the browser says it is, as people say it.
        browser: String,
    },
    /// A passkey with this name was added.
    PasskeyAdded(String),
    /// The counter of the passkey with this name is behind.
    PasskeyCopied(String),
    PasskeyRemoved(String),
    /// Its owner, or somebody with a mailed password and a code, chose a new password.
    PasswordChanged,
    /// Twenty wrong codes in a row came after the right password.
    PasswordKnown,
    /// A recovery code was used in place of a code; `left` are left.
    RecoveryCodeUsed {
        left: usize,
    },
    RecoveryCodesReplaced,
    /// An administrator took the second factor away.
    SecondFactorReset,
    /// Its owner made an access token.
    TokenMade {
        /// What its owner calls it.
        name: String,
        hosts: Vec<String>,
        expires: Timestamp,
    },
    TokenRemoved {
        /// What its owner called it.
        name: String,
    },
}

/// What the people who run the site changed.
#[derive(Clone)]
pub enum Edit {
    AuthenticatorChanged,
    AuthenticatorRemoved,
    /// The new address. The notice goes to the old one: it is for the account as it was before.
    Email(Option<String>),
    /// The old name; the account has the new one.
    Name(String),
    Password,
}

impl Notice {
    /// Whether it counts towards what one account may cause: somebody caused it through the account
    /// itself. For a new address the link was counted, and whoever used up all mails with such links
    /// must not keep the owner from being told.
    pub fn is_counted(&self) -> bool {
        !matches!(
            self,
            Self::Edited(_) | Self::EmailChanged(_) | Self::SecondFactorReset
        )
    }

    /// The name in the log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::AccountDeleted => "account_deleted",
            Self::AuthenticatorChanged | Self::Edited(Edit::AuthenticatorChanged) => {
                "authenticator_changed"
            }
            Self::Edited(Edit::AuthenticatorRemoved) => "authenticator_removed",
            Self::EmailChanged(_) | Self::Edited(Edit::Email(_)) => "email_changed",
            Self::Edited(Edit::Name(_)) => "account_renamed",
            Self::NewLogin { .. } => "new_login",
            Self::PasskeyAdded(_) => "passkey_added",
            Self::PasskeyCopied(_) => "passkey_copied",
            Self::PasskeyRemoved(_) => "passkey_removed",
            Self::PasswordChanged | Self::Edited(Edit::Password) => "password_changed",
            Self::PasswordKnown => "password_known",
            Self::RecoveryCodeUsed { .. } => "recovery_code_used",
            Self::RecoveryCodesReplaced => "recovery_codes_replaced",
            Self::SecondFactorReset => "second_factor_reset",
            Self::TokenMade { .. } => "token_made",
            Self::TokenRemoved { .. } => "token_removed",
        }
    }

    /// The mail to the account's owner, if it has an address. `site` is how visitors reach us,
    /// without a final slash.
    pub fn mail(&self, account: &Account, at: Moment, site: &str) -> Option<Mail> {
        let (subject, text) = self.text(account, at, &written(at), &one_line(site));
        Mail::to_owner(account, subject, at, &text)
    }

    fn text(
        &self,
        account: &Account,
        at: Moment,
        when: &str,
        site: &str,
    ) -> (&'static str, String) {
        match self {
            Self::AccountDeleted => account_deleted(when, site),
            Self::AuthenticatorChanged => authenticator_changed(when, site),
            Self::Edited(edit) => edit.text(account, at, when, site),
            Self::EmailChanged(new) => email_changed(new, when, site),
            Self::NewLogin { address, browser } => new_login(address, browser, when, site),
            Self::PasskeyAdded(name) => passkeys::added(name, when, site),
            Self::PasskeyCopied(name) => passkeys::copied(name, when, site),
            Self::PasskeyRemoved(name) => passkeys::removed(name, when, site),
            Self::PasswordChanged => password_changed(account, at, when, site),
            Self::PasswordKnown => password_known(account, when, site),
            Self::RecoveryCodeUsed { left } => recovery_code_used(*left, when, site),
            Self::RecoveryCodesReplaced => recovery_codes_replaced(when, site),
            Self::SecondFactorReset => second_factor_reset(when, site),
            Self::TokenMade {
                name,
                hosts,
                expires,
            } => tokens::made((name, hosts, *expires), when, site),
            Self::TokenRemoved { name } => tokens::removed(name, when, site),
        }
    }
}

fn account_deleted(when: &str, site: &str) -> (&'static str, String) {
    let text = format!(
        "Your account was deleted\n\
         on {when}, and you were logged out everywhere:\n\
         \n\
         {site}/\n\
         \n\
         If this was you, there is nothing to do.\n\
         \n\
         If it was not you, tell the people who run the site at once: somebody\n\
         knows your password and had your authenticator or a recovery code.\n"
    );
    ("Your account was deleted", text)
}

fn authenticator_changed(when: &str, site: &str) -> (&'static str, String) {
    let text = format!(
        "The authenticator of your account was changed\n\
         on {when}.\n\
         Codes of the old one no longer work.\n\
         \n\
         If this was you, there is nothing to do.\n\
         \n\
         If it was not you, somebody knows your password and had a code of yours.\n\
         Tell the people who run the site at once. If you are still logged in\n\
         somewhere, change your password and your authenticator there:\n\
         \n\
         {site}/account\n"
    );
    ("Your authenticator was changed", text)
}

fn email_changed(new: &str, when: &str, site: &str) -> (&'static str, String) {
    let text = format!(
        "The address of your account was changed to\n\
         {new}\n\
         on {when}.\n\
         Mails about your account go there from now on, new passwords too.\n\
         \n\
         If this was you, there is nothing to do.\n\
         \n\
         If it was not you, somebody knows your password and was logged in to\n\
         your account. Tell the people who run the site at once. If you are still\n\
         logged in somewhere, change your password and your address there:\n\
         \n\
         {site}/account\n",
        new = one_line(new),
    );
    ("Your e-mail address was changed", text)
}

fn new_login(address: &str, browser: &str, when: &str, site: &str) -> (&'static str, String) {
    let (address, browser) = (one_line(address), one_line(browser));
    let text = format!(
        "Somebody, probably you, logged in to your account from a browser that had\n\
         not logged in to it before, or not for a long time,\n\
         on {when}.\n\
         \n\
         Address: {address}\n\
         Browser: {browser}\n\
         \n\
         If this was you, there is nothing to do.\n\
         \n\
         If it was not you, somebody knows your password and had a code of yours, or\n\
         has a passkey of yours. Log in, change your password, which logs out all\n\
         other devices, then make new recovery codes, set up a new authenticator and\n\
         remove the passkeys that are not yours; and tell the people who run the\n\
         site:\n\
         \n\
         {site}/account\n"
    );
    ("New login", text)
}

/// What a mail about a new password says of that which outlasts it; empty without any.
fn outlasting(account: &Account, at: Moment) -> String {
    let what = account.outlasting(at.timestamp());
    what.map_or_else(String::new, |what| {
        format!("Still good: {what}. Your account page shows them.\n")
    })
}

fn password_changed(
    account: &Account,
    at: Moment,
    when: &str,
    site: &str,
) -> (&'static str, String) {
    let outlasting = outlasting(account, at);
    let text = format!(
        "The password of your account was changed\n\
         on {when}.\n\
         All other devices were logged out.\n\
         {outlasting}\
         \n\
         If this was you, there is nothing to do.\n\
         \n\
         If it was not you, ask for a new password at once, and tell the people who\n\
         run the site:\n\
         \n\
         {site}/forgot_password\n"
    );
    ("Your password was changed", text)
}

/// Without an authenticator, the password alone protects the account, so the advice differs.
fn password_known(account: &Account, when: &str, site: &str) -> (&'static str, String) {
    let (why, then) = match account.has_second_factor() {
        true => (
            "They did not get in: that takes a code of your authenticator or a\n\
             recovery code.\n\
             \n\
             If this was you, the clock of the device with your authenticator may be\n\
             wrong; a recovery code gets you in.",
            "and choose one that you use nowhere else:",
        ),
        false => (
            "They did not get in, but no authenticator is set up yet: whoever knows the\n\
             password can set up theirs.\n\
             \n\
             If this was you, the clock of the device with the authenticator may be\n\
             wrong.",
            "log in with it, and set up your authenticator:",
        ),
    };
    let text = format!(
        "Somebody entered the right password of your account, and then twenty wrong\n\
         codes in a row, the last of them\n\
         on {when}.\n\
         {why}\n\
         \n\
         If it was not you, somebody knows your password. Have a new one mailed,\n\
         {then}\n\
         \n\
         {site}/forgot_password\n"
    );
    ("Somebody has your password", text)
}

fn recovery_code_used(left: usize, when: &str, site: &str) -> (&'static str, String) {
    let left = match left {
        0 => "0 are left. Make new ones: without any, losing your authenticator locks\n\
              you out."
            .to_owned(),
        1 => "1 is left. Make new ones in time.".to_owned(),
        left => format!("{left} are left."),
    };
    let text = format!(
        "A recovery code of your account was used\n\
         on {when}.\n\
         {left}\n\
         \n\
         If this was you, there is nothing else to do.\n\
         \n\
         If it was not you, somebody has your recovery codes, and knows your\n\
         password or reads your mail. Change your password, and make new recovery\n\
         codes:\n\
         \n\
         {site}/account\n"
    );
    ("A recovery code was used", text)
}

fn recovery_codes_replaced(when: &str, site: &str) -> (&'static str, String) {
    let text = format!(
        "New recovery codes were made for your account\n\
         on {when}.\n\
         The old ones no longer work.\n\
         \n\
         If this was you, keep the new ones where you will find them without your\n\
         authenticator.\n\
         \n\
         If it was not you, somebody knows your password and had a code of yours.\n\
         Log in, change your password, and make new recovery codes:\n\
         \n\
         {site}/account\n"
    );
    ("Your recovery codes were replaced", text)
}

fn second_factor_reset(when: &str, site: &str) -> (&'static str, String) {
    let text = format!(
        "The people who run the site reset the second factor of your account\n\
         on {when}.\n\
         You were logged out everywhere. Your authenticator, your recovery codes,\n\
         your passkeys and your access tokens no longer work.\n\
         \n\
         Log in soon, and set up an authenticator: until then whoever knows your\n\
         password can set up theirs.\n\
         \n\
         {site}/login\n\
         \n\
         If it was not you who asked them to, ask them why.\n"
    );
    ("Your second factor was reset", text)
}

impl Edit {
    fn text(
        &self,
        account: &Account,
        at: Moment,
        when: &str,
        site: &str,
    ) -> (&'static str, String) {
        let (subject, what, then) = match self {
            Self::AuthenticatorChanged => (
                "Your authenticator was changed",
                "changed the authenticator of your account".to_owned(),
                "You were logged out everywhere, and your recovery codes, passkeys and\n\
                 access tokens no longer work.\n\
                 Log in with a code of the new authenticator, and make new recovery codes:",
            ),
            Self::AuthenticatorRemoved => (
                "Your authenticator was removed",
                "removed the authenticator from your account".to_owned(),
                "You were logged out everywhere, and your recovery codes, passkeys and\n\
                 access tokens no longer work.\n\
                 Log in soon, and set up an authenticator: until then whoever knows your\n\
                 password can set up theirs.",
            ),
            Self::Email(None) => (
                "Your e-mail address was removed",
                "removed the address of your account".to_owned(),
                "No more mails about your account are sent, and none with a new password.",
            ),
            Self::Email(Some(new)) => (
                "Your e-mail address was changed",
                format!("changed the address of your account to\n{}", one_line(new)),
                "Mails about your account go there from now on, new passwords too.",
            ),
            Self::Name(old) => (
                "Your username was changed",
                format!(
                    "changed your username from {} to\n{}",
                    one_line(old),
                    one_line(&account.username)
                ),
                "You were logged out everywhere. Log in with the new one; your password and your\n\
                 authenticator are the same as before. Applications may take you for somebody\n\
                 new:",
            ),
            Self::Password => (
                "Your password was changed",
                "changed the password of your account".to_owned(),
                "You were logged out everywhere. If you were not told the new password,\n\
                 have another one mailed to you:",
            ),
        };
        let page = match self {
            Self::Email(_) => "/account",
            Self::Password => "/forgot_password",
            _ => "/login",
        };
        let left = match self {
            Self::Password => outlasting(account, at),
            _ => String::new(),
        };
        let text = format!(
            "The people who run the site {what}\n\
             on {when}.\n\
             {left}\
             \n\
             {then}\n\
             \n\
             {site}{page}\n\
             \n\
             If it was not you who asked them to, ask them why.\n"
        );
        (subject, text)
    }
}
