use serde_json::json;

use super::*;
use crate::accounts::devices::Device;
use crate::accounts::ids::AccountId;
use crate::accounts::kept::Created;
use crate::accounts::mailed::{Asked, MailedPassword};
use crate::accounts::networks::KnownNetwork;
use crate::accounts::password::PasswordHash;
use crate::accounts::shown_again::ShownAgain;
use crate::accounts::token::Digest;
use crate::accounts::totp::Secret;
use crate::accounts::{Totp, WrongCodes};
use crate::clock::Timestamp;
use crate::network::Network;

fn said(text: &str) -> Vec<String> {
    in_text(text.as_bytes())
        .0
        .iter()
        .map(ToString::to_string)
        .collect()
}

/// What is said about an account with these fields, which begin in column 15.
fn said_of(fields: &str) -> Vec<String> {
    said(&format!("{{\"users\": {{\n  \"alice\": {{{fields}}}}}}}"))
}

#[test]
fn a_name_one_or_two_letters_off_is_a_slip() {
    for (name, meant) in [
        ("disbled", "disabled"),
        ("disabeld", "disabled"),
        ("disabledd", "disabled"),
        ("dissabledd", "disabled"),
        ("disapled", "disabled"),
        ("diasbeld", "disabled"),
        ("Disabled", "disabled"),
        ("DISABLED", "disabled"),
        ("dizabled ", "disabled"),
        ("group", "groups"),
        ("Gropus", "groups"),
        ("totpp", "totp"),
        ("topt", "totp"),
        ("otp", "totp"),
        ("TOTP", "totp"),
        ("ID", "id"),
        ("device", "devices"),
        ("create", "created"),
        ("recovery-code", "recovery_codes"),
        ("dis\\u0062led", "disabled"),
    ] {
        let said = said_of(&format!("\"{name}\": 1"));
        let name = name.replace("\\u0062", "b");
        let expected =
            format!("line 2, column 13: {name:?} is no field that is read; is {meant:?} meant?");
        assert_eq!(said, [expected]);
    }
}

#[test]
fn others_own_fields_are_no_slips() {
    for name in [
        "pager",
        "note",
        "label",
        "dsbld",
        "able",
        "tptp1",
        "tottpp",
        "",
        "gr",
        "user",
        "comment",
        "phone",
        "äöü",
        "created_by",
        "disabled_by",
    ] {
        assert_eq!(said_of(&format!("\"{name}\": 1")), [""; 0], "{name}");
    }
    // The field that the name is close to is there as well.
    assert_eq!(said_of("\"disabled\": true, \"disbled\": 1"), [""; 0]);
    assert_eq!(said_of("\"groups\": [], \"group\": 1"), [""; 0]);
    // A field within somebody else's object, a name or a value is not a slip.
    assert_eq!(
        said_of("\"mine\": {\"disbled\": [{\"totpp\": 1}]}"),
        [""; 0]
    );
    assert_eq!(
        said("{\"users\": {\"disbled\": {}, \"totpp\": {}}}"),
        [""; 0]
    );
    assert_eq!(said_of("\"groups\": [\"disbled\"]"), [""; 0]);
}

#[test]
fn a_slip_is_found_in_every_object_that_is_read() {
    for (fields, name, meant) in [
        (
            "\"totp\": {\"secret\": \"A\", \"laststep\": 1}",
            "laststep",
            "last_step",
        ),
        (
            "\"wrong_codes\": {\"cuont\": 1, \"last\": \"\"}",
            "cuont",
            "count",
        ),
        (
            "\"devices\": [{\"id\": 1}, {\"id\": 2, \"craeted\": \"\"}]",
            "craeted",
            "created",
        ),
        (
            "\"devices\": [{\"id\": 1, \"wrong_code\": {}}]",
            "wrong_code",
            "wrong_codes",
        ),
        (
            "\"devices\": [{\"wrong_codes\": {\"lst\": 1}}]",
            "lst",
            "last",
        ),
        (
            "\"mailed_passwords\": [{\"digst\": \"\"}]",
            "digst",
            "digest",
        ),
        (
            "\"mails\": [{\"at\": \"\", \"netwrok\": \"\"}]",
            "netwrok",
            "network",
        ),
        (
            "\"networks\": [{\"network\": \"\", \"lastlogin\": 1}]",
            "lastlogin",
            "last_login",
        ),
    ] {
        let column = 13 + fields.find(&format!("{name:?}")).unwrap();
        let expected = format!(
            "line 2, column {column}: {name:?} is no field that is read; is {meant:?} meant?"
        );
        assert_eq!(said_of(fields), [expected], "{fields}");
    }
    assert_eq!(
        said("{\"version\": 1,\n\"é\": 1, \"usres\": {}}"),
        ["line 2, column 9: \"usres\" is no field that is read; is \"users\" meant?"]
    );
}

