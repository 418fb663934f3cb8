//! What a page says beyond an outcome's sentence: the heading, the field it concerns, and how to go
//! on. Programs do not get it, so its words may change.

use std::time::Duration;

use crate::reply::Outcome;

impl Outcome {
    /// The heading of the page that says nothing but the message.
    pub(super) fn title(&self) -> &'static str {
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
    pub(super) fn field(&self) -> Option<&'static str> {
        match self {
            Self::BadField(field, _) | Self::TooLong(field, ..) => Some(field),
            Self::EmailExists => Some("email"),
            Self::UserExists => Some("username"),
            Self::PasswordCommon | Self::PasswordTooShort => Some("password"),
            Self::RecoveryCodeNeeded | Self::WrongCode => Some("secret"),
            Self::WrongCredentials => Some("password"),
            Self::WrongPassword => Some("current_password"),
            _ => None,
        }
    }

    /// What to do now.
    pub(super) fn advice(&self) -> String {
        let fixed = match self {
            Self::Throttled(wait) => return after(*wait),
            Self::Busy(_) => {
                "Nothing was changed. What you typed was not looked at and may be right."
            }
            Self::CrossSite => {
                "Another page had your browser send it, so nothing was done. If you meant to, \
                 start from here."
            }
            Self::EmailExists => {
                "Use another address; or log in, if the account is yours, or have a new password \
                 sent."
            }
            Self::Internal => {
                "It is no fault of yours. Try again; if it stays so, tell whoever runs this site."
            }
            Self::MethodNotAllowed(_) => {
                "Forms are sent to this address; there is nothing to look at. Go back to the form \
                 and send it again."
            }
            Self::NotFound => "Check the address for a slip, or start from your account.",
            Self::AccountsUnreadable => {
                "Nobody can log in until the operator of this site mends a file: the one with the \
                 accounts cannot be read. Their log says where the mistake is. Whoever is logged in \
                 stays so."
            }
            Self::NotSaved => "Try again in a moment; if it stays so, tell whoever runs this site.",
            Self::PasswordCommon => {
                "It is on every list of guesses, or like your name. Choose another: a few \
                 unrelated words are strong."
            }
            Self::PasswordTooShort => "Make it longer; another word will do.",
            Self::RecoveryCodeNeeded => {
                "Codes of the app are not looked at here until one of the two has logged in. If you \
                 have neither, ask whoever runs this site."
            }
            Self::Refused(..) => "Start again from your account. A link that led here is damaged.",
            Self::TooLong(..) => {
                "All of what you typed or pasted was looked at: nothing is cut off. Type less."
            }
            Self::TooLarge => "Type less and send it again.",
            Self::UserExists => "Choose another name; or log in, if the account is yours.",
            Self::WrongCode => {
                "Type the one your app shows now: each works once, for half a minute. If none is \
                 right, the clock of your phone may be wrong."
            }
            Self::WrongCredentials => {
                "Check both and try again. If it is gone, have a new password sent."
            }
            Self::WrongPassword => "It is the one you log in with. Nothing was changed.",
            _ => "",
        };
        fixed.to_owned()
    }
}

/// What a wait is in minutes, which the sentence does not say.
fn after(wait: Duration) -> String {
    let unseen = "What you typed was not looked at and may be right.";
    match wait.as_secs().div_ceil(60) {
        0..=1 => unseen.to_owned(),
        minutes => format!("That is {minutes} minutes. {unseen}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_wait_is_told_in_minutes_too() {
        let advice = |seconds| Outcome::Throttled(Duration::from_secs(seconds)).advice();

        assert!(advice(2).starts_with("What you typed"));
        assert!(advice(60).starts_with("What you typed"));
        assert!(advice(61).starts_with("That is 2 minutes."));
        assert!(advice(900).starts_with("That is 15 minutes."));
    }
}
