//! What is kept of passkeys, who has which, and what browsers are told.

use serde_json::json;

use super::*;
use crate::accounts::Accounts;
use crate::clock::Timestamp;

/// Everybody with these accounts.
fn accounts(all: impl IntoIterator<Item = Account>) -> Accounts {
    let mut accounts = Accounts::default();
    for account in all {
        accounts.add(account).unwrap();
    }
    accounts
}

#[test]
fn a_passkey_is_kept_in_words_that_an_operator_can_read() {
    let device = device(Algorithm::Es256);
    let passkey = passkey_of(&device);
    let written = serde_json::to_value(&passkey).unwrap();
    let expected = json!({
        "id": base64url::encode(&device.id),
        "key": base64url::encode(device.cose()),
        "name": "Key",
        "created": "2027-01-15T08:00:00Z",
        "used": null,
        "count": 1,
        "verified": true,
        "synced": false,
        "transports": ["usb"],
        "rp": "auth.example.com",
    });
    assert_eq!(written, expected);
    let read: Passkey = serde_json::from_value(expected.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), expected);

    let mut odd = expected.clone();
    odd["note"] = json!("blue");
    let read: Passkey = serde_json::from_value(odd.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), odd);

    for field in [
        "id", "key", "name", "created", "count", "verified", "synced", "rp",
    ] {
        let mut cut = expected.clone();
        cut.as_object_mut().unwrap().remove(field);
        assert!(serde_json::from_value::<Passkey>(cut).is_err(), "{field}");
    }
    for (field, value) in [
        ("id", json!("")),
        ("id", json!("!")),
        ("id", json!(base64url::encode([0; MAX_ID + 1]))),
        ("key", json!("oA")),
        ("key", json!("")),
        ("created", json!(1)),
        ("count", json!(-1)),
        ("count", json!(4_294_967_296_u64)),
        ("verified", json!("yes")),
        ("transports", json!("usb")),
    ] {
        let mut wrong = expected.clone();
        wrong[field] = value;
        assert!(serde_json::from_value::<Passkey>(wrong).is_err(), "{field}");
    }
}

#[test]
fn an_account_keeps_its_handle_and_nobody_has_the_same() {
    let mut alice = account("alice");
    let plain = serde_json::to_value(&alice).unwrap();
    assert!(plain.get("handle").is_none() && plain.get("passkeys").is_none());
    let first = alice.give_handle().clone();
    assert!(first == *alice.give_handle());
    assert_eq!(handle(&alice).len(), 32);
    assert_ne!(
        handle(&alice),
        handle(&owner("bob", &device(Algorithm::EdDsa)))
    );
    let read: Account = serde_json::from_value(serde_json::to_value(&alice).unwrap()).unwrap();
    assert!(read.handle == alice.handle);
    for wrong in ["", "AAAA", "not base64"] {
        let mut written = serde_json::to_value(&alice).unwrap();
        written["handle"] = json!(wrong);
        assert!(serde_json::from_value::<Account>(written).is_err());
    }
}

#[test]
fn an_account_has_ten_passkeys_and_no_two_accounts_have_the_same() {
    let mut all = accounts([account("alice"), account("bob")]);
    let mut passkey = passkey_of(&device(Algorithm::EdDsa));
    for n in 0..10 {
        assert!(all.find("alice").unwrap().may_add_passkey());
        passkey.id = CredentialId::new(&[n]).unwrap();
        assert_eq!(all.add_passkey("Alice", passkey.clone()), Ok(()));
    }
    assert!(!all.find("alice").unwrap().may_add_passkey());
    for name in ["alice", "bob"] {
        let again = all.add_passkey(name, passkey.clone());
        assert_eq!(again, Err(NotAdded::Known), "{name}");
    }
    passkey.id = CredentialId::new(&[10]).unwrap();
    assert_eq!(
        all.add_passkey("alice", passkey.clone()),
        Err(NotAdded::TooMany)
    );
    assert_eq!(
        all.add_passkey("carol", passkey.clone()),
        Err(NotAdded::NoAccount)
    );
    assert_eq!(all.add_passkey("bob", passkey), Ok(()));
}

