//! The store on a real database. What holds for every store is checked in `store::tests::interface`.

mod challenges;
mod client;
#[path = "../../../tests/cluster/mod.rs"]
mod cluster;
mod counts;
mod events;
mod pending;
mod pool;
mod proxy;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use cluster::Cluster;
use proxy::Proxy;
use tempfile::TempDir;

use crate::accounts::access_token::AccessToken;
use crate::accounts::token::Digest;
use crate::accounts::{Account, Totp};
use crate::clock::{Clock, Timestamp};
use crate::store::postgres::{EventRows, MailRows, Opened, Shared, Url, make_key, migrate};
use crate::store::tests::{LIMITS, account, eventually, now, session};
use crate::store::{Kept, NotSaved, Store};

/// A database with tables and a key.
pub(crate) struct Place {
    name: String,
    url: Url,
    directory: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let cluster = Cluster::shared();
        let name = cluster.database("");
        let url = Url::parse(&cluster.url(&name)).unwrap();
        migrate(&url).unwrap();
        let directory = tempfile::tempdir().unwrap();
        make_key(&directory.path().join("key")).unwrap();
        Self {
            name,
            url,
            directory,
        }
    }

    fn open(&self) -> Store {
        self.open_by(&self.url)
    }

    fn open_by(&self, url: &Url) -> Store {
        Store::in_database(self.opened(url), LIMITS).unwrap()
    }

    fn opened(&self, url: &Url) -> Opened {
        let key = self.directory.path().join("key");
        Opened::open(url, &key, &Clock::start()).ok().unwrap()
    }

    /// What a node that begins now would keep its mail in.
    pub(crate) fn mail(&self) -> MailRows {
        MailRows::of(&self.shared())
    }

    /// The same for its events.
    pub(crate) fn events(&self) -> EventRows {
        EventRows::of(&self.shared())
    }

    fn shared(&self) -> Arc<Shared> {
        Arc::new(Shared::of(self.opened(&self.url), LIMITS))
    }

    pub(crate) fn sql(&self, statement: &str) -> String {
        Cluster::shared().sql(&self.name, statement)
    }
}

/// A store in a new database.
pub(in crate::store) fn in_database() -> Store {
    Place::new().open()
}

fn add(store: &Store, names: &[&str]) {
    for name in names {
        store.add(account(name)).unwrap().unwrap();
    }
}

/// Gives the account a second factor.
fn enrol(store: &Store, name: &str, secret: &str) {
    let totp: Totp = serde_json::from_value(serde_json::json!({ "secret": secret })).unwrap();
    let enrolled = store.change(name, move |person| {
        person.account_mut().totp = Some(totp.clone());
    });
    enrolled.unwrap().unwrap();
}

const SECRET: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";

#[test]
fn accounts_keep_their_order_and_what_one_node_writes_every_other_reads() {
    let place = Place::new();
    let (one, other) = (place.open(), place.open());

    add(&one, &["carol", "Alice", "bob"]);
    one.change("carol", |person| person.account_mut().generation += 1)
        .unwrap();

    let everybody = other.everybody().unwrap();
    let names: Vec<&str> = everybody
        .iter()
        .map(|account| account.username.as_str())
        .collect();
    assert_eq!(names, ["carol", "Alice", "bob"]);
    assert_eq!(other.account("CAROL").unwrap().unwrap().generation, 1);
}

