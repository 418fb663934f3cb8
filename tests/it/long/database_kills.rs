//! The node or the database killed again and again while people register.
//!
//! `AUTH_TEST_KILLS` says how often, `AUTH_TEST_SEED` repeats a run as far as the machine allows.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::cluster::Cluster;
use crate::harness::{PASSWORD, Server, Visitor, wait_for};
use crate::long::kills::{Dice, number, seconds_since_epoch};
use crate::operator::run;
use crate::store::{on, with_key};

/// As many as are hashed at a time, and some that wait.
const CLIENTS: usize = 4;

/// What people were told of the accounts they asked for.
#[derive(Default)]
struct Names {
    asked: BTreeSet<String>,
    done: BTreeSet<String>,
    /// That there is no such account.
    refused: BTreeSet<String>,
    /// That nobody knows.
    unknown: BTreeSet<String>,
}

fn register_until(is_over: &AtomicBool, server: &Server, prefix: &str, names: &Mutex<Names>) {
    let visitor = Visitor::program(server);
    for n in 0.. {
        if is_over.load(Ordering::SeqCst) {
            return;
        }
        let name = format!("{prefix}.{n}");
        let email = format!("{name}@example.com");
        let form = [
            ("username", name.as_str()),
            ("email", &email),
            ("password", PASSWORD),
        ];
        names.lock().unwrap().asked.insert(name.clone());
        let code = visitor.try_code("/register", &form);
        let mut names = names.lock().unwrap();
        match code.as_deref() {
            Some("registered") => names.done.insert(name),
            Some("busy" | "not_saved") => names.refused.insert(name),
            Some("unknown") => names.unknown.insert(name),
            Some(code) => panic!("{name} was answered {code}"),
            // The node is gone.
            None => return,
        };
        drop(names);
        if code.as_deref() != Some("registered") {
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Compares what people were told with what is there.
fn judge(names: &Names, there: &BTreeSet<String>) {
    for name in &names.done {
        assert!(there.contains(name), "{name} was answered and is lost");
    }
    for name in &names.refused {
        assert!(!there.contains(name), "{name} was refused and is there");
    }
    for name in there {
        assert!(names.asked.contains(name), "nobody asked for {name}");
    }
}

#[test]
fn what_was_answered_is_there_after_ten_thousand_kills_of_node_or_database() {
    let kills = number("AUTH_TEST_KILLS", || 10_000);
    let seed = number("AUTH_TEST_SEED", seconds_since_epoch);
    println!("{kills} kills, AUTH_TEST_SEED={seed}");
    let mut dice = Dice(seed);
    let cluster = Cluster::start(None);
    let (setup, _) = with_key();
    let database = cluster.database("");
    let url = cluster.url(&database);
    let (status, _, err) = run(&setup, &["store", "migrate", &url], b"");
    assert_eq!(status, 0, "{err}");
    let setup = on(&setup, &url).with(&["--no-tls", "--registrations-per-hour", "0"]);
    let (mut done, mut refused, mut unknown, mut unheard, mut of_database) = (0, 0, 0, 0, 0);
    let begun = Instant::now();
    let mut server = setup.start();
    for kill in 0..kills {
        let (names, is_over) = (Mutex::new(Names::default()), AtomicBool::new(false));
        let is_database = dice.below(2) == 0;
        thread::scope(|scope| {
            for client in 0..CLIENTS {
                let (server, names, is_over) = (&server, &names, &is_over);
                let prefix = format!("k{kill}.{client}");
                scope.spawn(move || register_until(is_over, server, &prefix, names));
            }
            let answered = || names.lock().unwrap().done.len();
            wait_for("an answer", || (answered() > 0).then_some(()));
            thread::sleep(Duration::from_micros(dice.below(200_000)));
            match is_database {
                true => {
                    let before = answered();
                    cluster.crash(&database);
                    wait_for("the way back", || (answered() > before).then_some(()));
                }
                false => server.signal(rustix::process::Signal::KILL),
            }
            is_over.store(true, Ordering::SeqCst);
        });
        if !is_database {
            server.wait();
            server = setup.start();
        }
        // What was answered last may have been saved before the kill.
        cluster.wait_until_ready();
        let rows = format!("SELECT username FROM account WHERE username LIKE 'k{kill}.%'");
        let rows = cluster.sql(&database, &rows);
        let there: BTreeSet<String> = rows.lines().map(str::to_owned).collect();
        let names = names.into_inner().unwrap();
        judge(&names, &there);
        done += names.done.len();
        refused += names.refused.len();
        unknown += names.unknown.len();
        unheard += there.difference(&names.done).count();
        of_database += u64::from(is_database);
        if kill % 100 == 99 {
            println!("{} kills after {:?}", kill + 1, begun.elapsed());
        }
    }
    let there: usize = cluster
        .sql(&database, "SELECT count(*) FROM account")
        .parse()
        .unwrap();
    println!(
        "{kills} kills, {of_database} of them of the database: {done} accounts answered, {there} \
         there, {unheard} of these without an answer; {refused} refused and not there, {unknown} \
         unknown"
    );
    assert_eq!(there, done + unheard);
}
