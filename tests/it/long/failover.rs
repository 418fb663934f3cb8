//! A standby takes over again and again, and each time it is measured how soon changes are saved.
//!
//! `AUTH_TEST_FAILOVERS` says how often.

use std::time::{Duration, Instant};

use crate::harness::Visitor;
use crate::long::percentile;
use crate::store::away::asks;
use crate::store::failover::{Lives, Pair, Told, first_change};

/// A bound of the product: so long after the promotion changes are saved again.
const BACK: Duration = Duration::from_secs(2);

#[test]
fn nothing_that_was_answered_is_lost_by_failover_and_changes_are_back_soon() {
    let rounds = std::env::var("AUTH_TEST_FAILOVERS").map_or(10, |rounds| rounds.parse().unwrap());
    let (mut back, mut done, mut nothing, mut unknown) = (Vec::new(), 0, 0, 0);
    for round in 0..rounds {
        let pair = Pair::start();
        let server = pair.setup.start();
        let known = Visitor::program(&server);
        known.sign_up("known");
        known.enrol("known");
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
