//! The whole life of an account.

use crate::harness::{Accept, Authenticator, PASSWORD, Server, Setup, Visitor, wait_for};

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
    let form = [
        ("username", "alice"),
        ("email", "a@example.com"),
        ("password", PASSWORD),
    ];

    let answer = plain.post("/register", &form);

    assert_eq!(
        (answer.status, answer.body.as_str()),
        (201, "User successfully registered.")
    );
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
}

/// Both steps of a login, the second with a recovery code.
#[track_caller]
fn log_in(visitor: &Visitor, name: &str, password: &str, recovery_code: &str) {
    visitor
        .post("/login", &[("username", name), ("password", password)])
        .expect("code_required");
    visitor
        .post("/secret_key", &[("secret", recovery_code)])
        .expect("login_complete");
}

#[track_caller]
fn first_step(visitor: &Visitor, password: &str, code: &str) {
    visitor
        .post("/login", &[("username", "alice"), ("password", password)])
        .expect(code);
}

#[test]
fn the_address_does_instead_of_the_name() {
    let server = Server::start();
    let (_, authenticator) = Visitor::with_account(&server, "alice");
    let visitor = Visitor::program(&server);

    visitor.log_in("ALICE@Example.com", PASSWORD, &authenticator);

    assert_eq!(visitor.get("/account").json()["username"], "alice");
}

#[test]
fn a_name_is_the_same_in_any_case() {
    let server = Server::start();
    let (_, authenticator) = Visitor::with_account(&server, "alice");
    let visitor = Visitor::program(&server);

    visitor
        .post("/login", &[("username", "ALICE"), ("password", PASSWORD)])
        .expect("code_required");
    let form = [
        ("secret", authenticator.code()),
        ("username", "Alice".to_owned()),
    ];
    let form: Vec<_> = form
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    visitor.post("/secret_key", &form).expect("login_complete");

    assert_eq!(visitor.get("/account").json()["username"], "alice");
}

#[test]
fn a_lost_password_is_replaced_by_mail() {
    let server = Server::start();
    let (elsewhere, authenticator) = Visitor::with_account(&server, "alice");
    let visitor = Visitor::program(&server);
    visitor.post("/forgot_password", &[("username", "Alice@EXAMPLE.com")]);
    let mail = server.next_mail("Your new password");
    let line = mail
        .lines()
        .find_map(|line| line.strip_prefix("New password: "));
    let mailed = line.unwrap();
    assert!(mail.contains("To: alice@example.com\r\n"), "{mail}");
    assert!(mail.contains("30 minutes"), "{mail}");
    assert!(mail.contains("If you did not ask for this"), "{mail}");
    assert!(mail.contains(&server.url("/login")), "{mail}");

    first_step(&visitor, mailed, "code_required");
    let answer = visitor.post("/secret_key", &[("secret", &authenticator.code())]);
    answer.expect("password_change_required");
    assert!(!visitor.is_logged_in());
    let answer = visitor.post("/account/password", &[("new_password", "eight tame cows")]);
    answer.expect("password_changed");

    assert!(visitor.is_logged_in());
    assert!(!elsewhere.is_logged_in(), "all other sessions end");
    server.next_mail("Your password was changed");
    let anew = Visitor::program(&server);
    first_step(&anew, PASSWORD, "wrong_credentials");
    anew.log_in("alice", "eight tame cows", &authenticator);
}

