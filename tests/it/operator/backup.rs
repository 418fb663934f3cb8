//! `auth_user backup` and `restore`: a folder in one tar, and back.

mod restored;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::directory::{listing, mode, snapshot};
use crate::harness::{PASSWORD, Server, Setup, Visitor, wait_for};
use crate::operator::{Said, assert_says_cannot, run};

const EMPTY: &str = "{\"version\": 1, \"users\": {}}\n";

fn backup(setup: &Setup, tar: &str) -> Said {
    run(setup, &["backup", tar], b"")
}

fn restore(setup: &Setup, users: &str, tar: &str) -> Said {
    run(setup, &["--users", users, "restore", tar], b"")
}

#[track_caller]
fn refused(said: &Said, what: &str) {
    assert_eq!((said.0, said.1.as_str()), (1, ""), "{said:?}");
    assert_says_cannot(&said.2, what, "");
}

/// A folder with one of everything that belongs into a backup, and something that does not.
fn full() -> Setup {
    let setup = Setup::new();
    let dir = setup.dir();
    fs::create_dir(dir.join("outbox")).unwrap();
    for (name, text) in [
        ("users.json", EMPTY),
        ("sessions.json", "{\"version\": 1, \"sessions\": []}\n"),
        ("events.jsonl", "{}\n"),
        ("access.toml", "# nothing\n"),
        ("logo.svg", "<svg/>"),
        ("users.json.v1", "earlier"),
        ("outbox/1.eml", "mail"),
        ("outbox/.2.draft", "no mail"),
        ("notes.txt", "not of the server"),
        ("users.json.damaged", "{"),
    ] {
        fs::write(dir.join(name), text).unwrap();
    }
    setup
}

#[test]
fn a_backup_has_all_that_belongs_to_the_server_and_nothing_else() {
    let setup = full();
    let dir = setup.dir();

    let said = backup(&setup, "b.tar");

    let size = fs::metadata(dir.join("b.tar")).unwrap().len();
    let made = dir.canonicalize().unwrap().join("b.tar");
    let message = format!("9 files, 0 accounts, {size} bytes backed up.\n");
    let names = format!("auth_user: made {}\n", made.display());
    assert_eq!(said, (0, message, names));
    assert_eq!(mode(&dir.join("b.tar")), 0o600);
    let listed = Command::new("tar").arg("tf").arg(&made).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let listed: BTreeSet<&str> = listed.lines().collect();
    let expected = [
        "access.toml",
        "events.jsonl",
        "logo.svg",
        "outbox/1.eml",
        "server.crt",
        "server.key",
        "sessions.json",
        "users.json",
        "users.json.v1",
    ];
    assert_eq!(listed, BTreeSet::from(expected));
    assert!(!listing(dir).iter().any(|name| name.ends_with(".new")));

    let back = restore(&setup, "new/people.json", "b.tar");
    assert_eq!(
        (back.0, back.1.as_str()),
        (0, "9 files, 0 accounts restored.\n")
    );
    assert_eq!(mode(&dir.join("new")), 0o700);
    assert_eq!(mode(&dir.join("new/outbox")), 0o700);
    for name in expected {
        let here = name.replace("users.json", "people.json");
        let restored = dir.join("new").join(here);
        assert_eq!(
            fs::read(&restored).unwrap(),
            fs::read(dir.join(name)).unwrap()
        );
        assert_eq!(mode(&restored), 0o600);
    }
    assert_eq!(listing(&dir.join("new")).len(), 9);

    let again = run(
        &setup,
        &["--users", "new/people.json", "backup", "c.tar", "--json"],
        b"",
    );
    let document: Value = serde_json::from_str(&again.1).unwrap();
    assert_eq!(document["code"], "backed_up");
    assert_eq!(
        (&document["accounts"], &document["files"]),
        (&json!(0), &json!(9))
    );
    let back = run(
        &setup,
        &["--users", "newer/users.json", "restore", "b.tar", "--json"],
        b"",
    );
    assert_eq!(
        serde_json::from_str::<Value>(&back.1).unwrap(),
        json!({
            "code": "restored",
            "message": "9 files, 0 accounts restored.",
            "accounts": 0,
            "files": 9,
        })
    );
}

