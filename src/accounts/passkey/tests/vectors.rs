//! The test vectors of the standard (Level 3, 16), each judged.

use serde::Deserialize;

use super::*;

#[derive(Clone, Deserialize)]
struct Vector {
    name: String,
    reg_challenge: String,
    reg_client: String,
    att: String,
    cred: String,
    auth_challenge: String,
    auth_client: String,
    auth_data: String,
    sig: String,
}

fn vectors() -> Vec<Vector> {
    let text = include_str!("../../../../tests/data/webauthn-vectors.json");
    serde_json::from_str(text).unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap()
}

fn site() -> RelyingParty {
    party_at("https://example.org/").unwrap()
}

/// Judges whether it is this.
fn asked(challenge: &str) -> impl FnOnce(&[u8]) -> Result<(), Refused> {
    let challenge = bytes(challenge);
    move |said| ensure(said == challenge, Refused::Challenge)
}

fn make(vector: &Vector) -> Result<Made<()>, Refused> {
    let (client, attestation) = (bytes(&vector.reg_client), bytes(&vector.att));
    let answer = Making {
        client: &client,
        attestation: &attestation,
    };
    site().make(answer, asked(&vector.reg_challenge))
}

fn keep(made: &Made<()>) -> Account {
    let mut account = account("alice");
    let passkey = Passkey::new(made, &site(), "Key", Vec::new(), NOW);
    account.passkeys.push(passkey);
    account
}

fn check(vector: &Vector, account: &Account) -> Result<Used<()>, Refused> {
    let (id, client) = (bytes(&vector.cred), bytes(&vector.auth_client));
    let (data, signature) = (bytes(&vector.auth_data), bytes(&vector.sig));
    let answer = Answer {
        id: &id,
        client: &client,
        data: &data,
        signature: &signature,
        user: None,
    };
    let asked = asked(&vector.auth_challenge);
    site().check(Some(account), Step::AfterPassword, answer, asked)
}

/// Why those outside our scope are refused.
const OUTSIDE: [(&str, Refused); 5] = [
    ("none-es256-crossOrigin", Refused::Frame),
    ("none-es256-topOrigin", Refused::Frame),
    ("packed-es384", Refused::Algorithm),
    ("packed-es512", Refused::Algorithm),
    ("packed-ed448", Refused::Algorithm),
];

#[test]
fn each_vector_is_taken_or_refused_for_its_reason() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 15);
    let mut taken = 0;
    for vector in &vectors {
        let (name, made) = (&vector.name, make(vector));
        if let Some((_, refused)) = OUTSIDE.iter().find(|(outside, _)| outside == name) {
            assert_eq!(made.err(), Some(*refused), "{name}");
            continue;
        }
        let made = made.ok().unwrap();
        assert_eq!(made.id.text(), base64url::encode(bytes(&vector.cred)));
        let used = check(vector, &keep(&made));
        assert_eq!(used.err(), None, "{name}");
        taken += 1;
    }
    assert_eq!(taken, 10);
}

#[test]
fn the_use_of_a_vector_in_a_frame_is_refused_too() {
    let all = vectors();
    let plain = all
        .iter()
        .find(|vector| vector.name == "none-es256")
        .unwrap();
    let account = keep(&make(plain).ok().unwrap());
    for framed in all.iter().filter(|vector| vector.name.ends_with("Origin")) {
        let framed = Vector {
            cred: plain.cred.clone(),
            ..framed.clone()
        };
        assert_eq!(check(&framed, &account).err(), Some(Refused::Frame));
    }
}

#[test]
fn a_vector_of_one_key_is_none_of_another() {
    let all = vectors();
    let taken: Vec<(&Vector, Account)> = all
        .iter()
        .filter_map(|vector| Some((vector, keep(&make(vector).ok()?))))
        .collect();
    for (vector, account) in &taken {
        for (other, _) in &taken {
            let mut swapped = account.clone();
            swapped.passkeys[0].id = CredentialId::new(&bytes(&other.cred)).unwrap();
            // So that only the key differs.
            swapped.passkeys[0].synced = keep(&make(other).ok().unwrap()).passkeys[0].synced;
            let refused = check(other, &swapped).err();
            let expected = (vector.name != other.name).then_some(Refused::Signature);
            assert_eq!(refused, expected, "{} by {}", other.name, vector.name);
        }
    }
}
