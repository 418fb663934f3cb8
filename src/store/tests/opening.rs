//! What is found when the store is opened.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::store::Store;
use crate::store::tests::{LIMITS, Place};

#[test]
fn opening_touches_nothing() {
    let place = Place::new();

    assert!(place.open().close(Duration::from_secs(20)));

    assert!(place.names().is_empty());
}

#[test]
fn a_link_to_nothing_is_an_error() {
    let place = Place::new();
    symlink("nowhere", place.users()).unwrap();

    let error = place.try_open().err().unwrap();

    assert!(error.to_string().contains("link"), "{error}");
    assert!(!error.hint().is_empty());
    assert!(!place.path("nowhere").exists());
}

#[test]
fn what_is_no_regular_file_is_an_error() {
    let place = Place::new();
    fs::create_dir(place.users()).unwrap();

    assert!(place.try_open().is_err());
}

#[test]
fn a_pipe_does_not_keep_the_server_waiting() {
    let place = Place::new();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mkfifoat(rustix::fs::CWD, place.users(), mode).unwrap();

    assert!(place.try_open().is_err());
}

#[test]
fn a_missing_directory_is_an_error() {
    let place = Place::new();
    let users = place.path("missing/users.json");

    let error = Store::open(&users, LIMITS, Arc::new(Clock::start()));

    let error = error.err().unwrap().to_string();
    assert!(error.contains("there is no directory"), "{error}");
}

#[test]
fn a_bare_file_name_is_in_the_current_directory() {
    let error = Store::open(
        Path::new("no-such-users.json"),
        LIMITS,
        Arc::new(Clock::start()),
    );

    assert!(error.is_ok());
}

#[test]
fn a_damaged_users_file_is_an_error_and_left_alone() {
    let place = Place::with("{\n  \"version\": 1,\n  \"users\": []\n}");
    let before = place.text();

    let error = place.try_open().err().unwrap().to_string();

    assert!(error.contains("users.json"), "{error}");
    assert!(error.contains("line 3, column"), "{error}");
    assert_eq!(place.text(), before);
    assert_eq!(place.names(), ["users.json"]);
}
