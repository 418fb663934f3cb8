//! Routes for anyone: register, and ask for a new password.

use crate::accounts::registration::is_reserved;
use crate::accounts::{Account, Taken, token};
use crate::form::Form;
use crate::handlers::forms::{
    ForgotForm, InvitedForm, Registration, Typed, is_rd_too_long, rd_field,
};
use crate::handlers::happened::origin;
use crate::handlers::new_password::refuse_easy;
use crate::handlers::tries::too_often;
use crate::handlers::{Answer, App, hash, invitation, logged_in};
use crate::http::Request;
use crate::network::Network;
use crate::pages;
use crate::pages::forgot::{Forgot, ForgotSent};
use crate::pages::message::Way;
use crate::pages::register::Register;
use crate::redirect;
use crate::reply::{Outcome, Refusal, Reply, THROTTLED};
use crate::store::Unavailable;
use crate::store::counts::Refused;

/// `GET /`: the registration page, or the way to the login where strangers cannot register. Old
/// proxy configurations send people here with an `rd`.
pub(super) fn first_page(app: &App, request: &Request) -> Answer {
    let query = Form::of_query(request);
    if query.has("rd") {
        let rd = if is_rd_too_long(&query) {
            redirect::TOO_LONG.to_owned()
        } else {
            rd_field(app, &query).unwrap_or_default()
        };
        let mut login = pages::with_rd("/login", &rd);
        // The login page says something else if a proxy asked, and not a link.
        if query.has("rm") && !rd.is_empty() {
            login.push_str("&rm");
        }
        return Ok(Reply::see_other(login));
    }
    if !app.registration.is_open() {
        return Ok(Reply::see_other("/login".to_owned()));
    }
    let onward = query
        .optional("onward", redirect::MAX_LENGTH)
        .ok()
        .flatten();
    let rd = onward.and_then(|onward| app.targets.allow(&onward));
    // The page is for everybody, even when the store cannot tell who is asking.
    let me = logged_in(app, request).unwrap_or_default();
    Ok(Reply::page(Register {
        rd: rd.unwrap_or_default(),
        form: token::cookie(),
        me: me.map(|me| me.account.username.clone()),
        ..Register::default()
    }))
}

/// The registration page again, with what is wrong; or the way to the login where strangers cannot
/// register.
pub(super) fn register_again(app: &App, request: &Request, refusal: Refusal) -> Refusal {
    if let Ok(Some(form)) = InvitedForm::parse(request) {
        return invitation::register_again(app, request, refusal, &form);
    }
    if !app.registration.is_open() {
        return refusal.leading_to(Way::new("/login", "Log in"));
    }
    let typed = Typed::of(app, request);
    let page = Register {
        username: typed.username,
        email: typed.email,
        rd: typed.rd,
        form: typed.form,
        ..Register::default()
    };
    refusal.beside(|problem| page.refused(problem))
}

/// `POST /register`: makes an account.
pub(super) fn register(app: &App, request: &Request) -> Answer {
    if let Some(form) = InvitedForm::parse(request)? {
        return invitation::register(app, request, &form);
    }
    if !app.registration.is_open() {
        return Err(Outcome::RegistrationClosed.into());
    }
    let wanted = Registration::parse(app, request)?;
    refuse_easy(app, &wanted.password, wanted.names())?;
    let now = request.received;
    // Counted before the answer about what is taken, whatever it is: asking has its price.
    let counted = app.throttle.registration(request.client, now.steady);
    let counted_at = counted.map_err(too_often)?;
    if let Some(taken) = taken(app, request, &wanted)? {
        return Err(is_taken(taken));
    }
    // A registration that was not carried out or could not be saved does not count for the hour.
    let added = add(app, request, &wanted).inspect_err(|_| {
        app.throttle
            .forgive_registration(request.client, counted_at);
    })?;
    added.map_err(is_taken)?;
    app.errands
        .mail_confirmation(&wanted.username, Network::of(request.client), now);
    Ok(registered(&wanted.username, &wanted.rd))
}

/// What of the name and the address is not to be had by registration.
pub(super) fn taken(
    app: &App,
    request: &Request,
    wanted: &Registration,
) -> Result<Option<Taken>, Refusal> {
    let (username, email) = wanted.names();
    // The original script knows no such names.
    if app.script.is_none() && is_reserved(username) {
        return Ok(Some(Taken::Username));
    }
    let now = request.received.timestamp();
    Ok(app.store.taken(username, email, now)?)
}

/// The answer to whoever has an account now.
pub(super) fn registered(username: &str, rd: &str) -> Reply {
    let login = format!("/login?notice=registered&username={username}").replace('+', "%2B");
    Reply::from(Outcome::Registered)
        .then_to(pages::with_rd(&login, rd))
        .about(username)
}

fn add(app: &App, request: &Request, wanted: &Registration) -> Result<Result<(), Taken>, Refusal> {
    let standing = app.throttle.standing(request.client)?;
    let hashed = hash(app, request, standing, &wanted.password)?;
    let now = request.received.timestamp();
    let account = Account::new(&wanted.username, &wanted.email, hashed, now);
    Ok(app.store.register(account, now)?)
}

/// The refusal of a name or an address that somebody else has.
pub(super) fn is_taken(taken: Taken) -> Refusal {
    match taken {
        Taken::Email => Outcome::EmailExists,
        Taken::Username => Outcome::UserExists,
    }
    .into()
}

/// `GET /forgot_password`: the recovery page, or what happens next.
pub(super) fn forgot_password_page(app: &App, request: &Request) -> Answer {
    let query = Form::of_query(request);
    let rd = rd_field(app, &query).unwrap_or_default();
    if query.has("sent") {
        let message = Outcome::NewPasswordSent.message().into_owned();
        return Ok(Reply::page(ForgotSent { message, rd }));
    }
    Ok(Reply::page(Forgot {
        rd,
        form: token::cookie(),
        ..Forgot::default()
    }))
}

/// The recovery page again, with what is wrong.
pub(super) fn forgot_password_again(app: &App, request: &Request, refusal: Refusal) -> Refusal {
    let typed = Typed::of(app, request);
    let page = Forgot {
        username: typed.username,
        rd: typed.rd,
        form: typed.form,
        problem: None,
    };
    refusal.beside(|problem| page.refused(problem))
}

/// `POST /forgot_password`: has a new password mailed. Nothing changes; the answer tells nothing.
pub(super) fn forgot_password(app: &App, request: &Request) -> Answer {
    let ForgotForm { name, rd } = ForgotForm::parse(app, request)?;

    let reply = Reply::from(Outcome::NewPasswordSent)
        .then_to(pages::with_rd("/forgot_password?sent", &rd))
        .about(&name);
    let (from, now) = (request.client, request.received);
    // Asked whatever the name is: the mail itself is written after the answer.
    app.store.takes_changes()?;
    // Whoever has asked too often is not told so: the answer is always the same.
    match app.throttle.recovery(from, now.steady) {
        Ok(()) => {}
        Err(Refused::Wait(_)) => return Ok(reply.noted_as(THROTTLED)),
        Err(Refused::Unavailable) => return Err(Unavailable.into()),
    }
    app.errands
        .mail_new_password(&name, Network::of(from), now, origin(request));
    Ok(reply)
}
