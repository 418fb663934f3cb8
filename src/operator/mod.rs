//! What operators do to accounts without a page: on the same files or database as the server, which
//! may be running. The rules are in `accounts`; here they meet what is kept (`source`).

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::accounts::acts::UnfitPassword;
use crate::accounts::password::MAX_LENGTH;
use crate::accounts::session::Limits;
use crate::accounts::{Account, Accounts, Taken, groups};
use crate::durable::directory_of;
use crate::mail::{Sender, StartupProblem};
use crate::reply::{Outcome, SOON};
use crate::store::{NotSaved, OpenError};

mod acts;
mod add;
pub mod backup;
#[cfg(feature = "postgres")]
pub mod copy;
pub mod events;
pub mod import;
mod invite;
mod show;
mod source;
mod work;

pub use acts::{Asked, act, set};
pub use add::{Invited, NewAccount, add};
pub use invite::{NewInvitation, end, invite};
pub use show::{Shown, show};
pub use source::Source;
pub use work::{Done, Place};

/// Limits that end no session.
pub const NO_LIMITS: Limits = Limits {
    idle: Duration::MAX,
    max: Duration::MAX,
    remember: Duration::MAX,
};

/// Why something was not done. Nothing is changed then.
pub enum Refused {
    /// The accounts cannot be read.
    NoFile(OpenError),
    /// The database does not answer.
    Away,
    NotSaved(NotSaved),
    /// A mail cannot be written.
    NoOutbox(StartupProblem),
    NoMail(io::Error),
    /// The name or the address of a new account belongs to another.
    Taken(Taken),
    Password(UnfitPassword),
    /// The events cannot be read.
    NoEvents(io::Error),
    /// This address was given where a name is wanted; and whose it is.
    IsAddress(String, String),
    /// No account has this name.
    NoSuchUser(String),
    /// Nothing is mailed to an account that is disabled.
    Disabled,
    /// Nothing can be mailed to an account without an address.
    NoAddress,
    /// The account would be in too many groups.
    ManyGroups,
    /// No invitation that works has that id.
    NoInvitation,
    /// Nobody can make an account, by an invitation either.
    RegistrationClosed,
}

impl Refused {
    /// The code for programs, and the message for people, as the pages have them.
    pub fn said(&self) -> (&'static str, Cow<'static, str>) {
        let outcome = match self {
            // No page has this one.
            Self::NoFile(_) => return ("no_file", "The accounts cannot be read.".into()),
            Self::Away => Outcome::Busy(SOON),
            Self::NotSaved(why) if why.is_busy() => Outcome::Busy(SOON),
            Self::NotSaved(why) if why.is_unknown() => Outcome::MaybeSaved,
            Self::NoEvents(_) => return ("no_file", "The events cannot be read.".into()),
            Self::NoSuchUser(name) | Self::IsAddress(name, _) => {
                let message = format!("There is no account \"{name}\".");
                return ("no_such_user", message.into());
            }
            Self::NotSaved(_) | Self::NoOutbox(_) | Self::NoMail(_) => Outcome::NotSaved,
            Self::Disabled => Outcome::AccountIsDisabled,
            Self::NoAddress => Outcome::NoAddress,
            Self::ManyGroups => Outcome::TooLong("groups", groups::MAX, "groups"),
            Self::NoInvitation => Outcome::NoInvitation,
            Self::RegistrationClosed => Outcome::RegistrationClosed,
            Self::Taken(Taken::Username) => Outcome::UserExists,
            Self::Taken(Taken::Email) => Outcome::EmailExists,
            Self::Password(UnfitPassword::TooShort) => Outcome::PasswordTooShort,
            Self::Password(UnfitPassword::TooLong) => {
                Outcome::TooLong("password", MAX_LENGTH, "characters")
            }
            Self::Password(UnfitPassword::Common) => Outcome::PasswordCommon,
        };
        (outcome.code(), outcome.message())
    }

    /// The hint for the operator, if there is something to do.
    pub fn hint(&self) -> Option<&str> {
        Some(match self {
            Self::NoFile(error) => error.hint(),
            Self::Away => "see whether the database runs and can be reached, and try again",
            Self::NotSaved(why) if why.is_unknown() => "look before you try again",
            Self::NotSaved(why) if why.is_of_database() => {
                "see to the database, and try again: nothing was changed"
            }
            Self::NoEvents(_) => "see to events.jsonl in that folder: it must be a file of its own",
            Self::IsAddress(_, owner) => owner,
            Self::NoOutbox(problem) => problem.hint(),
            Self::NoMail(_) => "see to the outbox beside the accounts file, and try again",
            Self::NotSaved(_) => "see to the disk and the rights of that folder, and try again",
            Self::Taken(_) => "auth_user user list shows who has which name and address",
            Self::NoSuchUser(_) => "auth_user user list shows all accounts",
            Self::Disabled => "enable the account first: auth_user user enable",
            Self::NoAddress => "give it one: auth_user user set NAME --email ADDRESS",
            Self::ManyGroups => "take it out of some: auth_user user set NAME --remove-group GROUP",
            Self::NoInvitation => {
                "auth_user user list --json shows the invitations that work, with their ids"
            }
            Self::RegistrationClosed => {
                "--registration is closed; make the account yourself: auth_user user add"
            }
            Self::Password(UnfitPassword::TooShort) => "make it longer; another word will do",
            Self::Password(UnfitPassword::TooLong) => "make it shorter",
            Self::Password(UnfitPassword::Common) => {
                "it is on a list of common passwords, or is their own name or address; a few \
                 unrelated words are strong"
            }
        })
    }
}

/// The account called `name`, compared as at a login; an address is no name.
///
/// # Errors
///
/// If there is none, or it is an address.
fn find<'a>(accounts: &'a Accounts, name: &str) -> Result<&'a Arc<Account>, Refused> {
    check_is_name(accounts, name)?;
    let account = accounts.find(name);
    account.ok_or_else(|| Refused::NoSuchUser(name.to_owned()))
}

/// # Errors
///
/// If that is an address, and of whom.
fn check_is_name(accounts: &Accounts, name: &str) -> Result<(), Refused> {
    if !name.contains('@') {
        return Ok(());
    }
    let owner = match accounts.resolve(name) {
        Some(owner) => format!("{} has that address", owner.username),
        None => "no account has that address; auth_user user list shows who has which".into(),
    };
    Err(Refused::IsAddress(name.to_owned(), owner))
}

/// What mails need to know of the server.
pub struct Posting {
    /// How visitors reach it, without a final slash.
    pub site: String,
    pub from: Sender,
}

impl Posting {
    /// The link that works by this token.
    fn link(&self, token: &str) -> Zeroizing<String> {
        Zeroizing::new(format!("{}/invitation?token={token}", self.site))
    }
}

/// Where mails wait that are sent for the accounts at `users`.
fn outbox_of(users: &Path) -> PathBuf {
    directory_of(users).join("outbox")
}
