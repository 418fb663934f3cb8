//! The rounds, with the SHA extensions of x86-64 processors.
//!
//! The lanes of a group take turns after every four steps of a hash, the groups after every hash:
//! one lane works while another has to wait. A group of two has its words in registers; a group of
//! four would not.

use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_blend_epi16, _mm_extract_epi32, _mm_set_epi32,
    _mm_setzero_si128, _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32,
    _mm_shuffle_epi32, _mm_xor_si128,
};
use std::array::from_fn;

use zeroize::{Zeroize, Zeroizing};

use crate::chain::Chain;

/// The constants of SHA-256 (FIPS 180-4, section 4.2.2), four to a row.
const K: [[u32; 4]; 16] = [
    [0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5],
    [0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5],
    [0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3],
    [0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174],
    [0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc],
    [0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da],
    [0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7],
    [0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967],
    [0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13],
    [0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85],
    [0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3],
    [0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070],
    [0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5],
    [0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3],
    [0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208],
    [0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2],
];

/// Eight words in two registers. A state a, b, … h is in them as the instructions take it: from the
/// lowest lane up, f, e, b, a and h, g, d, c. The words of a digest are in their order.
type Pair = [__m128i; 2];

/// Chains in registers.
#[derive(Clone, Copy, Zeroize)]
struct Group<const N: usize> {
    /// The states after the inner key, and after the outer one.
    keyed: [[Pair; N]; 2],
    latest: [Pair; N],
    sums: [Pair; N],
}

/// Takes chains further by this many rounds, four chains at a time.
#[target_feature(enable = "sha,ssse3,sse4.1")]
pub(crate) fn advance(chains: &mut [Chain], rounds: u32) {
    match chains {
        [] => {}
        [a] => advance_groups([[a]], rounds),
        [a, b] => advance_groups([[a, b]], rounds),
        [a, b, c] => advance_groups([[a, b, c]], rounds),
        [a, b, c, d, rest @ ..] => {
            advance_groups([[a, b], [c, d]], rounds);
            advance(rest, rounds);
        }
    }
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
fn advance_groups<const N: usize, const GROUPS: usize>(
    mut chains: [[&mut Chain; N]; GROUPS],
    rounds: u32,
) {
    let zeros = [[_mm_setzero_si128(); 2]; N];
    let none = Group {
        keyed: [zeros; 2],
        latest: zeros,
        sums: zeros,
    };
    let mut groups = Zeroizing::new([none; GROUPS]);
    for (group, chains) in groups.iter_mut().zip(&chains) {
        for (lane, chain) in chains.iter().enumerate() {
            group.keyed[0][lane] = state(&chain.inner);
            group.keyed[1][lane] = state(&chain.outer);
            group.latest[lane] = in_order(state(&chain.latest));
            group.sums[lane] = in_order(state(&chain.sum));
        }
    }
    for _ in 0..rounds {
        for key in 0..2 {
            for group in groups.iter_mut() {
                group.latest = hash_digests(&group.keyed[key], &group.latest);
            }
        }
        for group in groups.iter_mut() {
            for (sum, latest) in group.sums.iter_mut().zip(&group.latest) {
                sum[0] = _mm_xor_si128(sum[0], latest[0]);
                sum[1] = _mm_xor_si128(sum[1], latest[1]);
            }
        }
    }
    for (group, chains) in groups.iter().zip(&mut chains) {
        for (lane, chain) in chains.iter_mut().enumerate() {
            write(group.latest[lane], &mut chain.latest);
            write(group.sums[lane], &mut chain.sum);
        }
    }
}

/// Hashes digests, from states that have taken the key's block already: one block is left of each
/// hash, that of a digest and its padding (FIPS 180-4, section 6.2.2).
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn hash_digests<const N: usize>(keyed: &[Pair; N], digests: &[Pair; N]) -> [Pair; N] {
    // The bit after the message, and its length in bits.
    let bit = _mm_set_epi32(0, 0, 0, i32::MIN);
    let length = _mm_set_epi32((64 + 32) * 8, 0, 0, 0);
    // Written out: the compiler would keep a loop as it is, and the words in memory.
    let mut states = *keyed;
    let w0 = digests.map(|[first, _]| first);
    let w1 = digests.map(|[_, second]| second);
    let (w2, w3) = ([bit; N], [length; N]);
    four_steps::<0, N>(&mut states, &w0);
    four_steps::<1, N>(&mut states, &w1);
    four_steps::<2, N>(&mut states, &w2);
    four_steps::<3, N>(&mut states, &w3);
    let w4 = next_words(&w0, &w1, &w2, &w3);
    four_steps::<4, N>(&mut states, &w4);
    let w5 = next_words(&w1, &w2, &w3, &w4);
    four_steps::<5, N>(&mut states, &w5);
    let w6 = next_words(&w2, &w3, &w4, &w5);
    four_steps::<6, N>(&mut states, &w6);
    let w7 = next_words(&w3, &w4, &w5, &w6);
    four_steps::<7, N>(&mut states, &w7);
    let w8 = next_words(&w4, &w5, &w6, &w7);
    four_steps::<8, N>(&mut states, &w8);
    let w9 = next_words(&w5, &w6, &w7, &w8);
    four_steps::<9, N>(&mut states, &w9);
    let w10 = next_words(&w6, &w7, &w8, &w9);
    four_steps::<10, N>(&mut states, &w10);
    let w11 = next_words(&w7, &w8, &w9, &w10);
    four_steps::<11, N>(&mut states, &w11);
    let w12 = next_words(&w8, &w9, &w10, &w11);
    four_steps::<12, N>(&mut states, &w12);
    let w13 = next_words(&w9, &w10, &w11, &w12);
    four_steps::<13, N>(&mut states, &w13);
    let w14 = next_words(&w10, &w11, &w12, &w13);
    four_steps::<14, N>(&mut states, &w14);
    let w15 = next_words(&w11, &w12, &w13, &w14);
    four_steps::<15, N>(&mut states, &w15);
    for (state, keyed) in states.iter_mut().zip(keyed) {
        *state = in_order([
            _mm_add_epi32(state[0], keyed[0]),
            _mm_add_epi32(state[1], keyed[1]),
        ]);
    }
    states
}

/// Takes the steps from four times `STEP` on, in one lane after the other: the next lane does not
/// wait for what this one gives.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn four_steps<const STEP: usize, const N: usize>(states: &mut [Pair; N], words: &[__m128i; N]) {
    let [k0, k1, k2, k3] = K[STEP].map(u32::cast_signed);
    let constants = _mm_set_epi32(k3, k2, k1, k0);
    for (state, words) in states.iter_mut().zip(words) {
        let [abef, cdgh] = *state;
        let sums = _mm_add_epi32(*words, constants);
        // Two steps each; what was a, b, e, f before them is c, d, g, h after them.
        let cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sums);
        let abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32::<0x0e>(sums));
        *state = [abef, cdgh];
    }
}

