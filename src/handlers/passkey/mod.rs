//! Passkeys: offered on the pages of both steps and to programs; taken alone (`alone`) and after a
//! password (`second`); made and removed by visitors with a session (`own`).
//!
//! Each challenge is good for one of these uses, and for one login or session.

use serde::Serialize;
use serde_json::Value;

use crate::accounts::Account;
use crate::accounts::passkey::{
    Challenge, Challenges, CredentialId, Held, Purpose, Refused, RelyingParty, Step, Used,
};
use crate::accounts::token::Digest;
use crate::events::Kind;
use crate::handlers::App;
use crate::http::Request;
use crate::mail::Notice;
use crate::reply::{Outcome, Refusal, Reply};

mod alone;
mod copied;
mod forms;
mod own;
mod second;

use copied::Copied;
use forms::Shown;

pub(super) use alone::{log_in, log_in_again};
pub(super) use own::{begin_again, begin_making, finish_making, remove, remove_again, tell, view};
pub(super) use second::second_step;

/// What asks for passkeys, and knows again what it asked.
pub struct Passkeys {
    party: RelyingParty,
    challenges: Challenges,
    copied: Copied,
}

impl Passkeys {
    /// Nothing has been asked yet.
    pub fn new(party: RelyingParty) -> Self {
        Self {
            party,
            challenges: Challenges::default(),
            copied: Copied::default(),
        }
    }
}

/// What asks for a passkey of anybody. `None` where there are none.
pub(super) fn ask_anybody(app: &App, request: &Request) -> Option<Value> {
    let Passkeys {
        party, challenges, ..
    } = app.passkeys.as_ref()?;
    let challenge = challenges.ask(Purpose::Alone, request.received.steady);
    Some(as_value(party.options_alone(challenge)))
}

/// What asks for a passkey of this account, whose login has this cookie. `None` if it has none for
/// this host.
pub(super) fn ask_after_password(
    app: &App,
    request: &Request,
    cookie: &str,
    account: &Account,
) -> Option<Value> {
    let Passkeys {
        party, challenges, ..
    } = app.passkeys.as_ref()?;
    let purpose = Purpose::AfterPassword(Digest::of(cookie));
    let challenge = challenges.ask(purpose, request.received.steady);
    party
        .options_after_password(account, challenge)
        .map(as_value)
}

fn as_value(options: impl Serialize) -> Value {
    // Nothing in them can fail to be written as JSON.
    serde_json::to_value(options).unwrap_or_default()
}

/// A use that holds, and its challenge, which nobody else can use meanwhile.
type Right<'a> = (Used<Challenge>, Held<'a>);

/// Looks at the use of a passkey: whether it holds for this account, and answers what was asked and
/// not answered yet.
fn look<'a>(
    app: &'a App,
    request: &Request,
    account: Option<&Account>,
    (step, purpose): (Step, Purpose),
    shown: &Shown,
) -> Result<Right<'a>, Refused> {
    let passkeys = app.passkeys.as_ref().ok_or(Refused::Unknown)?;
    let (challenges, now) = (&passkeys.challenges, request.received.steady);
    let is_asked = challenges.asked(purpose, now);
    let used = passkeys
        .party
        .check(account, step, shown.answer(), is_asked)?;
    let held = challenges.hold(used.challenge, now);
    Ok((used, held.ok_or(Refused::Challenge)?))
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

/// Tells the owner that there may be two of a passkey.
fn tell_of_copy(app: &App, request: &Request, account: &Account, shown: &Shown) {
    let id = CredentialId::new(&shown.id);
    let passkey = id.as_ref().and_then(|id| account.passkey(id));
    let (Some(passkey), Some(passkeys)) = (passkey, &app.passkeys) else {
        return;
    };
    if passkeys.copied.is_due(&passkey.id, request.received.steady) {
        let notice = Notice::PasskeyCopied(passkey.name.clone());
        app.errands.notify(account, &notice, request.received);
    }
}
