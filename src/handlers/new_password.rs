//! Choosing a new password: in exchange for the current one, or after a mailed one.

use crate::accounts::Account;
use crate::accounts::password::Password;
use crate::accounts::pending::PendingChoice;
use crate::accounts::person::Person;
use crate::accounts::throttle::Standing;
use crate::accounts::token::Digest;
use crate::as_typed;
use crate::form::Form;
use crate::handlers::acts::confirm;
use crate::handlers::code::{device_of, new_device};
use crate::handlers::entry::Entry;
use crate::handlers::forms::{ChangedPassword, ChosenPassword};
use crate::handlers::grounds::{Grounds, gone};
use crate::handlers::{Answer, App, LoggedIn, hash, known_device, new_login, require_login};
use crate::http::Request;
use crate::mail::Notice;
use crate::network::Network;
use crate::pages::choose_password::ChoosePassword;
use crate::reply::{Outcome, Refusal, Reply};
use crate::store::Unavailable;

/// A login by mailed password that waits for a new password.
fn pending_choice(app: &App, request: &Request) -> Result<Option<PendingChoice>, Unavailable> {
    let now = request.received.timestamp();
    match app.cookies.login(request) {
        Some(cookie) => app.store.pending_choice(cookie, now),
        None => Ok(None),
    }
}

/// `GET /account/password`: the page to choose a new password.
pub(super) fn password_page(app: &App, request: &Request) -> Answer {
    let (username, current_needed) = match pending_choice(app, request)? {
        Some(choice) => (choice.username, false),
        None => {
            let me = require_login(app, request, "%2Faccount%2Fpassword")?;
            (me.account.username.clone(), true)
        }
    };
    Ok(Reply::page(ChoosePassword {
        username,
        current_needed,
        problem: None,
    }))
}

/// `POST /account/password`: a new password, in exchange for the current one or after a mailed one.
pub(super) fn change_password(app: &App, request: &Request) -> Answer {
    let form = Form::of_body(request)?;
    match pending_choice(app, request)? {
        Some(choice) if !form.has("current_password") => {
            let username = choice.username.clone();
            ChosenPassword::read(&form)
                .and_then(|form| replace_mailed(app, request, choice, form))
                .map_err(on_password_page(username, false))
        }
        _ => {
            let me = require_login(app, request, "%2Faccount%2Fpassword")?;
            let username = me.account.username.clone();
            ChangedPassword::read(&form)
                .and_then(|form| replace_current(app, request, &me, form))
                .map_err(on_password_page(username, true))
        }
    }
}

fn on_password_page(username: String, current_needed: bool) -> impl FnOnce(Refusal) -> Refusal {
    move |refusal| {
        let page = ChoosePassword {
            username,
            current_needed,
            problem: None,
        };
        let refusal = refusal.about(&page.username);
        refusal.beside(|problem| page.refused(problem))
    }
}

fn replace_current(app: &App, request: &Request, me: &LoggedIn, form: ChangedPassword) -> Answer {
    let ChangedPassword { current, new } = form;
    refuse_easy(app, &new, me.account.names())?;

    let proof = confirm(app, request, me, current)?;
    let new = hash(app, request, Standing::Known, &new)?;
    let (grounds, account) = (Grounds::password(me, &proof), &me.account);
    let known = known_device(app, request, Some(account));
    let is_still = move |person: &mut Person<'_>| grounds.hold(Some(person));
    let change = move |account: &mut Account| account.change_password(new.clone(), known);
    let entry = Entry::new(app, request).in_place_of(&me.session);
    let entry = (entry, None);
    let cookies = save(app, request, (account, None), entry, is_still, change)?;

    Ok(Reply::from(Outcome::PasswordChanged)
        .then_to("/account?notice=password_changed")
        .with_cookies(cookies)
        .about(&account.username))
}