#[test]
fn of_two_nodes_that_use_something_up_one_gets_it_each_time() {
    let place = Place::new();
    let nodes = [place.open(), place.open()];
    add(&nodes[0], &["alice"]);
    for round in 0..50 {
        let code = Digest::of(&round.to_string());
        let give = nodes[0].change("alice", move |person| {
            person.account_mut().recovery_codes = vec![code];
        });
        give.unwrap().unwrap();

        let used = thread::scope(|scope| {
            let use_it = |node: &'static str, store: &Store| {
                let used = store.change("alice", move |person| {
                    let used = person.account_mut().recovery_codes.pop().is_some();
                    if used {
                        person.begin_session(session(&format!("{node}{round}"), "alice", now()));
                    }
                    used
                });
                used.unwrap().unwrap()
            };
            let [first, second] = &nodes;
            let one = scope.spawn(move || use_it("one", first));
            let other = scope.spawn(move || use_it("other", second));
            [one.join().unwrap(), other.join().unwrap()]
        });

        assert_eq!(used.iter().filter(|used| **used).count(), 1, "{round}");
    }
    assert_eq!(nodes[1].sessions_of("alice").unwrap().len(), 50);
}

#[test]
fn of_many_nodes_that_want_a_name_or_an_address_one_gets_it() {
    let place = Place::new();
    let nodes: Vec<Store> = (0..4).map(|_| place.open()).collect();
    let got_it = |make: &(dyn Fn(usize) -> Account + Sync)| {
        thread::scope(|scope| {
            let nodes = nodes.iter().enumerate();
            let askers: Vec<_> = nodes
                .map(|(n, node)| scope.spawn(move || node.add(make(n)).unwrap().is_ok()))
                .collect();
            let got = askers.into_iter().map(|asker| asker.join().unwrap());
            got.filter(|got| *got).count()
        })
    };

    let same_name = |n: usize| {
        let id = serde_json::from_value(format!("{n}aaaaaaaaaaaaaaaaaaaaaaaaaaa").into());
        Account {
            id: id.unwrap(),
            email: Some(format!("a{n}@example.com")),
            ..account("alice")
        }
    };
    assert_eq!(got_it(&same_name), 1);
    let same_address = |n: usize| Account {
        email: Some("same@example.com".to_owned()),
        ..account(&format!("user{n}"))
    };
    assert_eq!(got_it(&same_address), 1);
}

#[test]
fn no_key_of_a_second_factor_is_in_the_database_and_none_can_be_moved() {
    let place = Place::new();
    let store = place.open();
    add(&store, &["alice", "bob"]);
    enrol(&store, "alice", SECRET);
    enrol(&store, "bob", "KRSXG5CTMVRXEZLUKRSXG5CTMVRXEZLU");
    let key = |name| Some(store.account(name).unwrap()?.totp.as_ref()?.secret.base32());
    assert_eq!(key("alice").as_deref(), Some(SECRET));

    let all = place.sql("SELECT string_agg(account::text, ' ') FROM account");
    assert!(
        !all.contains("JBSWY3DP") && all.contains("alice@example.com"),
        "{all}"
    );
    let moved = "UPDATE account SET totp = (SELECT totp FROM account WHERE name = 'bob')
        WHERE name = 'alice'";
    place.sql(moved);

    assert!(store.account("alice").is_err());
    assert!(store.change("alice", |_| ()).is_err());
    assert!(key("bob").is_some());
}

#[test]
fn a_change_that_changes_nothing_writes_nothing() {
    let place = Place::new();
    let store = place.open();
    add(&store, &["alice"]);
    let before = place.sql("SELECT count(*) FROM change");

    store
        .change("alice", |person| person.account().disabled)
        .unwrap();
    assert!(store.add(account("ALICE")).unwrap().is_err());

    assert_eq!(place.sql("SELECT count(*) FROM change"), before);
    assert_eq!(place.sql("SELECT revision FROM account"), "0");
}

#[test]
fn a_change_whose_answer_was_lost_has_happened_or_never_will() {
    let place = Place::new();
    let store = place.open();
    let Kept::Database(database) = &store.kept else {
        panic!("not in a database");
    };
    place.sql("INSERT INTO change (id) VALUES ('\\x01')");

    assert_eq!(database.was_committed(&[1]), Ok(true));
    assert_eq!(database.was_committed(&[2]), Ok(false));

    // What was never committed cannot be any more.
    assert_eq!(
        place.sql("SELECT count(*) FROM change WHERE id = '\\x02'"),
        "1"
    );
}

