//! Good answers, changed at random: nothing panics, and nothing that is signed holds.

use serde::Deserialize;
use serde::de::IgnoredAny;
use sha2::{Digest as _, Sha256};

use super::authenticator::{ALGORITHMS, ELIGIBLE};
use super::*;
use crate::accounts::token;

/// Random numbers that can be had again (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        usize::try_from(number).unwrap() % most
    }

    /// Changes bytes in one or a few ways; `other` is where whole parts are taken from.
    fn change(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        let before = bytes.clone();
        while *bytes == before {
            for _ in 0..=self.below(3) {
                self.change_once(bytes, other);
            }
        }
    }

    fn change_once(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        if bytes.is_empty() {
            bytes.push(self.byte());
            return;
        }
        let at = self.below(bytes.len());
        let length = 1 + self.below(bytes.len() - at);
        match self.below(7) {
            0 => bytes[at] ^= 1 << self.below(8),
            1 => bytes[at] = self.byte(),
            2 => bytes.insert(at, self.byte()),
            3 => bytes.truncate(at),
            4 => drop(bytes.drain(at..at + length)),
            5 => {
                let part = bytes[at..at + length.min(32)].to_vec();
                bytes.splice(at..at, part);
            }
            _ => {
                let from = self.below(other.len());
                let part = other[from..].iter().take(length).copied();
                let replaced = at..at + length.min(other.len() - from);
                bytes.splice(replaced, part.collect::<Vec<u8>>());
            }
        }
    }

    /// Often one that means something to CBOR.
    fn byte(&mut self) -> u8 {
        let telling = [
            0, 0x18, 0x1f, 0x58, 0x5b, 0x81, 0x9b, 0xa1, 0xbb, 0xf5, 0xff, b'"',
        ];
        let any = u8::try_from(self.below(256)).unwrap();
        telling.get(self.below(24)).copied().unwrap_or(any)
    }
}

/// An answer: id, client data, authenticator data, signature, user handle.
type Parts = [Vec<u8>; 5];

fn check(alice: &Account, step: Step, parts: &Parts) -> Result<(), Refused> {
    let [id, client, data, signature, user] = parts;
    let answer = Answer {
        id,
        client,
        data,
        signature,
        user: Some(user),
    };
    let used = party().check(Some(alice), step, answer, is_asked);
    used.map(|_| ())
}

/// Changes good answers of every algorithm this many times.
fn change_uses(times: usize, seed: u64) {
    let mut alice = account("alice");
    alice.give_handle();
    let good = ALGORITHMS.map(|algorithm| {
        let mut device = device(algorithm);
        alice.passkeys.push(passkey_of(&device));
        device.count += 1;
        let (client, data, signature) = device.assert(CHALLENGE);
        [device.id, client, data, signature, handle(&alice)]
    });
    let mut dice = Dice(seed | 1);
    for parts in &good {
        assert_eq!(check(&alice, Step::Alone, parts), Ok(()));
    }
    for n in 0..times {
        let step = [Step::Alone, Step::AfterPassword][dice.below(2)];
        let mut parts = good[dice.below(good.len())].clone();
        let part = dice.below(parts.len());
        let other = &good[dice.below(good.len())][dice.below(parts.len())];
        dice.change(&mut parts[part], other);
        // After a password nobody needs to say whose it is.
        if parts[4].is_empty() && step == Step::AfterPassword {
            continue;
        }
        let result = check(&alice, step, &parts);
        assert!(result.is_err(), "{n} of {seed}: {parts:02x?}");
    }
}

/// Changes good new passkeys this many times. Nothing of them is signed, so another id is as good;
/// what is taken must still be for this site, this challenge and this page.
fn change_makings(times: usize, seed: u64) {
    let good = ALGORITHMS.map(|algorithm| {
        let mut device = device(algorithm);
        device.flags |= ELIGIBLE;
        device.make(CHALLENGE)
    });
    let mut dice = Dice(seed | 1);
    let mut taken = 0;
    for n in 0..times {
        let (mut client, mut attestation) = good[dice.below(good.len())].clone();
        let (other_client, other) = &good[dice.below(good.len())];
        match dice.below(3) {
            0 => dice.change(&mut client, other_client),
            _ => dice.change(&mut attestation, other),
        }
        let answer = Making {
            client: &client,
            attestation: &attestation,
        };
        if let Ok(made) = party().make(answer, is_asked) {
            taken += 1;
            let says = format!("{n} of {seed}: {client:02x?} {attestation:02x?}");
            assert!(is_as_asked(&client), "{says}");
            assert!(stands_in(&made, &attestation), "{says}");
        }
    }
    assert!(taken > 0, "no change left one that holds: {seed}");
}

/// Members that the site does not read may hold anything.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Said {
    r#type: String,
    challenge: String,
    origin: String,
    cross_origin: Option<bool>,
    top_origin: Option<IgnoredAny>,
}

fn is_as_asked(client: &[u8]) -> bool {
    let said: Said = serde_json::from_slice(client).unwrap();
    said.r#type == "webauthn.create"
        && said.challenge == CHALLENGE
        && said.origin == "https://auth.example.com:8443"
        && said.cross_origin != Some(true)
        && said.top_origin.is_none()
}

/// Whether all that would be kept stands in what was sent.
fn stands_in(made: &Made<()>, attestation: &[u8]) -> bool {
    let has = |part: &[u8]| attestation.windows(part.len()).any(|window| window == part);
    let id = base64url::decode(&made.id.text(), MAX_ID).unwrap();
    let read = PublicKey::read(made.key.cose());
    has(&Sha256::digest("auth.example.com"))
        && has(&id)
        && has(made.key.cose())
        && read.is_ok_and(|read| read == made.key)
}

fn seed() -> u64 {
    u64::from_ne_bytes(token::random())
}

#[test]
fn no_changed_answer_is_taken() {
    change_uses(3000, seed());
}

#[test]
fn no_changed_making_is_taken_for_what_was_not_asked() {
    change_makings(3000, seed());
}

#[test]
fn every_bit_of_what_is_signed_counts() {
    let mut device = device(Algorithm::Es256);
    let alice = owner("alice", &device);
    device.count += 1;
    let (client, data, signature) = device.assert(CHALLENGE);
    let good = [device.id.clone(), client, data, signature, handle(&alice)];
    for part in 0..good.len() {
        for bit in 0..good[part].len() * 8 {
            let mut parts = good.clone();
            parts[part][bit / 8] ^= 1 << (bit % 8);
            let result = check(&alice, Step::Alone, &parts);
            assert!(result.is_err(), "bit {bit} of part {part}");
        }
        for cut in 0..good[part].len() {
            let mut parts = good.clone();
            parts[part].truncate(cut);
            let result = check(&alice, Step::Alone, &parts);
            assert!(result.is_err(), "{cut} bytes of part {part}");
        }
    }
}

/// Minutes of it: run by `./check-long`.
#[cfg(feature = "long")]
mod long {
    use super::*;

    #[test]
    fn of_a_million_changed_answers_none_is_taken() {
        change_uses(1_000_000, seed());
    }

    #[test]
    fn of_a_million_changed_makings_none_is_taken_for_what_was_not_asked() {
        change_makings(1_000_000, seed());
    }
}
