//! What the site answers: every outcome with its status, code and message, in the form the client
//! asked for, a page, JSON or text.
//!
//! The texts here are the product's interface. None of them can hold a cause, a path or anything a
//! stranger sent.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::form::FormError;
use crate::gate::Busy;
use crate::http::{Request, Response};
use crate::pages::{self, Page, Problem, Site};
use crate::store::NotSaved;

/// Seconds after which a busy server is worth another try.
const BUSY_RETRY: u64 = 2;

/// Two years (Mozilla's server-side TLS guidelines, 5.7).
const STRICT_TRANSPORT_SECURITY: &str = "max-age=63072000";

/// What came of a request. No `Debug`: some hold what is shown once.
pub enum Outcome {
    /// What `GET /account` tells programs.
    Account(Value),
    AccountDeleted,
    AuthenticatorChanged,
    /// A field, and what is wrong with it.
    BadField(&'static str, &'static str),
    Busy,
    CodeRequired,
    CrossSite,
    EmailExists,
    EnrolRequired {
        secret: String,
        otpauth: String,
    },
    Healthy,
    /// A defect of ours; the cause is in the log.
    Internal,
    LoggedOutByGet,
    LoggedOutByPost,
    /// With the recovery codes, if this login enrolled.
    LoginComplete(Vec<String>),
    LoginRequired,
    /// With the methods the path takes.
    MethodNotAllowed(&'static str),
    NewPasswordSent,
    NoPendingLogin,
    NotFound,
    NotSaved,
    PasswordChanged,
    /// With the recovery codes, if this login enrolled.
    PasswordChangeRequired(Vec<String>),
    PasswordCommon,
    PasswordTooShort,
    RecoveryCodes(Vec<String>),
    /// What never became a request: status, code and sentence.
    Refused(u16, &'static str, &'static str),
    Registered,
    RegistrationClosed,
    /// What the original script answers, letter by letter.
    Script(String),
    /// The original script's page that asks for the key; browsers get it too.
    ScriptPage(String),
    SessionsEnded,
    /// A page that was asked for, and nothing else happened.
    Shown,
    Throttled(Duration),
    TooLarge,
    UnsupportedType,
    UserExists,
    WrongCode,
    /// Wrong password, unknown name, disabled account: one outcome, or it tells who exists.
    WrongCredentials,
    WrongPassword,
}

impl Outcome {
    pub fn status(&self) -> u16 {
        match self {
            Self::Registered => 201,
            Self::BadField(..) => 400,
            Self::Refused(status, ..) => *status,
            Self::LoginRequired
            | Self::NoPendingLogin
            | Self::WrongCode
            | Self::WrongCredentials
            | Self::WrongPassword => 401,
            Self::CrossSite | Self::RegistrationClosed => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed(_) => 405,
            Self::EmailExists | Self::UserExists => 409,
            Self::TooLarge => 413,
            Self::UnsupportedType => 415,
            Self::PasswordCommon | Self::PasswordTooShort => 422,
            Self::Throttled(_) => 429,
            Self::Internal => 500,
            Self::Busy | Self::NotSaved => 503,
            _ => 200,
        }
    }

