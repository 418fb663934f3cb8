//! The account page: whose account it is, where they are logged in, and how to end that.

use std::cmp::Reverse;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::accounts::devices::Device;
use crate::accounts::session::Session;
use crate::accounts::token::Digest;
use crate::events::Seen;
use crate::form::Form;
use crate::handlers::code::about_code;
use crate::handlers::events::{self, Eyes};
use crate::handlers::forms::{EndSessions, Typed};
use crate::handlers::grounds::{Grounds, gone};
use crate::handlers::{
    Answer, App, LoggedIn, known_device, logged_in, passkey, require_login, tokens,
};
use crate::http::Request;
use crate::pages::access_token::TypedToken;
use crate::pages::account::{AccountForm, AccountView, BrowserView, SessionView};
use crate::pages::agent_label;
use crate::reply::{Outcome, Refusal, Reply};
use crate::store::Unavailable;

/// `GET /account`: the account, its sessions and browsers, and how many recovery codes are left.
pub(super) fn account(app: &App, request: &Request) -> Answer {
    let me = require_login(app, request, "%2Faccount")?;

    let query = Form::of_query(request);
    let notice = query.optional("notice", 64).ok().flatten();
    let notice = notice.and_then(|notice| match notice.as_str() {
        "password_changed" => Some(Outcome::PasswordChanged),
        "authenticator_changed" => Some(Outcome::AuthenticatorChanged),
        "change_mailed" => Some(Outcome::ChangeMailed),
        "confirmation_sent" => Some(Outcome::ConfirmationSent),
        "email_confirmed" => Some(Outcome::EmailConfirmed),
        "passkey_added" => Some(Outcome::PasskeyAdded(None)),
        "passkey_removed" => Some(Outcome::PasskeyRemoved),
        "sessions_ended" => Some(Outcome::SessionsEnded),
        "token_removed" => Some(Outcome::TokenRemoved),
        _ => None,
    });
    let now = request.received.timestamp();
    let notice = notice.map(|outcome| match (&outcome, me.account.outlasting(now)) {
        (Outcome::PasswordChanged, Some(what)) => {
            let said = outcome.message();
            format!("{said} Still good: {what}. Remove below what is not yours.")
        }
        _ => outcome.message().into_owned(),
    });

    let sessions = sessions(app, request, &me)?;
    let happened = events::recent(app, &me.account);
    let page = account_page(
        app,
        request,
        &me,
        (sessions.as_slice(), happened.as_slice()),
        notice,
    );
    let json = as_json(app, request, &me, &sessions, &happened);
    Ok(Reply::from(Outcome::Account(json)).showing(page))
}

fn as_json(
    app: &App,
    request: &Request,
    me: &LoggedIn,
    sessions: &[Arc<Session>],
    happened: &[Seen],
) -> Value {
    let sessions: Vec<Value> = sessions
        .iter()
        .map(|session| {
            json!({
                "id": session.id.short(),
                "current": session.id == me.session.id,
                "created": session.created,
                "last_seen": session.last_seen(),
                "address": session.address,
                "agent": session.agent,
                "remembered": session.stays_until(app.session_limits).is_some(),
            })
        })
        .collect();
    let browsers: Vec<Value> = browsers(request, me)
        .map(|device| {
            json!({
                "current": is_this(app, request, device),
                "created": device.created,
                "last_used": device.last_used(),
                "agent": device.agent,
            })
        })
        .collect();
    let mut told = json!({
        "username": me.account.username,
        "email": me.account.email,
        "email_proven": me.account.email_proven,
        "groups": me.account.groups,
        "created": me.account.created.at(),
        "recovery_codes_left": me.account.recovery_codes.len(),
        "sessions": sessions,
        "browsers": browsers,
        "events": events::as_json(happened, Eyes::Owner),
    });
    if let Some(tokens) = tokens::as_json(app, me) {
        told["tokens"] = tokens;
    }
    passkey::tell(app, &me.account, &mut told);
    told
}

/// The account's sessions that are not over, the current one first, then the most recent.
fn sessions(app: &App, request: &Request, me: &LoggedIn) -> Result<Vec<Arc<Session>>, Unavailable> {
    let now = request.received.timestamp();
    let mut sessions = app.store.sessions_of(&me.account.username)?;
    sessions.retain(|session| session.is_of(&me.account));
    sessions.retain(|session| !session.is_over(app.session_limits, now));
    sessions.sort_by_key(|session| (session.id != me.session.id, Reverse(session.last_seen())));
    Ok(sessions)
}

/// The browsers that the account knows, the last to log in first.
fn browsers<'a>(request: &Request, me: &'a LoggedIn) -> impl Iterator<Item = &'a Device> {
    me.account.known_devices(request.received.timestamp())
}

/// Whether a known browser is the one that sent this request.
fn is_this(app: &App, request: &Request, device: &Device) -> bool {
    let cookie = app.cookies.device(request);
    cookie.is_some_and(|cookie| Digest::of(cookie) == device.id)
}

/// Sessions, among which may be the one that `me` came with.
pub(super) fn session_views(
    app: &App,
    me: &LoggedIn,
    sessions: &[Arc<Session>],
) -> Vec<SessionView> {
    let view = |session: &Arc<Session>| SessionView {
        id: session.id.short(),
        current: session.id == me.session.id,
        created: session.created.0,
        last_seen: session.last_seen().0,
        address: session.address.clone(),
        agent: agent_label(&session.agent),
        stays_until: session.stays_until(app.session_limits).map(|end| end.0),
    };
    sessions.iter().map(view).collect()
}

