use super::*;
use crate::accounts::password::PasswordHash;
use crate::accounts::{Totp, totp};

const START: Timestamp = Timestamp(1_800_000_000);

fn account(name: &str, generation: u64) -> Account {
    let email = format!("{name}@example.com");
    let mut account = Account::new(name, &email, PasswordHash::quick(), START);
    account.generation = generation;
    account
}

fn all(of: &[&Account]) -> Accounts {
    let mut accounts = Accounts::default();
    for account in of {
        accounts.add(Account::clone(account)).unwrap();
    }
    accounts
}

fn unsealed(name: &str, seal: Option<Seal>) -> Vec<Unsealed> {
    let username = name.to_owned();
    vec![Unsealed { username, seal }]
}

fn enrolled(mut account: Account) -> Account {
    account.totp = Some(Totp {
        secret: totp::Secret::new(),
        last_step: 0,
        other: Default::default(),
    });
    account
}

#[test]
fn one_that_another_server_has_made_is_no_account_that_came_back() {
    let alice = account("alice", 0);
    // It takes a while from a registration, whose time is kept, to its save.
    for (looked, returned) in [
        (0, false),
        (1, false),
        (60, false),
        (61, true),
        (9_999, true),
    ] {
        let mut read = all(&[&alice]);
        let before = (
            &Accounts::default(),
            START.plus(std::time::Duration::from_secs(looked)),
        );

        let edited = read.settle(unsealed("bob", None), Some(before));

        assert_eq!(edited.len(), usize::from(returned), "{looked}");
        let generation = read.find("alice").unwrap().generation;
        assert_eq!(generation, u64::from(returned), "{looked}");
    }
}

#[test]
fn an_old_block_put_back_is_of_no_generation_that_there_was() {
    let (before, old) = (account("alice", 5), account("alice", 2));
    let other = PasswordHash::parse(&format!(
        "$pbkdf2-sha256$i=1,l=32$c2FsdA${}",
        "A".repeat(43)
    ));
    let changed = Account {
        password: other.ok(),
        ..old.clone()
    };
    // Putting back what is the same ends nothing, but never makes old sessions good.
    for (old, generation) in [(old, 5), (changed, 6)] {
        let mut read = all(&[&old]);
        let seal = Seal::of(&old);

        read.settle(
            unsealed("alice", Some(seal)),
            Some((&all(&[&before]), START)),
        );

        assert_eq!(read.find("alice").unwrap().generation, generation);
    }
}

#[test]
fn a_second_factor_given_to_who_had_none_takes_nothing_away() {
    let before = account("alice", 0);
    let mut read = all(&[&enrolled(before.clone())]);

    let edited = read.settle(unsealed("alice", Some(Seal::of(&before))), None);

    assert!(edited.is_empty());
    assert_eq!(read.find("alice").unwrap().generation, 0);
}

#[test]
fn with_the_second_factor_go_the_wrong_codes_that_would_bar_the_next() {
    let before = enrolled(account("alice", 0));
    let mut now = before.clone();
    now.wrong_codes.count = 100;
    for removed in [true, false] {
        let edited = if removed {
            Account {
                totp: None,
                ..now.clone()
            }
        } else {
            enrolled(now.clone())
        };
        let mut read = all(&[&edited]);

        let edited = read.settle(unsealed("alice", Some(Seal::of(&before))), None);

        assert!(edited[0].totp);
        assert!(read.find("alice").unwrap().wrong_codes.is_none());
    }
}

#[test]
fn who_was_copied_from_is_told_nothing_of_the_copy() {
    let alice = account("alice", 0);
    let mut copy = account("bob", 0);
    let seal = || unsealed("bob", Some(Seal::of(&alice)));
    let mut read = all(&[&alice, &copy]);

    let edited = read.settle(seal(), None);

    assert_eq!(edited.len(), 1);
    assert_eq!(edited[0].email_before, None);

    // Once renamed and moved, the address was the account's own.
    copy.email = Some("robert@example.com".to_owned());
    let edited = all(&[&copy]).settle(seal(), None);
    assert_eq!(edited[0].email_before.as_deref(), Some("alice@example.com"));
}

