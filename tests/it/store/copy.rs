//! `auth_user store copy`: between files and databases, with nothing lost, and nothing half done taken
//! for the whole.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::harness::{Setup, Visitor};
use crate::operator::{assert_cannot, run};
use crate::store::{on, with_key};

const HASH: &str = "$pbkdf2-sha256$i=1,l=32$c2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// What an operator may have added, at the top and in an account: orders, spellings and characters
/// that databases like to change.
const ODD: &str = r#""note": {"z": [1.10, -0.0, 1e3, 1E400, 222222222222222222222222222222], "\u0000": "\u0000", "a": {"b": {"c": [[], {}, null]}}}"#;

/// A database with tables; gives its name and its URL.
pub(super) fn migrated(setup: &Setup) -> (String, String) {
    let database = Cluster::shared().database("");
    let url = Cluster::shared().url(&database);
    let (status, _, err) = run(setup, &["store", "migrate", &url], b"");
    assert_eq!(status, 0, "{err}");
    (database, url)
}

pub(super) fn copy(setup: &Setup, more: &[&str]) -> (i32, String, String) {
    let words = ["store", "copy", "--store-key", "store.key"];
    run(setup, &[&words, more].concat(), b"")
}

/// Copies, and gives the counts.
#[track_caller]
pub(super) fn copied(setup: &Setup, more: &[&str]) -> Value {
    let (status, out, err) = copy(setup, &[more, &["--json"]].concat());
    assert_eq!(status, 0, "{err}");
    serde_json::from_str(&out).unwrap()
}

pub(super) fn value(path: PathBuf) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The names of accounts in their order.
fn names(path: PathBuf) -> Vec<String> {
    let users = value(path)["users"].take();
    users.as_object().unwrap().keys().cloned().collect()
}

fn mails(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(folder.join("outbox")).into_iter().flatten();
    let files = files.map(|file| file.unwrap().path());
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    files
        .map(|path| (name(&path), fs::read(&path).unwrap()))
        .collect()
}

#[track_caller]
pub(super) fn assert_same(one: &Path, other: &Path) {
    for file in ["users.json", "sessions.json"] {
        assert_eq!(value(one.join(file)), value(other.join(file)), "{file}");
    }
    assert_eq!(
        names(one.join("users.json")),
        names(other.join("users.json"))
    );
    assert_eq!(mails(one), mails(other));
    let events = |folder: &Path| fs::read_to_string(folder.join("events.jsonl")).unwrap();
    assert_eq!(events(one), events(other));
}

/// Files of a server with everything in them that is copied, and who is logged in there.
pub(super) fn lived_in(setup: &Setup) -> Visitor {
    let mut server = setup.start();
    let (alice, _) = Visitor::with_account(&server, "Zoe");
    Visitor::program(&server).sign_up("alice");
    Visitor::program(&server).mailed_password(&server, "alice");
    let (status, _, err) = run(setup, &["invite", "--email", "carol@example.org"], b"");
    assert_eq!(status, 0, "{err}");
    server.kill();
    let path = setup.dir().join("users.json");
    let text = fs::read_to_string(&path).unwrap();
    let text = text.replacen('{', &format!("{{{ODD},"), 1);
    let text = text.replacen("\"email\"", &format!("{ODD}, \"email\""), 1);
    // By hand, and so without an id and a seal.
    let bob = format!("\"bob\": {{\"email\": \"Bob@Example.org\", \"password\": \"{HASH}\"}}");
    let text = text.replacen("\"users\": {", &format!("\"users\": {{{bob},"), 1);
    fs::write(&path, text).unwrap();
    alice
}

#[test]
fn everything_goes_to_a_database_and_back_and_nobody_is_logged_out() {
    let (setup, _) = with_key();
    let zoe = lived_in(&setup);
    let (database, url) = migrated(&setup);

    let counts = copied(&setup, &["users.json", &url]);
    let back = copied(&setup, &[&url, "back"]);

    let events = fs::read_to_string(setup.dir().join("events.jsonl")).unwrap();
    let wanted = json!({
        "accounts": 3,
        "sessions": 1,
        "invitations": 1,
        "mails": mails(setup.dir()).len(),
        "events": events.lines().count(),
    });
    assert_eq!((&counts, &back), (&wanted, &wanted));
    assert!(counts["mails"].as_u64() > Some(1), "{counts}");
    assert_same(setup.dir(), &setup.dir().join("back"));
    let text = fs::read_to_string(setup.dir().join("back/users.json")).unwrap();
    assert!(text.contains("1.10") && text.contains("\\u0000"), "{text}");
    let dump = Cluster::shared().sql(&database, "SELECT body, totp FROM account");
    let secret = value(setup.dir().join("users.json"))["users"]["Zoe"]["totp"]["secret"].take();
    assert!(!dump.contains(secret.as_str().unwrap()), "{dump}");
    let node = on(&setup, &url).start();
    assert!(zoe.at(&node).is_logged_in());
}

