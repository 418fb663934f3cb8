//! Telling owners of a login from a browser that their account did not know.

use crate::accounts::Account;
use crate::accounts::login::SecondStep;
use crate::events::{Event, Kind};
use crate::handlers::App;
use crate::handlers::entry::agent;
use crate::handlers::happened::origin;
use crate::http::Request;
use crate::mail::Notice;
use crate::pages::agent_label;

/// Tells the owner, if the login was from a browser the account did not know: `device` is the value
/// that such a browser is given. `account` is as it was before the login. Nobody needs to be told
/// of their first login, and a recovery code has a notice of its own.
pub(super) fn tell(
    app: &App,
    request: &Request,
    account: &Account,
    device: Option<&str>,
    by: SecondStep,
) {
    if device.is_none() || by == SecondStep::RecoveryCode || account.has_never_logged_in() {
        return;
    }
    let notice = Notice::NewLogin {
        address: request.client.to_string(),
        browser: agent_label(agent(request)),
    };
    let event = Event::of(Kind::NewBrowser)
        .about(account)
        .from(origin(request));
    app.errands
        .notify_with(account, &notice, request.received, event);
}
