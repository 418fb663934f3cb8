//! Changing one's address: whoever asks is told the same whatever becomes of it, and nothing changes
//! until the link that was mailed to the new address is used.

use crate::handlers::account::account_again;
use crate::handlers::acts::confirm;
use crate::handlers::forms::NewAddress;
use crate::handlers::grounds::{Grounds, gone};
use crate::handlers::{Answer, App, require_login};
use crate::http::Request;
use crate::network::Network;
use crate::pages::account::AccountForm;
use crate::reply::{Outcome, Refusal, Reply};

/// `POST /account/email`: mails a link to the new address.
pub(super) fn change_email(app: &App, request: &Request) -> Answer {
    let me = require_login(app, request, "%2Faccount")?;
    let NewAddress { email, current } = NewAddress::parse(request)?;

    let proof = confirm(app, request, &me, current)?;
    let (grounds, username) = (Grounds::password(&me, &proof), &me.account.username);
    let held = app
        .store
        .change(username, move |person| grounds.hold(Some(person)))?;
    held.unwrap_or(Err(Outcome::LoginRequired)).map_err(gone)?;
    // Whose address that is must show neither in the answer nor in the time it takes.
    let asker = Network::of(request.client);
    app.errands
        .mail_change(&me.account, email, asker, request.received);

    Ok(Reply::from(Outcome::ChangeMailed)
        .then_to("/account?notice=change_mailed")
        .about(username))
}

/// The account page again, with what is wrong beside the form.
pub(super) fn change_email_again(app: &App, request: &Request, refusal: Refusal) -> Refusal {
    account_again(app, request, refusal, AccountForm::Email)
}
