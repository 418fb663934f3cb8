//! The whole life of an account.

use crate::harness::{Accept, PASSWORD, Server, Visitor};

#[test]
fn a_visitor_registers_enrols_logs_out_and_logs_in_again() {
    let server = Server::start();
    let (alice, authenticator) = Visitor::with_account(&server, "alice");

    let account = alice.get("/account").json();
    assert_eq!(account["username"], "alice");
    assert_eq!(account["email"], "alice@example.com");
    assert_eq!(account["recovery_codes_left"], 10);

    let out = alice.get("/logout");
    assert_eq!(out.json()["message"], "You have successfully logged out.");
    assert!(!alice.is_logged_in());

    alice.log_in("alice", PASSWORD, &authenticator);
    assert!(alice.is_logged_in());
}

#[test]
fn the_original_texts_are_what_a_plain_client_reads() {
    let server = Server::start();
    let plain = Visitor::new(&server, Accept::Text);
    let form = [("username", "alice"), ("email", "a@example.com"), ("password", PASSWORD)];

    let answer = plain.post("/register", &form);

    assert_eq!((answer.status, answer.body.as_str()), (201, "User successfully registered."));
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
}
