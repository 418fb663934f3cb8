use std::path::Path;

use super::*;
use crate::accounts::Accounts;
use crate::accounts::password::PasswordHash;

const HASH: &str = "$apr1$AzX9D5Tq$aNSgNAhWBtryIp8GKSfyF.";
const NOW: Timestamp = Timestamp(1_800_000_000);

fn wanted(format: Format) -> Wanted<'static> {
    Wanted {
        format,
        file: Path::new("-"),
        email_domain: None,
        local_names: false,
    }
}

fn found(format: Format, text: &str) -> Found {
    let read = match format {
        Format::Csv => csv::read(text),
        Format::Htpasswd => Ok(htpasswd::read(text)),
        Format::Authelia => authelia::read(text),
        Format::Django => django::read(text),
    };
    read.unwrap_or_else(|why| panic!("{}", why.what))
}

fn taken(wanted: &Wanted<'_>, text: &str) -> Vec<(u64, Account)> {
    let judged = judge_all(
        found(wanted.format, text),
        &Accounts::default(),
        wanted,
        NOW,
    );
    let (accounts, imported) = judged.unwrap_or_else(|bad| panic!("{}", bad[0].why));
    let lines = imported.into_iter().map(|one| one.line);
    lines.zip(accounts).collect()
}

/// Each bad line with its name, and what is said of it.
fn refused(wanted: &Wanted<'_>, text: &str) -> Vec<(u64, String, String)> {
    let judged = judge_all(
        found(wanted.format, text),
        &Accounts::default(),
        wanted,
        NOW,
    );
    let bad = judged.err().unwrap_or_else(|| panic!("{text} is taken"));
    bad.into_iter()
        .map(|bad| (bad.line, bad.username, bad.why))
        .collect()
}

fn not_of_format(format: Format, text: &str) -> NotOfFormat {
    let read = match format {
        Format::Csv => csv::read(text),
        Format::Htpasswd => unreachable!("any text is lines"),
        Format::Authelia => authelia::read(text),
        Format::Django => django::read(text),
    };
    read.err()
        .unwrap_or_else(|| panic!("{text} is of the format"))
}

#[test]
fn a_table_has_any_of_three_separators_and_its_columns_in_any_order() {
    for (text, line) in [
        (
            format!("username,email,password_hash\nalice,a@x.org,{HASH}\n"),
            2,
        ),
        (
            format!("Password_Hash; EMAIL ;User name\n{HASH};a@x.org;alice"),
            2,
        ),
        (
            format!("email\tpassword_hash\tUSERNAME\na@x.org\t{HASH}\talice\n"),
            2,
        ),
        (
            format!("\n\nusername,email,password_hash\n\n\n\"alice\",\"a@x.org\",{HASH}\n"),
            6,
        ),
        (
            format!("username;email;password_hash\n;;\nalice;a@x.org;{HASH}\n ;\"\"; \n;;\n"),
            3,
        ),
    ] {
        let accounts = taken(&wanted(Format::Csv), &text);
        let (at, account) = &accounts[0];
        assert_eq!((*at, accounts.len()), (line, 1), "{text}");
        assert_eq!(account.username, "alice");
        assert_eq!(account.email.as_deref(), Some("a@x.org"));
        assert!(account.email_proven && !account.registered);
    }
}

#[test]
fn a_table_says_who_is_disabled_and_in_which_groups() {
    let text = format!(
        "username,email,groups,disabled,password_hash\n\
         a,a@x.org,\"admins, staff;b c\",YES,{HASH}\n\
         \"b\",\"b@x.org\",,0,\"{HASH}\"\n\
         c,,users,,{HASH}\n"
    );
    let accounts = taken(&wanted(Format::Csv), &text);
    assert_eq!(accounts[0].1.groups, ["users", "admins", "staff", "b", "c"]);
    assert!(accounts[0].1.disabled && !accounts[1].1.disabled);
    assert_eq!(accounts[2].1.email, None);
    assert!(!accounts[2].1.email_proven);
    assert_eq!(accounts[2].1.groups, ["users"]);
}

#[test]
fn tables_with_other_columns_are_no_tables_of_accounts() {
    for (text, named, hinted) in [
        ("", "empty", "names the columns"),
        (
            "username\nalice\n",
            "no column \"email\"",
            "names the columns",
        ),
        ("username,email,pager\n", "\"pager\"", "names the columns"),
        (
            "username,email,EMAIL\n",
            "two columns \"email\"",
            "names the columns",
        ),
        ("username,email,password\n", "\"password\"", "password_hash"),
        ("username,email,password\n", "\"password\"", "invitations"),
    ] {
        let why = not_of_format(Format::Csv, text);
        assert!(why.what.contains(named), "{text}: {}", why.what);
        assert!(why.hint.contains(hinted), "{text}: {}", why.hint);
    }
}

