//! Routes for who is logged in: everything about one's own account.

use serde_json::{Value, json};

use crate::accounts::login::CodeRefused;
use crate::accounts::password::{self, Password};
use crate::accounts::pending::{PendingChoice, PendingMove};
use crate::accounts::session::Session;
use crate::accounts::token::Digest;
use crate::accounts::totp::Secret;
use crate::accounts::{Account, Accounts, names};
use crate::clock::Moment;
use crate::form::Form;
use crate::handlers::visitor::{check_password, device_of};
use crate::handlers::{
    Answer, App, LoggedIn, MAX_SECRET, hash, known_device, new_password_field, require_login,
    start_session,
};
use crate::http::Request;
use crate::mail::Mail;
use crate::pages::{AccountForm, AccountView, Page, Problem, SessionView, agent_label};
use crate::reply::{Outcome, Refusal, Reply};

/// `GET /account`: who I am, my sessions, my recovery codes left.
pub(super) fn account(app: &App, request: &Request) -> Answer {
    let me = require_login(app, request, "%2Faccount")?;

    let query = Form::of_query(request);
    let notice = query.optional("notice", 64).ok().flatten();
    let notice = notice.and_then(|notice| match notice.as_str() {
        "password_changed" => Some(Outcome::PasswordChanged),
        "authenticator_changed" => Some(Outcome::AuthenticatorChanged),
        "sessions_ended" => Some(Outcome::SessionsEnded),
        _ => None,
    });
    let notice = notice.map(|outcome| outcome.message().into_owned());

    let page = account_page(app, request, &me, notice, None);
    Ok(Reply::from(Outcome::Account(as_json(app, &me))).showing(page))
}

fn as_json(app: &App, me: &LoggedIn) -> Value {
    let sessions: Vec<Value> = sessions(app, me)
        .iter()
        .map(|session| {
            json!({
                "id": session.id.short(),
                "current": session.id == me.session.id,
                "created": session.created,
                "last_seen": session.last_seen(),
                "address": session.address,
                "agent": session.agent,
            })
        })
        .collect();
    json!({
        "username": me.account.username,
        "email": me.account.email,
        "groups": me.account.groups,
        "created": me.account.created,
        "recovery_codes_left": me.account.recovery_codes.len(),
        "sessions": sessions,
    })
}

/// My sessions that still last, the current one first, then the most recent.
fn sessions(app: &App, me: &LoggedIn) -> Vec<std::sync::Arc<Session>> {
    let all = app.store.sessions();
    let mut sessions: Vec<_> = all.of(&me.account.username).cloned().collect();
    sessions.sort_by_key(|session| {
        (
            session.id != me.session.id,
            std::cmp::Reverse(session.last_seen()),
        )
    });
    sessions
}

fn account_page(
    app: &App,
    request: &Request,
    me: &LoggedIn,
    notice: Option<String>,
    problem: Option<(AccountForm, Problem)>,
) -> Page {
    let sessions = sessions(app, me);
    let live =
        |session: &&std::sync::Arc<Session>| !session.is_over(app.session_limits, request.received);
    let view = |session: &std::sync::Arc<Session>| SessionView {
        id: session.id.short(),
        current: session.id == me.session.id,
        created: session.created.0,
        last_seen: session.last_seen().0,
        address: session.address.clone(),
        agent: agent_label(&session.agent),
    };
    Page::Account(AccountView {
        username: me.account.username.clone(),
        email: me.account.email.clone(),
        groups: me.account.groups.clone(),
        created: me.account.created.unwrap_or_default().0,
        recovery_codes_left: me.account.recovery_codes.len(),
        sessions: sessions.iter().filter(live).map(view).collect(),
        notice,
        problem,
        now: request.received.timestamp().0,
    })
}

/// Shows a refusal on the account page, beside the form it came from.
fn on_account_page<'a>(
    app: &'a App,
    request: &'a Request,
    me: &'a LoggedIn,
    form: AccountForm,
) -> impl FnOnce(Refusal) -> Refusal + 'a {
    move |refusal| {
        refusal
            .about(&me.account.username)
            .beside(|problem| account_page(app, request, me, None, Some((form, problem))))
    }
}

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
            let problem = Some(Problem { field, ..problem });
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
    let new = hash(app, request, new)?;
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

    let new = hash(app, request, new)?;
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

