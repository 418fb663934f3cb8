//! Routes for anyone: register, log in with both factors, recover, log out.

use crate::accounts::login::{Authenticated, CodeRefused, authenticate};
use crate::accounts::password::{self, Password};
use crate::accounts::pending::PendingLogin;
use crate::accounts::throttle::Origin;
use crate::accounts::token::{self, Digest};
use crate::accounts::totp::Secret;
use crate::accounts::{Account, Accounts, Taken, names};
use crate::clock::Moment;
use crate::form::Form;
use crate::handlers::{
    Answer, App, MAX_SECRET, hash, is_cross_site, known_device, logged_in, name_field,
    new_password_field, rd_field, start_session, target, typed,
};
use crate::http::Request;
use crate::pages::Page;
use crate::redirect;
use crate::reply::{Outcome, Refusal, Reply};

/// `GET /`: the registration page. Old proxy configurations send people here with an `rd`.
pub(super) fn registration_page(app: &App, request: &Request) -> Answer {
    let query = Form::of_query(request);
    if query.has("rd") {
        let rd = rd_field(app, &query).unwrap_or_default();
        return Ok(Reply::see_other(with_rd("/login", &rd)));
    }
    let (username, email) = (String::new(), String::new());
    Ok(Reply::page(Page::Register {
        username,
        email,
        problem: None,
    }))
}

/// `POST /register`: makes an account.
pub(super) fn register(app: &App, request: &Request) -> Answer {
    add_account(app, request).map_err(|refusal| {
        let (username, email) = (typed(request, "username"), typed(request, "email"));
        refusal.beside(|problem| Page::Register {
            username,
            email,
            problem: Some(problem),
        })
    })
}

fn add_account(app: &App, request: &Request) -> Answer {
    if !app.registration_open {
        return Err(Outcome::RegistrationClosed.into());
    }
    let form = Form::of_body(request)?;
    let username = form.required("username", names::MAX_USERNAME)?.to_string();
    let email = form.required("email", names::MAX_EMAIL)?;
    form.required("password", password::MAX_LENGTH)?;
    if !names::is_username(&username) {
        let alphabet =
            "may hold letters, digits and . _ - + only and begins with a letter or digit";
        return Err(Outcome::BadField("username", alphabet).into());
    }
    let email =
        names::parse_email(&email).ok_or(Outcome::BadField("email", "is not an e-mail address"))?;
    let new = new_password_field(&form, "password")?;
    if app.script.is_none() && new.is_easy_to_guess(&username, &email) {
        return Err(Outcome::PasswordCommon.into());
    }
    app.store
        .accounts()
        .taken(&username, &email)
        .map_or(Ok(()), |taken| Err(is_taken(taken)))?;

    let now = request.received.timestamp();
    app.throttle
        .registration(request.client, now)
        .map_err(Outcome::Throttled)?;
    let account = Account::new(&username, &email, hash(app, request, new)?, now);
    app.store
        .update(move |accounts| accounts.add(account))?
        .map_err(is_taken)?;

    let login = format!("/login?notice=registered&username={username}").replace('+', "%2B");
    Ok(Reply::from(Outcome::Registered)
        .then_to(login)
        .about(&username))
}

fn is_taken(taken: Taken) -> Refusal {
    match taken {
        Taken::Email => Outcome::EmailExists,
        Taken::Username => Outcome::UserExists,
    }
    .into()
}

/// `GET /login`: the login page, or who one is.
pub(super) fn login_page(app: &App, request: &Request) -> Answer {
    let query = Form::of_query(request);
    let rd = rd_field(app, &query).unwrap_or_default();
    if let Some(me) = logged_in(app, request) {
        let username = me.account.username.clone();
        let onward = if rd.is_empty() {
            "/account".to_owned()
        } else {
            rd
        };
        return Ok(Reply::page(Page::LoggedIn { username, onward }));
    }

    let text = |field| query.optional(field, names::MAX_USERNAME).ok().flatten();
    let username = text("username").map(|name| name.to_string());
    let notice = text("notice").and_then(|notice| match notice.as_str() {
        "registered" => Some(Outcome::Registered),
        "account_deleted" => Some(Outcome::AccountDeleted),
        _ => None,
    });
    let notice = notice.map(|outcome| outcome.message().into_owned());
    let username = username
        .filter(|name| names::is_username(name))
        .unwrap_or_default();
    Ok(Reply::page(Page::Login {
        username,
        rd,
        notice,
        problem: None,
    }))
}

