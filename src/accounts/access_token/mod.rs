//! Access tokens: by what a program, which cannot log in, gets into an application on behalf of an
//! account. Each is for some hosts and for some time, and opens nothing of the account itself.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::accounts::kept::Unknown;
use crate::accounts::token::{self, Digest};
use crate::accounts::{Account, Accounts};
use crate::clock::Timestamp;

#[cfg(test)]
mod tests;
mod uses;

pub use uses::Uses;

/// Most tokens of an account that have not expired: one for each program of a busy person.
pub const MAX_TOKENS: usize = 20;

/// Most hosts of a token.
pub const MAX_HOSTS: usize = 20;

/// Longest life of a token, in days.
pub const MAX_DAYS: u64 = 365;

/// How long an expired token is listed, so that its owner sees why a program no longer gets in.
const LISTED: Duration = Duration::from_secs(30 * DAY);

const DAY: u64 = 24 * 3600;

/// How tokens begin, by which people and scanners of published files know them.
const PREFIX: &str = "au_";

/// Letters behind the prefix: 160 bits in base32.
const LETTERS: usize = 32;

/// Whether this looks like one of our tokens, living or not.
pub fn has_shape(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || (b'2'..=b'7').contains(&byte);
    text.strip_prefix(PREFIX)
        .is_some_and(|rest| rest.len() == LETTERS && rest.bytes().all(is_letter))
}

/// An access token as `users.json` keeps it.
#[derive(Clone, Deserialize, Serialize)]
pub struct AccessToken {
    /// By which its owner removes it.
    pub id: String,
    /// The digest of the token, which nobody but its owner has.
    pub hash: Digest,
    /// What its owner calls it.
    pub name: String,
    /// The hosts it is good for, in lower case and without a final dot.
    pub hosts: Vec<String>,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it is good for nothing.
    pub expires: Timestamp,
    /// The hour in which it was last used, as far as that is on the disk; see [`Uses`].
    #[serde(default)]
    pub used: Option<Timestamp>,
    /// What somebody else keeps in the file.
    #[serde(flatten)]
    pub other: Unknown,
}

impl AccessToken {
    /// A token of this secret, which is kept nowhere, for so many days from now.
    pub fn new(secret: &str, name: &str, hosts: Vec<String>, days: u64, now: Timestamp) -> Self {
        Self {
            id: token::short_id(),
            hash: Digest::of(secret),
            name: name.to_owned(),
            hosts,
            created: now,
            expires: now.plus(Duration::from_secs(days * DAY)),
            used: None,
            other: Unknown::default(),
        }
    }

    /// Whether it has not expired.
    pub fn is_living(&self, now: Timestamp) -> bool {
        now < self.expires
    }

    /// Whether it is good for this host, given in lower case and without a final dot.
    pub fn is_for(&self, host: &str) -> bool {
        self.hosts.iter().any(|own| own == host)
    }

    /// When it expired so long ago that nobody wonders any more.
    pub fn goes(&self) -> Timestamp {
        self.expires.plus(LISTED)
    }

    fn is_past(&self, now: Timestamp) -> bool {
        now >= self.goes()
    }
}

/// An account has as many tokens as it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

impl Account {
    /// Its token with this hash.
    pub fn token_of(&self, hash: Digest) -> Option<&AccessToken> {
        self.tokens.iter().find(|token| token.hash == hash)
    }

    /// Its token with this id.
    pub fn token(&self, id: &str) -> Option<&AccessToken> {
        self.tokens.iter().find(|token| token.id == id)
    }

    /// Its tokens that have not expired.
    pub fn living_tokens(&self, now: Timestamp) -> impl Iterator<Item = &AccessToken> {
        self.tokens.iter().filter(move |token| token.is_living(now))
    }

    /// Whether it has room for another token.
    pub fn may_add_token(&self, now: Timestamp) -> bool {
        self.living_tokens(now).count() < MAX_TOKENS
    }

    /// Adds a token.
    ///
    /// # Errors
    ///
    /// [`TooMany`]; then nothing is changed.
    pub fn add_token(&mut self, token: AccessToken, now: Timestamp) -> Result<(), TooMany> {
        if !self.may_add_token(now) {
            return Err(TooMany);
        }
        self.tokens.push(token);
        Ok(())
    }

    /// Removes a token, and gives it back.
    pub fn remove_token(&mut self, id: &str) -> Option<AccessToken> {
        let at = self.tokens.iter().position(|token| token.id == id)?;
        Some(self.tokens.remove(at))
    }
}

impl Accounts {
    /// The account that has a token with this hash.
    pub fn owner_of_token(&self, hash: Digest) -> Option<&Arc<Account>> {
        self.by_name.get(self.owners.of_token(hash)?)
    }

    /// The first token of this account, about to be added, that it has twice, by hash or by id, or
    /// that another has too.
    pub fn taken_token<'a>(&self, account: &'a Account) -> Option<&'a AccessToken> {
        let own = &account.tokens;
        own.iter().enumerate().find_map(|(at, token)| {
            let is_same = |other: &AccessToken| other.hash == token.hash || other.id == token.id;
            let twice = own[..at].iter().any(is_same);
            (twice || self.owner_of_token(token.hash).is_some()).then_some(token)
        })
    }

    /// Those of these uses that are not noted yet, of tokens that are still there.
    pub fn unnoted(&self, uses: &[(Digest, Timestamp)]) -> Vec<(Digest, Timestamp)> {
        let is_new = |(hash, hour): &&(Digest, Timestamp)| {
            let owner = self.owner_of_token(*hash);
            let token = owner.and_then(|owner| owner.token_of(*hash));
            token.is_some_and(|token| token.used.is_none_or(|used| used < *hour))
        };
        uses.iter().filter(is_new).copied().collect()
    }

    /// Notes when tokens were last used.
    pub fn note_uses(&mut self, uses: &[(Digest, Timestamp)]) {
        for (hash, hour) in self.unnoted(uses) {
            let owner = self.owner_of_token(hash);
            let Some(name) = owner.map(|owner| owner.username.clone()) else {
                continue;
            };
            self.change(&name, |account| {
                let token = account.tokens.iter_mut().find(|token| token.hash == hash);
                if let Some(token) = token {
                    token.used = Some(hour);
                }
            });
        }
    }

    /// The names of accounts with tokens that expired long ago.
    pub fn with_past_tokens(&self, now: Timestamp) -> Vec<String> {
        let has_past = |account: &Account| account.tokens.iter().any(|token| token.is_past(now));
        let found = self.iter().filter(|account| has_past(account));
        found.map(|account| account.username.clone()).collect()
    }

    /// Removes the tokens that expired long ago.
    pub fn drop_past_tokens(&mut self, now: Timestamp) {
        for name in self.with_past_tokens(now) {
            self.change(&name, |account| {
                account.tokens.retain(|token| !token.is_past(now));
            });
        }
    }
}
