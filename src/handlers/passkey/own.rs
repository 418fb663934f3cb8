//! The passkeys of one's own account: listed, made with password and code, removed with the
//! password.

use serde_json::{Value, json};

use crate::accounts::Account;
use crate::accounts::login::Accepted;
use crate::accounts::passkey::{NotAdded, Passkey, Purpose, Refused, RelyingParty};
use crate::accounts::person::Person;
use crate::handlers::account::{account_again, account_page_now};
use crate::handlers::acts::{confirm, confirm_with};
use crate::handlers::code::tell_of_recovery_code;
use crate::handlers::entry::agent;
use crate::handlers::forms::PasswordAndCode;
use crate::handlers::grounds::{Grounds, gone};
use crate::handlers::passkey::as_value;
use crate::handlers::passkey::forms::{Confirm, Remove};
use crate::handlers::{Answer, App, require_login};
use crate::http::Request;
use crate::mail::Notice;
use crate::pages::account::AccountForm;
use crate::pages::agent_label;
use crate::pages::message::{Message, Way};
use crate::pages::passkey::{Listed, PasskeysView};
use crate::reply::{Outcome, Refusal, Reply};

/// The site to which passkeys are made here.
fn here(app: &App) -> Result<&RelyingParty, Refusal> {
    let party = app.passkeys.as_ref().map(|passkeys| &passkeys.party);
    party.ok_or_else(|| Outcome::NoPasskeysHere.into())
}

/// `POST /account/passkeys`: what makes a passkey, in exchange for password and code.
pub(in crate::handlers) fn begin_making(app: &App, request: &Request) -> Answer {
    let me = require_login(app, request, "%2Faccount")?;
    let party = here(app)?;
    let sent = PasswordAndCode::parse(request)?;
    if !me.account.may_add_passkey() {
        return Err(Outcome::TooManyPasskeys.into());
    }

    let act = confirm_with(app, request, &me, sent)?;
    let (accepted, handle) = act.judge(|person| person.account_mut().give_handle().clone())?;
    if let Accepted::RecoveryCode { left } = accepted {
        tell_of_recovery_code(app, request, &me.account.username, left);
    }
    let purpose = Purpose::Making(me.session.id);
    let challenge = app.store.ask_challenge(purpose, request.received.steady)?;
    let options = as_value(party.creation_options(&me.account, &handle, challenge));

    let making = options.to_string();
    let outcome = Outcome::PasskeyOptions(Box::new(options));
    let page = account_page_now(app, request, |page| {
        page.notice = Some(outcome.message().into_owned());
        page.passkeys.making = Some(making);
    });
    let reply = Reply::from(outcome).about(&me.account.username);
    Ok(match page {
        Some(page) => reply.showing(page),
        None => reply,
    })
}

/// The account page again, with what is wrong beside the form that begins.
pub(in crate::handlers) fn begin_again(app: &App, request: &Request, refusal: Refusal) -> Refusal {
    account_again(app, request, refusal, AccountForm::AddPasskey)
}

/// `POST /account/passkeys/confirm`: the passkey that was made is kept.
pub(in crate::handlers) fn finish_making(app: &App, request: &Request) -> Answer {
    let me = require_login(app, request, "%2Faccount")?;
    let party = here(app)?;
    let form = Confirm::parse(request)?;

    let username = &me.account.username;
    let (purpose, now) = (Purpose::Making(me.session.id), request.received);
    let is_asked = app.store.asked_challenge(purpose, now.steady);
    let made = party.make(form.making(), is_asked).map_err(not_made)?;
    let held = app.store.hold_challenge(made.challenge, now.steady)?;
    let held = held.map_err(not_made)?;
    let name = form.name.unwrap_or_else(|| agent_label(agent(request)));
    let passkey = Passkey::new(&made, party, &name, form.transports, now.timestamp());
    let (id, grounds) = (passkey.id.clone(), Grounds::session(&me));
    let may = move |person: Option<&Person<'_>>| grounds.hold(person);
    let added = app.store.add_passkey(username, may, passkey)?;
    added.map_err(gone)?.map_err(not_added)?;
    held.use_up();
    app.errands
        .notify(&me.account, &Notice::PasskeyAdded(name), now);

    Ok(Reply::from(Outcome::PasskeyAdded(Some(id)))
        .then_to("/account?notice=passkey_added")
        .about(username))
}

