//! Two nodes behind HAProxy, people who come and go, and every ten seconds something that is killed
//! or frozen. In the end everything that anybody was told is compared with what is there.
//!
//! `AUTH_TEST_MINUTES` says how long.

mod client;
mod ledger;
mod life;
mod mails;
mod site;
mod verdict;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::harness::smtp_sink::Sink;
use crate::long::kills::{Dice, number};
use crate::long::mixed::client::{asker, checked};
use crate::long::mixed::ledger::Ledger;
use crate::long::mixed::life::{World, live};
use crate::long::mixed::mails::Mailbox;
use crate::long::mixed::site::{Kind, Site};
use crate::long::mixed::verdict::compare;

/// How many people there are at a time, most of whom wait.
const PEOPLE: usize = 24;

/// From the beginning of one fault to that of the next.
const FAULTS_EVERY: Duration = Duration::from_secs(10);

/// Between two checks of sessions that last.
const CHECKS_EVERY: Duration = Duration::from_millis(50);

#[test]
fn what_anybody_was_told_is_so_after_an_hour_of_kills_and_freezes() {
    let Sink { mails, port, .. } = Sink::start();
    let smtp = format!("smtp://127.0.0.1:{port}?tls=none");
    let site = &Site::start(&smtp);
    let (ledger, mailbox) = (&Ledger::default(), &Mailbox::default());
    let (over, is_compared) = (&AtomicBool::new(false), &AtomicBool::new(false));
    let numbers = &AtomicU64::new(0);
    let world = &World {
        site,
        ledger,
        mailbox,
        over,
    };
    thread::scope(|scope| {
        scope.spawn(move || mailbox.fill(&mails, is_compared));
        thread::scope(|scope| {
            for _ in 0..PEOPLE {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        live(world, numbers.fetch_add(1, Ordering::Relaxed));
                    }
                });
            }
            scope.spawn(|| check_lasting(world));
            suffer(world, &smtp);
            over.store(true, Ordering::Relaxed);
        });
        compare(site, ledger, mailbox);
        is_compared.store(true, Ordering::Relaxed);
    });
    let kept = ledger.kept();
    for (what, count) in &kept.counts {
        println!("{count:>7} × {what}");
    }
    assert!(kept.broken.is_empty(), "{:#?}", kept.broken);
}

/// Has one thing after the other happen, for as long as it lasts.
fn suffer(world: &World<'_>, smtp: &str) {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = number("AUTH_TEST_SEED", || clock.as_secs());
    let lasting = Duration::from_secs(60 * number("AUTH_TEST_MINUTES", || 60));
    println!("{lasting:?}, AUTH_TEST_SEED={seed}");
    let (mut dice, begun) = (Dice(seed), Instant::now());
    while begun.elapsed() < lasting {
        let next = Instant::now() + FAULTS_EVERY;
        let node = usize::try_from(dice.below(2)).unwrap();
        let (kind, longest) = match dice.below(5) {
            0 => (Kind::NodeKilled(node), 2_000),
            1 => (Kind::NodeFrozen(node), 6_000),
            2 => (Kind::DatabaseFrozen, 8_000),
            3 => (Kind::DatabaseCut, 2_000),
            _ => (Kind::ConnectionsEnded, 1),
        };
        let long = Duration::from_millis(dice.below(longest));
        world.site.suffer(kind, long, smtp);
        world.ledger.count(&format!("fault: {kind:?}"));
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

/// Asks about sessions that last: whatever happens, nobody is sent to the login.
fn check_lasting(world: &World<'_>) {
    let (agent, mut n) = (asker(), 0);
    while !world.over.load(Ordering::Relaxed) {
        thread::sleep(CHECKS_EVERY);
        n += 1;
        let session = {
            let lasting = &world.ledger.kept().lasting;
            lasting.get(n % lasting.len().max(1)).cloned()
        };
        let Some(session) = session else { continue };
        match checked(&agent, world.site.port, &session) {
            Some(401) => world
                .ledger
                .broken("a session that lasts is refused".to_owned()),
            Some(status) => world
                .ledger
                .count(&format!("check of a session that lasts: {status}")),
            None => world
                .ledger
                .count("check of a session that lasts: no answer"),
        }
    }
}
