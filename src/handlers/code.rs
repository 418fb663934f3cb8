//! The second step of a login by a code of the authenticator, or a recovery code.

use crate::accounts::devices::Device;
use crate::accounts::login::{Accepted, Tried, is_recovery_code};
use crate::accounts::pending::PendingLogin;
use crate::accounts::token::{self, Digest};
use crate::accounts::totp::Secret;
use crate::accounts::{Account, names};
use crate::form::Form;
use crate::handlers::entry::agent;
use crate::handlers::forms::{CodeForm, Typed, rd_field, typed_code};
use crate::handlers::second_step::{Waiting, pass};
use crate::handlers::{Answer, App, known_device, logged_in, passkey};
use crate::http::{Method, Request};
use crate::mail::Notice;
use crate::pages::code::EnterCode;
use crate::pages::enrol::Enrol;
use crate::pages::logged_in::AlreadyLoggedIn;
use crate::pages::message::{Message, Way};
use crate::pages::{self, Page, Problem};
use crate::reply::{Outcome, Refusal, Reply};

/// `GET /secret_key`: asks for the code, and shows the key if it is not confirmed yet.
pub(super) fn secret_key_page(app: &App, request: &Request) -> Answer {
    let (_, login) = waiting(app, request)?;

    Ok(Reply::page(code_page(app, request, &login, None)))
}

/// The login that waits for this browser's second step, with its cookie.
pub(super) fn waiting<'a>(
    app: &App,
    request: &'a Request,
) -> Result<(&'a str, PendingLogin), Refusal> {
    let cookie = app.cookies.login(request).unwrap_or_default();
    let now = request.received.timestamp();
    let login = app.store.pending_login(cookie, now)?;
    let login = login.ok_or_else(|| no_pending(app, request))?;
    Ok((cookie, login))
}

/// The page that asks for the code, with what is wrong, if anything is.
fn code_page(
    app: &App,
    request: &Request,
    login: &PendingLogin,
    problem: Option<Problem>,
) -> Box<dyn Page> {
    match (&login.enrolling, problem) {
        (Some(secret), None) => enrol(app, login, secret).into(),
        (Some(secret), Some(problem)) => enrol(app, login, secret).refused(problem).into(),
        (None, None) => enter_code(app, request, login).into(),
        (None, Some(problem)) => enter_code(app, request, login).refused(problem).into(),
    }
}

fn enrol(app: &App, login: &PendingLogin, secret: &Secret) -> Enrol {
    Enrol {
        username: login.username.clone(),
        key: secret.base32(),
        otpauth: secret.otpauth(&app.issuer, &login.username),
        rd: login.rd.clone(),
        ..Enrol::default()
    }
}

fn enter_code(app: &App, request: &Request, login: &PendingLogin) -> EnterCode {
    let account = app.store.account(&login.username).ok().flatten();
    let cookie = app.cookies.login(request).unwrap_or_default();
    let ask = |account: &Account| passkey::ask_after_password(app, request, cookie, account);
    // Without an app, the code is a recovery code.
    let has_app = account
        .as_ref()
        .is_none_or(|account| account.totp.is_some());
    EnterCode {
        username: login.username.clone(),
        recovery: !has_app || Form::of_query(request).has("recovery"),
        has_app,
        passkey: account
            .as_deref()
            .and_then(ask)
            .map(|asked| asked.to_string()),
        rd: login.rd.clone(),
        problem: None,
    }
}

/// `POST /secret_key`: a right code completes the login.
pub(super) fn secret_key(app: &App, request: &Request) -> Answer {
    let (cookie, login) = waiting(app, request)?;

    second_step(app, request, cookie, &login)
        .map_err(|refusal| beside_code(app, request, &login, refusal))
}

/// Shows a refusal on the page that asks for the code.
pub(super) fn beside_code(
    app: &App,
    request: &Request,
    login: &PendingLogin,
    refusal: Refusal,
) -> Refusal {
    let again = |problem| code_page(app, request, login, Some(about_code(request, problem)));
    refusal
        .about(&login.username)
        .beside(again)
        .showing(begin_again(&login.rd))
}

/// Gives other advice for a wrong recovery code: a phone's clock has nothing to do with that.
pub(super) fn about_code(request: &Request, problem: Problem) -> Problem {
    let is_wrong = problem.text == Outcome::WrongCode.message();
    if !is_wrong || !is_recovery_code(&typed_code(request)) {
        return problem;
    }
    let advice =
        "It is none of your recovery codes, or it was used: each works once. Take the next.";
    Problem {
        advice: advice.to_owned(),
        ..problem
    }
}

