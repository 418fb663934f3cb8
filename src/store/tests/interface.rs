//! What holds for every store, checked for the files and for the store in memory.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use proptest::prelude::*;

use crate::accounts::session::MAX_PER_ACCOUNT;
use crate::accounts::token::Digest;
use crate::accounts::{Account, Taken};
use crate::clock::Timestamp;
use crate::reply::Refusal;
use crate::store::tests::{Place, account, now, session};
use crate::store::{Kept, Store};

/// What is done to a store.
#[derive(Clone, Debug)]
enum Act {
    Add(String),
    /// The account's name, the new session, and the one that the browser had before.
    LogIn(String, String, String),
    /// Ends all of an account's sessions by another basis, as a change of the password does.
    EndAll(String),
    /// Looks and changes nothing.
    Look(String),
    Disable(String),
    LogOut(Vec<String>),
    Remove(String),
    /// Does some of all that, and panics.
    Panic(String),
}

/// What there should be: for each account its generation and whether it is disabled, for each
/// session its owner.
#[derive(Default)]
struct Model {
    accounts: BTreeMap<String, (u64, bool)>,
    sessions: BTreeMap<String, String>,
}

impl Model {
    fn act(&mut self, act: &Act) {
        match act {
            Act::Add(name) => {
                self.accounts.entry(name.clone()).or_default();
            }
            Act::LogIn(name, id, before) if self.accounts.contains_key(name) => {
                self.sessions.remove(before);
                self.sessions.insert(id.clone(), name.clone());
            }
            Act::EndAll(name) => {
                if let Some((generation, _)) = self.accounts.get_mut(name) {
                    *generation += 1;
                    self.sessions.retain(|_, owner| owner != name);
                }
            }
            Act::Disable(name) => {
                if let Some((_, disabled)) = self.accounts.get_mut(name) {
                    *disabled = true;
                }
            }
            Act::LogOut(ids) => self.sessions.retain(|id, _| !ids.contains(id)),
            Act::Remove(name) => {
                self.accounts.remove(name);
                self.sessions.retain(|_, owner| owner != name);
            }
            Act::LogIn(..) | Act::Look(_) | Act::Panic(_) => {}
        }
    }
}

fn act(store: &Store, act: &Act, is_known: bool) {
    match act.clone() {
        Act::Add(name) => {
            let expected = if is_known {
                Err(Taken::Username)
            } else {
                Ok(())
            };
            assert_eq!(store.add(account(&name)).unwrap(), expected);
        }
        Act::LogIn(name, id, before) => {
            let logged_in = store.change(&name, move |person| {
                person.account_mut().wrong_codes.clear();
                person.end_sessions(&[Digest::of(&before)]);
                let owner = (person.account().username.clone(), person.account().basis());
                let mut new = session(&id, &owner.0, now());
                new.basis = owner.1;
                person.begin_session(new);
            });
            assert_eq!(logged_in.unwrap().is_some(), is_known);
        }
        Act::EndAll(name) => {
            let end = store.change(&name, |person| person.account_mut().generation += 1);
            assert_eq!(end.unwrap().is_some(), is_known);
        }
        Act::Look(name) => {
            let seen = store.change(&name, |person| person.account().username.clone());
            assert_eq!(seen.unwrap(), is_known.then_some(name));
        }
        Act::Disable(name) => {
            store
                .change(&name, |person| person.account_mut().disabled = true)
                .unwrap();
        }
        Act::LogOut(ids) => {
            let ids = ids.iter().map(|id| Digest::of(id)).collect();
            store.end_sessions(ids).unwrap();
        }
        Act::Remove(name) => {
            store
                .change(&name, |person| person.remove(Timestamp(1_800_000_000)))
                .unwrap();
        }
        Act::Panic(name) => {
            let panicked = store.change(&name, |person| {
                person.account_mut().disabled = true;
                person.begin_session(session("panic", "alice", now()));
                person.remove(Timestamp(1_800_000_000));
                std::panic::resume_unwind(Box::new(()));
            });
            assert_eq!(panicked.is_err(), is_known);
        }
    }
}

