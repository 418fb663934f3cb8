//! Challenges: what an authenticator signs, so that an answer is new. To ask costs no memory: a
//! challenge carries its time and is known again by a code under a key that outlives the process.
//! Only those that were answered well are remembered, until they are too old: by the store, or by
//! [`Answered`] for as long as a process runs. Who remembers no longer than that takes no challenge
//! of an earlier one, whatever the clocks say: each carries by which process it was asked.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use subtle::ConstantTimeEq as _;

use super::{Refused, base64url, ensure};
use crate::accounts::token::{self, Digest, DigestKey};

/// How long a challenge may be answered.
pub const LIFETIME: Duration = Duration::from_secs(5 * 60);

/// The last moment that a challenge can carry, in milliseconds since 1970: in the year 10889.
const LAST: u64 = (1 << 48) - 1;

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

/// When it was asked, in milliseconds since 1970, in 6 bytes; 4 bytes of the process that asked; 6
/// random ones; 16 of HMAC-SHA-256 over all that and the purpose. In the order of time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Challenge([u8; 32]);

/// The first half of a challenge, which the other half proves.
type Said = [u8; 16];

/// What asks and knows again what it asked.
///
/// No `Debug`: it has the key.
pub struct Challenges {
    key: Arc<DigestKey>,
    /// Of this process.
    by: [u8; 4],
    is_alone: bool,
}

impl Challenges {
    /// Takes what was asked under this key by this process, and by no other.
    pub fn of_process(key: Arc<DigestKey>) -> Self {
        Self {
            key,
            by: token::random(),
            is_alone: true,
        }
    }

    /// Takes what was asked under this key by anybody.
    pub fn of_all(key: Arc<DigestKey>) -> Self {
        Self {
            is_alone: false,
            ..Self::of_process(key)
        }
    }

    /// A new challenge, as options have it.
    pub fn ask(&self, purpose: Purpose, now: Duration) -> String {
        let mut said = [0; 16];
        said[..6].copy_from_slice(&millis(now).min(LAST).to_be_bytes()[2..]);
        said[6..10].copy_from_slice(&self.by);
        said[10..].copy_from_slice(&token::random::<6>());
        base64url::encode(self.challenge(purpose, said).0)
    }

    /// What judges the challenge of an answer: whether it was asked for this, by one of those it may
    /// be asked by, and not too long ago. It may have been answered: whoever remembers says so.
    pub fn asked(
        &self,
        purpose: Purpose,
        now: Duration,
    ) -> impl FnOnce(&[u8]) -> Result<Challenge, Refused> {
        move |said| {
            let said: &[u8; 32] = said.try_into().map_err(|_| Refused::Challenge)?;
            let mut first = [0; 16];
            first.copy_from_slice(&said[..16]);
            let challenge = self.challenge(purpose, first);
            ensure(challenge.0.ct_eq(said).into(), Refused::Challenge)?;
            let is_of_this = first[6..10] == self.by;
            ensure(is_of_this || !self.is_alone, Refused::Expired)?;
            // One of a clock that was ahead would last until that time, and as long again.
            let latest = millis(now.saturating_add(LIFETIME));
            let is_of_now = (oldest(now)..=latest).contains(&challenge.asked());
            ensure(is_of_now, Refused::Expired)?;
            Ok(challenge)
        }
    }

    #[expect(clippy::expect_used, reason = "a SHA-256 is 32 bytes")]
    fn challenge(&self, purpose: Purpose, said: Said) -> Challenge {
        let (purpose, of) = match &purpose {
            Purpose::Alone => ("alone", &[][..]),
            Purpose::AfterPassword(login) => ("login", login.bytes()),
            Purpose::Making(session) => ("making", session.bytes()),
        };
        let code = self.key.digest([purpose.as_bytes(), of, &said]);
        let code = code.bytes().first_chunk::<16>().expect("it is longer");
        let mut challenge = [0; 32];
        challenge[..16].copy_from_slice(&said);
        challenge[16..].copy_from_slice(code);
        Challenge(challenge)
    }
}

impl Challenge {
    /// When it was asked, in milliseconds since 1970.
    pub fn asked(&self) -> u64 {
        let mut asked = [0; 8];
        asked[2..].copy_from_slice(&self.0[..6]);
        u64::from_be_bytes(asked)
    }

    /// All of it.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The challenges that were answered, or are being, while the process runs.
#[derive(Default)]
pub struct Answered(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// As far back as `since`.
    challenges: BTreeSet<Challenge>,
    /// Whatever was asked before this is forgotten, and not taken.
    since: u64,
}

impl Answered {
    /// Keeps others from using this challenge until it is let go.
    ///
    /// # Errors
    ///
    /// If it was used up, or another holds it, or it is forgotten.
    pub fn hold(&self, challenge: Challenge, now: Duration) -> Result<(), Refused> {
        let mut known = self.known();
        known.forget(oldest(now));
        ensure(challenge.asked() >= known.since, Refused::Expired)?;
        ensure(known.challenges.insert(challenge), Refused::Challenge)
    }

    /// The answer of who held it was not taken: it may be answered again.
    pub fn let_go(&self, challenge: &Challenge) {
        self.known().challenges.remove(challenge);
    }

    /// How many are remembered.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.known().challenges.len()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Forgets those that are too old to be answered again. Two requests may come in the order in
    /// which they did not begin, so `since` never goes back.
    fn forget(&mut self, oldest: u64) {
        if oldest > self.since {
            self.since = oldest;
            self.challenges
                .retain(|challenge| challenge.asked() >= oldest);
        }
    }
}

/// Time since 1970 in milliseconds.
pub fn millis(since_epoch: Duration) -> u64 {
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}

fn oldest(now: Duration) -> u64 {
    millis(now.saturating_sub(LIFETIME)).min(LAST)
}
