use std::net::Ipv4Addr;
use std::sync::mpsc::channel;
use std::sync::{Barrier, LazyLock};

use super::*;
use crate::accounts::password::{Password, PasswordHash};

fn network(n: u32) -> Network {
    Network::of(Ipv4Addr::from(n).into())
}

fn work() -> Work {
    Work::checking(None, &Password::new("long enough"))
}

#[test]
fn keys_come_back_to_those_who_asked_for_them() {
    let gate = Gate::open(2, 64).unwrap();
    thread::scope(|scope| {
        for n in 0..10 {
            let gate = &gate;
            scope.spawn(move || {
                let password = Password::new(&format!("long enough {n}"));
                let salt = password::fresh_salt();
                let work = Work::hashing(&password, salt);
                let key = gate.derive(network(n), Standing::Known, work).unwrap();
                let hash = PasswordHash::of(salt, &key);
                assert!(password::verify(Some(&hash), &password));
            });
        }
    });
}

#[test]
fn a_computation_that_panics_ends_no_thread() {
    static IS_FIRST: Mutex<bool> = Mutex::new(true);
    let gate = Gate::open_with(1, 64, |works| {
        let is_first = std::mem::take(&mut *IS_FIRST.lock().unwrap());
        assert!(!is_first, "on purpose");
        vec![Key::default(); works.len()]
    });
    let gate = gate.unwrap();
    let derive = || gate.derive(network(1), Standing::Known, work());
    assert!(derive().is_err());
    assert!(derive().is_ok());
}

#[test]
fn what_has_come_meanwhile_is_taken_several_at_once() {
    static BOTH: LazyLock<Barrier> = LazyLock::new(|| Barrier::new(2));
    static TAKEN: Mutex<Vec<usize>> = Mutex::new(Vec::new());
    // There is one thread, so what comes while it works on the first is taken together.
    let gate = Gate::open_with(1, 64, |works| {
        BOTH.wait();
        TAKEN.lock().unwrap().push(works.len());
        BOTH.wait();
        vec![Key::default(); works.len()]
    });
    let gate = gate.unwrap();
    let (sender, receiver) = channel();
    thread::scope(|scope| {
        let ask = |n| {
            let (gate, sender) = (&gate, sender.clone());
            scope.spawn(move || {
                gate.derive(network(n), Standing::Known, work()).unwrap();
                sender.send(()).unwrap();
            });
        };
        ask(0);
        BOTH.wait();
        (1..6).for_each(ask);
        while gate.shared.state().line.len() < 5 {
            thread::yield_now();
        }
        BOTH.wait();
        for _ in 0..2 {
            BOTH.wait();
            BOTH.wait();
        }
    });
    drop(sender);
    assert_eq!(receiver.iter().count(), 6);
    assert_eq!(*TAKEN.lock().unwrap(), [1, LANES, 1]);
}

#[test]
fn threads_that_are_free_share_what_waits() {
    static BOTH: LazyLock<Barrier> = LazyLock::new(|| Barrier::new(2));
    static TAKEN: Mutex<Vec<usize>> = Mutex::new(Vec::new());
    let gate = Gate::open_with(2, 64, |works| {
        TAKEN.lock().unwrap().push(works.len());
        BOTH.wait();
        vec![Key::default(); works.len()]
    });
    let gate = gate.unwrap();
    while gate.shared.state().idle < 2 {
        thread::yield_now();
    }
    let (sender, receiver) = sync_channel(4);
    let mut state = gate.shared.state();
    for n in 0..4 {
        let waiting = Waiting {
            since: Instant::now(),
            result: sender.clone(),
        };
        let (who, job) = ((network(n), Standing::Known), (work(), waiting));
        state.line.push(Duration::ZERO, who, 600_000, job).unwrap();
    }
    drop(state);
    gate.shared.wake.notify_all();
    for _ in 0..4 {
        // A thread that took all of them would wait forever for the other.
        receiver.recv_timeout(Duration::from_secs(20)).unwrap();
    }
    assert_eq!(*TAKEN.lock().unwrap(), [2, 2]);
}

