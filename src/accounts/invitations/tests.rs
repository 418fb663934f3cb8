use super::*;

const START: Timestamp = Timestamp(1_800_000_000);

fn account(name: &str) -> Account {
    let email = format!("{name}@example.com");
    Account::new(name, &email, PasswordHash::quick(), START)
}

fn token(text: &str) -> Digest {
    Digest::of(text)
}

fn invitation(email: Option<&str>) -> Invitation {
    Invitation {
        email: email.map(str::to_owned),
        groups: vec!["users".to_owned()],
        by: "root".to_owned(),
        expires: START.plus(USUAL_LIFETIME),
        account: None,
        other: Unknown::default(),
    }
}

fn invited(all: &[(&str, Option<&str>)]) -> Accounts {
    let mut accounts = Accounts::default();
    for (link, email) in all {
        accounts.invite(token(link), invitation(*email), START);
    }
    accounts
}

fn is_open(accounts: &Accounts, link: &str) -> bool {
    accounts.invitation(token(link), START).is_some()
}

#[test]
fn an_invitation_makes_one_account() {
    let mut accounts = invited(&[("1", None), ("2", None)]);
    let mut register = |link, name| accounts.register_invited(token(link), account(name), START);
    assert_eq!(register("1", "alice"), Ok(()));
    assert_eq!(register("1", "bob"), Err(NotRegistered::NoInvitation));
    assert_eq!(register("none", "bob"), Err(NotRegistered::NoInvitation));
    assert_eq!(register("2", "bob"), Ok(()));
    assert!(accounts.invitations().is_empty());
}

#[test]
fn a_name_or_an_address_that_is_taken_leaves_the_invitation_alive() {
    let mut accounts = invited(&[("1", None)]);
    accounts.add(account("alice")).unwrap();
    let same_address = Account {
        email: Some("ALICE@example.com".to_owned()),
        ..account("bob")
    };
    for (account, taken) in [
        (account("Alice"), Taken::Username),
        (same_address, Taken::Email),
    ] {
        let refused = accounts.register_invited(token("1"), account, START);
        assert_eq!(refused, Err(NotRegistered::Taken(taken)));
    }
    accounts.end("alice", START.plus(days(2)));
    let late = START.plus(days(2));
    let former = accounts.register_invited(token("1"), account("alice"), late);
    assert_eq!(former, Err(NotRegistered::Taken(Taken::Username)));
    assert!(is_open(&accounts, "1"));
}

#[test]
fn two_invitations_to_one_address_live_until_one_is_used() {
    let address = Some("alice@example.com");
    let mut accounts = invited(&[
        ("1", address),
        ("2", Some("Alice@Example.com")),
        ("3", Some("bob@example.com")),
        ("4", None),
    ]);
    assert!(is_open(&accounts, "1") && is_open(&accounts, "2"));
    accounts
        .register_invited(token("2"), account("alice"), START)
        .unwrap();
    assert!(!is_open(&accounts, "1") && !is_open(&accounts, "2"));
    assert!(is_open(&accounts, "3") && is_open(&accounts, "4"));
}

#[test]
fn an_invitation_ends_at_its_time_and_when_it_is_withdrawn() {
    let mut accounts = invited(&[("1", None), ("2", None)]);
    let end = START.plus(USUAL_LIFETIME);
    assert!(
        accounts
            .invitation(token("1"), Timestamp(end.0 - 1))
            .is_some()
    );
    assert!(accounts.invitation(token("1"), end).is_none());
    // Nor does a clock set back make it last longer.
    let long_before = Timestamp(START.0 - days(100).as_secs());
    assert!(accounts.invitation(token("1"), long_before).is_none());

    let open = accounts.open_invitations(START);
    assert_eq!(open.len(), 2);
    let id = open[0].0.clone();
    assert_eq!(id, token("1").short());
    assert!(accounts.end_invitation(&id, START).is_some());
    assert!(accounts.end_invitation(&id, START).is_none());
    assert!(!is_open(&accounts, "1") && is_open(&accounts, "2"));
    assert!(accounts.end_invitation(&token("2").short(), end).is_none());

    accounts.invite(token("3"), invitation(None), end);
    assert_eq!(accounts.invitations().0.len(), 1, "those that are over go");
}

fn made_for_carol() -> Accounts {
    let mut accounts = Accounts::default();
    let carol = Account {
        password: None,
        email_proven: false,
        ..account("carol")
    };
    for link in ["1", "2"] {
        let for_carol = Invitation {
            account: carol.id.clone(),
            ..invitation(carol.email.as_deref())
        };
        accounts.invite(token(link), for_carol, START);
    }
    accounts.add(carol).unwrap();
    accounts
}

#[test]
fn an_account_that_was_made_gets_its_first_password_once() {
    let mut accounts = made_for_carol();
    let other = accounts.register_invited(token("1"), account("dave"), START);
    assert_eq!(other, Err(NotRegistered::NoInvitation));

    let carol = accounts
        .claim(token("1"), PasswordHash::quick(), START)
        .unwrap();
    assert!(carol.password.is_some() && carol.email_proven);
    for link in ["1", "2"] {
        assert!(!is_open(&accounts, link));
        assert!(
            accounts
                .claim(token(link), PasswordHash::quick(), START)
                .is_none()
        );
    }
}

#[test]
fn the_invitation_of_an_account_ends_with_what_it_is_for() {
    let mut chosen = made_for_carol();
    chosen.change("carol", |carol| {
        carol.password = Some(PasswordHash::quick())
    });
    let mut disabled = made_for_carol();
    disabled.change("carol", |carol| carol.disabled = true);
    // As when an operator mends a slip in the address: the link was mailed to the wrong one.
    let mut moved = made_for_carol();
    let carol = moved.remove("carol").unwrap();
    moved
        .add(Account {
            email: Some("right@example.com".to_owned()),
            ..Account::clone(&carol)
        })
        .unwrap();
    let mut gone = made_for_carol();
    gone.remove("carol");
    gone.add(Account {
        password: None,
        ..account("carol")
    })
    .unwrap();
    for mut accounts in [chosen, disabled, moved, gone] {
        assert!(!is_open(&accounts, "1"));
        assert!(accounts.open_invitations(START).is_empty());
        assert!(
            accounts
                .claim(token("1"), PasswordHash::quick(), START)
                .is_none()
        );
    }
}

#[test]
fn who_is_no_administrator_any_more_leaves_no_link_to_become_one() {
    let mut accounts = Accounts::default();
    let mut root = account("root");
    root.groups.push("admins".to_owned());
    accounts.add(root).unwrap();
    let to_admins = |by: &str| Invitation {
        groups: vec!["users".to_owned(), "admins".to_owned()],
        by: by.to_owned(),
        ..invitation(None)
    };
    accounts.invite(token("1"), to_admins("root"), START);
    accounts.invite(token("2"), to_admins(OPERATOR), START);
    accounts.invite(token("3"), invitation(None), START);
    assert!(is_open(&accounts, "1"));
    accounts.change("root", |root| root.groups.clear());
    assert!(!is_open(&accounts, "1"));
    assert!(is_open(&accounts, "2") && is_open(&accounts, "3"));
}
