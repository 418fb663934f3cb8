//! What is left after the program has ended, by itself or by force.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use rustix::process::Signal;

use crate::harness::directory::names_and_modes;
use crate::harness::smtp_sink::new_password;
use crate::harness::{Authenticator, PASSWORD, PATIENCE, Server, Setup, Visitor, wait_for};

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
    let login = [("username", "alice"), ("password", new_password(&mail))];
    visitor.post("/login", &login).expect("enrol_required");

    server.kill();
    let server = setup.start();

    let visitor = visitor.at(&server);
    visitor.post("/login", &login).expect("wrong_credentials");
    visitor
        .post("/login", &[("username", "alice"), ("password", PASSWORD)])
        .expect("enrol_required");
}
