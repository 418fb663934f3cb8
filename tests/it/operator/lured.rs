//! Commands that root runs in a folder of somebody who would like to get something from root: what
//! a link there leads to is neither read, changed nor given away. Skipped by anybody but root.

use std::fs::{self, FileTimes};
use std::os::unix::fs::{chown, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use tempfile::TempDir;

use crate::harness::directory::{open, snapshot};
use crate::harness::{PASSWORD, Setup};
use crate::operator::{Said, run};

/// Somebody's folder of accounts, and a folder that they want something in.
struct Place {
    setup: Setup,
    victim: TempDir,
}

impl Place {
    /// `None`, for nothing to be tested, unless root runs this.
    fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root is asked for what others may not");
            return None;
        }
        let setup = Setup::bare();
        chown(setup.dir(), Some(65534), Some(65534)).unwrap();
        let victim = tempfile::tempdir().unwrap();
        open(
            victim.path().parent().unwrap(),
            &name_of(victim.path()),
            0o755,
        );
        Some(Self { setup, victim })
    }

    /// A file of the victim's, everybody may read, from long ago.
    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.victim.path().join(name);
        fs::write(&path, text).unwrap();
        open(self.victim.path(), name, 0o644);
        let long_ago = FileTimes::new().set_modified(SystemTime::UNIX_EPOCH);
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_times(long_ago).unwrap();
        path
    }

    fn link(&self, name: &str, to: &Path) {
        symlink(to, self.setup.dir().join(name)).unwrap();
    }

    fn add(&self, name: &str) -> Said {
        let email = format!("{name}@example.com");
        let words = ["user", "add", name, "--email", &email, "--password-stdin"];
        run(&self.setup, &words, format!("{PASSWORD}\n").as_bytes())
    }

    fn invite(&self, name: &str) -> Said {
        let email = format!("{name}@example.com");
        run(&self.setup, &["user", "add", name, "--email", &email], b"")
    }

    /// Everything but locks, in both folders.
    fn all(&self) -> Vec<String> {
        let mut all = snapshot(self.setup.dir());
        all.retain(|file| !file.contains(".lock\""));
        all.extend(snapshot(self.victim.path()));
        all.extend([self.setup.dir(), self.victim.path()].map(|dir| {
            let found = fs::metadata(dir).unwrap();
            format!(
                "{:?}",
                (
                    found.permissions(),
                    std::os::unix::fs::MetadataExt::uid(&found)
                )
            )
        }));
        all
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// Exit 1, what is wrong and a hint, and nothing on standard output.
#[track_caller]
fn assert_refused(said: &Said, what: &str) {
    assert_eq!((said.0, said.1.as_str()), (1, ""), "{said:?}");
    let lines: Vec<&str> = said.2.lines().collect();
    assert_eq!(lines.len(), 2, "{said:?}");
    assert!(
        lines[0].contains("cannot ") && lines[0].contains(what),
        "{said:?}"
    );
    assert!(lines[1].starts_with("auth_user: hint: "), "{said:?}");
}

#[test]
fn an_outbox_that_is_a_link_is_refused_and_what_it_leads_to_stays_as_it_is() {
    let Some(place) = Place::new() else { return };
    place.file("old.draft", "precious");
    place.file("passwd", "root:x");
    place.link("outbox", place.victim.path());
    assert_eq!(place.add("alice").0, 0);
    let before = place.all();

    let invited = place.invite("bob");
    let csv = b"username,email\nbob,bob@example.com\n";
    let imported = run(&place.setup, &["import", "csv", "-"], csv);

    assert_refused(&invited, "outbox");
    assert_refused(&imported, "outbox");
    assert_eq!(place.all(), before);
}

#[test]
fn a_command_leaves_files_of_others_in_the_outbox_alone() {
    let Some(place) = Place::new() else { return };
    assert_eq!(place.invite("alice").0, 0);
    let outbox = place.setup.dir().join("outbox");
    for name in [".old.draft", "note.txt"] {
        fs::copy(place.file(name, "text"), outbox.join(name)).unwrap();
        let file = fs::File::options().write(true).open(outbox.join(name));
        let long_ago = FileTimes::new().set_modified(SystemTime::UNIX_EPOCH);
        file.unwrap().set_times(long_ago).unwrap();
    }
    open(place.setup.dir(), "outbox", 0o750);
    let others = || {
        let mut found = snapshot(&outbox);
        found.retain(|file| !file.contains(".eml\""));
        (found, fs::metadata(&outbox).unwrap().permissions())
    };
    let before = others();

    assert_eq!(place.invite("bob").0, 0);

    assert_eq!(before.0.len(), 2);
    assert_eq!(others(), before);
}

#[test]
fn accounts_that_are_a_link_are_neither_shown_nor_written() {
    let Some(place) = Place::new() else { return };
    let users = place.file("users.json", "{\"version\": 1, \"users\": {}}\n");
    place.link("users.json", &users);
    let before = place.all();

    assert_refused(&run(&place.setup, &["user", "list"], b""), "users.json");
    assert_refused(&place.add("alice"), "users.json");
    assert_refused(&place.invite("bob"), "users.json");

    assert_eq!(place.all(), before);
}

#[test]
fn sessions_that_are_a_link_have_no_lock_made_beside_what_it_leads_to() {
    let Some(place) = Place::new() else { return };
    let passwd = place.file("passwd", "root:x");
    place.link("sessions.json", &passwd);
    let before = snapshot(place.victim.path());

    assert_eq!(place.add("alice").0, 0);
    assert_eq!(
        run(&place.setup, &["user", "end-sessions", "alice"], b"").0,
        0
    );
    assert_eq!(run(&place.setup, &["user", "show", "alice"], b"").0, 0);

    assert_eq!(snapshot(place.victim.path()), before);
    let link = fs::read_link(place.setup.dir().join("sessions.json"));
    assert_eq!(link.unwrap(), passwd);
}

#[test]
fn a_lock_that_is_a_link_is_not_opened() {
    let Some(place) = Place::new() else { return };
    let shadow = place.file("shadow", "root:*");
    place.link("users.json.lock", &shadow);
    let before = place.all();

    assert_refused(&place.add("alice"), "its lock is a link");
    fs::remove_file(shadow).unwrap();
    assert_refused(&place.add("alice"), "its lock is a link");

    assert_eq!(place.all().len(), before.len() - 1);
}

#[test]
fn events_with_another_name_elsewhere_are_not_appended_to() {
    let Some(place) = Place::new() else { return };
    // On the same file system, as the two folders need not be.
    let precious = place.setup.dir().join("precious");
    fs::write(&precious, "precious\n").unwrap();
    fs::hard_link(&precious, place.setup.dir().join("events.jsonl")).unwrap();

    let added = place.add("alice");

    assert_eq!((added.0, added.1.as_str()), (0, "Account added.\n"));
    assert!(
        added.2.contains("this is not in events.jsonl: "),
        "{added:?}"
    );
    assert_eq!(fs::read_to_string(&precious).unwrap(), "precious\n");
}

#[test]
fn another_s_file_by_a_second_name_is_in_no_backup() {
    let Some(place) = Place::new() else { return };
    assert_eq!(place.add("alice").0, 0);
    let dir = place.setup.dir();
    // On the same file system, as the two folders need not be.
    let precious = dir.join("precious");
    fs::write(&precious, "precious").unwrap();
    let outbox = dir.join("outbox");
    fs::create_dir(&outbox).unwrap();
    chown(&outbox, Some(65534), Some(65534)).unwrap();
    for name in ["access.toml", "server.key", "logo.svg", "outbox/1.eml"] {
        fs::hard_link(&precious, dir.join(name)).unwrap();
    }

    let said = run(&place.setup, &["backup", "b.tar"], b"");

    assert_eq!(said.0, 0, "{said:?}");
    assert_eq!(said.2.matches(" is left out: ").count(), 4, "{said:?}");
    let tar = fs::read(dir.join("b.tar")).unwrap();
    assert!(!tar.windows(8).any(|bytes| bytes == b"precious"));

    fs::remove_file(dir.join("users.json")).unwrap();
    fs::hard_link(&precious, dir.join("users.json")).unwrap();
    let said = run(&place.setup, &["backup", "c.tar"], b"");
    assert_refused(&said, "users.json");
}

#[test]
fn events_with_another_name_elsewhere_are_not_shown() {
    let Some(place) = Place::new() else { return };
    assert_eq!(place.add("alice").0, 0);
    let events = place.setup.dir().join("events.jsonl");
    let elsewhere = place.setup.dir().join("precious");
    fs::hard_link(&events, &elsewhere).unwrap();
    let shown = |words: &[&str]| run(&place.setup, words, b"");

    assert_refused(&shown(&["events"]), "it has another name too");
    assert!(
        !shown(&["user", "show", "alice"])
            .1
            .contains("account_added")
    );
    fs::remove_file(elsewhere).unwrap();
    assert!(shown(&["events"]).1.contains("account_added"));
}

/// Not only root's commands: whoever may read the file can lock it.
#[test]
fn events_that_somebody_keeps_locked_keep_no_command_for_ever() {
    let setup = Setup::bare();
    let words = [
        "user",
        "add",
        "alice",
        "--email",
        "a@example.com",
        "--password-stdin",
    ];
    let events = fs::File::create(setup.dir().join("events.jsonl")).unwrap();
    events.lock().unwrap();

    let added = run(&setup, &words, format!("{PASSWORD}\n").as_bytes());

    assert_eq!((added.0, added.1.as_str()), (0, "Account added.\n"));
    assert!(
        added
            .2
            .contains("this is not in events.jsonl: another process"),
        "{added:?}"
    );
}

#[test]
fn a_command_waits_ten_seconds_for_the_lock_of_the_accounts() {
    let setup = Setup::bare();
    let add = |name: &str| {
        let email = format!("{name}@example.com");
        let words = [
            "user",
            "add",
            name,
            "--email",
            &email,
            "--password-stdin",
            "--json",
        ];
        run(&setup, &words, format!("{PASSWORD}\n").as_bytes())
    };
    let lock = fs::File::create(setup.dir().join("users.json.lock")).unwrap();
    lock.lock().unwrap();

    let late = std::thread::scope(|scope| {
        let late = scope.spawn(|| add("alice"));
        std::thread::sleep(Duration::from_secs(7));
        lock.unlock().unwrap();
        late.join().unwrap()
    });
    assert_eq!(late.0, 0, "{late:?}");

    lock.lock().unwrap();
    let begun = Instant::now();
    let refused = add("bob");
    assert_eq!(refused.0, 1, "{refused:?}");
    assert!(refused.1.contains("\"not_saved\""), "{refused:?}");
    assert!(begun.elapsed() >= Duration::from_secs(9), "{refused:?}");
}

#[test]
fn an_endless_file_of_accounts_is_not_taken_into_memory() {
    let setup = Setup::bare();
    let users = fs::File::create(setup.dir().join("users.json")).unwrap();
    users.set_len(1 << 40).unwrap();

    let said = run(&setup, &["user", "list"], b"");

    assert_refused(&said, "larger than");
}