fn replace_mailed(
    app: &App,
    request: &Request,
    choice: PendingChoice,
    form: ChosenPassword,
) -> Answer {
    let ChosenPassword { new } = form;
    let account = app
        .store
        .account(&choice.username)?
        .filter(|account| choice.is_for(account));
    let account = account.ok_or(Outcome::NoPendingLogin)?;
    refuse_easy(app, &new, account.names())?;
    if choice
        .mailed
        .matches(&as_typed::mailed_password(new.as_str()))
    {
        return Err(Outcome::PasswordCommon.into());
    }

    let new = hash(app, request, Standing::Known, &new)?;
    let (known, fresh) = device_of(app, request, Some(&account));
    let (network, now) = (Network::of(request.client), request.received.timestamp());
    let remembered = fresh.as_deref().map(|fresh| new_device(request, fresh));
    let pending = app.cookies.login(request).map(Digest::of);
    let is_still = move |person: &mut Person<'_>| used_up(person, pending);
    let device = fresh.clone();
    let change = move |account: &mut Account| {
        account.change_password(new.clone(), known);
        account.logged_in(known, network, now);
        // The password came to that address.
        account.email_proven = true;
        if let Some(device) = &remembered {
            account.remember_device(device.clone(), now);
        }
    };
    let entry = Entry::new(app, request).remembered(choice.remember.then_some(now));
    let (entry, of) = ((entry, fresh), (&*account, pending));
    let cookies = save(app, request, of, entry, is_still, change)?;
    new_login::tell(app, request, &account, device.as_deref(), choice.by);

    let onward = match choice.rd.as_str() {
        // There it says what is still good beside it.
        "" if account.outlasting(now).is_some() => "/account?notice=password_changed",
        "" => "/account",
        rd => rd,
    };
    Ok(Reply::from(Outcome::PasswordChanged)
        .then_to(onward)
        .with_cookies(cookies)
        .entered_by(choice.by)
        .about(&account.username))
}

/// Refuses a password that is common, or is the account's own name or address. The original script
/// knows no such rule.
pub(super) fn refuse_easy(
    app: &App,
    new: &Password,
    (username, email): (&str, Option<&str>),
) -> Result<(), Refusal> {
    if app.script.is_none() && new.is_easy_to_guess(username, email) {
        return Err(Outcome::PasswordCommon.into());
    }
    Ok(())
}

/// Ends the login that waits for a new password, if it still does and the account is the one it
/// began with.
fn used_up(person: &mut Person<'_>, pending: Option<Digest>) -> Result<(), Outcome> {
    let choice = person.choice();
    let waits = choice.is_some_and(|choice| choice.is_for(person.account()));
    let id = pending.filter(|_| waits).ok_or(Outcome::NoPendingLogin)?;
    person.end_pending(id);
    Ok(())
}

/// Saves a new password, which ends all sessions begun under the old one, and begins one
/// for this browser, if `is_still` finds that the grounds are still there. With the account goes
/// what waits for the password, if anything does.
fn save(
    app: &App,
    request: &Request,
    (account, pending): (&Account, Option<Digest>),
    (entry, device): (Entry, Option<String>),
    is_still: impl Fn(&mut Person<'_>) -> Result<(), Outcome> + Send + 'static,
    change: impl Fn(&mut Account) + Send + 'static,
) -> Result<Vec<String>, Refusal> {
    let (username, now) = (&account.username, request.received.timestamp());
    let start = entry.start();
    let change = move |person: &mut Person<'_>| {
        is_still(person)?;
        change(person.account_mut());
        start.begin(person);
        person.forget_pending();
        Ok(())
    };
    let saved = match pending {
        Some(id) => app.store.change_pending((id, now), username, change)?,
        None => app.store.change(username, change)?,
    };
    saved.unwrap_or(Err(Outcome::LoginRequired)).map_err(gone)?;

    let notice = Notice::PasswordChanged;
    app.errands.notify(account, &notice, request.received);
    Ok(entry.hand_out(app, request, username, device))
}
