use proptest::prelude::*;

use super::*;
use crate::accounts::passkey::CredentialId;

const HASH: &str = "$pbkdf2-sha256$i=600000,l=32$AAAAAAAAAAAAAAAAAAAAAA$\
                    AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn user(email: &str, more: &str) -> String {
    format!(r#"{{"email": "{email}", "password": "{HASH}"{more}}}"#)
}

/// Passkeys with these ids, as further fields of an account.
fn passkeys(ids: &[&str]) -> String {
    let key = format!("pAEBAycgBiFYI{}", "A".repeat(43));
    let one = |id: &&str| {
        format!(r#"{{"id": "{id}", "key": "{key}", "name": "Key", "count": 0, "verified": true,"#)
            + r#""created": "2026-11-22T12:00:00Z", "synced": false, "rp": "auth.example.com"}"#
    };
    let all: Vec<_> = ids.iter().map(one).collect();
    format!(r#", "passkeys": [{}]"#, all.join(", "))
}

fn file(users: &str) -> String {
    format!("{{\"version\": 1,\n\"users\": {{\n{users}}}}}")
}

fn damage(bytes: impl AsRef<[u8]>) -> Damage {
    parse(bytes.as_ref()).err().unwrap()
}

fn rewritten(text: &str) -> String {
    let (accounts, mut format) = parse(text.as_bytes()).unwrap();
    write(&accounts, &mut format)
}

fn write(accounts: &Accounts, format: &mut UsersJson) -> String {
    keeping(accounts, format).0
}

/// What is written, and under what name the file before that is to be kept.
fn keeping(accounts: &Accounts, format: &mut UsersJson) -> (String, Option<&'static str>) {
    let mut out = Vec::new();
    let kept = format.prepare(accounts).unwrap();
    format.write(accounts, &mut out).unwrap();
    format.saved();
    (String::from_utf8(out).unwrap(), kept)
}

/// What is said of version 3.
const LATER: &str = concat!(
    "version 3 is of a later auth_user (this is ",
    env!("CARGO_PKG_VERSION"),
    ")"
);

#[test]
fn no_damaged_file_is_half_read() {
    let good = file(&format!("\"alice\": {}", user("a@b.c", "")));
    assert!(parse(good.as_bytes()).is_ok());
    for end in 0..good.len() {
        assert!(parse(&good.as_bytes()[..end]).is_err(), "{end}");
    }
    let utf16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let cases: [(&[u8], &str); 20] = [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\xef\xbb\xbf{}", "starts with a byte order mark"),
        (b"\xff\xfe{\0}\0", "is in UTF-16, not in UTF-8"),
        (b"\xfe\xff\0{\0}", "is in UTF-16, not in UTF-8"),
        (&utf16, "line 1, column 2: key must be a string"),
        (
            b"{\"version\": 1,\n \"\xff\"",
            "line 2, column 3: is not in UTF-8",
        ),
        (&[0; 4096], "line 1, column 1: expected value"),
        (
            b"[]",
            "line 1, column 1: invalid type: sequence, expected an object with \"version\" and \"users\"",
        ),
        (
            b"null",
            "line 1, column 4: invalid type: null, expected an object with \"version\" and \"users\"",
        ),
        (b"{}", "line 1, column 2: missing field `version`"),
        (
            b"{\"version\": 1}",
            "line 1, column 14: missing field `users`",
        ),
        (b"{\"version\": 3, \"users\": {}}", LATER),
        // Whatever else a later version has.
        (b"{\"users\": [], \"version\": 3}", LATER),
        (
            b"{\"version\": 0, \"users\": {}}",
            "line 1, column 13: version is not 1",
        ),
        (
            b"{\"version\": 3.0, \"users\": {}}",
            "line 1, column 15: version is not 1",
        ),
        (
            b"{\"version\": \"1\", \"users\": {}}",
            "line 1, column 15: version is not 1",
        ),
        (
            b"{\"version\": 1, \"users\": null}",
            "line 1, column 28: invalid type: null, expected an object of accounts by name",
        ),
        (
            b"{\"version\": 1, \"users\": {}} {}",
            "line 1, column 29: trailing characters",
        ),
        (
            b"{\"version\": 1, \"users\": {}, \"users\": {}}",
            "line 1, column 35: \"users\" is there twice",
        ),
    ];
    for (bytes, said) in cases {
        let text = String::from_utf8_lossy(bytes);
        assert_eq!(damage(bytes).to_string(), said, "{text}");
    }
}

#[test]
fn an_account_that_breaks_a_rule_is_named_by_line() {
    let cases = [
        ("\"a b\"", user("a@b.c", ""), "\"a b\" is not a username"),
        ("\"\"", user("a@b.c", ""), "\"\" is not a username"),
        (
            "\"c\"",
            user("a b", ""),
            "the e-mail of \"c\" is not an address",
        ),
        (
            "\"BOB\"",
            user("c@b.c", ""),
            "there are two accounts named \"BOB\", give or take upper case",
        ),
        (
            "\"bob\"",
            user("c@b.c", ""),
            "there are two accounts named \"bob\", give or take upper case",
        ),
        (
            "\"c\"",
            user("BOB@Example.com", ""),
            "the e-mail of \"c\" is another account's too",
        ),
        (
            "\"c\"",
            user("c@b.c", &passkeys(&["Ag", "Ag"])),
            "the passkey \"Ag\" of \"c\" is there twice, or another account's too",
        ),
        (
            "\"c\"",
            user("c@b.c", &passkeys(&[""])),
            "not the id of a passkey in base64url",
        ),
        (
            "\"c\"",
            user("c@b.c", ",\"handle\": \"AAAA\""),
            "not a handle of 32 bytes in base64url",
        ),
        (
            "\"c\"",
            user("c@b.c", ",\"x\": 1, \"x\": 2"),
            "\"x\" is there twice",
        ),
        (
            "\"c\"",
            user("c@b.c", ",\"email\": \"d@b.c\""),
            "duplicate field `email`",
        ),
        ("\"c\"", "{}".to_owned(), "missing field `email`"),
        (
            "\"c\"",
            "null".to_owned(),
            "invalid type: null, expected struct Account",
        ),
        (
            "\"c\"",
            user("c@b.c", "").replace("600000", "10000001"),
            "password has a round count outside 1 to 10,000,000",
        ),
        (
            "\"c\"",
            user("c@b.c", "").replace("600000", "0"),
            "password has a round count outside 1 to 10,000,000",
        ),
        (
            "\"c\"",
            user("c@b.c", "").replace("32$", "32$!"),
            "password has a salt that is not 1 to 64 bytes in base64 without padding",
        ),
    ];
    for (name, account, said) in cases {
        let text = file(&format!(
            "\"bob\": {},\n{name}: {account}\n",
            user("bob@example.com", "")
        ));
        let damage = damage(text);
        assert_eq!(damage.reason, said);
        assert_eq!(damage.place.unwrap().0, 4, "{said}");
    }
}

#[test]
fn what_is_said_of_a_file_repeats_no_value_from_it() {
    for wrong in [
        ",\"totp\": \"SECRET, expected SECRET\"",
        ",\"totp\": {\"secret\": \"SECRET1\"}",
        ",\"disabled\": \"SECRET\"",
        ",\"recovery_codes\": [\"SECRET\"]",
        ",\"groups\": \"SECRET\"",
    ] {
        let said = damage(file(&format!("\"a\": {}", user("a@b.c", wrong)))).to_string();
        assert!(!said.contains("SECRET"), "{said}");
    }
    let number = file(&format!("\"a\": {}", user("a@b.c", ",\"totp\": 271828")));
    let said = damage(number).reason;
    assert_eq!(said, "invalid type: integer, expected struct Totp");
}

#[test]
fn a_passkey_of_two_accounts_is_damage_and_one_removed_by_hand_is_gone() {
    let two = |ids: &[&str]| {
        let (alice, bob) = (passkeys(&["Ag", "AQ"]), passkeys(ids));
        let (alice, bob) = (user("a@b.c", &alice), user("b@b.c", &bob));
        file(&format!("\"alice\": {alice},\n\"bob\": {bob}\n"))
    };
    let said = damage(two(&["Aw", "AQ"]));
    assert_eq!(
        said.to_string(),
        "line 4, column 5: the passkey \"AQ\" of \"bob\" is there twice, or another account's too"
    );
    let (accounts, _) = parse(two(&["Aw"]).as_bytes()).unwrap();
    let owner = |id| {
        let id = CredentialId::parse(id)?;
        Some(accounts.owner_of(&id)?.username.clone())
    };
    assert_eq!(owner("AQ").as_deref(), Some("alice"));
    assert_eq!(owner("Aw").as_deref(), Some("bob"));
    assert_eq!(owner("BA"), None);
    let text = rewritten(&two(&["Aw"]));
    assert!(text.contains("\"rp\": \"auth.example.com\""));
    assert_eq!(rewritten(&text), text);
}

/// Access tokens with these ids and hashes, as a further field of an account.
fn tokens(all: &[(&str, &str)]) -> String {
    let one = |(id, letter): &(&str, &str)| {
        format!(
            r#"{{"id": "{id}", "hash": "{}A", "name": "Phone", "#,
            letter.repeat(42)
        ) + r#""hosts": ["app.example.com"], "created": "2026-11-22T12:00:00Z", "#
            + r#""expires": "2027-11-22T12:00:00Z", "mine": [1]}"#
    };
    let all: Vec<_> = all.iter().map(one).collect();
    format!(r#", "tokens": [{}]"#, all.join(", "))
}

#[test]
fn a_token_of_two_accounts_or_of_another_shape_is_damage() {
    let two = |bob: &str| {
        let alice = user("a@b.c", &tokens(&[("one", "A"), ("two", "B")]));
        let bob = user("b@b.c", bob);
        file(&format!("\"alice\": {alice},\n\"bob\": {bob}\n"))
    };
    for (bob, said) in [
        (
            tokens(&[("three", "C"), ("four", "B")]),
            "line 4, column 5: the access token \"four\" of \"bob\" is there twice, or another account's too",
        ),
        (
            tokens(&[("three", "C"), ("three", "D")]),
            "line 4, column 5: the access token \"three\" of \"bob\" is there twice, or another account's too",
        ),
    ] {
        assert_eq!(damage(two(&bob)).to_string(), said);
    }
    let good = tokens(&[("one", "C")]);
    for (from, to) in [
        ("CCCC", "C!CC"),
        (
            "\"hosts\": [\"app.example.com\"]",
            "\"hosts\": \"app.example.com\"",
        ),
        ("2027-11-22T12:00:00Z", "tomorrow"),
        ("\"id\": \"one\", ", ""),
        ("[{", "{"),
    ] {
        let damaged = two(&good.replacen(from, to, 1));
        assert!(parse(damaged.as_bytes()).is_err(), "{from}");
    }
    // The same id in two accounts says nothing about whose token it is.
    let (accounts, _) = parse(two(&good).as_bytes()).unwrap();
    assert_eq!(accounts.find("bob").unwrap().tokens.len(), 1);
    let text = rewritten(&two(&good));
    assert!(text.contains("\"mine\""), "{text}");
    assert_eq!(rewritten(&text), text);
}

#[test]
fn unknown_fields_and_the_order_of_everything_survive() {
    let text = format!(
        r#"{{
  "comment": [
    "hello\n world",
    {{
      "deep": null
    }}
  ],
  "users": {{
    "Zoe": {{
      "email": "zoe@example.com",
      "email_proven": false,
      "password": "{HASH}",
      "groups": [],
      "recovery_codes": [],
      "disabled": false,
      "seal": "Zoe zoe@example.com TOgxJHnrZaYv - enabled -",
      "z": {{}},
      "a": 1.50,
      "n": [
        22222222222222222222222222222222222222221,
        0.1000000000000000055511151231257827
      ]
    }},
    "adam": {{
      "email": "adam@example.com",
      "email_proven": false,
      "password": "{HASH}",
      "groups": [],
      "recovery_codes": [],
      "disabled": true,
      "seal": "adam adam@example.com TOgxJHnrZaYv - disabled -"
    }}
  }},
  "version": 1,
  "last": "é"
}}
"#
    );

    assert_eq!(rewritten(&text), text);
}

#[test]
fn no_accounts_are_written_as_none() {
    let expected = "{\n  \"version\": 1,\n  \"users\": {}\n}\n";

    assert_eq!(
        write(&Accounts::default(), &mut UsersJson::default()),
        expected
    );
    assert_eq!(rewritten("{\"version\":1,\"users\":{}}"), expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Compares with the same accounts written without anything kept from earlier saves.
    #[test]
    fn what_is_kept_of_earlier_saves_never_shows(
        steps in proptest::collection::vec(("[a-h]", 0..4), 0..60),
    ) {
        let mut accounts = Accounts::default();
        let mut kept = UsersJson::default();
        for (name, step) in steps {
            match step {
                0 => drop(accounts.remove(&name)),
                1 => drop(accounts.change(&name, |account| account.disabled ^= true)),
                2 => {
                    let text = user(&format!("{name}@b.c"), "");
                    let mut account: Account = serde_json::from_str(&text).unwrap();
                    account.username = name;
                    let _ = accounts.add(account);
                }
                _ => prop_assert_eq!(
                    write(&accounts, &mut kept),
                    write(&accounts, &mut UsersJson::default())
                ),
            }
        }
        let text = write(&accounts, &mut kept);
        prop_assert_eq!(&text, &write(&accounts, &mut UsersJson::default()));
        prop_assert_eq!(rewritten(&text), text);
    }

    #[test]
    fn no_bytes_break_the_reader(bytes: Vec<u8>) {
        let _ = parse(&bytes);
    }
}

#[test]
fn an_account_may_have_no_address_and_no_password_if_the_file_says_so() {
    let text = file(
        r#""alice": {"email": null, "password": null}, "bob": {"email": null, "password": null}"#,
    );
    let (accounts, _) = parse(text.as_bytes()).unwrap();
    let alice = accounts.find("alice").unwrap();
    assert!(alice.email.is_none() && alice.password.is_none());
    let written = rewritten(&text);
    assert!(written.contains("\"email\": null,\n"), "{written}");
    assert!(written.contains("\"password\": null,\n"), "{written}");
    // The seal holds, so that nothing counts as edited at the next reading.
    assert!(parse(written.as_bytes()).unwrap().1.unsealed.is_empty());

    for (without, missing) in [
        (r#"{"password": null}"#, "missing field `email`"),
        (r#"{"email": null}"#, "missing field `password`"),
    ] {
        let reason = damage(file(&format!("\"alice\": {without}"))).reason;
        assert!(reason.contains(missing), "{reason}");
    }
}

#[test]
fn the_version_is_raised_with_the_first_account_that_0_1_0_could_not_read() {
    let foreign = "$2b$04$abcdefghijklmnopqrstuuZ7dJHlmXVW7Yd3FAOGUaSzqqj7T4dPi";
    let asked = r#", "mails": [{"at": "2026-11-22T12:00:00Z", "network": "192.0.2.1"}]"#;
    for account in [
        format!(r#"{{"email": null, "password": "{HASH}"}}"#),
        r#"{"email": "a@b.c", "password": null}"#.to_owned(),
        format!(r#"{{"email": "a@b.c", "password": "{foreign}"}}"#),
        user("a@b.c", asked),
        user("a@b.c", r#", "created": "yesterday""#),
    ] {
        let text = file(&format!(
            r#""bob": {}, "alice": {account}"#,
            user("b@b.c", "")
        ));
        let (accounts, mut format) = parse(text.as_bytes()).unwrap();
        let (written, kept) = keeping(&accounts, &mut format);
        assert!(written.starts_with("{\n  \"version\": 2,\n"), "{written}");
        assert_eq!(kept, Some(".v1"));
        // Once, and not again when it is read.
        assert_eq!(keeping(&accounts, &mut format).1, None);
        let (mut accounts, mut format) = parse(written.as_bytes()).unwrap();
        assert_eq!(keeping(&accounts, &mut format), (written, None));
        accounts.remove("alice");
        let (written, kept) = keeping(&accounts, &mut format);
        assert!(written.contains("\"version\": 2,") && kept.is_none());
    }
}

#[test]
fn a_file_that_0_1_0_can_read_stays_one() {
    let times = r#", "mails": ["2026-11-22T12:00:00Z"], "created": null, "note": {"a": null}"#;
    let old = r#", "created": "1969-12-31T23:59:59Z""#;
    let users = [
        format!(r#""alice": {}"#, user("a@b.c", times)),
        format!(r#""bob": {}"#, user("b@b.c", old)),
        format!(r#""carol": {}"#, user("c@b.c", &passkeys(&["AQ"]))),
    ];
    let (accounts, mut format) = parse(file(&users.join(",")).as_bytes()).unwrap();
    let (written, kept) = keeping(&accounts, &mut format);
    assert!(
        written.contains("\"version\": 1,") && kept.is_none(),
        "{written}"
    );
    // As 0.1.0 wrote it, which reads nothing else there.
    assert!(
        written.contains("\"2026-11-22T12:00:00Z\"\n      ]"),
        "{written}"
    );
}

#[test]
fn what_could_not_be_saved_is_kept_the_next_time() {
    let text = file(r#""alice": {"email": null, "password": null}"#);
    let (accounts, mut format) = parse(text.as_bytes()).unwrap();
    for _ in 0..2 {
        assert_eq!(format.prepare(&accounts).unwrap(), Some(".v1"));
    }
    format.saved();
    assert_eq!(format.prepare(&accounts).unwrap(), None);
}
