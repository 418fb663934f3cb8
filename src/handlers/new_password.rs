//! Choosing a new password: in exchange for the current one, or after a mailed one.

use crate::accounts::Account;
use crate::accounts::password::{self, Password};
use crate::accounts::pending::PendingChoice;
use crate::accounts::throttle::Standing;
use crate::accounts::token::Digest;
use crate::form::Form;
use crate::handlers::account::confirm;
use crate::handlers::code::device_of;
use crate::handlers::{
    Answer, App, LoggedIn, hash, new_password_field, require_login, start_session, take_back,
};
use crate::http::Request;
use crate::mail::Mail;
use crate::pages::{Page, Problem};
use crate::reply::{Outcome, Refusal, Reply};

/// A login by mailed password that waits for a new password, with its cookie.
fn pending_choice<'a>(app: &App, request: &'a Request) -> Option<(PendingChoice, &'a str)> {
    let cookie = app.cookies.login(request)?;
    let choice = app.pending.choice(cookie, request.received.timestamp())?;
    Some((choice, cookie))
}

/// `GET /account/password`: the page to choose a new password.
pub(super) fn password_page(app: &App, request: &Request) -> Answer {
    let (username, current_needed) = match pending_choice(app, request) {
        Some((choice, _)) => (choice.username, false),
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
        Some((choice, cookie)) if !form.has("current_password") => {
            let username = choice.username.clone();
            replace_mailed(app, request, choice, cookie).map_err(on_password_page(username, false))
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
    let current = Password::new(&form.required("current_password", password::MAX_LENGTH)?);
    let new = new_password_field(&form, "new_password")?;
    refuse_easy(app, &new, &me.account)?;

    confirm(app, request, me, current)?;
    let new = hash(app, request, Standing::Known, new)?;
    let username = me.account.username.clone();
    let changed = app.store.update(move |accounts| {
        accounts.change(&username, |account| {
            account.password = new;
            account.mailed_password = None;
        })
    })?;
    changed.ok_or(Outcome::LoginRequired)?;

    password_changed(
        app,
        request,
        &me.account,
        None,
        "/account?notice=password_changed",
    )
}

fn replace_mailed(app: &App, request: &Request, choice: PendingChoice, cookie: &str) -> Answer {
    let form = Form::of_body(request)?;
    let new = new_password_field(&form, "new_password")?;
    let account = app
        .store
        .resolve(&choice.username)
        .filter(|account| !account.disabled);
    let account = account.ok_or(Outcome::NoPendingLogin)?;
    refuse_easy(app, &new, &account)?;
    if choice.mailed.matches(new.as_str()) {
        return Err(Outcome::PasswordCommon.into());
    }

    let new = hash(app, request, Standing::Known, new)?;
    if !app.pending.finish(cookie) {
        return Err(Outcome::NoPendingLogin.into());
    }
    let (known, fresh) = device_of(app, request, &choice.username);
    let (username, now) = (choice.username.clone(), request.received.timestamp());
    let remembered = fresh.as_deref().map(Digest::of);
    let changed = app.store.update(move |accounts| {
        accounts.change(&username, |account| {
            account.password = new;
            account.logged_in(known);
            if let Some(id) = remembered {
                account.remember_device(id, now);
            }
        })
    })?;
    changed.ok_or(Outcome::NoPendingLogin)?;

    let onward = if choice.rd.is_empty() {
        "/account"
    } else {
        &choice.rd
    };
    password_changed(app, request, &account, fresh, onward)
}

fn refuse_easy(app: &App, new: &Password, account: &Account) -> Result<(), Refusal> {
    if app.script.is_none() && new.is_easy_to_guess(&account.username, &account.email) {
        return Err(Outcome::PasswordCommon.into());
    }
    Ok(())
}

/// After a change of the password, with the account as it was: everybody else is logged out, this
/// browser gets a new session.
fn password_changed(
    app: &App,
    request: &Request,
    account: &Account,
    device: Option<String>,
    onward: &str,
) -> Answer {
    app.pending.forget_account(&account.username);
    let before = account.password.clone();
    let cookies =
        start_session(app, request, &account.username, device, true).inspect_err(|_| {
            take_back(app, &account.username, |account| account.password = before);
        })?;
    let recovery_url = format!("{}/forgot_password", app.public_url);
    let (to, username) = (&account.email, &account.username);
    let mail = Mail::password_changed(to, username, request.received, &recovery_url);
    app.errands.mail_notice(mail);
    Ok(Reply::from(Outcome::PasswordChanged)
        .then_to(onward)
        .with_cookies(cookies)
        .about(&account.username))
}
