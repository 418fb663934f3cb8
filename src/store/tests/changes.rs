//! What a change does to the accounts and to their file.

use std::collections::HashSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use proptest::prelude::*;

use crate::accounts::{Accounts, Taken};
use crate::clock::Timestamp;
use crate::store::tests::{EMPTY, Place, account, add, begin, has, names, now, users};

#[test]
fn a_change_is_on_disk_when_it_is_answered() {
    let place = Place::new();
    let store = place.open();

    let answer = add(&store, "alice");

    assert_eq!(answer, Ok(()));
    assert!(has(&store, "ALICE"));
    assert!(has(&store, "alice@example.com"));
    assert_eq!(names(&place.open()), ["alice"]);
}

#[test]
fn the_file_is_written_for_people_to_read() {
    let place = Place::new();

    add(&place.open(), "alice").unwrap();

    let password = format!("$pbkdf2-sha256$i=1,l=32$c2FsdA${}", "A".repeat(43));
    let expected = format!(
        r#"{{
  "version": 1,
  "users": {{
    "alice": {{
      "email": "alice@example.com",
      "email_proven": false,
      "id": "alice000000000000000000000",
      "password": "{password}",
      "groups": [],
      "recovery_codes": [],
      "disabled": false,
      "seal": "alice alice@example.com ZOYsJwpV3oQZ - enabled -"
    }}
  }}
}}
"#
    );
    assert_eq!(place.text(), expected);
}

#[test]
fn a_change_that_changes_nothing_is_not_saved() {
    let place = Place::new();
    let store = place.open();
    add(&store, "alice").unwrap();
    // The file as an editor would leave it, so that any save shows.
    let before = place.text().replace("  ", " ");
    fs::write(place.users(), &before).unwrap();

    let answer = add(&store, "Alice");

    assert_eq!(answer, Err(Taken::Username));
    assert_eq!(place.text(), before);
}

#[test]
fn files_can_be_read_by_their_owner_only() {
    let place = Place::with(EMPTY);
    fs::set_permissions(place.users(), Permissions::from_mode(0o666)).unwrap();
    let store = place.open();

    add(&store, "alice").unwrap();
    begin(&store, "cookie", "alice", now());

    for name in place.names() {
        let mode = fs::metadata(place.path(&name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o7777, 0o600, "{name}");
    }
}

#[test]
fn nothing_piles_up_beside_the_files() {
    let place = Place::new();
    fs::write(place.path("users.json.new"), "half of what a killed proc").unwrap();
    let store = place.open();

    for n in 0..5 {
        add(&store, &format!("user{n}")).unwrap();
    }

    assert_eq!(place.names(), ["users.json", "users.json.lock"]);
}

#[test]
fn a_draft_that_is_somebody_elses_link_is_not_followed() {
    let place = Place::with(EMPTY);
    fs::write(place.path("precious"), "precious").unwrap();
    symlink(place.path("precious"), place.path("users.json.new")).unwrap();

    add(&place.open(), "alice").unwrap();

    assert_eq!(
        fs::read_to_string(place.path("precious")).unwrap(),
        "precious"
    );
}

#[test]
fn a_save_that_fails_changes_nothing() {
    let place = Place::with(&users(&["alice"]));
    let before = place.text();
    let store = place.open();
    // A draft that cannot be removed stands for any failure of a disk.
    fs::create_dir_all(place.path("users.json.new/in_use")).unwrap();

    let refused = store.add(account("bob"));

    assert!(refused.is_err());
    assert_eq!(place.text(), before);
    assert!(!has(&store, "bob"));

    fs::remove_dir_all(place.path("users.json.new")).unwrap();
    assert_eq!(add(&store, "bob"), Ok(()));
}

#[test]
fn of_many_who_want_one_name_one_gets_it() {
    let place = Place::new();
    let store = place.open();

    let got_it = thread::scope(|scope| {
        let askers: Vec<_> = (0..50)
            .map(|_| scope.spawn(|| add(&store, "alice").is_ok()))
            .collect();
        askers
            .into_iter()
            .map(|asker| asker.join().unwrap())
            .filter(|got_it| *got_it)
            .count()
    });

    assert_eq!(got_it, 1);
    assert_eq!(names(&place.open()).len(), 1);
}

#[test]
fn two_processes_lose_nothing_of_each_other() {
    let place = Place::new();
    let stores = [place.open(), place.open()];

    thread::scope(|scope| {
        for writer in 0..16 {
            let store = &stores[writer % 2];
            scope.spawn(move || {
                for n in 0..10 {
                    add(store, &format!("user{writer}.{n}")).unwrap();
                }
            });
        }
    });

    assert_eq!(names(&place.open()).len(), 160);
}

#[test]
fn a_change_that_panics_fails_alone() {
    let place = Place::new();
    let store = place.open();
    add(&store, "alice").unwrap();

    let panicked = store.change("alice", |person| {
        person.account_mut().disabled = true;
        person.remove(Timestamp(1_800_000_000));
        if person.account().disabled {
            panic!("half way through");
        }
    });

    assert!(panicked.is_err());
    assert_eq!(add(&store, "bob"), Ok(()));
    assert_eq!(names(&store), ["alice", "bob"]);
    assert_eq!(names(&place.open()), ["alice", "bob"]);
}

#[test]
fn a_closed_store_has_saved_all_and_refuses_changes() {
    let place = Place::new();
    let store = place.open();
    add(&store, "alice").unwrap();

    store.close(Duration::from_secs(20));

    assert!(store.add(account("bob")).is_err());
    assert!(has(&store, "alice"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_sequence_of_changes_makes_two_of_a_name_or_address(
        steps in proptest::collection::vec(("[abAB]{1,2}", "[abAB]{1,2}", any::<bool>()), 0..40),
    ) {
        let mut accounts = Accounts::default();
        for (name, email, remove) in steps {
            if remove {
                accounts.remove(&name);
            } else {
                let mut account = account(&name);
                account.email = Some(format!("{email}@example.com"));
                let _ = accounts.add(account);
            }
        }
        let lower: HashSet<_> = accounts.iter().map(|a| a.username.to_lowercase()).collect();
        prop_assert_eq!(lower.len(), accounts.len());
        let emails = accounts.iter().filter_map(|a| a.email.as_deref());
        let lower: HashSet<_> = emails.map(str::to_lowercase).collect();
        prop_assert_eq!(lower.len(), accounts.len());
        for account in accounts.iter() {
            let found = accounts.resolve(account.email.as_deref().unwrap());
            prop_assert!(found.is_some_and(|found| Arc::ptr_eq(found, account)));
        }
    }
}
