//! Accounts without an e-mail address, as they come from other systems.

use serde_json::{Value, json};

use crate::harness::{Accept, PASSWORD, Server, Visitor, wait_for};
use crate::routes::confirm::{SUBJECT, confirm, token};

/// Alice, whose address an operator has taken out of the file.
fn alice(server: &Server) -> Visitor {
    let (alice, _) = Visitor::with_account(server, "alice");
    server.edit_account("alice", |account| account["email"] = Value::Null);
    wait_for("the edit", || {
        alice.get("/account").json()["email"]
            .is_null()
            .then_some(())
    });
    alice
}

#[test]
fn the_account_is_told_without_one_and_its_page_offers_to_set_one() {
    let server = Server::start();
    let alice = alice(&server);
    let told = alice.get("/account").json();
    assert_eq!(told["email_proven"], false);
    let page = alice.reading(Accept::Page).get("/account");
    assert!(page.body.contains("Your account has no e-mail address"));
    assert!(!page.body.contains("Send the link again"));
    assert!(page.body.contains("action=\"/account/email\""));
    let again = alice.post("/account/email/confirmation", &[]);
    assert_eq!(
        (again.status, again.json()["code"].clone()),
        (409, json!("no_address"))
    );

    let new = [("email", "new@example.com"), ("current_password", PASSWORD)];
    alice
        .post("/account/email", &new)
        .expect("confirmation_sent");
    let mail = server.next_mail(SUBJECT);
    confirm(&alice, &token(&server, &mail)).expect("email_confirmed");
    assert_eq!(alice.get("/account").json()["email"], "new@example.com");
}

#[test]
fn applications_are_told_a_dash_and_recovery_answers_as_ever_and_mails_nothing() {
    let server = Server::start_with(&["--trusted-proxy", "127.0.0.1"]);
    let alice = alice(&server);
    let asking = alice
        .sending("x-forwarded-method", "GET")
        .sending("x-forwarded-proto", "https")
        .sending("x-forwarded-host", "localhost")
        .sending("x-forwarded-uri", "/");
    let answer = asking.get("/api/authz/forward-auth");
    assert_eq!(answer.header("remote-user"), Some("alice"));
    assert_eq!(answer.header("remote-email"), Some("-"));

    let stranger = Visitor::program(&server);
    for name in ["alice", "nobody"] {
        let asked = stranger.post("/forgot_password", &[("username", name)]);
        asked.expect("new_password_sent");
    }
    server.wait_for_log("event=\"new_password\" user=\"alice\" result=\"no_address\"");
    // By name, and by nothing else.
    let login = [("username", "alice"), ("password", PASSWORD)];
    stranger.post("/login", &login).expect("code_required");
    let by_old = [("username", "alice@example.com"), ("password", PASSWORD)];
    stranger.post("/login", &by_old).expect("wrong_credentials");
    // The notice of a change is not mailed, and the change is made.
    alice.change_password("another long one");
    server.wait_for_log("what=\"password_changed\" result=\"no_address\"");
}
