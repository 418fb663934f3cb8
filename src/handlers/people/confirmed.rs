//! How long ago a session showed password and code: an administrator's act asks for both again
//! after ten minutes.
//!
//! The login counts, and what was shown since, which is kept with the account.

use crate::accounts::login::Accepted;
use crate::accounts::token;
use crate::form::Form;
use crate::handlers::acts::confirm_with;
use crate::handlers::code::tell_of_recovery_code;
use crate::handlers::forms::PasswordAndCode;
use crate::handlers::people::Administrator;
use crate::handlers::people::act::MAX_GROUPS;
use crate::handlers::{App, LoggedIn};
use crate::http::Request;
use crate::pages::confirm_act::ConfirmAct;
use crate::reply::{Outcome, Refusal};

/// Looks at password and code if they were sent, or else at how long ago they were shown.
pub(super) fn confirm(
    app: &App,
    request: &Request,
    Administrator(me): &Administrator,
    sent: Option<PasswordAndCode>,
) -> Result<(), Refusal> {
    let now = request.received.timestamp();
    let Some(sent) = sent else {
        return match me.account.has_shown_of_late(&me.session, now) {
            true => Ok(()),
            false => Err(Outcome::ConfirmFirst.into()),
        };
    };
    let session = me.session.id;
    let shown = confirm_with(app, request, me, sent)?
        .judge(move |person| person.account_mut().note_shown(session, now));
    let (accepted, ()) = shown?;
    if let Accepted::RecoveryCode { left } = accepted {
        tell_of_recovery_code(app, request, &me.account.username, left);
    }
    Ok(())
}

/// Whether a refusal comes before the act itself, from what confirms it.
pub(super) fn is_about_confirmation(
    app: &App,
    request: &Request,
    Administrator(me): &Administrator,
    outcome: &Outcome,
) -> bool {
    match outcome {
        Outcome::ConfirmFirst
        | Outcome::RecoveryCodeNeeded
        | Outcome::WrongCode
        | Outcome::WrongPassword => true,
        Outcome::BadField(field, _) | Outcome::TooLong(field, ..) => {
            matches!(*field, "current_password" | "secret")
        }
        // Once both were right, the refusal is one of the act.
        Outcome::Busy(_) | Outcome::NotSaved | Outcome::Throttled(_) => {
            sent(request, "current_password").is_some() && !have_been_right(app, request, me)
        }
        _ => false,
    }
}

/// Whether this request or one of late has shown both: the account as it is now says so.
fn have_been_right(app: &App, request: &Request, me: &LoggedIn) -> bool {
    let account = app.store.account(&me.account.username).ok().flatten();
    let now = request.received.timestamp();
    account.is_some_and(|account| account.has_shown_of_late(&me.session, now))
}

/// What an act is about, in the words of the page that asks for password and code.
pub(super) struct Whom {
    /// The page to go back to.
    pub(super) back: String,
    /// What is done, as it stands before the name.
    pub(super) what: &'static str,
    pub(super) name: String,
}

/// The page that asks for both, and carries these fields of the act along.
pub(super) fn page(
    request: &Request,
    Administrator(me): &Administrator,
    carried: &[&'static str],
    whom: Whom,
) -> ConfirmAct {
    let carried = carried.iter();
    ConfirmAct {
        action: request.path.clone(),
        back: whom.back,
        what: whom.what,
        username: whom.name,
        own_name: me.account.username.clone(),
        carried: carried
            .filter_map(|field| Some((*field, sent(request, field)?)))
            .collect(),
        form: token::cookie(),
        problem: None,
    }
}

/// A field of the form as it was sent.
pub(super) fn sent(request: &Request, field: &'static str) -> Option<String> {
    let form = Form::of_body(request).ok()?;
    let value = form.optional(field, MAX_GROUPS).ok().flatten()?;
    Some(value.to_string())
}