#[test]
fn every_bad_line_of_a_table_is_named_with_why() {
    let text = format!(
        "username,email,groups,disabled,password_hash\n\
         alice,a@x.org,,,{HASH}\n\
         b b,b@x.org,,,{HASH}\n\
         c,c@,,,{HASH}\n\
         ALICE,d@x.org,,,{HASH}\n\
         e,A@X.org,,,{HASH}\n\
         f,f@x.org,a/b,,{HASH}\n\
         g,g@x.org,,maybe,{HASH}\n\
         h,h@x.org,,,{HASH},more\n\
         i,i@x.org\n\
         j,j@x.org,,,hunter22\n\
         k,k@x.org,,,$2b$15$LsDUJ0zr8OgQZmZD3rv8Lu3iOi40yg6pj8Xg89AtcOzfzDeb9B2au\n\
         l,,,,\n"
    );
    let bad = refused(&wanted(Format::Csv), &text);
    for ((line, name, why), (expected, named, said)) in bad.iter().zip([
        (3, "b b", "not a name"),
        (4, "c", "c@ is not an e-mail address"),
        (5, "ALICE", "in line 2 already"),
        (6, "e", "address is in line 2 already"),
        (7, "f", "a group is"),
        (8, "g", "\"maybe\""),
        (9, "h", "6 columns instead of 5"),
        (10, "i", "2 columns instead of 5"),
        (11, "j", "clear text"),
        (12, "k", "cost above 14"),
        (13, "l", "neither a password hash nor an address"),
    ]) {
        assert_eq!((*line, name.as_str()), (expected, named), "{why}");
        assert!(why.contains(said), "{why}");
    }
    assert_eq!(bad.len(), 11);
}

#[test]
fn htpasswd_has_names_and_hashes_alone() {
    let text = format!("# ours\n\nalice:{HASH}\n  \nbob:{HASH} \n");
    let accounts = taken(&wanted(Format::Htpasswd), &text);
    assert_eq!((accounts[0].0, accounts[1].0), (3, 5));
    assert_eq!(accounts[0].1.email, None);
    let with_domain = Wanted {
        email_domain: Some("x.org"),
        ..wanted(Format::Htpasswd)
    };
    let (_, alice) = &taken(&with_domain, &text)[0];
    assert_eq!(alice.email.as_deref(), Some("alice@x.org"));
    assert!(!alice.email_proven);
    let (_, bob) = &taken(&with_domain, "bob:\n")[0];
    assert!(bob.password.is_none(), "is mailed a link");
    let bad = refused(
        &wanted(Format::Htpasswd),
        "alice\nbob:\ncarol:$1$saltsalt$2vnaRpHa6Jxjz5n83ok8Z0\n",
    );
    let whys: Vec<&str> = bad.iter().map(|(_, _, why)| why.as_str()).collect();
    assert_eq!(
        whys[..2],
        [
            "it is not NAME:HASH",
            "it has neither a password hash nor an address"
        ]
    );
    assert!(whys[2].contains("MD5-crypt"));
}

#[test]
fn authelia_s_users_are_taken_with_what_stands_below_them() {
    let text = format!(
        "---\n# people\nusers:\n  alice:\n    disabled: false\n    displayname: 'Alice'\n    \
         password: '{{CRYPT}}{HASH}'\n    email: 'a@x.org'\n    groups:\n      - 'admins'\n      \
         - dev\n  'bob':\n    password: \"{HASH}\"\n    email: b@x.org\n    disabled: true\n    \
         groups: []\n    address:\n      locality: here\n"
    );
    let accounts = taken(&wanted(Format::Authelia), &text);
    let (line, alice) = &accounts[0];
    assert_eq!((*line, alice.username.as_str()), (4, "alice"));
    assert_eq!(alice.groups, ["users", "admins", "dev"]);
    assert!(alice.email_proven && !alice.disabled);
    assert_eq!(serde_json::to_value(&alice.password).unwrap(), HASH);
    let (line, bob) = &accounts[1];
    assert_eq!(
        (*line, bob.username.as_str(), bob.disabled),
        (12, "bob", true)
    );
}

