//! Every step out of its order: cookies in each other's place, steps left out or done twice, and
//! accounts that change between two steps.

use std::sync::Barrier;
use std::thread;

use serde_json::Value;

use crate::harness::{Accept, Answer, Authenticator, FORMS, PASSWORD, Server, Visitor, wait_for};

const LOGIN: [(&str, &str); 2] = [("username", "alice"), ("password", PASSWORD)];

/// Everything that wants a session wants one of this visitor.
#[track_caller]
fn has_no_session(visitor: &Visitor) {
    let browser = visitor.reading(Accept::Page);
    for path in ["/account", "/account/password"] {
        assert_eq!(browser.get(path).status, 303, "{path}");
    }
    let page = browser.get("/login").body;
    assert!(
        page.contains("name=\"password\""),
        "asked to log in: {page}"
    );
    let form = [
        ("current_password", PASSWORD),
        ("new_password", "eight tame cows"),
        ("secret", "123456"),
        ("session", "others"),
    ];
    let of_an_account = FORMS.iter().filter(|path| path.starts_with("/account/"));
    for path in of_an_account {
        visitor.post(path, &form).expect("login_required");
    }
}

fn with_cookie(server: &Server, name: &str, value: &str) -> Visitor {
    let visitor = Visitor::program(server);
    visitor
        .cookies
        .borrow_mut()
        .insert(name.to_owned(), value.to_owned());
    visitor
}

#[test]
fn no_cookie_stands_in_for_another() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let codes = alice.new_recovery_codes();
    let pending = Visitor::program(&server);
    pending.post("/login", &LOGIN).expect("code_required");
    let cookie = |visitor: &Visitor, name: &str| visitor.cookies.borrow()[name].clone();
    let session = cookie(&alice, "__Host-session");
    let device = cookie(&alice, "__Host-device");
    let login = cookie(&pending, "__Host-login");

    for value in [&login, &device] {
        has_no_session(&with_cookie(&server, "__Host-session", value));
    }
    has_no_session(&pending);
    for value in [&session, &device, &String::new()] {
        let visitor = with_cookie(&server, "__Host-login", value);
        let code = [("secret", codes[0].as_str())];
        visitor
            .post("/secret_key", &code)
            .expect("no_pending_login");
        assert_eq!(visitor.get("/secret_key").status, 401);
    }
    alice
        .post("/secret_key", &[("secret", &codes[0])])
        .expect("no_pending_login");
}

#[test]
fn two_cookies_of_one_name_are_none_and_a_logout_ends_both() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let codes = alice.new_recovery_codes();
    let (mallory, _) = Visitor::with_account(&server, "mallory");
    let pending = Visitor::program(&server);
    pending.post("/login", &LOGIN).expect("code_required");
    let cookie = |visitor: &Visitor, name: &str| visitor.cookies.borrow()[name].clone();
    let own = cookie(&alice, "__Host-session");
    let planted = cookie(&mallory, "__Host-session");
    let login = cookie(&pending, "__Host-login");
    let sending = |cookies: &str| Visitor::program(&server).sending("cookie", cookies);

    for pair in [[&own, &planted], [&planted, &own], [&own, &own]] {
        let [first, second] = pair;
        let both = format!("__Host-session={first}; __Host-session={second}");
        assert_eq!(sending(&both).get("/account").status, 401);
    }
    let both = format!("__Host-login={login}; __Host-login={planted}");
    sending(&both)
        .post("/secret_key", &[("secret", &codes[0])])
        .expect("no_pending_login");
    assert!(alice.is_logged_in());
    let both = format!("__Host-session={own}; __Host-session={planted}");
    sending(&both).post("/logout", &[]).expect("logged_out");

    assert!(
        !alice.is_logged_in(),
        "what was planted keeps nothing alive"
    );
}

#[test]
fn a_mailed_password_used_by_many_at_once_works_for_one() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let mailed = alice.mailed_password(&server, "alice");
    let together = Barrier::new(5);
    let attempt = || {
        let visitor = Visitor::program(&server);
        together.wait();
        let answer = visitor.post("/login", &[("username", "alice"), ("password", &mailed)]);
        answer.json()["code"].as_str().unwrap().to_owned()
    };

    let codes: Vec<String> = thread::scope(|scope| {
        let threads: Vec<_> = (0..5).map(|_| scope.spawn(attempt)).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });

    let count = |code: &str| codes.iter().filter(|given| *given == code).count();
    assert_eq!(
        (count("code_required"), count("wrong_credentials")),
        (1, 4),
        "{codes:?}"
    );
}

#[test]
fn an_enrolment_confirmed_by_two_logins_at_once_is_one_of_them() {
    let server = Server::start();
    Visitor::program(&server).register("alice");
    let begin = || {
        let visitor = Visitor::program(&server);
        let answer = visitor.post("/login", &LOGIN);
        answer.expect("enrol_required");
        let key = answer.json()["secret"].as_str().unwrap().to_owned();
        let authenticator = Authenticator::new(&key);
        (visitor, key, authenticator.code())
    };
    let logins = [begin(), begin()];
    let together = Barrier::new(2);

    let confirm = |(visitor, key, code): (Visitor, String, String)| {
        together.wait();
        (key, visitor.post("/secret_key", &[("secret", &code)]))
    };
    let confirm = &confirm;

    let answers: Vec<(String, Answer)> = thread::scope(|scope| {
        let threads = logins.map(|login| scope.spawn(move || confirm(login)));
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });

    for (key, answer) in &answers {
        let enrolled = &server.users()["users"]["alice"]["totp"]["secret"];
        assert_eq!(answer.status == 200, *enrolled == *key, "{answer:?}");
    }
    let mut codes: Vec<Value> = answers
        .iter()
        .map(|(_, a)| a.json()["code"].clone())
        .collect();
    codes.sort_by_key(ToString::to_string);
    assert_eq!(codes, ["login_complete", "no_pending_login"]);
}

