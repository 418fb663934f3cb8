//! What can come of a request. What is fixed about each outcome is a row of `table`; here is the
//! rest: what some outcomes hold, and how programs are told.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::accounts::acts::Act;
use crate::accounts::passkey::{CredentialId, Step};
use crate::clock::Timestamp;
use crate::events::Kind;
use crate::rejection::Rejection;
use crate::terminal::printable;

/// How long to wait before another try, where nothing more is known.
pub const SOON: Duration = Duration::from_secs(2);

/// How a proxy asks whether a visitor may enter. Each way has fields and statuses of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// nginx: anything but 200, 401 and 403 would be an error there.
    AuthRequest,
    /// Caddy, HAProxy, Traefik: any answer but a yes is shown to the visitor.
    ForwardAuth,
    /// The old path, for proxies of both kinds.
    Verify,
}

/// What came of a request. No `Debug`: some outcomes hold secrets.
#[derive(Clone)]
pub enum Outcome {
    /// What `GET /account` tells programs.
    Account(Value),
    AccountDeleted,
    AccountDisabled,
    AccountEnabled,
    /// Nothing is mailed to an account that is disabled.
    AccountIsDisabled,
    AccountRemoved,
    /// A change could not be saved, and none can be until an operator mends a file.
    AccountsUnreadable,
    /// A proxy may let this visitor in.
    Admitted,
    AuthenticatorChanged,
    /// A field, and what is wrong with it.
    BadField(&'static str, &'static str),
    /// A proxy asks about something that cannot be guarded; why not.
    BadTarget(Dialect, &'static str),
    /// No room for the request now; how long to wait at least.
    Busy(Duration),
    /// A link that changes an address was mailed to the new one, as far as one may know.
    ChangeMailed,
    /// With what asks for a passkey, if the account has one.
    CodeRequired(Option<Box<Value>>),
    /// A link that proves an address was mailed to it.
    ConfirmationSent,
    /// Password and code were shown too long ago.
    ConfirmFirst,
    CrossSite,
    /// Logged in, but not allowed to enter.
    Denied,
    EmailConfirmed,
    EmailExists,
    EnrolRequired {
        secret: String,
        otpauth: String,
    },
    /// A visitor's request carries a field that only the proxy may send; which kind of field.
    ForeignField(String),
    /// With the groups an account has now.
    GroupsChanged(Vec<String>),
    Healthy,
    /// A defect of ours; the cause is in the log.
    Internal,
    InvitationEnded,
    Invited(Box<Invited>),
    LoggedOutByGet,
    LoggedOutByPost,
    /// The login page; with what asks for a passkey, for programs.
    LogIn(Option<Box<Value>>),
    /// With the recovery codes, if this login enrolled.
    LoginComplete(Vec<String>),
    LoginRequired,
    /// Nobody knows whether the change was saved.
    MaybeSaved,
    /// With the methods the path takes.
    MethodNotAllowed(&'static str),
    NewPasswordSent,
    /// Nothing can be mailed to an account without an address.
    NoAddress,
    /// The link of a confirmation proves nothing.
    NoConfirmation,
    /// An invitation that does not work, or not any more.
    NoInvitation,
    /// The site is reached by an address, which can have no passkeys.
    NoPasskeysHere,
    NoPendingLogin,
    NotFound,
    NotSaved,
    /// Administrators cannot do this to themselves.
    NotYourself,
    /// With its id, where it was made just now.
    PasskeyAdded(Option<CredentialId>),
    /// Its challenge was one of ours, and was asked too long ago.
    PasskeyExpired,
    /// With what makes a passkey.
    PasskeyOptions(Box<Value>),
    /// A new passkey does not hold; nobody is told why.
    PasskeyRefused,
    PasskeyRemoved,
    PasswordChanged,
    /// With the recovery codes, if this login enrolled.
    PasswordChangeRequired(Vec<String>),
    PasswordCommon,
    PasswordMailed,
    PasswordTooShort,
    /// What administrators are told of accounts: for programs, and as text.
    People(Value, String),
    /// After so many wrong codes, those from unknown browsers are no longer looked at.
    RecoveryCodeNeeded,
    RecoveryCodes(Vec<String>),
    Registered,
    RegistrationClosed,
    /// What never became a request.
    Rejected(Rejection),
    /// The same, on a path where nginx asks.
    RejectedQuestion(Rejection),
    /// What the original script answers, letter by letter.
    Script(String),
    /// The original script's page that asks for the key; browsers get it too.
    ScriptPage(String),
    SecondFactorReset,
    /// A visitor without a session is sent to the login through the proxy. `by_get` if the request
    /// was one that must not be repeated there.
    SentToLogin {
        by_get: bool,
    },
    SessionsEnded,
    /// A page that was asked for; nothing else happened.
    Shown,
    Throttled(Duration),
    TokenMade(Box<MadeToken>),
    TokenRemoved,
    /// A field, how long it may be, and the unit of that.
    TooLong(&'static str, usize, &'static str),
    TooManyPasskeys,
    /// A form, with how many fields it may have.
    TooManyFields(usize),
    TooManyTokens,
    /// An application may read the address in another way than we do; why.
    TwoReadings(&'static str),
    /// Two cookies came that are both sessions: one of them is somebody else's.
    TwoSessions,
    /// What is wrong, in a word for whoever watches the server.
    Unhealthy(&'static str),
    UnsupportedType,
    UserExists,
    WrongCode,
    /// Wrong password, unknown name, disabled account: one outcome, or it would tell who exists.
    WrongCredentials,
    /// Whatever is wrong with it: one outcome, or it would tell who has which.
    WrongPasskey(Step),
    WrongPassword,
}

/// An invitation that was made, as the person who made it is told of it, this once.
#[derive(Clone)]
pub struct Invited {
    /// By which it can be ended.
    pub id: String,
    pub link: String,
    pub expires: Timestamp,
    /// `None` if it was mailed to nobody.
    pub email: Option<String>,
    pub groups: Vec<String>,
}

/// An access token that was made, as its owner is told of it, this once.
#[derive(Clone)]
pub struct MadeToken {
    pub token: String,
    /// By which it can be removed.
    pub id: String,
    pub expires: Timestamp,
}

impl Outcome {
    /// What comes of an act that somebody did to another's account.
    pub fn of_act(act: Act) -> Self {
        match act {
            Act::Disable => Self::AccountDisabled,
            Act::Enable => Self::AccountEnabled,
            Act::EndSessions => Self::SessionsEnded,
            Act::Groups(groups) => Self::GroupsChanged(groups),
            Act::NewPassword | Act::NewPasswordOf(_) => Self::PasswordMailed,
            Act::Remove => Self::AccountRemoved,
            Act::ResetSecondFactor => Self::SecondFactorReset,
        }
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.row().status
    }

    /// The name by which programs know the outcome.
    pub fn code(&self) -> &'static str {
        self.row().code
    }

    /// The sentence people read.
    pub fn message(&self) -> Cow<'static, str> {
        self.row().sentence
    }

    /// Whether this is a refusal that anybody can have as often as they ask: no password is hashed
    /// for it, and nothing is saved.
    pub fn is_cheap(&self) -> bool {
        let row = self.row();
        !row.costly && row.status >= 400
    }

    /// Whether proxies and monitors get this all the time, so that it is not an event.
    pub fn is_routine(&self) -> bool {
        matches!(
            self,
            Self::Admitted | Self::SentToLogin { .. } | Self::Unhealthy(_)
        )
    }

    /// What happened to the account that the reply names, if it is one that events tell of.
    pub fn event(&self) -> Option<Kind> {
        Some(match self {
            Self::AccountDeleted => Kind::AccountDeleted,
            Self::AuthenticatorChanged => Kind::AuthenticatorChanged,
            Self::EmailConfirmed => Kind::EmailConfirmed,
            Self::LoggedOutByGet | Self::LoggedOutByPost => Kind::LoggedOut,
            Self::LoginComplete(_) => Kind::LoggedIn,
            Self::PasskeyAdded(_) => Kind::PasskeyAdded,
            Self::PasskeyRemoved => Kind::PasskeyRemoved,
            Self::PasswordChanged => Kind::PasswordChanged,
            Self::RecoveryCodes(_) => Kind::RecoveryCodesMade,
            Self::Registered => Kind::Registered,
            Self::SessionsEnded => Kind::SessionsEnded,
            Self::TokenMade(_) => Kind::TokenMade,
            Self::TokenRemoved => Kind::TokenRemoved,
            _ if self.status() >= 400 => Kind::Refused,
            _ => return None,
        })
    }

    /// Whether this is the answer to logging out.
    pub fn is_logout(&self) -> bool {
        matches!(self, Self::LoggedOutByGet | Self::LoggedOutByPost)
    }

    /// What programs are told.
    pub fn json(&self) -> Value {
        if let Self::Account(told) | Self::People(told, _) = self {
            return told.clone();
        }
        let mut value = json!({ "code": self.code(), "message": self.message() });
        match self {
            Self::BadField(field, _) | Self::TooLong(field, ..) => value["field"] = json!(field),
            Self::EnrolRequired { secret, otpauth } => {
                value["secret"] = json!(secret);
                value["otpauth"] = json!(otpauth);
            }
            Self::CodeRequired(Some(asked)) | Self::LogIn(Some(asked)) => {
                value["passkey"] = Value::clone(asked);
            }
            Self::PasskeyOptions(options) => value["options"] = Value::clone(options),
            Self::GroupsChanged(groups) => value["groups"] = json!(groups),
            Self::Invited(made) => {
                value["id"] = json!(made.id);
                value["link"] = json!(made.link);
                value["expires"] = json!(made.expires);
                value["email"] = json!(made.email);
                value["groups"] = json!(made.groups);
            }
            Self::TokenMade(made) => {
                value["token"] = json!(made.token);
                value["id"] = json!(made.id);
                value["expires"] = json!(made.expires);
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
        if let Self::People(_, text) = self {
            return text.clone();
        }
        let mut text = self.message().into_owned();
        for code in self.recovery_codes() {
            text.push('\n');
            text.push_str(code);
        }
        if let Self::PasskeyOptions(options) = self {
            let _ = write!(text, "\n{options}");
        }
        text
    }

    /// The recovery codes that the outcome shows, this once.
    pub fn recovery_codes(&self) -> &[String] {
        match self {
            Self::LoginComplete(codes)
            | Self::PasswordChangeRequired(codes)
            | Self::RecoveryCodes(codes) => codes,
            _ => &[],
        }
    }

    /// Visits each text that only one browser may see.
    pub(super) fn each_secret(&mut self, mut visit: impl FnMut(&mut String)) {
        match self {
            Self::EnrolRequired { secret, otpauth } => {
                [secret, otpauth].into_iter().for_each(visit)
            }
            Self::LoginComplete(codes)
            | Self::PasswordChangeRequired(codes)
            | Self::RecoveryCodes(codes) => codes.iter_mut().for_each(visit),
            Self::Script(body) | Self::ScriptPage(body) => visit(body),
            Self::Invited(made) => visit(&mut made.link),
            Self::TokenMade(made) => visit(&mut made.token),
            _ => {}
        }
    }

    /// How long to wait before another try, in seconds.
    pub(super) fn retry_after(&self) -> Option<u64> {
        self.row().retry_after.map(seconds)
    }

    /// The heading of the page that shows nothing but the message.
    pub(super) fn title(&self) -> &'static str {
        match self.status() {
            _ if matches!(self, Self::NoConfirmation | Self::NoInvitation) => {
                "This link does not work"
            }
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
}

/// Whole seconds, rounded up, so that nobody comes back a moment too early.
pub(super) fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

/// One line per field, in the order of the JSON.
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
        // A group that was written by hand may hold anything.
        let _ = writeln!(text, "{name}: {}", printable(&shown));
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
