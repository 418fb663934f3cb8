//! Double clicks, reloads and retries: the second of two same forms gets the answer of the first,
//! and nothing is done twice, revived, or given to anybody else.
//!
//! What has been answered is remembered by the node that did so: the others may refuse.

use std::thread;

use crate::harness::{Accept, Answer, Authenticator, PASSWORD, Server, Visitor};

const FORM: &str = "0123456789abcdef-_AZ";

/// The same browser as it was before an answer changed its cookies.
fn as_before(visitor: &Visitor) -> Visitor {
    visitor.reading(Accept::Json)
}

fn password_step(visitor: &Visitor) {
    let login = [("username", "alice"), ("password", PASSWORD)];
    visitor.post("/login", &login).expect("code_required");
}

/// A form sent by two copies of a browser at once.
fn twice_at_once(visitor: &Visitor, path: &str, form: &[(&str, &str)]) -> [Answer; 2] {
    let one = as_before(visitor);
    let other = as_before(visitor);
    thread::scope(|scope| {
        let first = scope.spawn(move || one.post(path, form));
        let second = scope.spawn(move || other.post(path, form));
        [first.join().unwrap(), second.join().unwrap()]
    })
}

fn cookie<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    let set = answer.cookie(name)?;
    set.split(';').next()
}

#[test]
fn a_code_sent_again_is_answered_as_the_first_time_in_each_form() {
    let server = Server::start_alone();
    let (_, authenticator) = Visitor::with_account(&server, "alice");
    let browser = Visitor::program(&server);
    password_step(&browser);
    let before = as_before(&browser);
    let code = authenticator.code();
    let typed = format!(" {}\u{2013}{}", &code[..3], &code[3..]);

    let first = before
        .reading(Accept::Json)
        .post("/secret_key", &[("secret", &code)]);
    first.expect("login_complete");

    for form in [Accept::Json, Accept::Text, Accept::Page] {
        for secret in [&code, &typed] {
            let again = before
                .reading(form)
                .post("/secret_key", &[("secret", secret)]);
            for name in ["__Host-session", "__Host-device", "__Host-login"] {
                assert_eq!(cookie(&again, name), cookie(&first, name), "{name}");
            }
            match form {
                Accept::Json => again.expect("login_complete"),
                Accept::Text => assert_eq!(again.body, "Login completed successfully."),
                Accept::Page => assert_eq!(
                    (again.status, again.header("location")),
                    (303, Some("/account"))
                ),
            }
        }
    }
    let pending = first.cookie("__Host-login").unwrap();
    assert!(pending.ends_with("; Max-Age=60"), "{pending}");
    let sessions = Visitor::program(&server);
    sessions.cookies.replace(before.cookies.borrow().clone());
    sessions
        .post("/secret_key", &[("secret", &code)])
        .expect("login_complete");
    let listed = sessions.get("/account").json()["sessions"]
        .as_array()
        .unwrap()
        .len();
    assert_eq!(listed, 2, "that of the enrolment, and one");
    assert!(server.log().contains("result=\"repeated\""));
}

#[test]
fn two_that_come_at_once_get_one_answer() {
    let server = Server::start_alone();
    let (_, authenticator) = Visitor::with_account(&server, "alice");
    let browser = Visitor::program(&server);
    password_step(&browser);
    let code = authenticator.code();

    let [one, other] = twice_at_once(&browser, "/secret_key", &[("secret", &code)]);
    one.expect("login_complete");
    other.expect("login_complete");
    assert_eq!(
        cookie(&one, "__Host-session"),
        cookie(&other, "__Host-session")
    );

    let form = [
        ("username", "bob"),
        ("email", "bob@example.com"),
        ("password", PASSWORD),
        ("form", FORM),
    ];
    for answer in twice_at_once(&browser, "/register", &form) {
        assert_eq!(answer.status, 201);
    }
    // Enrolment: the same ten codes.
    let login = [("username", "bob"), ("password", PASSWORD), ("form", FORM)];
    let begun = twice_at_once(&browser, "/login", &login);
    let key = begun[0].json()["secret"].as_str().unwrap().to_owned();
    assert_eq!(begun[1].json()["secret"], key.as_str());
    let bob = Visitor::program(&server);
    bob.post("/login", &login).expect("enrol_required");
    let code = Authenticator::new(&key).code();
    let [one, other] = twice_at_once(&bob, "/secret_key", &[("secret", &code)]);
    assert_eq!(one.recovery_codes(), other.recovery_codes());
    assert_eq!(one.recovery_codes().len(), 10);
}

