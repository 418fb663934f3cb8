use super::*;
use crate::accounts::password::PasswordHash;

const NOW: Timestamp = Timestamp(1_800_000_000);

fn account(name: &str) -> Account {
    let hash = PasswordHash::quick();
    Account::new(name, &format!("{name}@example.com"), hash, NOW)
}

fn token(secret: &str, days: u64) -> AccessToken {
    AccessToken::new(
        secret,
        "phone",
        vec!["app.example.com".to_owned()],
        days,
        NOW,
    )
}

fn later(days: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(days * DAY))
}

#[test]
fn a_token_is_known_by_its_shape() {
    let made = token::access_token();
    assert!(has_shape(&made) && made.len() == 35);
    let letters = "abcdefghijklmnopqrstuvwxyz234567";
    assert!(has_shape(&format!("au_{letters}")));
    for text in [
        letters.to_owned(),
        format!("au_{}", &letters[1..]),
        format!("au_{letters}a"),
        format!("au_{}1", &letters[1..]),
        format!("au_{}A", &letters[1..]),
        format!("AU_{letters}"),
        format!("au-{letters}"),
        format!(" au_{letters}"),
        format!("au_{letters}\n"),
        format!("au_{}é", &letters[2..]),
        String::new(),
    ] {
        assert!(!has_shape(&text), "{text:?}");
    }
}

#[test]
fn a_token_is_good_until_its_last_second_and_for_its_hosts_only() {
    let token = token("secret", 1);
    assert!(token.is_living(NOW));
    assert!(token.is_living(Timestamp(NOW.0 + DAY - 1)));
    assert!(!token.is_living(Timestamp(NOW.0 + DAY)));
    assert!(token.is_for("app.example.com"));
    for host in ["example.com", "x.app.example.com", "app.example.co", ""] {
        assert!(!token.is_for(host), "{host}");
    }
}

#[test]
fn there_are_twenty_at_most_and_expired_ones_do_not_count() {
    let mut alice = account("alice");
    for at in 0..MAX_TOKENS {
        let added = alice.add_token(token(&at.to_string(), 1), NOW);
        assert_eq!(added, Ok(()));
    }
    assert_eq!(alice.add_token(token("more", 1), NOW), Err(TooMany));
    assert_eq!(alice.tokens.len(), MAX_TOKENS);
    assert!(alice.may_add_token(later(1)));
    assert_eq!(alice.add_token(token("more", 1), later(1)), Ok(()));
}

#[test]
fn expired_tokens_stay_for_thirty_days() {
    let mut accounts = Accounts::default();
    let mut alice = account("alice");
    alice.tokens = vec![token("short", 1), token("long", 365)];
    accounts.add(alice).unwrap();

    accounts.drop_past_tokens(Timestamp(later(31).0 - 1));
    assert_eq!(accounts.find("alice").unwrap().tokens.len(), 2);
    assert_eq!(accounts.with_past_tokens(later(31)), ["alice"]);
    accounts.drop_past_tokens(later(31));

    let left = &accounts.find("alice").unwrap().tokens;
    assert!(left.len() == 1 && left[0].hash == Digest::of("long"));
    assert!(accounts.owner_of_token(Digest::of("short")).is_none());
    assert!(accounts.owner_of_token(Digest::of("long")).is_some());
}

#[test]
fn the_owner_of_a_token_is_found_whatever_becomes_of_the_account() {
    let hash = Digest::of("secret");
    let owner = |accounts: &Accounts| {
        let owner = accounts.owner_of_token(hash)?;
        Some(owner.username.clone())
    };
    let mut accounts = Accounts::default();
    let mut alice = account("alice");
    alice.tokens = vec![token("secret", 1)];
    accounts.add(alice).unwrap();
    accounts.add(account("bob")).unwrap();
    assert_eq!(owner(&accounts).as_deref(), Some("alice"));

    let before = accounts.clone();
    accounts.rename("alice", "anna", NOW).unwrap();
    assert_eq!(owner(&accounts).as_deref(), Some("anna"));
    // The same key of the account, in other letters.
    accounts.rename("anna", "ANNA", NOW).unwrap();
    assert_eq!(owner(&accounts).as_deref(), Some("ANNA"));
    accounts.change("anna", |account| account.remove_token("none"));
    assert!(owner(&accounts).is_some());
    accounts.change("anna", |account| account.tokens.clear());
    assert_eq!(owner(&accounts), None);
    assert_eq!(owner(&before).as_deref(), Some("alice"));
    let mut before = before;
    before.remove("alice");
    assert_eq!(owner(&before), None);
}

#[test]
fn a_use_is_shown_at_once_and_saved_once_an_hour() {
    let uses = Uses::default();
    let mut accounts = Accounts::default();
    let mut alice = account("alice");
    alice.tokens = vec![token("secret", 1)];
    accounts.add(alice).unwrap();
    let own = |accounts: &Accounts| accounts.find("alice").unwrap().tokens[0].clone();
    let hour = Timestamp(NOW.0 - NOW.0 % 3600);
    assert_eq!(uses.of(&own(&accounts)), None);

    uses.note(&own(&accounts), NOW);
    uses.note(&own(&accounts), Timestamp(NOW.0 + 1));
    assert_eq!(uses.of(&own(&accounts)), Some(hour));
    let unsaved = uses.unsaved();
    assert_eq!(unsaved, [(Digest::of("secret"), hour)]);
    accounts.note_uses(&unsaved);
    uses.saved(&unsaved);
    assert_eq!(own(&accounts).used, Some(hour));

    let revision = accounts.revision();
    uses.note(&own(&accounts), Timestamp(hour.0 + 3599));
    assert!(uses.unsaved().is_empty());
    accounts.note_uses(&unsaved);
    assert_eq!(accounts.revision(), revision, "nothing to save");
    uses.note(&own(&accounts), Timestamp(hour.0 + 3600));
    assert_eq!(uses.of(&own(&accounts)), Some(Timestamp(hour.0 + 3600)));
    // A use in the meantime is not forgotten with what was saved.
    uses.saved(&[(Digest::of("secret"), hour)]);
    assert_eq!(uses.unsaved().len(), 1);
}

#[test]
fn what_outlasts_a_new_password_is_counted() {
    let mut alice = account("alice");
    assert_eq!(alice.outlasting(NOW), None);
    alice.tokens = vec![token("short", 1)];
    assert_eq!(alice.outlasting(NOW).as_deref(), Some("1 access token"));
    alice.tokens.push(token("long", 2));
    assert_eq!(alice.outlasting(NOW).as_deref(), Some("2 access tokens"));
    assert_eq!(
        alice.outlasting(later(1)).as_deref(),
        Some("1 access token")
    );
    let passkey = serde_json::json!({
        "id": "AA", "key": format!("pAEBAycgBiFYI{}", "A".repeat(43)), "name": "Key",
        "created": "2026-11-22T12:00:00Z", "count": 0, "verified": true, "synced": true,
        "rp": "auth.example.com",
    });
    alice
        .passkeys
        .push(serde_json::from_value(passkey).unwrap());
    assert_eq!(
        alice.outlasting(NOW).as_deref(),
        Some("1 passkey and 2 access tokens")
    );
    alice.tokens.clear();
    assert_eq!(alice.outlasting(NOW).as_deref(), Some("1 passkey"));
}
