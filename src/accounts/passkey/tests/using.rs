//! Each check of a passkey in use: what it lets through, and what it refuses.

use super::authenticator::{
    ALGORITHMS, ATTESTED, BACKED_UP, ELIGIBLE, EXTENSIONS, PRESENT, VERIFIED,
};
use super::*;

const STEPS: [Step; 2] = [Step::Alone, Step::AfterPassword];

/// What an account says to an answer of a device.
fn use_of(
    account: Option<&Account>,
    device: &Authenticator,
    step: Step,
    user: Option<&[u8]>,
) -> Result<Used<()>, Refused> {
    let (client, data, signature) = device.assert(CHALLENGE);
    let answer = Answer {
        id: &device.id,
        client: &client,
        data: &data,
        signature: &signature,
        user,
    };
    party().check(account, step, answer, is_asked)
}

/// What an account says, after the password, to what was made by hand.
fn used_of(
    account: &Account,
    id: &[u8],
    (client, data, signature): (&[u8], &[u8], &[u8]),
) -> Result<Used<()>, Refused> {
    let answer = Answer {
        id,
        client,
        data,
        signature,
        user: None,
    };
    party().check(Some(account), Step::AfterPassword, answer, is_asked)
}

/// What becomes of an answer of a device that is changed in one way after it was made.
fn used_with(step: Step, change: impl FnOnce(&mut Authenticator)) -> Result<(), Refused> {
    let mut device = device(Algorithm::EdDsa);
    let alice = owner("alice", &device);
    device.count += 1;
    change(&mut device);
    let used = use_of(Some(&alice), &device, step, Some(&handle(&alice)));
    used.map(|_| ())
}

#[test]
fn a_good_answer_is_taken_in_both_steps() {
    for algorithm in ALGORITHMS {
        let mut device = device(algorithm);
        let mut alice = owner("alice", &device);
        for step in STEPS {
            device.count += 1;
            let user = handle(&alice);
            let used = use_of(Some(&alice), &device, step, Some(&user))
                .ok()
                .unwrap();
            assert_eq!(used.id().text(), base64url::encode(&device.id));
            assert_eq!(alice.use_passkey(&used, NOW), Ok(()));
            let kept = &alice.passkeys[0];
            assert_eq!((kept.count, kept.used), (device.count, Some(NOW)));
        }
    }
}

#[test]
fn each_check_refuses_for_its_reason_in_both_steps() {
    type Change = fn(&mut Authenticator);
    let changes: [(Change, Refused); 15] = [
        (|device| device.id = vec![1; 32], Refused::Unknown),
        (|device| device.id.clear(), Refused::Unknown),
        (|device| device.id = vec![1; MAX_ID + 1], Refused::Unknown),
        (
            |device| device.rp_id = "example.com".to_owned(),
            Refused::RpId,
        ),
        (|device| device.flags &= !PRESENT, Refused::NotPresent),
        (|device| device.flags |= BACKED_UP, Refused::Backup),
        (|device| device.flags |= ELIGIBLE, Refused::Backup),
        (
            |device| device.flags |= ELIGIBLE | BACKED_UP,
            Refused::Backup,
        ),
        (|device| device.flags |= ATTESTED, Refused::Unreadable),
        (|device| device.more = vec![0xa0], Refused::Unreadable),
        (|device| device.flags |= EXTENSIONS, Refused::Unreadable),
        (
            |device| device.origin = "https://evil-example.com".to_owned(),
            Refused::Origin,
        ),
        (|device| device.origin.push('/'), Refused::Origin),
        (
            |device| device.members = r#","crossOrigin":true"#.to_owned(),
            Refused::Frame,
        ),
        (
            |device| device.members = r#","topOrigin":"""#.to_owned(),
            Refused::Frame,
        ),
    ];
    for step in STEPS {
        assert_eq!(used_with(step, |_| ()), Ok(()));
        for (change, refused) in changes {
            assert_eq!(used_with(step, change), Err(refused));
        }
        let extended = |device: &mut Authenticator| {
            device.flags |= EXTENSIONS;
            device.more = b"\xa1\x61a\xf5".to_vec();
        };
        assert_eq!(used_with(step, extended), Ok(()));
        // Bits that mean nothing yet.
        assert_eq!(
            used_with(step, |device| device.flags |= 1 << 1 | 1 << 5),
            Ok(())
        );
    }
}

#[test]
fn an_answer_to_another_challenge_or_for_making_is_refused() {
    let device = device(Algorithm::Es256);
    let mut alice = owner("alice", &device);
    alice.passkeys[0].count = 0;
    let data = device.data(device.flags);
    for (client, refused) in [
        (device.client("webauthn.get", CHALLENGE), None),
        (
            device.client("webauthn.create", CHALLENGE),
            Some(Refused::Type),
        ),
        (
            device.client("webauthn.get", &CHALLENGE[1..]),
            Some(Refused::Challenge),
        ),
        (device.client("webauthn.get", ""), Some(Refused::Challenge)),
        (
            device.client("webauthn.get", "AAAA"),
            Some(Refused::Challenge),
        ),
        (b"{}".to_vec(), Some(Refused::Unreadable)),
    ] {
        let signature = device.sign(&client, &data);
        let used = used_of(&alice, &device.id, (&client, &data, &signature));
        assert_eq!(used.err(), refused);
    }
}

#[test]
fn alone_the_authenticator_must_have_checked_who_is_there() {
    let touched = |device: &mut Authenticator| device.flags &= !VERIFIED;
    assert_eq!(used_with(Step::Alone, touched), Err(Refused::NotVerified));
    assert_eq!(used_with(Step::AfterPassword, touched), Ok(()));
}

