//! Which session a request belongs to, if several cookies of the session's name came with it.
//!
//! Any host of the cookie domain can set another one, with a longer path or another domain. A
//! cookie that names no session does not count. If two name one, nobody can tell which of them this
//! server gave to the browser.

use crate::accounts::token::Digest;
use crate::clock::Timestamp;
use crate::handlers::{App, LoggedIn};
use crate::http::Request;
use crate::pages::message::{Message, Way};
use crate::reply::{Outcome, Refusal};
use crate::store::{Unavailable, Who};

/// Whose session a request has.
pub(super) enum Presented {
    Nobodys,
    Of(LoggedIn),
    /// Two that are not over.
    Two,
}

/// Looks up the sessions that the request's cookies name; those that are over do not count.
///
/// # Errors
///
/// If the sessions cannot be read now.
pub(super) fn presented(app: &App, request: &Request) -> Result<Presented, Unavailable> {
    presented_by(app, request, |id| app.store.who(id))
}

/// As [`presented`], for applications: they go on for some seconds while the store does not answer.
///
/// # Errors
///
/// If the sessions cannot be read now, and are not known.
pub(super) fn presented_of_late(app: &App, request: &Request) -> Result<Presented, Unavailable> {
    presented_by(app, request, |id| app.store.who_of_late(id))
}

fn presented_by(
    app: &App,
    request: &Request,
    who: impl Fn(Digest) -> Result<Option<Who>, Unavailable>,
) -> Result<Presented, Unavailable> {
    let now = request.received.timestamp();
    let mut found = Presented::Nobodys;
    for cookie in app.cookies.sessions(request) {
        let Some(me) = if_lasting(app, who(Digest::of(cookie))?, now) else {
            continue;
        };
        if matches!(found, Presented::Of(_)) {
            return Ok(Presented::Two);
        }
        found = Presented::Of(me);
    }
    Ok(found)
}

/// The session with this id and its account, if it is not over. Read anew each time, so that a
/// deleted or disabled account is out at once.
///
/// # Errors
///
/// If the session cannot be read now.
pub(super) fn lasting(
    app: &App,
    id: Digest,
    now: Timestamp,
) -> Result<Option<LoggedIn>, Unavailable> {
    Ok(if_lasting(app, app.store.who(id)?, now))
}

fn if_lasting(app: &App, found: Option<Who>, now: Timestamp) -> Option<LoggedIn> {
    let lasts = found.filter(|(session, account)| {
        !session.is_over(app.session_limits, now) && !account.disabled && session.is_of(account)
    });
    lasts.map(|(session, account)| LoggedIn { session, account })
}

/// The refusal of two sessions at once. Neither is ended, or whoever planted one could end the
/// other for good; the browser is told to forget both. The page may be shown at an application's
/// host, where `path` was asked for.
pub(super) fn two(app: &App, path: &str, login: &str) -> Refusal {
    let outcome = Outcome::TwoSessions;
    let page = Message {
        title: "Two sessions".to_owned(),
        text: outcome.message().into_owned(),
        advice: ADVICE.to_owned(),
        onward: Way::new(login, "Log in"),
        else_to: None,
    };
    Refusal::from(outcome)
        .showing(page)
        .with_cookies(app.cookies.forget_sessions(path))
}

/// What a page says in addition to the outcome's sentence.
pub(super) const ADVICE: &str = "This browser sent two cookies that are both sessions here: \
    another application or page has set one of them. It has been told to forget both. If this \
    comes back, delete the cookies of this site, and tell whoever runs it.";
