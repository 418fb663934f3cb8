//! A standby takes over again and again, and each time it is measured how soon changes are saved.
//!
//! `AUTH_TEST_FAILOVERS` says how often.

use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Server, Visitor};
use crate::long::percentile;
use crate::store::away::asks;
use crate::store::failover::{Lives, Pair, Told, first_change};

/// A bound of the product: so long after the promotion changes are saved again.
const BACK: Duration = Duration::from_secs(2);

/// As often as is asked for, or so often.
fn rounds(or: usize) -> usize {
    std::env::var("AUTH_TEST_FAILOVERS").map_or(or, |rounds| rounds.parse().unwrap())
}

/// Somebody who is logged in.
fn known_at(server: &Server) -> Visitor {
    let known = Visitor::program(server);
    known.sign_up("known");
    known.enrol("known");
    known
}

#[test]
fn nothing_that_was_answered_is_lost_by_failover_and_changes_are_back_soon() {
    let rounds = rounds(10);
    let (mut back, mut done, mut nothing, mut unknown) = (Vec::new(), 0, 0, 0);
    for round in 0..rounds {
        let pair = Pair::start();
        let server = pair.setup.start();
        let known = known_at(&server);
        // Every other time the machine keeps silent instead of being gone.
        let is_silent = round % 2 == 1;

        let lives = Lives::led(&server, "p", |lives| {
            lives.wait_for_more(10);
            assert_eq!(asks(&known).status, 200);
            let begun = Instant::now();
            match is_silent {
                true => pair.primary.freeze(true),
                false => pair.primary.kill(),
            }
            pair.standby.promote();
            let promoted = begun.elapsed();
            let took = first_change(&server, "first");
            let asked = asks(&known).status;
            println!(
                "round {round}, silent: {is_silent}: promoted after {promoted:?}, changes are \
                 saved {took:?} after that, a known session is answered {asked}"
            );
            back.push(took);
            lives.wait_for_more(5);
        });
        lives.judge(&pair.setup);
        assert_eq!(asks(&known).status, 200);
        done += lives.count(Told::Done);
        nothing += lives.count(Told::Nothing);
        unknown += lives.count(Told::Unknown);
    }
    let (median, most) = (percentile(50, back.clone()), back.iter().max().unwrap());
    println!(
        "{rounds} failovers: changes back after {median:?} (median), {most:?} (most); {done} \
         changes answered and there, {nothing} refused and not there, {unknown} unknown"
    );
    assert!(median < BACK, "{median:?}");
}

/// The machine that is frozen comes back once the other has taken over, and believes that it is the
/// one that takes writes.
#[test]
fn a_silent_machine_is_left_soon_and_its_return_does_no_harm() {
    let rounds = rounds(5);
    let mut medians = Vec::new();
    for pause in [100, 1_000, 3_000].map(Duration::from_millis) {
        let (mut any, mut first, mut unknown) = (Vec::new(), Vec::new(), 0);
        for round in 0..rounds {
            let pair = Pair::start();
            let server = pair.setup.start();
            let known = known_at(&server);

            let lives = Lives::led(&server, "p", |lives| {
                lives.wait_for_more(10);
                pair.primary.freeze(true);
                thread::sleep(pause);
                pair.standby.promote();
                let promoted = Instant::now();
                let (anybody, somebody) = thread::scope(|scope| {
                    let anybody = scope.spawn(|| {
                        lives.wait_for_more(1);
                        promoted.elapsed()
                    });
                    let somebody = first_change(&server, "first");
                    (anybody.join().unwrap(), somebody)
                });
                println!(
                    "promoted {pause:?} after the freeze, round {round}: a change of those who \
                     were there is saved after {anybody:?}, of one who comes then {somebody:?}"
                );
                any.push(anybody);
                first.push(somebody);
                lives.wait_for_more(5);
                pair.primary.freeze(false);
                thread::sleep(Duration::from_secs(3));
                lives.wait_for_more(20);
                // Who begins only now cannot know which of them is right: an operator ends one.
                pair.primary.kill();
                lives.wait_for_more(5);
            });

            lives.judge(&pair.setup);
            assert_eq!(asks(&known).status, 200);
            unknown += lives.count(Told::Unknown);
        }
        let most = first.iter().max().unwrap();
        println!(
            "promoted {pause:?} after the freeze, {rounds} times: {:?} (median) of those who were \
             there, {:?} (median), {most:?} (most) of one who comes then; {unknown} unknown",
            percentile(50, any),
            percentile(50, first.clone()),
        );
        medians.push(percentile(50, first));
    }
    assert!(medians.iter().all(|median| *median < BACK), "{medians:?}");
}