#[test]
fn odd_entries_of_authelia_are_bad_and_other_yaml_is_not_of_authelia() {
    let text = format!(
        "users:\n  a: text\n  b:\n    disabled: perhaps\n  c:\n    groups: [[x]]\n  d:\n    \
         groups: ['a b']\n    password: {HASH}\n  e:\n    email: a@x.org\n    email: b@x.org\n"
    );
    let bad = refused(&wanted(Format::Authelia), &text);
    let said: Vec<(u64, &str)> = bad
        .iter()
        .map(|(line, _, why)| (*line, why.as_str()))
        .collect();
    assert_eq!(said[0], (2, "it has no fields"));
    assert_eq!(said[1], (3, "disabled is not what it should be"));
    assert_eq!(said[2], (5, "groups is not what it should be"));
    assert!(said[3].0 == 7 && said[3].1.starts_with("a group is"));
    assert_eq!(said[4], (10, "email is there twice"));
    let deep = "[".repeat(100);
    for (text, named) in [
        ("", "empty"),
        ("people: {}\n", "no users:"),
        ("users: [a]\n", "no names"),
        ("users: &a\n  b: *a\n", "aliases"),
        ("users: {\n", "not of Authelia"),
        (&deep, "nested too deeply"),
    ] {
        let why = not_of_format(Format::Authelia, text).what;
        assert!(why.contains(named), "{text}: {why}");
    }
    assert!(found(Format::Authelia, "users:\n").is_empty());
}

#[test]
fn django_s_users_are_taken_with_their_groups_and_when_they_joined() {
    let text = format!(
        r#"[
{{"model": "auth.permission", "pk": 1, "fields": {{"name": "x"}}}},
{{"model": "auth.user", "pk": 7, "fields": {{"username": "alice", "email": "a@x.org",
  "password": "{HASH}", "is_active": true, "is_staff": true, "is_superuser": true,
  "date_joined": "2020-01-02T03:04:05.678Z", "groups": [2, ["natural"]]}}}},

  {{"model": "accounts.user", "pk": 8, "fields": {{"username": "bob", "email": "",
  "password": "{HASH}", "is_active": false, "date_joined": "2020-01-02T03:04:05"}}}},
{{"model": "auth.group", "pk": 2, "fields": {{"name": "editors"}}}}]"#
    );
    let accounts = taken(&wanted(Format::Django), &text);
    let (line, alice) = &accounts[0];
    assert_eq!((*line, alice.username.as_str()), (3, "alice"));
    assert_eq!(alice.groups, ["users", "editors", "natural"]);
    assert_eq!(alice.created.at(), Some(Timestamp(1_577_934_245)));
    assert!(!alice.email_proven && alice.totp.is_none());
    let (line, bob) = &accounts[1];
    assert_eq!((*line, bob.disabled), (7, true));
    assert_eq!(bob.email, None);
    assert_eq!(bob.created.at(), Some(Timestamp(1_577_934_245)));
}