/// After a change of the password: everybody else is logged out, this browser gets a new session.
fn password_changed(
    app: &App,
    request: &Request,
    account: &Account,
    device: Option<String>,
    onward: &str,
) -> Answer {
    app.pending.forget_account(&account.username);
    let cookies = start_session(app, request, &account.username, device, true)?;
    let recovery_url = format!("{}/forgot_password", app.public_url);
    let (to, username) = (&account.email, &account.username);
    let mail = Mail::password_changed(to, username, request.received, &recovery_url);
    app.errands.mail_notice(mail);
    Ok(Reply::from(Outcome::PasswordChanged)
        .then_to(onward)
        .with_cookies(cookies)
        .about(&account.username))
}

/// Asks for the password again before something that cannot be undone.
fn confirm(app: &App, request: &Request, me: &LoggedIn, current: Password) -> Result<(), Refusal> {
    let proof = check_password(app, request, &me.account.username, current)?;
    // A mailed password leads to choosing a new one, and to nothing else.
    let proof = proof
        .filter(|proof| proof.mailed.is_none())
        .ok_or(Outcome::WrongPassword)?;
    drop(proof);
    Ok(())
}

/// `POST /account/recovery_codes`: ten new recovery codes; the old ones die.
pub(super) fn new_recovery_codes(app: &App, request: &Request) -> Answer {
    let me = require_login(app, request, "%2Faccount")?;
    replace_recovery_codes(app, request, &me).map_err(on_account_page(
        app,
        request,
        &me,
        AccountForm::RecoveryCodes,
    ))
}

fn replace_recovery_codes(app: &App, request: &Request, me: &LoggedIn) -> Answer {
    let form = Form::of_body(request)?;
    let current = Password::new(&form.required("current_password", password::MAX_LENGTH)?);

    confirm(app, request, me, current)?;
    let username = me.account.username.clone();
    let codes = app
        .store
        .update(move |accounts| accounts.change(&username, Account::new_recovery_codes))?;
    let codes = codes.ok_or(Outcome::LoginRequired)?;
    notify(
        app,
        request,
        &me.account,
        Mail::recovery_codes_replaced,
        "/account",
    );

    let page = Page::RecoveryCodes {
        codes: codes.clone(),
        onward: "/account".to_owned(),
    };
    Ok(Reply::from(Outcome::RecoveryCodes(codes))
        .showing(page)
        .about(&me.account.username))
}

/// `POST /account/totp`: a new key, which replaces the old one once a code of it has come.
pub(super) fn begin_move(app: &App, request: &Request) -> Answer {
    let me = require_login(app, request, "%2Faccount")?;
    new_secret(app, request, &me).map_err(on_account_page(app, request, &me, AccountForm::Move))
}

fn new_secret(app: &App, request: &Request, me: &LoggedIn) -> Answer {
    confirm_both(app, request, me)?;
    let secret = Secret::new();
    let (key, username) = (secret.base32(), me.account.username.clone());
    let otpauth = secret.otpauth(&app.issuer, &username);
    let moving = PendingMove {
        username: username.clone(),
        secret,
    };
    app.pending
        .begin_move(me.session.id, moving, request.received.timestamp());

    let outcome = Outcome::EnrolRequired {
        secret: key.clone(),
        otpauth: otpauth.clone(),
    };
    let page = Page::Enrol {
        username: username.clone(),
        key,
        otpauth,
        moving: true,
        problem: None,
    };
    Ok(Reply::from(outcome).showing(page).about(&username))
}

/// `POST /account/totp/confirm`: a code of the new key makes it the second factor.
pub(super) fn confirm_move(app: &App, request: &Request) -> Answer {
    let me = require_login(app, request, "%2Faccount")?;
    let moving = app
        .pending
        .moving(me.session.id, request.received.timestamp());
    let moving = moving.ok_or(Outcome::NoPendingLogin)?;

    replace_secret(app, request, &me, &moving).map_err(|refusal| {
        refusal
            .about(&moving.username)
            .beside(|problem| Page::Enrol {
                username: moving.username.clone(),
                key: moving.secret.base32(),
                otpauth: moving.secret.otpauth(&app.issuer, &moving.username),
                moving: true,
                problem: Some(problem),
            })
    })
}

fn replace_secret(app: &App, request: &Request, me: &LoggedIn, moving: &PendingMove) -> Answer {
    let form = Form::of_body(request)?;
    let typed = form.required("secret", MAX_SECRET)?.to_string();

    let device = known_device(app, request, Some(&me.account));
    let (secret, now) = (moving.secret.clone(), request.received);
    code_change(app, request, me, device, move |account| {
        account.confirm_secret(&secret, &typed, device, now)
    })?;
    app.pending.forget_account(&me.account.username);
    notify(
        app,
        request,
        &me.account,
        Mail::authenticator_changed,
        "/account",
    );

    Ok(Reply::from(Outcome::AuthenticatorChanged)
        .then_to("/account?notice=authenticator_changed")
        .about(&me.account.username))
}

