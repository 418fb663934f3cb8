//! When tokens were last used: known at once, saved later, since a request must not cost a save.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::AccessToken;
use crate::accounts::token::Digest;
use crate::clock::Timestamp;

/// Seconds to which a use is noted, so that no token costs more than one save in that time.
const HOUR: u64 = 3600;

/// The uses that are not on the disk yet: at most one for each token that there is.
#[derive(Default)]
pub struct Uses {
    unsaved: Mutex<HashMap<Digest, Timestamp>>,
}

impl Uses {
    /// Notes that a good token was used.
    pub fn note(&self, token: &AccessToken, now: Timestamp) {
        let hour = Timestamp(now.0 - now.0 % HOUR);
        if token.used.is_none_or(|used| used < hour) {
            let mut unsaved = self.lock();
            let noted = unsaved.entry(token.hash).or_insert(hour);
            *noted = hour.max(*noted);
        }
    }

    /// The hour in which a token was last used.
    pub fn of(&self, token: &AccessToken) -> Option<Timestamp> {
        token.used.max(self.lock().get(&token.hash).copied())
    }

    /// What is not on the disk yet.
    pub fn unsaved(&self) -> Vec<(Digest, Timestamp)> {
        let unsaved = self.lock();
        unsaved.iter().map(|(hash, hour)| (*hash, *hour)).collect()
    }

    /// Forgets what is on the disk now, unless the token was used in a later hour meanwhile.
    pub fn saved(&self, uses: &[(Digest, Timestamp)]) {
        let mut unsaved = self.lock();
        for (hash, hour) in uses {
            if unsaved.get(hash) == Some(hour) {
                unsaved.remove(hash);
            }
        }
    }

    /// Each change is complete in itself, so a panic cannot leave one half done.
    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Timestamp>> {
        self.unsaved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
