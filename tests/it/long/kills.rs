//! The program killed again and again while it registers accounts.
//!
//! `AUTH_TEST_KILLS` says how often, `AUTH_TEST_SEED` repeats a run as far as the machine allows.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::harness::{PASSWORD, PATIENCE, Server, Setup, Visitor};

/// More than are hashed at a time, so that the hashing threads never wait for a request.
const CLIENTS: usize = 4;

/// After this many kills the file starts from nothing again, to stay small.
const CLEARED_EVERY: u64 = 200;

pub(super) fn number(variable: &str, default: impl FnOnce() -> u64) -> u64 {
    env::var(variable).map_or_else(|_| default(), |value| value.parse().unwrap())
}

pub(super) fn seconds_since_epoch() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap().as_secs()
}

/// Numbers that look random and are the same for the same seed.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        // Knuth's linear congruential generator; its upper half is random enough for moments.
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Everybody who asked for an account, and everybody who was answered that there is one.
#[derive(Default)]
struct Names {
    asked: BTreeSet<String>,
    answered: BTreeSet<String>,
}

fn register_until_killed(server: &Server, prefix: &str, names: &Mutex<Names>) {
    let visitor = Visitor::program(server);
    for n in 0.. {
        let name = format!("{prefix}.{n}");
        let email = format!("{name}@example.com");
        let form = [
            ("username", name.as_str()),
            ("email", &email),
            ("password", PASSWORD),
        ];
        names.lock().unwrap().asked.insert(name.clone());
        match visitor.try_post("/register", &form) {
            Some(201) => names.lock().unwrap().answered.insert(name),
            Some(status) => panic!("{name} was answered {status}"),
            None => return,
        };
    }
}

/// Waits for a moment to kill: three times of four in or right after a save, else at any time.
fn await_moment(setup: &Setup, dice: &mut Dice) {
    let begun = Instant::now();
    if dice.below(4) == 0 {
        thread::sleep(Duration::from_micros(dice.below(150_000)));
        return;
    }
    let path = setup.dir().join("users.json.new");
    let draft = || {
        let found = fs::metadata(&path).ok();
        found.map(|draft| (draft.ino(), draft.mtime(), draft.mtime_nsec()))
    };
    // The one that the last kill left.
    let old = draft();
    while matches!(draft(), found if found.is_none() || found == old) {
        // On a machine so busy that nobody gets to save, this moment is as good as any.
        if begun.elapsed() > PATIENCE {
            return;
        }
        // Not a busy wait, which would take a core from the hashing.
        thread::sleep(Duration::from_micros(20));
    }
    // Half of them within that save or right behind it, half a few saves and answers later.
    let longest = if dice.below(2) == 0 { 3_000 } else { 100_000 };
    thread::sleep(Duration::from_micros(dice.below(longest)));
}

/// What is on disk after a kill; whether it fell into a save.
fn inspect(setup: &Setup, names: &Names) -> bool {
    let text = fs::read_to_string(setup.dir().join("users.json")).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    let users = file["users"].as_object().unwrap();
    for name in &names.answered {
        assert!(users.contains_key(name), "{name} was answered and is lost");
    }
    for (name, account) in users {
        assert!(names.asked.contains(name), "nobody asked for {name}");
        assert_eq!(account["email"], format!("{name}@example.com"));
        let password = account["password"].as_str().unwrap();
        assert!(
            password.starts_with("$pbkdf2-sha256$i=600000,l=32$"),
            "{name}: {password}"
        );
        assert!(account["created"].is_string(), "{name}");
        assert_eq!(account["groups"], serde_json::json!(["users"]), "{name}");
    }
    let names = fs::read_dir(setup.dir())
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let drafts = names
        .filter(|name| name.to_str().unwrap().ends_with(".new"))
        .count();
    assert!(drafts <= 1, "{drafts} drafts");
    drafts == 1
}

#[test]
fn no_account_that_was_answered_is_lost_in_ten_thousand_kills() {
    let (kills, seed) = (
        number("AUTH_TEST_KILLS", || 10_000),
        number("AUTH_TEST_SEED", seconds_since_epoch),
    );
    println!("{kills} kills, AUTH_TEST_SEED={seed}");
    let mut dice = Dice(seed);
    let setup = Setup::new().with(&["--no-tls", "--registrations-per-hour", "0"]);
    let names = Mutex::new(Names::default());
    let (mut into_saves, mut answered) = (0, 0);
    let begun = Instant::now();
    for kill in 0..kills {
        if kill % CLEARED_EVERY == 0 {
            fs::write(
                setup.dir().join("users.json"),
                "{\"version\": 1, \"users\": {}}",
            )
            .unwrap();
            answered += std::mem::take(&mut *names.lock().unwrap()).answered.len();
        }
        let mut server = setup.start();
        // Every start is from what the last kill left; one of them is asked who may log in.
        let known = names.lock().unwrap().answered.last().cloned();
        if let Some(name) = known.filter(|_| kill % 50 == 49) {
            let login = [("username", name.as_str()), ("password", PASSWORD)];
            Visitor::program(&server)
                .post("/login", &login)
                .expect("enrol_required");
        }
        thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|client| {
                    let (server, names) = (&server, &names);
                    let prefix = format!("k{kill}.{client}");
                    scope.spawn(move || register_until_killed(server, &prefix, names))
                })
                .collect();
            await_moment(&setup, &mut dice);
            server.signal(rustix::process::Signal::KILL);
            clients
                .into_iter()
                .for_each(|client| client.join().unwrap());
        });
        server.wait();
        into_saves += u64::from(inspect(&setup, &names.lock().unwrap()));
        if kill % 1000 == 999 {
            println!("{} kills after {:?}", kill + 1, begun.elapsed());
        }
    }

    answered += names.lock().unwrap().answered.len();
    let rate = kills as f64 / begun.elapsed().as_secs_f64();
    println!(
        "{kills} kills, {rate:.1} a second, {into_saves} left a draft; {answered} accounts kept"
    );
    assert!(
        answered as u64 * 5 > kills,
        "too few accounts that could be lost: {answered}"
    );
    assert!(
        into_saves * 20 > kills,
        "too few of the kills fell into a save: {into_saves}"
    );
}