/// Confirmations, an invitation and a name that is held are there, and no file has ever had them.
#[test]
fn what_began_in_a_database_goes_to_files_and_to_another_database() {
    let (setup, _) = with_key();
    let (database, url) = migrated(&setup);
    let on_it = on(&setup, &url);
    let server = on_it.start();
    Visitor::with_account(&server, "alice");
    let held = "INSERT INTO former (name, since) VALUES ('bob', '2026-11-01T00:00:00Z')";
    Cluster::shared().sql(&database, held);
    let (status, _, err) = run(&on_it, &["invite", "--email", "carol@example.org"], b"");
    assert_eq!(status, 0, "{err}");
    drop(server);
    let (_, other) = migrated(&setup);

    let counts = copied(&setup, &[&url, "files"]);
    let again = copied(&setup, &["files", &other]);
    let back = copied(&setup, &[&other, "back"]);

    assert_eq!((&again, &back), (&counts, &counts));
    assert_same(&setup.dir().join("files"), &setup.dir().join("back"));
    let users = value(setup.dir().join("files/users.json"));
    for kept in ["former", "confirmations", "invitations"] {
        let count = users[kept].as_object().map(|kept| kept.len());
        assert_eq!(count, Some(1), "{kept}");
    }
}

#[test]
fn a_copy_goes_from_database_to_database_with_another_key_and_from_files_to_files() {
    let (setup, _) = with_key();
    lived_in(&setup);
    let (_, first) = migrated(&setup);
    let (other, second) = migrated(&setup);
    run(&setup, &["store", "key", "other.key"], b"");

    copied(&setup, &[".", &first]);
    copied(&setup, &[&first, &second, "--to-key", "other.key"]);
    let (status, _, err) = copy(&setup, &[&second, "wrong"]);
    let words = [
        "store",
        "copy",
        "--store-key",
        "other.key",
        &second,
        "back/",
    ];
    let (right, ..) = run(&setup, &words, b"");
    copied(&setup, &["back/users.json", "again/accounts.json"]);

    assert_eq!(status, 1);
    assert!(
        err.contains("is not the one its secrets are sealed with"),
        "{err}"
    );
    assert!(!setup.dir().join("wrong").exists());
    assert_eq!(right, 0);
    assert_same(setup.dir(), &setup.dir().join("back"));
    let again = setup.dir().join("again");
    fs::rename(again.join("accounts.json"), again.join("users.json")).unwrap();
    assert_same(setup.dir(), &again);
    assert_eq!(
        Cluster::shared().sql(&other, "SELECT is_unfinished FROM meta"),
        "f"
    );
}

#[test]
fn where_something_is_already_nothing_is_changed() {
    let (setup, _) = with_key();
    fs::write(
        setup.dir().join("users.json"),
        "{\"version\": 1, \"users\": {}}",
    )
    .unwrap();
    let (database, url) = migrated(&setup);
    let (unmigrated, _) = (Cluster::shared().database(""), ());
    let unmigrated = Cluster::shared().url(&unmigrated);
    let sql = |statement: &str| Cluster::shared().sql(&database, statement);
    sql("INSERT INTO former (name, since) VALUES ('bob', '2026-11-22T12:00:00Z')");

    let (full, _, said) = copy(&setup, &["users.json", &url]);
    let (missing, _, of_missing) = copy(&setup, &["users.json", &unmigrated]);

    assert_eq!((full, missing), (1, 1), "{said}{of_missing}");
    assert!(said.contains("its table former is not empty"), "{said}");
    assert!(of_missing.contains("it has no schema"), "{of_missing}");
    let state = "SELECT is_unfinished, key_check IS NULL, (SELECT count(*) FROM former) FROM meta";
    assert_eq!(sql(state), "f|t|1");
    sql("DELETE FROM former");
    for (name, is_folder) in [
        ("users.json", false),
        ("sessions.json", false),
        ("outbox", true),
        ("events.jsonl", false),
    ] {
        let folder = setup.dir().join(format!("with-{name}"));
        fs::create_dir(&folder).unwrap();
        match is_folder {
            true => fs::create_dir(folder.join(name)).unwrap(),
            false => fs::write(folder.join(name), "mine").unwrap(),
        }
        let (status, _, err) = copy(&setup, &[&url, folder.to_str().unwrap()]);
        assert_eq!(status, 1, "{name}: {err}");
        assert!(err.contains("is there already"), "{err}");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "{name}");
    }
}