    /// The name programs know the outcome by.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Account(_) => "account",
            Self::AccountDeleted => "account_deleted",
            Self::AuthenticatorChanged => "authenticator_changed",
            Self::BadField(..) => "bad_field",
            Self::Busy => "busy",
            Self::CodeRequired => "code_required",
            Self::CrossSite => "cross_site",
            Self::EmailExists => "email_exists",
            Self::EnrolRequired { .. } => "enrol_required",
            Self::Healthy => "ok",
            Self::Internal => "internal",
            Self::LoggedOutByGet | Self::LoggedOutByPost => "logged_out",
            Self::LoginComplete(_) => "login_complete",
            Self::LoginRequired => "login_required",
            Self::MethodNotAllowed(_) => "method_not_allowed",
            Self::NewPasswordSent => "new_password_sent",
            Self::NoPendingLogin => "no_pending_login",
            Self::NotFound => "not_found",
            Self::NotSaved => "not_saved",
            Self::PasswordChanged => "password_changed",
            Self::PasswordChangeRequired(_) => "password_change_required",
            Self::PasswordCommon => "password_common",
            Self::PasswordTooShort => "password_too_short",
            Self::RecoveryCodes(_) => "recovery_codes",
            Self::Refused(_, code, _) => code,
            Self::Registered => "registered",
            Self::RegistrationClosed => "registration_closed",
            Self::Script(_) | Self::ScriptPage(_) => "script",
            Self::SessionsEnded => "sessions_ended",
            Self::Shown => "shown",
            Self::Throttled(_) => "throttled",
            Self::TooLarge => "too_large",
            Self::UnsupportedType => "unsupported_type",
            Self::UserExists => "user_exists",
            Self::WrongCode => "wrong_code",
            Self::WrongCredentials => "wrong_credentials",
            Self::WrongPassword => "wrong_password",
        }
    }

    /// The sentence people read. It is put together from fixed parts only.
    pub fn message(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::BadField(field, what) => return format!("The field {field} {what}.").into(),
            Self::EnrolRequired { secret, .. } => {
                return format!(
                    "Add this key to your authenticator app, then enter its code: {secret}"
                )
                .into();
            }
            Self::Script(body) | Self::ScriptPage(body) => return body.clone().into(),
            Self::Throttled(wait) => {
                let seconds = seconds(*wait);
                return format!("Too many attempts. Try again in {seconds} seconds.").into();
            }
            Self::Account(_) | Self::Shown => "",
            Self::AccountDeleted => "Your account has been deleted.",
            Self::AuthenticatorChanged => "Your new authenticator is set up.",
            Self::Busy => "The server is busy. Try again in a moment.",
            Self::CodeRequired => "Enter the code from your authenticator app.",
            Self::CrossSite => "This request came from another site.",
            Self::EmailExists => "User with this email already exists",
            Self::Healthy => "ok",
            Self::Internal => "Something went wrong on our side.",
            Self::LoggedOutByGet => "You have successfully logged out.",
            Self::LoggedOutByPost => "You have successfully exited the program.",
            Self::LoginComplete(_) => "Login completed successfully.",
            Self::LoginRequired => "Log in first.",
            Self::MethodNotAllowed(_) => "This page does not take that method.",
            Self::NewPasswordSent => {
                "If that user exists, a new password has been sent to its email address."
            }
            Self::NoPendingLogin => "Log in with your password first.",
            Self::NotFound => "There is no such page.",
            Self::NotSaved => "The change could not be saved. Nothing was changed.",
            Self::PasswordChanged => "Password changed.",
            Self::PasswordChangeRequired(_) => "Choose a new password.",
            Self::PasswordCommon => "This password is too easy to guess.",
            Self::PasswordTooShort => "The password must contain at least 8 characters.",
            Self::RecoveryCodes(_) => "These are your new recovery codes.",
            Self::Refused(_, _, sentence) => sentence,
            Self::Registered => "User successfully registered.",
            Self::RegistrationClosed => "Registration is closed.",
            Self::SessionsEnded => "Done.",
            Self::TooLarge => "The request is too large.",
            Self::UnsupportedType => "Send the form as application/x-www-form-urlencoded.",
            Self::UserExists => "The user already exists.",
            Self::WrongCode => "Wrong 2FA code.",
            Self::WrongCredentials => "Wrong username or password.",
            Self::WrongPassword => "Wrong password.",
        })
    }

    /// Whether the original script knows it, and so answers 200 with the message alone.
    fn known_to_the_script(&self) -> bool {
        matches!(
            self,
            Self::EmailExists
                | Self::LoggedOutByGet
                | Self::LoggedOutByPost
                | Self::LoginComplete(_)
                | Self::PasswordTooShort
                | Self::Registered
                | Self::Script(_)
                | Self::ScriptPage(_)
                | Self::UserExists
                | Self::WrongCode
        )
    }

    /// The heading of the page that says nothing but the message.
    fn title(&self) -> &'static str {
        match self.status() {
            200 | 201 => "Done",
            401 => "Log in first",
            403 => "Not allowed",
            404 => "Page not found",
            413 => "Too large",
            429 => "Please wait",
            500 | 503 => "Something is in the way",
            _ => "That did not work",
        }
    }

    /// The field of the form it concerns.
    fn field(&self) -> Option<&'static str> {
        match self {
            Self::BadField(field, _) => Some(field),
            Self::EmailExists => Some("email"),
            Self::UserExists => Some("username"),
            Self::PasswordCommon | Self::PasswordTooShort => Some("password"),
            Self::WrongCode => Some("secret"),
            Self::WrongCredentials => Some("password"),
            Self::WrongPassword => Some("current_password"),
            _ => None,
        }
    }

    fn json(&self) -> Value {
        if let Self::Account(account) = self {
            return account.clone();
        }
        let mut value = json!({ "code": self.code(), "message": self.message() });
        match self {
            Self::BadField(field, _) => value["field"] = json!(field),
            Self::EnrolRequired { secret, otpauth } => {
                value["secret"] = json!(secret);
                value["otpauth"] = json!(otpauth);
            }
            Self::Throttled(wait) => value["retry_after"] = json!(seconds(*wait)),
            _ => {}
        }
        if !self.recovery_codes().is_empty() {
            value["recovery_codes"] = json!(self.recovery_codes());
        }
        value
    }

    fn text(&self) -> String {
        if let Self::Account(account) = self {
            return account_as_text(account);
        }
        let mut text = self.message().into_owned();
        for code in self.recovery_codes() {
            text.push('\n');
            text.push_str(code);
        }
        text
    }

    fn recovery_codes(&self) -> &[String] {
        match self {
            Self::LoginComplete(codes)
            | Self::PasswordChangeRequired(codes)
            | Self::RecoveryCodes(codes) => codes,
            _ => &[],
        }
    }

    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Busy | Self::NotSaved => Some(BUSY_RETRY),
            Self::Throttled(wait) => Some(seconds(*wait)),
            _ => None,
        }
    }
}

