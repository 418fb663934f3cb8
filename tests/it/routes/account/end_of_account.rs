//! An account that is deleted, or disabled by the operator.

use crate::harness::{PASSWORD, Server, Visitor, wait_for};
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