fn is_as(store: &Store, model: &Model) {
    for name in ["a", "b", "c"] {
        let found = store.account(name).unwrap();
        let found = found.map(|account| (account.generation, account.disabled));
        assert_eq!(found, model.accounts.get(name).copied(), "{name}");
        let mut sessions: Vec<Digest> = store
            .sessions_of(name)
            .unwrap()
            .iter()
            .map(|session| session.id)
            .collect();
        let theirs = model.sessions.iter().filter(|(_, owner)| *owner == name);
        let mut expected: Vec<Digest> = theirs.map(|(id, _)| Digest::of(id)).collect();
        sessions.sort_by_key(Digest::short);
        expected.sort_by_key(Digest::short);
        assert!(sessions == expected, "{name}");
    }
    for id in ["r", "s", "t", "u"] {
        let who = store.who(Digest::of(id)).unwrap();
        let who = who.map(|(_, account)| account.username.clone());
        assert_eq!(who, model.sessions.get(id).cloned(), "{id}");
    }
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let name = || "[abc]";
    let id = || "[rstu]";
    let act = prop_oneof![
        name().prop_map(Act::Add),
        (name(), id(), id())
            .prop_filter("one session is not two", |(_, id, before)| id != before)
            .prop_map(|(name, id, before)| Act::LogIn(name, id, before)),
        name().prop_map(Act::EndAll),
        name().prop_map(Act::Look),
        name().prop_map(Act::Disable),
        proptest::collection::vec(id(), 0..3).prop_map(Act::LogOut),
        name().prop_map(Act::Remove),
        name().prop_map(Act::Panic),
    ];
    proptest::collection::vec(act, 0..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn every_store_keeps_what_it_was_told(acts in acts()) {
        let place = Place::new();
        for store in [place.open(), Store::in_memory()] {
            let mut model = Model::default();
            for one in &acts {
                let name = match one {
                    Act::LogOut(_) => "",
                    Act::Add(name) | Act::LogIn(name, ..) | Act::EndAll(name) | Act::Look(name)
                    | Act::Disable(name) | Act::Remove(name) | Act::Panic(name) => name,
                };
                act(&store, one, model.accounts.contains_key(name));
                model.act(one);
                is_as(&store, &model);
            }
            if matches!(store.kept, Kept::Files(_)) {
                drop(store);
                is_as(&place.open(), &model);
            }
        }
    }
}

/// Each kind of store, with the account `alice`.
fn each(test: impl Fn(&Store)) {
    let place = Place::new();
    for store in [place.open(), Store::in_memory()] {
        store.add(account("alice")).unwrap().unwrap();
        test(&store);
    }
}

#[test]
fn the_least_used_session_of_too_many_makes_room() {
    each(|store| {
        for n in 0..=MAX_PER_ACCOUNT {
            let at = Timestamp(now().0 - 1000 + n as u64);
            let begin = store.change("alice", move |person| {
                person.begin_session(session(&n.to_string(), "alice", at));
            });
            begin.unwrap();
        }
        let left = store.sessions_of("alice").unwrap();
        assert_eq!(left.len(), MAX_PER_ACCOUNT);
        assert!(left.iter().all(|session| session.id != Digest::of("0")));
    });
}

#[test]
fn an_account_is_found_by_name_and_address_in_any_case_and_neither_is_given_twice() {
    each(|store| {
        let found = |name| store.account(name).unwrap().is_some();
        assert!(found("ALICE") && found("Alice@Example.com") && !found("bob"));
        let taken = |name, email| store.taken(name, Some(email), now()).unwrap();
        assert_eq!(taken("Alice", "new@example.com"), Some(Taken::Username));
        assert_eq!(taken("new", "ALICE@example.com"), Some(Taken::Email));
        assert_eq!(taken("new", "new@example.com"), None);
        let other = Account {
            email: Some("alice@example.com".to_owned()),
            ..account("bob")
        };
        assert_eq!(store.add(other).unwrap(), Err(Taken::Email));
    });
}

#[test]
fn of_many_at_once_none_is_lost() {
    each(|store| {
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..10 {
                        let changed =
                            store.change("alice", |person| person.account_mut().generation += 1);
                        changed.unwrap().unwrap();
                    }
                });
            }
        });
        assert_eq!(store.account("alice").unwrap().unwrap().generation, 80);
    });
}

#[test]
fn a_store_that_is_away_says_so_and_never_that_there_is_nobody() {
    let store = Store::in_memory();
    store.add(account("alice")).unwrap().unwrap();
    let Kept::Memory(memory) = &store.kept else {
        panic!("it is in memory");
    };
    memory.away.store(true, Ordering::Relaxed);
    assert!(store.account("alice").is_err());
    assert!(store.who(Digest::of("s")).is_err());
    assert!(store.sessions_of("alice").is_err());
    assert!(store.taken("alice", Some("a@example.com"), now()).is_err());
    assert!(
        store
            .change("alice", |person| person.remove(Timestamp(1_800_000_000)))
            .is_err()
    );
    memory.away.store(false, Ordering::Relaxed);
    assert!(store.account("alice").unwrap().is_some());
}

#[test]
fn an_answer_that_is_lost_is_told_from_a_refusal() {
    let store = Store::in_memory();
    let Kept::Memory(memory) = &store.kept else {
        panic!("it is in memory");
    };
    memory.silent.store(true, Ordering::Relaxed);
    let lost = store.add(account("alice")).err().unwrap();
    memory.away.store(true, Ordering::Relaxed);
    let refused = store.add(account("bob")).err().unwrap();
    assert_eq!(Refusal::from(lost).into_reply().outcome.code(), "unknown");
    assert_eq!(
        Refusal::from(refused).into_reply().outcome.code(),
        "not_saved"
    );
}
