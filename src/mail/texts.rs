//! The mails that the program writes to people; those about changes to accounts are in `notices`.
//!
//! Names and URLs are put on one line each: nothing in them can add a line to a mail.

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::accounts::Account;
use crate::clock::{Moment, Timestamp};

/// A mail to one person.
///
/// No `Debug`: the body may hold a password.
pub struct Mail {
    pub(super) to: String,
    pub(super) subject: &'static str,
    pub(super) body: String,
    /// When the thing that the mail reports happened; becomes the mail's date.
    pub(super) at: Moment,
    /// Whether the mail may use the part of the outbox that is kept for new passwords.
    pub(super) reserved: bool,
}

impl Mail {
    /// The mail for somebody who forgot their password, with a new one that works once, within
    /// `valid_minutes`. `site` is how visitors reach us, without a final slash.
    pub fn new_password(
        account: &Account,
        password: &str,
        asked_at: Moment,
        valid_minutes: u64,
        site: &str,
    ) -> Option<Self> {
        let (then, no_harm) = match account.has_second_factor() {
            true => (
                "You will be asked for a code of your authenticator, and then to choose a\n\
                 password of your own.",
                "there is nothing to do: your account has not\n\
                 changed, and this password is of no use without a code or a recovery code.",
            ),
            false => (
                "You will be asked to set up an authenticator, and then to choose a password\n\
                 of your own.",
                "delete this mail: your account has not\n\
                 changed, and nobody else was sent this password.",
            ),
        };
        let until = match account.password {
            Some(_) => " Until you do, your old password keeps working.",
            None => "",
        };
        let text = format!(
            "Somebody, probably you, asked for a new password for your account\n\
             on {when}.\n\
             \n\
             New password: {password}\n\
             \n\
             It works once, for {valid_minutes} minutes from then. Log in with it here:\n\
             \n\
             {site}/login\n\
             \n\
             {then}{until}\n\
             \n\
             If you did not ask for this, {no_harm}\n",
            when = written(asked_at),
            password = one_line(password),
            site = one_line(site),
        );
        let mail = Self::to_owner(account, "Your new password", asked_at, &text)?;
        Some(Self {
            reserved: true,
            ..mail
        })
    }

    /// Asks the owner of an account to prove that its address is theirs, by a link that works once,
    /// within `valid_hours`. `site` is how visitors reach us, without a final slash.
    pub fn confirmation(
        account: &Account,
        token: &str,
        asked_at: Moment,
        valid_hours: u64,
        site: &str,
    ) -> Option<Self> {
        let text = format!(
            "This address was given for your account\n\
             on {when}.\n\
             Please confirm that it is yours:\n\
             \n\
             {site}/confirm?token={token}\n\
             \n\
             The link works once, for {valid_hours} hours from then.\n\
             \n\
             If you did not ask for this, there is nothing to do: somebody typed your\n\
             address, and without you it is not confirmed.\n",
            when = written(asked_at),
            site = one_line(site),
        );
        let subject = "Please confirm your e-mail address";
        Self::to_owner(account, subject, asked_at, &text)
    }

    /// Asks whoever reads the mails of an address to prove that by a link, so that it becomes that
    /// of an account, given here as it will be then. The link works once, within `valid_hours`.
    /// `site` is how visitors reach us, without a final slash.
    pub fn change_of_address(
        account: &Account,
        token: &str,
        asked_at: Moment,
        valid_hours: u64,
        site: &str,
    ) -> Option<Self> {
        let text = format!(
            "Somebody, probably you, gave this address as the new one of your account\n\
             on {when}.\n\
             Please confirm that it is yours:\n\
             \n\
             {site}/confirm?token={token}\n\
             \n\
             The link works once, for {valid_hours} hours from then. Until it is used,\n\
             your account keeps the address that it has.\n\
             \n\
             If you did not ask for this, there is nothing to do: somebody typed your\n\
             address, and without you it is not theirs.\n",
            when = written(asked_at),
            site = one_line(site),
        );
        let subject = "Please confirm your e-mail address";
        Self::to_owner(account, subject, asked_at, &text)
    }

