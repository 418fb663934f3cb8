//! What operators do to an account that is there: the acts of administrators, and setting address,
//! name and groups.

use std::sync::Arc;

use crate::accounts::Account;
use crate::accounts::acts::{self, Act, Undone};
use crate::accounts::mailed::LIFETIME;
use crate::accounts::setting::{Setting, Unset};
use crate::accounts::token::{self, Digest};
use crate::clock::Moment;
use crate::events::{Event, Kind, OPERATOR};
use crate::mail::{Edit, Mail, Notice};
use crate::operator::work::{Done, Place, Post};
use crate::operator::{Refused, find};
use crate::reply::Outcome;
use crate::store::{About, Draft};

/// What is done to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    Disable,
    Enable,
    EndSessions,
    NewPassword,
    Remove,
    ResetSecondFactor,
}

impl Asked {
    /// Whether it may write a mail.
    pub fn is_mailed(self) -> bool {
        matches!(self, Self::NewPassword | Self::ResetSecondFactor)
    }
}

/// Does this to the account called `name`.
///
/// # Errors
///
/// [`Refused`]; nothing is changed then.
pub fn act(place: &Place<'_>, name: &str, asked: Asked) -> Result<Done<Outcome>, Refused> {
    place.change(
        || About::account(name),
        |draft, post, now| {
            let account = Arc::clone(find(draft.accounts(), name)?);
            let password = token::mailed_password();
            let act = match asked {
                Asked::Disable => Act::Disable,
                Asked::Enable => Act::Enable,
                Asked::EndSessions => Act::EndSessions,
                Asked::NewPassword => Act::NewPasswordOf(Digest::of(&password)),
                Asked::Remove => Act::Remove,
                Asked::ResetSecondFactor => Act::ResetSecondFactor,
            };
            let done = carry_out(draft, &account, &act, now)?;
            if asked == Asked::NewPassword {
                let minutes = LIFETIME.as_secs() / 60;
                post.draft(|site| Mail::new_password(&account, &password, now, minutes, site))?;
            }
            if done.is_told {
                post.draft(|site| Notice::SecondFactorReset.mail(&account, now, site))?;
            }
            let happened = Kind::of_act(&act).filter(|_| done.is_change);
            let event = happened.map(|kind| Event::of(kind).about(&account).by(OPERATOR));
            Ok((Outcome::of_act(act), event.into_iter().collect()))
        },
    )
}

fn carry_out(
    draft: &mut Draft,
    account: &Account,
    act: &Act,
    now: Moment,
) -> Result<acts::Done, Refused> {
    let now = now.timestamp();
    let done = draft.change(&account.username, |person| act.change(person, None, now));
    match done {
        Some(Ok(done)) => Ok(done),
        Some(Err(Undone::Disabled)) => Err(Refused::Disabled),
        Some(Err(Undone::NoAddress)) => Err(Refused::NoAddress),
        // What a command mails counts for no limit.
        Some(Err(Undone::TooManyMails(_))) | None => {
            Err(Refused::NoSuchUser(account.username.clone()))
        }
    }
}

/// Sets all of this for the account called `name`, and gives it as it is then.
///
/// # Errors
///
/// [`Refused`]; nothing is changed then.
pub fn set(
    place: &Place<'_>,
    name: &str,
    setting: &Setting,
) -> Result<Done<Arc<Account>>, Refused> {
    let about = || {
        let about = About::account(name);
        let about = match &setting.name {
            Some(name) => about.and(name),
            None => about,
        };
        about.and_owner(setting.email.as_deref())
    };
    place.change(about, |draft, post, now| {
        let before = Arc::clone(find(draft.accounts(), name)?);
        let set = draft.set(&before.username, setting, now.timestamp());
        let after = match set {
            Some(Ok(after)) => after,
            Some(Err(Unset::Taken(taken))) => return Err(Refused::Taken(taken)),
            Some(Err(Unset::ManyGroups)) => return Err(Refused::ManyGroups),
            None => return Err(Refused::NoSuchUser(name.to_owned())),
        };
        tell(post, &before, &after, now)?;
        let events = happened(&before, &after);
        Ok((after, events))
    })
}

/// Tells the owner what was set: at the old address that there is a new one, at that one of the new
/// name.
fn tell(
    post: &mut Post<'_>,
    before: &Account,
    after: &Account,
    now: Moment,
) -> Result<(), Refused> {
    if before.email != after.email {
        let notice = Notice::Edited(Edit::Email(after.email.clone()));
        post.draft(|site| notice.mail(before, now, site))?;
    }
    if before.username != after.username {
        let notice = Notice::Edited(Edit::Name(before.username.clone()));
        post.draft(|site| notice.mail(after, now, site))?;
    }
    Ok(())
}

/// An event for each kind of thing that was set.
fn happened(before: &Account, after: &Account) -> Vec<Event> {
    let event = |kind| Event::of(kind).about(after).by(OPERATOR);
    let is_renamed = before.username != after.username;
    let is_grouped = before.groups != after.groups;
    let address = match (before.email != after.email, before.email_proven) {
        (true, _) => Some(Kind::EmailChanged),
        (false, false) if after.email_proven => Some(Kind::EmailConfirmed),
        _ => None,
    };
    let renamed = || event(Kind::AccountRenamed).was(&before.username);
    let grouped = || event(Kind::GroupsChanged).groups(&after.groups);
    let events = [
        is_renamed.then(renamed),
        address.map(event),
        is_grouped.then(grouped),
    ];
    events.into_iter().flatten().collect()
}
