//! Links that were mailed to an address: whoever uses one proves that the address is theirs.

use zeroize::Zeroizing;

use crate::accounts::confirmations::{Confirmed, Unconfirmed};
use crate::accounts::token::{self, Digest};
use crate::as_typed;
use crate::events::Kind;
use crate::form::Form;
use crate::handlers::forms::ConfirmForm;
use crate::handlers::{Answer, App, logged_in, require_login};
use crate::http::Request;
use crate::mail::Notice;
use crate::network::Network;
use crate::pages::confirm::Confirm;
use crate::pages::message::Way;
use crate::reply::{Outcome, Refusal, Reply};

/// `GET /confirm`: the button. Nothing changes, since programs that scan mail open links.
pub(super) fn confirm_page(app: &App, request: &Request) -> Answer {
    let token = link_token(request);
    let now = request.received.timestamp();
    if !app.store.is_confirmable(Digest::of(&token), now)? {
        return Err(Outcome::NoConfirmation.into());
    }
    Ok(Reply::page(Confirm {
        token: token.to_string(),
        form: token::cookie(),
    }))
}

/// The token in the query of a link; empty if there is none. A link that was cut short is as unknown
/// as any other.
pub(super) fn link_token(request: &Request) -> Zeroizing<String> {
    let token = Form::of_query(request).optional_as("token", as_typed::name, MAX_TOKEN);
    token.ok().flatten().unwrap_or_default()
}

/// Longest token that is looked at, in characters; ours have 22.
const MAX_TOKEN: usize = 64;

/// `POST /confirm`: the address of the link's account is proven, or another one is in its place.
pub(super) fn confirm(app: &App, request: &Request) -> Answer {
    let ConfirmForm { token } = ConfirmForm::parse(request)?;

    let now = request.received.timestamp();
    let confirmed = app.store.confirm(Digest::of(&token), now)?;
    let Confirmed { account, before } = confirmed.map_err(|why| match why {
        Unconfirmed::Taken => Outcome::EmailExists,
        Unconfirmed::Unknown => Outcome::NoConfirmation,
    })?;
    let kind = match before {
        Some(_) => Kind::EmailChanged,
        None => Kind::EmailConfirmed,
    };
    if let (Some(before), Some(new)) = (before, &account.email) {
        // To the old address.
        let notice = Notice::EmailChanged(new.clone());
        app.errands.notify(&before, &notice, request.received);
    }

    let is_own = logged_in(app, request)?.is_some_and(|me| me.account.id == account.id);
    let next = match is_own {
        true => "/account?notice=email_confirmed",
        false => "/login?notice=email_confirmed",
    };
    Ok(Reply::from(Outcome::EmailConfirmed)
        .then_to(next)
        .telling(kind)
        .about(&account.username))
}

/// Leads on from a link that does nothing.
pub(super) fn confirm_again(_: &App, _: &Request, refusal: Refusal) -> Refusal {
    refusal.leading_to(Way::new("/account", "Your account"))
}

/// `POST /account/email/confirmation`: mails another link.
pub(super) fn send_again(app: &App, request: &Request) -> Answer {
    let me = require_login(app, request, "%2Faccount")?;
    let account = &me.account;
    if account.email_proven {
        return Ok(Reply::from(Outcome::EmailConfirmed)
            .then_to("/account?notice=email_confirmed")
            .changing_nothing()
            .about(&account.username));
    }

    if account.email.is_none() {
        return Err(Outcome::NoAddress.into());
    }

    // Whoever has asked too often is not told so.
    let asker = Network::of(request.client);
    app.errands
        .mail_confirmation(&account.username, asker, request.received);
    Ok(Reply::from(Outcome::ConfirmationSent)
        .then_to("/account?notice=confirmation_sent")
        .about(&account.username))
}
