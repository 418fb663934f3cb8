//! What the program writes to people. All texts are here.
//!
//! Names and URLs are put on one line each: nothing in them can add a line to a mail.

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::clock::Moment;

/// A mail to one person.
///
/// No `Debug`: the body may hold a password.
pub struct Mail {
    pub(super) to: String,
    pub(super) subject: &'static str,
    pub(super) body: String,
    /// When what it tells of happened; it becomes the mail's date.
    pub(super) at: Moment,
}

impl Mail {
    /// The answer to a forgotten password: one that works once, for `valid_minutes`.
    pub fn new_password(
        to: &str,
        username: &str,
        password: &str,
        asked_at: Moment,
        valid_minutes: u64,
        login_url: &str,
    ) -> Self {
        let text = format!(
            "Somebody, probably you, asked for a new password for your account\n\
             on {when}.\n\
             \n\
             New password: {password}\n\
             \n\
             It works once, for {valid_minutes} minutes from then. Log in with it here:\n\
             \n\
             {url}\n\
             \n\
             You will be asked for your usual code, and then to choose a password of\n\
             your own. Until you do, your old password keeps working.\n\
             \n\
             If you did not ask for this, there is nothing to do: your account has not\n\
             changed, and this password is of no use without your code.\n",
            when = written(asked_at),
            password = one_line(password),
            url = one_line(login_url),
        );
        Self::new(to, username, "Your new password", asked_at, &text)
    }

    /// `recovery_url` is where one asks for a new password.
    pub fn password_changed(to: &str, username: &str, at: Moment, recovery_url: &str) -> Self {
        let text = format!(
            "The password of your account was changed\n\
             on {when}.\n\
             All other devices were logged out.\n\
             \n\
             If this was you, there is nothing to do.\n\
             \n\
             If it was not you, ask for a new password at once, and tell the people who\n\
             run the site:\n\
             \n\
             {url}\n",
            when = written(at),
            url = one_line(recovery_url),
        );
        Self::new(to, username, "Your password was changed", at, &text)
    }

    /// `account_url` is where one changes a password and ends sessions.
    pub fn authenticator_changed(to: &str, username: &str, at: Moment, account_url: &str) -> Self {
        let text = format!(
            "The authenticator of your account was changed\n\
             on {when}.\n\
             Codes of the old one no longer work.\n\
             \n\
             If this was you, there is nothing to do.\n\
             \n\
             If it was not you, somebody knows your password. Tell the people who run\n\
             the site at once. Where you are still logged in, change it here:\n\
             \n\
             {url}\n",
            when = written(at),
            url = one_line(account_url),
        );
        Self::new(to, username, "Your authenticator was changed", at, &text)
    }

    /// `account_url` is where one changes a password and makes new codes.
    pub fn recovery_codes_replaced(
        to: &str,
        username: &str,
        at: Moment,
        account_url: &str,
    ) -> Self {
        let text = format!(
            "New recovery codes were made for your account\n\
             on {when}.\n\
             The old ones no longer work.\n\
             \n\
             If this was you, keep the new ones where you will find them without your\n\
             phone.\n\
             \n\
             If it was not you, somebody knows your password. Log in, change it, and\n\
             make new recovery codes:\n\
             \n\
             {url}\n",
            when = written(at),
            url = one_line(account_url),
        );
        Self::new(to, username, "Your recovery codes were replaced", at, &text)
    }

    pub fn account_deleted(to: &str, username: &str, at: Moment, site_url: &str) -> Self {
        let text = format!(
            "Your account was deleted\n\
             on {when}, and you were logged out everywhere:\n\
             \n\
             {url}\n\
             \n\
             If this was you, there is nothing to do.\n\
             \n\
             If it was not you, tell the people who run the site at once: somebody\n\
             knows your password and had your authenticator or a recovery code.\n",
            when = written(at),
            url = one_line(site_url),
        );
        Self::new(to, username, "Your account was deleted", at, &text)
    }

    fn new(to: &str, username: &str, subject: &'static str, at: Moment, text: &str) -> Self {
        Self {
            to: to.to_owned(),
            subject,
            body: format!("Hello {},\n\n{text}", one_line(username)),
            at,
        }
    }
}

/// A moment as people write it. One no calendar knows reads as 1970.
fn written(at: Moment) -> String {
    i64::try_from(at.wall)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
        .format(WHEN)
        .unwrap_or_default()
}

/// The text with a space for whatever could start a line.
fn one_line(text: &str) -> String {
    text.replace(
        |c: char| c.is_control() || "\u{2028}\u{2029}".contains(c),
        " ",
    )
}

const WHEN: &[BorrowedFormatItem] =
    format_description!("[day padding:none] [month repr:long] [year] at [hour]:[minute] UTC");
