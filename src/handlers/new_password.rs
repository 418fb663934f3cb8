//! Choosing a new password: in exchange for the current one, or after a mailed one.

use crate::accounts::Account;
use crate::accounts::password::Password;
use crate::accounts::pending::PendingChoice;
use crate::accounts::session::Basis;
use crate::accounts::throttle::Standing;
use crate::accounts::token::Digest;
use crate::as_typed;
use crate::form::Form;
use crate::handlers::account::confirm;
use crate::handlers::code::{device_of, new_device};
use crate::handlers::{
    Answer, App, LoggedIn, hash, new_password_field, new_session, password_field, require_login,
    session_started,
};
use crate::http::Request;
use crate::mail::Notice;
use crate::origin::Origin;
use crate::pages::{Page, Problem};
use crate::reply::{Outcome, Refusal, Reply};

/// A login by mailed password that waits for a new password.
fn pending_choice(app: &App, request: &Request) -> Option<PendingChoice> {
    let cookie = app.cookies.login(request)?;
    app.pending.choice(cookie, request.received.timestamp())
}

/// `GET /account/password`: the page to choose a new password.
pub(super) fn password_page(app: &App, request: &Request) -> Answer {
    let (username, current_needed) = match pending_choice(app, request) {
        Some(choice) => (choice.username, false),
        None => {
            let me = require_login(app, request, "%2Faccount%2Fpassword")?;
            (me.account.username.clone(), true)
        }
    };
    Ok(Reply::page(Page::ChoosePassword {
        username,
        current_needed,
        problem: None,
    }))
}

/// `POST /account/password`: a new password, in exchange for the current one or after a mailed one.
pub(super) fn change_password(app: &App, request: &Request) -> Answer {
    let form = Form::of_body(request)?;
    match pending_choice(app, request) {
        Some(choice) if !form.has("current_password") => {
            let username = choice.username.clone();
            replace_mailed(app, request, choice).map_err(on_password_page(username, false))
        }
        _ => {
            let me = require_login(app, request, "%2Faccount%2Fpassword")?;
            let username = me.account.username.clone();
            replace_current(app, request, &me).map_err(on_password_page(username, true))
        }
    }
}

fn on_password_page(username: String, current_needed: bool) -> impl FnOnce(Refusal) -> Refusal {
    move |refusal| {
        refusal.about(&username).beside(|problem| {
            // The rules speak of `password`; here that field is the new one.
            let field = problem
                .field
                .map(|f| if f == "password" { "new_password" } else { f });
            let start = if current_needed {
                "current_password"
            } else {
                "new_password"
            };
            let problem = Some(Problem { field, ..problem }.near(start));
            Page::ChoosePassword {
                username: username.clone(),
                current_needed,
                problem,
            }
        })
    }
}

fn replace_current(app: &App, request: &Request, me: &LoggedIn) -> Answer {
    let form = Form::of_body(request)?;
    let current = password_field(&form, "current_password")?;
    let new = new_password_field(&form, "new_password")?;
    refuse_easy(app, &new, &me.account)?;

    confirm(app, request, me, current)?;
    let new = hash(app, request, Standing::Known, new)?;
    let (account, old) = (&me.account, me.session.basis.password_id);
    let cookies = save(app, request, account, new.id(), None, move |account| {
        account.change_password(old, new)
    })?;
    let cookies = cookies.ok_or(Outcome::LoginRequired)?;

    Ok(Reply::from(Outcome::PasswordChanged)
        .then_to("/account?notice=password_changed")
        .with_cookies(cookies)
        .about(&account.username))
}

fn replace_mailed(app: &App, request: &Request, choice: PendingChoice) -> Answer {
    let form = Form::of_body(request)?;
    let new = new_password_field(&form, "new_password")?;
    let account = app
        .store
        .resolve(&choice.username)
        .filter(|account| choice.is_for(account));
    let account = account.ok_or(Outcome::NoPendingLogin)?;
    refuse_easy(app, &new, &account)?;
    if choice
        .mailed
        .matches(&as_typed::mailed_password(new.as_str()))
    {
        return Err(Outcome::PasswordCommon.into());
    }

    let new = hash(app, request, Standing::Known, new)?;
    let (known, fresh) = device_of(app, request, &choice.username);
    let (old, now) = (choice.basis.password_id, request.received.timestamp());
    let network = Origin::of(request.client);
    let remembered = fresh.as_deref().map(|fresh| new_device(request, fresh));
    let id = new.id();
    let cookies = save(app, request, &account, id, fresh, move |account| {
        let changed = account.change_password(old, new);
        if changed {
            account.logged_in(known, network, now);
            if let Some(device) = remembered {
                account.remember_device(device, now);
            }
        }
        changed
    })?;
    let cookies = cookies.ok_or(Outcome::NoPendingLogin)?;

    let onward = if choice.rd.is_empty() {
        "/account"
    } else {
        &choice.rd
    };
    Ok(Reply::from(Outcome::PasswordChanged)
        .then_to(onward)
        .with_cookies(cookies)
        .about(&account.username))
}

fn refuse_easy(app: &App, new: &Password, account: &Account) -> Result<(), Refusal> {
    if app.script.is_none() && new.is_easy_to_guess(&account.username, &account.email) {
        return Err(Outcome::PasswordCommon.into());
    }
    Ok(())
}

/// Saves a new password, which ends all sessions begun under the old one, and begins a session for
/// this browser. None if somebody else changed the password in the meantime.
///
/// The session is saved first and counts for nothing until its password is the account's. So one
/// save decides, and whatever fails or is killed around it, nobody is in who should be out.
fn save(
    app: &App,
    request: &Request,
    account: &Account,
    new: Digest,
    device: Option<String>,
    change: impl FnOnce(&mut Account) -> bool + Send + 'static,
) -> Result<Option<Vec<String>>, Refusal> {
    let basis = Basis {
        password_id: new,
        ..account.basis()
    };
    let (session, cookie) = new_session(request, (&account.username, basis));
    app.store
        .update_sessions(move |sessions| sessions.add(session))?;
    let username = account.username.clone();
    let changed = app
        .store
        .update(move |accounts| accounts.change(&username, change))?;
    if changed != Some(true) {
        return Ok(None);
    }

    app.pending.forget_account(&account.username);
    let (username, now) = (&account.username, request.received);
    app.errands.notify(account, &Notice::PasswordChanged, now);
    Ok(Some(session_started(
        app, request, username, &cookie, device,
    )))
}
