//! Random secrets that we make: cookies, recovery codes, mailed passwords. Kept only as digests.
//!
//! They hold so much randomness that one SHA-256 is enough: nobody can guess them.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use data_encoding::BASE32_NOPAD;
use hmac::{Hmac, Mac as _};
use rand::TryRng as _;
use rand::rngs::SysRng;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::as_typed;

/// Bytes from the operating system's generator.
///
/// # Panics
///
/// If the system has no randomness to give: nothing here is safe without it.
#[expect(
    clippy::expect_used,
    reason = "Linux blocks until it has randomness and then never fails"
)]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SysRng
        .try_fill_bytes(&mut bytes)
        .expect("the operating system gives randomness");
    bytes
}

/// A new cookie value: 256 random bits, 43 characters.
pub fn cookie() -> String {
    URL_SAFE_NO_PAD.encode(random::<32>())
}

/// A new password to mail: 160 random bits, 32 characters that survive being read aloud.
pub fn mailed_password() -> Zeroizing<String> {
    Zeroizing::new(BASE32_NOPAD.encode(&random::<20>()).to_ascii_lowercase())
}

/// A new access token: 160 random bits, as [`access_token`](super::access_token) knows them.
pub fn access_token() -> Zeroizing<String> {
    Zeroizing::new(format!("au_{}", mailed_password().as_str()))
}

/// A new id of something in a list: 72 random bits, 12 characters; no secret.
pub fn short_id() -> String {
    URL_SAFE_NO_PAD.encode(random::<9>())
}

/// The token of a link that is mailed: 128 random bits, 22 characters.
pub fn link() -> Zeroizing<String> {
    Zeroizing::new(URL_SAFE_NO_PAD.encode(random::<16>()))
}

/// A new id of an account: 130 random bits, 26 characters of the base32 alphabet in small letters.
pub fn account_id() -> String {
    let text = BASE32_NOPAD.encode(&random::<17>()).to_ascii_lowercase();
    text[..26].to_owned()
}

/// A new recovery code: 80 random bits, four groups of four characters.
pub fn recovery_code() -> String {
    let code = BASE32_NOPAD.encode(&random::<10>()).to_ascii_lowercase();
    [&code[..4], &code[4..8], &code[8..12], &code[12..]].join("-")
}

/// Reads a recovery code as its owner may have typed it, and gives it as it was made. `None` if
/// this cannot be one.
pub fn read_recovery_code(typed: &str) -> Option<String> {
    let code = as_typed::code(typed);
    let base32 = |byte: u8| byte.is_ascii_lowercase() || (b'2'..=b'7').contains(&byte);
    (code.len() == 16 && code.bytes().all(base32))
        .then(|| [&code[..4], &code[4..8], &code[8..12], &code[12..]].join("-"))
}

/// SHA-256 of a secret that we made; base64url in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The SHA-256 of a secret.
    pub fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// The digest of this one together with a number.
    pub fn and(&self, number: u64) -> Self {
        let together = Sha256::new().chain_update(self.0);
        Self(
            together
                .chain_update(number.to_be_bytes())
                .finalize()
                .into(),
        )
    }

    /// Whether this is the digest of `secret`, in constant time.
    pub fn matches(&self, secret: &str) -> bool {
        self.0.ct_eq(&Self::of(secret).0).into()
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// As in files: base64url.
    pub fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// The first 12 characters: enough to name it in a list, useless to forge it.
    pub fn short(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.0[..9])
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text())
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        URL_SAFE_NO_PAD
            .decode(text.as_bytes())
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or_else(|| de::Error::custom("not a SHA-256 digest in base64url"))
    }
}

/// A random key for digests of what could be guessed or forged. Wiped when it is dropped.
pub struct DigestKey(Zeroizing<[u8; 32]>);

impl DigestKey {
    /// A fresh key of 256 bits.
    pub fn new() -> Self {
        Self(Zeroizing::new(random()))
    }

    /// A key that was kept, by its bytes.
    pub fn of(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Its bytes, to keep them where only the operator reads.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// As in files: base64url.
    pub fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(URL_SAFE_NO_PAD.encode(self.0.as_slice()))
    }

    /// Reads what [`DigestKey::text`] wrote.
    pub fn read(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).ok()?);
        Some(Self::of(bytes.as_slice().try_into().ok()?))
    }

    /// HMAC-SHA-256 (RFC 2104) of several texts, each with its length: moving a letter from one
    /// text to the next changes it.
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    pub fn digest<T: AsRef<[u8]>>(&self, texts: impl IntoIterator<Item = T>) -> Digest {
        let mac = Hmac::<Sha256>::new_from_slice(self.0.as_slice());
        let mut mac = mac.expect("HMAC takes a key of any length");
        for text in texts {
            let text = text.as_ref();
            mac.update(&text.len().to_be_bytes());
            mac.update(text);
        }
        Digest(mac.finalize().into_bytes().into())
    }
}

impl Default for DigestKey {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recovery_code_is_read_back_however_it_is_typed() {
        let code = recovery_code();
        assert_eq!(code.len(), 19);
        for typed in [
            code.clone(),
            code.to_uppercase(),
            code.replace('-', ""),
            code.replace('-', " \u{2013} "),
            format!("\u{a0}{code}\r\n"),
        ] {
            assert_eq!(read_recovery_code(&typed).as_ref(), Some(&code));
        }
        for typed in [
            "123456",
            "",
            "abcdefghijklmno",
            "abcdefghijklmno1",
            "äbcdefghijklmno",
        ] {
            assert_eq!(read_recovery_code(typed), None, "{typed}");
        }
    }

    #[test]
    fn a_digest_matches_its_own_secret_only() {
        let secret = cookie();
        assert!(Digest::of(&secret).matches(&secret));
        assert!(!Digest::of(&secret).matches(&cookie()));
    }
    #[test]
    fn a_keyed_digest_keeps_texts_apart_and_tells_nothing_to_another_key() {
        let key = DigestKey::new();
        let digest = |texts: &[&str]| key.digest(texts.iter().copied());
        assert_eq!(digest(&["alice", "secret"]), digest(&["alice", "secret"]));
        for other in [
            &["alices", "ecret"][..],
            &["alicesecret"],
            &["alice", "secret", ""],
            &["secret", "alice"],
            &["alice", "Secret"],
        ] {
            assert_ne!(digest(&["alice", "secret"]), digest(other), "{other:?}");
        }
        assert_ne!(DigestKey::new().digest(["alice"]), key.digest(["alice"]));
        assert_ne!(key.digest(["alice"]), Digest::of("alice"));
    }
}
