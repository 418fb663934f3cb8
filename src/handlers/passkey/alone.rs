//! A login by passkey alone: it is both factors at once, so its authenticator must have checked who
//! is there.

use std::sync::Arc;

use crate::accounts::Account;
use crate::accounts::login::SecondStep;
use crate::accounts::passkey::{CredentialId, Purpose, Refused, Step};
use crate::accounts::throttle::CodeFrom;
use crate::accounts::token::Digest;
use crate::handlers::code::{device_of, new_device};
use crate::handlers::entry::Entry;
use crate::handlers::login::beside_login;
use crate::handlers::passkey::forms::{Alone, Shown};
use crate::handlers::passkey::{Right, look, refused};
use crate::handlers::tries::{begin, decide};
use crate::handlers::{Answer, App, new_login};
use crate::http::Request;
use crate::network::Network;
use crate::reply::{Outcome, Refusal, Reply};

/// The login page again, with what is wrong and a fresh challenge.
pub(in crate::handlers) fn log_in_again(app: &App, request: &Request, refusal: Refusal) -> Refusal {
    beside_login(app, request, refusal)
}

/// `POST /login/passkey`: a passkey begins a session.
pub(in crate::handlers) fn log_in(app: &App, request: &Request) -> Answer {
    let Alone {
        shown,
        rd,
        remember,
    } = Alone::parse(app, request)?;

    let account = owner(app, &shown)?;
    // It cannot be guessed, so it is looked at whatever the counts say.
    let what = (Step::Alone, Purpose::Alone);
    let right = look(app, request, account.as_deref(), what, &shown)?;
    let entered = match (account.as_ref(), right) {
        (Some(account), Ok(right)) => enter(app, request, account, right, remember)?,
        (_, Err(why)) => Err(why),
        (None, Ok(_)) => Err(Refused::Unknown),
    };
    let reply = match entered {
        Ok(reply) => reply,
        Err(why) => {
            if why != Refused::Expired {
                count(app, request)?;
            }
            let why = (Step::Alone, why);
            return Err(refused(app, request, account.as_deref(), why, &shown));
        }
    };

    Ok(match rd.as_str() {
        "" => reply.then_to("/account"),
        rd => reply.then_to(rd),
    })
}

/// The account that has this passkey, if anybody can log in to it.
fn owner(app: &App, shown: &Shown) -> Result<Option<Arc<Account>>, Refusal> {
    let Some(id) = CredentialId::new(&shown.id) else {
        return Ok(None);
    };
    let account = app.store.owner_of(&id)?;
    Ok(account.filter(|account| !account.disabled && account.password.is_some()))
}

/// Counts a failure against the network, whoever it was meant for.
fn count(app: &App, request: &Request) -> Result<(), Refusal> {
    let attempt = begin(app, || {
        let (from, now) = (CodeFrom::Stranger, request.received.steady);
        app.throttle.begin_code(from, request.client, None, now)
    })?;
    decide(app, attempt, true);
    Ok(())
}

/// Notes the use and begins a session, in one save; or says why the passkey is not good any more.
fn enter(
    app: &App,
    request: &Request,
    account: &Arc<Account>,
    (used, held): Right<'_>,
    remember: bool,
) -> Result<Result<Reply, Refused>, Refusal> {
    let (known, fresh) = device_of(app, request, Some(account));
    let device = fresh.as_deref().map(|fresh| new_device(request, fresh));
    let (network, now) = (Network::of(request.client), request.received.timestamp());
    let entry = Entry::new(app, request).remembered(remember.then_some(now));
    let (start, before) = (entry.start(), Arc::clone(account));
    let pending = app.cookies.login(request).map(Digest::of);
    let entered = app.store.change(&account.username, move |person| {
        let is_same = person.account().id == before.id && !person.account().disabled;
        if !is_same {
            return Err(Refused::Unknown);
        }
        let account = person.account_mut();
        account.use_passkey(&used, now)?;
        account.logged_in(known, network, now);
        if let Some(device) = &device {
            account.remember_device(device.clone(), now);
        }
        start.begin(person);
        if let Some(id) = pending {
            person.end_pending(id);
        }
        Ok(())
    })?;
    if let Err(why) = entered.unwrap_or(Err(Refused::Unknown)) {
        return Ok(Err(why));
    }
    held.use_up();
    let by = SecondStep::PasskeyAlone;
    new_login::tell(app, request, account, fresh.as_deref(), by);
    let cookies = entry.hand_out(app, request, &account.username, fresh);
    Ok(Ok(Reply::from(Outcome::LoginComplete(Vec::new()))
        .with_cookies(cookies)
        .entered_by(by)
        .about(&account.username)))
}