#[test]
fn only_what_succeeded_is_repeated() {
    let server = Server::start_alone();
    let (_, authenticator) = Visitor::with_account(&server, "alice");
    let browser = Visitor::program(&server);
    password_step(&browser);
    for _ in 0..2 {
        let wrong = browser.post("/secret_key", &[("secret", "000000")]);
        wrong.expect("wrong_code");
    }
    assert_eq!(server.users()["users"]["alice"]["wrong_codes"]["count"], 2);
    let taken = [
        ("username", "alice"),
        ("email", "other@example.com"),
        ("password", PASSWORD),
        ("form", FORM),
    ];
    for _ in 0..2 {
        browser.post("/register", &taken).expect("user_exists");
    }
    let code = authenticator.code();
    browser
        .post("/secret_key", &[("secret", &code)])
        .expect("login_complete");
}

#[test]
fn another_browser_another_value_and_another_form_get_nothing() {
    let server = Server::start_alone();
    let (_, authenticator) = Visitor::with_account(&server, "alice");
    let browser = Visitor::program(&server);
    password_step(&browser);
    let other = Visitor::program(&server);
    password_step(&other);
    let before = as_before(&browser);
    let code = authenticator.code();
    browser
        .post("/secret_key", &[("secret", &code)])
        .expect("login_complete");

    other
        .post("/secret_key", &[("secret", &code)])
        .expect("wrong_code");
    let nobody = Visitor::program(&server);
    nobody
        .post("/secret_key", &[("secret", &code)])
        .expect("no_pending_login");
    before
        .post("/secret_key", &[("secret", "123456")])
        .expect("no_pending_login");
    before
        .sending("origin", "https://evil.test")
        .post("/secret_key", &[("secret", &code)])
        .expect("cross_site");
    assert!(
        before.get("/secret_key").status == 401,
        "the cookie opens nothing else"
    );
    assert_eq!(before.get("/account").status, 401);

    let register = |name: &str, form: &str| {
        let email = format!("{name}@example.com");
        let fields = [
            ("username", name),
            ("email", &email),
            ("password", PASSWORD),
            ("form", form),
        ];
        nobody.post("/register", &fields)
    };
    register("bob", FORM).expect("registered");
    register("bob", FORM).expect("registered");
    register("bob", "another-page-0123").expect("user_exists");
    register("carol", FORM).expect("registered");
    for bad in [
        "",
        "short",
        &"x".repeat(65),
        "no blanks in here",
        "0123456789abcdef=",
    ] {
        let refused = register("dora", bad);
        assert_eq!(
            (refused.status, &refused.json()["field"]),
            (400, &"form".into()),
            "{bad}"
        );
    }
    assert!(server.users()["users"]["dora"].is_null());
}

#[test]
fn what_has_ended_since_is_not_revived() {
    let server = Server::start_alone();
    let (_, authenticator) = Visitor::with_account(&server, "alice");
    let browser = Visitor::program(&server);
    let log_in = || {
        authenticator.forget(&server, "alice");
        password_step(&browser);
        let before = as_before(&browser);
        let code = authenticator.code();
        browser
            .post("/secret_key", &[("secret", &code)])
            .expect("login_complete");
        move || before.post("/secret_key", &[("secret", &code)])
    };

    let again = log_in();
    again().expect("login_complete");
    browser.post("/logout", &[]).expect("logged_out");
    again().expect("no_pending_login");

    let again = log_in();
    let end = [("session", "others")];
    let other = Visitor::program(&server);
    other.log_in("alice", PASSWORD, &authenticator);
    other
        .post("/account/sessions/end", &end)
        .expect("sessions_ended");
    again().expect("no_pending_login");

    let again = log_in();
    server.edit_account("alice", |alice| alice["disabled"] = true.into());
    crate::harness::wait_for("the edit to be taken up", || {
        (other.get("/account").status == 401).then_some(())
    });
    again().expect("no_pending_login");
}

