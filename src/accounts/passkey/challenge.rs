//! Challenges: what an authenticator signs, so that an answer is new. To ask costs no memory: a
//! challenge carries its time and is known again by a code under the key of this process. Only
//! those that were answered well are remembered, until they are too old. A restart makes a new key,
//! and all that were asked before are unknown.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use subtle::ConstantTimeEq as _;

use super::{Refused, base64url, ensure};
use crate::accounts::token::{self, Digest, DigestKey};

/// How long a challenge may be answered.
pub const LIFETIME: Duration = Duration::from_secs(5 * 60);

/// What a challenge is for: an answer to one page is none to another.
#[derive(Clone, Copy)]
pub enum Purpose {
    /// A login by passkey alone.
    Alone,
    /// The second step of the login with this digest.
    AfterPassword(Digest),
    /// A new passkey, asked for in the session with this digest.
    Making(Digest),
}

/// When it was asked, in milliseconds of the steady clock; 8 random bytes; 16 bytes of HMAC-SHA-256
/// over both and the purpose. In the order of time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Challenge([u8; 32]);

/// What asks and knows again what it asked.
#[derive(Default)]
pub struct Challenges {
    key: DigestKey,
    answered: Mutex<Answered>,
}

#[derive(Default)]
struct Answered {
    /// Those that were answered, or are being, as far back as `since`.
    challenges: BTreeSet<Challenge>,
    /// Whatever was asked before this is forgotten, and not taken.
    since: u64,
}

impl Challenges {
    /// A new challenge, as options have it.
    pub fn ask(&self, purpose: Purpose, now: Duration) -> String {
        let (asked, random) = (millis(now).to_be_bytes(), token::random());
        base64url::encode(self.challenge(purpose, asked, random).0)
    }

    /// What judges the challenge of an answer: whether it was asked for this, by this process, and
    /// not too long ago. It may have been answered: [`Challenges::hold`] says so.
    pub fn asked(
        &self,
        purpose: Purpose,
        now: Duration,
    ) -> impl FnOnce(&[u8]) -> Result<Challenge, Refused> {
        move |said| {
            let said: &[u8; 32] = said.try_into().map_err(|_| Refused::Challenge)?;
            let [asked, random] = [0, 8].map(|at| {
                let mut part = [0; 8];
                part.copy_from_slice(&said[at..at + 8]);
                part
            });
            let challenge = self.challenge(purpose, asked, random);
            ensure(challenge.0.ct_eq(said).into(), Refused::Challenge)?;
            ensure(challenge.asked() >= oldest(now), Refused::Expired)?;
            Ok(challenge)
        }
    }

    /// Keeps others from using this challenge. `None` if it was used up, or another holds it.
    pub fn hold(&self, challenge: Challenge, now: Duration) -> Option<Held<'_>> {
        let mut answered = self.answered();
        answered.forget(oldest(now));
        let is_new = challenge.asked() >= answered.since && answered.challenges.insert(challenge);
        // Not made in vain: dropped, it would give back what another holds.
        is_new.then(|| Held {
            challenges: self,
            challenge,
            is_used_up: false,
        })
    }

    #[expect(clippy::expect_used, reason = "a SHA-256 is 32 bytes")]
    fn challenge(&self, purpose: Purpose, asked: [u8; 8], random: [u8; 8]) -> Challenge {
        let (purpose, of) = match &purpose {
            Purpose::Alone => ("alone", &[][..]),
            Purpose::AfterPassword(login) => ("login", login.bytes()),
            Purpose::Making(session) => ("making", session.bytes()),
        };
        let code = self.key.digest([purpose.as_bytes(), of, &asked, &random]);
        let code = code.bytes().first_chunk::<16>().expect("it is longer");
        let mut challenge = [0; 32];
        challenge[..8].copy_from_slice(&asked);
        challenge[8..16].copy_from_slice(&random);
        challenge[16..].copy_from_slice(code);
        Challenge(challenge)
    }

    /// How many are remembered.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.answered().challenges.len()
    }

    fn answered(&self) -> MutexGuard<'_, Answered> {
        self.answered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Challenge {
    fn asked(&self) -> u64 {
        let mut asked = [0; 8];
        asked.copy_from_slice(&self.0[..8]);
        u64::from_be_bytes(asked)
    }
}

impl Answered {
    /// Forgets those that are too old to be answered again. Two requests may come in the order in
    /// which they did not begin, so `since` never goes back.
    fn forget(&mut self, oldest: u64) {
        if oldest > self.since {
            self.since = oldest;
            let mut first = [0; 32];
            first[..8].copy_from_slice(&oldest.to_be_bytes());
            self.challenges = self.challenges.split_off(&Challenge(first));
        }
    }
}

fn millis(since_epoch: Duration) -> u64 {
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}

fn oldest(now: Duration) -> u64 {
    millis(now.saturating_sub(LIFETIME))
}

/// A challenge whose answer is being taken. If it is not, the challenge may be answered again.
#[must_use = "dropped at once, it holds nothing"]
pub struct Held<'a> {
    challenges: &'a Challenges,
    challenge: Challenge,
    is_used_up: bool,
}

impl Held<'_> {
    /// The answer was taken: nobody can give it again.
    pub fn use_up(mut self) {
        self.is_used_up = true;
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if !self.is_used_up {
            self.challenges
                .answered()
                .challenges
                .remove(&self.challenge);
        }
    }
}
