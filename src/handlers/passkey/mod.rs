//! Passkeys: offered on the pages of both steps and to programs; taken alone (`alone`) and after a
//! password (`second`); made and removed by visitors with a session (`own`).
//!
//! Each challenge is good for one of these uses, and for one login or session.

use serde::Serialize;
use serde_json::Value;

use crate::accounts::Account;
use crate::accounts::passkey::{
    Challenge, CredentialId, Purpose, Refused, RelyingParty, Step, Used,
};
use crate::accounts::token::Digest;
use crate::events::Kind;
use crate::handlers::App;
use crate::http::Request;
use crate::mail::Notice;
use crate::reply::{Outcome, Refusal, Reply};
use crate::store::{HeldChallenge, Unavailable};

mod alone;
mod forms;
mod own;
mod second;

use forms::Shown;

pub(super) use alone::{log_in, log_in_again};
pub(super) use own::{begin_again, begin_making, finish_making, remove, remove_again, tell, view};
pub(super) use second::second_step;

/// What asks for passkeys.
pub struct Passkeys {
    party: RelyingParty,
}

impl Passkeys {
    pub fn new(party: RelyingParty) -> Self {
        Self { party }
    }
}

/// What asks for a passkey of anybody. `None` where there are none, or what is asked could not be
/// known again.
pub(super) fn ask_anybody(app: &App, request: &Request) -> Option<Value> {
    let party = &app.passkeys.as_ref()?.party;
    let now = request.received.steady;
    let challenge = app.store.ask_challenge(Purpose::Alone, now).ok()?;
    Some(as_value(party.options_alone(challenge)))
}

/// What asks for a passkey of this account, whose login has this cookie. `None` if it has none for
/// this host, or what is asked could not be known again.
pub(super) fn ask_after_password(
    app: &App,
    request: &Request,
    cookie: &str,
    account: &Account,
) -> Option<Value> {
    let party = &app.passkeys.as_ref()?.party;
    account.passkeys_for(party).next()?;
    let purpose = Purpose::AfterPassword(Digest::of(cookie));
    let now = request.received.steady;
    let challenge = app.store.ask_challenge(purpose, now).ok()?;
    party
        .options_after_password(account, challenge)
        .map(as_value)
}

fn as_value(options: impl Serialize) -> Value {
    // Nothing in them can fail to be written as JSON.
    serde_json::to_value(options).unwrap_or_default()
}

/// A use that holds, and its challenge, which nobody else can use meanwhile.
type Right<'a> = (Used<Challenge>, HeldChallenge<'a>);

/// Looks at the use of a passkey: whether it holds for this account, and answers what was asked and
/// not answered yet.
///
/// # Errors
///
/// If nobody can say now what was answered; the inner error, if it is not good.
fn look<'a>(
    app: &'a App,
    request: &Request,
    account: Option<&Account>,
    (step, purpose): (Step, Purpose),
    shown: &Shown,
) -> Result<Result<Right<'a>, Refused>, Unavailable> {
    let now = request.received.steady;
    let is_asked = app.store.asked_challenge(purpose, now);
    let checked = match &app.passkeys {
        Some(Passkeys { party, .. }) => party.check(account, step, shown.answer(), is_asked),
        None => Err(Refused::Unknown),
    };
    Ok(match checked {
        Ok(used) => {
            let held = app.store.hold_challenge(used.challenge, now)?;
            held.map(|held| (used, held))
        }
        Err(why) => Err(why),
    })
}

/// The refusal of a use. Only of a copy is more said, to its owner and in the log.
fn refused(
    app: &App,
    request: &Request,
    account: Option<&Account>,
    (step, why): (Step, Refused),
    shown: &Shown,
) -> Refusal {
    match (why, account) {
        (Refused::Expired, _) => Outcome::PasskeyExpired.into(),
        (Refused::Copied, Some(account)) => {
            tell_of_copy(app, request, account, shown);
            Reply::from(Outcome::WrongPasskey(step))
                .telling(Kind::PasskeyCopied)
                .noted_as("passkey_copied")
                .about(&account.username)
                .into()
        }
        _ => Outcome::WrongPasskey(step).into(),
    }
}

/// Tells the owner that there may be two of a passkey, unless they were told of late. That is noted
/// with the passkey: neither a restart nor another node tells them once more.
fn tell_of_copy(app: &App, request: &Request, account: &Account, shown: &Shown) {
    let now = request.received.timestamp();
    let id = CredentialId::new(&shown.id);
    let is_news = |id: &CredentialId| {
        let passkey = account.passkey(id);
        passkey.is_some_and(|passkey| passkey.is_copy_news(now))
    };
    let Some(id) = id.filter(is_news) else {
        return;
    };
    let noted = app.store.change(&account.username, move |person| {
        let noted = person.account_mut().note_copy(&id, now);
        noted.map(|passkey| passkey.name.clone())
    });
    // What cannot be saved could not be mailed either; the next attempt tells.
    if let Ok(Some(Some(name))) = noted {
        let notice = Notice::PasskeyCopied(name);
        app.errands.notify(account, &notice, request.received);
    }
}
