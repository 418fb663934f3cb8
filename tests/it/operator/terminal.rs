//! Commands at a terminal: what is asked there, what nobody sees, and how far a long work is.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::harness::directory::listing;
use crate::harness::terminal::{PROGRAM, Terminal};
use crate::harness::{PASSWORD, Setup, Visitor};
use crate::operator::person::{two, users};

/// What is said by a shell after the command: whether the terminal shows again what is typed.
const SHOWS_AGAIN: &str = "code=$?; stty -a | grep -q ' echo ' && echo shows again; exit $code";

/// `user add`, where somebody types the password.
fn adding(setup: &Setup, name: &str) -> Terminal {
    let add = format!("{PROGRAM} user add {name} --email {name}@example.com --password-stdin");
    Terminal::run(setup.dir(), &format!("{add}; {SHOWS_AGAIN}"))
}

#[test]
fn a_password_is_asked_for_twice_and_nobody_sees_it() {
    let setup = Setup::new();
    let mut terminal = adding(&setup, "alice");
    terminal.sees("Password: ");
    terminal.types(PASSWORD);
    terminal.sees("Once more: ");
    terminal.types(PASSWORD);

    let (status, shown) = terminal.end();

    assert_eq!(status, 0, "{shown}");
    assert!(!shown.contains(PASSWORD), "{shown}");
    assert!(shown.contains("Account added.\r\n"), "{shown}");
    assert!(shown.contains("shows again"), "{shown}");
    let server = setup.start();
    let form = [("username", "alice"), ("password", PASSWORD)];
    let answer = Visitor::program(&server).post("/login", &form);
    answer.expect("enrol_required");
}

#[test]
fn two_passwords_that_differ_or_one_that_is_too_short_make_no_account() {
    for (first, second, said) in [
        (PASSWORD, "seven wild horse", "The passwords differ."),
        ("1234567", "1234567", "must contain at least 8 characters."),
    ] {
        let setup = Setup::bare();
        let mut terminal = adding(&setup, "alice");
        terminal.sees("Password: ");
        terminal.types(first);
        terminal.sees("Once more: ");
        terminal.types(second);

        let (status, shown) = terminal.end();

        assert_eq!(status, 1, "{shown}");
        let refused = "auth_user: cannot add alice: ";
        assert!(shown.contains(refused) && shown.contains(said), "{shown}");
        assert!(shown.contains("auth_user: hint: "), "{shown}");
        assert!(!shown.contains(first) && !shown.contains(second), "{shown}");
        assert!(shown.contains("shows again"), "{shown}");
        assert!(listing(setup.dir()).is_empty());
    }
}

#[test]
fn only_a_yes_removes() {
    let setup = two();
    let before = users(&setup);
    let remove = format!("{PROGRAM} user remove bob");
    let removed = |typed: &str| {
        let mut terminal = Terminal::run(setup.dir(), &remove);
        terminal.sees("Remove the account bob? [y/N] ");
        terminal.types(typed);
        terminal.end()
    };
    for typed in ["n", "", "yeah"] {
        let (status, shown) = removed(typed);
        assert_eq!(status, 1, "{shown}");
        let refused = "auth_user: cannot remove bob: the answer was not yes\r\n";
        assert!(shown.contains(refused), "{shown}");
        assert_eq!(users(&setup), before);
    }
    let (status, shown) = removed("Yes");
    assert_eq!(status, 0, "{shown}");
    assert!(shown.contains("Done.\r\n"), "{shown}");
    assert_eq!(users(&setup)["users"].get("bob"), None);

    let (status, shown) =
        Terminal::run(setup.dir(), &format!("{PROGRAM} user remove alice --yes")).end();
    assert_eq!((status, shown.as_str()), (0, "Done.\r\n"));
}

/// A pipe in the setup's folder that has a name.
fn pipe(dir: &Path) -> PathBuf {
    let path = dir.join("pipe");
    let rights = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rights,
        0,
    )
    .unwrap();
    path
}

#[test]
fn who_waits_for_an_import_sees_how_far_it_is() {
    let setup = two();
    let pipe = pipe(setup.dir());
    let import = format!("cat pipe | {PROGRAM} import csv -");
    let mut terminal = Terminal::run(setup.dir(), &import);
    let mut table = File::options().write(true).open(pipe).unwrap();
    table.write_all(b"username,email\n").unwrap();
    terminal.sees("reading: ...");

    let lock = File::options()
        .write(true)
        .open(setup.dir().join("users.json.lock"));
    let lock = lock.unwrap();
    lock.lock().unwrap();
    table.write_all(b"carol,carol@example.com\n").unwrap();
    drop(table);
    terminal.sees("importing 1 accounts, mails written: 0 of 1");
    lock.unlock().unwrap();

    let (status, shown) = terminal.end();
    assert_eq!(status, 0, "{shown}");
    let (_, after) = shown
        .rsplit_once("\r\u{1b}[K")
        .expect("the line is cleared");
    assert!(
        after.ends_with("line 2: carol\r\n1 accounts imported.\r\n"),
        "{shown}"
    );
}

#[test]
fn who_waits_for_a_backup_sees_how_far_it_is() {
    let setup = two();
    let events = File::create(setup.dir().join("events.jsonl")).unwrap();
    events.set_len(64 << 20).unwrap();
    let pipe = pipe(setup.dir());
    let mut terminal = Terminal::run(setup.dir(), &format!("{PROGRAM} backup - > pipe"));
    let mut tar = File::open(pipe).unwrap();

    // So slowly that it takes longer than nobody is told for.
    let mut piece = vec![0; 64 << 10];
    while !terminal.has(" %") {
        let read = tar.read(&mut piece).unwrap();
        assert!(read > 0, "it went by unseen");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    tar.read_to_end(&mut Vec::new()).unwrap();

    let (status, shown) = terminal.end();
    assert_eq!(status, 0, "{shown}");
    assert!(shown.contains(" bytes backed up."), "{shown}");
}

#[test]
fn a_tar_is_not_written_to_a_terminal() {
    let setup = two();
    let (status, shown) = Terminal::run(setup.dir(), &format!("{PROGRAM} backup -")).end();
    assert_eq!(status, 2, "{shown}");
    assert!(
        shown.starts_with("auth_user: cannot write a tar to a terminal\r\n"),
        "{shown}"
    );
    assert_eq!(shown.lines().count(), 2, "{shown}");
}