/// Checks a password against a hash of another program.
fn foreign(hash: &str) -> Work {
    let hash = PasswordHash::parse(hash).ok().unwrap();
    Work::checking(Some(&hash), &Password::new("long enough"))
}

const LARGE_HASH: &str =
    "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$GwFEbmO3lexLwC3Do4UKZS5gtBiPEblwI53sjMG+xSA";

#[test]
fn what_takes_much_memory_is_computed_one_after_the_other() {
    static AT_WORK: Mutex<(usize, usize)> = Mutex::new((0, 0));
    let gate = Gate::open_with(4, 64, |works| {
        let mut at_work = AT_WORK.lock().unwrap();
        at_work.0 += 1;
        at_work.1 = at_work.1.max(at_work.0);
        drop(at_work);
        thread::sleep(Duration::from_millis(50));
        AT_WORK.lock().unwrap().0 -= 1;
        vec![Key::default(); works.len()]
    });
    let gate = gate.unwrap();
    quick(&gate);
    thread::scope(|scope| {
        for n in 0..4 {
            let gate = &gate;
            let derive = move || gate.derive(network(n), Standing::Known, foreign(LARGE_HASH));
            scope.spawn(move || assert!(derive().is_ok()));
        }
    });
    assert_eq!(*AT_WORK.lock().unwrap(), (0, 1));
}

#[test]
fn a_cheap_hash_of_another_program_takes_as_long_as_one_of_ours() {
    let gate = Gate::open(1, 64).unwrap();
    let timed = |work: fn() -> Work| {
        let mut took: Vec<Duration> = (0..5)
            .map(|n| {
                let started = Instant::now();
                gate.derive(network(n), Standing::Known, work()).unwrap();
                started.elapsed()
            })
            .collect();
        took.sort_unstable();
        took[2]
    };
    // Other programs may be at work meanwhile: one quiet moment in ten will do.
    let is_alike = (0..10).any(|_| {
        let ours = timed(work);
        let cheap = timed(|| foreign("{SHA}Ms2EQc2lmw7rHrFPnnn/TCu5TQs="));
        cheap * 2 > ours && ours * 2 > cheap
    });
    assert!(is_alike);
}

/// Has the gate think that hashing costs nothing: so all find room in the line, whatever else this
/// machine does meanwhile.
fn quick(gate: &Gate) {
    (0..99).for_each(|_| gate.shared.state().line.measured(1 << 40, Duration::ZERO));
}

/// A hash of another program that takes long.
fn long_hash(rounds: u32) -> Work {
    let hash = "A".repeat(86);
    foreign(&format!("$pbkdf2-sha512${rounds}$c2FsdHNhbHRzYWx0${hash}"))
}

#[test]
fn what_would_hold_a_thread_for_seconds_is_computed_one_at_a_time() {
    // What Authelia makes unless it is told otherwise, and what is taken at most.
    assert!(!size(&long_hash(310_000)).is_dear);
    assert!(size(&long_hash(10_000_000)).is_dear);
    assert!(!size(&work()).is_dear);
}

#[test]
fn a_thread_stays_free_for_others_while_dear_ones_wait_for_each_other() {
    static BEGUN: Mutex<usize> = Mutex::new(0);
    static END: LazyLock<Barrier> = LazyLock::new(|| Barrier::new(2));
    let gate = Gate::open_with(2, 64, |works| {
        if works[0].rounds() > LONG {
            *BEGUN.lock().unwrap() += 1;
            END.wait();
        }
        vec![Key::default(); works.len()]
    });
    let gate = gate.unwrap();
    quick(&gate);
    thread::scope(|scope| {
        let stranger = Standing::Stranger { failures: 0 };
        for n in 0..2 {
            let (gate, work) = (&gate, long_hash(10_000_000));
            scope.spawn(move || gate.derive(network(n), stranger, work).unwrap());
        }
        while *BEGUN.lock().unwrap() == 0 || gate.shared.state().line.len() == 0 {
            thread::yield_now();
        }
        assert!(gate.derive(network(9), stranger, work()).is_ok());
        assert_eq!(*BEGUN.lock().unwrap(), 1);
        END.wait();
        END.wait();
    });
}