/// The four words of the message schedule after these sixteen, in each lane.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn next_words<const N: usize>(
    oldest: &[__m128i; N],
    second: &[__m128i; N],
    third: &[__m128i; N],
    latest: &[__m128i; N],
) -> [__m128i; N] {
    from_fn(|lane| {
        let begun = _mm_sha256msg1_epu32(oldest[lane], second[lane]);
        let seven_back = _mm_alignr_epi8::<4>(latest[lane], third[lane]);
        _mm_sha256msg2_epu32(_mm_add_epi32(begun, seven_back), latest[lane])
    })
}

/// A state as the instructions take it.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn state(words: &[u32; 8]) -> Pair {
    let [a, b, c, d, e, f, g, h] = words.map(u32::cast_signed);
    [_mm_set_epi32(a, b, e, f), _mm_set_epi32(c, d, g, h)]
}

/// The words of a state in their order, as a message takes them.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn in_order([feba, hgdc]: Pair) -> Pair {
    let abef = _mm_shuffle_epi32::<0x1b>(feba);
    let ghcd = _mm_shuffle_epi32::<0xb1>(hgdc);
    [
        _mm_blend_epi16::<0xf0>(abef, ghcd),
        _mm_alignr_epi8::<8>(ghcd, abef),
    ]
}

/// Writes words that are in their order.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn write([first, second]: Pair, words: &mut [u32; 8]) {
    *words = [
        _mm_extract_epi32::<0>(first),
        _mm_extract_epi32::<1>(first),
        _mm_extract_epi32::<2>(first),
        _mm_extract_epi32::<3>(first),
        _mm_extract_epi32::<0>(second),
        _mm_extract_epi32::<1>(second),
        _mm_extract_epi32::<2>(second),
        _mm_extract_epi32::<3>(second),
    ]
    .map(i32::cast_unsigned);
}
