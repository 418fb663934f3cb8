//! The second step of a login: which code counts, how often, and for whom.

use crate::harness::{Accept, Authenticator, PASSWORD, Server, Setup, Visitor};
use crate::routes::first_step;

#[test]
fn a_code_works_once_also_after_a_crash() {
    let setup = Setup::new();
    let mut server = setup.start();
    let (_, authenticator) = Visitor::with_account(&server, "alice");
    let visitor = Visitor::program(&server);
    let enrolled = authenticator.last_code();
    let code = authenticator.code();
    first_step(&visitor, PASSWORD, "code_required");
    visitor
        .post("/secret_key", &[("secret", &code)])
        .expect("login_complete");

    first_step(&visitor, PASSWORD, "code_required");
    visitor
        .post("/secret_key", &[("secret", &code)])
        .expect("wrong_code");
    visitor
        .post("/secret_key", &[("secret", &enrolled)])
        .expect("wrong_code");

    server.kill();
    let server = setup.start();
    let visitor = Visitor::program(&server);
    first_step(&visitor, PASSWORD, "code_required");
    visitor
        .post("/secret_key", &[("secret", &code)])
        .expect("wrong_code");
    visitor
        .post("/secret_key", &[("secret", &authenticator.code())])
        .expect("login_complete");
}

#[test]
fn five_wrong_codes_end_a_login() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let codes = alice.new_recovery_codes();
    // Known from before, so that the account's own count stays out of it.
    first_step(&alice, PASSWORD, "code_required");
    for wrong in [
        "000000",
        "1",
        "abcdefgh",
        "00000000000000000000",
        "aaaa-aaaa-aaaa-aaaa",
    ] {
        alice
            .post("/secret_key", &[("secret", wrong)])
            .expect("wrong_code");
    }

    let sixth = alice.post("/secret_key", &[("secret", &codes[0])]);

    sixth.expect("no_pending_login");
    assert_eq!(alice.get("/account").json()["recovery_codes_left"], 10);
}

#[test]
fn a_login_is_completed_for_nobody_else() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let alices = alice.new_recovery_codes();
    let (bob, _) = Visitor::with_account(&server, "bob");
    let bobs = bob.new_recovery_codes();
    let visitor = Visitor::program(&server);
    first_step(&visitor, PASSWORD, "code_required");

    let other = visitor.post("/secret_key", &[("username", "bob"), ("secret", &bobs[0])]);
    other.expect("bad_field");
    let other = visitor.post(
        "/secret_key",
        &[("username", "bob"), ("secret", &alices[0])],
    );
    other.expect("bad_field");
    visitor
        .post("/secret_key", &[("secret", &bobs[0])])
        .expect("wrong_code");
    assert!(!visitor.is_logged_in());

    let copied = visitor.reading(Accept::Json);
    visitor
        .post(
            "/secret_key",
            &[("username", "alice"), ("secret", &alices[0])],
        )
        .expect("login_complete");
    assert_eq!(visitor.get("/account").json()["username"], "alice");
    copied
        .post("/secret_key", &[("secret", &alices[1])])
        .expect("no_pending_login");
    assert!(!copied.is_logged_in());
    assert_eq!(bob.get("/account").json()["recovery_codes_left"], 10);
}

#[test]
fn an_unconfirmed_key_lives_and_dies_with_its_login() {
    let server = Server::start();
    let (first, second) = (Visitor::program(&server), Visitor::program(&server));
    first.register("alice");
    let key = |visitor: &Visitor| {
        let answer = visitor.post("/login", &[("username", "alice"), ("password", PASSWORD)]);
        answer.expect("enrol_required");
        Authenticator::new(answer.json()["secret"].as_str().unwrap())
    };
    let (firsts, seconds) = (key(&first), key(&second));
    assert_ne!(firsts.at(1), seconds.at(1));

    second
        .post("/secret_key", &[("secret", &firsts.code())])
        .expect("wrong_code");
    second
        .post("/secret_key", &[("secret", &seconds.code())])
        .expect("login_complete");

    first
        .post("/secret_key", &[("secret", &firsts.code())])
        .expect("no_pending_login");
    assert!(!first.is_logged_in());
    first_step(&first, PASSWORD, "code_required");
}
