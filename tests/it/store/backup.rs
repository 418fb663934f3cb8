//! `auth_user backup` and `restore` on a database: the same tar as from files, and back into an empty
//! database or into files.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::harness::directory::{listing, mode, snapshot};
use crate::harness::{Setup, wait_for};
use crate::operator::{Said, assert_cannot, run};
use crate::store::copy::{assert_same, copied, killed, lived_in, many, migrated, value};
use crate::store::{on, with_key};

/// What a backup of [`migrated`] tables finds there: whether they are half a copy, and whether a key
/// was left in them.
const STATE: &str = "SELECT is_unfinished, key_check IS NULL FROM meta";

fn sql(database: &str, statement: &str) -> String {
    Cluster::shared().sql(database, statement)
}

/// Runs a command that is to be done.
#[track_caller]
fn done(setup: &Setup, words: &[&str]) -> Said {
    let said = run(setup, words, b"");
    assert_eq!(said.0, 0, "{said:?}");
    said
}

/// Runs a command that is to be refused in one line and a hint.
#[track_caller]
fn refused(setup: &Setup, words: &[&str], what: &str) -> String {
    let (status, out, err) = run(setup, words, b"");
    assert_eq!((status, out.as_str()), (1, ""), "{what}: {err}");
    let lines: Vec<&str> = err.lines().collect();
    assert_eq!(lines.len(), 2, "{err}");
    assert!(lines[0].starts_with("auth_user: cannot "), "{err}");
    assert!(lines[0].contains(what), "{what}: {err}");
    assert!(lines[1].starts_with("auth_user: hint: "), "{err}");
    err
}

/// A database with all that is in the files of `setup`.
fn filled(setup: &Setup) -> (String, String) {
    let (database, url) = migrated(setup);
    copied(setup, &["users.json", &url]);
    (database, url)
}

/// Accounts in files and in a database, and a tar `b.tar` of the latter.
fn backed_up(count: usize) -> Setup {
    let (setup, _) = with_key();
    many(&setup, count);
    let (_, url) = filled(&setup);
    done(&on(&setup, &url), &["backup", "b.tar"]);
    setup
}

/// What is in a tar, in its order.
fn names(setup: &Setup, tar: &str) -> Vec<String> {
    let listed = Command::new("tar")
        .args(["-tf", tar])
        .current_dir(setup.dir())
        .output()
        .unwrap();
    assert!(listed.status.success(), "{listed:?}");
    let text = String::from_utf8(listed.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn shell(dir: &Path, script: &str) {
    let mut shell = Command::new("sh");
    let ended = shell.args(["-c", script]).current_dir(dir).status();
    assert!(ended.unwrap().success(), "{script}");
}

#[test]
fn everything_goes_into_a_tar_and_from_it_into_another_database_and_into_files() {
    let (setup, _) = with_key();
    let zoe = lived_in(&setup);
    for (name, text) in [("access.toml", "# nothing\n"), ("logo.svg", "<svg/>")] {
        fs::write(setup.dir().join(name), text).unwrap();
    }
    // What belongs to files is not the database's.
    fs::write(setup.dir().join("users.json.v1"), "earlier").unwrap();
    let (_, url) = filled(&setup);
    let (database, other) = migrated(&setup);
    done(&setup, &["store", "key", "other.key"]);

    let (_, out, _) = done(&on(&setup, &url), &["backup", "b.tar", "--json"]);
    let to_other = setup.clone().with(&["--store", &other, "--store-key"]);
    let to_other = to_other.with(&["other.key", "--users", "node/users.json"]);
    let (_, restored, err) = done(&to_other, &["restore", "b.tar", "--json"]);
    let (_, text, _) = done(&setup, &["--users", "back/users.json", "restore", "b.tar"]);

    let files = names(&setup, "b.tar");
    let said: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&said["code"], &said["accounts"], &said["files"]),
        (&json!("backed_up"), &json!(3), &json!(files.len()))
    );
    assert_eq!(mode(&setup.dir().join("b.tar")), 0o600);
    let outside: Vec<&String> = files.iter().filter(|name| !name.contains('/')).collect();
    let wanted = [
        "users.json",
        "sessions.json",
        "events.jsonl",
        "access.toml",
        "logo.svg",
        "server.crt",
        "server.key",
    ];
    assert_eq!(outside, wanted);
    assert_same(setup.dir(), &setup.dir().join("back"));
    let wanted = format!("{} files, 3 accounts restored.\n", files.len());
    assert_eq!(text, wanted);
    let restored: Value = serde_json::from_str(&restored).unwrap();
    let wanted = json!({
        "code": "restored",
        "message": wanted.trim_end(),
        "accounts": 3,
        "files": files.len(),
    });
    assert_eq!(restored, wanted);
    // Each node has its own, and nothing of what is in the database.
    let node = setup.dir().join("node");
    let own = ["access.toml", "logo.svg", "server.crt", "server.key"];
    assert_eq!(listing(&node), own);
    assert_eq!(mode(&node), 0o700);
    for name in own {
        assert!(err.contains(&format!("node/{name}")), "{err}");
        assert_eq!(mode(&node.join(name)), 0o600);
        let read = |folder: &Path| fs::read(folder.join(name)).unwrap();
        assert_eq!(read(&node), read(setup.dir()), "{name}");
    }
    let again = ["store", "copy", "--store-key", "other.key", &other, "again"];
    done(&setup, &again);
    assert_same(setup.dir(), &setup.dir().join("again"));
    assert_eq!(sql(&database, STATE), "f|f");
    let server = to_other.start();
    assert!(zoe.at(&server).is_logged_in());
}

