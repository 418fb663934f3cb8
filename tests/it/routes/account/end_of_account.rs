//! An account that is deleted, or disabled by the operator.

use crate::harness::{PASSWORD, Server, Setup, Visitor, from_now, wait_for};
use crate::routes::{first_step, log_in};

#[test]
fn a_deleted_account_is_gone_and_its_name_is_free() {
    let server = Server::start();
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    let codes = alice.new_recovery_codes();
    let elsewhere = Visitor::program(&server);
    log_in(&elsewhere, "alice", PASSWORD, &codes[0]);
    let wrong = [("current_password", PASSWORD), ("secret", "000000")];
    alice.post("/account/delete", &wrong).expect("wrong_code");

    let form = [
        ("current_password", PASSWORD),
        ("secret", &authenticator.code()),
    ];
    let answer = alice.post("/account/delete", &form);

    answer.expect("account_deleted");
    assert_eq!(answer.header("clear-site-data"), Some("\"storage\""));
    assert!(!elsewhere.is_logged_in());
    first_step(&Visitor::program(&server), PASSWORD, "wrong_credentials");
    server.next_mail("Your account was deleted");
    Visitor::program(&server).register("alice");
    first_step(&alice, PASSWORD, "enrol_required");
    assert!(!elsewhere.is_logged_in());
}

#[test]
fn a_disabled_account_is_out_at_once_and_cannot_come_back() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let codes = alice.new_recovery_codes();
    let pending = Visitor::program(&server);
    first_step(&pending, PASSWORD, "code_required");

    server.edit_account("alice", |alice| alice["disabled"] = true.into());

    wait_for("the edit to be taken up", || {
        (!alice.is_logged_in()).then_some(())
    });
    first_step(&Visitor::program(&server), PASSWORD, "wrong_credentials");
    pending
        .post("/secret_key", &[("secret", &codes[0])])
        .expect("no_pending_login");
    let asked = pending.post("/forgot_password", &[("username", "alice")]);
    asked.expect("new_password_sent");
    server.wait_for_log("user=\"alice\" result=\"disabled\"");
    assert_eq!(
        server.users()["users"]["alice"].get("mailed_passwords"),
        None
    );
    let taken = [
        ("username", "alice"),
        ("email", "new@example.com"),
        ("password", PASSWORD),
    ];
    pending.post("/register", &taken).expect("user_exists");
}

#[test]
fn the_name_of_an_account_that_was_used_is_held_for_180_days_and_its_address_is_free() {
    let setup = Setup::new().with(&["--registrations-per-hour", "0"]);
    let server = setup.start();
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    server.edit_account("alice", |alice| {
        alice["created"] = "2026-01-02T00:00:00Z".into();
    });
    wait_for("the edit to be taken up", || {
        let shown = alice.get("/account").json()["created"].clone();
        (shown == "2026-01-02T00:00:00Z").then_some(())
    });
    let form = [
        ("current_password", PASSWORD),
        ("secret", &authenticator.code()),
    ];
    alice
        .post("/account/delete", &form)
        .expect("account_deleted");
    let register = |server: &Server, name: &str| {
        let form = [
            ("username", name),
            ("email", "alice@example.com"),
            ("password", PASSWORD),
        ];
        Visitor::program(server).post("/register", &form)
    };

    register(&server, "Alice").expect("user_exists");
    drop(server);
    let server = setup.start();
    register(&server, "alice").expect("user_exists");
    register(&server, "alice2").expect("registered");
    // The link to confirm an address is saved after the answer, and would undo an edit meanwhile.
    wait_for("the link to be mailed", || {
        let log = server.log();
        let mut lines = log.lines();
        lines
            .any(|line| line.contains("\"confirmation\"") && line.contains("\"alice2\""))
            .then_some(())
    });

    // An operator who frees the name in the file, or 180 days, give it back.
    server.edit("users.json", |users| {
        assert!(users["former"]["alice"].is_string(), "{users}");
        users["former"]["alice"] = from_now(-180 * 24 * 3600 - 60).into();
    });
    let form = [
        ("username", "alice"),
        ("email", "new@example.com"),
        ("password", PASSWORD),
    ];
    wait_for("the name to be free", || {
        let answer = Visitor::program(&server).post("/register", &form);
        (answer.status == 201).then_some(())
    });
}

#[test]
fn the_name_of_an_account_taken_out_of_the_file_is_held_and_the_operator_can_give_it() {
    of_one_machine!("an account is taken out of users.json by hand");
    let server = Server::start_with(&["--registrations-per-hour", "0"]);
    Visitor::with_account(&server, "alice");
    server.edit_account("alice", |alice| {
        alice["created"] = "2026-01-02T00:00:00Z".into();
    });
    let mut users = server.users();
    let taken_out = users["users"].as_object_mut().unwrap().remove("alice");
    server.wait_for_log("took up a changed users file");
    std::fs::write(server.path("users.json"), users.to_string()).unwrap();
    wait_for("the name to be held", || {
        server.users()["former"]["alice"].is_string().then_some(())
    });
    let form = [
        ("username", "alice"),
        ("email", "new@example.com"),
        ("password", PASSWORD),
    ];
    let stranger = Visitor::program(&server);
    stranger.post("/register", &form).expect("user_exists");

    let mut users = server.users();
    users["users"]["alice"] = taken_out.unwrap();
    std::fs::write(server.path("users.json"), users.to_string()).unwrap();
    wait_for("the account to be back", || {
        let form = [("username", "alice"), ("password", PASSWORD)];
        let answer = stranger.post("/login", &form);
        (answer.status == 200).then_some(())
    });
}
