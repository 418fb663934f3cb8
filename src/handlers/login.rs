//! The first step of a login, the password; and logging out.

use std::sync::Arc;

use serde_json::Value;

use crate::accounts::Account;
use crate::accounts::login::{Authenticated, authenticate, authenticate_mailed};
use crate::accounts::names;
use crate::accounts::password::{Password, Work};
use crate::accounts::pending::{PendingLogin, Stage};
use crate::accounts::person::Person;
use crate::accounts::session::Basis;
use crate::accounts::throttle::Standing;
use crate::accounts::token::{self, Digest};
use crate::accounts::totp::Secret;
use crate::form::Form;
use crate::handlers::forms::{Credentials, LoginForm, Typed, is_rd_too_long, rd_field};
use crate::handlers::sessions::Presented;
use crate::handlers::tries::{begin, decide};
use crate::handlers::{
    Answer, App, LoggedIn, denied, derive, hash, is_cross_site, known_device, logged_in, passkey,
    people, sessions, target, use_session,
};
use crate::http::{Method, Request};
use crate::pages::logged_in::AlreadyLoggedIn;
use crate::pages::login::Login;
use crate::pages::logout::{LoggedOut, LogoutQuestion};
use crate::pages::{self, Page};
use crate::reply::{Outcome, Refusal, Reply};

/// `GET /login`: the login page, or who the visitor is already logged in as.
pub(super) fn login_page(app: &App, request: &Request) -> Answer {
    let query = Form::of_query(request);
    let rd = rd_field(app, &query).unwrap_or_default();
    // The page is for everybody, even when the store cannot tell who is asking.
    let presented = use_session(app, request).unwrap_or(Presented::Nobodys);
    if let Presented::Of(me) = &presented {
        return logged_in_already(app, request, me, (&query, rd));
    }

    let text = |field| query.optional(field, names::MAX_USERNAME).ok().flatten();
    let username = text("username").map(|name| name.to_string());
    let notice = text("notice").and_then(|notice| match notice.as_str() {
        "registered" => Some(Outcome::Registered),
        "account_deleted" => Some(Outcome::AccountDeleted),
        "email_confirmed" => Some(Outcome::EmailConfirmed),
        _ => None,
    });
    let notice = notice.map(|outcome| outcome.message().into_owned());
    let notice = notice.or_else(|| sent_here(&rd));
    let notice = notice.or_else(|| is_rd_too_long(&query).then(|| TOO_LONG.to_owned()));
    let username = username
        .filter(|name| names::is_username(name))
        .unwrap_or_default();
    let asked = passkey::ask_anybody(app, request);
    let page = |notice| {
        let passkey = asked.as_ref().map(Value::to_string);
        let page = Login {
            username,
            rd,
            form: token::cookie(),
            notice,
            passkey,
            ..Login::default()
        };
        shown(app, asked, page)
    };
    if matches!(presented, Presented::Two) {
        let said = format!("{} {}", Outcome::TwoSessions.message(), sessions::ADVICE);
        let cookies = app.cookies.forget_sessions(&request.path);
        return Ok(page(Some(said)).with_cookies(cookies));
    }
    Ok(page(notice))
}

/// The page, or to programs what asks for a passkey. The original script answers with pages alone.
fn shown(app: &App, asked: Option<Value>, page: impl Into<Box<dyn Page>>) -> Reply {
    match &app.script {
        Some(_) => Reply::page(page),
        None => Reply::from(Outcome::LogIn(asked.map(Box::new))).showing(page),
    }
}

const TOO_LONG: &str =
    "The address you came from is too long to come back to. Log in, then open it once more.";

/// The notice for visitors who wanted a page of the account but have no session, or no longer.
fn sent_here(rd: &str) -> Option<String> {
    let path = rd.split(['?', '#']).next()?;
    let more = match path {
        "/account" => "Then you are taken to your account.",
        "/account/password" => {
            "Then you can change your password. A password from a mail is used up by the first \
             login with it: if you were choosing one of your own, have another sent."
        }
        path if people::is_at(path) => "Then you are taken to the page you asked for.",
        _ => return None,
    };
    let message = Outcome::LoginRequired.message();
    Some(format!(
        "{message} You are not logged in in this browser, or no longer. {more}"
    ))
}

/// Whether this is what the query has the page say.
fn says(query: &Form<'_>, notice: &str) -> bool {
    let said = query.optional("notice", names::MAX_USERNAME).ok().flatten();
    said.is_some_and(|said| said.as_str() == notice)
}

