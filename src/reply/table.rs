//! The outcome table: one row for everything that can come of a request, with its status, its code
//! and its sentence.
//!
//! These three are the product's interface. None of them can hold a cause, a path or anything a
//! stranger sent.

use std::borrow::Cow;
use std::time::Duration;

use crate::accounts::passkey::Step;
use crate::rejection::Rejection;
use crate::reply::outcome::{Dialect, Outcome, seconds};
use crate::reply::{SOON, THROTTLED};

/// What is fixed about an outcome.
pub(super) struct Row {
    pub(super) status: u16,
    /// The name by which programs know the outcome.
    pub(super) code: &'static str,
    /// What people read. It is put together from fixed parts only.
    pub(super) sentence: Cow<'static, str>,
    /// The field of the form that the outcome concerns.
    pub(super) field: Option<&'static str>,
    /// How to go on, said on pages only: programs do not get it, so its words may change.
    pub(super) advice: Cow<'static, str>,
    /// Whether the original script has this outcome, so that compatibility mode answers 200 with
    /// the sentence alone.
    pub(super) in_script: bool,
    /// Whether a refusal costs whoever causes it: a password was hashed for it, or something saved.
    pub(super) costly: bool,
    pub(super) retry_after: Option<Duration>,
}

fn row(status: u16, code: &'static str, sentence: impl Into<Cow<'static, str>>) -> Row {
    Row {
        status,
        code,
        sentence: sentence.into(),
        field: None,
        advice: "".into(),
        in_script: false,
        costly: false,
        retry_after: None,
    }
}

impl Row {
    fn at(self, field: &'static str) -> Self {
        let field = Some(field);
        Self { field, ..self }
    }

    fn advising(self, advice: impl Into<Cow<'static, str>>) -> Self {
        let advice = advice.into();
        Self { advice, ..self }
    }

    fn in_script(self) -> Self {
        let in_script = true;
        Self { in_script, ..self }
    }

    fn costly(self) -> Self {
        let costly = true;
        Self { costly, ..self }
    }

    fn after(self, wait: Duration) -> Self {
        let retry_after = Some(wait);
        Self {
            retry_after,
            ..self
        }
    }
}

