//! A computation between two rounds, and how it begins and ends.

use sha2::compress256;
use sha2::digest::generic_array::GenericArray;
use zeroize::{Zeroize as _, Zeroizing};

use crate::Key;

/// Bytes of a block of SHA-256.
const BLOCK: usize = 64;

/// The state in which SHA-256 begins (FIPS 180-4, section 5.3.3).
const BEGINNING: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// What PBKDF2 carries from one round to the next. All of it is as good as the password.
#[derive(Clone)]
pub(crate) struct Chain {
    /// The states of SHA-256 after the inner and the outer key of HMAC (RFC 2104, section 2).
    pub(crate) inner: [u32; 8],
    pub(crate) outer: [u32; 8],
    /// What the latest round gave, U in RFC 8018.
    pub(crate) latest: [u32; 8],
    /// All rounds so far, added without carry.
    pub(crate) sum: [u32; 8],
}

impl Chain {
    /// After the first round.
    pub(crate) fn begin(password: &[u8], salt: &[u8]) -> Self {
        let mut key = Zeroizing::new([0; BLOCK]);
        if password.len() <= BLOCK {
            key[..password.len()].copy_from_slice(password);
        } else {
            let hashed = Zeroizing::new(finish(BEGINNING, 0, &[password]));
            key[..32].copy_from_slice(&*bytes(&hashed));
        }
        let mut chain = Self {
            inner: after(&key, 0x36),
            outer: after(&key, 0x5c),
            latest: [0; 8],
            sum: [0; 8],
        };
        // The number of the output's block, of which there is one.
        let number = 1_u32.to_be_bytes();
        let inside = Zeroizing::new(finish(chain.inner, BLOCK, &[salt, &number]));
        chain.latest = finish(chain.outer, BLOCK, &[&*bytes(&inside)]);
        chain.sum = chain.latest;
        chain
    }

    /// What PBKDF2 gives after the rounds so far.
    pub(crate) fn key(&self) -> Key {
        bytes(&self.sum)
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        for state in [
            &mut self.inner,
            &mut self.outer,
            &mut self.latest,
            &mut self.sum,
        ] {
            state.zeroize();
        }
    }
}

/// The state after a block of the key, each byte of it with these bits turned over.
fn after(key: &[u8; BLOCK], bits: u8) -> [u32; 8] {
    let block = Zeroizing::new(key.map(|byte| byte ^ bits));
    let mut state = BEGINNING;
    compress256(&mut state, &[GenericArray::from(*block)]);
    state
}

/// The state after these bytes and the padding (FIPS 180-4, section 5.1.1), where `before` bytes
/// have gone in already.
fn finish(mut state: [u32; 8], before: usize, parts: &[&[u8]]) -> [u32; 8] {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let room = (length + 9).next_multiple_of(BLOCK);
    // Of its final size from the start: it leaves nothing behind by growing.
    let mut padded = Zeroizing::new(Vec::with_capacity(room));
    parts.iter().for_each(|part| padded.extend_from_slice(part));
    padded.push(0x80);
    padded.resize(room - 8, 0);
    let bits = 8 * (before as u64 + length as u64);
    padded.extend_from_slice(&bits.to_be_bytes());
    for block in padded.chunks_exact(BLOCK) {
        compress256(
            &mut state,
            std::slice::from_ref(GenericArray::from_slice(block)),
        );
    }
    state
}

/// A state as bytes.
fn bytes(state: &[u32; 8]) -> Key {
    let mut bytes = Key::default();
    for (four, word) in bytes.chunks_exact_mut(4).zip(state) {
        four.copy_from_slice(&word.to_be_bytes());
    }
    bytes
}
