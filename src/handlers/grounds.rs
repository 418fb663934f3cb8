//! What a change of one's own account rests on, looked at again in the moment of its save.
//!
//! Between the first look and the save passwords are hashed and others change things: the owner
//! from another browser, an operator by hand. What was allowed then may not be now.

use std::sync::Arc;

use crate::accounts::Account;
use crate::accounts::login::Authenticated;
use crate::accounts::session::Session;
use crate::accounts::token::Digest;
use crate::handlers::{App, LoggedIn};
use crate::reply::{Outcome, Refusal};
use crate::store::LiveSessions;

/// The session that asks, its account, and the password that was right.
pub(super) struct Grounds {
    session: Arc<Session>,
    sessions: LiveSessions,
    account: Arc<Account>,
    password_id: Option<Digest>,
}

impl Grounds {
    /// That one is logged in.
    pub(super) fn session(app: &App, me: &LoggedIn) -> Self {
        Self {
            session: Arc::clone(&me.session),
            sessions: app.store.live_sessions(),
            account: Arc::clone(&me.account),
            password_id: None,
        }
    }

    /// That one is logged in and knows the password.
    pub(super) fn password(app: &App, me: &LoggedIn, proof: &Authenticated) -> Self {
        Self {
            password_id: Some(proof.password_id),
            ..Self::session(app, me)
        }
    }

    /// Whether they hold for the account as it is now, if there is one.
    ///
    /// # Errors
    ///
    /// [`Outcome::LoginRequired`] or [`Outcome::WrongPassword`].
    pub(super) fn hold(&self, account: Option<&Account>) -> Result<(), Outcome> {
        let is_same = |account: &&Account| {
            account.created.at() == self.account.created.at() && !account.disabled
        };
        let account = account.filter(is_same).ok_or(Outcome::LoginRequired)?;
        // First, since another password ends the session as well.
        if self
            .password_id
            .is_some_and(|id| id != account.password.id())
        {
            return Err(Outcome::WrongPassword);
        }
        if self.session.is_of(account) && self.sessions.has(self.session.id) {
            Ok(())
        } else {
            Err(Outcome::LoginRequired)
        }
    }
}

/// The refusal of a change that had grounds and has none any more.
pub(super) fn gone(why: Outcome) -> Refusal {
    let is_logged_out = matches!(why, Outcome::LoginRequired);
    let refusal = Refusal::from(why);
    match is_logged_out {
        true => refusal.then_to("/login?rd=%2Faccount".to_owned()),
        false => refusal,
    }
}

/// Takes out of `sessions.json` what the save of an account has ended. They count no more, whether
/// that can be saved or not.
pub(super) fn sweep(app: &App, before: &Arc<Account>) {
    let after = app.store.resolve(&before.username);
    let before = Arc::clone(before);
    // If this cannot be saved, the store has logged it.
    let _ = app.store.update_sessions(move |sessions| {
        sessions.retain(|session| {
            let is_live = after.as_ref().is_some_and(|after| session.is_of(after));
            is_live || !session.is_of(&before)
        })
    });
}