fn django_user(name: &str, more: &str) -> String {
    format!(r#"{{"model":"auth.user","fields":{{"username":"{name}","password":"{HASH}"{more}}}}}"#)
}

#[test]
fn odd_users_of_django_are_bad_and_other_json_is_not_of_django() {
    let text = [
        django_user("a", r#","groups":[9]"#),
        django_user("b", r#","date_joined":"yesterday""#),
        django_user("c", r#","is_active":"no""#),
        django_user("d", "").replace(HASH, "!unusable"),
        django_user("e", "").replace(HASH, "sha1$salt$aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"),
        django_user("f", r#","groups":[["a b"]]"#),
    ];
    let text = format!("[{}]", text.join(",\n"));
    let bad = refused(&wanted(Format::Django), &text);
    for ((line, _, why), (expected, said)) in bad.iter().zip([
        (1, "no group 9"),
        (2, "\"yesterday\""),
        (3, "invalid type"),
        (4, "neither a password hash nor an address"),
        (5, "SHA-1 hash of Django"),
        (6, "a group is"),
    ]) {
        assert_eq!(*line, expected, "{why}");
        assert!(why.contains(said), "{why}");
    }
    assert_eq!(bad.len(), 6);
    for text in ["", "{}", "[1]", r#"[{"pk":1}]"#, "[{]"] {
        let why = not_of_format(Format::Django, text).what;
        assert!(why.contains("not what Django prints"), "{why}");
    }
}

#[test]
fn a_name_that_is_an_address_becomes_its_local_part_if_asked() {
    let text = format!(
        "[{},\n{},\n{}]",
        django_user("alice@x.org", ""),
        django_user("bob", r#","email":"bob@x.org""#),
        django_user("Carol@x.org", r#","email":"c@x.org""#),
    );
    let plain = wanted(Format::Django);
    let bad = refused(&plain, &text);
    assert_eq!(bad.len(), 2);
    assert_eq!(bad[0].2, "an address is not a name");
    let NotImported::Bad { hint, .. } = refusal(
        vec![Bad::new(1, "alice@x.org", "an address is not a name")],
        1,
        &plain,
    ) else {
        panic!("it is refused")
    };
    assert!(hint.contains("--local-names"));

    let local = Wanted {
        local_names: true,
        ..plain
    };
    let accounts = taken(&local, &text);
    assert_eq!(accounts[0].1.username, "alice");
    assert_eq!(accounts[0].1.email.as_deref(), Some("alice@x.org"));
    assert_eq!(accounts[2].1.username, "Carol");
    assert_eq!(accounts[2].1.email.as_deref(), Some("c@x.org"));

    let two = format!(
        "[{},\n{}]",
        django_user("alice@x.org", ""),
        django_user("ALICE@y.org", "")
    );
    let bad = refused(&local, &two);
    assert_eq!(bad.len(), 2, "both");
    assert!(bad.iter().all(|(_, _, why)| why.contains("--local-names")));
}

#[test]
fn an_account_that_exists_makes_its_line_a_bad_one() {
    let mut known = Accounts::default();
    let hash = PasswordHash::parse(HASH).ok().unwrap();
    known
        .add(Account::new("alice", "a@x.org", hash, NOW))
        .unwrap();
    let text = format!("username,email,password_hash\nAlice,b@x.org,{HASH}\nbob,A@X.org,{HASH}\n");
    let wanted = wanted(Format::Csv);
    let bad = judge_all(found(Format::Csv, &text), &known, &wanted, NOW)
        .err()
        .unwrap();
    assert_eq!(bad[0].why, "The user already exists.");
    assert_eq!(bad[1].why, "User with this email already exists");
}

#[test]
fn a_reserved_name_is_not_given_by_shortening_an_address() {
    let mut local = wanted(Format::Django);
    local.local_names = true;
    let user = |name: &str| {
        format!(
            r#"[{{"model": "auth.user", "fields": {{"username": "{name}", "password": "md5$a$b"}}}}]"#
        )
        .replace("md5$a$b", "pbkdf2_sha256$1000$c2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
    };

    for name in ["root@evil.example", "Admin@evil.example"] {
        let bad = refused(&local, &user(name));
        assert_eq!(bad.len(), 1);
        assert!(bad[0].2.contains("only given on purpose"), "{bad:?}");
    }
    // What an operator wrote is what they want.
    assert_eq!(taken(&local, &user("root"))[0].1.username, "root");
    assert_eq!(taken(&local, &user("rooter@evil.example")).len(), 1);
}

#[test]
fn what_a_table_has_beside_its_quotes_is_not_guessed_at() {
    let csv = wanted(Format::Csv);
    let bad = refused(
        &csv,
        "username,email\n\"alice\"x,alice@example.com\nbob\r,bob@example.com\n\"a\rb\",c@d.example\n",
    );
    let said = |line, what: &str| {
        bad.iter()
            .any(|(at, _, why)| *at == line && why.contains(what))
    };
    assert!(said(2, "text after a closing quote"), "{bad:?}");
    assert!(said(3, "carriage return"), "{bad:?}");
    assert!(said(4, "carriage return"), "{bad:?}");
    let why = not_of_format(Format::Csv, "username,email\ralice,alice@example.com\n").what;
    assert!(why.contains("carriage return"), "{why}");

    let good = "username,email,groups\n\"alice\",\"alice@example.com\",\"a,b\"\nbob,bob@example.com,\"\"\n";
    assert_eq!(taken(&csv, good).len(), 2);
    assert!(
        csv::read("\"user\"\"name\",email\n").is_err_and(|why| why.what.contains("user\\\"name"))
    );
}

#[test]
fn a_second_document_is_not_left_out_in_silence() {
    let one = format!("users:\n  alice:\n    password: '{HASH}'\n    email: alice@example.com\n");
    let two = format!("{one}---\nusers:\n  bob:\n    email: bob@example.com\n");

    assert_eq!(
        taken(&wanted(Format::Authelia), &format!("---\n{one}...\n")).len(),
        1
    );
    let why = not_of_format(Format::Authelia, &two).what;
    assert!(why.contains("a second document begins"), "{why}");
}