fn account_page(
    app: &App,
    request: &Request,
    me: &LoggedIn,
    (sessions, happened): (&[Arc<Session>], &[Seen]),
    notice: Option<String>,
) -> AccountView {
    let browser = |device: &Device| BrowserView {
        current: is_this(app, request, device),
        created: device.created.0,
        last_used: device.last_used().0,
        agent: agent_label(&device.agent),
    };
    AccountView {
        username: me.account.username.clone(),
        email: me.account.email.clone(),
        email_proven: me.account.email_proven,
        groups: me.account.groups.clone(),
        is_administrator: me.account.is_administrator(),
        created: me.account.created.at().map(|moment| moment.0),
        recovery_codes_left: me.account.recovery_codes.len(),
        sessions: session_views(app, me, sessions),
        passkeys: passkey::view(app, request, &me.account),
        browsers: browsers(request, me).map(browser).collect(),
        tokens: tokens::views(app, request, me),
        events: events::views(happened, Eyes::Owner),
        notice,
        typed_email: String::new(),
        typed_token: TypedToken::default(),
        problem: None,
        now: request.received.timestamp().0,
    }
}

/// The account page as it is after a change, with what `amend` makes of it. `None` if the visitor is
/// not logged in any more.
pub(super) fn account_page_now(
    app: &App,
    request: &Request,
    amend: impl FnOnce(&mut AccountView),
) -> Option<AccountView> {
    let me = logged_in(app, request).ok()??;
    let sessions = sessions(app, request, &me).unwrap_or_default();
    let happened = events::recent(app, &me.account);
    let shown = (sessions.as_slice(), happened.as_slice());
    let mut page = account_page(app, request, &me, shown, None);
    amend(&mut page);
    Some(page)
}

/// Shows a refusal on the account page, beside its form, if the visitor is still logged in.
pub(super) fn account_again(
    app: &App,
    request: &Request,
    refusal: Refusal,
    form: AccountForm,
) -> Refusal {
    let Ok(Some(me)) = logged_in(app, request) else {
        return refusal;
    };
    refusal.about(&me.account.username).beside(|problem| {
        // The problem matters more than a list of sessions that cannot be read.
        let sessions = sessions(app, request, &me).unwrap_or_default();
        let happened = events::recent(app, &me.account);
        let shown = (sessions.as_slice(), happened.as_slice());
        let page = AccountView {
            typed_email: Typed::of(app, request).email,
            typed_token: tokens::typed(request),
            ..account_page(app, request, &me, shown, None)
        };
        page.refused(form, about_code(request, problem))
    })
}

/// `POST /account/sessions/end`: ends one session, or all but this one.
pub(super) fn end_sessions(app: &App, request: &Request) -> Answer {
    let me = require_login(app, request, "%2Faccount")?;
    let which = EndSessions::parse(request)
        .map_err(|refusal| account_again(app, request, refusal, AccountForm::Sessions))?;

    let (ended, ends_own) = match which {
        EndSessions::Others => (end_others(app, request, &me), false),
        EndSessions::One(id) => {
            let ends_own = id == me.session.id.short();
            (end_one(app, &me, id), ends_own)
        }
    };
    let ended = ended.map_err(|refusal| refusal.about(&me.account.username))?;

    let reply = Reply::from(Outcome::SessionsEnded).about(&me.account.username);
    let reply = match ended {
        true => reply,
        false => reply.changing_nothing(),
    };
    Ok(if ends_own {
        reply
            .then_to("/login")
            .with_cookie(app.cookies.end_session())
    } else {
        reply.then_to("/account?notice=sessions_ended")
    })
}

/// Ends all other sessions and unfinished logins, and forgets all other browsers; true if there was
/// a session or a browser.
fn end_others(app: &App, request: &Request, me: &LoggedIn) -> Result<bool, Refusal> {
    let grounds = Grounds::session(me);
    let known = known_device(app, request, Some(&me.account));
    let (own, username) = (me.session.id, me.account.username.clone());
    let ended = app.store.change(&username, move |person| {
        grounds.hold(Some(person))?;
        let had_other = person.has_session_that(|session| session.id != own);
        let devices = &person.account().devices;
        let knew_other = devices.iter().any(|device| Some(device.id) != known);
        person.account_mut().end_others(own, known);
        Ok(had_other || knew_other)
    })?;
    ended.unwrap_or(Err(Outcome::LoginRequired)).map_err(gone)
}

/// Ends the session with this short id, if it belongs to the account; true if one did.
fn end_one(app: &App, me: &LoggedIn, which: String) -> Result<bool, Refusal> {
    let own = me.session.id;
    let ended = app.store.change(&me.account.username, move |person| {
        if !person.has_session(own) {
            return Err(Outcome::LoginRequired);
        }
        let is_it = |session: &Session| session.id.short() == which;
        let had = person.has_session_that(is_it);
        person.end_sessions_that(is_it);
        Ok(had)
    })?;
    ended.unwrap_or(Err(Outcome::LoginRequired)).map_err(gone)
}
