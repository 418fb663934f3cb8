//! Challenges of passkeys on several nodes.

use std::thread;
use std::time::Duration;

use super::Place;
use crate::accounts::passkey::{Challenge, Refused};
use crate::clock::Clock;
use crate::store::postgres::Opened;
use crate::store::tests::challenges::{asked, known};
use crate::store::{HeldChallenge, Kept, Store};

const AT: Duration = Duration::from_secs(1_800_000_000);

/// What is held of a challenge.
fn hold(store: &Store, challenge: Challenge) -> Result<HeldChallenge<'_>, Refused> {
    store.hold_challenge(challenge, AT).unwrap()
}

#[test]
fn a_challenge_of_one_node_is_good_once_on_all_and_after_a_restart() {
    let place = Place::new();
    let one = place.open();
    let said = asked(&one, AT);
    drop(one);
    let nodes = [place.open(), place.open()];
    for node in &nodes {
        let challenge = known(node, &said, AT).ok().unwrap();
        assert!(hold(node, challenge).is_ok(), "and it is let go");
    }
    let challenge = known(&nodes[0], &said, AT).ok().unwrap();

    hold(&nodes[0], challenge).ok().unwrap().use_up();

    let refused = Some(Refused::Challenge);
    assert_eq!(hold(&nodes[1], challenge).err(), refused);
    assert_eq!(hold(&place.open(), challenge).err(), refused);
    let dump = place.sql("SELECT encode(challenge_key, 'hex') FROM meta");
    let Kept::Database(database) = &nodes[0].kept else {
        panic!("it is in a database");
    };
    let key = data_encoding::HEXLOWER.encode(database.challenge_key().bytes());
    assert!(!dump.contains(&key), "it is sealed");
}

#[test]
fn of_nodes_that_take_the_same_answer_at_once_one_does() {
    let place = Place::new();
    let nodes = [place.open(), place.open()];
    for _ in 0..20 {
        let challenge = known(&nodes[0], &asked(&nodes[1], AT), AT).ok().unwrap();
        let taken: usize = thread::scope(|scope| {
            let take = |node| usize::from(hold(node, challenge).map(HeldChallenge::use_up).is_ok());
            let threads = nodes.each_ref().map(|node| scope.spawn(move || take(node)));
            threads.map(|thread| thread.join().unwrap()).iter().sum()
        });
        assert_eq!(taken, 1);
    }
}

/// Has the chores of challenges done.
fn sweep(store: &Store) {
    let Kept::Database(database) = &store.kept else {
        panic!("it is in a database");
    };
    database.sweep_challenges().unwrap();
}

#[test]
fn answered_challenges_are_forgotten_and_no_clock_set_back_brings_them_back() {
    let place = Place::new();
    let (one, behind) = (place.open(), place.open());
    let challenge = known(&one, &asked(&one, AT), AT).ok().unwrap();
    hold(&one, challenge).ok().unwrap().use_up();
    let count = || place.sql("SELECT count(*) FROM answered");
    sweep(&one);
    assert_eq!(count(), "1");

    asked(&one, AT + Duration::from_secs(301));
    sweep(&one);

    assert_eq!(count(), "0");
    // A node that has not heard of that, and one that starts with a clock set back.
    assert_eq!(hold(&behind, challenge).err(), Some(Refused::Expired));
    let again = place.open();
    let said = challenge.bytes();
    assert_eq!(known(&again, said, AT).err(), Some(Refused::Expired));
    sweep(&behind);
    assert_eq!(known(&behind, said, AT).err(), Some(Refused::Expired));
    // Nobody has to wait until the clock has come to where it was.
    for node in [&again, &behind] {
        let challenge = known(node, &asked(node, AT), AT).ok().unwrap();
        assert!(hold(node, challenge).is_ok());
    }
}

#[test]
fn whoever_asks_twice_for_the_same_challenge_has_it() {
    let place = Place::new();
    let store = place.open();
    let challenge = known(&store, &asked(&store, AT), AT).ok().unwrap();
    let Kept::Database(database) = &store.kept else {
        panic!("it is in a database");
    };
    let hold = |holder: u8| database.hold_challenge(&challenge, &[holder; 16]).unwrap();
    assert_eq!(hold(1), Ok(()));
    assert_eq!(hold(1), Ok(()), "the first answer may have been lost");
    assert_eq!(hold(2), Err(Refused::Challenge));
    database.let_go_of_challenge(&challenge, &[2; 16]);
    assert_eq!(hold(2), Err(Refused::Challenge), "it is not theirs to give");
}

#[test]
fn a_damaged_key_of_challenges_is_told_and_can_be_made_anew() {
    let place = Place::new();
    drop(place.open());
    place.sql("UPDATE meta SET challenge_key = 'damaged'");
    let key = place.directory.path().join("key");
    let opened = Opened::open(&place.url, &key, &Clock::start());
    let said = opened.err().unwrap().to_string();
    assert_eq!(
        said,
        "cannot open the store: the key of its challenges is damaged"
    );
    place.sql("UPDATE meta SET challenge_key = NULL");
    place.open();
}
