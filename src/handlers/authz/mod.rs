//! What reverse proxies ask before they let a request through to an application: who is this, and
//! may he enter. Nothing is changed but the time a session was last used.
//!
//! An application behind a proxy is as safe as these answers. So a yes needs a session, a target
//! that can be read in one way, and a rule that lets the account in; whatever else comes is a no.

mod asked;

use crate::accounts::Account;
use crate::handlers::authz::asked::Asked;
use crate::handlers::{Answer, App, denied, session_of};
use crate::http::Request;
use crate::redirect;
use crate::reply::{Dialect, Identity, Outcome, Refusal, Reply};

/// How a path is asked by, if it is one that proxies ask.
pub(super) fn dialect(path: &str) -> Option<Dialect> {
    match path {
        "/api/authz/auth-request" => Some(Dialect::AuthRequest),
        "/api/authz/forward-auth" => Some(Dialect::ForwardAuth),
        "/api/verify" => Some(Dialect::Verify),
        _ => None,
    }
}

/// Any method at these paths: whether the visitor may have what the proxy was asked for.
pub(super) fn check(app: &App, request: &Request, dialect: Dialect) -> Answer {
    let asked = Asked::read(request, dialect, &app.targets)
        .map_err(|why| Outcome::BadTarget(dialect, why))?;

    let me = session_of(app, request).ok_or_else(|| to_login(app, request, dialect, &asked))?;
    // By whatever method the proxy asks: one that asks by HEAD guards visitors who are there.
    me.session.seen(request.received.timestamp());

    let host = asked.target.host_str().unwrap_or_default();
    let access = app.store.access();
    if !access.admits(host, asked.target.path(), &me.account.groups) {
        return Ok(turned_away(app, &me.account, dialect, &asked));
    }

    Ok(Reply::from(Outcome::Admitted).identifying(identity(&me.account)))
}

/// Where a visitor logs in and comes back from. nginx and programs are told by 401, browsers sent.
fn to_login(app: &App, request: &Request, dialect: Dialect, asked: &Asked) -> Refusal {
    let told = dialect == Dialect::AuthRequest || asked.by_original_url || !is_browser(request);
    let outcome = if told {
        Outcome::LoginRequired
    } else {
        let by_get = !matches!(asked.method.as_str(), "" | "GET" | "HEAD" | "OPTIONS");
        Outcome::SentToLogin { by_get }
    };
    Refusal::from(outcome).pointing_to(login_url(app, asked))
}

/// nginx shows a page of its own; by the address it is given it may lead to ours instead.
fn turned_away(app: &App, account: &Account, dialect: Dialect, asked: &Asked) -> Reply {
    let host = asked.target.host_str().unwrap_or_default();
    let reply = denied(app, account, host.to_owned());
    if dialect == Dialect::AuthRequest || asked.by_original_url {
        return reply.pointing_to(login_url(app, asked));
    }
    reply
}

/// What a path answers when it cannot be asked: too busy, not understood, a defect of ours. nginx
/// takes anything but 401 and 403 for an error.
pub(super) fn refusal(app: &App, outcome: Outcome, path: &str) -> Reply {
    if dialect(path) == Some(Dialect::AuthRequest) {
        return Reply::from(Outcome::LoginRequired)
            .pointing_to(format!("{}/login", app.public_url));
    }
    outcome.into()
}

fn login_url(app: &App, asked: &Asked) -> String {
    let mut url = format!(
        "{}/login?rd={}",
        app.public_url,
        redirect::encode(&asked.way_back())
    );
    if !asked.method.is_empty() {
        url.push_str("&rm=");
        url.push_str(&asked.method);
    }
    url
}

/// Whether somebody looks at the answer: not a script in a page, and not a program.
fn is_browser(request: &Request) -> bool {
    let by_script = request
        .header("x-requested-with")
        .is_some_and(|by| by.eq_ignore_ascii_case("XMLHttpRequest"));
    !by_script && request.accepts_any(&["text/html", "text/*", "*/*"])
}

fn identity(account: &Account) -> Identity {
    Identity {
        user: account.username.clone(),
        email: account.email.clone(),
        name: account.username.clone(),
        groups: account.groups.clone(),
    }
}
