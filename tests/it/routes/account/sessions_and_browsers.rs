//! Sessions that are ended, browsers that are known, and what ends or forgets them.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Accept, Authenticator, PASSWORD, Server, Setup, Visitor};
use crate::routes::account::{NEW, sessions};
use crate::routes::{first_step, log_in};

#[test]
fn a_changed_password_ends_all_other_sessions() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let codes = alice.new_recovery_codes();
    let elsewhere = Visitor::program(&server);
    log_in(&elsewhere, "alice", PASSWORD, &codes[0]);
    let pending = Visitor::program(&server);
    first_step(&pending, PASSWORD, "code_required");
    let copied = alice.reading(Accept::Json);

    alice.change_password("eight tame cows");

    assert!(alice.is_logged_in());
    assert!(!copied.is_logged_in(), "the session has a new id");
    assert!(!elsewhere.is_logged_in());
    pending
        .post("/secret_key", &[("secret", &codes[1])])
        .expect("no_pending_login");
    first_step(&elsewhere, PASSWORD, "wrong_credentials");
    log_in(&elsewhere, "alice", "eight tame cows", &codes[2]);
    server.next_mail("Your password was changed");
}

#[test]
fn sessions_are_ended_one_by_one_or_all_others() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let codes = alice.new_recovery_codes();
    let (bob, _) = Visitor::with_account(&server, "bob");
    let others: Vec<Visitor> = (0..3)
        .map(|n| {
            let visitor = Visitor::program(&server).sending("user-agent", &format!("browser {n}"));
            log_in(&visitor, "alice", PASSWORD, &codes[n]);
            visitor
        })
        .collect();
    let sessions = alice.get("/account").json()["sessions"].clone();
    let sessions = sessions.as_array().unwrap();
    assert_eq!(sessions.len(), 4);
    let id_of = |agent: &str| {
        let found = sessions
            .iter()
            .find(|session| session["agent"] == agent)
            .unwrap();
        found["id"].as_str().unwrap().to_owned()
    };

    let first = id_of("browser 0");
    bob.post("/account/sessions/end", &[("session", &first)])
        .expect("sessions_ended");
    assert!(others[0].is_logged_in(), "nobody ends another's session");
    alice
        .post("/account/sessions/end", &[("session", &first)])
        .expect("sessions_ended");
    assert!(!others[0].is_logged_in());
    assert!(others[1].is_logged_in());

    alice
        .post("/account/sessions/end", &[("session", "others")])
        .expect("sessions_ended");
    assert!(!others[1].is_logged_in() && !others[2].is_logged_in());
    assert!(alice.is_logged_in() && bob.is_logged_in());

    let own = alice.get("/account").json()["sessions"][0]["id"].clone();
    let form = [("session", own.as_str().unwrap())];
    alice
        .post("/account/sessions/end", &form)
        .expect("sessions_ended");
    assert!(!alice.is_logged_in());
}

#[test]
fn asking_by_head_is_no_use_of_a_session() {
    let server = Server::start();
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    let observer = Visitor::program(&server);
    observer.log_in("alice", PASSWORD, &authenticator);
    // The list counts in seconds.
    std::thread::sleep(Duration::from_millis(1100));

    for path in [
        "/",
        "/login",
        "/logout",
        "/account",
        "/account/password",
        "/secret_key",
    ] {
        alice.ask("HEAD", path);
    }

    let sessions = observer.get("/account").json()["sessions"].clone();
    let other = sessions
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["current"] == false);
    let other = other.unwrap();
    assert_eq!(other["last_seen"], other["created"]);
}

/// What the account page lists: whether it is this browser, and what it says it is.
fn browsers(visitor: &Visitor) -> Vec<(bool, String)> {
    let account = visitor.get("/account").json();
    let browsers = account["browsers"].as_array().unwrap().iter();
    let shown = |browser: &Value| {
        let agent = browser["agent"].as_str().unwrap().to_owned();
        (browser["current"].as_bool().unwrap(), agent)
    };
    browsers.map(shown).collect()
}

/// One account in three browsers, the one asked first logged in first.
fn in_three_browsers(server: &Server) -> ([Visitor; 3], Authenticator) {
    let first = Visitor::program(server).sending("user-agent", "first");
    first.register("alice");
    let authenticator = first.enrol("alice");
    let later = ["second", "third"].map(|agent| {
        let visitor = Visitor::program(server).sending("user-agent", agent);
        visitor.log_in("alice", PASSWORD, &authenticator);
        visitor
    });
    let [second, third] = later;
    ([first, second, third], authenticator)
}

#[test]
fn known_browsers_are_listed_and_others_forgotten_with_their_sessions() {
    let server = Server::start();
    let ([first, second, third], _) = in_three_browsers(&server);
    let listed = browsers(&first);
    let expected = [(false, "third"), (false, "second"), (true, "first")];
    assert_eq!(
        listed,
        expected.map(|(current, agent)| (current, agent.to_owned()))
    );
    let pending = Visitor::program(&server);
    let login = [("username", "alice"), ("password", PASSWORD)];
    pending.post("/login", &login).expect("code_required");

    second
        .post("/account/sessions/end", &[("session", "others")])
        .expect("sessions_ended");

    assert_eq!(browsers(&second), [(true, "second".to_owned())]);
    assert_eq!(sessions(&second), 1);
    assert!(!first.is_logged_in() && !third.is_logged_in());
    pending
        .post("/secret_key", &[("secret", "000000")])
        .expect("no_pending_login");
}

#[test]
fn a_new_password_forgets_all_browsers_but_the_one_that_chose_it() {
    let server = Server::start();
    let ([first, second, third], _) = in_three_browsers(&server);

    second.change_password(NEW);

    assert_eq!(browsers(&second), [(true, "second".to_owned())]);
    assert!(!first.is_logged_in() && !third.is_logged_in());
}

#[test]
fn a_new_authenticator_forgets_all_browsers_and_ends_no_session() {
    let server = Server::start();
    let ([first, second, _], _) = in_three_browsers(&server);
    let codes = first.new_recovery_codes();
    let form = [("current_password", PASSWORD), ("secret", &codes[0])];
    let key = first.post("/account/totp", &form).json()["secret"].take();
    let new = Authenticator::new(key.as_str().unwrap());

    first
        .post("/account/totp/confirm", &[("secret", &new.code())])
        .expect("authenticator_changed");

    assert_eq!(browsers(&first), []);
    assert!(second.is_logged_in());
}

#[test]
fn ended_sessions_stay_ended_whatever_the_file_of_sessions_says() {
    of_one_machine!("what an earlier sessions.json says");
    let setup = Setup::new().with(&["--no-tls"]);
    let mut server = setup.start();
    let ([first, second, _], authenticator) = in_three_browsers(&server);
    let before = fs::read(server.path("sessions.json")).unwrap();
    let put_back = |server: &mut Server| {
        server.kill();
        fs::write(server.path("sessions.json"), &before).unwrap();
        *server = setup.start();
    };

    first
        .post("/account/sessions/end", &[("session", "others")])
        .expect("sessions_ended");
    put_back(&mut server);
    assert!(first.at(&server).is_logged_in());
    assert!(!second.at(&server).is_logged_in());

    let first = first.at(&server);
    authenticator.forget(&server, "alice");
    let code = authenticator.code();
    let form = [("current_password", PASSWORD), ("secret", &code)];
    first
        .post("/account/delete", &form)
        .expect("account_deleted");
    let again = Visitor::program(&server);
    again.register("alice");
    put_back(&mut server);
    assert!(!first.at(&server).is_logged_in());
    assert!(!second.at(&server).is_logged_in());
}
