use std::cell::RefCell;

use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any};
use proptest::proptest;

use super::*;

type Way = fn(&[Computation<'_>], u32) -> Vec<Key>;

/// Both ways of computing, where the processor has both.
fn ways() -> Vec<Way> {
    let portable: Way = |computations, at_least| {
        in_fours(computations, at_least, |some, total, keys| {
            one_by_one(some, total, keys, compute);
        })
    };
    let extended: Way = |computations, at_least| {
        in_fours(computations, at_least, |some, total, keys| {
            side_by_side(some, total, keys, advance);
        })
    };
    if has_sha() {
        vec![portable, extended]
    } else {
        vec![portable]
    }
}

fn hex(key: &Key) -> String {
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the widely used crate gives.
fn expected(one: &Computation<'_>) -> Key {
    let mut key = Key::default();
    pbkdf2_hmac::<Sha256>(one.password, one.salt, one.rounds, &mut *key);
    key
}

fn computation<'a>(password: &'a [u8], salt: &'a [u8], rounds: u32) -> Computation<'a> {
    Computation {
        password,
        salt,
        rounds,
    }
}

/// RFC 7914, section 11, and those of RFC 6070 with SHA-256 in the place of SHA-1; the first 32
/// bytes of each.
#[test]
fn it_gives_the_published_vectors() {
    let long: [&[u8]; 2] = [
        b"passwordPASSWORDpassword",
        b"saltSALTsaltSALTsaltSALTsaltSALTsalt",
    ];
    let vectors: [(&[u8], &[u8], u32, &str); 7] = [
        (
            b"passwd",
            b"salt",
            1,
            "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc",
        ),
        (
            b"Password",
            b"NaCl",
            80_000,
            "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56",
        ),
        (
            b"password",
            b"salt",
            1,
            "120fb6cffcf8b32c43e7225256c4f837a86548c92ccc35480805987cb70be17b",
        ),
        (
            b"password",
            b"salt",
            2,
            "ae4d0c95af6b46d32d0adff928f06dd02a303f8ef3c251dfd6e2d85a95474c43",
        ),
        (
            b"password",
            b"salt",
            4096,
            "c5e478d59288c841aa530db6845c4c8d962893a001ce4e11a4963873aa98134a",
        ),
        (
            long[0],
            long[1],
            4096,
            "348c89dbcbd32b2f32d814b8116e84cf2b17347ebc1800181c4e2a1fb8dd53e1",
        ),
        (
            b"pass\0word",
            b"sa\0lt",
            4096,
            "89b69d0516f829893c696226650a86878c029ac13ee276509d5ae58b6466a724",
        ),
    ];
    let computations =
        vectors.map(|(password, salt, rounds, _)| computation(password, salt, rounds));
    for way in ways() {
        for (computation, (.., stated)) in computations.iter().zip(vectors) {
            let alone = way(&[*computation], computation.rounds);
            assert_eq!(hex(&alone[0]), stated);
        }
    }
    // Computed side by side, though they differ in rounds.
    let keys: Vec<String> = derive(&computations, 0).iter().map(hex).collect();
    assert_eq!(keys, vectors.map(|(.., stated)| stated));
}

/// Lengths around the ends of blocks of 64 bytes, with and without the padding of a message.
const EDGES: [usize; 17] = [
    0, 1, 31, 32, 51, 52, 55, 56, 59, 60, 63, 64, 65, 119, 128, 1000, 10_000,
];

#[test]
fn passwords_and_salts_may_have_any_length() {
    let bytes: Vec<u8> = (0..10_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    for password in EDGES {
        for salt in EDGES {
            let one = computation(&bytes[..password], &bytes[10_000 - salt..], 3);
            for way in ways() {
                assert_eq!(way(&[one], 3)[0], expected(&one), "{password} {salt}");
            }
        }
    }
}

#[test]
fn rounds_that_are_done_for_nothing_change_nothing() {
    let rounds = [1, 5, 5, 9];
    let computations = rounds.map(|rounds| computation(b"password", b"salt", rounds));
    for way in ways() {
        for total in [9, 10, 1000] {
            let keys = way(&computations, total);
            let all: Vec<Key> = computations.iter().map(expected).collect();
            assert!(keys == all, "{total}");
        }
    }
}

/// Time cannot be tested; the rounds that take it can.
#[test]
fn all_take_as_many_rounds_whichever_they_are() {
    let computations = [1, 5, 600, 0].map(|rounds| computation(b"password", b"salt", rounds));
    for (at_least, total) in [(0, 600), (600, 600), (1000, 1000)] {
        let totals = RefCell::new(Vec::new());
        in_fours(&computations.repeat(2), at_least, |some, total, _| {
            totals.borrow_mut().push((some.len(), total));
        });
        assert_eq!(*totals.borrow(), [(4, total); 2]);

        let mut keys = vec![Key::default(); 4];
        let mut taken = 1;
        side_by_side(&computations, total, &mut keys, |chains, rounds| {
            assert_eq!(chains.len(), 4);
            taken += rounds;
        });
        assert_eq!(taken, total);
        for one in &computations {
            let mut taken = 0;
            let one = std::slice::from_ref(one);
            one_by_one(one, total, &mut keys, |one, _| {
                taken += one.rounds.max(1);
            });
            assert_eq!(taken, total);
        }
    }
}

#[test]
fn none_is_nothing_and_no_round_is_one() {
    assert!(derive(&[], 100).is_empty());
    for way in ways() {
        let none = way(&[computation(b"password", b"salt", 0)], 1);
        assert_eq!(none[0], expected(&computation(b"password", b"salt", 1)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// However many there are and however they differ, each gets what it would get alone.
    #[test]
    fn each_lane_computes_its_own(
        given in vec((vec(any::<u8>(), 0..200), vec(any::<u8>(), 0..200), 1..50_u32), 0..10),
        at_least in 0..60_u32,
    ) {
        let computations: Vec<Computation<'_>> = given
            .iter()
            .map(|(password, salt, rounds)| computation(password, salt, *rounds))
            .collect();
        let keys = derive(&computations, at_least);
        let all: Vec<Key> = computations.iter().map(expected).collect();
        assert!(keys == all);
    }

    /// The same for each number of lanes, where the processor can.
    #[test]
    fn lanes_that_stand_side_by_side_give_what_each_gives_alone(
        given in vec((vec(any::<u8>(), 0..100), vec(any::<u8>(), 0..100), 1..50_u32), 1..=LANES),
    ) {
        let computations: Vec<Computation<'_>> = given
            .iter()
            .map(|(password, salt, rounds)| computation(password, salt, *rounds))
            .collect();
        let all: Vec<Key> = computations.iter().map(expected).collect();
        for way in ways() {
            assert!(way(&computations, 50) == all);
        }
    }
}