#[test]
fn sessions_and_second_factors_are_as_they_were() {
    let setup = Setup::new();
    let server = setup.start();
    let (alice, authenticator) = Visitor::with_account(&server, "alice");

    assert_eq!(backup(&setup, "b.tar").0, 0);
    drop(server);
    assert_eq!(restore(&setup, "new/users.json", "b.tar").0, 0);
    let there = setup.clone().with(&["--users", "new/users.json"]).start();

    assert!(alice.at(&there).is_logged_in());
    Visitor::program(&there).log_in("alice", PASSWORD, &authenticator);
}

#[test]
fn a_backup_goes_to_standard_output_and_the_message_beside_it() {
    let setup = full();
    let command = setup
        .clone()
        .with(&["backup", "-"])
        .command()
        .output()
        .unwrap();
    fs::write(setup.dir().join("b.tar"), &command.stdout).unwrap();

    let said = String::from_utf8(command.stderr).unwrap();
    assert!(said.starts_with("9 files, 0 accounts, "), "{said}");
    assert!(
        said.contains(&format!(" {} bytes ", command.stdout.len())),
        "{said}"
    );
    assert_eq!(restore(&setup, "new/users.json", "b.tar").0, 0);
}

#[test]
fn what_cannot_be_backed_up_leaves_no_file() {
    let setup = Setup::bare();
    refused(&backup(&setup, "b.tar"), "there is no such file");
    fs::write(setup.dir().join("users.json"), "{").unwrap();
    refused(&backup(&setup, "b.tar"), "line 1, column 1");
    fs::write(
        setup.dir().join("users.json"),
        "{\"version\": 3, \"users\": {}}",
    )
    .unwrap();
    refused(
        &backup(&setup, "b.tar"),
        "version 3 is of a later auth_user",
    );
    assert!(!setup.dir().join("b.tar").exists());

    fs::write(setup.dir().join("users.json"), EMPTY).unwrap();
    fs::write(setup.dir().join("b.tar"), "precious").unwrap();
    symlink("nowhere", setup.dir().join("c.tar")).unwrap();
    let before = snapshot(setup.dir());
    refused(&backup(&setup, "b.tar"), "there is a file of that name");
    refused(&backup(&setup, "c.tar"), "there is a file of that name");
    refused(&backup(&setup, "."), "it is a folder");
    refused(&backup(&setup, "gone/b.tar"), "cannot write");
    let gone = run(
        &setup,
        &["--users", "gone/users.json", "backup", "d.tar"],
        b"",
    );
    refused(&gone, "there is no directory");
    assert_eq!(snapshot(setup.dir()), before);
    assert_eq!(run(&setup, &["backup"], b"").0, 2);
    assert_eq!(run(&setup, &["restore", "a", "b"], b"").0, 2);
}

/// Whoever owns the folder gets nothing into the tar that they could not read.
#[test]
fn no_link_and_no_pipe_is_followed_into_a_backup() {
    let setup = full();
    let dir = setup.dir();
    fs::write(dir.join("secret"), "of root").unwrap();
    for name in [
        "access.toml",
        "logo.svg",
        "events.jsonl",
        "outbox/1.eml",
        "server.key",
    ] {
        fs::remove_file(dir.join(name)).unwrap();
        symlink(dir.join("secret"), dir.join(name)).unwrap();
    }

    let said = backup(&setup, "b.tar");

    assert_eq!(said.0, 0, "{said:?}");
    assert!(
        said.2.contains("warning: outbox/1.eml is left out"),
        "{said:?}"
    );
    assert!(
        said.2.contains("warning: access.toml is left out"),
        "{said:?}"
    );
    let tar = fs::read(dir.join("b.tar")).unwrap();
    assert!(!tar.windows(7).any(|bytes| bytes == b"of root"));

    fs::write(dir.join("outbox").join(format!("{:x>101}", ".eml")), "").unwrap();
    fs::write(dir.join("outbox/\x1b[2J.eml"), "").unwrap();
    let said = backup(&setup, "odd.tar");
    assert_eq!(said.0, 0, "{said:?}");
    assert!(said.2.contains("xxx.eml is left out"), "{said:?}");
    assert!(!said.2.contains('\x1b'), "{said:?}");

    for name in ["sessions.json", "users.json"] {
        fs::rename(dir.join(name), dir.join("real")).unwrap();
        symlink("real", dir.join(name)).unwrap();
        refused(&backup(&setup, "c.tar"), "a link");
        fs::rename(dir.join("real"), dir.join(name)).unwrap();
    }
}

