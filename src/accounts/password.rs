//! Passwords: which may be chosen, and the hash that proves one.
//!
//! PBKDF2-HMAC-SHA256 in PHC strings, `$pbkdf2-sha256$i=600000,l=32$SALT$HASH`. One check costs
//! some 50 ms of a core; `gate` decides where and when. Hashes that other programs have made are
//! `foreign`.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use pbkdf2_lanes::Computation;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use subtle::ConstantTimeEq as _;
use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

use crate::accounts::names;
use crate::accounts::token::{self, Digest};

mod foreign;

use foreign::Foreign;

/// Rounds of a new hash (OWASP Password Storage Cheat Sheet).
pub const ROUNDS: u32 = 600_000;

/// Bytes of the output of a new hash: as many as one computation gives.
const LENGTH: usize = 32;

/// Most rounds a hash from the file may ask for: about a second of work; more is a typing error.
pub const MAX_ROUNDS: u32 = 10_000_000;

/// Shortest password, in characters; enough because a second factor is compulsory (NIST SP
/// 800-63B-4, section 3.1.1.2).
pub const MIN_LENGTH: usize = 8;

/// Longest password, in characters of its normalised form.
pub const MAX_LENGTH: usize = 256;

/// Longest password as it may be sent, in characters: each has four parts at most (UAX #15, table
/// 4).
pub const MAX_SENT: usize = 4 * MAX_LENGTH;

/// The most common passwords of at least eight characters, in lower case, sorted.
const COMMON: &str = include_str!("common_passwords.txt");

/// A password as somebody sent it, in Unicode normalisation form C, so that it is the same from
/// every keyboard. Never trimmed or cut.
#[derive(Clone)]
pub struct Password {
    normal: Zeroizing<String>,
    /// As it was sent, if that differs. Other programs did not normalise.
    typed: Option<Zeroizing<String>>,
}

impl Password {
    /// Normalises what was sent.
    pub fn new(sent: &str) -> Self {
        // At most three times as long (UAX #15, table 4): growing would leave pieces behind.
        let mut normal = Zeroizing::new(String::with_capacity(3 * sent.len()));
        normal.extend(sent.nfc());
        let typed = (*normal != sent).then(|| Zeroizing::new(sent.to_owned()));
        Self { normal, typed }
    }

    /// Its length, in characters.
    pub fn length(&self) -> usize {
        self.normal.chars().count()
    }

    /// The normalised text.
    pub fn as_str(&self) -> &str {
        &self.normal
    }

    /// The text as it was sent.
    fn as_typed(&self) -> &str {
        self.typed.as_ref().unwrap_or(&self.normal)
    }

    /// Whether it is on the list of common passwords, or is the account's own name or address.
    pub fn is_easy_to_guess(&self, username: &str, email: Option<&str>) -> bool {
        let lower = Zeroizing::new(self.normal.to_lowercase());
        COMMON.lines().any(|common| common == lower.as_str())
            || [Some(username), email]
                .iter()
                .flatten()
                .any(|own| names::key(own) == names::key(&self.normal))
    }
}

/// What proves a password: a hash of ours, or one that another program has made.
///
/// No `Debug`: it is what a thief would want.
#[derive(Clone)]
pub struct PasswordHash(Kind);

#[derive(Clone)]
enum Kind {
    Ours(Own),
    Foreign(Arc<Foreign>),
}

/// A salted PBKDF2-HMAC-SHA256 hash with its parameters.
#[derive(Clone)]
struct Own {
    rounds: u32,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl PasswordHash {
    /// Hashes with a fresh salt, here and now; costs one password check.
    pub fn new(password: &Password) -> Self {
        let salt = fresh_salt();
        Self::of(salt, &derive(&[Work::hashing(password, salt)])[0])
    }

    /// The hash whose key [`Work::hashing`] with this salt has given.
    pub fn of(salt: Salt, key: &Key) -> Self {
        Self(Kind::Ours(Own {
            rounds: ROUNDS,
            salt: salt.to_vec(),
            hash: key.to_vec(),
        }))
    }

    /// Whether [`Work::checking`] this hash has given this key, in constant time. Only the first 32
    /// bytes of a longer hash count: they are the same as in a hash of 32 (RFC 8018, section 5.2),
    /// and each further 32 would cost all rounds again.
    pub fn is_of(&self, key: &Key) -> bool {
        match &self.0 {
            Kind::Ours(own) => {
                let length = own.hash.len().min(LENGTH);
                own.hash[..length].ct_eq(&key[..length]).into()
            }
            Kind::Foreign(foreign) => is_same(key, &foreign.key()),
        }
    }

    /// An id that differs from that of any other hash, by the salt: it says under which password a
    /// session or a login began.
    pub fn id(&self) -> Digest {
        Digest::of(&self.text())
    }

    /// As it stands in the file.
    fn text(&self) -> Cow<'_, str> {
        match &self.0 {
            Kind::Ours(own) => own.phc().into(),
            Kind::Foreign(foreign) => foreign.text().into(),
        }
    }

