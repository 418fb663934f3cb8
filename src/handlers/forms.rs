//! The forms that people send: each is parsed once, into a type that holds all that its route needs.
//!
//! No type here has `Debug`: most hold a password or a code.

use zeroize::Zeroizing;

use crate::accounts::Account;
use crate::accounts::labels::{MAX_LABEL, is_label};
use crate::accounts::names;
use crate::accounts::password::{self, Password};
use crate::as_typed;
use crate::form::{Form, FormError};
use crate::handlers::App;
use crate::handlers::sent_twice::{check_form_field, sent_form};
use crate::http::Request;
use crate::redirect;
use crate::reply::{Outcome, Refusal};

/// Longest name at a login, in characters: a username, or an e-mail in its place.
const MAX_NAME: usize = names::MAX_EMAIL;

/// Longest code or recovery code, in characters, with room for the way people group them.
const MAX_SECRET: usize = 64;

/// `POST /register`: an account that somebody wants.
pub(super) struct Registration {
    pub(super) username: String,
    pub(super) email: String,
    pub(super) password: Password,
    pub(super) rd: String,
}

impl Registration {
    /// The name and the address.
    pub(super) fn names(&self) -> (&str, Option<&str>) {
        (&self.username, Some(&self.email))
    }

    pub(super) fn parse(app: &App, request: &Request) -> Result<Self, Refusal> {
        let form = &Form::of_body(request)?;
        check_form_field(form)?;
        Self::read(app, request, form, None)
    }

    /// Reads it from a form in which the address may be left out if it is settled.
    pub(super) fn read(
        app: &App,
        request: &Request,
        form: &Form<'_>,
        address: Option<&str>,
    ) -> Result<Self, Refusal> {
        let username = form.required_as("username", as_typed::name, names::MAX_USERNAME)?;
        let email = match address {
            Some(settled) => {
                check_settled(form, "email", as_typed::email, settled)?;
                Zeroizing::new(settled.to_owned())
            }
            None => email_field(form)?,
        };
        // A password that is missing or too long is reported before what is wrong with the other
        // fields, one that is too short after it.
        let password = password_field(form, "password")?;
        if !names::is_username(&username) {
            let alphabet =
                "may hold letters, digits and . _ - + only and begins with a letter or digit";
            return Err(Outcome::BadField("username", alphabet).into());
        }
        let email = parse_email(&email)?;
        Ok(Self {
            username: username.to_string(),
            email,
            password: long_enough(password)?,
            rd: rd_of(app, request, form).unwrap_or_default(),
        })
    }
}

/// `POST /register` with the token of an invitation.
pub(super) struct InvitedForm<'a> {
    pub(super) token: Zeroizing<String>,
    form: Form<'a>,
}

impl<'a> InvitedForm<'a> {
    /// `None` if the form has no token.
    pub(super) fn parse(request: &'a Request) -> Result<Option<Self>, FormError> {
        let form = Form::of_body(request)?;
        check_form_field(&form)?;
        let token = form.optional_as("token", as_typed::name, usize::MAX)?;
        let token = token.filter(|token| !token.is_empty());
        Ok(token.map(|token| Self { token, form }))
    }

    /// The account that somebody wants; at this address, if that is settled.
    pub(super) fn registration(
        &self,
        app: &App,
        request: &Request,
        address: Option<&str>,
    ) -> Result<Registration, Refusal> {
        Registration::read(app, request, &self.form, address)
    }

    /// The first password of this account, which was made already.
    pub(super) fn first_password(&self, account: &Account) -> Result<Password, Refusal> {
        check_settled(&self.form, "username", as_typed::name, &account.username)?;
        if let Some(email) = &account.email {
            check_settled(&self.form, "email", as_typed::email, email)?;
        }
        long_enough(password_field(&self.form, "password")?)
    }
}

/// Checks a field that may be left out and says nothing else than what is settled.
fn check_settled(
    form: &Form<'_>,
    field: &'static str,
    read: fn(&str) -> Zeroizing<String>,
    settled: &str,
) -> Result<(), FormError> {
    let sent = form.optional_as(field, read, usize::MAX)?;
    let sent = sent.filter(|sent| !sent.is_empty());
    let is_same = |sent: &str| names::is_same(&names::ascii_domain(sent), settled);
    match sent.is_none_or(|sent| is_same(&sent)) {
        true => Ok(()),
        false => Err(FormError::Field(
            field,
            "cannot be changed: it is settled by the invitation",
        )),
    }
}

