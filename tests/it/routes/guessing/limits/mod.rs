//! Guessing, by many, at once, from everywhere; and who has to wait for it. What the owner does
//! meanwhile is in `owners_meanwhile`.

use std::sync::Barrier;
use std::thread;

use crate::harness::{Answer, Server, Visitor, from_now};

mod by_account;
mod by_network;

/// The answers to requests made at the same instant.
fn at_once(visitors: Vec<Visitor>, ask: impl Fn(usize, Visitor) -> Answer + Sync) -> Vec<Answer> {
    let (together, ask) = (&Barrier::new(visitors.len()), &ask);
    thread::scope(|scope| {
        let begin = |(n, visitor)| {
            scope.spawn(move || {
                together.wait();
                ask(n, visitor)
            })
        };
        let threads: Vec<_> = visitors.into_iter().enumerate().map(begin).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    })
}

fn count(answers: &[Answer], code: &str) -> usize {
    answers.iter().filter(|a| a.json()["code"] == code).count()
}

/// Has the account's next code wait a second that does not pass for most of a minute, however slow
/// this machine is.
fn stop_codes(server: &Server, name: &str) {
    server.edit_account(name, |account| {
        account["wrong_codes"]["count"] = 5.into();
        account["wrong_codes"]["last"] = from_now(50).into();
    });
}

/// Tries until a wait is asked for: how many attempts were looked at before that.
///
/// A machine that stands still for a second lets a sixth one through, as the rule says.
#[track_caller]
fn until_throttled(mut attempt: impl FnMut() -> Answer) -> usize {
    for looked_at in 0..30 {
        let answer = attempt();
        if answer.status == 429 {
            assert!(
                answer
                    .header("retry-after")
                    .unwrap()
                    .parse::<u64>()
                    .unwrap()
                    >= 1
            );
            return looked_at;
        }
        assert_eq!(answer.json()["code"], "wrong_credentials", "{answer:?}");
    }
    panic!("never throttled");
}