#[test]
fn an_account_that_is_gone_is_not_said_to_have_been_made_just_now() {
    let server = Server::start_alone();
    let bob = Visitor::program(&server);
    let form = [
        ("username", "bob"),
        ("email", "bob@example.com"),
        ("password", PASSWORD),
        ("form", FORM),
    ];
    for _ in 0..2 {
        bob.post("/register", &form).expect("registered");
        assert!(!server.users()["users"]["bob"].is_null());
        let login = [("username", "bob"), ("password", PASSWORD)];
        let begun = bob.post("/login", &login);
        let phone = Authenticator::new(begun.json()["secret"].as_str().unwrap());
        let codes = bob.post("/secret_key", &[("secret", &phone.code())]);
        let code = &codes.recovery_codes()[0];
        let delete = [("current_password", PASSWORD), ("secret", code)];
        bob.post("/account/delete", &delete)
            .expect("account_deleted");
    }
}

#[test]
fn the_password_after_a_mailed_one_and_a_new_one_are_chosen_once() {
    let server = Server::start_alone();
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    let mailed = alice.mailed_password(&server, "alice");
    let browser = Visitor::program(&server);
    // A mailed password works once; sent twice by one page it does not fail.
    let login = [
        ("username", "alice"),
        ("password", &*mailed),
        ("form", FORM),
    ];
    for _ in 0..2 {
        browser.post("/login", &login).expect("code_required");
    }
    let code = [("secret", &*authenticator.code())];
    let first = as_before(&browser).post("/secret_key", &code);
    first.expect("password_change_required");
    let second = browser.post("/secret_key", &code);
    assert_eq!(
        cookie(&first, "__Host-login"),
        cookie(&second, "__Host-login")
    );
    // A reload brings the cookie that the answer has set.
    browser
        .post("/secret_key", &code)
        .expect("password_change_required");

    let chosen = [("new_password", "eight tame cows")];
    let [one, other] = twice_at_once(&browser, "/account/password", &chosen);
    one.expect("password_changed");
    assert_eq!(
        cookie(&one, "__Host-session"),
        cookie(&other, "__Host-session")
    );
    server.next_mail("Your password was changed");
    let before = as_before(&browser);
    browser
        .post("/account/password", &chosen)
        .expect("password_changed");
    assert!(browser.is_logged_in() && !before.is_logged_in());

    let change = [
        ("current_password", "eight tame cows"),
        ("new_password", "nine sad goats"),
    ];
    let [one, other] = twice_at_once(&browser, "/account/password", &change);
    one.expect("password_changed");
    assert_eq!(
        cookie(&one, "__Host-session"),
        cookie(&other, "__Host-session")
    );
    let undone = [
        ("current_password", "eight tame cows"),
        ("new_password", "ten wise owls"),
    ];
    let refused = browser.post("/account/password", &undone);
    refused.expect("login_required");
}

#[test]
fn acts_of_an_account_are_done_once() {
    let server = Server::start_alone();
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    let send = |path: &str, secret: &str| {
        let form = [("current_password", PASSWORD), ("secret", secret)];
        let [one, other] = twice_at_once(&alice, path, &form);
        assert_eq!(one.body, other.body, "{path}");
        one
    };

    let codes = send("/account/recovery_codes", &authenticator.code());
    codes.expect("recovery_codes");
    let codes = codes.recovery_codes();
    let moving = send("/account/totp", &codes[0]);
    moving.expect("enrol_required");
    let phone = Authenticator::new(moving.json()["secret"].as_str().unwrap());
    let confirm = [("secret", &*phone.code())];
    for answer in twice_at_once(&alice, "/account/totp/confirm", &confirm) {
        answer.expect("authenticator_changed");
    }
    // The key is not shown again once it is confirmed.
    let begin = [("current_password", PASSWORD), ("secret", &*codes[0])];
    assert_ne!(
        alice.post("/account/totp", &begin).json()["code"],
        "enrol_required"
    );
    phone.forget(&server, "alice");
    send("/account/delete", &phone.code()).expect("account_deleted");
    server.next_mail("Your account was deleted");
}

