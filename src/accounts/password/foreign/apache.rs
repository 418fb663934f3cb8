//! What `htpasswd` made before it knew bcrypt: Apache's MD5-crypt, and a bare SHA-1.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use sha1::Sha1;
use zeroize::Zeroizing;

use super::{Scheme, is_of_crypt};

pub(super) const BROKEN: &str = "password is a broken Apache hash";

/// Rounds of Apache's MD5-crypt.
const ROUNDS: usize = 1000;

/// A hash of `$apr1$`.
pub(super) struct Apr1 {
    salt: String,
    /// As it is written: an encoding of its own, which has only one text for each output.
    hash: String,
}

/// A salt of at most 8 characters, and 22 of output.
pub(super) fn parse_apr1(salt: &str, hash: &str) -> Result<Apr1, &'static str> {
    if salt.len() > 8 || hash.len() != 22 || !hash.bytes().all(is_of_crypt) {
        return Err(BROKEN);
    }
    Ok(Apr1 {
        salt: salt.to_owned(),
        hash: hash.to_owned(),
    })
}

/// A hash of `{SHA}`.
pub(super) struct Sha(Vec<u8>);

/// 20 bytes in base64.
pub(super) fn parse_sha(hash: &str) -> Result<Sha, &'static str> {
    let hash = STANDARD.decode(hash).map_err(|_| BROKEN)?;
    match hash.len() {
        20 => Ok(Sha(hash)),
        _ => Err(BROKEN),
    }
}

impl Scheme for Sha {
    fn compute(&self, password: &[u8]) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(Sha1::digest(password).to_vec())
    }

    fn expected(&self) -> &[u8] {
        &self.0
    }

    fn cost(&self, _: usize) -> u64 {
        1
    }
}

impl Scheme for Apr1 {
    /// The steps of MD5-crypt, with another magic word (apr_md5.c of Apache's portable runtime).
    fn compute(&self, password: &[u8]) -> Zeroizing<Vec<u8>> {
        let salt = self.salt.as_bytes();
        let mut output = md5(&[password, salt, password]);
        let mut digest = Md5::new();
        digest.update(password);
        digest.update(b"$apr1$");
        digest.update(salt);
        for at in (0..password.len()).step_by(16) {
            digest.update(&output[..(password.len() - at).min(16)]);
        }
        let mut bits = password.len();
        while bits > 0 {
            match bits & 1 {
                1 => digest.update([0]),
                _ => digest.update(&password[..1]),
            }
            bits >>= 1;
        }
        output = Zeroizing::new(digest.finalize().into());
        for round in 0..ROUNDS {
            let turn = round % 2 == 1;
            let (first, last) = match turn {
                true => (password, &output[..]),
                false => (&output[..], password),
            };
            let salt = if round % 3 == 0 { &[] } else { salt };
            let again = if round % 7 == 0 { &[] } else { password };
            output = md5(&[first, salt, again, last]);
        }
        encode(&output)
    }

    fn expected(&self) -> &[u8] {
        self.hash.as_bytes()
    }

    fn cost(&self, length: usize) -> u64 {
        ROUNDS as u64 * (2 + length as u64 / 32)
    }
}

fn md5(parts: &[&[u8]]) -> Zeroizing<[u8; 16]> {
    let mut digest = Md5::new();
    parts.iter().for_each(|part| digest.update(part));
    Zeroizing::new(digest.finalize().into())
}

/// Sixteen bytes in crypt(3)'s order and digits, the lowest bits first.
fn encode(output: &[u8; 16]) -> Zeroizing<Vec<u8>> {
    const DIGITS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = Zeroizing::new(Vec::with_capacity(22));
    let mut put = |bytes: &[u8], digits: u32| {
        let value = bytes
            .iter()
            .fold(0, |all, byte| all << 8 | usize::from(*byte));
        text.extend((0..digits).map(|digit| DIGITS[value >> (6 * digit) & 63]));
    };
    for at in 0..4 {
        put(&[output[at], output[at + 6], output[at + 12]], 4);
    }
    put(&[output[4], output[10], output[5]], 4);
    put(&[output[11]], 2);
    text
}
