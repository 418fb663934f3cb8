//! Ending all sessions of an account but the one that asks for it.

use crate::accounts::Account;
use crate::accounts::token::Digest;

impl Account {
    /// Ends all sessions of the account but this one, and all unfinished logins; forgets all
    /// browsers but this one.
    pub fn end_others(&mut self, session: Digest, browser: Option<Digest>) {
        self.generation = self.generation.saturating_add(1);
        self.kept_session = Some(session.and(self.generation));
        self.forget_other_devices(browser);
    }

    /// Whether this session outlived the others, and nothing has ended all sessions since.
    pub(super) fn keeps(&self, session: Digest) -> bool {
        self.kept_session == Some(session.and(self.generation))
    }
}
