//! Hashes that other programs have made, so that people who move here keep their passwords.
//!
//! Each kind has a file and is a [`Scheme`]. The text of a hash is kept byte for byte; the first
//! right password has one of ours made in its place, so none of this is for ever.

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{Key, Password};

mod apache;
mod argon2;
mod bcrypt;
mod pbkdf2;
mod sha_crypt;

/// Longest text of a hash, in bytes: more than any kind that is taken needs.
const LONGEST: usize = 512;

/// What precedes a hash in Authelia's older files, and in those of others that call crypt(3).
const CRYPT: &str = "{CRYPT}";

/// A kind of hash, with the salt, the costs and the output of one.
trait Scheme: Send + Sync {
    /// What this password gives, to be compared with [`Scheme::expected`]. Nothing if there is no
    /// memory for it.
    fn compute(&self, password: &[u8]) -> Zeroizing<Vec<u8>>;

    /// What the right password gives.
    fn expected(&self) -> &[u8];

    /// About how many rounds of ours take as long, for a password of so many bytes.
    fn cost(&self, length: usize) -> u64;

    /// How much memory it takes, if that is worth a word, in bytes.
    fn memory(&self) -> usize {
        0
    }
}

/// A hash that another program has made.
///
/// No `Debug`: it is what a thief would want.
pub struct Foreign {
    text: String,
    scheme: Box<dyn Scheme>,
}

impl Foreign {
    /// Reads a hash of any kind that is taken.
    ///
    /// # Errors
    ///
    /// A sentence for the operator, if it is of another kind, dearer than anybody waits for, or
    /// broken.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.strip_prefix(CRYPT).unwrap_or(text);
        if text.len() > LONGEST || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("password is longer than a hash, or has characters that none has");
        }
        let scheme = scheme(text)?;
        let text = text.to_owned();
        Ok(Self { text, scheme })
    }

    /// As it came.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Tries a password as it was typed, and then in normalisation form C, if that differs. The key
    /// is [`Foreign::key`] if one of the two is right.
    pub fn try_password(&self, password: &Password) -> Key {
        let as_typed = password.as_typed();
        let key = digest(&self.scheme.compute(as_typed.as_bytes()));
        if as_typed == password.as_str() || super::is_same(&key, &self.key()) {
            return key;
        }
        digest(&self.scheme.compute(password.as_str().as_bytes()))
    }

    /// What the right password gives. The outputs of all kinds are of one length here.
    pub fn key(&self) -> Key {
        digest(self.scheme.expected())
    }

    /// About how many rounds of ours take as long.
    pub fn cost(&self, password: &Password) -> u64 {
        let (typed, normal) = (password.as_typed(), password.as_str());
        let again = (typed != normal).then(|| self.scheme.cost(normal.len()));
        self.scheme.cost(typed.len()) + again.unwrap_or(0)
    }

    /// How much memory it takes, if that is worth a word, in bytes.
    pub fn memory(&self) -> usize {
        self.scheme.memory()
    }
}

fn digest(output: &[u8]) -> Key {
    Zeroizing::new(Sha256::digest(output).into())
}

/// Finds the kind by how the text begins.
fn scheme(text: &str) -> Result<Box<dyn Scheme>, &'static str> {
    // Django has the name of its own kind before some of them.
    let parts: Vec<&str> = text.split('$').collect();
    Ok(match parts[..] {
        ["", "2a" | "2b" | "2y", cost, hash] => Box::new(bcrypt::parse(cost, hash, false)?),
        ["bcrypt", "", "2a" | "2b" | "2y", cost, hash] => {
            Box::new(bcrypt::parse(cost, hash, false)?)
        }
        ["bcrypt_sha256", "", "2a" | "2b" | "2y", cost, hash] => {
            Box::new(bcrypt::parse(cost, hash, true)?)
        }
        [
            "" | "argon2",
            kind @ ("argon2id" | "argon2i"),
            version,
            costs,
            salt,
            hash,
        ] => Box::new(argon2::parse(kind, [version, costs, salt, hash])?),
        [
            "",
            kind @ ("pbkdf2-sha256" | "pbkdf2-sha512" | "pbkdf2"),
            rounds,
            salt,
            hash,
        ] => Box::new(pbkdf2::of_authelia(kind, rounds, salt, hash)?),
        ["pbkdf2_sha256", rounds, salt, hash] => Box::new(pbkdf2::of_django(rounds, salt, hash)?),
        ["", kind @ ("5" | "6"), ref rest @ ..] => Box::new(sha_crypt::parse(kind, rest)?),
        ["", "apr1", salt, hash] => Box::new(apache::parse_apr1(salt, hash)?),
        _ => match text.strip_prefix("{SHA}") {
            Some(hash) => Box::new(apache::parse_sha(hash)?),
            None => return Err(why_not(&parts)),
        },
    })
}

/// Why a hash is of no kind that is taken.
fn why_not(parts: &[&str]) -> &'static str {
    match *parts {
        ["" | "scrypt", "scrypt" | "7", ..] | ["scrypt", ..] => {
            "password is a hash of scrypt, which is not taken"
        }
        ["", "1", ..] => "password is a hash of MD5-crypt ($1$), which is not taken",
        ["", "y" | "gy", ..] => "password is a hash of yescrypt, which is not taken",
        ["", "2" | "2x", ..] => "password is a hash of an old bcrypt, which is not taken",
        ["" | "argon2", "argon2d", ..] => "password is a hash of Argon2d, which is not taken",
        ["md5" | "unsalted_md5", ..] => "password is an MD5 hash of Django, which is not taken",
        ["sha1" | "unsalted_sha1", ..] => "password is a SHA-1 hash of Django, which is not taken",
        ["pbkdf2_sha1", ..] => "password is a PBKDF2-SHA1 hash of Django, which is not taken",
        ["crypt", ..] => "password is a DES hash, which is not taken",
        ["" | "argon2", "argon2id" | "argon2i", ..] => argon2::BROKEN,
        ["", "2a" | "2b" | "2y", ..] | ["bcrypt" | "bcrypt_sha256", ..] => bcrypt::BROKEN,
        ["", "pbkdf2" | "pbkdf2-sha256" | "pbkdf2-sha512", ..] | ["pbkdf2_sha256", ..] => {
            pbkdf2::BROKEN
        }
        ["", "apr1", ..] => apache::BROKEN,
        [text] if text.starts_with("{SSHA") => {
            "password is a salted SHA hash of LDAP, which is not taken"
        }
        [text] if text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            "password is an MD5 hash, which is not taken"
        }
        [text] if text.len() == 13 && text.bytes().all(is_of_crypt) => {
            "password is a DES hash, or in clear text, and neither is taken"
        }
        [_] => "password is in clear text, which is not taken: only hashes are",
        _ => "password is a hash of an unknown kind, which is not taken",
    }
}

/// Whether crypt(3) writes this byte in salts and outputs.
fn is_of_crypt(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/')
}

/// A number as programs write it: digits alone, with no 0 in front.
fn number(text: &str) -> Option<u32> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests;
