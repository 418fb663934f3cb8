//! The counts of wrong codes, which are kept with the account: a restart does not forgive them.

use std::time::Duration;

use crate::accounts::WrongCodes;

use super::limits::{CODES, CODES_LAST, CODES_TOLD};

impl WrongCodes {
    /// How long the next code still has to wait. A browser's count has the same limit.
    pub fn wait(&self, now: Duration) -> Option<Duration> {
        CODES.left(self.count, self.last, now)
    }

    /// Counts a wrong code.
    pub fn add(&mut self, now: Duration) {
        self.count = self.count.saturating_add(1);
        self.last = now;
    }

    /// Whether the code just added is the one at which the owner is told. That happens once, until
    /// a login clears the count.
    pub fn is_to_be_told(&self) -> bool {
        self.count == CODES_TOLD
    }

    /// Whether no further code is looked at, however long somebody waits.
    pub fn is_at_the_end(&self) -> bool {
        self.count >= CODES_LAST
    }
}
