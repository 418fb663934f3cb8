use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;

use super::*;

/// A table whose clock is set by hand, in seconds.
fn table() -> (Table<usize>, Arc<AtomicU64>) {
    let clock = Arc::<AtomicU64>::default();
    let read = Arc::clone(&clock);
    let now = move || Duration::from_secs(read.load(Ordering::Relaxed));
    (Table::open(now).unwrap(), clock)
}

fn key(n: usize) -> Digest {
    Digest::of(&n.to_string())
}

fn network(address: &str) -> Network {
    Network::of(address.parse().unwrap())
}

/// Keeps a result of this size for this network.
fn keep(table: &Table<usize>, n: usize, bytes: usize, from: Network) {
    let Ok(Begun::First(under_way)) = table.begin(key(n)) else {
        panic!("{n} is there already");
    };
    under_way.keep(n, bytes, from, None);
}

fn is_kept(table: &Table<usize>, n: usize) -> bool {
    matches!(table.begin(key(n)), Ok(Begun::Again(_)))
}

#[test]
fn an_answer_is_kept_for_a_minute() {
    let (table, clock) = table();
    keep(&table, 1, 10, network("192.0.2.1"));
    clock.store(59, Ordering::Relaxed);
    assert!(is_kept(&table, 1) && !is_kept(&table, 2));
    clock.store(60, Ordering::Relaxed);
    assert!(!is_kept(&table, 1));
}

#[test]
fn an_answer_that_nobody_asks_for_again_is_forgotten_too() {
    let (table, clock) = table();
    keep(&table, 1, 10, network("192.0.2.1"));
    clock.store(60, Ordering::Relaxed);
    let is_empty = || table.shared.lock().by_key.is_empty();
    for _ in 0..1000 {
        if is_empty() {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    assert!(is_empty());
    let rows = table.shared.lock();
    assert_eq!((rows.bytes, rows.of_networks.len()), (0, 0));
}

#[test]
fn what_came_to_nothing_is_not_kept() {
    let (table, _) = table();
    drop(table.begin(key(1)));
    assert!(!is_kept(&table, 1));
    assert!(table.shared.lock().by_key.is_empty());
}

#[test]
fn what_is_kept_under_two_keys_is_found_under_both() {
    let (table, _) = table();
    if let Ok(Begun::First(under_way)) = table.begin(key(1)) {
        under_way.keep(1, 10, network("192.0.2.1"), Some(key(2)));
    }
    assert!(is_kept(&table, 1) && is_kept(&table, 2));
}

#[test]
fn what_does_not_stand_any_more_is_forgotten_unless_it_is_another_by_now() {
    let (table, _) = table();
    keep(&table, 1, 10, network("192.0.2.1"));
    table.forget(key(1), &Arc::new(1));
    assert!(is_kept(&table, 1));
    if let Ok(Begun::Again(kept)) = table.begin(key(1)) {
        table.forget(key(1), &kept);
    }
    assert!(!is_kept(&table, 1));
}

#[test]
fn who_comes_meanwhile_waits_for_the_answer_and_takes_over_after_a_refusal() {
    for refused in [false, true] {
        let (table, _) = table();
        let first = table.begin(key(1)).ok();
        let (told, tell) = channel();
        thread::scope(|scope| {
            scope.spawn(|| told.send(is_kept(&table, 1)));
            assert!(tell.recv_timeout(Duration::from_millis(50)).is_err());
            match first {
                Some(Begun::First(under_way)) if !refused => {
                    under_way.keep(1, 10, network("192.0.2.1"), None);
                }
                first => drop(first),
            }
            assert_eq!(tell.recv(), Ok(!refused));
        });
        assert_eq!(table.shared.lock().waiting, 0);
    }
}

/// This many requests that wait for one key; each gives up as soon as it is the first.
fn crowd(table: &Table<usize>, n: usize, then: impl FnOnce()) {
    let (told, tell) = channel();
    thread::scope(|scope| {
        for _ in 0..MAX_WAITING {
            let told = told.clone();
            scope.spawn(move || {
                if let Ok(Begun::First(under_way)) = table.begin(key(n)) {
                    let _ = told.send(under_way);
                }
            });
        }
        drop(told);
        let waiting = || table.shared.lock().by_key[&key(n)].waiting;
        while waiting() < MAX_WAITING {
            thread::yield_now();
        }
        then();
        // Each one that has taken over leaves one fewer waiting.
        for (left, under_way) in (0..MAX_WAITING).rev().zip(tell) {
            assert_eq!(waiting(), left);
            drop(under_way);
        }
    });
}

#[test]
fn those_that_wait_are_counted_also_after_one_of_them_took_over() {
    let (table, _) = table();
    let first = table.begin(key(1)).ok();
    crowd(&table, 1, || {
        assert!(table.shared.lock().join(key(1)).is_err());
        assert!(table.begin(key(2)).is_ok());
        drop(first);
    });
    let rows = table.shared.lock();
    assert_eq!((rows.waiting, rows.by_key.len()), (0, 0));
}

#[test]
fn so_many_wait_in_all() {
    let mut rows = Rows::<usize>::new();
    let many = usize::try_from(MAX_ALL_WAITING).unwrap();
    for n in 0..=many {
        rows.take_up(key(n));
        assert_eq!(rows.join(key(n)).is_ok(), n < many);
    }
    rows.leave(key(0));
    assert!(rows.join(key(many)).is_ok());
}

const LARGE: usize = MAX_BYTES / 16 - ROW;

#[test]
fn what_is_kept_is_bounded_and_the_oldest_makes_room() {
    let (table, clock) = table();
    for n in 0..17 {
        clock.store(u64::from(n > 0), Ordering::Relaxed);
        keep(&table, n, LARGE, network("192.0.2.1"));
    }
    assert!(table.shared.lock().bytes <= MAX_BYTES);
    assert!(!is_kept(&table, 0) && is_kept(&table, 1) && is_kept(&table, 16));
}

#[test]
fn a_network_that_fills_it_pushes_out_its_own() {
    // Whose results stay, and who floods the table.
    for (bystander, flood) in [
        ("192.0.2.1", "192.0.2.2"),
        ("192.0.2.1", "2001:db8:1::1"),
        ("2001:db8:1::1", "192.0.2.2"),
        ("2001:db8:1::1", "2001:db8:2::1"),
        ("2001:db8:1:1::1", "2001:db8:1:2::1"),
    ] {
        let (table, clock) = table();
        keep(&table, 0, LARGE, network(bystander));
        for n in 1..50 {
            clock.fetch_add(1, Ordering::Relaxed);
            keep(&table, n, LARGE, network(flood));
        }
        assert!(is_kept(&table, 0), "{bystander} beside {flood}");
        assert!(!is_kept(&table, 1) && is_kept(&table, 49));
    }
}

#[test]
fn the_networks_of_one_48_push_out_their_own() {
    let (table, _) = table();
    for n in 0..3 {
        keep(&table, n, LARGE, network(&format!("192.0.2.{n}")));
    }
    for n in 3..200 {
        keep(&table, n, LARGE, network(&format!("2001:db8:1:{n:x}::1")));
    }
    assert!((0..3).all(|n| is_kept(&table, n)));
}
