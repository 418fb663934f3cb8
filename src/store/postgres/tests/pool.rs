//! What becomes of connections when another host is used.

use std::future;
use std::sync::Barrier;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::{Place, Proxy};
use crate::store::postgres::Url;
use crate::store::postgres::connection::Connection;
use crate::store::postgres::pool::{Lent, NoConnection, Pool};
use crate::store::postgres::tests::cluster::Cluster;

const PATIENCE: Duration = Duration::from_secs(60);

/// Visitors who come at once: a page of an application asks about so many things.
const CROWD: usize = 200;

/// Two ways to one database, as if they were two hosts, each of which takes writes.
fn pool(place: &Place, first: &Proxy) -> Pool {
    let folder = Cluster::shared().folder().display();
    let url = format!("{},{folder}", first.url(&place.name));
    place.opened(&Url::parse(&url).unwrap()).pool
}

fn lend(pool: &Pool) -> Lent<'_> {
    pool.lend(Instant::now() + PATIENCE).ok().unwrap()
}

/// A connection to the second.
fn second(pool: &Pool) -> Connection {
    let second = pool.open_from(1, Instant::now() + PATIENCE).ok().unwrap();
    assert_eq!(second.host, 1);
    second
}

#[test]
fn what_is_connected_to_the_host_before_is_not_used_again() {
    let (place, first) = (Place::new(), Proxy::start());
    let pool = pool(&place, &first);
    let (idle, in_use) = (lend(&pool), lend(&pool));
    assert_eq!((idle.host, in_use.host), (0, 0));
    drop(idle);

    pool.note(&second(&pool));
    drop(in_use);

    // It is there again, and takes writes, and is the first in the URL.
    assert_eq!(lend(&pool).host, 1);
    let more = [lend(&pool), lend(&pool), lend(&pool)];
    assert!(more.iter().all(|one| one.host == 1));
}

#[test]
fn who_waits_for_the_host_before_gives_up() {
    let (place, first) = (Place::new(), Proxy::start());
    let pool = pool(&place, &first);
    let mut waiting = lend(&pool);
    let begun = Instant::now();

    let waited = thread::scope(|scope| {
        let waited = scope
            .spawn(|| waiting.call(PATIENCE, async |_| future::pending::<Result<(), _>>().await));
        pool.note(&second(&pool));
        waited.join().unwrap()
    });

    assert!(waited.is_err());
    assert!(begun.elapsed() < PATIENCE);
    drop(waiting);
    // That is no sign of the one that is used now.
    assert!(!pool.is_away());
}

#[test]
fn a_connection_that_one_has_no_time_to_open_does_not_make_the_database_away() {
    let (place, proxy) = (Place::new(), Proxy::start());
    let pool = place
        .opened(&Url::parse(&proxy.url(&place.name)).unwrap())
        .pool;
    proxy.fate.is_frozen.store(true, Ordering::SeqCst);

    let lent = pool.lend(Instant::now() + Duration::from_millis(100));

    assert!(matches!(lent, Err(NoConnection::Busy)));
    assert!(!pool.is_away());
    // Whoever has the time that anybody has at first knows what the silence means.
    let lent = pool.lend(Instant::now() + Duration::from_secs(2));
    assert!(matches!(lent, Err(NoConnection::Away(_))));
    assert!(pool.is_away());
}

#[test]
fn a_crowd_that_comes_at_once_is_served_one_after_the_other() {
    let place = Place::new();
    let pool = place.opened(&place.url).pool;
    let all_in_use: Vec<_> = (0..8).map(|_| lend(&pool)).collect();
    let are_there = Barrier::new(CROWD + 1);

    thread::scope(|scope| {
        let crowd = (0..CROWD).map(|_| {
            scope.spawn(|| {
                are_there.wait();
                lend(&pool).call(PATIENCE, async |client| {
                    client.batch_execute("SELECT").await
                })
            })
        });
        let crowd: Vec<_> = crowd.collect();
        are_there.wait();
        drop(all_in_use);
        for one in crowd {
            one.join().unwrap().unwrap();
        }
    });
}

#[test]
fn a_host_that_keeps_silent_is_left_for_another() {
    let (place, first) = (Place::new(), Proxy::start());
    let pool = pool(&place, &first);
    let asked = pool.probe(None, PATIENCE);
    assert_eq!(asked.as_ref().unwrap().host, 0);
    first.fate.is_frozen.store(true, Ordering::SeqCst);

    let begun = Instant::now();
    let asked = pool.probe(asked, PATIENCE);

    assert_eq!(asked.unwrap().host, 1);
    // Others are asked before its time is over.
    assert!(begun.elapsed() < PATIENCE);
    assert_eq!(lend(&pool).host, 1);
    assert!(!pool.is_away());
}
