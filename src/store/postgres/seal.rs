//! Secrets at rest: sealed with the operator's key, each to its place, so that no dump, replica or
//! log of the database shows them, and none can be moved to where it would count for somebody else.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::accounts::token;

/// The length of a key in bytes.
pub(super) const KEY: usize = 32;

/// How a sealed value begins, so that another way of sealing can be told from this one.
const BY_AES_256_GCM: u8 = 1;

/// The key that seals.
///
/// No `Debug`: it is the key.
pub(super) struct Seal(LessSafeKey);

/// Where a sealed value belongs: it opens nowhere else.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) table: &'a str,
    /// What names the row for good.
    pub(super) row: &'a [u8],
    pub(super) field: &'a str,
}

impl Seal {
    #[expect(clippy::expect_used, reason = "the length of the key is its type's")]
    pub(super) fn new(key: &Zeroizing<[u8; KEY]>) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, key.as_slice());
        Self(LessSafeKey::new(key.expect("AES-256 takes 32 bytes")))
    }

    /// Seals a value to its place. The same value is never sealed to the same bytes twice.
    #[expect(
        clippy::expect_used,
        reason = "no value comes near the limit of 64 GiB"
    )]
    pub(super) fn close(&self, value: &[u8], place: Place<'_>) -> Vec<u8> {
        let nonce: [u8; NONCE_LEN] = token::random();
        let mut sealed = value.to_vec();
        let place = Aad::from(place.bytes());
        let nonce_of = Nonce::assume_unique_for_key(nonce);
        self.0
            .seal_in_place_append_tag(nonce_of, place, &mut sealed)
            .expect("a value is far shorter than 64 GiB");
        let mut whole = vec![BY_AES_256_GCM];
        whole.extend_from_slice(&nonce);
        whole.append(&mut sealed);
        whole
    }

    /// The value that was sealed; `None` if this is not one sealed with this key to this place.
    pub(super) fn open(&self, sealed: &[u8], place: Place<'_>) -> Option<Zeroizing<Vec<u8>>> {
        let sealed = sealed.strip_prefix(&[BY_AES_256_GCM])?;
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut value = Zeroizing::new(sealed.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self
            .0
            .open_in_place(nonce, Aad::from(place.bytes()), &mut value);
        let length = opened.ok()?.len();
        value.truncate(length);
        Some(value)
    }
}

impl Place<'_> {
    /// Each part with its length before it, so that no two places are the same bytes.
    fn bytes(self) -> Vec<u8> {
        let parts = [self.table.as_bytes(), self.row, self.field.as_bytes()];
        let mut bytes = Vec::new();
        for part in parts {
            bytes.extend_from_slice(&part.len().to_be_bytes());
            bytes.extend_from_slice(part);
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seal(key: u8) -> Seal {
        Seal::new(&Zeroizing::new([key; KEY]))
    }

    fn place<'a>(table: &'a str, row: &'a [u8], field: &'a str) -> Place<'a> {
        Place { table, row, field }
    }

    #[test]
    fn a_sealed_value_opens_in_its_own_place_with_its_own_key_alone() {
        let home = place("account", b"alice", "totp");
        let sealed = seal(1).close(b"secret", home);
        let opens = |key, place| seal(key).open(&sealed, place).is_some();

        assert_eq!(seal(1).open(&sealed, home).unwrap().as_slice(), b"secret");
        assert!(!opens(2, home));
        assert!(!opens(1, place("account", b"bob", "totp")));
        assert!(!opens(1, place("pending", b"alice", "totp")));
        assert!(!opens(1, place("account", b"alice", "mail")));
        // The same letters, parted otherwise.
        assert!(!opens(1, place("accounta", b"lice", "totp")));
        assert!(!opens(1, place("account", b"alicet", "otp")));
    }

    #[test]
    fn the_same_value_is_sealed_to_other_bytes_each_time() {
        let home = place("account", b"alice", "totp");

        assert_ne!(
            seal(1).close(b"secret", home),
            seal(1).close(b"secret", home)
        );
    }

    #[test]
    fn nothing_short_opens() {
        for length in 0..30 {
            assert!(
                seal(1)
                    .open(&vec![1; length], place("a", b"b", "c"))
                    .is_none()
            );
        }
    }

    proptest! {
        #[test]
        fn no_bit_of_a_sealed_value_can_be_changed(
            value: Vec<u8>,
            at: prop::sample::Index,
            bit in 0_u8..8,
        ) {
            let home = place("account", b"alice", "totp");
            let mut sealed = seal(1).close(&value, home);
            let opened = seal(1).open(&sealed, home).unwrap();
            prop_assert_eq!(opened.as_slice(), &value);
            let at = at.index(sealed.len());
            sealed[at] ^= 1 << bit;
            prop_assert!(seal(1).open(&sealed, home).is_none());
        }
    }
}
