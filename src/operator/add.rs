//! Accounts that operators make, with a password or with a link to choose one.

use std::time::Duration;

use zeroize::Zeroizing;

use crate::accounts::Account;
use crate::accounts::acts;
use crate::accounts::invitations::{self, Invitation};
use crate::accounts::kept::Unknown;
use crate::accounts::password::PasswordHash;
use crate::accounts::token::{self, Digest};
use crate::clock::{Clock, Moment, Timestamp};
use crate::events::{Event, Kind, OPERATOR};
use crate::mail::Mail;
use crate::operator::work::{Done, Place};
use crate::operator::{Posting, Refused};
use crate::store::About;

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

/// A link that was made.
///
/// No `Debug`: who has the link has the account.
pub struct Invited {
    pub link: Zeroizing<String>,
    pub expires: Timestamp,
}

/// Makes an account, with any name that is free; one without a password gets a link, for which the
/// place must have a posting.
///
/// # Errors
///
/// [`Refused`].
pub fn add(place: &Place<'_>, new: &NewAccount<'_>) -> Result<Done<Option<Invited>>, Refused> {
    // Before a password is hashed, and with no lock held.
    let about = || About::account(new.username).and(new.email);
    let (known, _) = place.source.some(about)?;
    if let Some(taken) = known.taken(new.username, Some(new.email)) {
        return Err(Refused::Taken(taken));
    }
    let account = new.account(Clock::start().now().timestamp())?;
    place.change(about, |draft, post, now| {
        draft.add(account.clone()).map_err(Refused::Taken)?;
        let event = Event::of(Kind::AccountAdded).about(&account).by(OPERATOR);
        let event = event.groups(&account.groups);
        let posting = place.posting.filter(|_| account.password.is_none());
        let Some(posting) = posting else {
            return Ok((None, vec![event]));
        };
        let prepared = posting.prepare((&account, new.valid), now);
        let Prepared {
            link,
            expires,
            invitation: (token, invitation),
            mail,
        } = prepared;
        draft
            .invite(token, invitation, now.timestamp())
            .map_err(Refused::Taken)?;
        post.draft(|_| Some(mail))?;
        Ok((Some(Invited { link, expires }), vec![event]))
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
pub(super) struct Prepared {
    pub(super) link: Zeroizing<String>,
    pub(super) expires: Timestamp,
    pub(super) invitation: (Digest, Invitation),
    pub(super) mail: Mail,
}

impl Posting {
    /// Makes a link to choose the password of an account, and the mail with it.
    pub(super) fn prepare(&self, (account, valid): (&Account, Duration), now: Moment) -> Prepared {
        let token = token::link();
        let link = self.link(&token);
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
        Prepared {
            link,
            expires,
            invitation: (Digest::of(&token), invitation),
            mail,
        }
    }
}