impl Outcome {
    pub(super) fn row(&self) -> Row {
        match self {
            Self::Account(_) => row(200, "account", ""),
            Self::AccountDeleted => row(200, "account_deleted", "Your account has been deleted."),
            Self::AccountDisabled => row(200, "account_disabled", "Done."),
            Self::AccountEnabled => row(200, "account_enabled", "Done."),
            Self::AccountIsDisabled => {
                row(409, "account_is_disabled", "This account is disabled.").advising(
                    "Its owner could not use a new password. Enable the account first.",
                )
            }
            Self::AccountRemoved => row(200, "account_removed", "Done."),
            Self::AccountsUnreadable => row(503, "not_saved", NOT_SAVED)
                .advising(UNREADABLE)
                .costly()
                .after(SOON),
            Self::Admitted => row(200, "admitted", ""),
            Self::AuthenticatorChanged => {
                row(200, "authenticator_changed", "Your new authenticator is set up.")
            }
            Self::BadField(field, what) => {
                row(400, "bad_field", format!("The field {field} {what}.")).at(field)
            }
            Self::BadTarget(dialect, why) => row(bad_target(*dialect), "bad_target", *why),
            Self::Busy(wait) => busy(*wait),
            Self::ChangeMailed => row(
                200,
                "confirmation_sent",
                "A confirmation has been sent to the new address.",
            ),
            Self::CodeRequired(_) => {
                row(200, "code_required", "Enter the code from your authenticator app.")
            }
            Self::ConfirmationSent => row(
                200,
                "confirmation_sent",
                "A confirmation has been sent to your address.",
            ),
            Self::ConfirmFirst => {
                row(403, "confirm_first", "Enter your password and a code first.")
                    .advising("This is asked again after ten minutes.")
            }
            Self::CrossSite => row(403, "cross_site", "This request came from another site.")
                .advising(
                    "Another page made your browser send this, so nothing was done. If you did \
                     want it, start from here.",
                ),
            Self::Denied => row(403, "denied", "You may not enter here."),
            Self::EmailConfirmed => {
                row(200, "email_confirmed", "Your e-mail address is confirmed.")
            }
            Self::EmailExists => row(409, "email_exists", "User with this email already exists")
                .at("email")
                .in_script()
                .advising(
                    "Use another address. If the account is yours, log in, or have a new password \
                     sent.",
                ),
            Self::EnrolRequired { secret, .. } => row(
                200,
                "enrol_required",
                format!("Add this key to your authenticator app, then enter its code: {secret}"),
            ),
            Self::ForeignField(why) => row(
                403,
                "foreign_field",
                format!("The request carries a field that only the proxy may send: {why}."),
            ),
            Self::GroupsChanged(_) => row(200, "groups_changed", "Done."),
            Self::Healthy => row(200, "ok", "ok"),
            Self::Internal => row(500, "internal", "Something went wrong on our side.")
                .advising("This is not your fault. Try again; if this goes on, tell whoever runs this site.")
                .costly(),
            Self::InvitationEnded => row(200, "invitation_ended", "Done."),
            Self::Invited(made) => {
                row(200, "invited", format!("Invitation made: {}", made.link))
            }
            Self::LoggedOutByGet => {
                row(200, "logged_out", "You have successfully logged out.").in_script()
            }
            Self::LoggedOutByPost => {
                row(200, "logged_out", "You have successfully exited the program.").in_script()
            }
            Self::LogIn(_) => row(200, "log_in", "Log in."),
            Self::LoginComplete(_) => {
                row(200, "login_complete", "Login completed successfully.").in_script()
            }
            Self::LoginRequired => row(401, "login_required", "Log in first."),
            Self::MaybeSaved => row(
                503,
                "unknown",
                "It is not known whether the change was saved. Look before you try again.",
            )
            .costly()
            .after(SOON),
            Self::MethodNotAllowed(_) => {
                row(405, "method_not_allowed", "This page does not take that method.").advising(
                    "Forms are sent to this address; there is nothing to look at. Go back to the \
                     form and send it again.",
                )
            }
            Self::NewPasswordSent => row(
                200,
                "new_password_sent",
                "If that user exists, a new password has been sent to its email address.",
            ),
            Self::NoAddress => row(409, "no_address", "This account has no e-mail address."),
            Self::NoConfirmation => {
                row(404, "no_confirmation", "This link is used, expired or unknown.").advising(
                    "If your address is not confirmed yet, your account page sends you a new link.",
                )
            }
            Self::NoInvitation => row(
                404,
                "no_invitation",
                "This invitation is used, expired or unknown.",
            )
            .advising(
                "If you have used it yourself, log in. If not, ask whoever invited you for another.",
            ),
            Self::NoPasskeysHere => row(409, "no_passkeys_here", "Passkeys need a host name.")
                .at("passkey")
                .advising("This site is reached by an address. Nothing was changed."),
            Self::NoPendingLogin => {
                row(401, "no_pending_login", "Log in with your password first.")
            }
            Self::NotFound => row(404, "not_found", "There is no such page.")
                .advising("Check the address for typing errors, or start from your account."),
            Self::NotSaved => row(503, "not_saved", NOT_SAVED)
                .advising("Try again in a moment; if this goes on, tell whoever runs this site.")
                .costly()
                .after(SOON),
            Self::NotYourself => {
                row(409, "not_yourself", "You cannot do this to your own account.").advising(
                    "Another administrator can: so nobody locks themselves out by a slip.",
                )
            }
            Self::PasskeyAdded(_) => row(200, "passkey_added", "Your passkey is set up."),
            Self::PasskeyExpired => row(
                401,
                "passkey_expired",
                "This page was open for too long. Try again.",
            )
            .at("passkey"),
            Self::PasskeyOptions(_) => row(200, "passkey_options", "Confirm with your device."),
            Self::PasskeyRefused => {
                row(422, "passkey_refused", "This passkey could not be set up.")
                    .at("passkey")
                    .advising("Nothing was changed. Begin again, perhaps with another device.")
            }
            Self::PasskeyRemoved => row(200, "passkey_removed", "Done."),
            Self::PasswordChanged => row(200, "password_changed", "Password changed."),
            Self::PasswordChangeRequired(_) => {
                row(200, "password_change_required", "Choose a new password.")
            }
            Self::PasswordCommon => {
                row(422, "password_common", "This password is too easy to guess.")
                    .at("password")
                    .advising(
                        "It is on a list of common passwords, or is your own name or address. \
                         Choose another: a few unrelated words are strong.",
                    )
            }
            Self::PasswordMailed => row(
                200,
                "password_mailed",
                "A new password has been sent to their e-mail address.",
            ),
            Self::PasswordTooShort => row(
                422,
                "password_too_short",
                "The password must contain at least 8 characters.",
            )
            .at("password")
            .in_script()
            .advising("Make it longer; another word will do."),
            Self::People(..) => row(200, "people", ""),
            Self::RecoveryCodeNeeded => row(
                403,
                "recovery_code_needed",
                "Too many wrong codes. Use a recovery code, or a browser that has logged in before.",
            )
            .at("secret")
            .advising(
                "Codes from your app are not looked at here until you have logged in by one of \
                 the two. If you have neither, ask whoever runs this site.",
            ),
            Self::RecoveryCodes(_) => {
                row(200, "recovery_codes", "These are your new recovery codes.")
            }
            Self::Registered => row(201, "registered", "User successfully registered.").in_script(),
            Self::RegistrationClosed => row(403, "registration_closed", "Registration is closed."),
            Self::Rejected(why) => rejected(*why),
            // Any status but 401 and 403 would be an error there.
            Self::RejectedQuestion(why) => Row {
                status: 403,
                ..rejected(*why)
            },
            Self::Script(body) | Self::ScriptPage(body) => {
                row(200, "script", body.clone()).in_script()
            }
            Self::SecondFactorReset => row(200, "second_factor_reset", "Done."),
            Self::SentToLogin { by_get: false } => row(302, "login_required", "Log in first."),
            Self::SentToLogin { by_get: true } => row(303, "login_required", "Log in first."),
            Self::SessionsEnded => row(200, "sessions_ended", "Done."),
            Self::Shown => row(200, "shown", ""),
            Self::Throttled(wait) => row(
                429,
                THROTTLED,
                format!("Too many attempts. Try again in {} seconds.", seconds(*wait)),
            )
            .advising(in_minutes(*wait))
            .after(*wait),
            Self::TokenMade(made) => row(
                200,
                "token_made",
                format!("Your access token, shown once: {}", made.token),
            ),
            Self::TokenRemoved => row(200, "token_removed", "Done."),
            Self::TooLong(field, max, of) => row(
                400,
                "bad_field",
                format!("The field {field} is too long: it may have {max} {of}."),
            )
            .at(field)
            .advising(
                "All that you typed or pasted counts; nothing was cut off. Type less.",
            ),
            Self::TooManyPasskeys => row(
                409,
                "too_many_passkeys",
                "There are ten passkeys already. Remove one first.",
            )
            .at("passkey"),
            Self::TooManyFields(max) => row(
                400,
                "bad_field",
                format!("The form has too many fields: it may have {max}."),
            ),
            Self::TooManyTokens => row(
                409,
                "too_many_tokens",
                "There are twenty access tokens already. Remove one first.",
            ),
            Self::TwoReadings(why) => row(
                403,
                "two_readings",
                format!("This address can be read in more than one way. {why}"),
            ),
            Self::TwoSessions => row(
                401,
                "login_required",
                "Two sessions were sent at once, so neither counts. Log in again.",
            ),
            Self::Unhealthy(what) => row(503, what, *what).after(SOON),
            Self::UnsupportedType => row(
                415,
                "unsupported_type",
                "Send the form as application/x-www-form-urlencoded.",
            ),
            Self::UserExists => row(409, "user_exists", "The user already exists.")
                .at("username")
                .in_script()
                .advising("Choose another name. If the account is yours, log in."),
            Self::WrongCode => row(401, "wrong_code", "Wrong 2FA code.")
                .at("secret")
                .in_script()
                .costly()
                .advising(
                    "Type the one your app shows now: each works once, for half a minute. If none \
                     is right, the clock of your phone may be wrong.",
                ),
            Self::WrongCredentials => {
                row(401, "wrong_credentials", "Wrong username or password.")
                    .at("password")
                    .costly()
                    .advising("Check both and try again, or have a new password sent.")
            }
            Self::WrongPasskey(step) => {
                let row = row(
                    401,
                    "wrong_passkey",
                    "This passkey is not known here, or was not confirmed.",
                )
                .at("passkey")
                .advising(
                    "Try another passkey, or go on without one. If it was removed from your \
                     account, remove it from your device too.",
                );
                match step {
                    Step::Alone => row,
                    // It was counted, which takes a save.
                    Step::AfterPassword => row.costly(),
                }
            }
            Self::WrongPassword => row(401, "wrong_password", "Wrong password.")
                .at("current_password")
                .costly()
                .advising("Type the password you log in with. Nothing was changed."),
        }
    }
}

