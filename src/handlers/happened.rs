//! Which event a reply is: decided here from its outcome, for all routes.

use crate::events::{Event, Kind, Origin};
use crate::handlers::App;
use crate::handlers::entry::agent;
use crate::handlers::journal::{is_try, result};
use crate::http::Request;
use crate::reply::{REPEATED, Reply};

/// Notes what happened, if anything did. `account` is whose account the reply is about, if there is
/// such an account.
pub(super) fn note(app: &App, request: &Request, reply: &Reply, account: Option<&str>) {
    if reply.told.nothing || reply.noted == Some(REPEATED) {
        return;
    }
    let kind = reply.told.kind.or_else(|| reply.outcome.event());
    match (kind, account) {
        (Some(Kind::Refused), _) if !is_try(request, reply) => {}
        // What costs whoever sends it nothing is never listed, or they could fill the file.
        (Some(Kind::Refused), Some(user)) if !reply.is_cheap() => {
            let event = event(app, request, reply, Kind::Refused, user);
            app.events.note(event.refused(result(reply), &request.path));
        }
        (Some(Kind::Refused), _) => app.events.count(result(reply)),
        (Some(kind), Some(user)) => done(app, request, reply, kind, user),
        _ => {}
    }
}

/// Notes what was done by the owner of an account.
fn done(app: &App, request: &Request, reply: &Reply, kind: Kind, user: &str) {
    let event = event(app, request, reply, kind, user);
    let event = match (kind, reply.told.by, &reply.told.invitation) {
        (Kind::LoggedIn, Some(by), _) => event.with(by),
        (Kind::Registered, _, Some(id)) => event.invitation(id),
        _ => event,
    };
    app.events.note(event);
    // After a mailed password, a new one is the last step of the login.
    if let (Kind::PasswordChanged, Some(by)) = (kind, reply.told.by) {
        let event = self::event(app, request, reply, Kind::LoggedIn, user);
        app.events.note(event.with(by).after_mailed_password());
    }
}

fn event(app: &App, request: &Request, reply: &Reply, kind: Kind, user: &str) -> Event {
    let account = app.store.account(user).ok().flatten();
    let event = match account {
        Some(account) => Event::of(kind).about(&account),
        None => {
            let id = reply.told.id.as_ref().map(|id| id.as_str());
            Event::of(kind).named(user, id)
        }
    };
    event.from(origin(request))
}

/// Where a request came from, for events.
pub(super) fn origin(request: &Request) -> Origin {
    Origin::new(request.client, agent(request))
}