#[test]
fn a_backup_of_files_goes_into_a_database_without_what_no_database_has() {
    let (setup, _) = with_key();
    let dir = setup.dir();
    many(&setup, 3);
    fs::create_dir(dir.join("outbox")).unwrap();
    let large = "m".repeat((1 << 20) + 1);
    for (name, text) in [
        ("users.json.v1", "earlier"),
        ("outbox/their own name.eml", "Subject: one\n\none"),
        ("outbox/large.eml", large.as_str()),
    ] {
        fs::write(dir.join(name), text).unwrap();
    }
    let (database, url) = migrated(&setup);
    done(&setup, &["backup", "b.tar"]);
    // As other programs pack it.
    shell(
        dir,
        "mkdir m && cd m && tar -xf ../b.tar && tar -cf ../b.tar .",
    );

    let (_, out, err) = done(&on(&setup, &url), &["restore", "b.tar"]);

    // The accounts, their events, a mail, and the certificate with its key, which were there.
    assert_eq!(out, "5 files, 3 accounts restored.\n");
    for name in ["users.json.v1", "outbox/large.eml"] {
        let left = format!("auth_user: warning: {name} is left out: ");
        assert!(err.contains(&left), "{err}");
    }
    assert_eq!(err.lines().count(), 2, "{err}");
    assert_eq!(sql(&database, "SELECT count(*) FROM event"), "3");
    copied(&setup, &[&url, "back"]);
    let outbox = dir.join("back/outbox");
    let [mail] = listing(&outbox).try_into().unwrap();
    let text = fs::read_to_string(outbox.join(mail)).unwrap();
    assert_eq!(text, "Subject: one\n\none");
}

#[test]
fn a_database_that_is_not_empty_or_has_no_tables_is_not_restored_to() {
    let setup = backed_up(3);
    let (database, url) = migrated(&setup);
    let unmigrated = Cluster::shared().url(&Cluster::shared().database(""));
    let before = snapshot(setup.dir());
    let restore = |url: &str, what: &str| {
        let to = on(&setup, url).with(&["--users", "new/users.json"]);
        refused(&to, &["restore", "b.tar"], what)
    };
    sql(
        &database,
        "INSERT INTO former (name, since) VALUES ('bob', '2026-11-22T12:00:00Z')",
    );

    restore(&url, "its table former is not empty");
    restore(&unmigrated, "it has no schema");
    refused(&on(&setup, &unmigrated), &["backup", "c.tar"], "no schema");

    assert_eq!(sql(&database, STATE), "f|t");
    assert_eq!(sql(&database, "SELECT count(*) FROM former"), "1");
    assert_eq!(snapshot(setup.dir()), before);
    // The wrong key, and none.
    sql(&database, "DELETE FROM former");
    copied(&setup, &["users.json", &url]);
    done(&setup, &["store", "key", "other.key"]);
    let other = setup
        .clone()
        .with(&["--store", &url, "--store-key", "other.key"]);
    refused(&other, &["backup", "c.tar"], "is not the one its secrets");
    let keyless = setup.clone().with(&["--store", &url]);
    for words in [["backup", "c.tar"], ["restore", "b.tar"]] {
        let (status, out, err) = run(&keyless, &words, b"");
        assert_eq!((status, out.as_str()), (2, ""), "{err}");
        assert!(err.contains("--store without --store-key"), "{err}");
    }
    assert!(!setup.dir().join("c.tar").exists());
}

