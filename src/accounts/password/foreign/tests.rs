use proptest::prelude::*;
use unicode_normalization::UnicodeNormalization as _;

use super::super::{PasswordHash, ROUNDS, Work, verify};
use super::*;

/// Passwords, and hashes of them that other programs have made or document: htpasswd 2.4,
/// mkpasswd 5.5 with libxcrypt, argon2 20171227, Django 3.2, Authelia's guides.
const MADE: [(&str, &str); 15] = [
    (
        "pw123456",
        "$2y$10$/HC432Zr67DCzfHJ.fkL/.GX9lRqbBXwq/qet34VdUesgc1njb.fu",
    ),
    (
        "pw123456",
        "$2a$05$1zsJi5AVanY6bOVAf4nmsOcI/8MfWxxpnDGAkk/UE1oEKhI/F1u2y",
    ),
    (
        "pw123456",
        "bcrypt$$2b$05$LsDUJ0zr8OgQZmZD3rv8Lu3iOi40yg6pj8Xg89AtcOzfzDeb9B2au",
    ),
    (
        "pw123456",
        "bcrypt_sha256$$2b$12$Y11bHVkgEbJ0HFZREsBuU.dzF./b/s9wz9n6NDAWhCH4lN9/4CRGy",
    ),
    ("pw123456", "$apr1$AzX9D5Tq$aNSgNAhWBtryIp8GKSfyF."),
    ("pw123456", "{SHA}Ms2EQc2lmw7rHrFPnnn/TCu5TQs="),
    (
        "pw123456",
        "{CRYPT}$6$rounds=50000$wQx5ZUHLvqov4vNQ$aQ1zEnobGEW.6v50.3SN6owBzhep/Kth/.bSpF4UDvUbgY1ouwLm.tBVH4wcxakBooTIeETDXLKI/v/7nrXSv1",
    ),
    (
        "pw123456",
        "$5$jQjmfc3jOcQyceqm$sOqOqi2SIVvzMwLJDOMLFckDUNNqwy0wg8v5miEhj7C",
    ),
    (
        "pw123456",
        "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$GwFEbmO3lexLwC3Do4UKZS5gtBiPEblwI53sjMG+xSA",
    ),
    (
        "pw123456",
        "$argon2i$v=19$m=4096,t=3,p=1$c2FsdHNhbHQ$BtRNfhjRNnuvvZvcQyYaGc8MflojhMfphKYbdvC3UDU",
    ),
    (
        "pw123456",
        "argon2$argon2id$v=19$m=102400,t=2,p=8$Nkc3YWxtWDluZVBIdEJvRnlrWDZkVw$BlM+tEpv+tnYRfhSU6MjKw",
    ),
    (
        "pw123456",
        "pbkdf2_sha256$260000$OsZASIsaoxF1LD3aYhLJ4q$Xjd3LLmZRPiEYyU/L9heKxI/Jt/Mqz0lnk7WUURRwYQ=",
    ),
    (
        "authelia",
        "$6$rounds=50000$BpLnfgDsc2WD8F2q$Zis.ixdg9s/UOJYrs56b5QEZFiZECu0qZVNsIYxBaNJ7ucIL.nlxVCT5tqh8KHG8X4tlwCFm5r6NTOZZ5qRFN/",
    ),
    (
        "password",
        "$argon2id$v=19$m=65536,t=3,p=2$BpLnfgDsc2WD8F2q$o/vzA4myCqZZ36bUGsDY//8mKUYNZZaR0t4MFFSs+iM",
    ),
    (
        "insecure_secret",
        "$pbkdf2-sha512$310000$c8p78n7pUMln0jzvd4aK4Q$JNRBzwAo0ek5qKn50cFzzvE9RXV88h1wJn5KGiHrD0YKtZaR/nCb2CJPOsKaPK0hjf.9yHxzQGZziziccp6Yng",
    ),
];

fn read(text: &str) -> PasswordHash {
    PasswordHash::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"))
}

