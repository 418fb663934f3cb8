//! Challenges: asked without memory, known again, used once.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::accounts::token::{Digest, DigestKey};

const BEGIN: Duration = Duration::from_millis(1_800_000_000_900);

const ONE: Duration = Duration::from_millis(1);

fn of_process() -> Challenges {
    Challenges::of_process(Arc::default())
}

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

/// A challenge that was asked for then.
fn asked_at(now: Duration) -> Challenge {
    let challenges = of_process();
    let asked = said(&challenges.ask(Purpose::Alone, now));
    judged(&challenges, &asked, Purpose::Alone, now)
        .ok()
        .unwrap()
}

#[test]
fn a_challenge_is_known_again_for_five_minutes() {
    let challenges = of_process();
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
fn a_challenge_is_for_one_purpose_under_one_key() {
    let challenges = of_process();
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
        let result = judged(&of_process(), &asked, purpose, BEGIN);
        assert_eq!(result.err(), Some(Refused::Challenge));
    }
}

#[test]
fn a_challenge_that_was_not_asked_is_refused_however_near_it_is() {
    let challenges = of_process();
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
fn under_the_same_key_the_challenge_of_another_process_is_known_and_too_old_or_good_for_all() {
    let key = Arc::new(DigestKey::new());
    let before = Challenges::of_process(Arc::clone(&key));
    let asked = said(&before.ask(Purpose::Alone, BEGIN));
    // The clock stands, was set back, or runs on.
    for now in [BEGIN, BEGIN - Duration::from_secs(60), BEGIN + ONE] {
        let after = Challenges::of_process(Arc::clone(&key));
        let result = judged(&after, &asked, Purpose::Alone, now);
        assert_eq!(result.err(), Some(Refused::Expired));
        let of_all = Challenges::of_all(Arc::clone(&key));
        assert!(judged(&of_all, &asked, Purpose::Alone, now).is_ok());
        let other = Purpose::Making(Digest::of("one"));
        let result = judged(&after, &asked, other, now);
        assert_eq!(result.err(), Some(Refused::Challenge));
    }
}

#[test]
fn no_clock_makes_a_challenge_last_or_panics() {
    let challenges = Challenges::of_all(Arc::default());
    let ahead = said(&challenges.ask(Purpose::Alone, BEGIN * 2));
    let result = judged(&challenges, &ahead, Purpose::Alone, BEGIN);
    assert_eq!(result.err(), Some(Refused::Expired));
    for now in [Duration::ZERO, Duration::MAX] {
        let asked = said(&challenges.ask(Purpose::Alone, now));
        let result = judged(&challenges, &asked, Purpose::Alone, BEGIN);
        assert_eq!(result.err(), Some(Refused::Expired));
        assert!(judged(&challenges, &asked, Purpose::Alone, now).is_ok());
        let answered = Answered::default();
        assert!(answered.hold(asked_at(now), now).is_ok());
    }
}

#[test]
fn what_is_held_is_nobody_elses_until_it_is_let_go() {
    let (answered, challenge) = (Answered::default(), asked_at(BEGIN));
    assert_eq!(answered.hold(challenge, BEGIN), Ok(()));
    let again = answered.hold(challenge, BEGIN);
    assert_eq!(again, Err(Refused::Challenge));
    assert_eq!(answered.hold(asked_at(BEGIN), BEGIN), Ok(()));
    answered.let_go(&challenge);
    assert_eq!(answered.hold(challenge, BEGIN), Ok(()));
}

#[test]
fn what_is_forgotten_is_not_taken_even_by_one_who_came_in_time() {
    let (answered, challenge) = (Answered::default(), asked_at(BEGIN));
    let end = BEGIN + Duration::from_secs(300);
    assert_eq!(answered.hold(challenge, BEGIN), Ok(()));
    // Somebody else's answer, a moment later, makes room.
    assert_eq!(answered.hold(asked_at(end), end + ONE), Ok(()));
    assert_eq!(answered.hold(challenge, end), Err(Refused::Expired));
}

#[test]
fn no_more_is_remembered_than_can_be_answered_again() {
    let (challenges, answered) = (of_process(), Answered::default());
    for second in 0..2000 {
        let now = BEGIN + Duration::from_secs(second);
        // Showing a page costs nothing.
        for _ in 0..3 {
            challenges.ask(Purpose::Alone, now);
        }
        assert_eq!(answered.hold(asked_at(now), now), Ok(()));
    }
    assert_eq!(answered.remembered(), 301);
}