/// A name and a password, which a login begins with.
pub(super) struct Credentials {
    /// A username or an e-mail.
    pub(super) name: String,
    pub(super) password: Password,
}

impl Credentials {
    pub(super) fn parse(request: &Request) -> Result<Self, Refusal> {
        Ok(Self::read(&Form::of_body(request)?)?)
    }

    fn read(form: &Form<'_>) -> Result<Self, FormError> {
        Ok(Self {
            name: name_field(form)?,
            password: login_password_field(form)?,
        })
    }
}

/// `POST /login`.
pub(super) struct LoginForm {
    pub(super) credentials: Credentials,
    pub(super) rd: String,
    /// Whether the visitor chose to stay logged in.
    pub(super) remember: bool,
}

impl LoginForm {
    pub(super) fn parse(app: &App, request: &Request) -> Result<Self, Refusal> {
        let form = &Form::of_body(request)?;
        Ok(Self {
            credentials: Credentials::read(form)?,
            rd: rd_of(app, request, form)?,
            remember: is_ticked(form, "remember")?,
        })
    }
}

/// `POST /secret_key`: the second step of a login.
pub(super) struct CodeForm {
    pub(super) secret: Zeroizing<String>,
    /// Who logs in; programs may say it once more.
    pub(super) name: Option<Zeroizing<String>>,
}

impl CodeForm {
    pub(super) fn parse(request: &Request) -> Result<Self, Refusal> {
        let form = &Form::of_body(request)?;
        let secret = secret_field(form)?;
        let name = form.optional_as("username", as_typed::name, usize::MAX)?;
        if let Some(name) = &name {
            check_name(name)?;
        }
        Ok(Self { secret, name })
    }
}

/// `POST /secret_key` as the original script has it: the login is known by its name.
pub(super) struct ScriptCodeForm {
    pub(super) secret: Zeroizing<String>,
    pub(super) name: String,
}

impl ScriptCodeForm {
    pub(super) fn parse(request: &Request) -> Result<Self, Refusal> {
        let form = &Form::of_body(request)?;
        Ok(Self {
            secret: secret_field(form)?,
            name: name_field(form)?,
        })
    }
}

/// `POST /forgot_password`.
pub(super) struct ForgotForm {
    /// A username or an e-mail.
    pub(super) name: String,
    pub(super) rd: String,
}

impl ForgotForm {
    pub(super) fn parse(app: &App, request: &Request) -> Result<Self, Refusal> {
        let form = &Form::of_body(request)?;
        Ok(Self {
            name: name_field(form)?,
            rd: rd_of(app, request, form).unwrap_or_default(),
        })
    }
}

/// `POST /account/password` after a login by mailed password.
pub(super) struct ChosenPassword {
    pub(super) new: Password,
}

impl ChosenPassword {
    pub(super) fn read(form: &Form<'_>) -> Result<Self, Refusal> {
        let new = long_enough(password_field(form, "new_password")?)?;
        Ok(Self { new })
    }
}

/// `POST /account/password` by a visitor who is logged in.
pub(super) struct ChangedPassword {
    pub(super) current: Password,
    pub(super) new: Password,
}

impl ChangedPassword {
    pub(super) fn read(form: &Form<'_>) -> Result<Self, Refusal> {
        Ok(Self {
            current: password_field(form, "current_password")?,
            new: long_enough(password_field(form, "new_password")?)?,
        })
    }
}

/// What `POST /account/recovery_codes`, `/account/totp` and `/account/delete` ask for.
pub(super) struct PasswordAndCode {
    pub(super) current: Password,
    /// A code of the authenticator, or a recovery code in its place.
    pub(super) secret: Zeroizing<String>,
}

impl PasswordAndCode {
    pub(super) fn parse(request: &Request) -> Result<Self, Refusal> {
        Ok(Self::read(&Form::of_body(request)?)?)
    }

    /// Both, or `None` if neither was sent.
    pub(super) fn read_if_sent(form: &Form<'_>) -> Result<Option<Self>, FormError> {
        let current = form.optional("current_password", usize::MAX)?;
        let secret = form.optional_as("secret", as_typed::code, usize::MAX)?;
        let is_sent = |field: Option<Zeroizing<String>>| field.is_some_and(|it| !it.is_empty());
        match is_sent(current) || is_sent(secret) {
            true => Self::read(form).map(Some),
            false => Ok(None),
        }
    }

