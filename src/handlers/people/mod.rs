//! What administrators see of all accounts, and do to them.
//!
//! To everybody else who is logged in, nothing here exists: whatever they ask, they are answered as
//! at a path that never was. The list is in `list`, one account in `one`, what is done to it in
//! `act`, invitations in `invite`; who has to show password and code again, in `confirmed`.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::accounts::names;
use crate::accounts::person::Person;
use crate::handlers::grounds::Grounds;
use crate::handlers::{Answer, App, LoggedIn, require_login, routes};
use crate::http::{Method, Request};
use crate::redirect;
use crate::reply::{Outcome, Refusal};

mod act;
mod again;
mod confirmed;
mod invite;
mod list;
mod one;

use act::Kind;

pub(super) use again::Rest;

/// Where all this is.
const ROOT: &str = "/people";

/// The name below it that an invitation is made at. The account with that name, which only an
/// operator gives, can still be looked at.
const INVITE: &str = "invite";

/// A visitor who answers for all accounts: the proof that everything here asks for.
struct Administrator(LoggedIn);

/// What a path below [`ROOT`] names.
enum Place<'a> {
    List,
    /// An account, by its name as it was sent.
    One(&'a str),
    /// Something to do to it.
    Act(&'a str, Kind),
    /// Where an invitation is ended.
    EndInvitation,
    Nowhere,
}

impl<'a> Place<'a> {
    fn of(path: &'a str) -> Self {
        let below = path.strip_prefix(ROOT).unwrap_or_default();
        let parts: Vec<&str> = below.split('/').skip(1).collect();
        match (below, &parts[..]) {
            ("", _) => Self::List,
            (_, ["invitations", "end"]) => Self::EndInvitation,
            (_, [name]) if !name.is_empty() => Self::One(name),
            (_, [name, act]) if !name.is_empty() => match Kind::named(act) {
                Some(kind) => Self::Act(name, kind),
                None => Self::Nowhere,
            },
            _ => Self::Nowhere,
        }
    }
}

/// Whether a path is answered here.
pub(super) fn is_at(path: &str) -> bool {
    path.strip_prefix(ROOT)
        .is_some_and(|below| below.is_empty() || below.starts_with('/'))
}

/// The path as documents write it; `None` if nothing is there.
pub(super) fn route_of(path: &str) -> Option<&'static str> {
    if !is_at(path) {
        return None;
    }
    match Place::of(path) {
        Place::List => Some(ROOT),
        Place::One(INVITE) => Some("/people/invite"),
        Place::One(_) => Some("/people/NAME"),
        Place::Act(_, kind) => Some(kind.route()),
        Place::EndInvitation => Some("/people/invitations/end"),
        Place::Nowhere => None,
    }
}

/// Answers whatever is asked at or below [`ROOT`].
pub(super) fn answer(app: &App, request: &Request) -> Answer {
    let me = require_login(app, request, &back(request))?;
    let me = administrator(me).ok_or_else(|| nowhere(app))?;
    match (request.method, Place::of(&request.path)) {
        (Method::Post, Place::One(INVITE)) => invite::invite(app, request, &me),
        (Method::Post, Place::EndInvitation) => invite::end(app, request, &me),
        (_, Place::EndInvitation) => Err(not_by_this_method(app, "POST")),
        (_, Place::Nowhere) => Err(nowhere(app)),
        (Method::Get | Method::Head, Place::List) => list::list(app, request),
        (Method::Get | Method::Head, Place::One(name)) => one::one(app, request, &me, name),
        (Method::Post, Place::Act(name, kind)) => act::act(app, request, &me, name, kind),
        (_, Place::Act(..)) => Err(not_by_this_method(app, "POST")),
        (_, Place::List | Place::One(_)) => Err(not_by_this_method(app, "GET, HEAD")),
    }
}

impl Administrator {
    /// Whether they may still do so when an act is saved.
    fn may(&self) -> impl Fn(Option<&Person<'_>>) -> Result<(), Outcome> + Send + use<> {
        let grounds = Grounds::session(&self.0);
        move |asker| {
            grounds.hold(asker)?;
            match asker.is_some_and(|asker| asker.account().is_administrator()) {
                true => Ok(()),
                false => Err(Outcome::NotFound),
            }
        }
    }
}

/// The refusal of an act by somebody who may not do so any more.
fn not_heard(app: &App, request: &Request, why: Outcome) -> Refusal {
    match why {
        Outcome::NotFound => nowhere(app),
        why => Refusal::from(why).then_to(format!("/login?rd={}", back(request))),
    }
}

fn administrator(me: LoggedIn) -> Option<Administrator> {
    me.account.is_administrator().then_some(Administrator(me))
}

/// The refusal of what is not there, the same as of a path that never was.
fn nowhere(app: &App) -> Refusal {
    routes::not_so(app, ROOT, Outcome::NotFound)
}

fn not_by_this_method(app: &App, methods: &'static str) -> Refusal {
    routes::not_so(app, ROOT, Outcome::MethodNotAllowed(methods))
}

/// The page to come back to after a login, as a value in a query: the one that was asked for, or
/// the one with the form that was sent.
fn back(request: &Request) -> String {
    let path = match Place::of(&request.path) {
        Place::Act(name, _) => format!("{ROOT}/{name}"),
        Place::EndInvitation => ROOT.to_owned(),
        Place::One(INVITE) if request.method == Method::Post => ROOT.to_owned(),
        _ => request.path.clone(),
    };
    let is_asked_for = request.method != Method::Post && !request.query.is_empty();
    let whole = match is_asked_for {
        true => format!("{path}?{}", request.query),
        false => path,
    };
    match whole.len() > redirect::MAX_LENGTH {
        true => redirect::encode(ROOT),
        false => redirect::encode(&whole),
    }
}

/// The name in a path; `None` if nobody could have it.
fn decoded(name: &str) -> Option<String> {
    let name = percent_decode_str(name).decode_utf8().ok()?;
    (name.len() <= names::MAX_EMAIL).then(|| name.into_owned())
}

/// What need not be encoded in a path, besides letters and digits.
const IN_A_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// The address of an account's page.
fn path_of(username: &str) -> String {
    format!("{ROOT}/{}", utf8_percent_encode(username, IN_A_PATH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_one_place() {
        for path in [
            "/people",
            "/people/",
            "/people/a/disable/",
            "/people//disable",
        ] {
            assert!(is_at(path), "{path}");
        }
        for path in ["/", "/peoples", "/people.html", "/account/people"] {
            assert!(!is_at(path), "{path}");
        }
        assert!(matches!(Place::of("/people"), Place::List));
        assert!(matches!(Place::of("/people/a%2Fb"), Place::One("a%2Fb")));
        let Place::Act("a", Kind::Disable) = Place::of("/people/a/disable") else {
            panic!("no act");
        };
        for path in [
            "/people/",
            "/people/a/",
            "/people//disable",
            "/people/a/disable/",
            "/people/a/Disable",
            "/people/a/b/disable",
        ] {
            assert!(matches!(Place::of(path), Place::Nowhere), "{path}");
        }
    }

    #[test]
    fn a_name_comes_through_a_path_unchanged() {
        for name in ["alice", "bob.smith-2_x+y", "a/b?c#d%e", "Z\u{fc}rich"] {
            let path = path_of(name);
            let Place::One(sent) = Place::of(&path) else {
                panic!("{path}");
            };
            assert_eq!(decoded(sent).as_deref(), Some(name));
        }
        assert_eq!(decoded("%ff"), None);
        assert_eq!(decoded(&"a".repeat(255)), None);
    }
}