#[test]
fn what_cannot_be_read_is_not_copied_and_leaves_no_trace() {
    let (setup, _) = with_key();
    let (database, url) = migrated(&setup);
    let users = setup.dir().join("users.json");
    let good = "{\"version\": 1, \"users\": {}}";
    for (text, sessions, why) in [
        (None, None, "there is no such file"),
        (Some("{"), None, "line 1"),
        (
            Some("{\"version\": 7, \"users\": []}"),
            None,
            "later auth_user",
        ),
        (Some(good), Some("{\"version\": 1}"), "sessions.json"),
    ] {
        let _ = fs::remove_file(&users);
        if let Some(text) = text {
            fs::write(&users, text).unwrap();
        }
        if let Some(sessions) = sessions {
            fs::write(setup.dir().join("sessions.json"), sessions).unwrap();
        }
        for to in [url.as_str(), "there"] {
            let (status, out, err) = copy(&setup, &["users.json", to]);
            assert_eq!((status, out.as_str()), (1, ""), "{err}");
            assert!(err.contains(why) && err.contains("hint: "), "{err}");
        }
    }
    let state = "SELECT is_unfinished, key_check IS NULL FROM meta";
    assert_eq!(Cluster::shared().sql(&database, state), "f|t");
    assert!(!setup.dir().join("there").exists());
}

/// Accounts that take a while to copy, each with an event.
pub(super) fn many(setup: &Setup, count: usize) {
    let accounts = (0..count).map(|n| {
        format!("\"u{n}\": {{\"email\": \"u{n}@example.org\", \"id\": \"{n:026}\", \"password\": \"{HASH}\"}}")
    });
    let accounts: Vec<String> = accounts.collect();
    let text = format!("{{\"version\": 1, \"users\": {{{}}}}}", accounts.join(","));
    fs::write(setup.dir().join("users.json"), text).unwrap();
    let events = (0..count).map(|n| {
        format!(
            "{{\"time\":\"2026-11-22T12:00:00.000Z\",\"event\":\"logged_in\",\"user\":\"u{n}\"}}\n"
        )
    });
    let events: String = events.collect();
    fs::write(setup.dir().join("events.jsonl"), events).unwrap();
}

/// The command that copies the files there.
fn copy_of_files(setup: &Setup, to: &str) -> Setup {
    let words = [
        "store",
        "copy",
        "--store-key",
        "store.key",
        "users.json",
        to,
    ];
    setup.clone().with(&words)
}

/// Begins a copy and kills it once that is so.
fn broken_off(setup: &Setup, to: &str, is_begun: impl Fn() -> bool) {
    killed(&copy_of_files(setup, to), is_begun);
}

/// Begins a command and waits until that is so.
fn begun(command: &Setup, is_begun: impl Fn() -> bool) -> Child {
    let child = command.command().spawn().unwrap();
    let begun = Instant::now();
    while !is_begun() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it never began");
        thread::sleep(Duration::from_millis(1));
    }
    child
}

/// Begins a command and kills it once that is so.
pub(super) fn killed(command: &Setup, is_begun: impl Fn() -> bool) {
    let mut child = begun(command, is_begun);
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert!(status.code().is_none(), "it was done before: {status}");
}

#[test]
fn a_database_that_is_half_a_copy_is_refused_and_copied_to_anew() {
    let (setup, _) = with_key();
    many(&setup, 20_000);
    let (database, url) = migrated(&setup);
    let sql = |statement: &str| Cluster::shared().sql(&database, statement);

    broken_off(&setup, &url, || {
        sql("SELECT is_unfinished AND EXISTS (SELECT FROM account) FROM meta") == "t"
    });

    let unfinished = "cannot use the store: a copy to it was not finished";
    assert_cannot(&on(&setup, &url), unfinished, "auth_user store copy");
    let (status, _, err) = copy(&setup, &[&url, "there"]);
    assert_eq!(status, 1);
    assert!(err.contains(unfinished), "{err}");
    let counts = copied(&setup, &["users.json", &url]);
    assert_eq!(
        (&counts["accounts"], &counts["events"]),
        (&json!(20_000), &json!(20_000))
    );
    assert_eq!(
        sql("SELECT is_unfinished, count(*) FROM meta, account GROUP BY 1"),
        "f|20000"
    );
    drop(on(&setup, &url).start());
}

