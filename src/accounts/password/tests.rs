use pbkdf2::pbkdf2_hmac;
use sha2::Sha256;

use super::*;

/// A hash made by another program: what is in the file is enough to verify it.
#[test]
fn a_phc_string_made_elsewhere_verifies() {
    let hash = "Zpz+UkghFv2hqiy+QJsvVsjkVjdSt6KPbqq2FO4AUXg";
    let hash = PasswordHash::parse(&format!("$pbkdf2-sha256$i=600000,l=32$c2FsdA${hash}"));
    let hash = hash.ok().unwrap();
    assert!(verify(Some(&hash), &Password::new("password")));
    assert!(!verify(Some(&hash), &Password::new("Password")));
}

#[test]
fn a_hash_survives_being_written_and_read() {
    let hash = PasswordHash::new(&Password::new("long enough"));
    let text = serde_json::to_string(&hash).unwrap();
    assert!(text.starts_with("\"$pbkdf2-sha256$i=600000,l=32$"));
    assert!(serde_json::from_str::<PasswordHash>(&text).is_ok_and(|read| read == hash));
}

#[test]
fn an_output_of_another_length_is_verified_by_one_computation_and_made_anew() {
    let password = Password::new("long enough");
    for length in [16, 31, 32, 33, 48, 64] {
        let mut hash = vec![0; length];
        pbkdf2_hmac::<Sha256>(b"long enough", b"salt", ROUNDS, &mut hash);
        let encoded = STANDARD_NO_PAD.encode(&hash);
        let text = format!("$pbkdf2-sha256$i=600000,l={length}$c2FsdA${encoded}");
        let read = PasswordHash::parse(&text).ok().unwrap();
        assert!(verify(Some(&read), &password), "{length}");
        assert!(
            !verify(Some(&read), &Password::new("long enougH")),
            "{length}"
        );
        assert_eq!(read.is_weak(), length != LENGTH, "{length}");
    }
}

#[test]
fn two_hashes_of_one_password_differ() {
    let password = Password::new("long enough");
    assert!(PasswordHash::new(&password) != PasswordHash::new(&password));
}

#[test]
fn composed_and_decomposed_letters_are_one_password() {
    let hash = PasswordHash::new(&Password::new("pa\u{df}wo\u{308}rter"));
    assert!(verify(Some(&hash), &Password::new("pa\u{df}w\u{f6}rter")));
    assert!(!verify(Some(&hash), &Password::new("pa\u{df}w\u{f6}rter ")));
}

#[test]
fn a_check_takes_the_same_rounds_for_a_strong_hash_an_old_one_and_none() {
    let hash = |rounds: u32| {
        let hash = "Zpz+UkghFv2hqiy+QJsvVsjkVjdSt6KPbqq2FO4AUXg";
        PasswordHash::parse(&format!("$pbkdf2-sha256$i={rounds},l=32$c2FsdA${hash}")).ok()
    };
    let password = Password::new("password");
    for (rounds, taken) in [(600_000, 600_000), (1, 600_000), (700_000, 700_000)] {
        let work = Work::checking(hash(rounds).as_ref(), &password);
        assert_eq!(work.rounds(), taken);
    }
    assert_eq!(Work::checking(None, &password).rounds(), 600_000);
}

#[test]
fn nobody_has_no_password() {
    assert!(!verify(None, &Password::new("long enough")));
}

#[test]
fn odd_phc_strings_are_refused() {
    let hash = "Zpz+UkghFv2hqiy+QJsvVsjkVjdSt6KPbqq2FO4AUXg";
    for text in [
        String::new(),
        "secret".to_owned(),
        format!("$argon2id$i=1,l=32$c2FsdA${hash}"),
        format!("$pbkdf2-sha256$i=0,l=32$c2FsdA${hash}"),
        format!("$pbkdf2-sha256$i=10000001,l=32$c2FsdA${hash}"),
        format!("$pbkdf2-sha256$i=99999999999,l=32$c2FsdA${hash}"),
        format!("$pbkdf2-sha256$l=32$c2FsdA${hash}"),
        format!("$pbkdf2-sha256$i=1,i=2$c2FsdA${hash}"),
        format!("$pbkdf2-sha256$i=1,l=31$c2FsdA${hash}"),
        format!("$pbkdf2-sha256$i=1,l=32$!!${hash}"),
        format!("$pbkdf2-sha256$i=1,l=32$${hash}"),
        "$pbkdf2-sha256$i=1,l=32$c2FsdA$".to_owned(),
        format!("$pbkdf2-sha256$i=1,l=32$c2FsdA${hash}$"),
    ] {
        assert!(PasswordHash::parse(&text).is_err(), "{text}");
    }
}

#[test]
fn the_list_of_common_passwords_is_long_enough_and_all_of_it_counts() {
    let listed: Vec<&str> = COMMON.lines().collect();
    assert!(listed.len() > 3000);
    assert!(
        listed
            .iter()
            .all(|common| common.chars().count() >= MIN_LENGTH)
    );
    assert!(listed.iter().all(|common| *common == common.to_lowercase()));
}

#[test]
fn common_passwords_and_ones_own_name_are_easy_to_guess() {
    let easy = |text: &str| {
        Password::new(text).is_easy_to_guess("alice-smith", Some("alice.smith@example.com"))
    };
    for text in [
        "password",
        "Password1",
        "qwertyuiop",
        "ALICE-SMITH",
        "alice.smith@Example.com",
    ] {
        assert!(easy(text), "{text}");
    }
    for text in [
        "long enough",
        "alice-smith-2",
        "correct horse battery staple",
    ] {
        assert!(!easy(text), "{text}");
    }
}