fn refused(text: &str) -> &'static str {
    PasswordHash::parse(text)
        .err()
        .unwrap_or_else(|| panic!("{text} is taken"))
}

#[test]
fn hashes_made_elsewhere_prove_their_password_and_no_other() {
    for (password, text) in MADE {
        let hash = read(text);
        assert!(verify(Some(&hash), &Password::new(password)), "{text}");
        let other = format!("{password} ");
        assert!(!verify(Some(&hash), &Password::new(&other)), "{text}");
        assert!(hash.is_weak() && hash.is_foreign(), "{text}");
    }
}

#[test]
fn a_hash_is_written_as_it_came_without_what_precedes_it() {
    for (_, text) in MADE {
        let written = serde_json::to_value(read(text)).unwrap();
        assert_eq!(written, text.trim_start_matches("{CRYPT}"));
    }
}

#[test]
fn a_password_is_tried_as_typed_and_then_normalised() {
    let normal: String = "wo\u{308}rter".nfc().collect();
    let digest = |text: &str| {
        let digest = sha1::Sha1::digest(text.as_bytes());
        base64::Engine::encode(&base64::engine::general_purpose::STANDARD, digest)
    };
    for made_of in ["wo\u{308}rter", &normal] {
        let hash = read(&format!("{{SHA}}{}", digest(made_of)));
        assert!(verify(Some(&hash), &Password::new("wo\u{308}rter")));
    }
    let hash = read(&format!("{{SHA}}{}", digest("wo\u{308}rter")));
    assert!(!verify(Some(&hash), &Password::new(&normal)), "not typed");
}

#[test]
fn bcrypt_looks_at_72_bytes_and_django_s_at_all_of_them() {
    let scheme = |of_sha256| {
        let hash = "abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui";
        bcrypt::parse("04", hash, of_sha256).ok().unwrap()
    };
    let long = "x".repeat(72);
    let longer = format!("{long} and more");
    let gives = |of_sha256, text: &str| scheme(of_sha256).compute(text.as_bytes());
    assert_eq!(gives(false, &long), gives(false, &longer));
    assert_ne!(gives(false, &long[..71]), gives(false, &long));
    assert_ne!(gives(true, &long), gives(true, &longer));
}

#[test]
fn what_is_dearer_than_the_dearest_is_refused_before_it_is_tried() {
    let bcrypt =
        |cost: u32| format!("$2b${cost:02}$LsDUJ0zr8OgQZmZD3rv8Lu3iOi40yg6pj8Xg89AtcOzfzDeb9B2au");
    let argon2 = |costs: &str| {
        format!("$argon2id$v=19${costs}$c2FsdHNhbHQ$GwFEbmO3lexLwC3Do4UKZS5gtBiPEblwI53sjMG+xSA")
    };
    let django = |rounds: &str| {
        format!("pbkdf2_sha256${rounds}$salt$Xjd3LLmZRPiEYyU/L9heKxI/Jt/Mqz0lnk7WUURRwYQ=")
    };
    let authelia = |rounds: &str| format!("$pbkdf2${rounds}$c2FsdA$Xjd3LLmZRPiEYyU/L9heKxI/Jt/");
    let crypt = |rounds: &str| {
        format!("$5$rounds={rounds}$salt$sOqOqi2SIVvzMwLJDOMLFckDUNNqwy0wg8v5miEhj7C")
    };
    for (taken, dearer, said) in [
        (bcrypt(14), bcrypt(15), "cost above 14"),
        (
            argon2("m=131072,t=8,p=16"),
            argon2("m=131073,t=1,p=1"),
            "m above 131072",
        ),
        (
            argon2("m=65536,t=16,p=1"),
            argon2("m=65536,t=17,p=1"),
            "t times m above 1048576",
        ),
        (
            argon2("m=1024,t=1,p=16"),
            argon2("m=1024,t=1,p=17"),
            "p above 16",
        ),
        (
            django("10000000"),
            django("10000001"),
            "more than 10,000,000 rounds",
        ),
        (
            authelia("10000000"),
            authelia("99999999999"),
            "more than 10,000,000 rounds",
        ),
        (
            crypt("1000000"),
            crypt("1000001"),
            "more than 1,000,000 rounds",
        ),
        (
            crypt("1000"),
            crypt("99999999999"),
            "more than 1,000,000 rounds",
        ),
    ] {
        read(&taken);
        let why = refused(&dearer);
        assert!(why.contains(said), "{dearer}: {why}");
    }
}

