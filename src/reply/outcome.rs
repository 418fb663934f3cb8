//! The outcome table: for everything that can come of a request its status, its code, and its
//! sentence.
//!
//! They are the product's interface. None of them can hold a cause, a path or anything a stranger
//! sent.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::reply::THROTTLED;

/// After how long it is worth another try, where nothing more is known.
pub const SOON: Duration = Duration::from_secs(2);

/// How a proxy asks whether a visitor may enter. Each kind has names and statuses of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// nginx: anything but 200, 401 and 403 would be an error there.
    AuthRequest,
    /// Caddy, HAProxy, Traefik: what is not a yes is shown to the visitor.
    ForwardAuth,
    /// The old way of both.
    Verify,
}

/// What came of a request. No `Debug`: some hold what is shown once.
#[derive(Clone)]
pub enum Outcome {
    /// What `GET /account` tells programs.
    Account(Value),
    AccountDeleted,
    /// A change could not be saved, nor can any until an operator mends a file.
    AccountsUnreadable,
    /// A proxy may let this visitor in.
    Admitted,
    AuthenticatorChanged,
    /// A field, and what is wrong with it.
    BadField(&'static str, &'static str),
    /// A proxy asks about what cannot be guarded, and why.
    BadTarget(Dialect, &'static str),
    /// And for how long at least.
    Busy(Duration),
    CodeRequired,
    CrossSite,
    /// Logged in, and still not to enter.
    Denied,
    EmailExists,
    EnrolRequired {
        secret: String,
        otpauth: String,
    },
    /// A visitor's request carries what only the proxy may say; which kind of field.
    ForeignField(String),
    Healthy,
    /// A defect of ours; the cause is in the log.
    Internal,
    LoggedOutByGet,
    LoggedOutByPost,
    /// With the recovery codes, if this login enrolled.
    LoginComplete(Vec<String>),
    LoginRequired,
    /// Nobody knows whether it was saved.
    MaybeSaved,
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
    /// After so many wrong codes no further one of a stranger is looked at.
    RecoveryCodeNeeded,
    RecoveryCodes(Vec<String>),
    /// What never became a request: status, code and sentence.
    Refused(u16, &'static str, &'static str),
    Registered,
    RegistrationClosed,
    /// What the original script answers, letter by letter.
    Script(String),
    /// The original script's page that asks for the key; browsers get it too.
    ScriptPage(String),
    /// A visitor without a session goes to the login by way of the proxy. `by_get` if the request
    /// was one that must not be repeated there.
    SentToLogin {
        by_get: bool,
    },
    SessionsEnded,
    /// A page that was asked for, and nothing else happened.
    Shown,
    Throttled(Duration),
    TooLarge,
    /// A field, how long it may be, and of what.
    TooLong(&'static str, usize, &'static str),
    /// A form, with how many fields it may have.
    TooManyFields(usize),
    /// An application may read the address in another way than we do; why.
    TwoReadings(&'static str),
    /// Two cookies came that are both sessions: one of them is somebody else's.
    TwoSessions,
    /// What is wrong, in a word for whoever watches the server.
    Unhealthy(&'static str),
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
            Self::SentToLogin { by_get: false } => 302,
            Self::SentToLogin { by_get: true } => 303,
            Self::BadField(..)
            | Self::BadTarget(Dialect::ForwardAuth, _)
            | Self::TooLong(..)
            | Self::TooManyFields(_) => 400,
            Self::Refused(status, ..) => *status,
            Self::BadTarget(Dialect::Verify, _)
            | Self::LoginRequired
            | Self::NoPendingLogin
            | Self::TwoSessions
            | Self::WrongCode
            | Self::WrongCredentials
            | Self::WrongPassword => 401,
            Self::BadTarget(Dialect::AuthRequest, _)
            | Self::CrossSite
            | Self::Denied
            | Self::ForeignField(_)
            | Self::RecoveryCodeNeeded
            | Self::RegistrationClosed
            | Self::TwoReadings(_) => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed(_) => 405,
            Self::EmailExists | Self::UserExists => 409,
            Self::TooLarge => 413,
            Self::UnsupportedType => 415,
            Self::PasswordCommon | Self::PasswordTooShort => 422,
            Self::Throttled(_) => 429,
            Self::Internal => 500,
            Self::AccountsUnreadable
            | Self::Busy(_)
            | Self::MaybeSaved
            | Self::NotSaved
            | Self::Unhealthy(_) => 503,
            _ => 200,
        }
    }

    /// The name programs know the outcome by.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Account(_) => "account",
            Self::AccountDeleted => "account_deleted",
            Self::Admitted => "admitted",
            Self::AuthenticatorChanged => "authenticator_changed",
            Self::BadField(..) | Self::TooLong(..) | Self::TooManyFields(_) => "bad_field",
            Self::BadTarget(..) => "bad_target",
            Self::Busy(_) => "busy",
            Self::CodeRequired => "code_required",
            Self::CrossSite => "cross_site",
            Self::Denied => "denied",
            Self::EmailExists => "email_exists",
            Self::EnrolRequired { .. } => "enrol_required",
            Self::ForeignField(_) => "foreign_field",
            Self::Healthy => "ok",
            Self::Internal => "internal",
            Self::LoggedOutByGet | Self::LoggedOutByPost => "logged_out",
            Self::LoginComplete(_) => "login_complete",
            Self::LoginRequired | Self::SentToLogin { .. } | Self::TwoSessions => "login_required",
            Self::MaybeSaved => "unknown",
            Self::MethodNotAllowed(_) => "method_not_allowed",
            Self::NewPasswordSent => "new_password_sent",
            Self::NoPendingLogin => "no_pending_login",
            Self::NotFound => "not_found",
            Self::AccountsUnreadable | Self::NotSaved => "not_saved",
            Self::PasswordChanged => "password_changed",
            Self::PasswordChangeRequired(_) => "password_change_required",
            Self::PasswordCommon => "password_common",
            Self::PasswordTooShort => "password_too_short",
            Self::RecoveryCodeNeeded => "recovery_code_needed",
            Self::RecoveryCodes(_) => "recovery_codes",
            Self::Refused(_, code, _) => code,
            Self::Registered => "registered",
            Self::RegistrationClosed => "registration_closed",
            Self::Script(_) | Self::ScriptPage(_) => "script",
            Self::SessionsEnded => "sessions_ended",
            Self::Shown => "shown",
            Self::Throttled(_) => THROTTLED,
            Self::TooLarge => "too_large",
            Self::TwoReadings(_) => "two_readings",
            Self::Unhealthy(what) => what,
            Self::UnsupportedType => "unsupported_type",
            Self::UserExists => "user_exists",
            Self::WrongCode => "wrong_code",
            Self::WrongCredentials => "wrong_credentials",
            Self::WrongPassword => "wrong_password",
        }
    }

    /// Whether anybody can have it as often as he asks: no password is hashed for it, and nothing
    /// is saved.
    pub fn is_cheap(&self) -> bool {
        let costly = matches!(
            self,
            Self::Internal
                | Self::AccountsUnreadable
                | Self::MaybeSaved
                | Self::NotSaved
                | Self::WrongCode
                | Self::WrongCredentials
                | Self::WrongPassword
        );
        !costly && self.status() >= 400
    }

    /// Whether a proxy asks for it at each of a visitor's requests, so that it is no event.
    pub fn is_routine(&self) -> bool {
        matches!(
            self,
            Self::Admitted | Self::SentToLogin { .. } | Self::Unhealthy(_)
        )
    }

    pub fn is_logout(&self) -> bool {
        matches!(self, Self::LoggedOutByGet | Self::LoggedOutByPost)
    }

    /// The sentence people read. It is put together from fixed parts only.
    pub fn message(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::BadField(field, what) => return format!("The field {field} {what}.").into(),
            Self::TooLong(field, max, of) => {
                return format!("The field {field} is too long: it may have {max} {of}.").into();
            }
            Self::TooManyFields(max) => {
                return format!("The form has too many fields: it may have {max}.").into();
            }
            Self::EnrolRequired { secret, .. } => {
                return format!(
                    "Add this key to your authenticator app, then enter its code: {secret}"
                )
                .into();
            }
            Self::ForeignField(why) => {
                return format!("The request carries a field that only the proxy may send: {why}.")
                    .into();
            }
            Self::Script(body) | Self::ScriptPage(body) => return body.clone().into(),
            Self::Throttled(wait) => {
                let seconds = seconds(*wait);
                return format!("Too many attempts. Try again in {seconds} seconds.").into();
            }
            Self::TwoReadings(why) => {
                return format!("This address can be read in more than one way. {why}").into();
            }
            Self::BadTarget(_, why) => why,
            Self::Account(_) | Self::Admitted | Self::Shown => "",
            Self::AccountDeleted => "Your account has been deleted.",
            Self::AuthenticatorChanged => "Your new authenticator is set up.",
            Self::Busy(_) => "The server is busy. Try again in a moment.",
            Self::CodeRequired => "Enter the code from your authenticator app.",
            Self::CrossSite => "This request came from another site.",
            Self::Denied => "You may not enter here.",
            Self::EmailExists => "User with this email already exists",
            Self::Healthy => "ok",
            Self::Internal => "Something went wrong on our side.",
            Self::LoggedOutByGet => "You have successfully logged out.",
            Self::LoggedOutByPost => "You have successfully exited the program.",
            Self::LoginComplete(_) => "Login completed successfully.",
            Self::LoginRequired | Self::SentToLogin { .. } => "Log in first.",
            Self::MaybeSaved => {
                "It is not known whether the change was saved. Look before you try again."
            }
            Self::MethodNotAllowed(_) => "This page does not take that method.",
            Self::NewPasswordSent => {
                "If that user exists, a new password has been sent to its email address."
            }
            Self::NoPendingLogin => "Log in with your password first.",
            Self::NotFound => "There is no such page.",
            Self::AccountsUnreadable | Self::NotSaved => {
                "The change could not be saved. Nothing was changed."
            }
            Self::PasswordChanged => "Password changed.",
            Self::PasswordChangeRequired(_) => "Choose a new password.",
            Self::PasswordCommon => "This password is too easy to guess.",
            Self::PasswordTooShort => "The password must contain at least 8 characters.",
            Self::RecoveryCodeNeeded => {
                "Too many wrong codes. Use a recovery code, or a browser that has logged in before."
            }
            Self::RecoveryCodes(_) => "These are your new recovery codes.",
            Self::Refused(_, _, sentence) => sentence,
            Self::Registered => "User successfully registered.",
            Self::RegistrationClosed => "Registration is closed.",
            Self::SessionsEnded => "Done.",
            Self::TooLarge => "The request is too large.",
            Self::TwoSessions => "Two sessions were sent at once, so neither counts. Log in again.",
            Self::Unhealthy(what) => what,
            Self::UnsupportedType => "Send the form as application/x-www-form-urlencoded.",
            Self::UserExists => "The user already exists.",
            Self::WrongCode => "Wrong 2FA code.",
            Self::WrongCredentials => "Wrong username or password.",
            Self::WrongPassword => "Wrong password.",
        })
    }

    /// Whether the original script knows it, and so answers 200 with the message alone.
    pub(super) fn known_to_the_script(&self) -> bool {
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

    pub(super) fn json(&self) -> Value {
        if let Self::Account(account) = self {
            return account.clone();
        }
        let mut value = json!({ "code": self.code(), "message": self.message() });
        match self {
            Self::BadField(field, _) | Self::TooLong(field, ..) => value["field"] = json!(field),
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

    pub(super) fn text(&self) -> String {
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

    /// The recovery codes it shows, this once.
    pub fn recovery_codes(&self) -> &[String] {
        match self {
            Self::LoginComplete(codes)
            | Self::PasswordChangeRequired(codes)
            | Self::RecoveryCodes(codes) => codes,
            _ => &[],
        }
    }

    /// Each text in it that is for the eyes of one browser.
    pub(super) fn each_secret(&mut self, mut visit: impl FnMut(&mut String)) {
        match self {
            Self::EnrolRequired { secret, otpauth } => {
                [secret, otpauth].into_iter().for_each(visit)
            }
            Self::LoginComplete(codes)
            | Self::PasswordChangeRequired(codes)
            | Self::RecoveryCodes(codes) => codes.iter_mut().for_each(visit),
            Self::Script(body) | Self::ScriptPage(body) => visit(body),
            _ => {}
        }
    }

    pub(super) fn retry_after(&self) -> Option<u64> {
        match self {
            Self::AccountsUnreadable | Self::MaybeSaved | Self::NotSaved | Self::Unhealthy(_) => {
                Some(seconds(SOON))
            }
            Self::Busy(wait) | Self::Throttled(wait) => Some(seconds(*wait)),
            _ => None,
        }
    }
}

/// Whole seconds, rounded up, so that nobody comes back a moment too early.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
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
    fn a_wait_is_rounded_up() {
        assert_eq!(
            Outcome::Throttled(Duration::from_millis(1001)).message(),
            "Too many attempts. Try again in 2 seconds."
        );
    }
}
