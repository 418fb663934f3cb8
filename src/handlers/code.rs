//! The second step of a login: a code of the authenticator, or a recovery code.

use std::sync::Arc;

use crate::accounts::devices::Device;
use crate::accounts::login::{Accepted, CodeRefused, SecondStep, Tried, is_recovery_code};
use crate::accounts::pending::PendingLogin;
use crate::accounts::person::Person;
use crate::accounts::token::{self, Digest};
use crate::accounts::totp::Secret;
use crate::accounts::{Account, names};
use crate::clock::Moment;
use crate::form::Form;
use crate::handlers::entry::{Entry, agent};
use crate::handlers::forms::{CodeForm, Typed, rd_field, typed_code};
use crate::handlers::tries::{Code, Judged};
use crate::handlers::{Answer, App, known_device, logged_in, new_login};
use crate::http::{Method, Request};
use crate::mail::Notice;
use crate::network::Network;
use crate::pages::code::EnterCode;
use crate::pages::enrol::Enrol;
use crate::pages::logged_in::AlreadyLoggedIn;
use crate::pages::message::{Message, Way};
use crate::pages::recovery_codes::RecoveryCodes;
use crate::pages::{self, Page, Problem};
use crate::reply::{Outcome, Refusal, Reply};

/// `GET /secret_key`: asks for the code, and shows the key if it is not confirmed yet.
pub(super) fn secret_key_page(app: &App, request: &Request) -> Answer {
    let now = request.received.timestamp();
    let login = app
        .cookies
        .login(request)
        .and_then(|cookie| app.pending.login(cookie, now));
    let login = login.ok_or_else(|| no_pending(app, request))?;

    Ok(Reply::page(code_page(app, request, &login)))
}

/// The page that asks for the code.
fn code_page(app: &App, request: &Request, login: &PendingLogin) -> Box<dyn Page> {
    match &login.enrolling {
        Some(secret) => enrol(app, login, secret).into(),
        None => enter_code(request, login).into(),
    }
}