/// Visitors who are logged in are not redirected: a proxy that does not see their session would
/// send them back at once, in a loop. They are told so, and follow a link to go on.
fn logged_in_already(
    app: &App,
    request: &Request,
    me: &LoggedIn,
    (query, rd): (&Form<'_>, String),
) -> Answer {
    let username = me.account.username.clone();
    let by_proxy = query.has("rm");
    let notice = match app.targets.elsewhere(&rd) {
        Some((host, path)) if !app.access.get().admits(&host, &path, &me.account.groups) => {
            return Ok(denied(app, &me.account, host));
        }
        Some((host, _)) if by_proxy => Some(format!(
            "{host} asked you to log in, and you are. If Continue leads back to this page, your \
             session does not reach {host}: tell whoever runs it."
        )),
        // Of somebody else's account: the link was opened in this browser.
        None if says(query, "email_confirmed") => {
            Some(Outcome::EmailConfirmed.message().into_owned())
        }
        None if is_rd_too_long(query) => Some(
            "The address you came from is too long to come back to. Open it once more.".to_owned(),
        ),
        None if rd.is_empty() && query.has("rd") => {
            Some("This server does not lead back to the address you came from.".to_owned())
        }
        _ => None,
    };
    let onward = if rd.is_empty() {
        "/account".to_owned()
    } else {
        rd
    };
    let page = AlreadyLoggedIn {
        username,
        onward,
        missed: false,
        notice,
    };
    Ok(shown(app, passkey::ask_anybody(app, request), page))
}

/// The login page again, with what is wrong, about whoever was named.
pub(super) fn login_again(app: &App, request: &Request, refusal: Refusal) -> Refusal {
    let typed = Typed::of(app, request);
    beside_login(app, request, refusal.about(&typed.username))
}

/// The login page again, with what is wrong.
pub(super) fn beside_login(app: &App, request: &Request, refusal: Refusal) -> Refusal {
    let typed = Typed::of(app, request);
    let page = Login {
        username: typed.username,
        rd: typed.rd,
        form: typed.form,
        remember: typed.remember,
        passkey: passkey::ask_anybody(app, request).map(|asked| asked.to_string()),
        ..Login::default()
    };
    refusal.beside(|problem| page.refused(problem))
}

/// `POST /login`: a right password earns the page that asks for the code.
pub(super) fn login(app: &App, request: &Request) -> Answer {
    let LoginForm {
        credentials,
        rd,
        remember,
    } = LoginForm::parse(app, request)?;
    let Credentials { name, password } = credentials;

    let proof = check_password(app, request, &name, &password)?;
    let proof = proof.ok_or(Outcome::WrongCredentials)?;
    let username = proof.username.clone();
    let secret = (!proof.enrolled).then(Secret::new);
    // In the address too, for visitors who come without the cookie and have to begin again.
    let next = pages::with_rd("/secret_key", &rd);
    let wanted = Wanted {
        enrolling: secret.clone(),
        rd,
        remember,
    };
    let (cookie, account) = begin_login(app, request, (proof, password), wanted)?;
    let outcome = match &secret {
        Some(secret) => Outcome::EnrolRequired {
            secret: secret.base32(),
            otpauth: secret.otpauth(&app.issuer, &username),
        },
        None => {
            let asked = passkey::ask_after_password(app, request, &cookie, &account);
            Outcome::CodeRequired(asked.map(Box::new))
        }
    };
    Ok(Reply::from(outcome)
        .then_to(next)
        .with_cookie(app.cookies.set_login(&cookie))
        .about(&username))
}

/// What a login leads to.
struct Wanted {
    /// The key to enrol, if the account has no second factor yet.
    enrolling: Option<Secret>,
    rd: String,
    remember: bool,
}

/// Has a login wait for its code; gives its cookie and the account. A mailed password is used up in
/// the same save.
fn begin_login(
    app: &App,
    request: &Request,
    (proof, password): (Authenticated, Password),
    wanted: Wanted,
) -> Result<(String, Arc<Account>), Refusal> {
    let Wanted {
        enrolling,
        rd,
        remember,
    } = wanted;
    let (username, now) = (proof.username.clone(), request.received.timestamp());
    let (mailed, of) = (proof.mailed, username.clone());
    let begins = move |account: &Account, password_id| {
        let basis = Basis {
            password_id,
            ..account.basis()
        };
        PendingLogin::new(&of, basis, enrolling.clone(), mailed, rd.clone())
            .mailed_to(account.email.as_deref())
            .remembering(remember)
    };
    let find = || {
        let account = app.store.account(&username)?;
        account.ok_or_else(|| Refusal::from(Outcome::WrongCredentials))
    };
    if let Some(digest) = mailed {
        let (cookie, password_id) = (token::cookie(), proof.password_id);
        let id = Digest::of(&cookie);
        use_up_mailed(app, &username, digest, move |person| {
            let login = begins(person.account(), password_id);
            person.begin_pending(id, Stage::Code(login), now);
        })?;
        return Ok((cookie, find()?));
    }
    let password_id = note_password(app, request, proof, password)?;
    let account = find()?;
    let cookie = app.store.begin_login(begins(&account, password_id), now)?;
    Ok((cookie, account))
}

/// Checks a password at the cost of one hash, whether or not the name exists. `None` if it is
/// wrong. A mailed password cannot be guessed: it costs no hash, and is checked whatever the counts
/// say.
pub(super) fn check_password(
    app: &App,
    request: &Request,
    name: &str,
    password: &Password,
) -> Result<Option<Authenticated>, Refusal> {
    let now = request.received.timestamp();
    let found = app.store.account(name)?;
    if let Some(proof) = authenticate_mailed(found.as_deref(), password, now) {
        return Ok(Some(proof));
    }
    let device = known_device(app, request, found.as_deref());
    let target = target(name, found.as_deref(), device);
    let attempt = begin(app, || {
        let now = request.received.steady;
        app.throttle.begin(target, request.client, now)
    })?;
    let known = found
        .as_deref()
        .and_then(|account| account.password.as_ref());
    let work = Work::checking(known, password);
    let checked = derive(app, request, attempt.standing(), work)
        .map(|key| authenticate(found.as_deref(), &key));
    // A password that was not checked is forgiven like a right one.
    decide(app, attempt, matches!(checked, Ok(None)));
    checked
}

/// Saves what a right password changes, mostly nothing: a mailed one is used up, a weak hash
/// replaced. Gives the id of the password that this login rests on. Refused if somebody else used
/// the mailed one in the meantime.
pub(super) fn note_password(
    app: &App,
    request: &Request,
    proof: Authenticated,
    password: Password,
) -> Result<Digest, Refusal> {
    let (username, id) = (proof.username, proof.password_id);
    if let Some(digest) = proof.mailed {
        use_up_mailed(app, &username, digest, |_| ())?;
        return Ok(id);
    }
    // Nobody waits for a stronger hash or is refused for want of one: a later login makes it. One of
    // another program goes as soon as it can.
    if proof.is_weak
        && (proof.is_foreign || app.gate.is_quiet())
        && let Ok(hash) = hash(app, request, Standing::Known, &password)
    {
        let stronger = hash.id();
        let replaced = app.store.change(&username, move |person| {
            // Unless it was changed in the meantime.
            let same = person.account().password_id() == id;
            if same {
                person.strengthen_password(hash.clone());
            }
            same
        });
        if let Ok(Some(true)) = replaced {
            return Ok(stronger);
        }
    }
    Ok(id)
}

/// Uses up a mailed password, and does in the same save what follows. Refused if somebody else used
/// it in the meantime.
fn use_up_mailed(
    app: &App,
    username: &str,
    digest: Digest,
    then: impl Fn(&mut Person<'_>) + Send + 'static,
) -> Result<(), Refusal> {
    let used = app.store.change(username, move |person| {
        let used = person.account_mut().use_mailed_password(digest);
        if used {
            then(person);
        }
        used
    })?;
    let used = used.filter(|used| *used).map(|_| ());
    Ok(used.ok_or(Outcome::WrongCredentials)?)
}

/// `GET /logout`: ends the session if a person asked for it, and not from another site.
pub(super) fn logout_by_get(app: &App, request: &Request) -> Answer {
    if request.method == Method::Head || is_cross_site(app, request) || nobody_asked(request) {
        return logout_page(app, request);
    }
    end_session(app, request, Outcome::LoggedOutByGet)
}

/// Whether a browser fetches this ahead of time, or as part of a page. Browsers that say nothing of
/// the kind, and programs, are taken to mean it.
fn nobody_asked(request: &Request) -> bool {
    let ahead = ["sec-purpose", "purpose", "x-purpose", "x-moz"];
    let says_otherwise = |name, meant| request.header(name).is_some_and(|value| value != meant);
    ahead.iter().any(|name| request.header(name).is_some())
        || says_otherwise("sec-fetch-dest", "document")
        || says_otherwise("sec-fetch-mode", "navigate")
}

/// The page with the button that logs out.
fn logout_page(app: &App, request: &Request) -> Answer {
    let me = logged_in(app, request)?;
    let username = me.map(|me| me.account.username.clone());
    Ok(Reply::page(LogoutQuestion { username }))
}

/// `POST /logout`: ends the session.
pub(super) fn logout(app: &App, request: &Request) -> Answer {
    end_session(app, request, Outcome::LoggedOutByPost).map(|reply| reply.then_to("/logout"))
}

fn end_session(app: &App, request: &Request, outcome: Outcome) -> Answer {
    let me = logged_in(app, request)?;
    // All of them: a planted session must not keep the visitor's own alive.
    let ids: Vec<Digest> = app.cookies.sessions(request).map(Digest::of).collect();
    if let Some(cookie) = app.cookies.login(request) {
        app.store.end_pending(cookie)?;
    }
    if !ids.is_empty() {
        app.store.end_sessions(ids)?;
    }

    let message = outcome.message().into_owned();
    let reply = Reply::from(outcome)
        .showing(LoggedOut { message })
        .with_cookie(app.cookies.end_session())
        .with_cookie(app.cookies.end_login())
        .clearing_site_data();
    Ok(match me {
        Some(me) => reply.about(&me.account.username),
        None => reply,
    })
}
