//! Challenges: asked without memory, known again, used once.

use std::time::Duration;

use super::*;
use crate::accounts::token::Digest;

const BEGIN: Duration = Duration::from_millis(1_800_000_000_900);

const ONE: Duration = Duration::from_millis(1);

fn said(challenge: &str) -> Vec<u8> {
    base64url::decode(challenge, 32).unwrap()
}

fn judged(
    challenges: &Challenges,
    said: &[u8],
    purpose: Purpose,
    now: Duration,
) -> Result<Challenge, Refused> {
    challenges.asked(purpose, now)(said)
}

#[test]
fn a_challenge_is_known_again_for_five_minutes() {
    let challenges = Challenges::default();
    let asked = said(&challenges.ask(Purpose::Alone, BEGIN));
    assert_eq!(asked.len(), 32);
    let end = BEGIN + Duration::from_secs(300);
    for now in [BEGIN, BEGIN + ONE, end - ONE, end] {
        assert!(judged(&challenges, &asked, Purpose::Alone, now).is_ok());
    }
    for now in [end + ONE, end * 2] {
        let late = judged(&challenges, &asked, Purpose::Alone, now);
        assert_eq!(late.err(), Some(Refused::Expired));
    }
}

#[test]
fn a_challenge_is_for_one_purpose_in_one_process() {
    let challenges = Challenges::default();
    let (one, other) = (Digest::of("one"), Digest::of("other"));
    let purposes = [
        Purpose::Alone,
        Purpose::AfterPassword(one),
        Purpose::AfterPassword(other),
        Purpose::Making(one),
        Purpose::Making(other),
    ];
    for (at, purpose) in purposes.into_iter().enumerate() {
        let asked = said(&challenges.ask(purpose, BEGIN));
        for (for_at, purpose) in purposes.into_iter().enumerate() {
            let result = judged(&challenges, &asked, purpose, BEGIN);
            let expected = (at != for_at).then_some(Refused::Challenge);
            assert_eq!(result.err(), expected);
        }
        // After a restart.
        let result = judged(&Challenges::default(), &asked, purpose, BEGIN);
        assert_eq!(result.err(), Some(Refused::Challenge));
    }
}

#[test]
fn a_challenge_that_was_not_asked_is_refused_however_near_it_is() {
    let challenges = Challenges::default();
    let asked = said(&challenges.ask(Purpose::Alone, BEGIN));
    for bit in 0..256 {
        let mut other = asked.clone();
        other[bit / 8] ^= 1 << (bit % 8);
        // Before its age is looked at: only what was asked is told to be too old.
        for now in [BEGIN, BEGIN * 2] {
            let result = judged(&challenges, &other, Purpose::Alone, now);
            assert_eq!(result.err(), Some(Refused::Challenge));
        }
    }
    for other in [&[][..], &asked[1..], &[&asked[..], &[0]].concat()] {
        let result = judged(&challenges, other, Purpose::Alone, BEGIN);
        assert_eq!(result.err(), Some(Refused::Challenge));
    }
    assert_ne!(
        challenges.ask(Purpose::Alone, BEGIN),
        challenges.ask(Purpose::Alone, BEGIN)
    );
}

#[test]
fn a_challenge_works_once_and_again_only_if_the_answer_was_not_taken() {
    let challenges = Challenges::default();
    let asked = said(&challenges.ask(Purpose::Alone, BEGIN));
    let challenge = judged(&challenges, &asked, Purpose::Alone, BEGIN)
        .ok()
        .unwrap();
    {
        let held = challenges.hold(challenge, BEGIN);
        assert!(held.is_some());
        assert!(challenges.hold(challenge, BEGIN).is_none());
    }
    challenges.hold(challenge, BEGIN).unwrap().use_up();
    assert!(challenges.hold(challenge, BEGIN).is_none());
    let other = said(&challenges.ask(Purpose::Alone, BEGIN));
    let other = judged(&challenges, &other, Purpose::Alone, BEGIN)
        .ok()
        .unwrap();
    assert!(challenges.hold(other, BEGIN).is_some());
}

#[test]
fn of_many_at_once_one_is_taken() {
    let challenges = Challenges::default();
    for _ in 0..50 {
        let asked = said(&challenges.ask(Purpose::Alone, BEGIN));
        let challenge = judged(&challenges, &asked, Purpose::Alone, BEGIN)
            .ok()
            .unwrap();
        let taken: usize = std::thread::scope(|scope| {
            let take = || {
                let held = challenges.hold(challenge, BEGIN);
                usize::from(held.map(Held::use_up).is_some())
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!(taken, 1);
    }
}

#[test]
fn what_is_forgotten_is_not_taken_even_by_one_who_came_in_time() {
    let challenges = Challenges::default();
    let asked = said(&challenges.ask(Purpose::Alone, BEGIN));
    let end = BEGIN + Duration::from_secs(300);
    let challenge = judged(&challenges, &asked, Purpose::Alone, end)
        .ok()
        .unwrap();
    challenges.hold(challenge, BEGIN).unwrap().use_up();
    // Somebody else's answer, a moment later, makes room.
    let later = said(&challenges.ask(Purpose::Alone, end));
    let later = judged(&challenges, &later, Purpose::Alone, end + ONE)
        .ok()
        .unwrap();
    challenges.hold(later, end + ONE).unwrap().use_up();
    assert!(challenges.hold(challenge, end).is_none());
}

#[test]
fn no_more_is_remembered_than_can_be_answered_again() {
    let challenges = Challenges::default();
    for second in 0..2000 {
        let now = BEGIN + Duration::from_secs(second);
        // Showing a page costs nothing.
        for _ in 0..3 {
            challenges.ask(Purpose::Alone, now);
        }
        let asked = said(&challenges.ask(Purpose::Alone, now));
        let challenge = judged(&challenges, &asked, Purpose::Alone, now)
            .ok()
            .unwrap();
        challenges.hold(challenge, now).unwrap().use_up();
    }
    assert_eq!(challenges.remembered(), 301);
}