#[test]
fn a_time_that_cannot_be_read_is_a_slip() {
    assert_eq!(
        said_of("\"created\": \"yesterday\""),
        ["line 2, column 13: \"created\" is no time such as 2026-11-22T12:00:00Z; it is not shown"]
    );
    assert_eq!(said_of("\"created\": null"), [""; 0]);
    assert_eq!(said_of("\"created\": \"2026-11-22T12:00:00Z\""), [""; 0]);
}

#[test]
fn of_many_slips_the_first_are_told_and_the_others_counted() {
    let users: Vec<String> = (0..10_000)
        .map(|n| format!("\"user{n}\": {{\"disbled\": 1}}"))
        .collect();
    let text = format!("{{\"users\": {{{}}}}}", users.join(","));

    let (slips, more) = in_text(text.as_bytes());

    assert_eq!((slips.len(), more), (50, 9_950));
}

#[test]
fn no_text_is_too_odd() {
    for text in [
        "",
        "{",
        "{\"",
        "{\"\\",
        "{\"users\"",
        "{\"users\":",
        "{\"users\": {\"a\": {\"totpp\"",
        "[",
        "[[",
        "[,]",
        "{,}",
        "{\"users\": [{]}",
        "nul",
        "1.5e",
        "}",
        ":",
        "\"",
    ] {
        let _ = in_text(text.as_bytes());
    }
    let deep = "[".repeat(1_000_000);
    assert!(in_text(deep.as_bytes()).0.is_empty());
    let deep = deep.replace('[', "{\"users\":");
    assert!(in_text(deep.as_bytes()).0.is_empty());
}

/// An account with everything in it. Whoever adds a field to accounts is led here.
fn full() -> Account {
    let digest = Digest::of("");
    let wrong_codes = WrongCodes {
        count: 1,
        last: std::time::Duration::ZERO,
        other: Unknown::default(),
    };
    let network = Network::of([192, 0, 2, 1].into());
    let passkey = json!({
        "id": "AA", "key": format!("pAEBAycgBiFYI{}", "A".repeat(43)), "name": "", "count": 0,
        "created": "2026-11-22T12:00:00Z", "used": "2026-11-22T12:00:00Z", "verified": true,
        "synced": true, "transports": ["usb"], "rp": "",
    });
    let token = json!({
        "id": "a", "hash": "A".repeat(43), "name": "", "hosts": [], "used": "2026-11-22T12:00:00Z",
        "created": "2026-11-22T12:00:00Z", "expires": "2026-11-22T12:00:00Z",
    });
    Account {
        email_proven: true,
        id: Some(AccountId::new()),
        last_login: Some(Timestamp(1)),
        username: "alice".to_owned(),
        email: Some("a@b.c".to_owned()),
        password: Some(PasswordHash::quick()),
        created: Created::At(Timestamp(1)),
        groups: Vec::new(),
        totp: Some(Totp {
            secret: Secret::new(),
            last_step: 1,
            other: Unknown::default(),
        }),
        handle: serde_json::from_value(json!("A".repeat(43))).ok(),
        passkeys: vec![serde_json::from_value(passkey).unwrap()],
        tokens: vec![serde_json::from_value(token).unwrap()],
        recovery_codes: vec![digest],
        disabled: false,
        generation: 1,
        kept_session: Some(digest),
        shown_again: vec![ShownAgain {
            session: digest,
            at: Timestamp(1),
            other: Unknown::default(),
        }],
        mailed_passwords: vec![MailedPassword {
            digest,
            expires: Timestamp(1),
            other: Unknown::default(),
        }],
        mails: vec![Asked {
            at: Timestamp(1),
            network: Some(network),
            other: Unknown::default(),
        }],
        wrong_codes: wrong_codes.clone(),
        devices: vec![Device {
            id: digest,
            created: Timestamp(1),
            last_used: Some(Timestamp(1)),
            agent: "curl".to_owned(),
            wrong_codes,
            other: Unknown::default(),
        }],
        networks: vec![KnownNetwork {
            network,
            last_login: Timestamp(1),
            other: Unknown::default(),
        }],
        registered: true,
        seal: Some(String::new()),
        other: Unknown::default(),
    }
}

#[test]
fn every_field_an_account_is_written_with_is_known_here() {
    let text = json!({ "version": 1, "users": { "alice": full() } }).to_string();
    fn check(value: &serde_json::Value, shape: Shape) {
        let entries = value.as_object().into_iter().flatten();
        match shape {
            Names(fields) => entries.for_each(|(_, value)| check(value, Fields(fields))),
            Fields(fields) => {
                for (name, value) in entries {
                    let known = fields.iter().find(|(known, _)| known == name);
                    check(
                        value,
                        known.unwrap_or_else(|| panic!("{name} is not known")).1,
                    );
                }
                for value in value.as_array().into_iter().flatten() {
                    check(value, shape);
                }
            }
            _ => assert!(!value.is_object(), "{value}"),
        }
    }
    check(&serde_json::from_str(&text).unwrap(), Fields(FILE));
}
