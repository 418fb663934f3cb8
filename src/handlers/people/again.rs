//! When the answer to an administrator's act may be given again to the same form: as long as
//! nothing has been done to the account since, and the administrator still is one. Otherwise the
//! second `disable` of three quick presses (disable, enable, disable) would be answered and not
//! done.

use serde_json::json;

use crate::accounts::token::Digest;
use crate::as_typed;
use crate::clock::Timestamp;
use crate::handlers::App;
use crate::handlers::people::act::Kind;
use crate::handlers::people::{INVITE, Place, decoded, is_at};
use crate::handlers::sessions::{Presented, lasting, presented};
use crate::http::Request;
use crate::reply::Outcome;

/// What the answer to an act rests on.
#[derive(Clone, Copy)]
pub(in crate::handlers) struct Rest {
    /// The session that asked; `None` if the act ended it.
    session: Option<Digest>,
    /// What the act left of the account; `None` if nothing.
    account: Option<Digest>,
    /// The invitation that was made.
    invitation: Option<Digest>,
}

impl Rest {
    /// The fields that make an act the same as another.
    pub(in crate::handlers) const FIELDS: &'static [&'static str] = &[
        "current_password",
        "secret",
        "groups",
        "username",
        "email",
        "days",
        "invitation",
        "form",
    ];

    /// Whether an act is sent to this path.
    pub(in crate::handlers) fn is_for(path: &str) -> bool {
        let place = Place::of(path);
        let is_act = matches!(
            place,
            Place::Act(..) | Place::EndInvitation | Place::One(INVITE)
        );
        is_at(path) && is_act
    }

    /// What the answer to this act rests on once it has been carried out; `None` if that cannot be
    /// told.
    pub(in crate::handlers) fn after(
        app: &App,
        request: &Request,
        outcome: &Outcome,
    ) -> Option<Self> {
        let session = match presented(app, request).ok()? {
            Presented::Of(me) => Some(me.session.id),
            Presented::Nobodys | Presented::Two => None,
        };
        let account = what_is_left(app, request)?;
        let invitation = match outcome {
            Outcome::Invited(made) => made.link.split_once('=').map(|(_, token)| token),
            _ => None,
        };
        Some(Self {
            session,
            account,
            invitation: invitation.map(Digest::of),
        })
    }

    /// Whether all of it is still there.
    pub(in crate::handlers) fn stands(self, app: &App, request: &Request, now: Timestamp) -> bool {
        let may_still = |id| {
            let me = lasting(app, id, now).ok().flatten();
            me.is_some_and(|me| me.account.is_administrator())
        };
        let is_open = |token| matches!(app.store.invitation(token, now), Ok(Some(_)));
        self.session.is_none_or(may_still)
            && what_is_left(app, request) == Some(self.account)
            && self.invitation.is_none_or(is_open)
    }
}

/// All of the account that acts change; `None` if it cannot be told, and inside if there is none.
fn what_is_left(app: &App, request: &Request) -> Option<Option<Digest>> {
    let Place::Act(name, kind) = Place::of(&request.path) else {
        return Some(None);
    };
    let name = as_typed::name(&decoded(name)?);
    let Some(account) = app.store.account(&name).ok()? else {
        return Some(None);
    };
    // Somebody may log in after the others were logged out: that session is to end, too.
    let sessions: Vec<String> = match kind {
        Kind::EndSessions => {
            let sessions = app.store.sessions_of(&account.username).ok()?;
            sessions.iter().map(|session| session.id.short()).collect()
        }
        _ => Vec::new(),
    };
    let left = json!([
        account.id,
        account.generation,
        account.disabled,
        account.totp.is_some(),
        account.passkeys.len(),
        account.groups,
        sessions,
    ]);
    Some(Some(Digest::of(&left.to_string())))
}
