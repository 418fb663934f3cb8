//! What a change of one's own account rests on, checked again at the moment of its save.
//!
//! Between the first check and the save, passwords are hashed and others may change things: the
//! owner from another browser, an operator by hand. What was allowed before may not be now.

use std::sync::Arc;

use crate::accounts::Account;
use crate::accounts::login::Authenticated;
use crate::accounts::person::Person;
use crate::accounts::session::Session;
use crate::accounts::token::Digest;
use crate::handlers::LoggedIn;
use crate::reply::{Outcome, Refusal};

/// The session that asks, its account, and the password that was right.
#[derive(Clone)]
pub(super) struct Grounds {
    session: Arc<Session>,
    account: Arc<Account>,
    password_id: Option<Digest>,
}

impl Grounds {
    /// Being logged in.
    pub(super) fn session(me: &LoggedIn) -> Self {
        Self {
            session: Arc::clone(&me.session),
            account: Arc::clone(&me.account),
            password_id: None,
        }
    }

    /// Being logged in and knowing the password.
    pub(super) fn password(me: &LoggedIn, proof: &Authenticated) -> Self {
        Self {
            password_id: Some(proof.password_id),
            ..Self::session(me)
        }
    }

    /// Checks that the grounds still hold for the account as it is now, if it still exists.
    ///
    /// # Errors
    ///
    /// [`Outcome::LoginRequired`] or [`Outcome::WrongPassword`].
    pub(super) fn hold(&self, person: Option<&Person<'_>>) -> Result<(), Outcome> {
        let is_same = |account: &Account| {
            account.created.at() == self.account.created.at() && !account.disabled
        };
        let person = person.filter(|person| is_same(person.account()));
        let person = person.ok_or(Outcome::LoginRequired)?;
        let account = person.account();
        // Checked first, since a changed password ends the session as well.
        if self
            .password_id
            .is_some_and(|id| id != account.password_id())
        {
            return Err(Outcome::WrongPassword);
        }
        if self.session.is_of(account) && person.has_session(self.session.id) {
            Ok(())
        } else {
            Err(Outcome::LoginRequired)
        }
    }
}

/// The refusal of a change whose grounds are gone.
pub(super) fn gone(why: Outcome) -> Refusal {
    let is_logged_out = matches!(why, Outcome::LoginRequired);
    let refusal = Refusal::from(why);
    match is_logged_out {
        true => refusal.then_to("/login?rd=%2Faccount".to_owned()),
        false => refusal,
    }
}
