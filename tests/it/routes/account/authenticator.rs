//! Moving to another authenticator.

use crate::harness::{Authenticator, PASSWORD, Server, Visitor};
use crate::routes::first_step;

#[test]
fn the_authenticator_moves_once_the_new_one_is_confirmed() {
    let server = Server::start();
    let (alice, old) = Visitor::with_account(&server, "alice");
    let codes = alice.new_recovery_codes();
    let elsewhere = Visitor::program(&server);
    alice
        .post("/account/totp/confirm", &[("secret", "123456")])
        .expect("no_pending_login");
    let form = [("current_password", PASSWORD), ("secret", &codes[0])];
    let answer = alice.post("/account/totp", &form);
    answer.expect("enrol_required");
    let new = Authenticator::new(answer.json()["secret"].as_str().unwrap());

    alice
        .post("/account/totp/confirm", &[("secret", &old.code())])
        .expect("wrong_code");
    elsewhere.log_in("alice", PASSWORD, &old);
    let confirmed = new.code();
    alice
        .post("/account/totp/confirm", &[("secret", &confirmed)])
        .expect("authenticator_changed");

    old.forget(&server, "alice");
    first_step(&elsewhere, PASSWORD, "code_required");
    elsewhere
        .post("/secret_key", &[("secret", &old.code())])
        .expect("wrong_code");
    elsewhere
        .post("/secret_key", &[("secret", &new.code())])
        .expect("login_complete");
    server.next_mail("Your authenticator was changed");
}

#[test]
fn the_code_that_confirmed_an_authenticator_is_used_up() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let codes = alice.new_recovery_codes();
    let answer = alice.post(
        "/account/totp",
        &[("current_password", PASSWORD), ("secret", &codes[0])],
    );
    let new = Authenticator::new(answer.json()["secret"].as_str().unwrap());
    let confirmed = new.code();
    alice
        .post("/account/totp/confirm", &[("secret", &confirmed)])
        .expect("authenticator_changed");

    first_step(&alice, PASSWORD, "code_required");
    alice
        .post("/secret_key", &[("secret", &confirmed)])
        .expect("wrong_code");
}