/// Whole seconds, rounded up, so that nobody comes back a moment too early.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

/// An outcome and how a browser is to see it. No `Debug`: cookies leave in it.
pub struct Reply {
    pub outcome: Outcome,
    /// What a browser shows; without one, a page that says the message.
    page: Option<Page>,
    /// Where a browser goes instead.
    location: Option<String>,
    cookies: Vec<String>,
    clear_site_data: bool,
    /// Whose account it was about, for the log.
    pub user: Option<String>,
}

impl From<Outcome> for Reply {
    fn from(outcome: Outcome) -> Self {
        Self {
            outcome,
            page: None,
            location: None,
            cookies: Vec::new(),
            clear_site_data: false,
            user: None,
        }
    }
}

impl Reply {
    /// A page that was asked for.
    pub fn page(page: Page) -> Self {
        Self::from(Outcome::Shown).showing(page)
    }

    /// A redirect that tells programs no more than browsers.
    pub fn see_other(location: String) -> Self {
        Self::from(Outcome::Shown).then_to(location)
    }

    pub fn showing(self, page: Page) -> Self {
        Self {
            page: Some(page),
            ..self
        }
    }

    /// Sends a browser there with 303.
    pub fn then_to(self, location: impl Into<String>) -> Self {
        Self {
            location: Some(location.into()),
            ..self
        }
    }

    pub fn with_cookie(mut self, cookie: String) -> Self {
        self.cookies.push(cookie);
        self
    }

    pub fn with_cookies(mut self, cookies: impl IntoIterator<Item = String>) -> Self {
        self.cookies.extend(cookies);
        self
    }

    pub fn clearing_site_data(self) -> Self {
        Self {
            clear_site_data: true,
            ..self
        }
    }

    /// Names the account for the log.
    pub fn about(self, user: &str) -> Self {
        Self {
            user: Some(user.to_owned()),
            ..self
        }
    }
}

/// A request that was not carried out: a reply that ends the handler.
pub struct Refusal(Box<Reply>);

impl Refusal {
    /// What a browser is shown: the form again, with what is wrong beside the field it concerns.
    pub fn beside(mut self, page: impl FnOnce(Problem) -> Page) -> Self {
        let outcome = &self.0.outcome;
        // These concern no field, and the page that says so has a way on.
        let elsewhere = matches!(outcome, Outcome::LoginRequired | Outcome::NoPendingLogin);
        if !elsewhere && self.0.page.is_none() {
            let text = outcome.message().into_owned();
            self.0.page = Some(page(Problem {
                field: outcome.field(),
                text,
            }));
        }
        self
    }

    /// Where a browser goes instead.
    pub fn then_to(mut self, location: String) -> Self {
        self.0.location = Some(location);
        self
    }

