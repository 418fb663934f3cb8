//! Each check of a new passkey: what it lets through, and what it refuses.

use super::authenticator::{ALGORITHMS, ATTESTED, BACKED_UP, ELIGIBLE, EXTENSIONS, PRESENT};
use super::*;

/// What becomes of a new passkey of a device that is changed in one way.
fn made_with(change: impl FnOnce(&mut Authenticator)) -> Result<(), Refused> {
    let mut device = device(Algorithm::EdDsa);
    change(&mut device);
    made_by(&device).map(|_| ())
}

/// What becomes of these bytes.
fn made_of(client: &[u8], attestation: &[u8]) -> Result<(), Refused> {
    let answer = Making {
        client,
        attestation,
    };
    party().make(answer, is_asked).map(|_| ())
}

#[test]
fn a_good_one_is_taken_with_all_it_says() {
    for algorithm in ALGORITHMS {
        let device = device(algorithm);
        let made = made_by(&device).ok().unwrap();
        assert_eq!(made.id.text(), base64url::encode(&device.id));
        assert_eq!(made.key.cose(), device.cose());
        assert_eq!((made.count, made.verified, made.synced), (1, true, false));
    }
    let mut synced = device(Algorithm::Es256);
    (synced.flags, synced.count) = (PRESENT | ELIGIBLE | BACKED_UP, 0);
    let made = made_by(&synced).ok().unwrap();
    assert_eq!((made.count, made.verified, made.synced), (0, false, true));
}

#[test]
fn each_check_of_the_head_refuses_for_its_reason() {
    assert_eq!(made_with(|_| ()), Ok(()));
    for (change, refused) in [
        (
            (|device| device.rp_id = "example.com".to_owned()) as fn(&mut Authenticator),
            Refused::RpId,
        ),
        (|device| device.flags &= !PRESENT, Refused::NotPresent),
        (|device| device.flags |= BACKED_UP, Refused::Backup),
        (|device| device.id.clear(), Refused::Id),
        (|device| device.id = vec![1; MAX_ID + 1], Refused::Id),
        (|device| device.more = vec![0], Refused::Unreadable),
        (|device| device.more = vec![0xa0], Refused::Unreadable),
        (
            |device| device.origin = "https://auth.example.com".to_owned(),
            Refused::Origin,
        ),
        (
            |device| device.origin = "https://auth.example.com:8443/".to_owned(),
            Refused::Origin,
        ),
        (
            |device| device.origin = "http://auth.example.com:8443".to_owned(),
            Refused::Origin,
        ),
        (
            |device| device.origin = "https://AUTH.example.com:8443".to_owned(),
            Refused::Origin,
        ),
        (
            |device| device.members = r#","crossOrigin":true"#.to_owned(),
            Refused::Frame,
        ),
        (
            |device| device.members = r#","topOrigin":"https://auth.example.com:8443""#.to_owned(),
            Refused::Frame,
        ),
        (
            |device| device.members = r#","crossOrigin":false,"topOrigin":null"#.to_owned(),
            Refused::Frame,
        ),
    ] {
        assert_eq!(made_with(change), Err(refused));
    }
    assert_eq!(made_with(|device| device.id = vec![1; MAX_ID]), Ok(()));
    assert_eq!(made_with(|device| device.members.clear()), Ok(()));
}

