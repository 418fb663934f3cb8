//! A disk that fails, and a program that is killed at any moment, both made by strace.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

pub(crate) mod matrix;
pub(crate) mod operations;
mod order;
pub(crate) mod tracer;
pub(crate) mod world;

use crate::files::failing_disk::tracer::{Fault, Injection, Thread, Tracer};
use crate::harness::{Authenticator, PASSWORD, Server, Setup, Visitor, read, wait_for};

/// A program whose system calls on some paths of its directory are recorded in the file `trace`,
/// and may fail. The tracer is in the background, so that the program is the one that is killed.
fn traced(setup: Setup, paths: &[&str], options: &[&str]) -> Setup {
    let there = Command::new("strace")
        .arg("-V")
        .stdout(Stdio::null())
        .status();
    assert!(there.is_ok(), "these tests need strace; install it");
    // The program makes it at start, which is not what is to be traced here.
    fs::create_dir(setup.dir().join("outbox")).unwrap();
    fs::set_permissions(setup.dir().join("outbox"), Permissions::from_mode(0o700)).unwrap();
    let dir = setup.dir().canonicalize().unwrap();
    let path = |name: &str| {
        dir.join(name)
            .to_str()
            .unwrap()
            .trim_end_matches('/')
            .to_owned()
    };
    let trace = path("trace");
    let mut launcher: Vec<String> = ["strace", "-D", "-f", "--seccomp-bpf", "-y", "-o", &trace]
        .map(str::to_owned)
        .into();
    for name in paths {
        launcher.extend(["-P".to_owned(), path(name)]);
        // As calls name it that begin at the folder.
        if !name.is_empty() && !name.ends_with('/') {
            launcher.extend(["-P".to_owned(), (*name).to_owned()]);
        }
    }
    launcher.extend(options.iter().map(|option| (*option).to_owned()));
    let launcher: Vec<&str> = launcher.iter().map(String::as_str).collect();
    setup.under(&launcher)
}

/// The program with one call of this kind on this path failing, `when` it is made for the first
/// time, or the second.
fn failing(call: &str, error: &str, path: &str, when: usize) -> Setup {
    let trace = format!("trace={call}");
    let inject = format!("inject={call}:error={error}:when={when}");
    traced(Setup::new(), &[path], &["-e", &trace, "-e", &inject])
}

fn register(visitor: &Visitor, name: &str) -> (u16, String) {
    let email = format!("{name}@example.com");
    let form = [
        ("username", name),
        ("email", &email),
        ("password", PASSWORD),
    ];
    let answer = visitor.post("/register", &form);
    let code = answer.json()["code"].as_str().unwrap().to_owned();
    (answer.status, code)
}

fn drafts(setup: &Setup) -> usize {
    fs::read_dir(setup.dir())
        .unwrap()
        .filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_str().unwrap().ends_with(".new")
        })
        .count()
}

#[test]
fn a_disk_that_fails_before_the_new_file_is_in_place_changes_nothing() {
    for (call, error) in [
        ("openat", "ENOSPC"),
        ("write", "ENOSPC"),
        ("write", "EIO"),
        ("fsync", "EIO"),
        ("/^rename", "EIO"),
    ] {
        let what = format!("{call} with {error}");
        let setup = failing(call, error, "users.json.new", 1);
        let before = "{\"version\":1,\"users\":{}}";
        fs::write(setup.dir().join("users.json"), before).unwrap();
        let mut server = setup.start();
        let visitor = Visitor::program(&server);

        let answer = register(&visitor, "alice");

        assert_eq!(answer, (503, "not_saved".to_owned()), "{what}");
        visitor
            .post("/login", &[("username", "alice"), ("password", PASSWORD)])
            .expect("wrong_credentials");
        assert_eq!(read(setup.dir(), "users.json"), before, "{what}");
        assert_eq!(drafts(&setup), 0, "{what}");
        server.wait_for_log("cannot save");
        server.kill();
        let server = setup.under(&[]).start();
        // If it were there, this one could not be made.
        visitor.at(&server).register("alice");
    }
}