    pub fn about(mut self, user: &str) -> Self {
        self.0.user = Some(user.to_owned());
        self
    }

    pub fn into_reply(self) -> Reply {
        *self.0
    }
}

impl From<Outcome> for Refusal {
    fn from(outcome: Outcome) -> Self {
        Self(Box::new(outcome.into()))
    }
}

impl From<FormError> for Refusal {
    fn from(error: FormError) -> Self {
        match error {
            FormError::Field(field, what) => Outcome::BadField(field, what),
            FormError::UnsupportedType => Outcome::UnsupportedType,
        }
        .into()
    }
}

impl From<Busy> for Refusal {
    fn from(_: Busy) -> Self {
        Outcome::Busy.into()
    }
}

/// The store has logged the cause.
impl From<NotSaved> for Refusal {
    fn from(_: NotSaved) -> Self {
        Outcome::NotSaved.into()
    }
}

/// What a client wants to read.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Json,
    Page,
    Text,
}

/// How this server answers.
pub struct Presenter {
    site: Site,
    content_security_policy: String,
    /// Whether browsers are told to insist on TLS.
    hsts: Box<dyn Fn() -> bool + Send + Sync>,
    compat: bool,
}

impl Presenter {
    /// `hsts` is asked for each answer, since the certificate may change while we run.
    pub fn new(
        site: Site,
        cookie_domain: Option<&str>,
        hsts: impl Fn() -> bool + Send + Sync + 'static,
        compat: bool,
    ) -> Self {
        // Chromium also asks this list where a form's answer redirects to.
        let targets = cookie_domain.map(|domain| format!(" https://{domain} https://*.{domain}"));
        let content_security_policy = format!(
            "default-src 'none'; style-src '{}'; form-action 'self'{}; frame-ancestors 'none'; \
             base-uri 'none'",
            pages::style_hash(),
            targets.unwrap_or_default()
        );
        Self {
            site,
            content_security_policy,
            hsts: Box::new(hsts),
            compat,
        }
    }

    /// Gives a reply the form the client asked for.
    pub fn present(&self, request: &Request, reply: Reply) -> Response {
        let accept = request.header("accept");
        let form = match reply.outcome {
            // A page is a page, whatever is asked for.
            Outcome::Shown => Form::Page,
            Outcome::Healthy => Form::Text,
            _ => wanted(accept),
        };
        if self.compat && reply.outcome.known_to_the_script() {
            self.script(reply, form)
        } else {
            self.usual(reply, form)
        }
    }

    /// An answer to what never became a request.
    pub fn refuse(&self, outcome: Outcome, accept: Option<&str>) -> Response {
        self.usual(Reply::from(outcome), wanted(accept))
    }

    fn usual(&self, reply: Reply, form: Form) -> Response {
        let outcome = &reply.outcome;
        let mut headers = self.headers(&reply);
        let (status, content_type, body) = match form {
            Form::Page if reply.location.is_some() => {
                let location = reply.location.clone().unwrap_or_default();
                headers.push(("Location", location));
                (303, "text/plain; charset=utf-8", String::new())
            }
            Form::Page => (
                outcome.status(),
                "text/html; charset=utf-8",
                self.html(reply),
            ),
            Form::Json => (
                outcome.status(),
                "application/json",
                outcome.json().to_string(),
            ),
            Form::Text => (
                outcome.status(),
                "text/plain; charset=utf-8",
                outcome.text(),
            ),
        };
        headers.push(("Content-Type", content_type.to_owned()));
        Response {
            status,
            headers,
            body: body.into_bytes(),
        }
    }

    /// The form the script gives its answers: always 200, and to programs the body alone.
    fn script(&self, reply: Reply, form: Form) -> Response {
        let mut headers = self.headers(&reply);
        let as_it_is = form != Form::Page || matches!(reply.outcome, Outcome::ScriptPage(_));
        let (content_type, body) = if as_it_is {
            ("text/html", reply.outcome.message().into_owned())
        } else {
            ("text/html; charset=utf-8", self.html(reply))
        };
        headers.push(("Content-type", content_type.to_owned()));
        Response {
            status: 200,
            headers,
            body: body.into_bytes(),
        }
    }

