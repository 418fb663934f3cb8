//! What is counted by account: wrong passwords and wrong codes, in any spelling, from wherever they
//! come.

use crate::harness::{Answer, PASSWORD, Setup, Visitor, from_now, wait_for};
use crate::routes::guessing::limits::{at_once, count, stop_codes, until_throttled};
use crate::routes::guessing::{LOGIN, WRONG, believing, from};

#[test]
fn after_five_failures_an_account_waits_whether_it_exists_or_not() {
    let server = believing(&[]);
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    let from =
        |n: u8| Visitor::program(&server).sending("x-forwarded-for", &format!("192.0.2.{n}"));
    let attempt = |name: &'static str, n: u8| {
        let visitor = from(n);
        move || visitor.post("/login", &[("username", name), ("password", "a wrong one")])
    };

    let known = until_throttled(attempt("alice", 1));
    let unknown = until_throttled(attempt("nobody", 2));
    assert!((5..=7).contains(&known), "{known}");
    assert!((5..=7).contains(&unknown), "{unknown}");

    // After two more that were looked at, the wait is four seconds.
    let right = [("username", "Alice"), ("password", PASSWORD)];
    let stranger = from(1);
    for _ in 0..2 {
        wait_for("the next attempt", || {
            let answer = attempt("alice", 1)();
            (answer.status == 401).then_some(())
        });
    }
    let early = stranger.post("/login", &right);
    assert_eq!(
        early.status, 429,
        "the right password is not looked at: {early:?}"
    );
    // Only the account waits, from there, and not for a browser it knows.
    from(3).post("/login", &right).expect("code_required");
    let other = from(1).post(
        "/login",
        &[("username", "bob"), ("password", "a wrong one")],
    );
    other.expect("wrong_credentials");
    alice.log_in("alice", PASSWORD, &authenticator);
    // A good login clears the account's count.
    stranger.post("/login", &right).expect("code_required");
}

#[test]
fn strangers_with_the_password_do_not_lock_out_a_known_browser() {
    let server = believing(&[]);
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    let stranger = from(&server, "192.0.2.1");
    stranger.post("/login", &[("username", "alice"), ("password", PASSWORD)]);
    for _ in 0..5 {
        stranger
            .post("/secret_key", &[("secret", "000000")])
            .expect("wrong_code");
    }
    // A wait that does not pass by itself, however slow this machine is.
    server.edit_account("alice", |alice| {
        alice["wrong_codes"]["last"] = from_now(50).into();
    });
    let login = [("username", "alice"), ("password", PASSWORD)];
    stranger.post("/login", &login).expect("code_required");
    stranger
        .post("/secret_key", &[("secret", "000000")])
        .expect("throttled");

    alice.post("/login", &login).expect("code_required");
    alice
        .post("/secret_key", &[("secret", &authenticator.code())])
        .expect("login_complete");
}

#[test]
fn wrong_codes_count_over_logins_and_crashes() {
    let setup = Setup::new();
    let mut server = setup.start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let codes = alice.new_recovery_codes();
    for _ in 0..2 {
        let stranger = Visitor::program(&server);
        stranger.post("/login", &LOGIN).expect("code_required");
        stranger
            .post("/secret_key", &[("secret", "000000")])
            .expect("wrong_code");
    }
    server.kill();
    let server = setup.start();
    let stranger = Visitor::program(&server);
    stranger.post("/login", &LOGIN).expect("code_required");
    for _ in 0..3 {
        stranger
            .post("/secret_key", &[("secret", "000000")])
            .expect("wrong_code");
    }
    // A wait that does not pass by itself, however slow this machine is.
    server.edit_account("alice", |alice| {
        alice["wrong_codes"]["last"] = from_now(50).into();
    });

    let early = stranger.post("/secret_key", &[("secret", "000000")]);

    assert_eq!(
        (early.status, early.header("retry-after")),
        (429, Some("1")),
        "{early:?}"
    );
    server.edit_account("alice", |alice| {
        alice["wrong_codes"]["last"] = "2020-01-01T00:00:00Z".into();
    });
    stranger
        .post("/secret_key", &[("secret", &codes[0])])
        .expect("login_complete");
    assert_eq!(
        server.users()["users"]["alice"].get("wrong_codes"),
        None,
        "a login clears them"
    );
}