/// `POST /login`: a right password earns the page that asks for the code.
pub(super) fn login(app: &App, request: &Request) -> Answer {
    first_step(app, request).map_err(|refusal| {
        let username = typed(request, "username");
        let form = Form::of_body(request).ok();
        let rd = form
            .and_then(|form| rd_field(app, &form).ok())
            .unwrap_or_default();
        refusal.about(&username).beside(|problem| Page::Login {
            username,
            rd,
            notice: None,
            problem: Some(problem),
        })
    })
}

fn first_step(app: &App, request: &Request) -> Answer {
    let form = Form::of_body(request)?;
    let name = name_field(&form)?;
    let password = Password::new(&form.required("password", password::MAX_LENGTH)?);
    let rd = rd_field(app, &form)?;

    let proof = check_password(app, request, &name, password)?;
    let proof = proof.ok_or(Outcome::WrongCredentials)?;
    let username = proof.username.clone();
    let (enrolled, mailed) = (proof.enrolled, proof.mailed);
    note_password(app, proof)?;

    let secret = (!enrolled).then(Secret::new);
    let outcome = match &secret {
        Some(secret) => Outcome::EnrolRequired {
            secret: secret.base32(),
            otpauth: secret.otpauth(&app.issuer, &username),
        },
        None => Outcome::CodeRequired,
    };
    let login = PendingLogin::new(&username, secret, mailed, rd);
    let cookie = app.pending.begin(login, request.received.timestamp());
    Ok(Reply::from(outcome)
        .then_to("/secret_key")
        .with_cookie(app.cookies.set_login(&cookie))
        .about(&username))
}

/// Checks a password at the cost of one hash, whoever it is said to belong to. None if it is wrong.
pub(super) fn check_password(
    app: &App,
    request: &Request,
    name: &str,
    password: Password,
) -> Result<Option<Authenticated>, Refusal> {
    let now = request.received.timestamp();
    let found = app.store.resolve(name);
    let device = known_device(app, request, found.as_deref());
    let target = target(name, found.as_deref(), device);
    let attempt = app
        .throttle
        .begin(target, request.client, now)
        .map_err(Outcome::Throttled)?;
    let work = move || authenticate(found.as_deref(), &password, now);
    let checked = app.gate.run(Origin::of(request.client), work);
    // What was not looked at is forgiven like what was right.
    if !matches!(checked, Ok(None)) {
        app.throttle.forgive(attempt);
    }
    Ok(checked?)
}

/// Keeps what a right password changes, mostly nothing: a mailed one is used up, a weak hash
/// replaced. Refused if somebody else used the mailed one in the meantime.
pub(super) fn note_password(app: &App, proof: Authenticated) -> Result<(), Refusal> {
    let username = proof.username;
    if let Some(digest) = proof.mailed {
        let used = app.store.update(move |accounts| {
            accounts.change(&username, |account| account.use_mailed_password(digest))
        })?;
        return match used {
            Some(true) => Ok(()),
            _ => Err(Outcome::WrongCredentials.into()),
        };
    }
    if let Some(hash) = proof.rehashed {
        // Nobody is kept out for want of a stronger hash: the next login makes it again.
        let _ = app.store.update(move |accounts| {
            accounts.change(&username, |account| {
                // One that was changed in the meantime is not weak.
                if account.password.is_weak() {
                    account.password = hash;
                }
            })
        });
    }
    Ok(())
}

/// `GET /secret_key`: asks for the code, with the key as long as it is not confirmed.
pub(super) fn secret_key_page(app: &App, request: &Request) -> Answer {
    let now = request.received.timestamp();
    let login = app
        .cookies
        .login(request)
        .and_then(|cookie| app.pending.login(cookie, now));
    let login = login.ok_or(Outcome::NoPendingLogin)?;

    Ok(Reply::page(code_page(app, request, &login, None)))
}

fn code_page(
    app: &App,
    request: &Request,
    login: &PendingLogin,
    problem: Option<crate::pages::Problem>,
) -> Page {
    let username = login.username.clone();
    match &login.enrolling {
        Some(secret) => Page::Enrol {
            key: secret.base32(),
            otpauth: secret.otpauth(&app.issuer, &username),
            username,
            moving: false,
            problem,
        },
        None => {
            let recovery = Form::of_query(request).has("recovery");
            Page::Code {
                username,
                recovery,
                problem,
            }
        }
    }
}