#[test]
fn what_a_node_has_for_itself_is_not_replaced() {
    let setup = backed_up(3);
    let (database, url) = migrated(&setup);
    let theirs = setup.dir().join("theirs");
    fs::create_dir(&theirs).unwrap();
    let to = on(&setup, &url).with(&["--users", "theirs/users.json"]);
    let key = theirs.join("server.key");
    // Another, and one that is a link, even to the same.
    fs::write(&key, "mine").unwrap();
    let before = snapshot(&theirs);
    let err = refused(&to, &["restore", "b.tar"], "\"server.key\"");
    assert!(err.contains("is not replaced"), "{err}");
    assert_eq!(snapshot(&theirs), before);
    fs::remove_file(&key).unwrap();
    std::os::unix::fs::symlink("../server.key", &key).unwrap();
    refused(&to, &["restore", "b.tar"], "\"server.key\"");
    assert_eq!(sql(&database, STATE), "f|t");

    // What is the same is taken for done.
    fs::remove_file(&key).unwrap();
    fs::copy(setup.dir().join("server.key"), &key).unwrap();
    fs::write(theirs.join("mine.txt"), "mine").unwrap();
    done(&to, &["restore", "b.tar"]);
    assert_eq!(listing(&theirs), ["mine.txt", "server.crt", "server.key"]);
}

#[test]
fn a_tar_that_is_cut_or_damaged_or_no_backup_changes_nothing() {
    let setup = backed_up(3);
    let dir = setup.dir();
    let (database, url) = migrated(&setup);
    let to = on(&setup, &url).with(&["--users", "new/users.json"]);
    let good = fs::read(dir.join("b.tar")).unwrap();
    let bad = |what: &str| {
        let err = refused(&to, &["restore", "bad.tar"], what);
        assert_eq!(sql(&database, STATE), "f|t", "{what}");
        assert!(!dir.join("new").exists(), "{what}");
        err
    };
    for end in [0, 100, 512, good.len() / 2, good.len() - 1] {
        fs::write(dir.join("bad.tar"), &good[..end]).unwrap();
        bad("cut off or damaged");
    }
    let mut damaged = good.clone();
    damaged[1] ^= 1;
    fs::write(dir.join("bad.tar"), damaged).unwrap();
    bad("cut off or damaged");
    for (script, what) in [
        ("echo '{' > users.json && tar -cf ../bad.tar *", "EOF while"),
        (
            "echo '{\"version\": 1}' > sessions.json && tar -cf ../bad.tar *",
            "sessions.json",
        ),
        (
            "tar -Pcf ../bad.tar users.json ../users.json",
            "not in any backup",
        ),
        ("tar -cf ../bad.tar events.jsonl", "no users.json in it"),
    ] {
        let script = format!("rm -rf m && mkdir m && cd m && tar -xf ../b.tar && {script}");
        shell(dir, &script);
        bad(what);
    }
    let (status, out, _) = run(&to, &["restore", "gone.tar", "--json"], b"");
    let said: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((status, &said["code"]), (1, &json!("no_file")));
    done(&to, &["restore", "b.tar"]);
}

#[test]
fn while_the_database_is_away_it_is_said_so_soon() {
    let cluster = Cluster::start(None);
    let setup = backed_up(1);
    let database = cluster.database("");
    let url = cluster.url(&database);
    done(&setup, &["store", "migrate", &url]);
    // Each host that does not answer takes its time, however many are named.
    let host = format!("127.0.0.1:{}", cluster.port);
    let hosts = vec![host; 5].join(",");
    let hosts = format!("postgres://{database}@{hosts}/{database}");
    let folder = ["--users", "new/users.json"];
    let (away, back) = (
        on(&setup, &hosts).with(&folder),
        on(&setup, &url).with(&folder),
    );
    fs::create_dir(setup.dir().join("new")).unwrap();

    cluster.freeze(true);
    let asked = [["backup", "c.tar"], ["restore", "b.tar"]].map(|words| {
        let asked = Instant::now();
        (run(&away, &words, b""), asked.elapsed())
    });
    cluster.freeze(false);

    for ((status, out, err), took) in asked {
        assert_eq!((status, out.as_str()), (1, ""), "{err}");
        let begins = "auth_user: cannot reach the store: ";
        assert!(
            err.starts_with(begins) && err.contains("\nauth_user: hint: "),
            "{err}"
        );
        // A bound of the product, with room for a slow machine.
        assert!(took < Duration::from_secs(7), "{took:?}");
    }
    assert_eq!(listing(&setup.dir().join("new")), [""; 0]);
    assert!(!setup.dir().join("c.tar").exists());
    done(&back, &["restore", "b.tar"]);
}

