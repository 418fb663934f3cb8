//! What follows once the second factor has been looked at, whichever it is: the session begins, or,
//! after a mailed password, a new one must be chosen.

use crate::accounts::Account;
use crate::accounts::login::{Accepted, CodeRefused, SecondStep, Tried};
use crate::accounts::pending::{Ids, PendingLogin};
use crate::accounts::person::Person;
use crate::accounts::token::{self, Digest};
use crate::handlers::code::{device_of, new_device, tell_of_recovery_code};
use crate::handlers::entry::Entry;
use crate::handlers::tries::{Code, Judged};
use crate::handlers::{App, new_login};
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
        pending: Some(Digest::of(cookie)),
        now: request.received,
    };
    let device = new.as_deref().map(|new| new_device(request, new));
    let (network, now) = (Network::of(request.client), request.received.timestamp());
    // After a mailed password there is no session yet: a new password must be chosen first.
    let entry = login.mailed.is_none().then(|| {
        let stays = login.remember.then_some(now);
        Entry::new(app, request).remembered(stays)
    });
    let (start, chooses) = (entry.as_ref().map(Entry::start), token::cookie());
    let ids = Ids {
        before: Digest::of(cookie),
        after: Digest::of(&chooses),
    };
    let enrols = login.enrolling.is_some();
    let judged = code
        .begin(app, request)?
        .judge(still_waits, move |person| {
            let account = person.account_mut();
            let passed = accept(account, known).inspect_err(|why| {
                // The account and the network count it too.
                if matches!(why, CodeRefused::Wrong | CodeRefused::WrongMeanwhile) {
                    person.count_wrong_code(ids.before);
                }
            })?;
            let Some(start) = &start else {
                person.must_choose(passed_by(enrols, &passed.0), ids, now);
                return Ok(passed);
            };
            let account = person.account_mut();
            account.logged_in(known, network, now);
            if let Some(device) = &device {
                account.remember_device(device.clone(), now);
            }
            start.begin(person);
            // In the same save, so that no two sessions come of one login.
            person.end_pending(ids.before);
            Ok(passed)
        })?;
    let (accepted, codes) = match judged {
        Ok(passed) => passed,
        Err(why) => return Ok(Err(why)),
    };
    let by = passed_by(enrols, &accepted);
    let reply = match entry {
        None => must_choose(app, &chooses, &login.username, codes),
        Some(entry) => {
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

fn passed_by(enrols: bool, accepted: &Accepted) -> SecondStep {
    match accepted {
        Accepted::RecoveryCode { .. } => SecondStep::RecoveryCode,
        Accepted::Passkey => SecondStep::Passkey,
        Accepted::Code if enrols => SecondStep::Enrolment,
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
fn still_waits(person: Option<&Person<'_>>) -> Result<(), Outcome> {
    let login = person.and_then(|person| Some((person, person.login()?)));
    let waits = login.is_some_and(|(person, login)| login.is_for(person.account()));
    waits.then_some(()).ok_or(Outcome::NoPendingLogin)
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
fn must_choose(app: &App, cookie: &str, username: &str, codes: Vec<String>) -> Reply {
    completed(
        username,
        codes,
        "/account/password",
        Outcome::PasswordChangeRequired,
    )
    .with_cookie(app.cookies.set_login(cookie))
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