#[test]
fn whose_it_is_must_be_said_alone_and_be_right_always() {
    let mut device = device(Algorithm::EdDsa);
    let (alice, bob) = (owner("alice", &device), owner("bob", &device));
    device.count += 1;
    let (own, others) = (handle(&alice), handle(&bob));
    for (said, alone, after_password) in [
        (Some(&own[..]), None, None),
        (None, Some(Refused::User), None),
        (Some(&others[..]), Some(Refused::User), Some(Refused::User)),
        (Some(&own[1..]), Some(Refused::User), Some(Refused::User)),
        (Some(&[][..]), Some(Refused::User), None),
    ] {
        for (step, refused) in STEPS.into_iter().zip([alone, after_password]) {
            let used = use_of(Some(&alice), &device, step, said);
            assert_eq!(used.err(), refused, "{step:?} {said:?}");
        }
    }
    let mut nameless = alice;
    nameless.handle = None;
    for step in STEPS {
        let used = use_of(Some(&nameless), &device, step, Some(&own));
        assert_eq!(used.err(), Some(Refused::User));
    }
    let used = use_of(Some(&nameless), &device, Step::Alone, None);
    assert_eq!(used.err(), Some(Refused::User));
}

#[test]
fn a_passkey_of_another_account_or_host_or_of_nobody_is_unknown() {
    let mut device = device(Algorithm::EdDsa);
    let mut alice = owner("alice", &device);
    let bob = owner("bob", &self::device(Algorithm::EdDsa));
    device.count += 1;
    for step in STEPS {
        let user = handle(&bob);
        for account in [Some(&bob), None] {
            let used = use_of(account, &device, step, Some(&user));
            assert_eq!(used.err(), Some(Refused::Unknown));
        }
    }
    alice.passkeys[0].rp = "old.example.com".to_owned();
    let used = use_of(Some(&alice), &device, Step::AfterPassword, None);
    assert_eq!(used.err(), Some(Refused::Unknown));
}

#[test]
fn a_page_that_is_too_old_is_told_from_others_whoever_has_the_passkey() {
    let device = device(Algorithm::EdDsa);
    let alice = owner("alice", &device);
    let (client, data, signature) = device.assert(CHALLENGE);
    let check = |account: Option<&Account>, id: &[u8]| {
        let answer = Answer {
            id,
            client: &client,
            data: &data,
            signature: &signature,
            user: None,
        };
        let is_asked = |_: &[u8]| Err::<(), _>(Refused::Expired);
        party().check(account, Step::Alone, answer, is_asked).err()
    };

    assert_eq!(check(Some(&alice), &device.id), Some(Refused::Expired));
    assert_eq!(check(None, b"unknown"), Some(Refused::Expired));
}

#[test]
fn what_another_key_signed_is_refused() {
    for algorithm in ALGORITHMS {
        for other in ALGORITHMS {
            let (mut device, other) = (device(algorithm), device(other));
            let alice = owner("alice", &device);
            device.count += 1;
            let (client, data, _) = device.assert(CHALLENGE);
            let signature = other.sign(&client, &data);
            let used = used_of(&alice, &device.id, (&client, &data, &signature));
            assert_eq!(used.err(), Some(Refused::Signature));
        }
    }
}

#[test]
fn a_counter_that_does_not_grow_is_a_copy_unless_it_never_counts() {
    for (kept, said, refused) in [
        (5, 6, None),
        (5, u32::MAX, None),
        (5, 5, Some(Refused::Copied)),
        (5, 4, Some(Refused::Copied)),
        (5, 0, Some(Refused::Copied)),
        (0, 0, None),
        (0, 1, None),
        (u32::MAX, 0, Some(Refused::Copied)),
    ] {
        let mut device = device(Algorithm::EdDsa);
        let mut alice = owner("alice", &device);
        alice.passkeys[0].count = kept;
        device.count = said;
        let used = use_of(Some(&alice), &device, Step::AfterPassword, None);
        assert_eq!(used.err(), refused, "{kept} {said}");
        // A copy is only what passes all other checks: a stranger's guess is none.
        device.rp_id = "example.com".to_owned();
        let used = use_of(Some(&alice), &device, Step::AfterPassword, None);
        assert_eq!(used.err(), Some(Refused::RpId));
    }
}

#[test]
fn of_two_answers_judged_at_once_the_later_counter_stands() {
    let mut device = device(Algorithm::EdDsa);
    let mut alice = owner("alice", &device);
    device.count = 2;
    let first = use_of(Some(&alice), &device, Step::AfterPassword, None);
    device.count = 3;
    let second = use_of(Some(&alice), &device, Step::AfterPassword, None);
    let (first, second) = (first.ok().unwrap(), second.ok().unwrap());
    assert_eq!(alice.use_passkey(&second, NOW), Ok(()));
    assert_eq!(alice.use_passkey(&first, NOW), Err(Refused::Copied));
    assert_eq!(alice.passkeys[0].count, 3);
    let id = second.id().clone();
    assert!(alice.remove_passkey(&id).is_some());
    assert_eq!(alice.use_passkey(&second, NOW), Err(Refused::Unknown));
}

#[test]
fn only_after_a_password_is_a_passkey_found_to_check_who_is_there() {
    for (step, verified) in STEPS.into_iter().zip([false, true]) {
        let mut device = device(Algorithm::EdDsa);
        device.flags = PRESENT;
        let mut alice = owner("alice", &device);
        (device.flags, device.count) = (PRESENT | VERIFIED, 2);
        let user = handle(&alice);
        let used = use_of(Some(&alice), &device, step, Some(&user))
            .ok()
            .unwrap();
        assert_eq!(alice.use_passkey(&used, NOW), Ok(()));
        assert_eq!(alice.passkeys[0].verified, verified);
    }
}
