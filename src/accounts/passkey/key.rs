//! The public key of a passkey, as COSE writes it (RFC 9052, section 7).

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::cbor::{Item, Reader};
use super::{Refused, base64url, ensure};

/// EdDSA, here with Ed25519 (RFC 9053, section 2.2).
const ED_DSA: i64 = -8;

/// ECDSA over P-256 with SHA-256 (RFC 9053, section 2.1).
const ES256: i64 = -7;

/// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8812, section 2).
const RS256: i64 = -257;

/// The algorithms that are asked for, the best first.
pub(super) const ALGORITHMS: [i64; 3] = [ED_DSA, ES256, RS256];

/// Bytes of an RSA key: 2048 to 8192 bits.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// The one exponent that authenticators use (Level 3, 5.8.5, asks for it in TPMs): 65537.
const EXPONENT: [u8; 3] = [1, 0, 1];

/// A key that checks signatures; in files as the authenticator wrote it.
#[derive(Clone, PartialEq)]
pub struct PublicKey {
    cose: Box<[u8]>,
    numbers: Numbers,
}

#[derive(Clone, PartialEq)]
enum Numbers {
    /// The point, compressed as always.
    EdDsa([u8; 32]),
    /// The point, uncompressed (SEC 1, section 2.3.3).
    Es256(Box<[u8; 65]>),
    /// The modulus.
    Rs256(Box<[u8]>),
}

impl PublicKey {
    /// Reads a key, which must be all there is.
    ///
    /// # Errors
    ///
    /// [`Refused::Algorithm`] if it is for one that was not asked for, [`Refused::Key`] if it is
    /// not one.
    pub fn read(cose: &[u8]) -> Result<Self, Refused> {
        let [kind, algorithm, first, second, third] = parameters(cose).ok_or(Refused::Key)?;
        let Some(Item::Int(algorithm)) = algorithm else {
            return Err(Refused::Key);
        };
        ensure(ALGORITHMS.contains(&algorithm), Refused::Algorithm)?;
        let numbers = match (algorithm, kind, first, second, third) {
            (ED_DSA, Some(Item::Int(1)), Some(Item::Int(6)), Some(Item::Bytes(x)), None) => {
                Numbers::EdDsa(x.try_into().map_err(|_| Refused::Key)?)
            }
            (
                ES256,
                Some(Item::Int(2)),
                Some(Item::Int(1)),
                Some(Item::Bytes(x)),
                Some(Item::Bytes(y)),
            ) => Numbers::Es256(point(x, y).ok_or(Refused::Key)?),
            (RS256, Some(Item::Int(3)), Some(Item::Bytes(n)), Some(Item::Bytes(e)), None) => {
                ensure(is_modulus(n) && e == EXPONENT, Refused::Key)?;
                Numbers::Rs256(n.into())
            }
            _ => return Err(Refused::Key),
        };
        let cose = cose.into();
        Ok(Self { cose, numbers })
    }

    /// Whether its numbers are those of a key: a point may lie beside the curve. Not looked at
    /// again in files, of which there may be many.
    pub(super) fn is_sound(&self) -> bool {
        match &self.numbers {
            Numbers::EdDsa(point) => {
                has_large_order(point) && ParsedPublicKey::new(&ED25519, point).is_ok()
            }
            Numbers::Es256(point) => {
                ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point.as_slice()).is_ok()
            }
            Numbers::Rs256(n) => {
                let key = rsa(n);
                key.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
                    .is_ok()
            }
        }
    }

    /// Whether the holder of the private key has signed this.
    pub(super) fn has_signed(&self, signed: &[u8], signature: &[u8]) -> bool {
        let verified = match &self.numbers {
            Numbers::EdDsa(point) => {
                UnparsedPublicKey::new(&ED25519, point).verify(signed, signature)
            }
            Numbers::Es256(point) => {
                let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point.as_slice());
                key.verify(signed, signature)
            }
            Numbers::Rs256(n) => {
                let key = rsa(n);
                key.verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature)
            }
        };
        verified.is_ok()
    }

    /// The key as the authenticator wrote it.
    pub fn cose(&self) -> &[u8] {
        &self.cose
    }
}

/// The values of kind, algorithm and the three numbers that keys have. `None` if there is anything
/// else (Level 3, 6.5.1.1), or one of them twice.
fn parameters(cose: &[u8]) -> Option<[Option<Item<'_>>; 5]> {
    const LABELS: [i64; 5] = [1, 3, -1, -2, -3];
    let mut found = [None; 5];
    let mut reader = Reader::new(cose);
    for _ in 0..reader.map()? {
        let Item::Int(label) = reader.item()? else {
            return None;
        };
        let at = LABELS.iter().position(|known| *known == label)?;
        if found[at].replace(reader.item()?).is_some() {
            return None;
        }
    }
    reader.is_at_end().then_some(found)
}

/// Whether this may be the product of two large primes: without a zero before it, and odd.
fn is_modulus(n: &[u8]) -> bool {
    let is_odd = n.last().is_some_and(|last| last & 1 == 1);
    RSA_BYTES.contains(&n.len()) && n.first() != Some(&0) && is_odd
}

fn rsa(n: &[u8]) -> RsaPublicKeyComponents<&[u8]> {
    RsaPublicKeyComponents { n, e: &EXPONENT }
}

/// The y of the points of Ed25519 whose order divides 8, with 0 for the sign of x. Somebody can sign
/// for these without a private key (RFC 8032, section 8.2 and its references).
const SMALL_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    {
        let mut one = [0; 32];
        one[0] = 1;
        one
    },
    {
        let mut minus_one = [0xff; 32];
        minus_one[0] = 0xec;
        minus_one[31] = 0x7f;
        minus_one
    },
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
];

/// Whether a point of Ed25519 is written as it must be (RFC 8032, section 5.1.3), and none of
/// [`SMALL_ORDER`].
fn has_large_order(point: &[u8; 32]) -> bool {
    let mut y = *point;
    y[31] &= 0x7f;
    // The prime is 2^255 - 19.
    let is_below_prime = y[0] < 0xed || y[1..31] != [0xff; 30] || y[31] != 0x7f;
    is_below_prime && !SMALL_ORDER.contains(&y)
}

fn point(x: &[u8], y: &[u8]) -> Option<Box<[u8; 65]>> {
    if x.len() != 32 || y.len() != 32 {
        return None;
    }
    [&[4], x, y].concat().into_boxed_slice().try_into().ok()
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        base64url::serialize(&self.cose, serializer)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        base64url::deserialize(deserializer, "the key of a passkey", |bytes| {
            Self::read(&bytes).ok()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_sound(point: [u8; 32]) -> bool {
        let cose = [&[0xa4, 1, 1, 3, 0x27, 0x20, 6, 0x21, 0x58, 32][..], &point].concat();
        PublicKey::read(&cose).is_ok_and(|key| key.is_sound())
    }

    #[test]
    fn a_key_for_which_anybody_can_sign_is_none() {
        // The base point, to see that a point is read at all.
        let mut base = [0x66; 32];
        base[0] = 0x58;
        assert!(is_sound(base));
        for mut small in SMALL_ORDER {
            for sign in [0, 0x80] {
                small[31] = small[31] & 0x7f | sign;
                assert!(!is_sound(small), "{small:x?}");
            }
        }
        // Those from the prime on stand for what is smaller by it.
        for first in 0xed..=0xff {
            let mut beyond = [0xff; 32];
            beyond[0] = first;
            assert!(!is_sound(beyond), "{beyond:x?}");
            beyond[31] = 0x7f;
            assert!(!is_sound(beyond), "{beyond:x?}");
        }
    }
}