#[test]
fn one_page_asks_for_one_mail() {
    let server = Server::start_alone();
    let visitor = Visitor::program(&server);
    visitor.register("alice");
    let ask = |form: &str| {
        let fields = [("username", "alice"), ("form", form)];
        visitor
            .post("/forgot_password", &fields)
            .expect("new_password_sent");
    };
    for _ in 0..3 {
        ask(FORM);
    }
    server.next_mail("Your new password");
    ask("another-page-0123");
    server.next_mail("Your new password");
    assert_eq!(
        server.users()["users"]["alice"]["mailed_passwords"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn a_page_that_is_shown_again_goes_on_with_its_field() {
    let server = Server::start_alone();
    let _ = Visitor::with_account(&server, "alice");
    let browser = Visitor::new(&server, Accept::Page);
    let field = format!("<input type=\"hidden\" name=\"form\" value=\"{FORM}\">");
    for (path, fields) in [
        ("/login", [("username", "alice"), ("password", "wrong")]),
        ("/login", [("username", "alice"), ("password", "")]),
        (
            "/register",
            [("username", "alice"), ("email", "no address")],
        ),
        ("/register", [("username", "alice"), ("password", "short")]),
        ("/forgot_password", [("username", ""), ("rd", "")]),
    ] {
        let fields = [&fields[..], &[("form", FORM)]].concat();
        let again = browser.post(path, &fields);
        assert!(again.status >= 400, "{path}");
        assert!(again.body.contains(&field), "{path}: {}", again.body);
        let page = browser.get(match path {
            "/register" => "/",
            path => path,
        });
        let (_, form) = page.body.split_once("name=\"form\" value=\"").unwrap();
        assert!(!form.starts_with(FORM), "another in every page");
        assert!(form.find('"').is_some_and(|length| length == 43), "{form}");
    }
    let unknown = [("username", "nobod"), ("password", "wrong")];
    let bare = browser.post("/login", &unknown);
    assert!(!bare.body.contains("name=\"form\""), "it would differ");
}

#[test]
fn ones_own_session_is_ended_twice_and_the_others_each_time() {
    let server = Server::start_alone();
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    let others = [("session", "others")];
    for _ in 0..2 {
        authenticator.forget(&server, "alice");
        let other = Visitor::program(&server);
        other.log_in("alice", PASSWORD, &authenticator);
        let ended = alice.post("/account/sessions/end", &others);
        ended.expect("sessions_ended");
        assert!(!other.is_logged_in());
    }
    let own = alice.get("/account").json()["sessions"][0]["id"].clone();
    let own = [("session", own.as_str().unwrap())];
    let before = as_before(&alice);
    alice
        .post("/account/sessions/end", &own)
        .expect("sessions_ended");
    before
        .post("/account/sessions/end", &own)
        .expect("sessions_ended");
    assert!(!before.is_logged_in());
}

#[test]
fn programs_with_a_field_of_that_name_go_on_where_it_is_no_part_of_the_form() {
    let server = Server::start_alone();
    let _ = Visitor::with_account(&server, "alice");
    for value in ["", "login", "a b c"] {
        let program = Visitor::program(&server);
        let login = [
            ("username", "alice"),
            ("password", PASSWORD),
            ("form", value),
        ];
        program.post("/login", &login).expect("code_required");
        let ask = [("username", "nobody"), ("form", value)];
        program
            .post("/forgot_password", &ask)
            .expect("new_password_sent");
    }
}