/// Whoever sent it is told nothing more, but if they were only too slow.
fn not_made(why: Refused) -> Outcome {
    match why {
        Refused::Expired => Outcome::PasskeyExpired,
        _ => Outcome::PasskeyRefused,
    }
}

fn not_added(why: NotAdded) -> Outcome {
    match why {
        NotAdded::Known => Outcome::PasskeyRefused,
        NotAdded::NoAccount => Outcome::LoginRequired,
        NotAdded::TooMany => Outcome::TooManyPasskeys,
    }
}

/// `POST /account/passkeys/remove`: a passkey stops working. No session ends.
pub(in crate::handlers) fn remove(app: &App, request: &Request) -> Answer {
    let me = require_login(app, request, "%2Faccount")?;
    here(app)?;
    let Remove { id, current } = Remove::parse(request)?;

    let proof = confirm(app, request, &me, current)?;
    let (grounds, username) = (Grounds::password(&me, &proof), &me.account.username);
    let removed = app.store.change(username, move |person| {
        grounds.hold(Some(person))?;
        // One that is not there costs no save.
        Ok(match person.account().passkey(&id) {
            Some(_) => person.account_mut().remove_passkey(&id),
            None => None,
        })
    })?;
    let removed = removed.unwrap_or(Err(Outcome::LoginRequired));
    let removed = removed.map_err(gone)?;
    let removed = removed.ok_or_else(|| Refusal::from(Outcome::NotFound).showing(not_there()))?;
    let notice = Notice::PasskeyRemoved(removed.name);
    app.errands.notify(&me.account, &notice, request.received);

    Ok(Reply::from(Outcome::PasskeyRemoved)
        .then_to("/account?notice=passkey_removed")
        .about(username))
}

/// As [`begin_again`], beside the passkey that was to be removed.
pub(in crate::handlers) fn remove_again(app: &App, request: &Request, refusal: Refusal) -> Refusal {
    account_again(app, request, refusal, AccountForm::RemovePasskey)
}

fn not_there() -> Message {
    Message {
        title: "No such passkey".to_owned(),
        text: Outcome::NotFound.message().into_owned(),
        advice: "It is none of your passkeys, or was removed already.".to_owned(),
        onward: Way::new("/account", "Your account"),
        else_to: None,
    }
}

/// Adds to what programs are told of an account. The original script knows no passkeys.
pub(in crate::handlers) fn tell(app: &App, account: &Account, told: &mut Value) {
    if app.script.is_some() {
        return;
    }
    let one = |passkey: &Passkey| {
        json!({
            "id": passkey.id,
            "name": passkey.name,
            "created": passkey.created,
            "used": passkey.used,
            "synced": passkey.synced,
            "host": passkey.rp,
        })
    };
    told["passkeys"] = account.passkeys.iter().map(one).collect();
}

/// The passkeys as the account page shows them.
pub(in crate::handlers) fn view(app: &App, request: &Request, account: &Account) -> PasskeysView {
    if app.script.is_some() {
        return PasskeysView::default();
    }
    let party = app.passkeys.as_ref().map(|passkeys| &passkeys.party);
    let here = |passkey: &Passkey| party.is_some_and(|party| party.id() == passkey.rp);
    let one = |passkey: &Passkey| Listed {
        id: passkey.id.text(),
        name: passkey.name.clone(),
        created: passkey.created.0,
        used: passkey.used.map(|at| at.0),
        synced: passkey.synced,
        elsewhere: (!here(passkey)).then(|| passkey.rp.clone()),
    };
    PasskeysView {
        offered: party.is_some(),
        full: !account.may_add_passkey(),
        listed: account.passkeys.iter().map(one).collect(),
        making: None,
        name: agent_label(agent(request)),
        removing: Remove::parse(request).ok().map(|form| form.id.text()),
    }
}
