//! A passkey as `users.json` keeps it.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use subtle::ConstantTimeEq as _;

use super::key::PublicKey;
use super::making::Made;
use super::{MAX_ID, RelyingParty, base64url};
use crate::accounts::kept::Unknown;
use crate::accounts::token;
use crate::clock::Timestamp;

/// Most bytes of what a browser says about the ways to an authenticator; it knows seven words.
const MAX_TRANSPORTS: usize = 256;

/// The id that an authenticator gives a passkey.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CredentialId(Arc<[u8]>);

impl CredentialId {
    /// `None` if these bytes cannot be one: none, or too many (Level 3, 7.1, 25).
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let fits = (1..=MAX_ID).contains(&bytes.len());
        fits.then(|| Self(bytes.into()))
    }

    /// Reads what [`CredentialId::text`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        Self::new(&base64url::decode(text, MAX_ID)?)
    }

    /// The id as text, for lists.
    pub fn text(&self) -> String {
        base64url::encode(&self.0)
    }
}

impl Serialize for CredentialId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        base64url::serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for CredentialId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        base64url::deserialize(deserializer, "the id of a passkey", |bytes| {
            Self::new(&bytes)
        })
    }
}

/// By what an account's passkeys know whose they are; it says nothing about that person (Level 3,
/// 14.6.1).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Handle([u8; 32]);

impl Handle {
    /// A new one.
    pub(super) fn new() -> Self {
        Self(token::random())
    }

    /// Whether this is what an authenticator said.
    pub(super) fn is(&self, said: &[u8]) -> bool {
        self.0.ct_eq(said).into()
    }
}

impl Serialize for Handle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        base64url::serialize(self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Handle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        base64url::deserialize(deserializer, "a handle of 32 bytes", |bytes| {
            bytes.try_into().ok().map(Self)
        })
    }
}

/// A passkey that is kept (the credential record of Level 3, 4).
#[derive(Clone, Deserialize, Serialize)]
pub struct Passkey {
    /// What the authenticator calls it.
    pub id: CredentialId,
    /// What checks its signatures.
    pub key: PublicKey,
    /// What its owner calls it.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// When its owner last logged in with it.
    #[serde(default)]
    pub used: Option<Timestamp>,
    /// The highest signature counter that was seen.
    pub count: u32,
    /// Whether its authenticator has ever checked who was there.
    pub verified: bool,
    /// Whether its key may be copied to the owner's other devices; it never changes.
    pub synced: bool,
    /// The ways to its authenticator, for the next time it is asked for.
    #[serde(default)]
    pub transports: Vec<String>,
    /// The host it was made for; it is good for no other.
    pub rp: String,
    /// When its owner was last told that there may be two of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copied: Option<Timestamp>,
    /// What somebody else keeps in the file.
    #[serde(flatten)]
    pub other: Unknown,
}

/// How often an owner is told of one passkey: whoever has the copy may try it all day.
const TOLD_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

impl Passkey {
    /// Whether its owner is to be told now that there may be two of it. A time from the future was
    /// noted while the clock was wrong.
    pub fn is_copy_news(&self, now: Timestamp) -> bool {
        let of_late = |told: Timestamp| told <= now && now.since(told) < TOLD_EVERY;
        !self.copied.is_some_and(of_late)
    }

    /// A passkey that was made just now, with the name that its owner gave it.
    pub fn new<C>(
        made: &Made<C>,
        party: &RelyingParty,
        name: &str,
        transports: Vec<String>,
        now: Timestamp,
    ) -> Self {
        Self {
            id: made.id.clone(),
            key: made.key.clone(),
            name: name.to_owned(),
            created: now,
            used: None,
            count: made.count,
            verified: made.verified,
            synced: made.synced,
            transports,
            rp: party.id().to_owned(),
            copied: None,
            other: Unknown::default(),
        }
    }
}

/// The ways to an authenticator as a browser says them: words with blanks between. `None` if this
/// is something else. Words that nobody knows yet are kept (Level 3, 5.8.4).
pub fn transports(text: &str) -> Option<Vec<String>> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b' ';
    let is_list = text.len() <= MAX_TRANSPORTS && text.bytes().all(plain);
    is_list.then(|| text.split_ascii_whitespace().map(str::to_owned).collect())
}