    /// Whether a new hash would be another program's no longer, or have more rounds, or another
    /// length: a longer one costs a whole computation for each 32 bytes and protects no better.
    pub fn is_weak(&self) -> bool {
        match &self.0 {
            Kind::Ours(own) => own.rounds < ROUNDS || own.hash.len() != LENGTH,
            Kind::Foreign(_) => true,
        }
    }

    /// Whether another program has made it.
    pub fn is_foreign(&self) -> bool {
        matches!(self.0, Kind::Foreign(_))
    }

    /// Reads a PHC string of ours, or a hash that another program has made.
    ///
    /// # Errors
    ///
    /// A sentence for the operator, if it is of a kind that is not taken, asks for more work than
    /// anybody waits for, or is broken.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        match text.starts_with("$pbkdf2-sha256$i=") || text.starts_with("$pbkdf2-sha256$l=") {
            true => Own::parse(text).map(Kind::Ours),
            false => Foreign::parse(text).map(|foreign| Kind::Foreign(Arc::new(foreign))),
        }
        .map(Self)
    }
}

/// Two hashes are the same if they stand in the file as the same text.
impl PartialEq for PasswordHash {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

/// Compares keys in constant time.
fn is_same(one: &Key, other: &Key) -> bool {
    one.ct_eq(&**other).into()
}

impl Own {
    fn phc(&self) -> String {
        let (rounds, length) = (self.rounds, self.hash.len());
        let mut text = format!("$pbkdf2-sha256$i={rounds},l={length}$");
        STANDARD_NO_PAD.encode_string(&self.salt, &mut text);
        text.push('$');
        STANDARD_NO_PAD.encode_string(&self.hash, &mut text);
        text
    }

    /// Reads a PHC string.
    ///
    /// # Errors
    ///
    /// A sentence for the operator, if the scheme is another one, the rounds are outside 1 to
    /// 10,000,000, the salt is not 1 to 64 bytes or the hash not 16 to 64 bytes in base64 without
    /// padding, or the stated length is not the hash's.
    fn parse(text: &str) -> Result<Self, &'static str> {
        let mut parts = text.split('$');
        let (Some(""), Some("pbkdf2-sha256"), Some(parameters), Some(salt), Some(hash), None) = (
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
        ) else {
            return Err("password is not of the form $pbkdf2-sha256$i=…,l=32$salt$hash");
        };
        let (mut rounds, mut length) = (None, None);
        for parameter in parameters.split(',') {
            match parameter.split_once('=') {
                Some(("i", value)) if rounds.is_none() => rounds = value.parse::<u32>().ok(),
                Some(("l", value)) if length.is_none() => length = value.parse::<usize>().ok(),
                _ => return Err("password has a parameter other than i and l"),
            }
        }
        let rounds = rounds
            .filter(|rounds| (1..=MAX_ROUNDS).contains(rounds))
            .ok_or("password has a round count outside 1 to 10,000,000")?;
        let salt = STANDARD_NO_PAD
            .decode(salt)
            .ok()
            .filter(|salt| (1..=64).contains(&salt.len()))
            .ok_or("password has a salt that is not 1 to 64 bytes in base64 without padding")?;
        let hash = STANDARD_NO_PAD
            .decode(hash)
            .ok()
            .filter(|hash| (16..=64).contains(&hash.len()))
            .filter(|hash| length.is_none_or(|length| length == hash.len()))
            .ok_or("password has a hash that is not of the stated length in base64")?;
        Ok(Self { rounds, salt, hash })
    }
}

/// Bytes that make the hashes of one password differ.
pub type Salt = [u8; 16];

/// A random salt.
pub fn fresh_salt() -> Salt {
    token::random()
}

/// What a computation gives, 32 bytes.
pub type Key = Zeroizing<[u8; LENGTH]>;

/// How many computations a thread best does at once.
pub const LANES: usize = pbkdf2_lanes::LANES;

/// All that a hash is computed from, so that it can be computed elsewhere.
///
/// No `Debug`: it holds the password.
pub struct Work {
    password: Password,
    what: What,
}

enum What {
    /// Ours, or what is computed for nobody.
    Ours {
        salt: Vec<u8>,
        rounds: u32,
    },
    Foreign(Arc<Foreign>),
}

