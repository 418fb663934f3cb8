//! Which session a request belongs to, if several cookies of the session's name came with it.
//!
//! Any host of the cookie domain can set one more, with a longer path or another domain. One that
//! is no session does not count. Of two that are, nobody can tell which the browser was given here.

use crate::accounts::token::Digest;
use crate::handlers::{App, LoggedIn};
use crate::http::Request;
use crate::pages::{Page, Way};
use crate::reply::{Outcome, Refusal};

/// The sessions that the request's cookies name and that are not over.
pub(super) fn presented<'a>(
    app: &'a App,
    request: &'a Request,
) -> impl Iterator<Item = LoggedIn> + 'a {
    let now = request.received.timestamp();
    app.cookies.sessions(request).filter_map(move |cookie| {
        let session = app.store.session(Digest::of(cookie))?;
        if session.is_over(app.session_limits, now) {
            return None;
        }
        // Read anew each time, so that an account deleted or disabled is out at once.
        let account = app
            .store
            .resolve(&session.username)
            .filter(|account| !account.disabled && session.is_of(account))?;
        Some(LoggedIn { session, account })
    })
}

pub(super) fn are_two(app: &App, request: &Request) -> bool {
    presented(app, request).nth(1).is_some()
}

/// The refusal of two sessions at once. Neither is ended, or whoever planted one could log its
/// owner out everywhere; the browser forgets both. It may be shown at an application's host, where
/// `path` was asked for.
pub(super) fn two(app: &App, path: &str, login: &str) -> Refusal {
    let outcome = Outcome::TwoSessions;
    let page = Page::Message {
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

/// What there is to say beyond the sentence.
pub(super) const ADVICE: &str = "This browser sent two cookies that are both sessions here: \
    another application or page has set one of them. It has been told to forget both. If this \
    comes back, delete the cookies of this site, and tell whoever runs it.";
