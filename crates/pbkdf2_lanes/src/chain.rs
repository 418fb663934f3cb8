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

/// What PBKDF2 carries from one round to the next. All of it is as secret as the password.
#[derive(Clone)]
pub(crate) struct Chain {
    /// The states of SHA-256 after the inner and the outer key of HMAC (RFC 2104, section 2).
    pub(crate) inner: [u32; 8],
    pub(crate) outer: [u32; 8],
    /// What the latest round gave, U in RFC 8018.
    pub(crate) latest: [u32; 8],
    /// The exclusive or of all rounds so far.
    pub(crate) sum: [u32; 8],
}

impl Chain {
    /// The chain after its first round.
    pub(crate) fn begin(password: &[u8], salt: &[u8]) -> Self {
        let mut chain = Self {
            inner: BEGINNING,
            outer: BEGINNING,
            latest: BEGINNING,
            sum: BEGINNING,
        };
        let mut key = Zeroizing::new([0; BLOCK]);
        if password.len() <= BLOCK {
            key[..password.len()].copy_from_slice(password);
        } else {
            finish(&mut chain.sum, 0, &[password]);
            write(&chain.sum, &mut key[..32]);
        }
        turn_over(&mut key, 0x36);
        compress(&mut chain.inner, &*key);
        turn_over(&mut key, 0x36 ^ 0x5c);
        compress(&mut chain.outer, &*key);
        // The number of the output's block; there is only one.
        let number = 1_u32.to_be_bytes();
        chain.sum = chain.inner;
        finish(&mut chain.sum, BLOCK, &[salt, &number]);
        write(&chain.sum, &mut key[..32]);
        chain.latest = chain.outer;
        finish(&mut chain.latest, BLOCK, &[&key[..32]]);
        chain.sum = chain.latest;
        chain
    }

    /// Writes what PBKDF2 gives after the rounds so far.
    pub(crate) fn write_key(&self, key: &mut Key) {
        write(&self.sum, &mut **key);
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

/// Flips these bits of each byte.
fn turn_over(block: &mut [u8; BLOCK], bits: u8) {
    block.iter_mut().for_each(|byte| *byte ^= bits);
}

/// Takes whole blocks into a state.
fn compress(state: &mut [u32; 8], blocks: &[u8]) {
    for block in blocks.chunks_exact(BLOCK) {
        compress256(state, std::slice::from_ref(GenericArray::from_slice(block)));
    }
}

/// Takes these bytes and the padding (FIPS 180-4, section 5.1.1) into a state that has taken
/// `before` bytes already.
fn finish(state: &mut [u32; 8], before: usize, parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let room = (length + 9).next_multiple_of(BLOCK);
    // Of its final size from the start: growing would leave copies behind.
    let mut padded = Zeroizing::new(Vec::with_capacity(room));
    parts.iter().for_each(|part| padded.extend_from_slice(part));
    padded.push(0x80);
    padded.resize(room - 8, 0);
    let bits = 8 * (before as u64 + length as u64);
    padded.extend_from_slice(&bits.to_be_bytes());
    compress(state, &padded);
}

/// Writes a state as bytes.
fn write(state: &[u32; 8], bytes: &mut [u8]) {
    for (four, word) in bytes.chunks_exact_mut(4).zip(state) {
        four.copy_from_slice(&word.to_be_bytes());
    }
}