    /// Tells the owner of an account that somebody wants its address for another one, and nothing
    /// about them.
    pub fn address_wanted(account: &Account, asked_at: Moment) -> Option<Self> {
        let text = format!(
            "Somebody asked to use this address for another account than yours\n\
             on {when}.\n\
             They were not told that it is yours. Nothing has changed, and nothing\n\
             will: the address stays with your account.\n\
             \n\
             If it was not you, there is nothing to do.\n\
             \n\
             If it was you, and you want the address for your other account, give this\n\
             account another address first, or delete it.\n",
            when = written(asked_at),
        );
        let subject = "Somebody asked to use your e-mail address";
        Self::to_owner(account, subject, asked_at, &text)
    }

    /// Gives somebody at `to` a link to make an account, or to choose the password of the one that
    /// was made with this username. The link works once. `site` is how visitors reach us, without a
    /// final slash.
    pub fn invitation(
        to: &str,
        username: Option<&str>,
        link: &str,
        (at, expires): (Moment, Timestamp),
        site: &str,
    ) -> Self {
        let host = site.split_once("://").map_or(site, |(_, host)| host);
        let host = one_line(host);
        let what = match username {
            Some(username) => format!(
                "An account was made for you at {host}.\n\
                 Your username there is {}.\n\
                 \n\
                 Choose your password here:\n",
                one_line(username)
            ),
            None => format!(
                "You are invited to make an account at {host}.\n\
                 \n\
                 Choose a name and a password here:\n"
            ),
        };
        let valid = match expires.since(at.timestamp()).as_secs() / DAY {
            0 => "less than a day".to_owned(),
            1 => "1 day".to_owned(),
            days => format!("{days} days"),
        };
        let text = format!(
            "Hello,\n\
             \n\
             {what}\
             \n\
             {link}\n\
             \n\
             The link works once, for {valid}: until {until}.\n\
             After that, ask whoever invited you for another.\n\
             \n\
             Then you log in and connect an authenticator app on your phone.\n\
             \n\
             If you do not know what this is about, there is nothing to do: the link\n\
             opens nothing by itself.\n",
            until = hour(expires),
        );
        Self {
            to: to.to_owned(),
            subject: "Your invitation",
            body: text,
            at,
            reserved: false,
        }
    }

    /// Tells an administrator that `file` cannot be read. `reason` must not repeat anything that is
    /// in the file.
    pub fn accounts_unreadable(
        account: &Account,
        file: &str,
        reason: &str,
        at: Moment,
    ) -> Option<Self> {
        let text = format!(
            "The accounts file {file} cannot be read\n\
             on {when}:\n\
             \n\
             {reason}\n\
             \n\
             Until it is mended nobody can log in and nothing can be changed. Those who\n\
             are logged in notice nothing. The file is left alone: mend it, or put a copy\n\
             back, and within a second everything works again, without a restart.\n\
             \n\
             This is mailed once for each time that the file cannot be read.\n",
            file = one_line(file),
            when = written(at),
            reason = one_line(reason),
        );
        Self::to_owner(account, "The accounts file cannot be read", at, &text)
    }

    /// A mail to the owner of this account; `None` if it has no address.
    pub(super) fn to_owner(
        account: &Account,
        subject: &'static str,
        at: Moment,
        text: &str,
    ) -> Option<Self> {
        Some(Self {
            to: account.email.clone()?,
            subject,
            body: format!("Hello {},\n\n{text}", one_line(&account.username)),
            at,
            reserved: false,
        })
    }
}

/// A moment as people write it.
pub(super) fn written(at: Moment) -> String {
    date(at.wall).format(WHEN).unwrap_or_default()
}

/// The hour that a moment is in, as people write it: nothing that lasts until then ends earlier.
fn hour(moment: Timestamp) -> String {
    date(moment.0).format(HOUR).unwrap_or_default()
}

/// The date at this many seconds since 1970. One that is beyond the calendar is 1970.
fn date(seconds: u64) -> OffsetDateTime {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

const DAY: u64 = 24 * 60 * 60;

/// How a mail begins about something that has a name: what happened, when, and the name.
pub(super) fn headed(what: &str, when: &str, name: &str) -> String {
    format!("{what}\non {when}:\n\n{}\n\n", one_line(name))
}

/// The text with a space in place of every character that could start a new line.
pub(super) fn one_line(text: &str) -> String {
    text.replace(
        |c: char| c.is_control() || "\u{2028}\u{2029}".contains(c),
        " ",
    )
}

const HOUR: &[BorrowedFormatItem] =
    format_description!("[day padding:none] [month repr:long] [year], [hour]:00 UTC");

const WHEN: &[BorrowedFormatItem] =
    format_description!("[day padding:none] [month repr:long] [year] at [hour]:[minute] UTC");
