//! Routes for anyone: register, and ask for a new password.

use crate::accounts::password::Password;
use crate::accounts::registration::is_reserved;
use crate::accounts::{Account, Taken, names, token};
use crate::as_typed;
use crate::form::{Form, FormError};
use crate::handlers::sent_twice::{check_form_field, sent_form};
use crate::handlers::{
    Answer, App, hash, is_rd_too_long, logged_in, name_field, new_password_field, password_field,
    rd_field, typed, typed_rd,
};
use crate::http::Request;
use crate::network::Network;
use crate::pages::{self, Page, Way};
use crate::redirect;
use crate::reply::{Outcome, Refusal, Reply, THROTTLED};

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
    let (username, email) = (String::new(), String::new());
    let onward = query
        .optional("onward", redirect::MAX_LENGTH)
        .ok()
        .flatten();
    let rd = onward.and_then(|onward| app.targets.allow(&onward));
    // The page is for everybody, even when the store cannot tell who is asking.
    let me = logged_in(app, request).unwrap_or_default();
    Ok(Reply::page(Page::Register {
        username,
        email,
        rd: rd.unwrap_or_default(),
        form: token::cookie(),
        me: me.map(|me| me.account.username.clone()),
        problem: None,
    }))
}

/// The registration page again, with what is wrong; or the way to the login where strangers cannot
/// register.
pub(super) fn register_again(app: &App, request: &Request, refusal: Refusal) -> Refusal {
    if !app.registration.is_open() {
        return refusal.leading_to(Way::new("/login", "Log in"));
    }
    let (username, email) = (typed(request, "username"), typed(request, "email"));
    refusal.beside(|problem| Page::Register {
        username,
        email,
        rd: typed_rd(app, request),
        form: sent_form(request),
        me: None,
        problem: Some(problem),
    })
}

/// `POST /register`: makes an account.
pub(super) fn register(app: &App, request: &Request) -> Answer {
    if !app.registration.is_open() {
        return Err(Outcome::RegistrationClosed.into());
    }
    let wanted = Registration::read(&Form::of_body(request)?)?;
    let Registration {
        username,
        email,
        password,
    } = &wanted;
    if app.script.is_none() && password.is_easy_to_guess(username, email) {
        return Err(Outcome::PasswordCommon.into());
    }
    let now = request.received;
    // Counted before the answer about what is taken, whatever it is: asking has its price.
    app.throttle
        .registration(request.client, now.steady)
        .map_err(Outcome::Throttled)?;
    // The original script knows no such names.
    if app.script.is_none() && is_reserved(username) {
        return Err(is_taken(Taken::Username));
    }
    if let Some(taken) = app.store.taken(username, email, now.timestamp())? {
        return Err(is_taken(taken));
    }
    // A registration that was not carried out or could not be saved does not count for the hour.
    let added = add(app, request, &wanted).inspect_err(|_| {
        app.throttle
            .forgive_registration(request.client, now.steady)
    })?;
    added.map_err(is_taken)?;

    let login = format!("/login?notice=registered&username={username}").replace('+', "%2B");
    let login = pages::with_rd(&login, &typed_rd(app, request));
    Ok(Reply::from(Outcome::Registered)
        .then_to(login)
        .about(username))
}

fn add(app: &App, request: &Request, wanted: &Registration) -> Result<Result<(), Taken>, Refusal> {
    let standing = app.throttle.standing(request.client);
    let hashed = hash(app, request, standing, &wanted.password)?;
    let now = request.received.timestamp();
    let account = Account::new(&wanted.username, &wanted.email, hashed, now);
    Ok(app.store.register(account, now)?)
}

/// The form of a registration. No `Debug`: it holds a password.
struct Registration {
    username: String,
    email: String,
    password: Password,
}

impl Registration {
    fn read(form: &Form<'_>) -> Result<Self, Refusal> {
        check_form_field(form)?;
        let username = form.required_as("username", as_typed::name, names::MAX_USERNAME)?;
        let email = form.required_as("email", as_typed::email, usize::MAX)?;
        if email.len() > names::MAX_EMAIL {
            return Err(FormError::TooLong("email", names::MAX_EMAIL, "bytes").into());
        }
        // A missing password is reported before what is wrong with the other fields.
        password_field(form, "password")?;
        if !names::is_username(&username) {
            let alphabet =
                "may hold letters, digits and . _ - + only and begins with a letter or digit";
            return Err(Outcome::BadField("username", alphabet).into());
        }
        let email = names::parse_email(&email)
            .ok_or(Outcome::BadField("email", "is not an e-mail address"))?;
        Ok(Self {
            username: username.to_string(),
            email,
            password: new_password_field(form, "password")?,
        })
    }
}

fn is_taken(taken: Taken) -> Refusal {
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
        return Ok(Reply::page(Page::ForgotSent { message, rd }));
    }
    Ok(Reply::page(Page::Forgot {
        username: String::new(),
        rd,
        form: token::cookie(),
        problem: None,
    }))
}

/// The recovery page again, with what is wrong.
pub(super) fn forgot_password_again(app: &App, request: &Request, refusal: Refusal) -> Refusal {
    let username = typed(request, "username");
    refusal.beside(|problem| Page::Forgot {
        username,
        rd: typed_rd(app, request),
        form: sent_form(request),
        problem: Some(problem.near("username")),
    })
}

/// `POST /forgot_password`: has a new password mailed. Nothing changes; the answer tells nothing.
pub(super) fn forgot_password(app: &App, request: &Request) -> Answer {
    let name = name_field(&Form::of_body(request)?)?;

    let reply = Reply::from(Outcome::NewPasswordSent)
        .then_to(pages::with_rd(
            "/forgot_password?sent",
            &typed_rd(app, request),
        ))
        .about(&name);
    let (from, now) = (request.client, request.received);
    // Whoever has asked too often is not told so: the answer is always the same.
    if app.throttle.recovery(from, now.steady).is_err() {
        return Ok(reply.noted_as(THROTTLED));
    }
    app.errands.mail_new_password(&name, Network::of(from), now);
    Ok(reply)
}