#[test]
fn an_authenticator_is_moved_by_the_session_that_began_it() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let codes = alice.new_recovery_codes();
    let elsewhere = Visitor::program(&server);
    elsewhere.post("/login", &LOGIN).expect("code_required");
    elsewhere
        .post("/secret_key", &[("secret", &codes[0])])
        .expect("login_complete");
    let form = [("current_password", PASSWORD), ("secret", &codes[1])];
    let begun = alice.post("/account/totp", &form);
    let new = Authenticator::new(begun.json()["secret"].as_str().unwrap());
    let code = [("secret", new.code())];
    let code = [(code[0].0, code[0].1.as_str())];

    let other = elsewhere.post("/account/totp/confirm", &code);

    other.expect("no_pending_login");
    alice
        .post("/account/totp/confirm", &code)
        .expect("authenticator_changed");
    let later = [("secret", "000000")];
    alice
        .post("/account/totp/confirm", &later)
        .expect("no_pending_login");
}

/// Rewrites users.json as an operator would, and waits until the server says so.
fn edit(server: &Server, what: impl FnOnce(&mut Value), seen: impl Fn() -> bool) {
    let mut users = server.users();
    what(&mut users["users"]);
    std::fs::write(server.path("edited"), users.to_string()).unwrap();
    std::fs::rename(server.path("edited"), server.path("users.json")).unwrap();
    wait_for("the edit to be taken up", || seen().then_some(()));
}

/// A password's hash: `password`, in one round.
const OTHER: &str = "$pbkdf2-sha256$i=1,l=32$c2FsdA$Eg+2z/z4syxD5yJSVsT4N6hlSMkszDVICAWYfLcL4Xs";

#[test]
fn a_login_begun_for_an_account_is_worth_nothing_for_the_next_of_its_name() {
    of_one_machine!("users.json is edited by hand");
    let server = Server::start();
    let (bob, _) = Visitor::with_account(&server, "bob");
    let thief = Visitor::program(&server);
    thief.register("alice");
    let answer = thief.post("/login", &LOGIN);
    let authenticator = Authenticator::new(answer.json()["secret"].as_str().unwrap());

    edit(
        &server,
        |users| {
            users["alice"]["password"] = OTHER.into();
            users["bob"]["disabled"] = true.into();
        },
        || !bob.is_logged_in(),
    );

    thief
        .post("/secret_key", &[("secret", &authenticator.code())])
        .expect("no_pending_login");
    let alice = &server.users()["users"]["alice"];
    assert_eq!(alice.get("totp"), None, "nobody's phone is enrolled");
}

#[test]
fn a_choice_of_a_password_ends_with_its_account() {
    of_one_machine!("users.json is edited by hand");
    for change in [
        |users: &mut Value| users["alice"]["disabled"] = true.into(),
        |users: &mut Value| users["alice"]["password"] = OTHER.into(),
        |users: &mut Value| drop(users.as_object_mut().unwrap().remove("alice")),
    ] {
        let server = Server::start();
        let (alice, _) = Visitor::with_account(&server, "alice");
        let (bob, _) = Visitor::with_account(&server, "bob");
        let codes = alice.new_recovery_codes();
        let visitor = Visitor::program(&server);
        let mailed = visitor.mailed_password(&server, "alice");
        visitor.post("/login", &[("username", "alice"), ("password", &mailed)]);
        visitor
            .post("/secret_key", &[("secret", &codes[0])])
            .expect("password_change_required");

        edit(
            &server,
            |users| {
                change(users);
                users["bob"]["disabled"] = true.into();
            },
            || !bob.is_logged_in(),
        );

        visitor
            .post("/account/password", &[("new_password", "eight tame cows")])
            .expect("no_pending_login");
        assert!(!visitor.is_logged_in());
    }
}

#[test]
fn a_session_does_not_follow_a_name_to_another_account() {
    of_one_machine!("users.json is edited by hand");
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    Visitor::program(&server).register("bob");
    server.edit_account("bob", |bob| bob["created"] = "2026-01-01T00:00:00Z".into());
    let bob = Visitor::program(&server);
    bob.enrol("bob");
    assert!(alice.is_logged_in() && bob.is_logged_in());

    edit(
        &server,
        |users| {
            let users = users.as_object_mut().unwrap();
            let (alice, mut bob) = (users.remove("alice").unwrap(), users.remove("bob").unwrap());
            bob["email"] = "bob@example.com".into();
            users.insert("alicia".to_owned(), alice);
            users.insert("alice".to_owned(), bob);
        },
        || !bob.is_logged_in(),
    );

    has_no_session(&alice);
    has_no_session(&bob);
}