fn busy(wait: Duration) -> Row {
    row(503, "busy", "The server is busy. Try again in a moment.")
        .advising("Nothing was changed. What you typed was not looked at and may be right.")
        .after(wait)
}

/// The rows for what never became a request.
fn rejected(why: Rejection) -> Row {
    let (status, code, sentence) = match why {
        Rejection::BodyTooLarge => {
            return row(413, "too_large", "The request is too large.")
                .advising("Type less and send it again.");
        }
        Rejection::Busy => return busy(SOON),
        Rejection::ExpectationFailed => (
            417,
            "expectation_failed",
            "This server does not know that expectation.",
        ),
        Rejection::HeadTooLarge => (
            431,
            "head_too_large",
            "The header fields of the request are too large.",
        ),
        Rejection::Malformed(_) => (400, "malformed", "The request is not well-formed."),
        Rejection::PlainHttp => (400, "plain_http", "This port speaks HTTPS."),
        Rejection::TargetTooLong => (
            414,
            "target_too_long",
            "The address of the request is too long.",
        ),
        Rejection::TooSlow => (408, "too_slow", "The request took too long to arrive."),
        Rejection::UnknownCoding => (
            501,
            "unknown_coding",
            "This server does not know that transfer coding.",
        ),
        Rejection::UnknownMethod => (
            501,
            "unknown_method",
            "This server does not know that method.",
        ),
        Rejection::UnknownVersion => (
            505,
            "unknown_version",
            "This server speaks HTTP/1.1 and HTTP/1.0.",
        ),
    };
    row(status, code, sentence)
        .advising("Start again from your account. A link that led here is damaged.")
}