#[test]
fn a_mailed_password_leads_to_choosing_a_new_one_and_to_nothing_else() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let codes = alice.new_recovery_codes();
    let thief = Visitor::program(&server);
    let mailed = thief.mailed_password(&server, "alice");
    // Not even to somebody who is logged in: it is nobody's current password.
    for path in [
        "/account/recovery_codes",
        "/account/password",
        "/account/delete",
        "/account/totp",
    ] {
        let form = [
            ("current_password", mailed.as_str()),
            ("new_password", "eight tame cows"),
            ("secret", &codes[0]),
        ];
        alice.post(path, &form).expect("wrong_password");
    }

    let closed = |visitor: &Visitor| {
        assert_eq!(visitor.get("/account").status, 401);
        for path in [
            "/account/recovery_codes",
            "/account/totp",
            "/account/totp/confirm",
            "/account/sessions/end",
            "/account/delete",
        ] {
            let form = [
                ("current_password", mailed.as_str()),
                ("secret", &codes[1]),
                ("session", "others"),
            ];
            visitor.post(path, &form).expect("login_required");
        }
    };
    first_step(&thief, &mailed, "code_required");
    closed(&thief);
    thief
        .post("/account/password", &[("new_password", "eight tame cows")])
        .expect("login_required");
    let before = thief.cookies.borrow()["__Host-login"].clone();
    thief
        .post("/secret_key", &[("secret", &codes[2])])
        .expect("password_change_required");
    closed(&thief);
    assert_eq!(thief.get("/secret_key").status, 401);
    thief
        .post("/secret_key", &[("secret", &codes[3])])
        .expect("no_pending_login");
    assert_ne!(
        thief.cookies.borrow()["__Host-login"],
        before,
        "a new id after the code"
    );
    assert!(!thief.cookies.borrow().contains_key("__Host-session"));
    let page = thief.get("/account/password");
    assert_eq!(page.status, 200);
    assert!(!page.body.contains("current_password"), "{page:?}");

    let again = thief.post("/account/password", &[("new_password", &mailed)]);
    again.expect("password_common");
    let short = thief.post("/account/password", &[("new_password", "1234567")]);
    short.expect("password_too_short");
    let current = [
        ("current_password", mailed.as_str()),
        ("new_password", "eight tame cows"),
    ];
    thief
        .post("/account/password", &current)
        .expect("login_required");
    assert!(alice.is_logged_in(), "nothing has changed yet");

    thief
        .post("/account/password", &[("new_password", "eight tame cows")])
        .expect("password_changed");
    assert!(thief.is_logged_in());
}

#[test]
fn mailed_passwords_work_side_by_side_and_each_of_them_once() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let visitor = Visitor::program(&server);
    let first = alice.mailed_password(&server, "alice");
    let second = alice.mailed_password(&server, "alice");
    assert_ne!(first, second);
    assert!(second.len() >= 22, "128 bits at least: {second}");

    // Whoever asked for the newer one, what the owner holds goes on working.
    first_step(&visitor, &first, "code_required");
    first_step(&visitor, &first, "wrong_credentials");
    first_step(&visitor, &second, "code_required");
    first_step(&visitor, &second, "wrong_credentials");

    first_step(&visitor, PASSWORD, "code_required");
    assert!(alice.is_logged_in(), "asking for one changes nothing");
    let file = std::fs::read_to_string(server.path("users.json")).unwrap();
    assert!(
        !file.contains(&first) && !file.contains(&second),
        "kept hashed"
    );
    assert!(!server.log().contains(&first) && !server.log().contains(&second));
}

#[test]
fn a_mailed_password_is_void_after_a_normal_login_and_after_half_an_hour() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let codes = alice.new_recovery_codes();
    let visitor = Visitor::program(&server);

    let mailed = visitor.mailed_password(&server, "alice");
    log_in(&visitor, "alice", PASSWORD, &codes[0]);
    first_step(&visitor, &mailed, "wrong_credentials");

    let mailed = visitor.mailed_password(&server, "alice");
    let alice = server.users()["users"]["alice"].clone();
    let expires = alice["mailed_passwords"][0]["expires"].clone();
    let mails = alice["mails"].clone();
    let second = |value: &serde_json::Value| {
        let text = value.as_str().unwrap();
        let part = |range: std::ops::Range<usize>| text[range].parse::<u64>().unwrap();
        part(11..13) * 3600 + part(14..16) * 60 + part(17..19)
    };
    let asked = second(&mails.as_array().unwrap().last().unwrap()["at"]);
    assert_eq!(
        (second(&expires) + 24 * 3600 - asked) % (24 * 3600),
        30 * 60
    );
    server.edit_account("alice", |alice| {
        alice["mailed_passwords"][0]["expires"] = "2026-01-01T00:00:00Z".into();
    });
    wait_for("the edit to be taken up", || {
        let answer = visitor.post("/login", &[("username", "alice"), ("password", &mailed)]);
        (answer.json()["code"] == "wrong_credentials").then_some(())
    });
}

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

    let form = [
        ("current_password", PASSWORD),
        ("new_password", "eight tame cows"),
    ];
    alice
        .post("/account/password", &form)
        .expect("password_changed");

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
    let file = std::fs::read_to_string(server.path("users.json")).unwrap();
    assert!(
        new.iter().all(|code| !file.contains(code.as_str())),
        "kept hashed"
    );
}

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
fn a_planted_cookie_is_never_adopted() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let codes = alice.new_recovery_codes();
    let planted = "A".repeat(43);
    let victim = Visitor::program(&server);
    for name in ["__Host-session", "__Host-login", "__Host-device"] {
        victim
            .cookies
            .borrow_mut()
            .insert(name.to_owned(), planted.clone());
    }

    first_step(&victim, PASSWORD, "code_required");
    assert_ne!(victim.cookies.borrow()["__Host-login"], planted);
    victim
        .post("/secret_key", &[("secret", &codes[0])])
        .expect("login_complete");

    assert_ne!(victim.cookies.borrow()["__Host-login"], planted);
    for name in ["__Host-session", "__Host-device"] {
        assert_ne!(victim.cookies.borrow()[name], planted, "{name}");
        assert_eq!(victim.cookies.borrow()[name].len(), 43, "256 bits: {name}");
    }
    // Whoever planted or copied an earlier one has nothing.
    let thief = Visitor::program(&server);
    thief
        .cookies
        .borrow_mut()
        .insert("__Host-session".to_owned(), planted);
    assert!(!thief.is_logged_in());
}