    pub(super) fn read(form: &Form<'_>) -> Result<Self, FormError> {
        Ok(Self {
            current: password_field(form, "current_password")?,
            secret: secret_field(form)?,
        })
    }
}

/// `POST /account/email`.
pub(super) struct NewAddress {
    pub(super) email: String,
    pub(super) current: Password,
}

impl NewAddress {
    pub(super) fn parse(request: &Request) -> Result<Self, Refusal> {
        let form = &Form::of_body(request)?;
        let email = email_field(form)?;
        let current = password_field(form, "current_password")?;
        let email = parse_email(&email)?;
        Ok(Self { email, current })
    }
}

/// `POST /account/totp/confirm`.
pub(super) struct ConfirmKey {
    pub(super) secret: Zeroizing<String>,
}

impl ConfirmKey {
    pub(super) fn parse(request: &Request) -> Result<Self, Refusal> {
        let secret = secret_field(&Form::of_body(request)?)?;
        Ok(Self { secret })
    }
}

/// `POST /account/sessions/end`.
pub(super) enum EndSessions {
    /// All but the visitor's own.
    Others,
    /// The session with this short id.
    One(String),
}

impl EndSessions {
    pub(super) fn parse(request: &Request) -> Result<Self, Refusal> {
        let which = Form::of_body(request)?.required("session", 64)?;
        Ok(match which.as_str() {
            "others" => Self::Others,
            id => Self::One(id.to_owned()),
        })
    }
}

/// `POST /confirm`.
pub(super) struct ConfirmForm {
    pub(super) token: Zeroizing<String>,
}

impl ConfirmForm {
    pub(super) fn parse(request: &Request) -> Result<Self, Refusal> {
        let form = Form::of_body(request)?;
        check_form_field(&form)?;
        let token = form.required_as("token", as_typed::name, usize::MAX)?;
        Ok(Self { token })
    }
}

/// A box: ticked, it sends `1`; else nothing.
pub(super) fn is_ticked(form: &Form<'_>, field: &'static str) -> Result<bool, FormError> {
    let sent = form.optional(field, usize::MAX)?.unwrap_or_default();
    match sent.as_str() {
        "" => Ok(false),
        "1" => Ok(true),
        _ => Err(FormError::Field(field, "is either 1 or left out")),
    }
}

/// What people typed into a form that is refused and need not type again. A field that cannot be
/// shown is empty.
#[derive(Default)]
pub(super) struct Typed {
    pub(super) username: String,
    pub(super) email: String,
    pub(super) rd: String,
    /// Whether the box was ticked.
    pub(super) remember: bool,
    /// The field `form` of the page: a new value would make answers differ that must be the same.
    pub(super) form: String,
}

impl Typed {
    pub(super) fn of(app: &App, request: &Request) -> Self {
        let Ok(form) = &Form::of_body(request) else {
            return Self::default();
        };
        Self {
            username: typed(form, "username").to_string(),
            email: typed(form, "email").to_string(),
            rd: rd_of(app, request, form).unwrap_or_default(),
            remember: is_ticked(form, "remember").unwrap_or_default(),
            form: sent_form(form),
        }
    }
}

/// The code in a form that was refused; empty if there was none.
pub(super) fn typed_code(request: &Request) -> Zeroizing<String> {
    let form = Form::of_body(request).ok();
    form.map(|form| typed(&form, "secret")).unwrap_or_default()
}

fn typed(form: &Form<'_>, field: &'static str) -> Zeroizing<String> {
    let value = form.optional(field, MAX_NAME).ok().flatten();
    value.unwrap_or_default()
}

/// The name in a form: a username or an e-mail.
fn name_field(form: &Form<'_>) -> Result<String, FormError> {
    let name = form.required_as("username", as_typed::name, usize::MAX)?;
    check_name(&name)?;
    Ok(name.to_string())
}

/// Checks that a name is not longer than any username or e-mail is.
fn check_name(name: &str) -> Result<(), FormError> {
    if !name.contains('@') && name.chars().count() > names::MAX_USERNAME {
        let max = names::MAX_USERNAME;
        return Err(FormError::TooLong("username", max, "characters"));
    }
    if name.len() > names::MAX_EMAIL {
        return Err(FormError::TooLong("username", names::MAX_EMAIL, "bytes"));
    }
    Ok(())
}