/// The refusal of a code that no login waits for, with a way on.
fn no_pending(app: &App, request: &Request) -> Refusal {
    let refusal = Refusal::from(Outcome::NoPendingLogin);
    let sent = match request.method {
        Method::Post => Typed::of(app, request).rd,
        _ => rd_field(app, &Form::of_query(request)).unwrap_or_default(),
    };
    if let Ok(Some(me)) = logged_in(app, request) {
        let username = me.account.username.clone();
        let onward = if sent.is_empty() {
            "/account".to_owned()
        } else {
            sent
        };
        return refusal.showing(AlreadyLoggedIn {
            username,
            onward,
            missed: true,
            notice: None,
        });
    }
    let now = request.received.timestamp();
    let choice = |cookie| app.store.pending_choice(cookie, now).ok().flatten();
    let choosing = app.cookies.login(request).and_then(choice);
    if choosing.is_some() {
        return refusal.showing(Message {
            title: "Choose a new password".to_owned(),
            text: "Your code was right. What is left is a password of your own.".to_owned(),
            advice: String::new(),
            onward: Way::new("/account/password", "Choose a new password"),
            else_to: Some(Way::new(pages::with_rd("/login", &sent), "Start again")),
        });
    }
    refusal.showing(begin_again(&sent))
}

/// The page for visitors who are at the code when no login waits for one.
fn begin_again(rd: &str) -> Message {
    Message {
        title: "Log in first".to_owned(),
        text: Outcome::NoPendingLogin.message().into_owned(),
        advice: "A login waits five minutes for its code, and for five tries; a restart of this \
                 site may end it too. If you come straight from your password, your browser keeps \
                 no cookies for this site: allow them, or no login can succeed."
            .to_owned(),
        onward: Way::new(pages::with_rd("/login", rd), "Log in"),
        else_to: None,
    }
}

fn second_step(app: &App, request: &Request, cookie: &str, login: &PendingLogin) -> Answer {
    let CodeForm { secret, name } = CodeForm::parse(request)?;
    if let Some(name) = name {
        check_named(app, &name, login)?;
    }

    let account = app.store.account(&login.username)?;
    let waiting = Waiting {
        cookie,
        login,
        account: account.as_deref(),
    };
    let typed = secret.to_string();
    let tried = match login.enrolling {
        Some(_) => Tried::New,
        None => Tried::Own(typed.clone()),
    };
    let (enrolling, now) = (login.enrolling.clone(), request.received);
    let accept = move |account: &mut Account, known| match &enrolling {
        Some(secret) => {
            account.confirm_secret(secret, &typed, known, now)?;
            Ok((Accepted::Code, account.new_recovery_codes()))
        }
        None => Ok((account.accept_code(&typed, known, now)?, Vec::new())),
    };
    let passed = pass(app, request, waiting, tried, accept)?;
    passed.map_err(|why| Outcome::from(why).into())
}

/// Checks that the name in the form belongs to the account that is logging in.
fn check_named(app: &App, name: &str, login: &PendingLogin) -> Result<(), Refusal> {
    let named = app.store.account(name)?;
    if named.is_some_and(|account| names::is_same(&account.username, &login.username)) {
        return Ok(());
    }
    Err(Outcome::BadField("username", "is not the one that logs in").into())
}

/// Tells the owner that one of their recovery codes was used, and how many are left.
pub(super) fn tell_of_recovery_code(app: &App, request: &Request, username: &str, left: usize) {
    if let Ok(Some(account)) = app.store.account(username) {
        let notice = Notice::RecoveryCodeUsed { left };
        app.errands.notify(&account, &notice, request.received);
    }
}

/// The browser's digest if the account knows it, else a new value for its cookie.
pub(super) fn device_of(
    app: &App,
    request: &Request,
    account: Option<&Account>,
) -> (Option<Digest>, Option<String>) {
    let known = known_device(app, request, account);
    (known, known.is_none().then(token::cookie))
}

/// A browser that the account will know by this value of its cookie.
pub(super) fn new_device(request: &Request, cookie: &str) -> Device {
    Device::new(
        Digest::of(cookie),
        agent(request),
        request.received.timestamp(),
    )
}