#[test]
fn a_copied_cookie_is_worth_nothing_after_a_logout() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let copied = alice.reading(Accept::Json);

    alice.post("/logout", &[]).expect("logged_out");

    assert!(!copied.is_logged_in());
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

#[test]
fn a_visitor_ends_up_where_he_was_going() {
    let server = Server::start_with(&[
        "--public-url",
        "https://auth.example.com",
        "--cookie-domain",
        "example.com",
    ]);
    let target = "https://app.example.com/reports?year=2026&q=a+b";
    let encoded = "https%3A%2F%2Fapp.example.com%2Freports%3Fyear%3D2026%26q%3Da%2Bb";
    let browser = Visitor::new(&server, Accept::Page);
    browser.reading(Accept::Json).register("alice");
    let old = browser.get(&format!("/?rd={encoded}"));
    assert_eq!(
        old.header("location"),
        Some(format!("/login?rd={encoded}").as_str())
    );
    let login = browser.get(&format!("/login?rd={encoded}"));
    let kept = "name=\"rd\" value=\"https://app.example.com/reports?year=2026&amp;q=a+b\"";
    assert!(login.body.contains(kept), "{login:?}");
    let form = |rd| [("username", "alice"), ("password", PASSWORD), ("rd", rd)];

    // The first time by way of the recovery codes,
    browser.post("/login", &form(target));
    let page = browser.get("/secret_key").body;
    let authenticator = Authenticator::new(&page.split_once("?secret=").unwrap().1[..32]);
    let codes = browser.post("/secret_key", &[("secret", &authenticator.code())]);
    let onward = "href=\"https://app.example.com/reports?year=2026&amp;q=a+b\"";
    assert!(codes.body.contains(onward), "{codes:?}");
    // then straight,
    browser.post("/login", &form(target));
    let done = browser.post("/secret_key", &[("secret", &authenticator.code())]);
    assert_eq!((done.status, done.header("location")), (303, Some(target)));
    // also after a mailed password,
    let mailed = browser.mailed_password(&server, "alice");
    browser.post(
        "/login",
        &[("username", "alice"), ("password", &mailed), ("rd", target)],
    );
    browser.post("/secret_key", &[("secret", &authenticator.code())]);
    let done = browser.post("/account/password", &[("new_password", PASSWORD)]);
    assert_eq!((done.status, done.header("location")), (303, Some(target)));
    // but never to a stranger.
    authenticator.forget(&server, "alice");
    browser.post("/login", &form("https://example.com.evil.test/"));
    let done = browser.post("/secret_key", &[("secret", &authenticator.code())]);
    assert_eq!(
        (done.status, done.header("location")),
        (303, Some("/account"))
    );
}

#[test]
fn a_weak_hash_is_made_strong_at_a_good_login() {
    let setup = Setup::new();
    let weak = "$pbkdf2-sha256$i=1,l=32$c2FsdA$Eg+2z/z4syxD5yJSVsT4N6hlSMkszDVICAWYfLcL4Xs";
    let file = serde_json::json!({
        "version": 1,
        "users": { "alice": { "email": "alice@example.com", "password": weak, "shoe": 38 } }
    });
    std::fs::write(setup.dir().join("users.json"), file.to_string()).unwrap();
    let server = setup.start();
    let visitor = Visitor::program(&server);
    let hash = || {
        server.users()["users"]["alice"]["password"]
            .as_str()
            .unwrap()
            .to_owned()
    };

    first_step(&visitor, "passwort", "wrong_credentials");
    assert_eq!(hash(), weak);
    first_step(&visitor, "password", "enrol_required");

    assert!(
        hash().starts_with("$pbkdf2-sha256$i=600000,l=32$"),
        "{}",
        hash()
    );
    assert_eq!(
        server.users()["users"]["alice"]["shoe"],
        38,
        "what others keep there stays"
    );
    first_step(&visitor, "password", "enrol_required");
}