/// A code of an authenticator, or a recovery code in its place.
fn secret_field(form: &Form<'_>) -> Result<Zeroizing<String>, FormError> {
    form.required_as("secret", as_typed::code, MAX_SECRET)
}

/// An e-mail address as it was typed.
fn email_field(form: &Form<'_>) -> Result<Zeroizing<String>, FormError> {
    let email = form.required_as("email", as_typed::email, usize::MAX)?;
    check_email(&email)?;
    Ok(email)
}

fn check_email(typed: &str) -> Result<(), FormError> {
    match typed.len() > names::MAX_EMAIL {
        true => Err(FormError::TooLong("email", names::MAX_EMAIL, "bytes")),
        false => Ok(()),
    }
}

/// An e-mail address that may be left out.
pub(super) fn optional_email(form: &Form<'_>) -> Result<Option<String>, Refusal> {
    let email = form.optional_as("email", as_typed::email, usize::MAX)?;
    let Some(email) = email.filter(|email| !email.is_empty()) else {
        return Ok(None);
    };
    check_email(&email)?;
    Ok(Some(parse_email(&email)?))
}

fn parse_email(typed: &str) -> Result<String, Outcome> {
    names::parse_email(typed).ok_or(Outcome::BadField("email", "is not an e-mail address"))
}

/// A password that may be chosen.
fn long_enough(new: Password) -> Result<Password, Refusal> {
    if new.length() < password::MIN_LENGTH {
        return Err(Outcome::PasswordTooShort.into());
    }
    Ok(new)
}

/// What its owner calls something; `None` if they do not say.
pub(super) fn label_field(
    form: &Form<'_>,
    field: &'static str,
) -> Result<Option<String>, FormError> {
    let label = form.optional_as(field, as_typed::name, MAX_LABEL)?;
    match label.as_deref().map(String::as_str) {
        None | Some("") => Ok(None),
        Some(label) if is_label(label) => Ok(Some(label.to_owned())),
        Some(_) => Err(FormError::Field(field, "may not hold control characters")),
    }
}

/// A password. Its length is that of its normalised form, since keyboards differ in how many
/// characters they send for the same text.
pub(super) fn password_field(form: &Form<'_>, field: &'static str) -> Result<Password, FormError> {
    let max = password::MAX_LENGTH;
    let sent = form.required(field, usize::MAX)?;
    let password = (sent.chars().count() <= password::MAX_SENT).then(|| Password::new(&sent));
    password
        .filter(|password| password.length() <= max)
        .ok_or(FormError::TooLong(field, max, "characters"))
}

/// The password of a login. A mailed one may come with blanks that were copied along, so one that
/// is too long is tried again without them.
fn login_password_field(form: &Form<'_>) -> Result<Password, FormError> {
    password_field(form, "password").or_else(|error| {
        let sent = form.required_as("password", as_typed::mailed_password, password::MAX_LENGTH);
        match error {
            FormError::TooLong(..) => sent.map(|sent| Password::new(&sent)),
            error => Err(error),
        }
    })
}

/// `rd` of a form or query: where to go after the login, or nowhere.
pub(super) fn rd_field(app: &App, form: &Form<'_>) -> Result<String, FormError> {
    let rd = form.optional("rd", usize::MAX)?.unwrap_or_default();
    if rd.len() > redirect::MAX_LENGTH {
        return Err(FormError::TooLong("rd", redirect::MAX_LENGTH, "bytes"));
    }
    Ok(app.targets.allow(&rd).unwrap_or_default())
}

/// `rd` of a form that was sent: its own, or else that of the address it was sent to, where a page
/// without an address of its own keeps it.
pub(super) fn rd_of(app: &App, request: &Request, form: &Form<'_>) -> Result<String, FormError> {
    if form.has("rd") {
        return rd_field(app, form);
    }
    Ok(rd_field(app, &Form::of_query(request)).unwrap_or_default())
}

/// Whether the way back is too long to be carried along, or was so already when the proxy asked.
pub(super) fn is_rd_too_long(query: &Form<'_>) -> bool {
    let rd = query.optional("rd", usize::MAX).ok().flatten();
    rd.is_some_and(|rd| rd.as_str() == redirect::TOO_LONG || rd.len() > redirect::MAX_LENGTH)
}
