//! What others do to the users file while the store is open.

use std::fs;
use std::os::unix::fs::symlink;

use crate::store::tests::{Place, account, add, eventually, has, names, users};

#[test]
fn a_hand_edit_is_taken_up() {
    let place = Place::with(&users(&["alice"]));
    let store = place.open();

    fs::write(place.users(), users(&["alice", "bob"])).unwrap();

    eventually("bob can log in", || has(&store, "bob"));
}

#[test]
fn a_hand_edit_just_before_a_change_is_not_lost() {
    let place = Place::with(&users(&["alice"]));
    let store = place.open();

    fs::write(place.users(), users(&["alice", "bob"])).unwrap();
    add(&store, "carol").unwrap();

    assert_eq!(names(&place.open()), ["alice", "bob", "carol"]);
}

#[test]
fn a_damaged_file_is_left_alone_while_the_last_good_state_serves() {
    let place = Place::with(&users(&["alice"]));
    let store = place.open();
    let damaged = "{\"version\": 1, \"users\": {";

    fs::write(place.users(), damaged).unwrap();
    let refused = store.add(account("bob"));

    assert!(refused.is_err_and(|error| error.to_string().contains("line 1, column 25")));
    assert_eq!(place.text(), damaged);
    assert!(has(&store, "alice"));

    fs::write(place.users(), users(&["alice", "carol"])).unwrap();
    assert_eq!(add(&store, "bob"), Ok(()));
    assert_eq!(names(&store), ["alice", "carol", "bob"]);
}

#[test]
fn a_file_that_disappears_is_not_taken_for_no_accounts() {
    let place = Place::with(&users(&["alice"]));
    let store = place.open();

    fs::rename(place.users(), place.path("elsewhere")).unwrap();
    let refused = store.add(account("bob"));

    assert!(refused.is_err());
    assert!(!place.users().exists());
    assert!(has(&store, "alice"));

    fs::rename(place.path("elsewhere"), place.users()).unwrap();
    assert_eq!(add(&store, "bob"), Ok(()));
}

#[test]
fn a_link_stays_and_the_file_it_leads_to_is_replaced() {
    let place = Place::new();
    fs::create_dir(place.path("real")).unwrap();
    fs::write(place.path("real/accounts"), users(&["alice"])).unwrap();
    symlink("real/accounts", place.users()).unwrap();
    let store = place.open();

    add(&store, "bob").unwrap();

    assert!(place.users().is_symlink());
    assert!(!place.path("real/accounts").is_symlink());
    assert_eq!(names(&place.open()), ["alice", "bob"]);
}