#[test]
fn guesses_at_once_from_everywhere_in_any_spelling_are_those_of_one_account() {
    let server = believing(&[]);
    Visitor::program(&server).register("alice");
    let spellings = ["alice", "ALICE", "alice@example.com", "Alice@Example.COM"];
    let guess = |n: usize, visitor: &Visitor| {
        let form = [
            ("username", spellings[n % spellings.len()]),
            ("password", "a wrong one"),
        ];
        visitor.post("/login", &form)
    };
    // Six networks come to 24 of the 30 that are free.
    for n in 0..24 {
        let network = from(&server, &format!("192.0.2.{}", n % 6));
        guess(n, &network).expect("wrong_credentials");
    }
    let beginnings = ["198.51.100.", "2001:db8:", "::ffff:203.0.113."];
    let crowd: Vec<Visitor> = (0..26)
        .map(|n| {
            let end = if n % 3 == 1 { "::1" } else { "" };
            from(&server, &format!("{}{n}{end}", beginnings[n % 3]))
        })
        .collect();

    let answers = at_once(crowd, |n, visitor| guess(n, &visitor));

    assert_eq!(count(&answers, "wrong_credentials"), 6);
    assert_eq!(count(&answers, "throttled"), 20);
}

#[test]
fn guesses_at_once_at_an_address_nobody_has_are_five_in_any_spelling() {
    let server = believing(&[]);
    let nobody = ["nobody@b\u{fc}cher.example", "NOBODY@xn--bcher-kva.example"];
    let crowd = (0..20).map(|_| from(&server, "192.0.2.1")).collect();

    let answers = at_once(crowd, |n, visitor| {
        let form = [("username", nobody[n % 2]), ("password", "a wrong one")];
        visitor.post("/login", &form)
    });

    // One more for every wait that passes meanwhile: after 1, 2 and 4 seconds.
    let looked_at = count(&answers, "wrong_credentials");
    assert!((5..=8).contains(&looked_at), "{looked_at}");
    assert_eq!(looked_at + count(&answers, "throttled"), 20);
}

#[test]
fn fifty_codes_at_once_over_many_logins_are_five() {
    let server = believing(&[]);
    Visitor::with_account(&server, "alice");
    let logins: Vec<Visitor> = (0..10)
        .map(|n| {
            let visitor = from(&server, &format!("192.0.2.{n}"));
            visitor.post("/login", &LOGIN).expect("code_required");
            visitor
        })
        .collect();
    let visitors: Vec<Visitor> = (0..50)
        .map(|n| logins[n % 10].sending("x-forwarded-for", &format!("198.51.100.{n}")))
        .collect();

    let answers = at_once(visitors, |_, visitor| {
        visitor.post("/secret_key", &[("secret", "000000")])
    });

    let looked_at = count(&answers, "wrong_code");
    assert!((5..=8).contains(&looked_at), "{looked_at}");
    assert_eq!(
        server.users()["users"]["alice"]["wrong_codes"]["count"],
        looked_at
    );
    stop_codes(&server, "alice");
    logins[9]
        .post("/secret_key", &[("secret", "000000")])
        .expect("throttled");
}

#[test]
fn an_attempt_made_too_early_is_not_looked_at_and_does_not_count() {
    let server = believing(&[]);
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    let codes = alice.new_recovery_codes();
    let stranger = from(&server, "192.0.2.1");
    stranger.post("/login", &LOGIN).expect("code_required");
    stop_codes(&server, "alice");
    let before = server.users();

    // More than a login has, and more than an address.
    let mut answers: Vec<Answer> = (0..25)
        .map(|_| stranger.post("/secret_key", &[("secret", "000000")]))
        .collect();
    answers.push(stranger.post("/secret_key", &[("secret", &authenticator.code())]));

    for answer in &answers {
        answer.expect("throttled");
        assert_eq!(answer.body, answers[0].body, "right and wrong alike");
        assert_eq!(answer.header("retry-after"), Some("1"));
        let message = "Too many attempts. Try again in 1 seconds.";
        assert_eq!(answer.json()["message"], message);
    }
    assert_eq!(server.users(), before);
    server.edit_account("alice", |alice| {
        alice["wrong_codes"]["last"] = "2020-01-01T00:00:00Z".into();
    });
    stranger
        .post("/secret_key", &[("secret", &codes[0])])
        .expect("login_complete");
}