#[test]
fn a_name_that_was_given_up_is_held_in_the_database_too() {
    let place = Place::new();
    let (one, other) = (place.open(), place.open());
    let alice = Account {
        registered: false,
        ..account("alice")
    };
    one.add(alice).unwrap().unwrap();
    let now = now();
    one.change("alice", move |person| person.remove(now))
        .unwrap();

    let registered = other.register(account("Alice"), now).unwrap();

    assert!(registered.is_err());
    assert!(other.add(account("Alice")).unwrap().is_ok());
}

#[test]
fn a_connection_that_was_cut_is_replaced_and_nobody_hears_of_it() {
    let place = Place::new();
    let store = Arc::new(place.open());
    add(&store, &["alice"]);
    for _ in 0..3 {
        place.sql(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()",
        );

        let changed = store.change("alice", |person| person.account_mut().generation += 1);

        assert!(changed.is_ok(), "{:?}", changed.err());
    }
    assert_eq!(store.account("alice").unwrap().unwrap().generation, 3);
}

#[test]
fn a_connection_that_is_all_there_is_serves_everybody() {
    let place = Place::new();
    // One for what is read lately, and one for all else.
    place.sql(&format!("ALTER ROLE {} CONNECTION LIMIT 2", place.name));
    let store = place.open();
    eventually("the node to ask", || {
        let asked = "SELECT count(*) FROM pg_stat_activity WHERE usename = datname";
        place.sql(asked) == "1"
    });
    add(&store, &["alice"]);

    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| (0..10).for_each(|_| count(&store).unwrap()));
        }
    });

    assert_eq!(counted(&store), 60);
}

/// A store behind a bad line, with `alice` in it.
fn by_proxy(place: &Place) -> (Store, Proxy) {
    let proxy = Proxy::start();
    let store = place.open_by(&Url::parse(&proxy.url(&place.name)).unwrap());
    add(&store, &["alice"]);
    (store, proxy)
}

fn count(store: &Store) -> Result<(), NotSaved> {
    let counted = store.change("alice", |person| person.account_mut().generation += 1);
    counted.map(|found| assert!(found.is_some()))
}

fn counted(store: &Store) -> u64 {
    store.account("alice").unwrap().unwrap().generation
}

#[test]
fn a_change_whose_commit_or_its_answer_is_lost_is_made_once() {
    let place = Place::new();
    let (store, proxy) = by_proxy(&place);

    proxy.fate.loses_answer.store(true, Ordering::SeqCst);
    count(&store).unwrap();
    assert_eq!(counted(&store), 1);

    proxy.fate.loses_commit.store(true, Ordering::SeqCst);
    count(&store).unwrap();
    assert_eq!(counted(&store), 2);
    assert!(
        !proxy.fate.loses_commit.load(Ordering::SeqCst),
        "nothing was lost"
    );
}

#[test]
fn nobody_knows_of_a_change_whose_answer_is_lost_with_the_database() {
    let place = Place::new();
    let (store, proxy) = by_proxy(&place);
    proxy.fate.cuts_then.store(true, Ordering::SeqCst);
    proxy.fate.loses_answer.store(true, Ordering::SeqCst);

    let lost = count(&store);

    assert!(lost.is_err_and(|error| error.is_unknown()));
    assert!(count(&store).is_err_and(|error| !error.is_unknown()));
    assert!(store.account("alice").is_err());
    proxy.fate.is_cut.store(false, Ordering::SeqCst);
    eventually("the database to be back", || store.account("alice").is_ok());
    assert_eq!(counted(&store), 1);
    count(&store).unwrap();
}