    fn html(&self, reply: Reply) -> String {
        let onward = match &reply.outcome {
            Outcome::NotFound | Outcome::LoginRequired | Outcome::NoPendingLogin => {
                Some(("/login".to_owned(), "Log in".to_owned()))
            }
            _ => reply.location.map(|to| (to, "Continue".to_owned())),
        };
        let page = reply.page.unwrap_or_else(|| Page::Message {
            title: reply.outcome.title().to_owned(),
            text: reply.outcome.message().into_owned(),
            onward,
        });
        pages::render(&self.site, &page)
    }

    /// The fields every answer carries, and those of this one.
    fn headers(&self, reply: &Reply) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            (
                "Content-Security-Policy",
                self.content_security_policy.clone(),
            ),
            ("X-Content-Type-Options", "nosniff".to_owned()),
            ("Referrer-Policy", "no-referrer".to_owned()),
            ("Cross-Origin-Opener-Policy", "same-origin".to_owned()),
            ("Cross-Origin-Resource-Policy", "same-origin".to_owned()),
            ("Cache-Control", "no-store".to_owned()),
        ];
        if (self.hsts)() {
            headers.push((
                "Strict-Transport-Security",
                STRICT_TRANSPORT_SECURITY.to_owned(),
            ));
        }
        if let Outcome::MethodNotAllowed(allow) = reply.outcome {
            headers.push(("Allow", allow.to_owned()));
        }
        if let Some(seconds) = reply.outcome.retry_after() {
            headers.push(("Retry-After", seconds.to_string()));
        }
        if reply.clear_site_data {
            headers.push(("Clear-Site-Data", "\"cookies\", \"storage\"".to_owned()));
        }
        headers.extend(
            reply
                .cookies
                .iter()
                .map(|cookie| ("Set-Cookie", cookie.clone())),
        );
        headers
    }
}

/// Whether the client reads pages, and so is a browser.
pub fn is_browser(request: &Request) -> bool {
    wanted(request.header("accept")) == Form::Page
}

/// A media type counts only where it is named: `*/*` is what programs send who do not care.
fn wanted(accept: Option<&str>) -> Form {
    let quality = |name: &str| {
        accept
            .unwrap_or_default()
            .split(',')
            .filter_map(|range| {
                let mut parts = range.split(';').map(str::trim);
                let named = parts.next()?.eq_ignore_ascii_case(name);
                let quality = parts.find_map(|part| part.strip_prefix("q="));
                named.then(|| quality.map_or(1.0, |q| q.parse().unwrap_or(0.0)))
            })
            .fold(0.0_f32, f32::max)
    };
    let (page, json) = (quality("text/html"), quality("application/json"));
    if page > 0.0 && page >= json {
        Form::Page
    } else if json > 0.0 {
        Form::Json
    } else {
        Form::Text
    }
}

/// One line for each thing, in the order of the JSON.
fn account_as_text(account: &Value) -> String {
    let mut text = String::new();
    for (name, value) in account.as_object().into_iter().flatten() {
        let shown = match value {
            Value::String(value) => value.clone(),
            Value::Array(values) if values.iter().all(Value::is_string) => {
                let values: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
                values.join(", ")
            }
            Value::Array(values) => values.len().to_string(),
            value => value.to_string(),
        };
        let _ = writeln!(text, "{name}: {shown}");
    }
    text.pop();
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_the_one_that_is_named() {
        for (accept, form) in [
            (None, Form::Text),
            (Some("*/*"), Form::Text),
            (Some("text/*"), Form::Text),
            (Some("text/plain"), Form::Text),
            (Some("application/json"), Form::Json),
            (Some("application/json, text/plain, */*"), Form::Json),
            (
                Some("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
                Form::Page,
            ),
            (Some("TEXT/HTML"), Form::Page),
            (Some("application/json;q=0.5, text/html;q=0.4"), Form::Json),
            (Some("text/html;q=0"), Form::Text),
            (Some("text/html;q=x, application/json"), Form::Json),
            (Some("text/htmlx"), Form::Text),
        ] {
            assert_eq!(wanted(accept), form, "{accept:?}");
        }
    }

    #[test]
    fn a_wait_is_rounded_up() {
        assert_eq!(
            Outcome::Throttled(Duration::from_millis(1001)).message(),
            "Too many attempts. Try again in 2 seconds."
        );
    }
}
