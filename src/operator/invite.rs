//! Invitations, as operators make and withdraw them.

use std::time::Duration;

use crate::accounts::Taken;
use crate::accounts::invitations::{Invitation, OPERATOR};
use crate::accounts::kept::Unknown;
use crate::accounts::token::{self, Digest};
use crate::events::{Event, Kind};
use crate::mail::Mail;
use crate::operator::work::{Done, Place};
use crate::operator::{Posting, Refused};
use crate::reply::{Invited, Outcome};
use crate::store::About;

/// An invitation that is to be made.
pub struct NewInvitation<'a> {
    pub email: Option<&'a str>,
    pub groups: &'a [String],
    pub valid: Duration,
}

/// Makes an invitation; its link begins as `posting` says.
///
/// # Errors
///
/// [`Refused`]; nothing is changed then.
pub fn invite(
    place: &Place<'_>,
    new: &NewInvitation<'_>,
    posting: &Posting,
) -> Result<Done<Box<Invited>>, Refused> {
    let about = || About::default().and_owner(new.email);
    place.change(about, |draft, post, now| {
        let token = token::link();
        let link = posting.link(&token);
        let expires = now.timestamp().plus(new.valid);
        let invitation = Invitation {
            email: new.email.map(str::to_owned),
            groups: new.groups.to_vec(),
            by: OPERATOR.to_owned(),
            expires,
            account: None,
            other: Unknown::default(),
        };
        let digest = Digest::of(&token);
        draft
            .invite(digest, invitation.clone(), now.timestamp())
            .map_err(|_: Taken| Refused::Taken(Taken::Email))?;
        let id = digest.short();
        let event = event(Kind::Invited, &id, &invitation);
        if let Some(email) = new.email {
            let mail = |site: &str| Mail::invitation(email, None, &link, (now, expires), site);
            post.draft(|site| Some(mail(site)))?;
        }
        let made = Box::new(Invited {
            id,
            link: link.to_string(),
            expires,
            email: invitation.email,
            groups: invitation.groups,
        });
        Ok((made, vec![event]))
    })
}

/// Withdraws the invitation with this id.
///
/// # Errors
///
/// [`Refused`]; nothing is changed then.
pub fn end(place: &Place<'_>, id: &str) -> Result<Done<Outcome>, Refused> {
    let about = || About::default().and_short(id);
    place.change(about, |draft, _, now| {
        let ended = draft.end_invitation(id, now.timestamp());
        let ended = ended.ok_or(Refused::NoInvitation)?;
        let event = event(Kind::InvitationEnded, id, &ended);
        Ok((Outcome::InvitationEnded, vec![event]))
    })
}

fn event(kind: Kind, id: &str, invitation: &Invitation) -> Event {
    let event = Event::of(kind)
        .by(OPERATOR)
        .invitation(id)
        .groups(&invitation.groups);
    match &invitation.email {
        Some(email) => event.email(email),
        None => event,
    }
}
