//! What follows once the second factor has been looked at, whichever it is: the session begins, or,
//! after a mailed password, a new one must be chosen.

use std::sync::Arc;

use crate::accounts::Account;
use crate::accounts::login::{Accepted, CodeRefused, SecondStep, Tried};
use crate::accounts::pending::PendingLogin;
use crate::accounts::person::Person;
use crate::accounts::token::Digest;
use crate::handlers::code::{device_of, new_device, tell_of_recovery_code};
use crate::handlers::entry::Entry;
use crate::handlers::tries::{Code, Judged};
use crate::handlers::{Answer, App, new_login};
use crate::http::Request;
use crate::network::Network;
use crate::pages::recovery_codes::RecoveryCodes;
use crate::reply::{Outcome, Refusal, Reply};

/// A login that waits for its second step.
#[derive(Clone, Copy)]
pub(super) struct Waiting<'a> {
    pub(super) cookie: &'a str,
    pub(super) login: &'a PendingLogin,
    /// As it was before; `None` if it is gone.
    pub(super) account: Option<&'a Account>,
}

/// What was right, and the recovery codes that enrolling earned.
pub(super) type Passed = (Accepted, Vec<String>);

/// Passes the second step if `accept` finds on the account as it then is that what was tried is
/// right; `accept` is given the browser's digest if the account knows it.
///
/// # Errors
///
/// If the login is over, or cannot be saved; the inner error, if what was tried was wrong, which is
/// counted here, or came too early.
pub(super) fn pass(
    app: &App,
    request: &Request,
    waiting: Waiting<'_>,
    tried: Tried,
    accept: impl Fn(&mut Account, Option<Digest>) -> Judged<Passed> + Send + 'static,
) -> Result<Judged<Reply>, Refusal> {
    let Waiting {
        cookie,
        login,
        account,
    } = waiting;
    let (known, new) = device_of(app, request, account);
    let code = Code {
        username: login.username.clone(),
        tried,
        known,
        after_mail: login.mailed.is_some(),
        now: request.received,
    };
    let device = new.as_deref().map(|new| new_device(request, new));
    let (network, now) = (Network::of(request.client), request.received.timestamp());
    let is_still = still_waits(app, request, cookie, login);
    // After a mailed password there is no session yet: a new password must be chosen first.
    let entry = login.mailed.is_none().then(|| {
        let stays = login.remember.then_some(now);
        Entry::new(app, request).remembered(stays)
    });
    let start = entry.as_ref().map(Entry::start);
    let judged = code.begin(app, request)?.judge(is_still, move |person| {
        let account = person.account_mut();
        let passed = accept(account, known)?;
        if let Some(start) = &start {
            account.logged_in(known, network, now);
            if let Some(device) = &device {
                account.remember_device(device.clone(), now);
            }
            start.begin(person);
        }
        Ok(passed)
    })?;
    let (accepted, codes) = match judged {
        Ok(passed) => passed,
        Err(why) => {
            // The account and the network have counted it already.
            if matches!(why, CodeRefused::Wrong | CodeRefused::WrongMeanwhile) {
                app.pending.wrong_code(cookie);
            }
            return Ok(Err(why));
        }
    };
    let by = passed_by(login, &accepted);
    let reply = match entry {
        None => must_choose(app, request, (cookie, by), &login.username, codes)?,
        Some(entry) => {
            app.pending.finish(cookie);
            if let Some(before) = account {
                new_login::tell(app, request, before, new.as_deref(), by);
            }
            let cookies = entry.hand_out(app, request, &login.username, new);
            complete(login, codes).with_cookies(cookies).entered_by(by)
        }
    };
    Ok(Ok(match accepted {
        Accepted::RecoveryCode { left } => by_recovery_code(app, request, login, left, reply),
        Accepted::Code | Accepted::Passkey => reply,
    }))
}

fn passed_by(login: &PendingLogin, accepted: &Accepted) -> SecondStep {
    match accepted {
        Accepted::RecoveryCode { .. } => SecondStep::RecoveryCode,
        Accepted::Passkey => SecondStep::Passkey,
        Accepted::Code if login.enrolling.is_some() => SecondStep::Enrolment,
        Accepted::Code => SecondStep::Code,
    }
}

/// Tells the owner, and the log, that a recovery code has completed the login.
fn by_recovery_code(
    app: &App,
    request: &Request,
    login: &PendingLogin,
    left: usize,
    reply: Reply,
) -> Reply {
    tell_of_recovery_code(app, request, &login.username, left);
    reply.noted_as(match login.mailed {
        Some(_) => "password_change_required_by_recovery_code",
        None => "login_by_recovery_code",
    })
}

/// Whether the login still waits for its code, and the account is still the one it began with.
fn still_waits(
    app: &App,
    request: &Request,
    cookie: &str,
    login: &PendingLogin,
) -> impl Fn(Option<&Person<'_>>) -> Result<(), Outcome> + use<> {
    let (pending, login) = (Arc::clone(&app.pending), login.clone());
    let (cookie, now) = (cookie.to_owned(), request.received.timestamp());
    move |person| {
        let is_same = person.is_some_and(|person| login.is_for(person.account()));
        let waits = is_same && pending.login(&cookie, now).is_some();
        waits.then_some(()).ok_or(Outcome::NoPendingLogin)
    }
}

/// Both factors were right: the visitor goes on to where they wanted to go.
fn complete(login: &PendingLogin, codes: Vec<String>) -> Reply {
    let onward = match login.rd.as_str() {
        "" => "/account",
        rd => rd,
    };
    completed(&login.username, codes, onward, Outcome::LoginComplete).about(&login.username)
}

/// After a mailed password: a new one must be chosen before there is a session.
fn must_choose(
    app: &App,
    request: &Request,
    (cookie, by): (&str, SecondStep),
    username: &str,
    codes: Vec<String>,
) -> Answer {
    let choice = app
        .pending
        .must_choose(cookie, by, request.received.timestamp());
    let choice = choice.ok_or(Outcome::NoPendingLogin)?;
    Ok(completed(
        username,
        codes,
        "/account/password",
        Outcome::PasswordChangeRequired,
    )
    .with_cookie(app.cookies.set_login(&choice)))
}

/// A code was right: a browser is shown the recovery codes if there are new ones, then goes on.
fn completed(
    username: &str,
    codes: Vec<String>,
    onward: &str,
    outcome: fn(Vec<String>) -> Outcome,
) -> Reply {
    if codes.is_empty() {
        return Reply::from(outcome(codes)).then_to(onward);
    }
    let page = RecoveryCodes {
        username: username.to_owned(),
        codes: codes.clone(),
        onward: onward.to_owned(),
    };
    Reply::from(outcome(codes)).showing(page)
}