/// As [`code_page`], with what is wrong.
fn code_again(
    app: &App,
    request: &Request,
    login: &PendingLogin,
    problem: Problem,
) -> Box<dyn Page> {
    match &login.enrolling {
        Some(secret) => enrol(app, login, secret).refused(problem).into(),
        None => enter_code(request, login).refused(problem).into(),
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

fn enter_code(request: &Request, login: &PendingLogin) -> EnterCode {
    EnterCode {
        username: login.username.clone(),
        recovery: Form::of_query(request).has("recovery"),
        rd: login.rd.clone(),
        problem: None,
    }
}

/// `POST /secret_key`: a right code completes the login.
pub(super) fn secret_key(app: &App, request: &Request) -> Answer {
    let now = request.received.timestamp();
    let cookie = app.cookies.login(request).unwrap_or_default();
    let login = app
        .pending
        .login(cookie, now)
        .ok_or_else(|| no_pending(app, request))?;

    second_step(app, request, cookie, &login).map_err(|refusal| {
        refusal
            .about(&login.username)
            .beside(|problem| code_again(app, request, &login, about_code(request, problem)))
            .showing(begin_again(&login.rd))
    })
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
    let choosing = app
        .cookies
        .login(request)
        .and_then(|cookie| app.pending.choice(cookie, now));
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
                 site ends it too. If you come straight from your password, your browser keeps no \
                 cookies for this site: allow them, or no login can succeed."
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
    let (known, new) = device_of(app, request, account.as_deref());
    let code = tried(request, login, &secret, known);
    let step = Step {
        login: login.clone(),
        typed: secret.to_string(),
        known,
        new: new.as_deref().map(|new| new_device(request, new)),
        network: Network::of(request.client),
        now: request.received,
    };
    let is_still = still_waits(app, request, cookie, login);
    let refused = |why| refused(app, cookie, why);
    // After a mailed password there is no session yet: a new password must be chosen first.
    let now = request.received.timestamp();
    let entry = login.mailed.is_none().then(|| {
        let stays = login.remember.then_some(now);
        Entry::new(app, request).remembered(stays)
    });
    let start = entry.as_ref().map(Entry::start);
    let judged = code.begin(app, request)?.judge(is_still, move |person| {
        let passed = step.judge(person.account_mut())?;
        if let Some(start) = &start {
            start.begin(person);
        }
        Ok(passed)
    })?;
    let (accepted, codes) = judged.map_err(refused)?;
    let by = passed_by(login, &accepted);
    let reply = match entry {
        None => must_choose(app, request, (cookie, by), &login.username, codes)?,
        Some(entry) => {
            app.pending.finish(cookie);
            if let Some(before) = &account {
                new_login::tell(app, request, before, new.as_deref(), by);
            }
            let cookies = entry.hand_out(app, request, &login.username, new);
            complete(login, codes).with_cookies(cookies).entered_by(by)
        }
    };
    Ok(match accepted {
        Accepted::RecoveryCode { left } => by_recovery_code(app, request, login, left, reply),
        Accepted::Code => reply,
    })
}

fn passed_by(login: &PendingLogin, accepted: &Accepted) -> SecondStep {
    match accepted {
        Accepted::RecoveryCode { .. } => SecondStep::RecoveryCode,
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

/// The code in the form in which it is counted and judged.
fn tried(request: &Request, login: &PendingLogin, typed: &str, known: Option<Digest>) -> Code {
    Code {
        username: login.username.clone(),
        tried: match login.enrolling {
            Some(_) => Tried::New,
            None => Tried::Own(typed.to_owned()),
        },
        known,
        after_mail: login.mailed.is_some(),
        now: request.received,
    }
}

/// Checks that the name in the form belongs to the account that is logging in.
fn check_named(app: &App, name: &str, login: &PendingLogin) -> Result<(), Refusal> {
    let named = app.store.account(name)?;
    if named.is_some_and(|account| names::is_same(&account.username, &login.username)) {
        return Ok(());
    }
    Err(Outcome::BadField("username", "is not the one that logs in").into())
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

/// Tells the owner that one of their recovery codes was used, and how many are left.
pub(super) fn tell_of_recovery_code(app: &App, request: &Request, username: &str, left: usize) {
    if let Ok(Some(account)) = app.store.account(username) {
        let notice = Notice::RecoveryCodeUsed { left };
        app.errands.notify(&account, &notice, request.received);
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

/// Which kind of code was right, and the recovery codes that enrolling earned.
type Passed = (Accepted, Vec<String>);

/// The second step as a change of the account.
struct Step {
    login: PendingLogin,
    typed: String,
    known: Option<Digest>,
    /// The browser, if it is not known yet.
    new: Option<Device>,
    network: Network,
    now: Moment,
}

impl Step {
    /// Which kind of code was right, and the recovery codes if it enrolled; or why it was refused.
    fn judge(&self, account: &mut Account) -> Judged<Passed> {
        let passed = match &self.login.enrolling {
            Some(secret) => {
                account.confirm_secret(secret, &self.typed, self.known, self.now)?;
                (Accepted::Code, account.new_recovery_codes())
            }
            None => {
                let accepted = account.accept_code(&self.typed, self.known, self.now)?;
                (accepted, Vec::new())
            }
        };
        if self.login.mailed.is_none() {
            account.logged_in(self.known, self.network, self.now.timestamp());
            if let Some(device) = &self.new {
                account.remember_device(device.clone(), self.now.timestamp());
            }
        }
        Ok(passed)
    }
}

/// Counts a wrong code against the login; the account and the network have counted it already.
fn refused(app: &App, cookie: &str, why: CodeRefused) -> Refusal {
    if matches!(why, CodeRefused::Wrong | CodeRefused::WrongMeanwhile) {
        app.pending.wrong_code(cookie);
    }
    Outcome::from(why).into()
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
