//! How soon visitors are told of a line to the database that freezes, is cut or loses an answer; and
//! a slow line, on which all goes on.
//!
//! `AUTH_TEST_ROUNDS` says how often each.

use std::thread;
use std::time::{Duration, Instant};

use crate::cluster::Cluster;
use crate::harness::{Answer, Server, Visitor, wait_for};
use crate::long::percentile;
use crate::operator::run;
use crate::store::away::{asks, health};
use crate::store::failover::first_change;
use crate::store::line::Line;
use crate::store::relay::{register, wait_for_mail};

/// Bounds of the product: when a change is refused by a node that does not know yet, and by one that
/// does; when somebody is told that nobody knows; when all is as before.
const REFUSED: Duration = Duration::from_millis(2_500);
const REFUSED_AT_ONCE: Duration = Duration::from_millis(500);
const UNKNOWN: Duration = Duration::from_secs(5);
const BACK: Duration = Duration::from_secs(2);

/// From one end of the slow line to the other.
const FAR: Duration = Duration::from_millis(100);

fn rounds() -> usize {
    std::env::var("AUTH_TEST_ROUNDS").map_or(20, |rounds| rounds.parse().unwrap())
}

fn timed<R>(act: impl FnOnce() -> R) -> (Duration, R) {
    let begun = Instant::now();
    let gave = act();
    (begun.elapsed(), gave)
}

/// Says how long something took, and fails the test if it was too long even once.
#[track_caller]
fn judge(what: &str, times: &[Duration], bound: Duration) {
    let (median, most) = (percentile(50, times.to_vec()), times.iter().max().unwrap());
    println!(
        "{what}: {median:?} (median), {most:?} (most) of {}",
        times.len()
    );
    assert!(*most < bound, "{what}: {most:?}");
}

type Change<'a> = Box<dyn Fn() -> Answer + 'a>;

/// Changes of all kinds, with the one whose session it is.
fn changes<'a>(server: &'a Server, known: &'a Visitor) -> [(&'static str, Change<'a>); 3] {
    [
        ("logout", Box::new(|| known.post("/logout", &[]))),
        ("registration", Box::new(|| register(server, "stranger"))),
        (
            "forgotten",
            Box::new(|| {
                Visitor::program(server).post("/forgot_password", &[("username", "known")])
            }),
        ),
    ]
}

#[track_caller]
fn is_busy(answer: &Answer) {
    assert_eq!(answer.status, 503, "{answer:?}");
    answer.expect("busy");
}

/// What is measured while the line is out of order, and then.
fn measure_outages(what: &str, set: impl Fn(&Line, bool)) {
    let cluster = Cluster::shared();
    let line = Line::to(cluster);
    let setup = line.setup(cluster).with(&["--registrations-per-hour", "0"]);
    let server = setup.start();
    let known = Visitor::program(&server);
    known.sign_up("known");
    known.enrol("known");
    let (mut first, mut known_away, mut back, mut checks) = (vec![], vec![], vec![], vec![]);
    for round in 0..rounds() {
        assert_eq!(asks(&known).status, 200);
        let all = changes(&server, &known);
        // The first is another one each round.
        let (kind, change) = &all[round % all.len()];
        set(&line, true);
        let (took, answer) = timed(change);
        println!("{what}, round {round}: the first {kind} was refused after {took:?}");
        is_busy(&answer);
        first.push(took);
        wait_for("health", || (health(&server).0 == 503).then_some(()));
        for (_, change) in &all {
            let (took, answer) = timed(change);
            is_busy(&answer);
            known_away.push(took);
        }
        set(&line, false);
        let begun = Instant::now();
        back.push(first_change(&server, &format!("r{round}")));
        wait_for("checks", || (asks(&known).status == 200).then_some(()));
        wait_for("health", || (health(&server).0 == 200).then_some(()));
        checks.push(begun.elapsed());
    }
    let say = |which: &str| format!("{what}, {which}");
    judge(&say("the first change refused"), &first, REFUSED);
    judge(
        &say("refused once it is known"),
        &known_away,
        REFUSED_AT_ONCE,
    );
    judge(&say("a change saved again"), &back, BACK);
    judge(&say("all as before"), &checks, BACK);
}

#[test]
fn a_change_is_refused_in_time_on_a_line_that_freezes() {
    measure_outages("frozen", Line::freeze);
}

#[test]
fn a_change_is_refused_in_time_on_a_line_that_is_cut() {
    measure_outages("cut", Line::cut);
}

#[test]
fn that_nobody_knows_is_said_in_time() {
    let cluster = Cluster::shared();
    let line = Line::to(cluster);
    let setup = line.setup(cluster).with(&["--registrations-per-hour", "0"]);
    let server = setup.start();
    let mut times = Vec::new();
    for round in 0..rounds() {
        let before = format!("before{round}");
        register(&server, &before).expect("registered");
        wait_for_mail(&server, &before);
        line.die_at_commit();

        let (took, answer) = timed(|| register(&server, &format!("lost{round}")));

        assert_eq!(answer.status, 503, "{answer:?}");
        answer.expect("unknown");
        times.push(took);
        line.set_dead(false);
        wait_for("health", || (health(&server).0 == 200).then_some(()));
    }
    // Each had arrived.
    let (_, out, err) = run(&setup, &["user", "list"], b"");
    let there = out.lines().filter(|line| line.starts_with("lost")).count();
    assert_eq!(there, rounds(), "{err}");
    judge("nobody knows", &times, UNKNOWN);
}

#[test]
fn on_a_slow_line_all_goes_on() {
    let cluster = Cluster::shared();
    let line = Line::to(cluster);
    let setup = line.setup(cluster).with(&["--registrations-per-hour", "0"]);
    let server = setup.start();
    line.delay(FAR);
    let mut times = Vec::new();
    // Nobody has connected over the slow line before.
    thread::sleep(Duration::from_secs(3));
    for round in 0..rounds() {
        let name = format!("user{round}");
        let visitor = Visitor::program(&server);

        let (took, ()) = timed(|| visitor.sign_up(&name));
        times.push(took);
        visitor.enrol(&name);
        assert_eq!(asks(&visitor).status, 200);
        visitor.post("/logout", &[]).expect("logged_out");
    }
    assert_eq!(health(&server), (200, "ok".to_owned()));
    judge("a registration on a slow line", &times, Duration::MAX);
    assert!(
        !server.log().contains("the database is away"),
        "{}",
        server.log()
    );
}
