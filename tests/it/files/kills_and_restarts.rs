//! What is left after the program has ended, by itself or by force.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use rustix::process::Signal;

use crate::harness::{Authenticator, PASSWORD, PATIENCE, Server, Setup, Visitor, wait_for};

/// What is in the directory, each with its permission bits.
fn names_and_modes(dir: &Path) -> Vec<(String, u32)> {
    let mut found: Vec<(String, u32)> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode() & 0o7777;
            (entry.file_name().into_string().unwrap(), mode)
        })
        .collect();
    found.sort();
    found
}

/// Registers one account after the other until the server is gone; returns those that were
/// answered 201.
fn register_until_killed(visitor: &Visitor, prefix: &str, answered: &Mutex<Vec<String>>) {
    for n in 0.. {
        let name = format!("{prefix}{n}");
        let email = format!("{name}@example.com");
        let form = [
            ("username", name.as_str()),
            ("email", &email),
            ("password", PASSWORD),
        ];
        match visitor.try_post("/register", &form) {
            Some(201) => answered.lock().unwrap().push(name),
            Some(status) => panic!("{name} was answered {status}"),
            None => return,
        }
    }
}

/// Returns in the middle of a save, as likely as not.
fn await_save(dir: &Path) {
    let draft = dir.join("users.json.new");
    let begun = Instant::now();
    while !draft.exists() {
        assert!(begun.elapsed() < PATIENCE, "nothing is saved");
        thread::yield_now();
    }
}

#[test]
fn every_account_that_was_answered_survives_a_kill() {
    let setup = Setup::new().with(&["--registrations-per-hour", "0"]);
    let answered = Mutex::new(Vec::new());
    for round in 0..3 {
        let mut server = setup.start();
        thread::scope(|scope| {
            for worker in ["a", "b", "c", "d"] {
                let visitor = Visitor::program(&server);
                let prefix = format!("{worker}{round}.");
                let answered = &answered;
                scope.spawn(move || register_until_killed(&visitor, &prefix, answered));
            }
            let enough = 4 * (round + 1);
            wait_for("a few registrations", || {
                (answered.lock().unwrap().len() >= enough).then_some(())
            });
            await_save(setup.dir());
            server.kill();
        });
    }

    let server = setup.start();

    let users = server.users();
    let visitor = Visitor::program(&server);
    for name in answered.into_inner().unwrap() {
        assert!(users["users"][&name].is_object(), "{name} is lost");
        visitor
            .post("/login", &[("username", &name), ("password", PASSWORD)])
            .expect("enrol_required");
    }
    visitor.register("next");
    let drafts = names_and_modes(setup.dir());
    assert!(
        drafts.iter().all(|(name, _)| !name.ends_with(".new")),
        "{drafts:?}"
    );
}

#[test]
fn only_the_owner_may_read_what_the_program_makes_whatever_the_umask() {
    for umask in ["000", "777"] {
        let set = format!("umask {umask}; exec \"$@\"");
        let setup = Setup::new().under(&["sh", "-c", &set, "sh"]);
        fs::write(setup.dir().join("log"), "").unwrap();
        fs::set_permissions(
            setup.dir().join("server.crt"),
            Permissions::from_mode(0o644),
        )
        .unwrap();
        fs::set_permissions(setup.dir().join("log"), Permissions::from_mode(0o644)).unwrap();
        let server = setup.start();

        Visitor::with_account(&server, "alice");

        let expected = [
            ("log", 0o644),
            ("outbox", 0o700),
            ("server.crt", 0o644),
            ("server.key", 0o600),
            ("sessions.json", 0o600),
            ("sessions.json.lock", 0o600),
            ("users.json", 0o600),
            ("users.json.lock", 0o600),
        ];
        let expected = expected.map(|(name, mode)| (name.to_owned(), mode));
        assert_eq!(names_and_modes(setup.dir()), expected, "umask {umask}");
    }
}