#[test]
fn a_directory_that_cannot_be_synced_leaves_memory_and_disk_agreed() {
    let setup = Setup::new();
    let mut server = setup.start();
    let visitor = Visitor::program(&server);
    let login = [("username", "alice"), ("password", PASSWORD)];
    // The first is that of the new file.
    let injection = Injection {
        call: "fsync".to_owned(),
        nth: 2,
        fault: Fault::Error("EIO"),
    };
    let tracer = Tracer::inject(&server, Thread::Store, &injection);

    let answer = register(&visitor, "alice");

    tracer.detach();
    assert_eq!(answer, (503, "not_saved".to_owned()));
    assert!(server.users()["users"]["alice"].is_object());
    visitor.post("/login", &login).expect("enrol_required");
    server.kill();
    let server = setup.start();
    visitor
        .at(&server)
        .post("/login", &login)
        .expect("enrol_required");
}

#[test]
fn a_full_disk_that_has_room_again_goes_on_as_before() {
    let setup = failing("write", "ENOSPC", "users.json.new", 1);
    let server = setup.start();
    let visitor = Visitor::program(&server);
    assert_eq!(register(&visitor, "alice"), (503, "not_saved".to_owned()));

    let answer = register(&visitor, "alice");

    assert_eq!(answer, (201, "registered".to_owned()));
    assert_eq!(server.log().matches("cannot save").count(), 1);
    server.wait_for_log("can be saved again");
}

#[test]
fn a_session_that_cannot_be_saved_is_none() {
    let setup = failing("fsync", "EIO", "sessions.json.new", 2);
    let mut server = setup.start();
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    let other = Visitor::program(&server);
    other
        .post("/login", &[("username", "alice"), ("password", PASSWORD)])
        .expect("code_required");

    let code = authenticator.code();
    let code = [("secret", code.as_str())];
    let answer = other.post("/secret_key", &code);

    assert_eq!(answer.status, 503);
    answer.expect("not_saved");
    assert!(!other.is_logged_in());
    assert!(alice.is_logged_in());
    assert_eq!(drafts(&setup), 0);
    // Nothing is spent: the same login takes the same code.
    other.post("/secret_key", &code).expect("login_complete");
    server.kill();
    let server = setup.under(&[]).start();
    assert!(other.at(&server).is_logged_in());
    assert!(alice.at(&server).is_logged_in());
}

#[test]
fn an_enrolment_whose_session_cannot_be_saved_has_not_been() {
    let setup = failing("fsync", "EIO", "sessions.json.new", 1);
    let server = setup.start();
    let alice = Visitor::program(&server);
    alice.register("alice");
    let answer = alice.post("/login", &[("username", "alice"), ("password", PASSWORD)]);
    let key = answer.json()["secret"].as_str().unwrap().to_owned();

    let code = Authenticator::new(&key).code();
    alice
        .post("/secret_key", &[("secret", &code)])
        .expect("not_saved");

    assert!(server.users()["users"]["alice"]["totp"].is_null());
    alice
        .post("/secret_key", &[("secret", &code)])
        .expect("login_complete");
    assert!(alice.is_logged_in());
}

#[test]
fn a_new_password_whose_session_cannot_be_saved_has_not_been() {
    let setup = failing("fsync", "EIO", "sessions.json.new", 2);
    let server = setup.start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let form = [
        ("current_password", PASSWORD),
        ("new_password", "eight tame horses"),
    ];

    alice.post("/account/password", &form).expect("not_saved");

    assert!(alice.is_logged_in());
    alice
        .post("/login", &[("username", "alice"), ("password", PASSWORD)])
        .expect("code_required");
}

#[test]
fn a_mail_that_cannot_be_written_after_all_takes_its_password_back() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    for (n, (call, error)) in [
        ("openat", "EMFILE"),
        ("fchmod", "EIO"),
        ("write", "ENOSPC"),
        ("fsync", "EIO"),
        ("renameat", "EIO"),
    ]
    .into_iter()
    .enumerate()
    {
        let injection = Injection {
            call: call.to_owned(),
            nth: 1,
            fault: Fault::Error(error),
        };
        let tracer = Tracer::inject(&server, Thread::Errands, &injection);

        alice
            .post("/forgot_password", &[("username", "alice")])
            .expect("new_password_sent");

        wait_for(call, || {
            let failed = server.log().matches("result=\"not_written\"").count();
            (failed == n + 1).then_some(())
        });
        assert!(tracer.detach().contains("(INJECTED)"), "{call}");
        let account = server.users()["users"]["alice"].take();
        assert_eq!(account.get("mails"), None, "{call}");
        assert_eq!(account.get("mailed_passwords"), None, "{call}");
        let left = fs::read_dir(server.path("outbox")).unwrap().count();
        assert_eq!(left, 0, "{call}");
    }

    alice.mailed_password(&server, "alice");
    alice.mailed_password(&server, "alice");
}