/// What is in a tar: its accounts, and the sessions' owners.
fn inside(setup: &Setup, tar: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let folder = setup.dir().join("inside");
    let _ = fs::remove_dir_all(&folder);
    let said = restore(setup, "inside/users.json", tar);
    assert_eq!(said.0, 0, "{said:?}");
    let read = |name: &str| -> Value {
        serde_json::from_slice(&fs::read(folder.join(name)).unwrap()).unwrap()
    };
    let users = read("users.json");
    let users = users["users"].as_object().unwrap().iter();
    let users = users.map(|(name, account)| {
        assert_eq!(account["email"], format!("{name}@example.com"));
        name.clone()
    });
    let sessions = read("sessions.json");
    let sessions = sessions["sessions"].as_array().unwrap().iter();
    let owners = sessions.map(|session| session["username"].as_str().unwrap().to_owned());
    (users.collect(), owners.collect())
}

/// Takes backups while so many writers make accounts and log in, each of them killed now and then,
/// and restores them: what was answered before is in them, and no session is without its account.
pub(crate) fn backups_while_writers_write(writers: usize, rounds: usize) {
    let setup = Setup::new().with(&["--no-tls", "--registrations-per-hour", "0"]);
    let server = setup.start();
    Visitor::with_account(&server, "first");
    let answered = std::sync::Mutex::new(BTreeSet::new());
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for writer in 0..writers {
            let (server, answered, is_over) = (&server, &answered, &is_over);
            scope.spawn(move || write(server, writer, answered, is_over));
        }
        let rounds = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for round in 0..rounds {
                let killed = format!("killed{round}.tar");
                let known = answered.lock().unwrap().len();
                wait_for("another answer", || {
                    (answered.lock().unwrap().len() > known).then_some(())
                });
                kill(
                    &setup,
                    &["backup", &killed],
                    Duration::from_millis(round as u64 % 20),
                );
                let before: BTreeSet<String> = answered.lock().unwrap().clone();

                let said = run(&setup, &["--users", "users.json", "backup", "b.tar"], b"");

                assert_eq!(said.0, 0, "{said:?}");
                // One that was killed is there whole, or not at all.
                for tar in ["b.tar", &killed] {
                    if !setup.dir().join(tar).exists() {
                        continue;
                    }
                    let (users, owners) = inside(&setup, tar);
                    assert!(tar != "b.tar" || users.is_superset(&before));
                    assert!(users.is_superset(&owners), "{owners:?}");
                    fs::remove_file(setup.dir().join(tar)).unwrap();
                }
            }
        }));
        is_over.store(true, Ordering::Relaxed);
        if let Err(panic) = rounds {
            std::panic::resume_unwind(panic);
        }
    });
}

fn write(
    server: &Server,
    writer: usize,
    answered: &std::sync::Mutex<BTreeSet<String>>,
    is_over: &AtomicBool,
) {
    for n in 0.. {
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        let name = format!("w{writer}.{n}");
        let email = format!("{name}@example.com");
        let form = [
            ("username", name.as_str()),
            ("email", &email),
            ("password", PASSWORD),
        ];
        if Visitor::program(server).try_post("/register", &form) == Some(201) {
            answered.lock().unwrap().insert(name);
        }
    }
}

/// Starts a command and kills it after a while.
fn kill(setup: &Setup, words: &[&str], after: Duration) {
    let mut command = setup.clone().with(words).command();
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_backup_while_writers_write_is_one_state() {
    backups_while_writers_write(8, 4);
}