/// Started in a checkout, the program leaves keys and accounts there that nobody should publish.
#[test]
fn nothing_the_program_makes_in_a_checkout_is_taken_up_by_git() {
    let setup = Setup::bare();
    let ignored = fs::read_to_string(".gitignore").unwrap();
    fs::write(setup.dir().join(".gitignore"), ignored).unwrap();
    let git = |arguments: &[&str]| -> String {
        let mut git = Command::new("git");
        let out = git
            .args(arguments)
            .current_dir(setup.dir())
            .output()
            .unwrap();
        assert!(out.status.success(), "{out:?}");
        String::from_utf8(out.stdout).unwrap()
    };
    git(&["init", "--quiet"]);
    let server = setup.start();
    Visitor::with_account(&server, "alice");
    // What waits for an operator, stays where it is killed, or finds a file damaged.
    for name in [
        "outbox/1.eml",
        ".server.crt.draft",
        ".server.key.draft",
        "users.json.new",
        "sessions.json.new",
        "sessions.json.damaged",
        "sessions.json.damaged.1",
    ] {
        fs::write(server.path(name), "").unwrap();
    }

    let taken = git(&["status", "--porcelain", "--untracked-files=all"]);

    // The log is the test's own.
    let taken: Vec<&str> = taken
        .lines()
        .filter(|line| !line.ends_with(" log"))
        .collect();
    assert_eq!(taken, ["?? .gitignore"]);
}

/// Alice is logged in, carol has logged out and has used codes; then `end` ends the program, and it
/// is started again.
fn who_is_logged_in_after(end: impl FnOnce(&mut Server)) {
    let setup = Setup::new();
    let mut server = setup.start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let carol = Visitor::program(&server);
    carol.register("carol");
    let login = [("username", "carol"), ("password", PASSWORD)];
    let answer = carol.post("/login", &login);
    let authenticator = Authenticator::new(answer.json()["secret"].as_str().unwrap());
    let code = authenticator.code();
    let answer = carol.post("/secret_key", &[("secret", &code)]);
    let recovery_codes = answer.recovery_codes();
    let old_cookies = carol.cookies.borrow().clone();
    carol.get("/logout").expect("logged_out");
    carol.post("/login", &login).expect("code_required");
    carol
        .post("/secret_key", &[("secret", &recovery_codes[0])])
        .expect("login_complete");
    carol.get("/logout").expect("logged_out");

    end(&mut server);
    let server = setup.start();

    assert!(alice.at(&server).is_logged_in());
    let carol = carol.at(&server);
    carol.cookies.replace(old_cookies);
    assert!(!carol.is_logged_in());
    carol.post("/login", &login).expect("code_required");
    for used in [&code, &recovery_codes[0]] {
        carol
            .post("/secret_key", &[("secret", used)])
            .expect("wrong_code");
    }
    carol
        .post("/secret_key", &[("secret", &authenticator.code())])
        .expect("login_complete");
}

#[test]
fn a_kill_logs_nobody_out_and_no_one_back_in() {
    who_is_logged_in_after(Server::kill);
}

#[test]
fn a_clean_stop_logs_nobody_out_and_no_one_back_in() {
    who_is_logged_in_after(|server| {
        server.signal(Signal::TERM);
        assert_eq!(server.wait().code(), Some(0));
    });
}

#[test]
fn a_mailed_password_that_was_used_stays_used_after_a_kill() {
    let setup = Setup::new();
    let mut server = setup.start();
    let visitor = Visitor::program(&server);
    visitor.register("alice");
    visitor
        .post("/forgot_password", &[("username", "alice")])
        .expect("new_password_sent");
    let mail = wait_for("the mail", || {
        let entry = fs::read_dir(server.path("outbox"))
            .unwrap()
            .next()?
            .unwrap();
        let name = entry.file_name().into_string().unwrap();
        name.ends_with(".eml")
            .then(|| fs::read_to_string(entry.path()).unwrap())
    });
    let password = mail
        .lines()
        .find_map(|line| line.strip_prefix("New password: "))
        .unwrap();
    let login = [("username", "alice"), ("password", password)];
    visitor.post("/login", &login).expect("enrol_required");

    server.kill();
    let server = setup.start();

    let visitor = visitor.at(&server);
    visitor.post("/login", &login).expect("wrong_credentials");
    visitor
        .post("/login", &[("username", "alice"), ("password", PASSWORD)])
        .expect("enrol_required");
}