#[test]
fn kinds_that_are_not_taken_are_named() {
    for (text, named) in [
        ("$scrypt$ln=16,r=8,p=1$c2FsdA$aGFzaA", "scrypt"),
        ("scrypt$16384$salt$8$1$hash", "scrypt"),
        ("$7$C6..../....salt$hash", "scrypt"),
        ("$1$saltsalt$2vnaRpHa6Jxjz5n83ok8Z0", "MD5-crypt ($1$)"),
        ("$y$j9T$salt$hash", "yescrypt"),
        (
            "$2x$05$LsDUJ0zr8OgQZmZD3rv8Lu3iOi40yg6pj8Xg89AtcOzfzDeb9B2au",
            "old bcrypt",
        ),
        ("$argon2d$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaA", "Argon2d"),
        (
            "md5$salt$7e58d63b60197ceb55a1c487989a3720",
            "MD5 hash of Django",
        ),
        (
            "sha1$salt$aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d",
            "SHA-1 hash of Django",
        ),
        (
            "pbkdf2_sha1$260000$salt$V//HzXxO0A03JTYq13vk5k2GEZM=",
            "PBKDF2-SHA1 hash of Django",
        ),
        ("crypt$$ab1AzZ5Wv3gPs", "DES"),
        ("ab1AzZ5Wv3gPs", "DES"),
        ("{SSHA}c2FsdHNhbHRzYWx0c2FsdHNhbHQ=", "LDAP"),
        ("5f4dcc3b5aa765d61d8327deb882cf99", "MD5"),
        ("hunter22", "clear text"),
        ("", "clear text"),
        ("$9$salt$hash", "unknown kind"),
    ] {
        let why = refused(text);
        assert!(
            why.contains(named) && why.contains("taken"),
            "{text}: {why}"
        );
    }
}