#[test]
fn client_data_is_read_as_json_and_strictly() {
    let device = device(Algorithm::EdDsa);
    let (client, attestation) = device.make(CHALLENGE);
    let text = String::from_utf8(client).unwrap();
    let of = |text: &str| made_of(text.as_bytes(), &attestation);
    for (text, result) in [
        (text.clone(), Ok(())),
        (format!("\u{feff}{text}"), Ok(())),
        (format!(" {text}\n"), Ok(())),
        (text.replace("auth.", r"\u0061uth."), Ok(())),
        (
            text.replace("\"crossOrigin\"", "\"later\":{\"a\":[1]},\"crossOrigin\""),
            Ok(()),
        ),
        (text.replace("create", "get"), Err(Refused::Type)),
        (
            text.replace("webauthn.create", "WebAuthn.create"),
            Err(Refused::Type),
        ),
        (text.replace("AAEC", "AAED"), Err(Refused::Challenge)),
        (text.replace("Hh8", "Hh9"), Err(Refused::Challenge)),
        (text.replace("Hh8", "Hh8="), Err(Refused::Challenge)),
        (text.replace(CHALLENGE, ""), Err(Refused::Challenge)),
        (String::new(), Err(Refused::Unreadable)),
        ("null".to_owned(), Err(Refused::Unreadable)),
        (format!("[{text}]"), Err(Refused::Unreadable)),
        (format!("{text}x"), Err(Refused::Unreadable)),
        (text.replace("false", "\"false\""), Err(Refused::Unreadable)),
        (text.replace("false", "null"), Err(Refused::Unreadable)),
        (
            text.replace("\"type\"", "\"kind\""),
            Err(Refused::Unreadable),
        ),
        (
            text.replace("\"origin\"", "\"origins\""),
            Err(Refused::Unreadable),
        ),
        (
            text.replace("{", "{\"type\":\"webauthn.create\","),
            Err(Refused::Unreadable),
        ),
        (
            text.replace("}", ",\"origin\":\"https://auth.example.com:8443\"}"),
            Err(Refused::Unreadable),
        ),
        (
            text.replace("}", ",\"crossOrigin\":true}"),
            Err(Refused::Unreadable),
        ),
        (
            text.replace("}", &format!(",\"x\":{}}}", "[".repeat(1000))),
            Err(Refused::Unreadable),
        ),
    ] {
        assert_eq!(of(&text), result, "{text}");
    }
    let not_text = [text.as_bytes(), b"\xff"].concat();
    assert_eq!(made_of(&not_text, &attestation), Err(Refused::Unreadable));
}

#[test]
fn an_attestation_object_has_three_members_and_no_more_bytes() {
    let device = device(Algorithm::Es256);
    let (client, good) = device.make(CHALLENGE);
    let data = device.data(device.flags | ATTESTED);
    let length = u16::try_from(data.len()).unwrap().to_be_bytes();
    let member = [b"\x68authData\x59", &length[..], &data].concat();
    let of = |parts: &[&[u8]]| made_of(&client, &parts.concat());
    let (fmt, statement) = (&b"\x63fmt\x64none"[..], &b"\x67attStmt\xa0"[..]);

    assert_eq!(made_of(&client, &good), Ok(()));
    // In any order, with any statement: it is not looked at.
    assert_eq!(of(&[b"\xa3", &member, statement, fmt]), Ok(()));
    let odd = b"\x67attStmt\xa2\x63sig\x41\x00\x63x5c\x81\x41\x00";
    assert_eq!(of(&[b"\xa3\x63fmt\x67strange", odd, &member]), Ok(()));
    for parts in [
        &[&b"\xa2"[..], fmt, &member][..],
        &[b"\xa2", statement, &member],
        &[b"\xa2", fmt, statement],
        &[b"\xa3", fmt, statement, &member, b"\x00"],
        &[b"\xa4", fmt, statement, &member, &member],
        &[b"\xa4", fmt, fmt, statement, &member],
        &[b"\xa4", fmt, statement, statement, &member],
        &[b"\xa4", fmt, statement, &member, b"\x61x\x00"],
        &[b"\xa4", fmt, statement, &member, b"\x01\x02"],
        &[b"\xa3\x63fmt\x01", statement, &member],
        &[b"\xa3", fmt, b"\x67attStmt\x00", &member],
        &[b"\xa3", fmt, statement, b"\x68authData\x60"],
        &[b"\x83", fmt, statement, &member],
        &[],
    ] {
        assert_eq!(of(parts), Err(Refused::Unreadable), "{parts:?}");
    }
    for cut in 0..good.len() {
        assert_eq!(made_of(&client, &good[..cut]), Err(Refused::Unreadable));
    }
    let without = Authenticator::attestation(&device.data(device.flags));
    assert_eq!(made_of(&client, &without), Err(Refused::Unreadable));
}

