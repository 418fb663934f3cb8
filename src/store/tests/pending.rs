//! What is pending, in every kind of store.

use std::thread;

use crate::accounts::login::SecondStep;
use crate::accounts::pending::{Ids, MAX_WRONG_CODES, PendingLogin, PendingMove, Stage};
use crate::accounts::token::Digest;
use crate::accounts::totp::Secret;
use crate::clock::Timestamp;
use crate::store::Store;
use crate::store::tests::interface::each;
use crate::store::tests::{account, now, session};

/// A login of `alice` with a mailed password, which enrols.
pub(in crate::store) fn login() -> PendingLogin {
    let mailed = Some(Digest::of("mailed"));
    let (basis, rd) = (account("alice").basis(), "/there".to_owned());
    PendingLogin::new("alice", basis, Some(Secret::new()), mailed, rd)
        .mailed_to(Some("alice@example.com"))
        .remembering(true)
}

/// Ends the login of this cookie and begins a session, as a right code does; whether it was there.
pub(in crate::store) fn finish(store: &Store, cookie: &str, by: &str) -> bool {
    let (id, by) = (Digest::of(cookie), by.to_owned());
    let finished = store.change_pending((id, now()), "alice", move |person| {
        let waits = person.login().is_some();
        if waits {
            person.end_pending(id);
            person.begin_session(session(&by, "alice", now()));
            person.account_mut().recovery_codes.pop();
        }
        waits
    });
    finished.unwrap().unwrap()
}

fn wrong(store: &Store, cookie: &str) {
    let id = Digest::of(cookie);
    let counted = store.change_pending((id, now()), "alice", move |person| {
        person.count_wrong_code(id);
    });
    counted.unwrap().unwrap();
}

fn waits(store: &Store, cookie: &str) -> bool {
    store.pending_login(cookie, now()).unwrap().is_some()
}

#[test]
fn a_login_comes_back_as_it_began_and_waits_five_minutes() {
    each(|store| {
        let began = login();
        let at = now();
        let after = |seconds| Timestamp(at.0 + seconds);
        let cookie = store.begin_login(began.clone(), at).unwrap();

        let found = store.pending_login(&cookie, after(299)).unwrap();

        let found = found.unwrap();
        assert!(found.enrolling == began.enrolling && found.basis == began.basis);
        assert!(found.mailed == began.mailed && found.rd == "/there" && found.remember);
        assert!(found.is_for(&account("alice")));
        let elsewhere = crate::accounts::Account {
            email: Some("b@example.com".to_owned()),
            ..account("alice")
        };
        assert!(!found.is_for(&elsewhere), "another address");
        let late = store.pending_login(&cookie, after(300)).unwrap();
        assert!(late.is_none());
        let choice = store.pending_choice(&cookie, at).unwrap();
        assert!(choice.is_none());
    });
}

#[test]
fn the_fifth_wrong_code_ends_a_login() {
    each(|store| {
        let cookie = store.begin_login(login(), now()).unwrap();
        for _ in 1..MAX_WRONG_CODES {
            wrong(store, &cookie);
        }
        assert!(waits(store, &cookie));
        wrong(store, &cookie);
        assert!(!waits(store, &cookie) && !finish(store, &cookie, "late"));
    });
}

#[test]
fn of_two_that_finish_a_login_at_once_one_does() {
    each(|store| {
        for round in 0..50 {
            let cookie = store.begin_login(login(), now()).unwrap();
            let won = thread::scope(|scope| {
                let finish = |by: &'static str| {
                    let (cookie, by) = (&cookie, format!("{by}{round}"));
                    scope.spawn(move || finish(store, cookie, &by))
                };
                [finish("code"), finish("recovery code")].map(|one| one.join().unwrap())
            });
            assert!(won[0] != won[1], "{round}");
            assert!(!waits(store, &cookie));
        }
        assert_eq!(store.sessions_of("alice").unwrap().len(), 50);
    });
}

#[test]
fn what_does_not_end_a_login_leaves_it_to_others() {
    each(|store| {
        let cookie = store.begin_login(login(), now()).unwrap();
        let at = (Digest::of(&cookie), now());
        let looked = store.change_pending(at, "alice", |person| person.login().is_some());
        assert_eq!(looked.unwrap(), Some(true));
        let panicked = store.change_pending(at, "alice", |person| {
            person.end_pending(Digest::of("another"));
            if person.login().is_some() {
                std::panic::resume_unwind(Box::new(()));
            }
        });
        assert!(panicked.is_err());
        assert!(finish(store, &cookie, "s"));
    });
}

#[test]
fn a_choice_has_a_cookie_of_its_own_and_neither_stands_in_for_the_other() {
    each(|store| {
        let cookie = store.begin_login(login(), now()).unwrap();
        let ids = Ids {
            before: Digest::of(&cookie),
            after: Digest::of("after"),
        };
        let chose = store.change_pending((ids.before, now()), "alice", move |person| {
            person.must_choose(SecondStep::Passkey, ids, now());
        });
        chose.unwrap();

        assert!(!waits(store, &cookie) && !waits(store, "after"));
        let choice = store.pending_choice("after", now()).unwrap().unwrap();
        assert!(choice.by == SecondStep::Passkey && choice.mailed == Digest::of("mailed"));
        assert!(choice.is_for(&account("alice")) && choice.remember && choice.rd == "/there");
        store.end_pending("after").unwrap();
        assert!(store.pending_choice("after", now()).unwrap().is_none());
    });
}

#[test]
fn all_that_is_pending_for_an_account_ends_with_what_it_rests_on() {
    each(|store| {
        let cookie = store.begin_login(login(), now()).unwrap();
        store.add(account("bob")).unwrap().unwrap();
        let bobs = PendingLogin::new("Bob", account("bob").basis(), None, None, String::new());
        let bobs = store.begin_login(bobs, now()).unwrap();
        let (session, secret) = (Digest::of("session"), Secret::new());
        for secret in [Secret::new(), secret.clone()] {
            let moves = store.change("alice", move |person| {
                let moving = PendingMove {
                    username: "ALICE".to_owned(),
                    secret: secret.clone(),
                };
                person.begin_pending(session, Stage::Move(moving), now());
            });
            moves.unwrap();
        }
        // The later key is the one that counts.
        let moving = store.moving(session, now()).unwrap().unwrap();
        assert!(moving.secret == secret && moving.username == "ALICE");

        store
            .change("alice", |person| person.forget_pending())
            .unwrap();

        assert!(!waits(store, &cookie) && waits(store, &bobs));
        assert!(store.moving(session, now()).unwrap().is_none());
    });
}