#[test]
fn broken_hashes_are_refused() {
    for (_, text) in MADE {
        let cut = &text[..text.len() - 1];
        for broken in [
            cut.to_owned(),
            format!("{text}A"),
            format!("{text}$"),
            format!("{cut}*"),
        ] {
            // A digit less of Argon2 and PBKDF2 is another hash, of other length.
            let is_broken = broken != cut || !text.contains("argon2") && !text.contains("pbkdf2");
            if is_broken && broken != format!("{text}A") {
                assert!(PasswordHash::parse(&broken).is_err(), "{broken}");
            }
        }
    }
    for text in [
        "$2b$5$LsDUJ0zr8OgQZmZD3rv8Lu3iOi40yg6pj8Xg89AtcOzfzDeb9B2au",
        "$2b$03$LsDUJ0zr8OgQZmZD3rv8Lu3iOi40yg6pj8Xg89AtcOzfzDeb9B2au",
        "$2b$05$LsDUJ0zr8OgQZmZD3rv8Lu3iOi40yg6pj8Xg89AtcOzfzDeb9B2a\u{fc}",
        "$argon2id$v=16$m=4096,t=3,p=1$c2FsdHNhbHQ$BtRNfhjRNnuvvZvcQyYaGc8MflojhMfphKYbdvC3UDU",
        "$argon2id$m=4096,t=3,p=1$c2FsdHNhbHQ$BtRNfhjRNnuvvZvcQyYaGc8MflojhMfphKYbdvC3UDU",
        "$argon2id$v=19$m=4096,t=3$c2FsdHNhbHQ$BtRNfhjRNnuvvZvcQyYaGc8MflojhMfphKYbdvC3UDU",
        "$argon2id$v=19$m=4096,m=4096,t=3,p=1$c2FsdHNhbHQ$BtRNfhjRNnuvvZvcQyYaGc8MflojhMfphKYbdvC3UDU",
        "$argon2id$v=19$m=4,t=3,p=1$c2FsdHNhbHQ$BtRNfhjRNnuvvZvcQyYaGc8MflojhMfphKYbdvC3UDU",
        "$argon2id$v=19$m=4096,t=0,p=1$c2FsdHNhbHQ$BtRNfhjRNnuvvZvcQyYaGc8MflojhMfphKYbdvC3UDU",
        "$argon2id$v=19$m=4096,t=3,p=1$c2Fs$BtRNfhjRNnuvvZvcQyYaGc8MflojhMfphKYbdvC3UDU",
        "pbkdf2_sha256$0$salt$Xjd3LLmZRPiEYyU/L9heKxI/Jt/Mqz0lnk7WUURRwYQ=",
        "pbkdf2_sha256$+5$salt$Xjd3LLmZRPiEYyU/L9heKxI/Jt/Mqz0lnk7WUURRwYQ=",
        "pbkdf2_sha256$5$$Xjd3LLmZRPiEYyU/L9heKxI/Jt/Mqz0lnk7WUURRwYQ=",
        "pbkdf2_sha256$5$salt$Xjd3",
        "$6$rounds=999$salt$aQ1zEnobGEW.6v50.3SN6owBzhep/Kth/.bSpF4UDvUbgY1ouwLm.tBVH4wcxakBooTIeETDXLKI/v/7nrXSv1",
        "$5$longer than sixteen$sOqOqi2SIVvzMwLJDOMLFckDUNNqwy0wg8v5miEhj7C",
        "$apr1$morethan8$aNSgNAhWBtryIp8GKSfyF",
        "{SHA}Ms2EQc2lmw7rHrFPnnn/",
    ] {
        refused(text);
    }
}

#[test]
fn a_check_counts_as_long_as_it_takes_and_never_for_less_than_one_of_ours() {
    let password = Password::new("pw123456");
    let rounds =
        |text| Work::checking(Some(&read(text)), &password).rounds() / super::super::LANES as u32;
    assert_eq!(rounds(MADE[5].1), ROUNDS);
    assert!(rounds(MADE[3].1) > 3 * ROUNDS);
    assert!(rounds(MADE[8].1) > 2 * ROUNDS);
    let twice = Password::new("wo\u{308}rter");
    let work = Work::checking(Some(&read(MADE[8].1)), &twice);
    assert_eq!(
        work.rounds() / super::super::LANES as u32,
        2 * rounds(MADE[8].1)
    );
    assert_eq!(work.memory(), 64 << 20);
    assert!(work.is_alone());
}

#[test]
fn no_password_is_too_long_for_sha_crypt_to_be_tried_in_time() {
    let hash = read(
        "$6$rounds=1000000$salt$aQ1zEnobGEW.6v50.3SN6owBzhep/Kth/.bSpF4UDvUbgY1ouwLm.tBVH4wcxakBooTIeETDXLKI/v/7nrXSv1",
    );
    let started = std::time::Instant::now();
    assert!(!verify(Some(&hash), &Password::new(&"x".repeat(513))));
    assert!(started.elapsed().as_millis() < 100);
}

proptest! {
    #[test]
    fn no_text_makes_reading_panic(text in "(\\$|\\{CRYPT\\}|\\{SHA\\}|bcrypt|argon2|pbkdf2_sha256)?[$a-z0-9=,./+-]{0,80}") {
        let _ = PasswordHash::parse(&text);
    }

    #[test]
    fn no_change_of_one_letter_makes_reading_or_checking_panic(
        which in 4_usize..8, at in 0_usize..60, letter in any::<char>(),
    ) {
        let mut text: Vec<char> = MADE[which].1.chars().collect();
        if let Some(place) = text.get_mut(at) {
            *place = letter;
        }
        let text: String = text.into_iter().collect();
        let _ = PasswordHash::parse(&text);
    }
}
