//! What holds for every store, checked for the files, for the store in memory and, with the feature
//! `databases`, for a database.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use proptest::prelude::*;

use crate::accounts::access_token::AccessToken;
use crate::accounts::confirmations::Unconfirmed;
use crate::accounts::invitations::{Invitation, NotRegistered, OPERATOR, USUAL_LIFETIME};
use crate::accounts::kept::Unknown;
use crate::accounts::password::PasswordHash;
use crate::accounts::person::Person;
use crate::accounts::session::MAX_PER_ACCOUNT;
use crate::accounts::token::Digest;
use crate::accounts::{Account, Taken};
use crate::clock::Timestamp;
use crate::reply::Refusal;
#[cfg(feature = "databases")]
use crate::store::postgres::tests::in_database;
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
        for store in kinds(&place) {
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

/// A store of each kind, with nothing in it.
fn kinds(place: &Place) -> Vec<Store> {
    vec![
        place.open(),
        Store::in_memory(),
        #[cfg(feature = "databases")]
        in_database(),
    ]
}

/// Each kind of store, with the account `alice`.
pub(super) fn each(test: impl Fn(&Store)) {
    let place = Place::new();
    for store in kinds(&place) {
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
fn tokens_that_expired_long_ago_go_and_others_stay() {
    each(|store| {
        let made = Timestamp(now().0 - 40 * 86_400);
        store.add(account("bob")).unwrap().unwrap();
        for (name, days) in [("alice", 1), ("alice", 365), ("bob", 20)] {
            let add = move |person: &mut Person<'_>| {
                let hosts = vec!["app.example.com".to_owned()];
                let token = AccessToken::new(&format!("{name}{days}"), name, hosts, days, made);
                person.account_mut().add_token(token, made)
            };
            store.change(name, add).unwrap().unwrap().unwrap();
        }

        store.drop_past_tokens(now()).unwrap();

        let left = |name: &str| {
            let account = store.account(name).unwrap().unwrap();
            account
                .tokens
                .iter()
                .map(|token| token.hash)
                .collect::<Vec<_>>()
        };
        assert_eq!(left("alice"), [Digest::of("alice365")]);
        assert_eq!(left("bob"), [Digest::of("bob20")]);
        let owner = |secret: &str| store.owner_of_token(Digest::of(secret)).unwrap();
        assert!(owner("alice1").is_none() && owner("alice365").is_some());
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
fn a_new_address_ends_what_was_mailed_to_the_old_one_and_can_be_found_at_once() {
    each(|store| {
        let link = |to: Option<&str>, token: &str| {
            let alice = store.account("alice").unwrap().unwrap();
            let opened = store.expect_confirmation(&alice, to, Digest::of(token), now());
            assert!(opened.unwrap(), "{token}");
        };
        let confirm = |token: &str| store.confirm(Digest::of(token), now()).unwrap();
        let mailed = store.change("alice", |person| {
            let account = person.account_mut();
            account.mail_password(Digest::of("mailed"), None, now());
            person.begin_session(session("s", "alice", now()));
        });
        mailed.unwrap();
        link(None, "own");
        link(Some("one@example.com"), "one");
        link(Some("two@example.com"), "two");

        let done = confirm("one").ok().unwrap();

        let before = done.before.unwrap();
        assert_eq!(before.email.as_deref(), Some("alice@example.com"));
        let found = store.account("ONE@example.com").unwrap().unwrap();
        assert!(found.username == "alice" && found.email_proven);
        assert!(found.mailed_passwords.is_empty());
        assert!(store.account("alice@example.com").unwrap().is_none());
        assert!(store.who(Digest::of("s")).unwrap().is_some());
        for over in ["own", "one", "two"] {
            assert_eq!(confirm(over).err(), Some(Unconfirmed::Unknown), "{over}");
        }
        // The address that was left is free for others.
        store.add(account("bob")).unwrap().unwrap();
        link(Some("BOB@example.com"), "bob");
        assert_eq!(confirm("bob").err(), Some(Unconfirmed::Taken));
        let bob = store.account("bob@example.com").unwrap().unwrap();
        assert_eq!(bob.username, "bob");
    });
}

#[test]
fn a_change_of_address_ends_with_the_password_it_was_asked_with_but_not_with_its_hash() {
    let stronger: Made = |person| person.strengthen_password(PasswordHash::quick());
    let other: Made = |person| {
        person
            .account_mut()
            .change_password(PasswordHash::quick(), None)
    };
    let disabled: Made = |person| person.account_mut().disabled = true;
    for (change, lives) in [(stronger, true), (other, false), (disabled, false)] {
        each(|store| {
            let alice = store.account("alice").unwrap().unwrap();
            for (to, token) in [(None, "own"), (Some("new@example.com"), "new")] {
                let opened = store.expect_confirmation(&alice, to, Digest::of(token), now());
                assert!(opened.unwrap());
            }
            store.change("alice", change).unwrap();
            // Enabled again, it makes no difference.
            let enabled = store.change("alice", |person| person.account_mut().disabled = false);
            enabled.unwrap();

            let works = |token| store.is_confirmable(Digest::of(token), now()).unwrap();
            assert_eq!((works("own"), works("new")), (true, lives));
            // Nor is one opened for who asked before.
            let late = store.expect_confirmation(&alice, Some("a@b.c"), Digest::of("late"), now());
            let has_password = store.account("alice").unwrap().unwrap().password_id();
            assert_eq!(late.unwrap(), has_password == alice.password_id());
        });
    }
}

/// What is made of a person.
type Made = fn(&mut Person<'_>);

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

fn invitation(account: Option<&Account>) -> Invitation {
    Invitation {
        email: account.and_then(|account| account.email.clone()),
        groups: vec!["users".to_owned()],
        by: OPERATOR.to_owned(),
        expires: now().plus(USUAL_LIFETIME),
        account: account.and_then(|account| account.id.clone()),
        other: Unknown::default(),
    }
}

/// Lets everybody do it.
fn anybody(_: Option<&Person<'_>>) -> Result<(), ()> {
    Ok(())
}

#[test]
fn an_invitation_makes_one_account_and_not_one_at_an_address_that_is_taken() {
    each(|store| {
        let (token, refused) = (Digest::of("1"), NotRegistered::Taken(Taken::Username));
        let taken = Invitation {
            email: Some("Alice@example.com".to_owned()),
            ..invitation(None)
        };
        let invite = |entry| store.invite_for("alice", anybody, entry, now()).unwrap();
        let end = |id: &str| {
            store
                .end_invitation_for("alice", anybody, id, now())
                .unwrap()
        };
        assert_eq!(invite((Digest::of("2"), taken)), Ok(Err(Taken::Email)));
        assert_eq!(invite((token, invitation(None))), Ok(Ok(())));
        assert!(store.invitation(token, now()).unwrap().is_some());

        let register = |name| store.register_invited(token, account(name), now()).unwrap();
        assert_eq!(register("alice"), Err(refused));
        assert_eq!(register("bob"), Ok(()));
        assert_eq!(register("carol"), Err(NotRegistered::NoInvitation));
        assert!(store.account("bob").unwrap().is_some());
        assert!(store.account("carol").unwrap().is_none());

        assert_eq!(invite((token, invitation(None))), Ok(Ok(())));
        let id = token.short();
        assert!(end(&id).unwrap().is_some());
        assert!(end(&id).unwrap().is_none());
        assert!(store.invitation(token, now()).unwrap().is_none());
    });
}

#[test]
fn an_account_and_the_invitation_to_it_are_one_save() {
    each(|store| {
        let (token, password) = (Digest::of("1"), account("bob").password.unwrap());
        let bob = Account {
            password: None,
            ..account("bob")
        };
        let with_link = (token, invitation(Some(&bob)));
        let add = |account: Account, (token, invitation): (Digest, Invitation)| {
            let added = store.update(move |draft| {
                draft.add(account.clone())?;
                draft.invite(token, invitation.clone(), now())
            });
            added.unwrap()
        };
        add(bob, with_link).unwrap();
        let (_, made) = store.invitation(token, now()).unwrap().unwrap();
        assert_eq!(made.unwrap().username, "bob");

        let claimed = store.claim(token, password.clone(), now()).unwrap();
        assert!(claimed.is_some_and(|bob| bob.password.is_some()));
        assert!(store.claim(token, password, now()).unwrap().is_none());

        // Neither is there where the name is taken.
        let alice = account("alice");
        let with_link = (Digest::of("2"), invitation(None));
        assert_eq!(add(alice, with_link), Err(Taken::Username));
        assert!(store.invitation(Digest::of("2"), now()).unwrap().is_none());
    });
}

#[test]
fn of_two_who_shut_each_other_out_at_once_one_is_heard() {
    each(|store| {
        store.add(account("bob")).unwrap().unwrap();
        for _ in 0..10 {
            let disable = |asker: &'static str, name: &'static str| {
                let may = |asker: Option<&Person<'_>>| match asker {
                    Some(asker) if !asker.account().disabled => Ok(()),
                    _ => Err("shut out"),
                };
                let done = store.change_for(asker, may, name, |person| {
                    person.account_mut().disabled = true;
                });
                done.unwrap()
            };
            let done = std::thread::scope(|scope| {
                let one = scope.spawn(|| disable("alice", "bob"));
                let other = scope.spawn(|| disable("bob", "alice"));
                [one.join().unwrap(), other.join().unwrap()]
            });
            let heard = done.iter().filter(|one| **one == Ok(Some(()))).count();
            assert_eq!(heard, 1, "{done:?}");
            for name in ["alice", "bob"] {
                let enable = store.change(name, |person| person.account_mut().disabled = false);
                enable.unwrap().unwrap();
            }
        }
        let nobody = |asker: Option<&Person<'_>>| asker.map(|_| ()).ok_or("nobody");
        let change = |asker, name| store.change_for(asker, nobody, name, |_| ()).unwrap();
        assert_eq!(change("carol", "alice"), Err("nobody"));
        assert_eq!(change("alice", "carol"), Ok(None));
        assert_eq!(change("alice", "ALICE"), Ok(Some(())));
    });
}