#[test]
fn whose_a_passkey_is_follows_every_change() {
    let (one, two) = (device(Algorithm::EdDsa), device(Algorithm::EdDsa));
    let id = |device: &Authenticator| CredentialId::new(&device.id).unwrap();
    let mut all = accounts([owner("Alice", &one), account("bob")]);
    let owner_of = |all: &Accounts, device| all.owner_of(&id(device)).map(|of| of.username.clone());
    assert_eq!(owner_of(&all, &one).as_deref(), Some("Alice"));
    assert_eq!(owner_of(&all, &two), None);

    all.add_passkey("bob", passkey_of(&two)).unwrap();
    assert_eq!(owner_of(&all, &two).as_deref(), Some("bob"));
    let before = all.clone();
    all.change("alice", |alice| alice.remove_passkey(&id(&one)));
    assert_eq!(owner_of(&all, &one), None);
    all.remove("bob");
    assert_eq!(owner_of(&all, &two), None);
    // The copy that is not saved yet does not touch what others see.
    assert_eq!(owner_of(&before, &one).as_deref(), Some("Alice"));
    assert_eq!(owner_of(&before, &two).as_deref(), Some("bob"));

    // Under another name it is still the same person's.
    let mut renamed = before.clone();
    let now = Timestamp(1_800_000_000);
    renamed.rename("alice", "Alicia", now).unwrap();
    assert_eq!(owner_of(&renamed, &one).as_deref(), Some("Alicia"));
    renamed.rename("Alicia", "ALICIA", now).unwrap();
    assert_eq!(owner_of(&renamed, &one).as_deref(), Some("ALICIA"));

    // Whatever is done to another account, a passkey stays its first owner's.
    let mut all = before;
    let stolen = passkey_of(&one);
    all.change("bob", |bob| bob.passkeys.push(stolen));
    all.change("bob", |bob| bob.passkeys.clear());
    assert_eq!(owner_of(&all, &one).as_deref(), Some("Alice"));
}

#[test]
fn accounts_with_passkeys_for_another_host_are_counted() {
    let (mut alice, mut bob) = (
        owner("alice", &device(Algorithm::EdDsa)),
        owner("bob", &device(Algorithm::EdDsa)),
    );
    alice.passkeys.push(passkey_of(&device(Algorithm::EdDsa)));
    for passkey in &mut alice.passkeys {
        passkey.rp = "old.example.com".to_owned();
    }
    assert_eq!(alice.passkeys_for(&party()).count(), 0);
    bob.passkeys[0].rp = "AUTH.example.com".to_owned();
    let carol = owner("carol", &device(Algorithm::EdDsa));
    let all = accounts([alice, bob, carol]);
    assert_eq!(all.with_passkeys_elsewhere(party().id()), 2);
}

#[test]
fn an_owner_is_told_of_a_copy_once_a_day_whatever_the_clock_was() {
    let mut alice = owner("alice", &device(Algorithm::EdDsa));
    let (id, at) = (alice.passkeys[0].id.clone(), Timestamp(1_800_000_000));
    let mut told = |now| alice.note_copy(&id, Timestamp(now)).is_some();
    assert!(told(at.0));
    assert!(!told(at.0 + 86_399));
    assert!(told(at.0 + 86_400));
    assert!(told(at.0), "it was noted while the clock was wrong");
    let other = CredentialId::new(b"other").unwrap();
    assert!(alice.note_copy(&other, at).is_none());
}

#[test]
fn transports_are_plain_words_known_or_not() {
    for (text, words) in [
        ("", &[][..]),
        ("  ", &[]),
        ("internal hybrid", &["internal", "hybrid"]),
        (" usb  smart-card x9 ", &["usb", "smart-card", "x9"]),
    ] {
        assert_eq!(transports(text).unwrap(), words, "{text}");
    }
    for text in ["usb,nfc", "usb\tnfc", "üsb", "a_b", "\"", &"a ".repeat(129)] {
        assert_eq!(transports(text), None, "{text}");
    }
}

#[test]
fn options_are_those_of_the_standard() {
    let (one, old) = (device(Algorithm::EdDsa), device(Algorithm::EdDsa));
    let mut alice = owner("Alice", &one);
    alice.passkeys.push(passkey_of(&old));
    alice.passkeys[1].rp = "old.example.com".to_owned();
    let (party, user) = (party(), base64url::encode(handle(&alice)));
    let known = json!([{
        "type": "public-key", "id": base64url::encode(&one.id), "transports": ["usb"],
    }]);

    let given = alice.handle.clone().unwrap();
    let options = party.creation_options(&alice, &given, "CCC".to_owned());
    assert_eq!(
        serde_json::to_value(options).unwrap(),
        json!({
            "challenge": "CCC",
            "rp": { "id": "auth.example.com", "name": "Example" },
            "user": { "id": user, "name": "Alice", "displayName": "Alice" },
            "pubKeyCredParams": [
                { "type": "public-key", "alg": -8 },
                { "type": "public-key", "alg": -7 },
                { "type": "public-key", "alg": -257 },
            ],
            "timeout": 300_000,
            "excludeCredentials": known,
            "authenticatorSelection": {
                "residentKey": "preferred", "userVerification": "preferred",
            },
            "attestation": "none",
        })
    );
    assert_eq!(
        serde_json::to_value(party.options_alone("CCC".to_owned())).unwrap(),
        json!({
            "challenge": "CCC",
            "rpId": "auth.example.com",
            "timeout": 300_000,
            "userVerification": "required",
        })
    );
    let options = party.options_after_password(&alice, "CCC".to_owned());
    assert_eq!(
        serde_json::to_value(options).unwrap(),
        json!({
            "challenge": "CCC",
            "rpId": "auth.example.com",
            "timeout": 300_000,
            "userVerification": "discouraged",
            "allowCredentials": known,
        })
    );
    alice.passkeys.remove(0);
    assert!(
        party
            .options_after_password(&alice, String::new())
            .is_none()
    );
}