#[test]
fn outputs_of_extensions_are_passed_over_if_they_are_well_formed() {
    let of = |more: &[u8]| {
        made_with(|device| {
            device.flags |= EXTENSIONS;
            device.more = more.to_vec();
        })
    };
    for more in [
        &b"\xa0"[..],
        b"\xa1\x6bcredProtect\x02",
        b"\xa1\x61a\xa1\x61b\x82\xf5\xf9\x3c\x00",
    ] {
        assert_eq!(of(more), Ok(()));
    }
    for more in [
        &b""[..],
        b"\xa1",
        b"\xa0\x00",
        b"\x80",
        b"\x02",
        b"\xbf\xff",
        b"\xa1\x61a\xc0\x00",
    ] {
        assert_eq!(of(more), Err(Refused::Unreadable), "{more:?}");
    }
}

/// What becomes of a passkey with this key.
fn with_key(cose: &[u8]) -> Result<(), Refused> {
    let device = device(Algorithm::EdDsa);
    let mut data = device.data(device.flags | ATTESTED);
    data.truncate(data.len() - device.cose().len());
    data.extend(cose);
    let client = device.client("webauthn.create", CHALLENGE);
    made_of(&client, &Authenticator::attestation(&data))
}

#[test]
fn a_key_is_of_an_algorithm_that_was_asked_for_and_sound() {
    let [ed, es, rs] = ALGORITHMS.map(|algorithm| device(algorithm).cose());
    let changed = |cose: &[u8], at: usize, byte: u8| {
        let mut cose = cose.to_vec();
        cose[at] = byte;
        cose
    };
    for good in [&ed, &es, &rs] {
        assert_eq!(with_key(good), Ok(()));
    }
    for (key, refused) in [
        // Of another kind or curve than its algorithm.
        (changed(&ed, 2, 2), Refused::Key),
        (changed(&ed, 6, 7), Refused::Key),
        (changed(&es, 2, 1), Refused::Key),
        (changed(&es, 6, 2), Refused::Key),
        (changed(&rs, 2, 2), Refused::Key),
        // ES384 and another that was not asked for.
        (
            [&es[..4], &[0x38, 0x22], &es[5..]].concat(),
            Refused::Algorithm,
        ),
        (changed(&es, 4, 0x25), Refused::Algorithm),
        (changed(&ed, 4, 0x26), Refused::Key),
        (changed(&es, 4, 0x27), Refused::Key),
        // A label that keys do not have, or one twice, or none.
        (changed(&ed, 5, 0x24), Refused::Key),
        (changed(&es, 43 - 1, 0x21), Refused::Key),
        (changed(&ed, 3, 2), Refused::Key),
        (vec![0xa0], Refused::Key),
        (vec![0x01], Refused::Key),
        (vec![0xa1, 1, 1], Refused::Key),
        // A point that is not on the curve.
        (
            [&es[..10], &[1; 32], &[0x22, 0x58, 32], &[1; 32]].concat(),
            Refused::Key,
        ),
        (
            [&es[..9], &[31], &[1; 31], &[0x22, 0x58, 32], &[1; 32]].concat(),
            Refused::Key,
        ),
        ([&ed[..9], &[31], &[1; 31]].concat(), Refused::Key),
        // Compressed.
        ([&es[..42], &[0x22, 0xf5]].concat(), Refused::Key),
        // RSA with another exponent, an even modulus, one with a zero before it, and a short one.
        (changed(&rs, rs.len() - 1, 3), Refused::Key),
        (changed(&rs, rs.len() - 6, 0), Refused::Key),
        (changed(&rs, 11, 0), Refused::Key),
        (
            [&rs[..8], &[0x58, 128], &[0xff; 128], &rs[rs.len() - 5..]].concat(),
            Refused::Key,
        ),
    ] {
        assert_eq!(with_key(&key), Err(refused), "{key:02x?}");
    }
}
