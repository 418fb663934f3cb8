//! What is pending, with two nodes.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use crate::accounts::pending::MAX_WRONG_CODES;
use crate::accounts::token::Digest;
use crate::store::Store;
use crate::store::postgres::pending::sweep;
use crate::store::postgres::tests::{Place, add, by_proxy};
use crate::store::tests::pending::{finish, login};
use crate::store::tests::{eventually, now};

fn two_nodes(place: &Place) -> [Store; 2] {
    let nodes = [place.open(), place.open()];
    add(&nodes[0], &["alice"]);
    nodes
}

#[test]
fn of_two_nodes_that_finish_a_login_one_does_and_no_recovery_code_is_lost() {
    let place = Place::new();
    let nodes = two_nodes(&place);
    for round in 0..200 {
        let give = nodes[0].change("alice", move |person| {
            let codes = [0, 1].map(|n: u64| Digest::of(&format!("{round} {n}")));
            person.account_mut().recovery_codes = codes.to_vec();
        });
        give.unwrap();
        let cookie = nodes[round % 2].begin_login(login(), now()).unwrap();

        let won = thread::scope(|scope| {
            let finish = |n: usize| {
                let (node, cookie) = (&nodes[n], &cookie);
                scope.spawn(move || finish(node, cookie, &format!("{round} {n}")))
            };
            [finish(0), finish(1)].map(|one| one.join().unwrap())
        });

        assert!(won[0] != won[1], "{round}: {won:?}");
        // Whoever came too late has spent none.
        let alice = nodes[0].account("alice").unwrap().unwrap();
        assert_eq!(alice.recovery_codes.len(), 1, "{round}");
    }
    assert_eq!(place.sql("SELECT count(*) FROM pending"), "0");
}

#[test]
fn wrong_codes_at_two_nodes_are_counted_together() {
    let place = Place::new();
    let nodes = two_nodes(&place);
    for _ in 0..10 {
        let cookie = nodes[0].begin_login(login(), now()).unwrap();
        let id = Digest::of(&cookie);
        let judged: usize = thread::scope(|scope| {
            let judge = |node: &Store| {
                let judged = node.change_pending((id, now()), "alice", move |person| {
                    let waits = person.login().is_some();
                    if waits {
                        person.count_wrong_code(id);
                    }
                    waits
                });
                usize::from(judged.unwrap().unwrap())
            };
            let both = nodes.iter().flat_map(|node| [node; 4]);
            let tries: Vec<_> = both.map(|node| scope.spawn(move || judge(node))).collect();
            tries.into_iter().map(|one| one.join().unwrap()).sum()
        });
        assert_eq!(judged, MAX_WRONG_CODES as usize);
        assert!(nodes[1].pending_login(&cookie, now()).unwrap().is_none());
    }
}

#[test]
fn the_key_of_an_enrolment_is_sealed_and_cannot_be_moved() {
    let place = Place::new();
    let [one, other] = two_nodes(&place);
    let began = login();
    let key = began.enrolling.as_ref().unwrap().base32();
    let cookie = one.begin_login(began, now()).unwrap();
    let another = one.begin_login(login(), now()).unwrap();

    let all = place.sql("SELECT string_agg(pending::text, ' ') FROM pending");
    assert!(all.contains("alice") && !all.contains(&key), "{all}");
    assert!(!all.contains(&cookie), "{all}");
    let found = other.pending_login(&cookie, now()).unwrap().unwrap();
    assert_eq!(found.enrolling.unwrap().base32(), key);

    let id = Digest::of(&cookie).text();
    let moved = format!(
        "UPDATE pending SET key = (SELECT key FROM pending WHERE id <> '{id}') WHERE id = '{id}'"
    );
    place.sql(&moved);
    assert!(other.pending_login(&cookie, now()).is_err());
    let at = (Digest::of(&cookie), now());
    assert!(other.change_pending(at, "alice", |_| ()).is_err());
    assert!(other.pending_login(&another, now()).unwrap().is_some());
}

#[test]
fn while_the_database_is_silent_no_login_is_called_over() {
    let place = Place::new();
    let (store, proxy) = by_proxy(&place);
    let cookie = store.begin_login(login(), now()).unwrap();
    proxy.fate.is_frozen.store(true, Ordering::SeqCst);

    let asked = Instant::now();
    assert!(store.pending_login(&cookie, now()).is_err());
    assert!(asked.elapsed() < Duration::from_millis(2500));
    assert!(store.begin_login(login(), now()).is_err());
    assert!(store.end_pending(&cookie).is_err());
    let at = (Digest::of(&cookie), now());
    assert!(store.change_pending(at, "alice", |_| ()).is_err());

    proxy.fate.is_frozen.store(false, Ordering::SeqCst);
    eventually("the database to be back", || store.account("alice").is_ok());
    assert!(finish(&store, &cookie, "s"));
}

#[test]
fn what_waits_no_more_is_swept_and_the_oldest_make_room() {
    let place = Place::new();
    let [one, _] = two_nodes(&place);
    let cookie = one.begin_login(login(), now()).unwrap();
    place.sql(
        "INSERT INTO pending (id, stage, name, wrong, begun, body)
        SELECT 'old' || n, 1, 'alice', 0, extract(epoch FROM clock_timestamp()) - 311, ''
        FROM generate_series(1, 3) n;
        INSERT INTO pending (id, stage, name, wrong, begun, body)
        SELECT 'many' || n, 1, 'bob', 0, extract(epoch FROM clock_timestamp()) - 60, ''
        FROM generate_series(1, 50010) n;
        INSERT INTO pending (id, stage, name, wrong, begun, body)
        VALUES ('wrong', 1, 'alice', 5, extract(epoch FROM clock_timestamp()), '')",
    );

    place.sql(&sweep());

    let of = |name| {
        place.sql(&format!(
            "SELECT count(*) FROM pending WHERE name = '{name}'"
        ))
    };
    assert_eq!(of("alice"), "1");
    assert!(one.pending_login(&cookie, now()).unwrap().is_some());
    // One or two more go with those that were over.
    let left: usize = of("bob").parse().unwrap();
    assert!((49_990..50_000).contains(&left), "{left}");
}
