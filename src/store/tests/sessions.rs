//! The sessions and their file.

use std::fs;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::store::tests::{Place, begin, eventually, find, now, users};

#[test]
fn a_session_survives_a_restart_and_its_cookie_is_not_on_disk() {
    let place = Place::with(&users(&["alice"]));
    let store = place.open();
    begin(&store, "cookie", "alice", now());

    let text = fs::read_to_string(place.path("sessions.json")).unwrap();
    let again = place.open();

    assert!(!text.contains("cookie"));
    assert!(find(&again, "cookie").is_some());
    assert!(find(&again, "other").is_none());
}

#[test]
fn when_a_session_was_last_used_is_saved_at_the_end() {
    let place = Place::with(&users(&["alice"]));
    let store = place.open();
    begin(&store, "cookie", "alice", Timestamp(now().0 - 100));
    let used = now();

    find(&store, "cookie").unwrap().seen(used);
    drop(store);

    let again = place.open();
    let session = find(&again, "cookie").unwrap();
    assert_eq!(session.last_seen(), used);
}

#[test]
fn another_processs_save_does_not_forget_when_a_session_was_used() {
    let place = Place::with(&users(&["alice"]));
    let store = place.open();
    begin(&store, "cookie", "alice", Timestamp(now().0 - 100));
    let other = place.open();
    let used = now();

    find(&store, "cookie").unwrap().seen(used);
    begin(&other, "another", "alice", now());

    eventually("it is taken up", || store.sessions().unwrap().len() == 2);
    let session = find(&store, "cookie").unwrap();
    assert_eq!(session.last_seen(), used);
}

#[test]
fn sessions_that_are_over_or_nobodys_are_forgotten() {
    let place = Place::with(&users(&["alice"]));
    let store = place.open();
    begin(&store, "good", "alice", now());
    begin(&store, "over", "alice", Timestamp(now().0 - 90_000));
    begin(&store, "nobodys", "bob", now());
    begin(&store, "future", "alice", Timestamp(now().0 + 1000));
    assert_eq!(store.sessions().unwrap().len(), 4);
    let kept = || {
        let text = fs::read_to_string(place.path("sessions.json")).unwrap();
        text.matches("\"id\"").count()
    };

    assert!(store.close(Duration::from_secs(20)));
    assert_eq!(kept(), 2, "good and future are kept while running");
    let again = place.open();

    assert_eq!(again.sessions().unwrap().len(), 1);
    assert!(find(&again, "good").is_some());
    assert!(again.close(Duration::from_secs(20)));
    assert_eq!(kept(), 1);
}

#[test]
fn a_session_ends_with_its_account() {
    let place = Place::with(&users(&["alice"]));
    let store = place.open();
    begin(&store, "cookie", "alice", now());

    store
        .change("alice", |person| person.remove(Timestamp(1_800_000_000)))
        .unwrap();

    assert!(find(&store, "cookie").is_none());
}

#[test]
fn a_damaged_sessions_file_is_set_aside_and_no_earlier_one_is_lost() {
    let place = Place::with(&users(&["alice"]));
    for damaged in ["first", "second"] {
        fs::write(place.path("sessions.json"), damaged).unwrap();
        assert!(place.open().sessions().unwrap().is_empty());
    }

    let read = |name| fs::read_to_string(place.path(name)).unwrap();
    assert_eq!(read("sessions.json.damaged"), "first");
    assert_eq!(read("sessions.json.damaged.1"), "second");
    assert!(!place.path("sessions.json").exists());
}

#[test]
fn a_sessions_file_damaged_later_logs_nobody_out() {
    let place = Place::with(&users(&["alice"]));
    let store = place.open();
    begin(&store, "one", "alice", now());

    fs::write(place.path("sessions.json"), "damaged").unwrap();
    begin(&store, "two", "alice", now());

    assert_eq!(place.open().sessions().unwrap().len(), 2);
    assert!(place.path("sessions.json.damaged").exists());
}