#[test]
fn of_two_copies_to_one_database_the_later_is_refused_and_the_first_is_whole() {
    let (setup, _) = with_key();
    many(&setup, 20_000);
    let (database, url) = migrated(&setup);
    let sql = |statement: &str| Cluster::shared().sql(&database, statement);
    let mut first = begun(&copy_of_files(&setup, &url), || {
        sql("SELECT is_unfinished AND EXISTS (SELECT FROM account) FROM meta") == "t"
    });
    kill_process(Pid::from_child(&first), Signal::STOP).unwrap();

    let (status, out, err) = copy(&setup, &["users.json", &url]);

    kill_process(Pid::from_child(&first), Signal::CONT).unwrap();
    assert_eq!((status, out.as_str()), (1, ""));
    assert!(err.contains("somebody else is filling it"), "{err}");
    assert!(first.wait().unwrap().success());
    assert_eq!(
        sql("SELECT is_unfinished, count(*) FROM meta, account GROUP BY 1"),
        "f|20000"
    );
}

#[test]
fn files_that_are_half_a_copy_are_refused_and_copied_to_anew() {
    let (setup, _) = with_key();
    many(&setup, 20_000);
    let there = setup.dir().join("there");

    broken_off(&setup, "there", || there.join("users.json").exists());

    let half = setup.clone().with(&["--users", "there/users.json"]);
    let hint = "auth_user store copy";
    assert_cannot(&half, "a copy to it was not finished", hint);
    for words in [&["user", "list"][..], &["events"], &["backup", "b.tar"]] {
        let more = ["--users", "there/users.json"];
        let (status, out, err) = run(&setup, &[words, &more].concat(), b"");
        assert_eq!((status, out.as_str()), (1, ""), "{words:?}: {err}");
        assert!(err.contains(hint), "{words:?}: {err}");
    }
    let counts = copied(&setup, &["users.json", "there"]);
    assert_eq!(
        (&counts["accounts"], &counts["events"]),
        (&json!(20_000), &json!(20_000))
    );
    let value = |folder: &Path| value(folder.join("users.json"));
    assert_eq!(value(&there), value(setup.dir()));
    let mut left: Vec<_> = fs::read_dir(&there)
        .unwrap()
        .map(|file| file.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["events.jsonl", "users.json"]);
}

#[test]
fn a_difference_that_is_read_back_is_no_copy() {
    let (setup, _) = with_key();
    many(&setup, 3);
    for (table, change) in [
        ("event", "NEW.line = replace(NEW.line, 'u1', 'u7')"),
        ("account", "NEW.body = replace(NEW.body, 'u1@', 'u7@')"),
    ] {
        let (database, url) = migrated(&setup);
        let sql = |statement: &str| Cluster::shared().sql(&database, statement);
        sql(&format!(
            "CREATE FUNCTION other() RETURNS trigger LANGUAGE plpgsql
            AS $$ BEGIN {change}; RETURN NEW; END $$;
            CREATE TRIGGER other BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION other()"
        ));

        let (status, out, err) = copy(&setup, &["users.json", &url]);

        assert_eq!((status, out.as_str()), (1, ""), "{err}");
        assert!(
            err.contains("what was read back is not what was copied"),
            "{err}"
        );
        assert_eq!(sql("SELECT is_unfinished FROM meta"), "t");
    }
}

#[test]
fn a_database_is_copied_with_its_key_and_no_other_call_is_taken() {
    let setup = Setup::new();
    let url = "postgres://u:hidden@db.example.com/auth";
    for (words, why) in [
        (&["store", "copy", url, "there"][..], "--store-key"),
        (&["store", "copy", "users.json", url], "--to-key"),
        (&["store", "copy", "users.json"], "TO"),
        (
            &[
                "store",
                "copy",
                "--store-key",
                "k",
                "postgres://u:hidden@h/d?x=1",
                "t",
            ],
            "URL",
        ),
    ] {
        let (status, out, err) = run(&setup, words, b"");
        assert_eq!((status, out.as_str()), (2, ""), "{err}");
        assert!(err.contains(why) && !err.contains("hidden"), "{err}");
    }
}