#[test]
fn another_name_is_said_with_the_one_before_and_is_no_return() {
    let (bob, robert) = (account("bob", 0), account("robert", 0));
    let seal = || unsealed("robert", Some(Seal::of(&bob)));
    let later = START.plus(std::time::Duration::from_secs(9_999));
    for (read, what, was) in [
        (all(&[&robert]), "name email", Some("bob")),
        // A copy, long after the first was made.
        (all(&[&bob, &robert]), "added", None),
    ] {
        let mut read = read;

        let edited = read.settle(seal(), Some((&all(&[&bob]), later)));

        assert_eq!(edited.len(), 1);
        assert_eq!(edited[0].what, what);
        assert_eq!(edited[0].name_before.as_deref(), was);
    }
}

#[test]
fn what_ends_nothing_is_told_of_for_the_log() {
    let before = account("alice", 3);
    let locked = Account {
        disabled: true,
        ..before.clone()
    };
    let grouped = Account {
        groups: vec!["a".to_owned()],
        ..before.clone()
    };
    for (from, to, what) in [
        (&before, &grouped, Some("groups")),
        (&grouped, &before, Some("groups")),
        (&locked, &before, Some("enabled")),
        (&locked, &grouped, Some("groups enabled")),
        (&before, &before, None),
    ] {
        let mut read = all(&[to]);

        // By hand: the seal is that of before.
        let sealed = unsealed("alice", Some(Seal::of(from)));
        let edited = read.settle(sealed, Some((&all(&[from]), START)));

        let told = edited.first().map(|edited| edited.what.as_str());
        assert_eq!(told, what);
        assert_eq!(read.find("alice").unwrap().generation, 3);

        // By a command or another server: the seal is right.
        let mut read = all(&[to]);
        let edited = read.settle(Vec::new(), Some((&all(&[from]), START)));
        assert!(edited.is_empty());
    }
}

#[test]
fn a_seal_without_groups_is_read_and_says_nothing_of_them() {
    let alice = account("alice", 0);
    let text = Seal::of(&alice).text();
    let (earlier, groups) = text.rsplit_once(' ').unwrap();
    let seal = Seal::parse(earlier).unwrap();
    assert_eq!(seal.text(), earlier);
    assert_eq!(Seal::parse(&text).unwrap().text(), text);
    assert!(Seal::parse(&format!("{text} {groups}")).is_none());

    let mut grouped = alice.clone();
    grouped.groups.push("staff".to_owned());
    for (seal, edits) in [(seal, 0), (Seal::of(&alice), 1)] {
        let edited = all(&[&grouped]).settle(unsealed("alice", Some(seal)), None);
        assert_eq!(edited.len(), edits);
    }
}

#[test]
fn a_command_takes_no_edit_by_hand_for_its_own() {
    let sealed = account("alice", 0);
    // Somebody has changed the password by hand; then a command changes the groups.
    let edited = Account {
        password: None,
        ..sealed.clone()
    };
    let mut after = edited.clone();
    after.groups.push("staff".to_owned());

    let seal = Seal::of(&sealed).carried(&edited, &after);

    let news = all(&[&after]).settle(
        unsealed("alice", Some(seal)),
        Some((&all(&[&sealed]), START)),
    );
    assert_eq!(news.len(), 1);
    assert_eq!(news[0].what, "password");
}

#[test]
fn an_account_that_a_command_has_renamed_has_not_come_back() {
    let before = account("alice", 0);
    let mut read = all(&[&before]);
    let later = START.plus(std::time::Duration::from_secs(86_400));
    read.rename("alice", "alicia", later).unwrap();
    let generation = read.find("alicia").unwrap().generation;

    let edited = read.settle(Vec::new(), Some((&all(&[&before]), later)));

    assert!(edited.is_empty());
    assert_eq!(read.find("alicia").unwrap().generation, generation);
}