/// `POST /secret_key`: a right code completes the login.
pub(super) fn secret_key(app: &App, request: &Request) -> Answer {
    let now = request.received.timestamp();
    let cookie = app.cookies.login(request).unwrap_or_default();
    let login = app
        .pending
        .login(cookie, now)
        .ok_or(Outcome::NoPendingLogin)?;

    second_step(app, request, cookie, &login).map_err(|refusal| {
        refusal
            .about(&login.username)
            .beside(|problem| code_page(app, request, &login, Some(problem)))
    })
}

fn second_step(app: &App, request: &Request, cookie: &str, login: &PendingLogin) -> Answer {
    let form = Form::of_body(request)?;
    let typed = form.required("secret", MAX_SECRET)?;
    let claimed = form.optional("username", names::MAX_USERNAME)?;
    if claimed.is_some_and(|name| names::key(&name) != names::key(&login.username)) {
        return Err(Outcome::BadField("username", "is not the one that logs in").into());
    }

    let (known, new) = device_of(app, request, &login.username);
    if known.is_none() {
        let wait = app
            .throttle
            .address_wait(request.client, request.received.timestamp());
        wait.map_or(Ok(()), |wait| Err(Outcome::Throttled(wait)))?;
    }
    let step = Step {
        login: login.clone(),
        typed: typed.to_string(),
        known,
        new: new.as_deref().map(Digest::of),
        now: request.received,
    };
    let codes = match app.store.update(move |accounts| step.take(accounts))? {
        Some(judged) => judged.map_err(|why| wrong_code(app, request, cookie, why))?,
        None => return Err(Outcome::NoPendingLogin.into()),
    };

    if login.mailed.is_some() {
        return must_choose(app, request, cookie, codes);
    }
    if !app.pending.finish(cookie) {
        return Err(Outcome::NoPendingLogin.into());
    }
    let cookies = start_session(app, request, &login.username, new, false)?;
    let onward = if login.rd.is_empty() {
        "/account"
    } else {
        &login.rd
    };
    Ok(completed(codes, onward, Outcome::LoginComplete)
        .with_cookies(cookies)
        .about(&login.username))
}

/// The browser as the account knows it, or a new value of its cookie.
pub(super) fn device_of(
    app: &App,
    request: &Request,
    username: &str,
) -> (Option<Digest>, Option<String>) {
    let account = app.store.resolve(username);
    let known = known_device(app, request, account.as_deref());
    (known, known.is_none().then(token::cookie))
}

/// The second step as a change of the account.
struct Step {
    login: PendingLogin,
    typed: String,
    known: Option<Digest>,
    /// The browser's new digest, if it is not known.
    new: Option<Digest>,
    now: Moment,
}

impl Step {
    /// The recovery codes, if it enrolled, or why the code was refused. None if the account is gone
    /// or disabled, or another login has enrolled it.
    fn take(self, accounts: &mut Accounts) -> Option<Result<Vec<String>, CodeRefused>> {
        let account = accounts
            .find(&self.login.username)
            .filter(|account| !account.disabled)?;
        if account.totp.is_some() == self.login.enrolling.is_some() {
            return None;
        }
        if let Some(wait) = account.code_wait(self.known, self.now.timestamp()) {
            return Some(Err(CodeRefused::TooEarly(wait)));
        }
        let username = self.login.username.clone();
        accounts.change(&username, |account| self.judge(account))
    }

    fn judge(self, account: &mut Account) -> Result<Vec<String>, CodeRefused> {
        let mut codes = Vec::new();
        match &self.login.enrolling {
            Some(secret) => {
                account.confirm_secret(secret, &self.typed, self.known, self.now)?;
                codes = account.new_recovery_codes();
            }
            None => account.accept_code(&self.typed, self.known, self.now)?,
        }
        // After a mailed password this browser still has to choose one.
        if self.login.mailed.is_none() {
            account.logged_in(self.known);
            if let Some(id) = self.new {
                account.remember_device(id, self.now.timestamp());
            }
        }
        Ok(codes)
    }
}

