//! Challenges of passkeys: the key by which they are known again after a restart, which is kept
//! before anything is asked under it, and which of them were answered.
//!
//! Files have the key, and a process remembers what was answered, so it takes what it has asked
//! itself alone. A database has both for all nodes.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::accounts::passkey::{Answered, Challenge, Challenges, Purpose, Refused};
use crate::accounts::token;
use crate::store::error::{NotSaved, Unavailable};
use crate::store::{Kept, Store};

/// How long a key that could not be kept is not tried again: until then passkeys are not offered.
const REST: Duration = Duration::from_secs(1);

/// What a store asks with.
#[derive(Default)]
pub(super) struct Asking {
    challenges: OnceLock<Challenges>,
    /// When a key could not be kept, and why. Held while one is.
    failed: Mutex<Option<(Instant, NotSaved)>>,
    /// Unused with a database.
    answered: Answered,
}

impl Store {
    /// A new challenge, as options have it.
    ///
    /// # Errors
    ///
    /// If the key that it would be known again by cannot be kept.
    pub fn ask_challenge(&self, purpose: Purpose, now: Duration) -> Result<String, NotSaved> {
        Ok(self.challenges()?.ask(purpose, self.moment(now)))
    }

    /// As [`Challenges::asked`]. It may have been answered: [`Store::hold_challenge`] says so.
    pub fn asked_challenge(
        &self,
        purpose: Purpose,
        now: Duration,
    ) -> impl FnOnce(&[u8]) -> Result<Challenge, Refused> {
        let (challenges, now) = (self.challenges(), self.moment(now));
        // Without a key nothing was asked.
        move |said| match challenges {
            Ok(challenges) => challenges.asked(purpose, now)(said),
            Err(_) => Err(Refused::Challenge),
        }
    }

    /// Keeps others from using this challenge, here and on all nodes.
    ///
    /// # Errors
    ///
    /// If nobody can say now whether it was used; the inner error, if it was, or another holds it.
    pub fn hold_challenge(
        &self,
        challenge: Challenge,
        now: Duration,
    ) -> Result<Result<HeldChallenge<'_>, Refused>, Unavailable> {
        let holder = token::random();
        let held = match &self.kept {
            Kept::Files(_) => self.asking.answered.hold(challenge, now),
            #[cfg(feature = "postgres")]
            Kept::Database(database) => database.hold_challenge(&challenge, &holder)?,
            #[cfg(test)]
            Kept::Memory(memory) => {
                memory.read()?;
                self.asking.answered.hold(challenge, now)
            }
        };
        Ok(held.map(|()| HeldChallenge {
            store: self,
            challenge,
            holder,
            is_used_up: false,
        }))
    }

    #[cfg_attr(
        not(feature = "postgres"),
        expect(unused_variables, reason = "files have one process that holds")
    )]
    fn let_go(&self, challenge: &Challenge, holder: &Holder) {
        match &self.kept {
            #[cfg(feature = "postgres")]
            Kept::Database(database) => database.let_go_of_challenge(challenge, holder),
            _ => self.asking.answered.let_go(challenge),
        }
    }

    fn challenges(&self) -> Result<&Challenges, NotSaved> {
        let challenges = &self.asking.challenges;
        if let Some(challenges) = challenges.get() {
            return Ok(challenges);
        }
        let failed = &self.asking.failed;
        let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, why)) = failed.as_ref()
            && at.elapsed() < REST
        {
            return Err(why.clone());
        }
        match self.kept_challenges() {
            Ok(kept) => Ok(challenges.get_or_init(|| kept)),
            Err(why) => {
                *failed = Some((Instant::now(), why.clone()));
                Err(why)
            }
        }
    }

    fn kept_challenges(&self) -> Result<Challenges, NotSaved> {
        Ok(match &self.kept {
            Kept::Files(files) => Challenges::of_process(files.challenge_key()?),
            #[cfg(feature = "postgres")]
            Kept::Database(database) => Challenges::of_all(database.challenge_key().clone()),
            #[cfg(test)]
            Kept::Memory(memory) => {
                let fresh = Default::default();
                let key = memory.update(|draft| draft.keep_challenge_key(&fresh))?;
                Challenges::of_process(key)
            }
        })
    }

    /// The moment by which challenges are judged.
    fn moment(&self, now: Duration) -> Duration {
        match &self.kept {
            #[cfg(feature = "postgres")]
            Kept::Database(database) => database.moment_of_challenges(now),
            _ => now,
        }
    }
}

/// Who holds a challenge.
pub(super) type Holder = [u8; 16];

/// A challenge whose answer is being taken. If it is not, the challenge may be answered again.
#[must_use = "dropped at once, it holds nothing"]
pub struct HeldChallenge<'a> {
    store: &'a Store,
    challenge: Challenge,
    holder: Holder,
    is_used_up: bool,
}

impl HeldChallenge<'_> {
    /// The answer was taken: nobody can give it again.
    pub fn use_up(mut self) {
        self.is_used_up = true;
    }
}

impl Drop for HeldChallenge<'_> {
    fn drop(&mut self) {
        if !self.is_used_up {
            self.store.let_go(&self.challenge, &self.holder);
        }
    }
}
