//! Ending all sessions of an account, or all but the one that asks for it.

use crate::accounts::Account;
use crate::accounts::token::Digest;

impl Account {
    /// Ends all sessions of the account but this one, and all unfinished logins; forgets all
    /// browsers but this one.
    pub fn end_others(&mut self, session: Digest, browser: Option<Digest>) {
        self.end_all_but(Some(session));
        self.forget_other_devices(browser);
    }

    /// Ends all unfinished logins and all sessions of the account, or all but this one.
    pub fn end_all_but(&mut self, session: Option<Digest>) {
        self.generation = self.generation.saturating_add(1);
        self.kept_session = session.map(|session| session.and(self.generation));
    }

    /// Whether this session outlived the others, and nothing has ended all sessions since.
    pub(super) fn keeps(&self, session: Digest) -> bool {
        self.kept_session == Some(session.and(self.generation))
    }
}
