//! What operators do to accounts without a page: on the same files as the server, which may be
//! running. The rules are in `accounts`; here they meet the files.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::accounts::acts::{self, UnfitPassword};
use crate::accounts::password::{MAX_LENGTH, PasswordHash};
use crate::accounts::session::Limits;
use crate::accounts::{Account, Accounts, Taken};
use crate::clock::Clock;
use crate::reply::Outcome;
use crate::store::{self, NotSaved, OpenError, Store};

pub mod import;

/// How long the end of the store may take: everything has been saved before.
const END: Duration = Duration::from_secs(10);

/// Sessions that somebody else's limits end are left to the server, which knows them.
const NO_LIMITS: Limits = Limits {
    idle: Duration::MAX,
    max: Duration::MAX,
    remember: Duration::MAX,
};

/// Why something was not done. Nothing is changed then.
pub enum Refused {
    /// The accounts cannot be read.
    NoFile(OpenError),
    /// The files cannot be written.
    Unfit(OpenError),
    NotSaved(NotSaved),
    /// The name or the address of a new account belongs to another.
    Taken(Taken),
    Password(UnfitPassword),
}

impl Refused {
    /// The code for programs, and the message for people, as the pages have them.
    pub fn said(&self) -> (&'static str, Cow<'static, str>) {
        let outcome = match self {
            // No page has this one.
            Self::NoFile(_) => return ("no_file", "The accounts cannot be read.".into()),
            Self::Unfit(_) | Self::NotSaved(_) => Outcome::NotSaved,
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
            Self::NoFile(error) | Self::Unfit(error) => error.hint(),
            Self::NotSaved(_) => "see to the disk and the rights of that folder, and try again",
            Self::Taken(_) => "auth_user user list shows who has which name and address",
            Self::Password(UnfitPassword::TooShort) => "make it longer; another word will do",
            Self::Password(UnfitPassword::TooLong) => "make it shorter",
            Self::Password(UnfitPassword::Common) => {
                "it is on a list of common passwords, or is their own name or address; a few \
                 unrelated words are strong"
            }
        })
    }
}

/// The accounts as they are now; nothing is touched.
///
/// # Errors
///
/// [`Refused::NoFile`].
pub fn accounts(users: &Path) -> Result<Accounts, Refused> {
    let read = store::read_accounts(users).map_err(Refused::NoFile)?;
    Ok(read.unwrap_or_default())
}

/// An account that is to be made.
///
/// No `Debug`: it holds a password.
pub struct NewAccount<'a> {
    pub username: &'a str,
    pub email: &'a str,
    pub groups: &'a [String],
    pub password: &'a str,
}

/// What was done.
pub struct Done {
    /// The file that was made, if there was none.
    pub made: Option<PathBuf>,
}

/// Makes an account, with any name that is free.
///
/// # Errors
///
/// [`Refused`].
pub fn add(users: &Path, new: &NewAccount<'_>) -> Result<Done, Refused> {
    let known = store::read_accounts(users).map_err(Refused::NoFile)?;
    let is_new = known.is_none();
    let known = known.unwrap_or_default();
    // Before the files are opened to be saved, which may leave more than a lock behind.
    if let Some(taken) = known.taken(new.username, Some(new.email)) {
        return Err(Refused::Taken(taken));
    }
    let password = acts::choose_password(new.password, new.username, Some(new.email))
        .map_err(Refused::Password)?;
    let hash = PasswordHash::new(&password);

    let clock = Arc::new(Clock::start());
    let now = clock.now().timestamp();
    let (username, email, groups) = (new.username, new.email, new.groups.to_vec());
    let account = Account::made_by_operator(username, email, groups, hash, now);
    let store = Store::open(users, NO_LIMITS, clock).map_err(Refused::Unfit)?;
    let added = store.add(account);
    store.close(END);
    added.map_err(Refused::NotSaved)?.map_err(Refused::Taken)?;
    let made = is_new.then(|| store::full_path(users));
    Ok(Done { made })
}