#[test]
fn while_the_database_is_silent_only_the_first_wait_for_it() {
    let place = Place::new();
    let (store, proxy) = by_proxy(&place);
    proxy.fate.is_frozen.store(true, Ordering::SeqCst);
    eventually("the node to know", || store.account("alice").is_err());

    // All of them together would take far longer than a test may, if each waited.
    for _ in 0..1000 {
        assert!(store.account("alice").is_err());
        assert!(count(&store).is_err_and(|error| !error.is_unknown()));
    }

    proxy.fate.is_frozen.store(false, Ordering::SeqCst);
    eventually("the database to be back", || store.account("alice").is_ok());
    let before = counted(&store);
    count(&store).unwrap();
    assert_eq!(counted(&store), before + 1);
}

#[test]
fn tokens_of_accounts_that_are_not_there_do_not_keep_others_from_going() {
    let place = Place::new();
    let store = place.open();
    add(&store, &["alice"]);
    place.sql(
        "INSERT INTO credential (key, account, goes)
            SELECT 'token ' || n, '!' || n, 0 FROM generate_series(1, 300) n",
    );
    let made = Timestamp(now().0 - 40 * 86_400);
    let add_token = store.change("alice", move |person| {
        let hosts = vec!["app.example.com".to_owned()];
        let token = AccessToken::new("t", "t", hosts, 1, made);
        person.account_mut().add_token(token, made)
    });
    add_token.unwrap().unwrap().unwrap();

    store.drop_past_tokens(now()).unwrap();

    let alice = store.account("alice").unwrap().unwrap();
    assert!(alice.tokens.is_empty());
}

/// Gives alice a session from then on.
fn with_session(store: &Store, at: Timestamp) -> Digest {
    let begin = store.change("alice", move |person| {
        person.begin_session(session("s", "alice", at));
    });
    begin.unwrap();
    Digest::of("s")
}

#[test]
fn a_session_that_is_asked_about_all_the_time_ends_on_every_node() {
    let place = Place::new();
    let (one, other) = (place.open(), place.open());
    add(&one, &["alice"]);
    let id = with_session(&one, now());
    assert!(other.who_of_late(id).unwrap().is_some());

    one.end_sessions(vec![id]).unwrap();

    assert!(one.who_of_late(id).unwrap().is_none());
    eventually("the other node to know", || {
        other.who_of_late(id).unwrap().is_none()
    });
}

#[test]
fn ones_own_pages_show_at_each_node_what_another_has_answered() {
    let place = Place::new();
    let (one, other) = (place.open(), place.open());
    add(&one, &["alice"]);
    let id = with_session(&one, now());
    assert!(other.who(id).unwrap().is_some());

    let change = one.change("alice", |person| person.account_mut().email_proven = true);
    change.unwrap();

    let (_, alice) = other.who(id).unwrap().unwrap();
    assert!(alice.email_proven);
    one.end_sessions(vec![id]).unwrap();
    assert!(other.who(id).unwrap().is_none());
}

#[test]
fn a_session_that_is_in_use_costs_no_question() {
    let place = Place::new();
    let (store, proxy) = by_proxy(&place);
    with_session(&store, now());
    let before = proxy.fate.asked.load(Ordering::SeqCst);

    for _ in 0..2000 {
        assert!(store.who_of_late(Digest::of("s")).unwrap().is_some());
    }

    // What is in use is read again now and then.
    let asked = proxy.fate.asked.load(Ordering::SeqCst) - before;
    assert!(asked < 1000, "{asked} questions");
}

#[test]
fn when_a_session_was_last_used_is_saved_at_the_end() {
    let place = Place::new();
    let store = place.open();
    add(&store, &["alice"]);
    let at = Timestamp(1_800_000_000);
    with_session(&store, at);
    let (session, _) = store.who(Digest::of("s")).unwrap().unwrap();
    session.seen(Timestamp(1_800_000_060));

    assert!(store.close(Duration::from_secs(20)));

    assert_eq!(place.sql("SELECT last_seen FROM session"), "1800000060");
}
