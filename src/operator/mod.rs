//! What operators do to accounts without a page: on the same files as the server, which may be
//! running. The rules are in `accounts`; here they meet the files.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::accounts::acts::{self, UnfitPassword};
use crate::accounts::invitations::{self, Invitation};
use crate::accounts::kept::Unknown;
use crate::accounts::password::{MAX_LENGTH, PasswordHash};
use crate::accounts::session::Limits;
use crate::accounts::token::{self, Digest};
use crate::accounts::{Account, Accounts, Taken};
use crate::clock::{Clock, Moment, Timestamp};
use crate::durable::directory_of;
use crate::events::{self as happened, Event, Kind, OPERATOR};
use crate::mail::{self, Mail, Outbox, Sender, StartupProblem};
use crate::reply::Outcome;
use crate::store::{self, NotSaved, OpenError, Store};

pub mod backup;
pub mod events;
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
    /// A mail cannot be written.
    NoOutbox(StartupProblem),
    NoMail(io::Error),
    /// The name or the address of a new account belongs to another.
    Taken(Taken),
    Password(UnfitPassword),
    /// The events cannot be read.
    NoEvents(io::Error),
    /// An address was given where a name is wanted; of this account.
    IsAddress(String),
}

impl Refused {
    /// The code for programs, and the message for people, as the pages have them.
    pub fn said(&self) -> (&'static str, Cow<'static, str>) {
        let outcome = match self {
            // No page has this one.
            Self::NoFile(_) => return ("no_file", "The accounts cannot be read.".into()),
            Self::NoEvents(_) => return ("no_file", "The events cannot be read.".into()),
            Self::IsAddress(_) => {
                let message = "An address is no name.";
                return ("no_such_user", message.into());
            }
            Self::Unfit(_) | Self::NotSaved(_) | Self::NoOutbox(_) | Self::NoMail(_) => {
                Outcome::NotSaved
            }
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
            Self::NoEvents(_) => "see to events.jsonl in that folder: it must be a file of its own",
            Self::IsAddress(owner) => owner,
            Self::NoOutbox(problem) => problem.hint(),
            Self::NoMail(_) => "see to the outbox beside the accounts file, and try again",
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
    /// If none, they choose one by a link.
    pub password: Option<&'a str>,
    /// How long that link works.
    pub valid: Duration,
}

/// What mails need to know of the server.
pub struct Posting {
    /// How visitors reach it, without a final slash.
    pub site: String,
    pub from: Sender,
}

/// What was done.
pub struct Done {
    /// The file that was made, if there was none.
    pub made: Option<PathBuf>,
    /// Why the event was not written, if it was not.
    pub untold: Option<io::Error>,
    pub invited: Option<Invited>,
}

/// A link that was made.
///
/// No `Debug`: who has the link has the account.
pub struct Invited {
    pub link: Zeroizing<String>,
    pub expires: Timestamp,
    /// The mail with it; `None` if it could not be written in the end.
    pub mail: Option<PathBuf>,
}

/// Makes an account, with any name that is free; `posting` if it is without a password.
///
/// # Errors
///
/// [`Refused`].
pub fn add(
    users: &Path,
    events_kept: Duration,
    new: &NewAccount<'_>,
    posting: Option<&Posting>,
) -> Result<Done, Refused> {
    let known = store::read_accounts(users).map_err(Refused::NoFile)?;
    let is_new = known.is_none();
    let known = known.unwrap_or_default();
    // Before the files are opened to be saved, which may leave more than a lock behind.
    if let Some(taken) = known.taken(new.username, Some(new.email)) {
        return Err(Refused::Taken(taken));
    }
    let clock = Arc::new(Clock::start());
    let now = clock.now();
    let account = new.account(now.timestamp())?;
    let event = Event::of(Kind::AccountAdded).about(&account).by(OPERATOR);
    let event = event.groups(&account.groups);
    let store = || Store::open(users, NO_LIMITS, clock).map_err(Refused::Unfit);
    let invited = match posting {
        Some(posting) => Some(posting.invite(users, store, (account, new.valid), now)?),
        None => {
            let store = store()?;
            let added = store.add(account);
            store.close(END);
            added.map_err(Refused::NotSaved)?.map_err(Refused::Taken)?;
            None
        }
    };
    let made = is_new.then(|| store::full_path(users));
    let untold = happened::append(users, events_kept, &[event]).err();
    Ok(Done {
        made,
        untold,
        invited,
    })
}

impl NewAccount<'_> {
    fn account(&self, now: Timestamp) -> Result<Account, Refused> {
        let choose = |password| acts::choose_password(password, self.username, Some(self.email));
        let password = self.password.map(choose).transpose();
        let password = password.map_err(Refused::Password)?;
        let hash = password.as_ref().map(PasswordHash::new);
        let groups = self.groups.to_vec();
        Ok(Account::made_by_operator(
            self.username,
            self.email,
            groups,
            hash,
            now,
        ))
    }
}

/// A link for an account without a password, and the mail with it, before any of it counts.
struct Prepared {
    link: Zeroizing<String>,
    expires: Timestamp,
    invitation: (Digest, Invitation),
    draft: mail::Draft,
}

impl Posting {
    fn outbox(&self, users: &Path) -> Result<Outbox, Refused> {
        Outbox::open(outbox_of(users), self.from.clone(), None).map_err(Refused::NoOutbox)
    }

    /// Makes a link to choose the password of an account, and drafts the mail with it.
    fn prepare(
        &self,
        outbox: &Outbox,
        (account, valid): (&Account, Duration),
        now: Moment,
    ) -> Result<Prepared, Refused> {
        let token = token::link();
        let link = Zeroizing::new(format!("{}/invitation?token={}", self.site, token.as_str()));
        let expires = now.timestamp().plus(valid);
        let invitation = Invitation {
            email: account.email.clone(),
            groups: account.groups.clone(),
            by: invitations::OPERATOR.to_owned(),
            expires,
            account: account.id.clone(),
            other: Unknown::default(),
        };
        let to = account.email.clone().unwrap_or_default();
        let mail = Mail::invitation(
            &to,
            Some(&account.username),
            &link,
            (now, expires),
            &self.site,
        );
        let draft = outbox.draft(&mail).map_err(Refused::NoMail)?;
        Ok(Prepared {
            link,
            expires,
            invitation: (Digest::of(&token), invitation),
            draft,
        })
    }

    /// Makes an account together with a link to choose its password, and mails that. The mail is
    /// drafted first: if that cannot be done, nothing is.
    fn invite(
        &self,
        users: &Path,
        store: impl FnOnce() -> Result<Store, Refused>,
        (account, valid): (Account, Duration),
        now: Moment,
    ) -> Result<Invited, Refused> {
        let store = store()?;
        let outbox = self.outbox(users)?;
        let Prepared {
            link,
            expires,
            invitation,
            draft,
        } = self.prepare(&outbox, (&account, valid), now)?;
        let added = store.add_invited(account, invitation, now.timestamp());
        store.close(END);
        added.map_err(Refused::NotSaved)?.map_err(Refused::Taken)?;
        let mail = outbox.send(draft).ok().map(|mail| store::full_path(&mail));
        Ok(Invited {
            link,
            expires,
            mail,
        })
    }
}

/// Where mails wait that are sent for the accounts at `users`.
fn outbox_of(users: &Path) -> PathBuf {
    directory_of(users).join("outbox")
}