const NOT_SAVED: &str = "The change could not be saved. Nothing was changed.";

const UNREADABLE: &str = "Nobody can log in until the operator of this site mends a file: the one \
    with the accounts cannot be read. Their log says where the mistake is. Whoever is logged in \
    stays so.";

/// Each way of asking allows other statuses.
fn bad_target(dialect: Dialect) -> u16 {
    match dialect {
        Dialect::AuthRequest => 403,
        Dialect::ForwardAuth => 400,
        Dialect::Verify => 401,
    }
}

/// Says how many minutes a wait is: the sentence has seconds only.
fn in_minutes(wait: Duration) -> Cow<'static, str> {
    let unseen = "What you typed was not looked at and may be right.";
    match wait.as_secs().div_ceil(60) {
        0..=1 => unseen.into(),
        minutes => format!("That is {minutes} minutes. {unseen}").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_wait_is_told_in_minutes_too() {
        let advice = |seconds| {
            Outcome::Throttled(Duration::from_secs(seconds))
                .row()
                .advice
        };

        assert!(advice(2).starts_with("What you typed"));
        assert!(advice(60).starts_with("What you typed"));
        assert!(advice(61).starts_with("That is 2 minutes."));
        assert!(advice(900).starts_with("That is 15 minutes."));
    }
}