#[test]
fn a_restore_that_is_broken_off_is_refused_and_begun_anew() {
    let setup = backed_up(20_000);
    let (database, url) = migrated(&setup);
    let node = on(&setup, &url).with(&["--users", "node/users.json"]);
    let folder = setup.dir().join("node");

    killed(&node.clone().with(&["restore", "b.tar"]), || {
        sql(
            &database,
            "SELECT is_unfinished AND EXISTS (SELECT FROM account) FROM meta",
        ) == "t"
    });

    let unfinished = "cannot use the store: a copy to it was not finished";
    assert_cannot(&node, unfinished, "auth_user restore");
    refused(&node, &["backup", "c.tar"], unfinished);
    assert!(!folder.join("server.key").exists(), "it came too early");
    assert_eq!(listing(&folder).len(), 2, "what was to become of them");
    // As if it had been killed later.
    fs::copy(setup.dir().join("server.key"), folder.join("server.key")).unwrap();
    let (_, out, _) = done(&node, &["restore", "b.tar"]);
    assert_eq!(out, "4 files, 20000 accounts restored.\n");
    assert_eq!(listing(&folder), ["server.crt", "server.key"]);
    let counts = "SELECT (SELECT count(*) FROM account), (SELECT count(*) FROM event)";
    assert_eq!(sql(&database, counts), "20000|20000");
    let back = copied(&setup, &[&url, "back"]);
    assert_eq!(back["accounts"], json!(20_000));
    let users = |folder: &Path| value(folder.join("users.json"));
    assert_eq!(users(&setup.dir().join("back")), users(setup.dir()));
    drop(node.start());
}

#[test]
fn what_is_read_back_otherwise_is_not_restored() {
    let setup = backed_up(3);
    let (database, url) = migrated(&setup);
    sql(
        &database,
        "CREATE FUNCTION other() RETURNS trigger LANGUAGE plpgsql
            AS $$ BEGIN NEW.body = replace(NEW.body, 'u1@', 'u7@'); RETURN NEW; END $$;
        CREATE TRIGGER other BEFORE INSERT ON account FOR EACH ROW EXECUTE FUNCTION other()",
    );
    let to = on(&setup, &url).with(&["--users", "new/users.json"]);

    refused(&to, &["restore", "b.tar"], "what was read back is not");

    assert_eq!(sql(&database, "SELECT is_unfinished FROM meta"), "t");
    assert!(!setup.dir().join("new").exists());
}

#[test]
fn a_backup_is_of_one_moment_whatever_is_changed_meanwhile() {
    let (setup, _) = with_key();
    many(&setup, 3);
    let (database, url) = filled(&setup);
    // Whoever reads the events waits for it; then there is one more, and an account less.
    let meanwhile = "LOCK TABLE event;
        DO $$ BEGIN
            WHILE NOT EXISTS (SELECT FROM pg_locks
                WHERE relation = 'event'::regclass AND NOT granted) LOOP
                PERFORM pg_sleep(0.02);
            END LOOP;
        END $$;
        DELETE FROM account WHERE name = 'u1';
        INSERT INTO event (id, at, line) VALUES ('\\x01', 0, 'later')";
    thread::scope(|scope| {
        scope.spawn(|| {
            sql(
                &database,
                &format!("SET statement_timeout TO '50s'; {meanwhile}"),
            )
        });
        wait_for("the lock", || {
            let lock = "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'event'::regclass
                AND granted AND mode = 'AccessExclusiveLock')";
            (sql(&database, lock) == "t").then_some(())
        });
        done(&on(&setup, &url), &["backup", "b.tar"]);
    });

    assert_eq!(sql(&database, "SELECT count(*) FROM account"), "2");
    done(&setup, &["--users", "back/users.json", "restore", "b.tar"]);
    let read = |folder: &Path, name| fs::read_to_string(folder.join(name)).unwrap();
    let back = setup.dir().join("back");
    assert_eq!(
        value(back.join("users.json")),
        value(setup.dir().join("users.json"))
    );
    assert_eq!(
        read(&back, "events.jsonl"),
        read(setup.dir(), "events.jsonl")
    );
}

#[test]
fn a_database_that_goes_while_it_is_backed_up_ends_the_backup() {
    let (setup, _) = with_key();
    many(&setup, 20_000);
    let (database, url) = filled(&setup);
    let mut child = on(&setup, &url)
        .with(&["backup", "-"])
        .command()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The accounts fill the pipe, and the events are still to be read.
    let mut first = [0; 512];
    let mut tar = child.stdout.take().unwrap();
    tar.read_exact(&mut first).unwrap();
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE datname = current_database() AND state = 'idle in transaction'";
    assert_eq!(sql(&database, end), "1");
    tar.read_to_end(&mut Vec::new()).unwrap();

    let output = child.wait_with_output().unwrap();

    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(
        err.starts_with("auth_user: cannot use the store: "),
        "{err}"
    );
}