/// Counts a wrong code against the login and the address; the account has counted it already.
fn wrong_code(app: &App, request: &Request, cookie: &str, why: CodeRefused) -> Refusal {
    match why {
        CodeRefused::TooEarly(wait) => Outcome::Throttled(wait),
        CodeRefused::Wrong => {
            app.pending.wrong_code(cookie);
            app.throttle
                .count_address(request.client, request.received.timestamp());
            Outcome::WrongCode
        }
    }
    .into()
}

/// After a mailed password: a new one must be chosen before there is a session.
fn must_choose(app: &App, request: &Request, cookie: &str, codes: Vec<String>) -> Answer {
    let choice = app
        .pending
        .must_choose(cookie, request.received.timestamp());
    let choice = choice.ok_or(Outcome::NoPendingLogin)?;
    Ok(
        completed(codes, "/account/password", Outcome::PasswordChangeRequired)
            .with_cookie(app.cookies.set_login(&choice)),
    )
}

/// A code was right: a browser is shown the recovery codes if there are new ones, then goes on.
fn completed(codes: Vec<String>, onward: &str, outcome: fn(Vec<String>) -> Outcome) -> Reply {
    if codes.is_empty() {
        return Reply::from(outcome(codes)).then_to(onward);
    }
    let page = Page::RecoveryCodes {
        codes: codes.clone(),
        onward: onward.to_owned(),
    };
    Reply::from(outcome(codes)).showing(page)
}

/// `GET /forgot_password`: the recovery page, or what happens next.
pub(super) fn forgot_password_page(request: &Request) -> Answer {
    if Form::of_query(request).has("sent") {
        let message = Outcome::NewPasswordSent.message().into_owned();
        return Ok(Reply::page(Page::ForgotSent { message }));
    }
    Ok(Reply::page(Page::Forgot {
        username: String::new(),
        problem: None,
    }))
}

/// `POST /forgot_password`: has a new password mailed. Nothing changes, and the answer tells nothing.
pub(super) fn forgot_password(app: &App, request: &Request) -> Answer {
    let show = |refusal: Refusal| {
        let username = typed(request, "username");
        refusal.beside(|problem| Page::Forgot {
            username,
            problem: Some(problem),
        })
    };
    let name = Form::of_body(request).and_then(|form| name_field(&form));
    let name = name.map_err(|error| show(error.into()))?;

    let now = request.received;
    let counted = app.throttle.recovery(request.client, now.timestamp());
    counted.map_err(|wait| show(Outcome::Throttled(wait).into()))?;
    app.errands.mail_new_password(&name, now);

    Ok(Reply::from(Outcome::NewPasswordSent)
        .then_to("/forgot_password?sent")
        .about(&name))
}

/// `GET /logout`: ends the session, unless another site sent the visitor here.
pub(super) fn logout_by_get(app: &App, request: &Request) -> Answer {
    if is_cross_site(app, request) {
        return logout_page(app, request);
    }
    end_session(app, request, Outcome::LoggedOutByGet)
}

/// The page with the button that logs out.
pub(super) fn logout_page(app: &App, request: &Request) -> Answer {
    let username = logged_in(app, request).map(|me| me.account.username.clone());
    Ok(Reply::page(Page::LogoutQuestion { username }))
}

/// `POST /logout`: ends the session.
pub(super) fn logout(app: &App, request: &Request) -> Answer {
    end_session(app, request, Outcome::LoggedOutByPost).map(|reply| reply.then_to("/logout"))
}

fn end_session(app: &App, request: &Request, outcome: Outcome) -> Answer {
    let me = logged_in(app, request);
    if let Some(cookie) = app.cookies.session(request) {
        let id = Digest::of(cookie);
        app.store
            .update_sessions(move |sessions| sessions.retain(|session| session.id != id))?;
    }
    if let Some(cookie) = app.cookies.login(request) {
        app.pending.finish(cookie);
    }

    let message = outcome.message().into_owned();
    let reply = Reply::from(outcome)
        .showing(Page::LoggedOut { message })
        .with_cookie(app.cookies.end_session())
        .with_cookie(app.cookies.end_login())
        .clearing_site_data();
    Ok(match me {
        Some(me) => reply.about(&me.account.username),
        None => reply,
    })
}

/// A path with `rd` in its query, if there is one.
fn with_rd(path: &str, rd: &str) -> String {
    if rd.is_empty() {
        return path.to_owned();
    }
    format!("{path}?rd={}", redirect::encode(rd))
}
