//! PBKDF2-HMAC-SHA256 (RFC 8018, section 5.2), up to four computations side by side on one core.
//!
//! Each step of SHA-256 has to wait for the one before it, and the SHA extensions of a processor
//! spend most of their time waiting. That time is enough for other computations: four of them take
//! little longer than one.
//!
//! # Constant time
//!
//! No branch, no index and no instruction of varying time depends on a password, a salt, or anything
//! computed from them: the rounds are additions, exclusive ors, shifts, shuffles and the SHA
//! instructions, on registers and on places in memory that are fixed. What does show is how long
//! passwords and salts are, and how many rounds are asked for. Comparing keys with `==` does not
//! take constant time.
//!
//! # Wiping
//!
//! What a computation has put into memory is overwritten when it ends or unwinds. Not overwritten
//! are registers, the places on the stack to which the compiler moves them, what it copies from one
//! function to the next, and what the `pbkdf2` crate leaves where that does the computing.
//!
//! ```
//! use pbkdf2_lanes::{Computation, derive};
//!
//! let computation = |password| Computation { password, salt: b"NaCl", rounds: 80_000 };
//! let keys = derive(&[computation(b"Password"), computation(b"password")], 0);
//! assert_eq!(keys[0][..4], [0x4d, 0xdc, 0xd8, 0xf6]);
//! assert_ne!(keys[0], keys[1]);
//! ```

use pbkdf2::pbkdf2_hmac;
use sha2::Sha256;
use zeroize::Zeroizing;

mod chain;
#[cfg(target_arch = "x86_64")]
mod sha_ni;

use chain::Chain;

/// How many computations are done side by side.
pub const LANES: usize = 4;

/// What a computation gives: the first block of PBKDF2's output, 32 bytes.
pub type Key = Zeroizing<[u8; 32]>;

/// What to compute. Password and salt may have any length.
#[derive(Clone, Copy)]
pub struct Computation<'a> {
    /// The key of HMAC.
    pub password: &'a [u8],
    /// What makes the keys of one password differ.
    pub salt: &'a [u8],
    /// How often HMAC is applied; 0 counts as 1.
    pub rounds: u32,
}

/// Carries out computations, [`LANES`] at a time, and gives the keys in their order.
///
/// Each takes as many rounds as the longest of all, and no fewer than `at_least`: the rounds beyond
/// its own are done for nothing, so that the time taken does not tell how many it needed.
pub fn derive(computations: &[Computation<'_>], at_least: u32) -> Vec<Key> {
    if has_sha() {
        in_fours(computations, at_least, |some, total, keys| {
            side_by_side(some, total, keys, advance);
        })
    } else {
        in_fours(computations, at_least, |some, total, keys| {
            one_by_one(some, total, keys, compute);
        })
    }
}

/// Has computations carried out, [`LANES`] at a time, all with the same number of rounds.
fn in_fours(
    computations: &[Computation<'_>],
    at_least: u32,
    carry_out: impl Fn(&[Computation<'_>], u32, &mut [Key]),
) -> Vec<Key> {
    let longest = computations.iter().map(|one| one.rounds).max().unwrap_or(0);
    let total = longest.max(at_least).max(1);
    // Written in place: a vector that grows leaves copies behind.
    let mut keys = vec![Key::default(); computations.len()];
    for (some, keys) in computations.chunks(LANES).zip(keys.chunks_mut(LANES)) {
        carry_out(some, total, keys);
    }
    keys
}

/// Carries out up to [`LANES`] computations; `advance` takes their chains some rounds further.
fn side_by_side(
    computations: &[Computation<'_>],
    total: u32,
    keys: &mut [Key],
    mut advance: impl FnMut(&mut [Chain], u32),
) {
    let mut chains: Vec<Chain> = Vec::with_capacity(computations.len());
    chains.extend(
        computations
            .iter()
            .map(|one| Chain::begin(one.password, one.salt)),
    );
    // The beginning of a chain is its first round.
    let mut done = 1;
    loop {
        for ((key, chain), one) in keys.iter_mut().zip(&chains).zip(computations) {
            if one.rounds.max(1) == done {
                chain.write_key(key);
            }
        }
        if done == total {
            return;
        }
        let next = computations.iter().map(|one| one.rounds);
        let next = next.filter(|rounds| *rounds > done).min().unwrap_or(total);
        advance(&mut chains, next - done);
        done = next;
    }
}

/// The same on any processor: `compute` does one after the other.
fn one_by_one(
    computations: &[Computation<'_>],
    total: u32,
    keys: &mut [Key],
    mut compute: impl FnMut(&Computation<'_>, &mut Key),
) {
    for (one, key) in computations.iter().zip(keys) {
        compute(one, key);
        let rest = Computation {
            rounds: total - one.rounds.max(1),
            ..*one
        };
        if rest.rounds > 0 {
            let mut unused = Key::default();
            compute(&rest, &mut unused);
            std::hint::black_box(&unused);
        }
    }
}

fn compute(one: &Computation<'_>, key: &mut Key) {
    pbkdf2_hmac::<Sha256>(one.password, one.salt, one.rounds, &mut **key);
}

/// Whether the processor has what [`advance`] needs.
fn has_sha() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("sha")
        && is_x86_feature_detected!("ssse3")
        && is_x86_feature_detected!("sse4.1");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Takes up to [`LANES`] chains further, by this many rounds.
///
/// # Panics
///
/// Unless [`has_sha`].
#[allow(
    unsafe_code,
    reason = "to call what is compiled for some processors only"
)]
fn advance(chains: &mut [Chain], rounds: u32) {
    assert!(has_sha(), "this processor has no SHA extensions");
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the processor has the extensions that the function is compiled for, as was just
    // checked. It requires nothing else: it is given references only, and all it does is safe.
    unsafe {
        sha_ni::advance(chains, rounds);
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (chains, rounds);
}

#[cfg(test)]
mod tests;