impl Work {
    /// Checks a password against a hash, or against none for an account that does not exist.
    ///
    /// Both take at least [`ROUNDS`] rounds: those that the hash does not need are done for
    /// nothing, so that time tells a stranger neither who exists nor whose hash is old. What a hash
    /// of another program lacks in time is for the caller to fill up, with [`spend`].
    pub fn checking(hash: Option<&PasswordHash>, password: &Password) -> Self {
        let what = match hash.map(|hash| &hash.0) {
            Some(Kind::Ours(own)) => What::Ours {
                salt: own.salt.clone(),
                rounds: own.rounds,
            },
            Some(Kind::Foreign(foreign)) => What::Foreign(Arc::clone(foreign)),
            None => What::Ours {
                salt: vec![0; 16],
                rounds: ROUNDS,
            },
        };
        let password = password.clone();
        Self { password, what }
    }

    /// Makes a new hash.
    pub fn hashing(password: &Password, salt: Salt) -> Self {
        let what = What::Ours {
            salt: salt.to_vec(),
            rounds: ROUNDS,
        };
        let password = password.clone();
        Self { password, what }
    }

    /// How many rounds it takes, from [`ROUNDS`] up: [`MAX_ROUNDS`] at most if it is ours. Another
    /// program's is about as long as so many, of which a thread does [`LANES`] in the same time.
    pub fn rounds(&self) -> u32 {
        match &self.what {
            What::Ours { rounds, .. } => (*rounds).max(ROUNDS),
            What::Foreign(foreign) => {
                let cost = foreign.cost(&self.password).max(ROUNDS.into());
                u32::try_from(cost.saturating_mul(LANES as u64)).unwrap_or(u32::MAX)
            }
        }
    }

    /// Whether it is computed by itself: the kinds of other programs are not made for lanes.
    pub fn is_alone(&self) -> bool {
        matches!(self.what, What::Foreign(_))
    }

    /// How much memory it takes, if that is worth a word, in bytes.
    pub fn memory(&self) -> usize {
        match &self.what {
            What::Ours { .. } => 0,
            What::Foreign(foreign) => foreign.memory(),
        }
    }
}

/// Computes several keys, those of ours at once, in the time of the one that takes longest; gives
/// them in order.
pub fn derive(works: &[Work]) -> Vec<Key> {
    let ours = |work: &Work| !work.is_alone();
    if !works.iter().all(ours) {
        return works.iter().map(derive_one).collect();
    }
    let computations: Vec<Computation> = works.iter().filter_map(computation).collect();
    pbkdf2_lanes::derive(&computations, ROUNDS)
}

fn derive_one(work: &Work) -> Key {
    match &work.what {
        What::Foreign(foreign) => foreign.try_password(&work.password),
        What::Ours { .. } => {
            let computation = computation(work);
            let keys = pbkdf2_lanes::derive(computation.as_slice(), ROUNDS);
            keys.into_iter().next().unwrap_or_default()
        }
    }
}

fn computation(work: &Work) -> Option<Computation<'_>> {
    match &work.what {
        What::Ours { salt, rounds } => Some(Computation {
            password: work.password.as_str().as_bytes(),
            salt,
            rounds: *rounds,
        }),
        What::Foreign(_) => None,
    }
}

/// Computes so many rounds of one hash for nothing.
pub fn spend(rounds: u32) {
    let computation = Computation {
        password: b"",
        salt: b"",
        rounds,
    };
    std::hint::black_box(pbkdf2_lanes::derive(&[computation], rounds));
}

/// Computes for a millisecond or two, [`LANES`] at once, so that the caller can measure the speed
/// of this machine; gives the number of rounds done.
pub fn try_out() -> u64 {
    let computation = Computation {
        password: b"",
        salt: b"",
        rounds: TRIED_OUT,
    };
    std::hint::black_box(pbkdf2_lanes::derive(&[computation; LANES], TRIED_OUT));
    u64::from(TRIED_OUT) * LANES as u64
}

/// Rounds that take a millisecond or two.
const TRIED_OUT: u32 = 6_000;

/// Checks a password against a hash, or against none, here and now.
pub fn verify(hash: Option<&PasswordHash>, password: &Password) -> bool {
    let keys = derive(&[Work::checking(hash, password)]);
    hash.is_some_and(|hash| hash.is_of(&keys[0]))
}

impl Serialize for PasswordHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text())
    }
}

impl<'de> Deserialize<'de> for PasswordHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

#[cfg(test)]
impl PasswordHash {
    /// Of "password", by a single round: making one that is good takes a while.
    pub fn quick() -> Self {
        let hash = "$pbkdf2-sha256$i=1,l=32$c2FsdA$Eg+2z/z4syxD5yJSVsT4N6hlSMkszDVICAWYfLcL4Xs";
        Self::parse(hash).ok().unwrap()
    }
}

#[cfg(test)]
mod tests;
