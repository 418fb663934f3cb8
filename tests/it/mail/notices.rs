//! What owners are told by mail of what is done with their accounts.

use crate::harness::place;
use crate::harness::smtp_sink::Sink;
use crate::harness::{Authenticator, PASSWORD, Server, Visitor, wait_for};
use crate::mail::forgot;

#[test]
fn every_change_of_how_one_logs_in_is_told_by_mail() {
    let sink = Sink::start();
    let server = Server::start_with(&["--smtp", &sink.url()]);
    let (alice, old) = Visitor::with_account(&server, "alice");
    let told = |subject| {
        let mail = sink.next();
        assert_eq!(mail.subject(), subject);
        assert_eq!(mail.to, "RCPT TO:<alice@example.com>");
        assert!(!mail.text.contains(PASSWORD));
    };

    let password = ("current_password", PASSWORD);
    alice.new_recovery_codes();
    told("Your recovery codes were replaced");

    let answer = alice.post("/account/totp", &[password, ("secret", &old.code())]);
    let new = Authenticator::new(answer.json()["secret"].as_str().unwrap());
    let answer = alice.post("/account/totp/confirm", &[("secret", &new.code())]);
    answer.expect("authenticator_changed");
    told("Your authenticator was changed");

    let change = [password, ("new_password", "eight tame horses")];
    alice
        .post("/account/password", &change)
        .expect("password_changed");
    told("Your password was changed");

    let confirmed = [
        ("current_password", "eight tame horses"),
        ("secret", &new.code()),
    ];
    alice
        .post("/account/delete", &confirmed)
        .expect("account_deleted");
    told("Your account was deleted");
}

#[test]
fn a_recovery_code_that_is_used_is_told_apart_in_the_log_and_by_mail() {
    let server = Server::start();
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    let codes = alice.new_recovery_codes();
    let used = |left: &str| {
        let mail = server.next_mail("A recovery code was used");
        assert!(mail.contains(&format!("\r\n{left}")), "{mail}");
    };
    let login = |password: &str, code: &str, outcome| {
        let visitor = Visitor::program(&server);
        visitor
            .post("/login", &[("username", "alice"), ("password", password)])
            .expect("code_required");
        visitor
            .post("/secret_key", &[("secret", code)])
            .expect(outcome);
    };
    let logged = |result: &str| {
        server
            .log()
            .matches(&format!("result=\"{result}\""))
            .count()
    };
    let before = logged("login_complete");

    login(PASSWORD, &codes[0], "login_complete");
    used("9 are left");
    assert_eq!(logged("login_by_recovery_code"), 1);
    assert_eq!(logged("login_complete"), before);
    login(PASSWORD, &authenticator.code(), "login_complete");
    assert_eq!(logged("login_by_recovery_code"), 1);
    assert_eq!(logged("login_complete"), before + 1);

    // One that leads to choosing a password, and one that changes something.
    let mailed = alice.mailed_password(&server, "alice");
    login(&mailed, &codes[1], "password_change_required");
    used("8 are left");
    assert_eq!(logged("password_change_required_by_recovery_code"), 1);
    let form = [("current_password", PASSWORD), ("secret", &codes[2])];
    alice.post("/account/totp", &form).expect("enrol_required");
    used("7 are left");

    // The last but one, and the last.
    server.edit_account("alice", |alice| {
        let codes = alice["recovery_codes"].as_array_mut().unwrap();
        codes.truncate(2);
    });
    wait_for("the edit to be taken up", || {
        let left = alice.get("/account").json()["recovery_codes_left"].clone();
        (left == 2).then_some(())
    });
    login(PASSWORD, &codes[3], "login_complete");
    used("1 is left");
    login(PASSWORD, &codes[4], "login_complete");
    used("0 are left");
    login(PASSWORD, &codes[4], "wrong_code");
    let mails = place::mails(server.dir.path());
    let of_codes = |mail: &String| mail.contains("A recovery code was used");
    assert!(!mails.iter().any(of_codes));
}

#[test]
fn a_password_chosen_after_a_mailed_one_is_told_by_mail() {
    let sink = Sink::start();
    let server = Server::start_with(&["--smtp", &sink.url()]);
    let (_, authenticator) = Visitor::with_account(&server, "alice");
    let visitor = Visitor::program(&server);
    forgot(&visitor, "alice");
    let mail = sink.next();
    let login = [("username", "alice"), ("password", mail.new_password())];
    visitor.post("/login", &login).expect("code_required");
    visitor
        .post("/secret_key", &[("secret", &authenticator.code())])
        .expect("password_change_required");

    let answer = visitor.post(
        "/account/password",
        &[("new_password", "eight tame horses")],
    );

    answer.expect("password_changed");
    assert_eq!(sink.next().subject(), "Your password was changed");
}
