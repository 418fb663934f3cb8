//! Recovery codes: made anew, and used up.

use serde_json::json;

use crate::harness::{PASSWORD, Server, Visitor};
use crate::routes::account::NEW;
use crate::routes::{first_step, log_in};

#[test]
fn new_recovery_codes_want_a_code_beside_the_password() {
    let server = Server::start_alone();
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    let kept = || server.users()["users"]["alice"]["recovery_codes"].take();
    let renew = |form: &[(&str, &str)]| alice.post("/account/recovery_codes", form);
    let password = ("current_password", PASSWORD);
    let before = kept();

    let answer = renew(&[password]);
    assert_eq!(
        (answer.status, &answer.json()["field"]),
        (400, &json!("secret"))
    );
    let used = authenticator.last_code();
    for wrong in ["000000", "aaaa-aaaa-aaaa-aaaa", &used] {
        renew(&[password, ("secret", wrong)]).expect("wrong_code");
    }
    let code = authenticator.code();
    renew(&[("current_password", NEW), ("secret", &code)]).expect("wrong_password");
    assert_eq!(kept(), before);

    let answer = renew(&[password, ("secret", &code)]);
    answer.expect("recovery_codes");
    let old = answer.recovery_codes();
    let answer = renew(&[password, ("secret", &old[0])]);
    answer.expect("recovery_codes");
    assert_eq!(answer.recovery_codes().len(), 10);
    for used in [&code, &old[1]] {
        renew(&[password, ("secret", used)]).expect("wrong_code");
    }
}

#[test]
fn a_recovery_code_logs_in_once_and_new_ones_kill_the_old() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let old = alice.new_recovery_codes();
    let visitor = Visitor::program(&server);
    let unique: std::collections::BTreeSet<_> = old.iter().collect();
    assert_eq!(unique.len(), 10);

    log_in(&visitor, "alice", PASSWORD, &old[0]);
    assert_eq!(visitor.get("/account").json()["recovery_codes_left"], 9);
    // As people type what they have on paper.
    log_in(
        &visitor,
        "alice",
        PASSWORD,
        &old[1].to_uppercase().replace('-', " "),
    );

    first_step(&visitor, PASSWORD, "code_required");
    visitor
        .post("/secret_key", &[("secret", &old[0])])
        .expect("wrong_code");
    let new = alice.new_recovery_codes();
    assert_eq!(alice.get("/account").json()["recovery_codes_left"], 10);
    visitor
        .post("/secret_key", &[("secret", &old[2])])
        .expect("wrong_code");
    visitor
        .post("/secret_key", &[("secret", &new[2])])
        .expect("login_complete");
    let file = server.kept("users.json");
    assert!(
        new.iter().all(|code| !file.contains(code.as_str())),
        "kept hashed"
    );
}
