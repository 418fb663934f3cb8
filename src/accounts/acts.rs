//! What those who answer for all accounts do to them: the rules, whoever asks.

use crate::accounts::Account;
use crate::accounts::password::{self, Password, PasswordHash};
use crate::clock::Timestamp;

/// Why a password cannot be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnfitPassword {
    TooShort,
    TooLong,
    /// On the list of common ones, or the account's own name or address.
    Common,
}

/// The password that somebody chose for an account, by the rules of registration.
///
/// # Errors
///
/// Why it cannot be that.
pub fn choose_password(
    chosen: &str,
    username: &str,
    email: Option<&str>,
) -> Result<Password, UnfitPassword> {
    if chosen.chars().count() > password::MAX_SENT {
        return Err(UnfitPassword::TooLong);
    }
    let chosen = Password::new(chosen);
    match chosen.length() {
        length if length > password::MAX_LENGTH => Err(UnfitPassword::TooLong),
        length if length < password::MIN_LENGTH => Err(UnfitPassword::TooShort),
        _ if chosen.is_easy_to_guess(username, email) => Err(UnfitPassword::Common),
        _ => Ok(chosen),
    }
}

impl Account {
    /// An account as an operator makes it, who vouches for its address.
    pub fn made_by_operator(
        username: &str,
        email: &str,
        groups: Vec<String>,
        password: Option<PasswordHash>,
        now: Timestamp,
    ) -> Self {
        Self {
            email_proven: true,
            groups,
            registered: false,
            password,
            ..Self::without_password(username, Some(email), now)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{UnfitPassword, choose_password};

    #[test]
    fn a_password_is_judged_by_its_normalised_form() {
        let choose = |chosen: &str| {
            choose_password(chosen, "alice-smith", Some("alice@example.com"))
                .map(|chosen| chosen.length())
        };
        assert_eq!(choose("1234567"), Err(UnfitPassword::TooShort));
        // Seven letters, two characters each.
        assert_eq!(choose(&"u\u{308}".repeat(7)), Err(UnfitPassword::TooShort));
        assert_eq!(choose(&"u\u{308}".repeat(256)), Ok(256));
        assert_eq!(choose(&"x".repeat(257)), Err(UnfitPassword::TooLong));
        assert_eq!(choose("Password1"), Err(UnfitPassword::Common));
        assert_eq!(choose("Alice-Smith"), Err(UnfitPassword::Common));
        assert_eq!(choose("ALICE@example.com"), Err(UnfitPassword::Common));
        assert_eq!(choose("  a good one  "), Ok(14));
    }
}
