//! Challenges of passkeys: what holds for every store, and for the files.

use std::fs;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use crate::accounts::passkey::{Challenge, Purpose, Refused, base64url};
use crate::store::tests::interface::each;
use crate::store::tests::{Place, begin, eventually, find, now, users};
use crate::store::{HeldChallenge, Kept, Store};

/// By when challenges are asked and answered.
const AT: Duration = Duration::from_secs(1_800_000_000);

const LATER: Duration = Duration::from_secs(1_800_000_301);

/// What is answered to a challenge that was asked then.
pub(in crate::store) fn asked(store: &Store, now: Duration) -> Vec<u8> {
    let asked = store.ask_challenge(Purpose::Alone, now).unwrap();
    base64url::decode(&asked, 32).unwrap()
}

/// Whether that is taken to be one.
pub(in crate::store) fn known(
    store: &Store,
    said: &[u8],
    now: Duration,
) -> Result<Challenge, Refused> {
    store.asked_challenge(Purpose::Alone, now)(said)
}

#[test]
fn a_challenge_works_once_and_again_only_if_the_answer_was_not_taken() {
    each(|store| {
        let challenge = known(store, &asked(store, AT), AT).ok().unwrap();
        let hold = || store.hold_challenge(challenge, AT).unwrap();
        {
            let held = hold();
            assert!(held.is_ok());
            assert_eq!(hold().err(), Some(Refused::Challenge));
        }
        hold().ok().unwrap().use_up();
        assert_eq!(hold().err(), Some(Refused::Challenge));

        let other = known(store, &asked(store, AT), AT).ok().unwrap();
        assert!(store.hold_challenge(other, AT).unwrap().is_ok());
    });
}

#[test]
fn of_many_who_answer_a_challenge_at_once_one_is_taken() {
    each(|store| {
        for _ in 0..20 {
            let challenge = known(store, &asked(store, AT), AT).ok().unwrap();
            let take = || {
                let held = store.hold_challenge(challenge, AT).unwrap();
                usize::from(held.map(HeldChallenge::use_up).is_ok())
            };
            let taken: usize = thread::scope(|scope| {
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
                let taken = threads.into_iter().map(|thread| thread.join().unwrap());
                taken.sum()
            });
            assert_eq!(taken, 1);
        }
    });
}

#[test]
fn a_challenge_too_old_is_known_as_one() {
    each(|store| {
        let said = asked(store, AT);
        let late = known(store, &said, LATER);
        assert_eq!(late.err(), Some(Refused::Expired));
        assert_eq!(
            known(store, &[0; 32], AT).err(),
            Some(Refused::Challenge),
            "and what was never asked is none"
        );
    });
}

#[test]
fn nobody_says_of_a_challenge_that_it_is_new_while_the_store_is_away() {
    let store = Store::in_memory();
    let challenge = known(&store, &asked(&store, AT), AT).ok().unwrap();
    let Kept::Memory(memory) = &store.kept else {
        panic!("it is in memory");
    };
    memory.away.store(true, Ordering::Relaxed);
    assert!(store.hold_challenge(challenge, AT).is_err());
    memory.away.store(false, Ordering::Relaxed);
    assert!(store.hold_challenge(challenge, AT).unwrap().is_ok());
}

#[test]
fn what_a_challenge_is_known_by_is_on_disk_before_it_is_shown_and_stays() {
    let place = Place::with(&users(&["alice"]));
    let store = place.open();
    assert!(!place.path("sessions.json").exists());

    let said = asked(&store, AT);

    let text = || fs::read_to_string(place.path("sessions.json")).unwrap();
    let key = |text: &str| -> String {
        let file: serde_json::Value = serde_json::from_str(text).unwrap();
        file["challenge_key"].as_str().unwrap().to_owned()
    };
    let kept = key(&text());
    assert_eq!(kept.len(), 43);
    begin(&store, "cookie", "alice", now());
    drop(store);
    let again = place.open();
    assert_eq!(known(&again, &said, AT).err(), Some(Refused::Expired));
    begin(&again, "another", "alice", now());
    asked(&again, AT);
    assert_eq!(key(&text()), kept);
    assert!(find(&again, "cookie").is_some());
}

#[test]
fn nothing_is_asked_that_could_not_be_known_again() {
    let place = Place::with(&users(&["alice"]));
    let store = place.open();
    // A draft that cannot be removed stands for any failure of a disk.
    fs::create_dir_all(place.path("sessions.json.new/in_use")).unwrap();
    let ask = || store.ask_challenge(Purpose::Alone, AT).is_ok();
    assert!(!ask());

    fs::remove_dir_all(place.path("sessions.json.new")).unwrap();

    eventually("it is asked again", ask);
    assert!(place.path("sessions.json").exists());
}

#[test]
fn a_sessions_file_without_the_key_of_challenges_is_given_one_and_keeps_its_sessions() {
    let place = Place::with(&users(&["alice"]));
    let store = place.open();
    begin(&store, "cookie", "alice", now());
    drop(store);
    let path = place.path("sessions.json");
    assert!(!fs::read_to_string(&path).unwrap().contains("challenge_key"));

    let again = place.open();
    asked(&again, AT);

    assert!(find(&again, "cookie").is_some());
    drop(again);
    assert!(find(&place.open(), "cookie").is_some());
    assert!(fs::read_to_string(&path).unwrap().contains("challenge_key"));
}

#[test]
fn two_processes_on_the_same_files_agree_on_one_key() {
    let place = Place::with(&users(&["alice"]));
    let stores = [place.open(), place.open()];
    let said = asked(&stores[0], AT);
    let other = asked(&stores[1], AT);
    for (store, said) in [(&stores[1], said), (&stores[0], other)] {
        assert_eq!(known(store, &said, AT).err(), Some(Refused::Expired));
    }
}