/// `POST /account/sessions/end`: ends one session, or all but this one.
pub(super) fn end_sessions(app: &App, request: &Request) -> Answer {
    let me = require_login(app, request, "%2Faccount")?;
    let form = Form::of_body(request).and_then(|form| form.required("session", 64));
    let which = form
        .map_err(|error| on_account_page(app, request, &me, AccountForm::Sessions)(error.into()))?;

    let (own, name) = (me.session.id, names::key(&me.account.username));
    let ends_own = *which == own.short();
    app.store.update_sessions(move |sessions| {
        sessions.retain(|session| {
            let named = if *which == "others" {
                session.id != own
            } else {
                *which == session.id.short()
            };
            names::key(&session.username) != name || !named
        })
    })?;

    let reply = Reply::from(Outcome::SessionsEnded).about(&me.account.username);
    Ok(if ends_own {
        reply
            .then_to("/login")
            .with_cookie(app.cookies.end_session())
    } else {
        reply.then_to("/account?notice=sessions_ended")
    })
}

/// `POST /account/delete`: deletes the account and all its sessions.
pub(super) fn delete(app: &App, request: &Request) -> Answer {
    let me = require_login(app, request, "%2Faccount")?;
    remove(app, request, &me).map_err(on_account_page(app, request, &me, AccountForm::Delete))
}

fn remove(app: &App, request: &Request, me: &LoggedIn) -> Answer {
    confirm_both(app, request, me)?;
    let (username, name) = (me.account.username.clone(), names::key(&me.account.username));
    app.pending.forget_account(&name);
    // First, or somebody who registers the freed name might meet them.
    app.store.update_sessions(move |sessions| {
        sessions.retain(|session| names::key(&session.username) != name)
    })?;
    app.store
        .update(move |accounts: &mut Accounts| accounts.remove(&username))?;
    notify(app, request, &me.account, Mail::account_deleted, "/");

    Ok(Reply::from(Outcome::AccountDeleted)
        .then_to("/login?notice=account_deleted")
        .with_cookie(app.cookies.end_session())
        .clearing_site_data()
        .about(&me.account.username))
}

/// Asks for the password and for a code, or a recovery code, which is used up.
fn confirm_both(app: &App, request: &Request, me: &LoggedIn) -> Result<(), Refusal> {
    let form = Form::of_body(request)?;
    let current = Password::new(&form.required("current_password", password::MAX_LENGTH)?);
    let typed = form.required("secret", MAX_SECRET)?.to_string();

    confirm(app, request, me, current)?;
    let device = known_device(app, request, Some(&me.account));
    let now = request.received;
    code_change(app, request, me, device, move |account| {
        account.accept_code(&typed, device, now)
    })
}

/// Changes my account by a code, unless it has to wait; a wrong one counts against the address too.
fn code_change(
    app: &App,
    request: &Request,
    me: &LoggedIn,
    device: Option<Digest>,
    change: impl FnOnce(&mut Account) -> Result<(), CodeRefused> + Send + 'static,
) -> Result<(), Refusal> {
    let now: Moment = request.received;
    let username = me.account.username.clone();
    let judged = app.store.update(move |accounts| {
        // Looked at before the change, so that an attempt made too early costs no save.
        let wait = accounts.find(&username)?.code_wait(device, now.timestamp());
        match wait {
            Some(wait) => Some(Err(CodeRefused::TooEarly(wait))),
            None => accounts.change(&username, change),
        }
    })?;
    match judged {
        None => Err(Outcome::LoginRequired.into()),
        Some(Ok(())) => Ok(()),
        Some(Err(CodeRefused::TooEarly(wait))) => Err(Outcome::Throttled(wait).into()),
        Some(Err(CodeRefused::Wrong)) => {
            app.throttle.count_address(request.client, now.timestamp());
            Err(Outcome::WrongCode.into())
        }
    }
}

/// Tells the owner by mail what was done to the account.
fn notify(
    app: &App,
    request: &Request,
    account: &Account,
    mail: fn(&str, &str, Moment, &str) -> Mail,
    path: &str,
) {
    let url = format!("{}{path}", app.public_url);
    app.errands.mail_notice(mail(
        &account.email,
        &account.username,
        request.received,
        &url,
    ));
}