#[test]
fn a_device_cookie_is_worth_nothing_for_another_account() {
    let server = believing(&[]);
    Visitor::with_account(&server, "alice");
    let (mallory, _) = Visitor::with_account(&server, "mallory");
    let guess = || mallory.post("/login", &WRONG);
    let looked_at = until_throttled(guess);
    assert!((5..=7).contains(&looked_at), "{looked_at}");
    wait_for("the account's wait to pass", || {
        let answer = mallory.post("/login", &LOGIN);
        (answer.status == 200).then_some(())
    });
    stop_codes(&server, "alice");

    let early = mallory.post("/secret_key", &[("secret", "000000")]);

    early.expect("throttled");
}

#[test]
fn a_login_to_ones_own_account_buys_no_guesses_through_anothers_browser() {
    let server = believing(&[]);
    let (alice, _) = Visitor::with_account(&server, "alice");
    let (mallory, authenticator) = Visitor::with_account(&server, "mallory");
    let stolen = alice.cookies.borrow()["__Host-device"].clone();
    let steal = || {
        let mut cookies = mallory.cookies.borrow_mut();
        cookies.insert("__Host-device".to_owned(), stolen.clone());
    };
    steal();
    let looked_at = until_throttled(|| mallory.post("/login", &WRONG));
    assert!((5..=7).contains(&looked_at), "{looked_at}");

    mallory.log_in("mallory", PASSWORD, &authenticator);

    steal();
    let looked_at = until_throttled(|| mallory.post("/login", &WRONG));
    assert!(looked_at <= 3, "{looked_at}");
}

#[test]
fn the_routes_of_an_account_share_its_budget_of_passwords() {
    let server = believing(&[]);
    let (alice, _) = Visitor::with_account(&server, "alice");
    // Whoever has the session only.
    alice.cookies.borrow_mut().remove("__Host-device");
    let form = [
        ("current_password", "a wrong one"),
        ("new_password", "eight tame cows"),
        ("secret", "000000"),
        ("email", "new@example.com"),
    ];
    let paths = [
        "/account/email",
        "/account/password",
        "/account/recovery_codes",
        "/account/totp",
        "/account/delete",
    ];
    let mut looked_at = 0;

    let early = loop {
        let answer = alice.post(paths[looked_at % 5], &form);
        if answer.status == 429 {
            break answer;
        }
        answer.expect("wrong_password");
        looked_at += 1;
    };

    assert!((5..=7).contains(&looked_at), "{early:?}");
    let stranger = Visitor::program(&server);
    let looked_at = until_throttled(|| stranger.post("/login", &WRONG));
    assert!(looked_at <= 3, "{looked_at}");
}

#[test]
fn the_routes_of_an_account_share_its_budget_of_codes() {
    let server = believing(&[]);
    let (alice, _) = Visitor::with_account(&server, "alice");
    alice.cookies.borrow_mut().remove("__Host-device");
    let stranger = Visitor::program(&server);
    stranger.post("/login", &LOGIN).expect("code_required");
    let form = |secret| [("current_password", PASSWORD), ("secret", secret)];
    for path in ["/account/totp", "/account/delete", "/account/totp"] {
        alice.post(path, &form("000000")).expect("wrong_code");
    }
    for _ in 0..2 {
        stranger
            .post("/secret_key", &[("secret", "000000")])
            .expect("wrong_code");
    }
    assert_eq!(server.users()["users"]["alice"]["wrong_codes"]["count"], 5);
    stop_codes(&server, "alice");

    let early = [
        alice.post("/account/totp", &form("000000")),
        alice.post("/account/delete", &form("000000")),
        stranger.post("/secret_key", &[("secret", "000000")]),
    ];

    for answer in early {
        answer.expect("throttled");
    }
    assert_eq!(alice.get("/account").json()["recovery_codes_left"], 10);
}
