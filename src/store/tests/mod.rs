mod interface;
pub(super) mod memory;

use std::collections::HashSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use tempfile::TempDir;

use crate::accounts::session::{Limits, Session};
use crate::accounts::token::Digest;
use crate::accounts::{Account, Accounts, Taken};
use crate::clock::{Clock, Timestamp};
use crate::store::{OpenError, Store};

const LIMITS: Limits = Limits {
    idle: Duration::from_secs(3600),
    max: Duration::from_secs(86_400),
};

const EMPTY: &str = "{\"version\": 1, \"users\": {}}";

/// A directory with a users file that may be there or not.
struct Place {
    directory: TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn with(users: &str) -> Self {
        let place = Self::new();
        fs::write(place.users(), users).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn users(&self) -> PathBuf {
        self.path("users.json")
    }

    fn try_open(&self) -> Result<Store, OpenError> {
        Store::open(&self.users(), LIMITS, Arc::new(Clock::start()))
    }

    fn open(&self) -> Store {
        self.try_open().unwrap()
    }

    fn text(&self) -> String {
        fs::read_to_string(self.users()).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn user(name: &str) -> String {
    format!(
        r#"{{"email": "{name}@example.com", "id": "{:0<26}", "password": "$pbkdf2-sha256$i=1,l=32$c2FsdA${}"}}"#,
        name.to_lowercase(),
        "A".repeat(43)
    )
}

fn users(names: &[&str]) -> String {
    let users: Vec<String> = names
        .iter()
        .map(|name| format!("\"{name}\": {}", user(name)))
        .collect();
    format!("{{\"version\": 1, \"users\": {{{}}}}}", users.join(","))
}

fn account(name: &str) -> Account {
    let mut account: Account = serde_json::from_str(&user(name)).unwrap();
    account.username = name.to_owned();
    account
}

fn add(store: &Store, name: &str) -> Result<(), Taken> {
    store.add(account(name)).unwrap()
}

/// Begins a session in the store, whether or not there is such an account.
fn begin(store: &Store, id: &str, name: &str, at: Timestamp) {
    let session = Arc::new(session(id, name, at));
    let begun = store.update(move |draft| draft.begin(Arc::clone(&session)));
    begun.unwrap();
}

fn find(store: &Store, id: &str) -> Option<Arc<Session>> {
    store.sessions().unwrap().find(Digest::of(id)).cloned()
}

fn has(store: &Store, name: &str) -> bool {
    store.account(name).unwrap().is_some()
}

fn names(store: &Store) -> Vec<String> {
    let accounts = store.accounts().unwrap();
    accounts
        .iter()
        .map(|account| account.username.clone())
        .collect()
}

fn session(id: &str, name: &str, now: Timestamp) -> Session {
    let account = (name, account(name).basis());
    Session::new(Digest::of(id), account, "127.0.0.1".to_owned(), "curl", now)
}

fn now() -> Timestamp {
    Clock::start().now().timestamp()
}

/// Waits for something that another thread will do soon.
fn eventually(what: &str, happened: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !happened() {
        assert!(Instant::now() < end, "never happened: {what}");
        thread::yield_now();
    }
}

#[test]
fn a_change_is_on_disk_when_it_is_answered() {
    let place = Place::new();
    let store = place.open();

    let answer = add(&store, "alice");

    assert_eq!(answer, Ok(()));
    assert!(has(&store, "ALICE"));
    assert!(has(&store, "alice@example.com"));
    assert_eq!(names(&place.open()), ["alice"]);
}

#[test]
fn the_file_is_written_for_people_to_read() {
    let place = Place::new();

    add(&place.open(), "alice").unwrap();

    let password = format!("$pbkdf2-sha256$i=1,l=32$c2FsdA${}", "A".repeat(43));
    let expected = format!(
        r#"{{
  "version": 1,
  "users": {{
    "alice": {{
      "email": "alice@example.com",
      "email_proven": false,
      "id": "alice000000000000000000000",
      "password": "{password}",
      "groups": [],
      "recovery_codes": [],
      "disabled": false,
      "seal": "alice alice@example.com ZOYsJwpV3oQZ - enabled"
    }}
  }}
}}
"#
    );
    assert_eq!(place.text(), expected);
}

#[test]
fn opening_touches_nothing() {
    let place = Place::new();

    assert!(place.open().close(Duration::from_secs(20)));

    assert!(place.names().is_empty());
}

#[test]
fn a_change_that_changes_nothing_is_not_saved() {
    let place = Place::new();
    let store = place.open();
    add(&store, "alice").unwrap();
    // The file as an editor would leave it, so that any save shows.
    let before = place.text().replace("  ", " ");
    fs::write(place.users(), &before).unwrap();

    let answer = add(&store, "Alice");

    assert_eq!(answer, Err(Taken::Username));
    assert_eq!(place.text(), before);
}

#[test]
fn files_can_be_read_by_their_owner_only() {
    let place = Place::with(EMPTY);
    fs::set_permissions(place.users(), Permissions::from_mode(0o666)).unwrap();
    let store = place.open();

    add(&store, "alice").unwrap();
    begin(&store, "cookie", "alice", now());

    for name in place.names() {
        let mode = fs::metadata(place.path(&name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o7777, 0o600, "{name}");
    }
}

#[test]
fn nothing_piles_up_beside_the_files() {
    let place = Place::new();
    fs::write(place.path("users.json.new"), "half of what a killed proc").unwrap();
    let store = place.open();

    for n in 0..5 {
        add(&store, &format!("user{n}")).unwrap();
    }

    assert_eq!(place.names(), ["users.json", "users.json.lock"]);
}

#[test]
fn a_draft_that_is_somebody_elses_link_is_not_followed() {
    let place = Place::with(EMPTY);
    fs::write(place.path("precious"), "precious").unwrap();
    symlink(place.path("precious"), place.path("users.json.new")).unwrap();

    add(&place.open(), "alice").unwrap();

    assert_eq!(
        fs::read_to_string(place.path("precious")).unwrap(),
        "precious"
    );
}

#[test]
fn a_save_that_fails_changes_nothing() {
    let place = Place::with(&users(&["alice"]));
    let before = place.text();
    let store = place.open();
    // A draft that cannot be removed stands for any failure of a disk.
    fs::create_dir_all(place.path("users.json.new/in_use")).unwrap();

    let refused = store.add(account("bob"));

    assert!(refused.is_err());
    assert_eq!(place.text(), before);
    assert!(!has(&store, "bob"));

    fs::remove_dir_all(place.path("users.json.new")).unwrap();
    assert_eq!(add(&store, "bob"), Ok(()));
}

#[test]
fn of_many_who_want_one_name_one_gets_it() {
    let place = Place::new();
    let store = place.open();

    let got_it = thread::scope(|scope| {
        let askers: Vec<_> = (0..50)
            .map(|_| scope.spawn(|| add(&store, "alice").is_ok()))
            .collect();
        askers
            .into_iter()
            .map(|asker| asker.join().unwrap())
            .filter(|got_it| *got_it)
            .count()
    });

    assert_eq!(got_it, 1);
    assert_eq!(names(&place.open()).len(), 1);
}

#[test]
fn two_processes_lose_nothing_of_each_other() {
    let place = Place::new();
    let stores = [place.open(), place.open()];

    thread::scope(|scope| {
        for writer in 0..16 {
            let store = &stores[writer % 2];
            scope.spawn(move || {
                for n in 0..10 {
                    add(store, &format!("user{writer}.{n}")).unwrap();
                }
            });
        }
    });

    assert_eq!(names(&place.open()).len(), 160);
}

#[test]
fn a_change_that_panics_fails_alone() {
    let place = Place::new();
    let store = place.open();
    add(&store, "alice").unwrap();

    let panicked = store.change("alice", |person| {
        person.account_mut().disabled = true;
        person.remove(Timestamp(1_800_000_000));
        if person.account().disabled {
            panic!("half way through");
        }
    });

    assert!(panicked.is_err());
    assert_eq!(add(&store, "bob"), Ok(()));
    assert_eq!(names(&store), ["alice", "bob"]);
    assert_eq!(names(&place.open()), ["alice", "bob"]);
}

#[test]
fn a_closed_store_has_saved_all_and_refuses_changes() {
    let place = Place::new();
    let store = place.open();
    add(&store, "alice").unwrap();

    store.close(Duration::from_secs(20));

    assert!(store.add(account("bob")).is_err());
    assert!(has(&store, "alice"));
}

#[test]
fn a_hand_edit_is_taken_up() {
    let place = Place::with(&users(&["alice"]));
    let store = place.open();

    fs::write(place.users(), users(&["alice", "bob"])).unwrap();

    eventually("bob can log in", || has(&store, "bob"));
}

#[test]
fn a_hand_edit_just_before_a_change_is_not_lost() {
    let place = Place::with(&users(&["alice"]));
    let store = place.open();

    fs::write(place.users(), users(&["alice", "bob"])).unwrap();
    add(&store, "carol").unwrap();

    assert_eq!(names(&place.open()), ["alice", "bob", "carol"]);
}

#[test]
fn a_damaged_file_is_left_alone_while_the_last_good_state_serves() {
    let place = Place::with(&users(&["alice"]));
    let store = place.open();
    let damaged = "{\"version\": 1, \"users\": {";

    fs::write(place.users(), damaged).unwrap();
    let refused = store.add(account("bob"));

    assert!(refused.is_err_and(|error| error.to_string().contains("line 1, column 25")));
    assert_eq!(place.text(), damaged);
    assert!(has(&store, "alice"));

    fs::write(place.users(), users(&["alice", "carol"])).unwrap();
    assert_eq!(add(&store, "bob"), Ok(()));
    assert_eq!(names(&store), ["alice", "carol", "bob"]);
}

#[test]
fn a_file_that_disappears_is_not_taken_for_no_accounts() {
    let place = Place::with(&users(&["alice"]));
    let store = place.open();

    fs::rename(place.users(), place.path("elsewhere")).unwrap();
    let refused = store.add(account("bob"));

    assert!(refused.is_err());
    assert!(!place.users().exists());
    assert!(has(&store, "alice"));

    fs::rename(place.path("elsewhere"), place.users()).unwrap();
    assert_eq!(add(&store, "bob"), Ok(()));
}

#[test]
fn a_link_stays_and_the_file_it_leads_to_is_replaced() {
    let place = Place::new();
    fs::create_dir(place.path("real")).unwrap();
    fs::write(place.path("real/accounts"), users(&["alice"])).unwrap();
    symlink("real/accounts", place.users()).unwrap();
    let store = place.open();

    add(&store, "bob").unwrap();

    assert!(place.users().is_symlink());
    assert!(!place.path("real/accounts").is_symlink());
    assert_eq!(names(&place.open()), ["alice", "bob"]);
}

#[test]
fn a_link_to_nothing_is_an_error() {
    let place = Place::new();
    symlink("nowhere", place.users()).unwrap();

    let error = place.try_open().err().unwrap();

    assert!(error.to_string().contains("link"), "{error}");
    assert!(!error.hint().is_empty());
    assert!(!place.path("nowhere").exists());
}

#[test]
fn what_is_no_regular_file_is_an_error() {
    let place = Place::new();
    fs::create_dir(place.users()).unwrap();

    assert!(place.try_open().is_err());
}

#[test]
fn a_pipe_does_not_keep_the_server_waiting() {
    let place = Place::new();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mkfifoat(rustix::fs::CWD, place.users(), mode).unwrap();

    assert!(place.try_open().is_err());
}

#[test]
fn a_missing_directory_is_an_error() {
    let place = Place::new();
    let users = place.path("missing/users.json");

    let error = Store::open(&users, LIMITS, Arc::new(Clock::start()));

    let error = error.err().unwrap().to_string();
    assert!(error.contains("there is no directory"), "{error}");
}

#[test]
fn a_bare_file_name_is_in_the_current_directory() {
    let error = Store::open(
        Path::new("no-such-users.json"),
        LIMITS,
        Arc::new(Clock::start()),
    );

    assert!(error.is_ok());
}

#[test]
fn a_damaged_users_file_is_an_error_and_left_alone() {
    let place = Place::with("{\n  \"version\": 1,\n  \"users\": []\n}");
    let before = place.text();

    let error = place.try_open().err().unwrap().to_string();

    assert!(error.contains("users.json"), "{error}");
    assert!(error.contains("line 3, column"), "{error}");
    assert_eq!(place.text(), before);
    assert_eq!(place.names(), ["users.json"]);
}

#[test]
fn a_session_survives_a_restart_and_its_cookie_is_not_on_disk() {
    let place = Place::with(&users(&["alice"]));
    let store = place.open();
    begin(&store, "cookie", "alice", now());

    let text = fs::read_to_string(place.path("sessions.json")).unwrap();
    let again = place.open();

    assert!(!text.contains("cookie"));
    assert!(find(&again, "cookie").is_some());
    assert!(find(&again, "other").is_none());
}

#[test]
fn when_a_session_was_last_used_is_saved_at_the_end() {
    let place = Place::with(&users(&["alice"]));
    let store = place.open();
    begin(&store, "cookie", "alice", Timestamp(now().0 - 100));
    let used = now();

    find(&store, "cookie").unwrap().seen(used);
    drop(store);

    let again = place.open();
    let session = find(&again, "cookie").unwrap();
    assert_eq!(session.last_seen(), used);
}

#[test]
fn another_processs_save_does_not_forget_when_a_session_was_used() {
    let place = Place::with(&users(&["alice"]));
    let store = place.open();
    begin(&store, "cookie", "alice", Timestamp(now().0 - 100));
    let other = place.open();
    let used = now();

    find(&store, "cookie").unwrap().seen(used);
    begin(&other, "another", "alice", now());

    eventually("it is taken up", || store.sessions().unwrap().len() == 2);
    let session = find(&store, "cookie").unwrap();
    assert_eq!(session.last_seen(), used);
}

#[test]
fn sessions_that_are_over_or_nobodys_are_forgotten() {
    let place = Place::with(&users(&["alice"]));
    let store = place.open();
    begin(&store, "good", "alice", now());
    begin(&store, "over", "alice", Timestamp(now().0 - 90_000));
    begin(&store, "nobodys", "bob", now());
    begin(&store, "future", "alice", Timestamp(now().0 + 1000));
    assert_eq!(store.sessions().unwrap().len(), 4);
    let kept = || {
        let text = fs::read_to_string(place.path("sessions.json")).unwrap();
        text.matches("\"id\"").count()
    };

    assert!(store.close(Duration::from_secs(20)));
    assert_eq!(kept(), 2, "good and future are kept while running");
    let again = place.open();

    assert_eq!(again.sessions().unwrap().len(), 1);
    assert!(find(&again, "good").is_some());
    assert!(again.close(Duration::from_secs(20)));
    assert_eq!(kept(), 1);
}

#[test]
fn a_session_ends_with_its_account() {
    let place = Place::with(&users(&["alice"]));
    let store = place.open();
    begin(&store, "cookie", "alice", now());

    store
        .change("alice", |person| person.remove(Timestamp(1_800_000_000)))
        .unwrap();

    assert!(find(&store, "cookie").is_none());
}

#[test]
fn a_damaged_sessions_file_is_set_aside_and_no_earlier_one_is_lost() {
    let place = Place::with(&users(&["alice"]));
    for damaged in ["first", "second"] {
        fs::write(place.path("sessions.json"), damaged).unwrap();
        assert!(place.open().sessions().unwrap().is_empty());
    }

    let read = |name| fs::read_to_string(place.path(name)).unwrap();
    assert_eq!(read("sessions.json.damaged"), "first");
    assert_eq!(read("sessions.json.damaged.1"), "second");
    assert!(!place.path("sessions.json").exists());
}

#[test]
fn a_sessions_file_damaged_later_logs_nobody_out() {
    let place = Place::with(&users(&["alice"]));
    let store = place.open();
    begin(&store, "one", "alice", now());

    fs::write(place.path("sessions.json"), "damaged").unwrap();
    begin(&store, "two", "alice", now());

    assert_eq!(place.open().sessions().unwrap().len(), 2);
    assert!(place.path("sessions.json.damaged").exists());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_sequence_of_changes_makes_two_of_a_name_or_address(
        steps in proptest::collection::vec(("[abAB]{1,2}", "[abAB]{1,2}", any::<bool>()), 0..40),
    ) {
        let mut accounts = Accounts::default();
        for (name, email, remove) in steps {
            if remove {
                accounts.remove(&name);
            } else {
                let mut account = account(&name);
                account.email = format!("{email}@example.com");
                let _ = accounts.add(account);
            }
        }
        let lower: HashSet<_> = accounts.iter().map(|a| a.username.to_lowercase()).collect();
        prop_assert_eq!(lower.len(), accounts.len());
        let lower: HashSet<_> = accounts.iter().map(|a| a.email.to_lowercase()).collect();
        prop_assert_eq!(lower.len(), accounts.len());
        for account in accounts.iter() {
            let found = accounts.resolve(&account.email);
            prop_assert!(found.is_some_and(|found| Arc::ptr_eq(found, account)));
        }
    }
}
