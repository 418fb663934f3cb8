//! The box on the log-in page: who ticks it stays logged in when the browser is closed.

use crate::harness::{Accept, Answer, PASSWORD, Server, Setup, Visitor};
use crate::routes::first_step;

const MONTH: u64 = 30 * 24 * 60 * 60;

const BOX: &str = "<input type=\"checkbox\" name=\"remember\" value=\"1\"";

/// The `Max-Age` of the session's cookie, if it has one.
fn max_age(answer: &Answer) -> Option<u64> {
    let set = answer
        .headers
        .iter()
        .find(|(name, value)| name == "set-cookie" && value.starts_with("__Host-session="));
    let set = &set.unwrap_or_else(|| panic!("{answer:?}")).1;
    let age = set
        .split("; ")
        .find_map(|part| part.strip_prefix("Max-Age="));
    age.map(|age| age.parse().unwrap())
}

fn log_in(visitor: &Visitor, remember: &[(&str, &str)], code: &str) -> Answer {
    let mut form = vec![("username", "alice"), ("password", PASSWORD)];
    form.extend(remember);
    visitor.post("/login", &form).expect("code_required");
    let answer = visitor.post("/secret_key", &[("secret", code)]);
    answer.expect("login_complete");
    answer
}

fn remembered(visitor: &Visitor) -> bool {
    let account = visitor.get("/account").json();
    let sessions = account["sessions"].as_array().unwrap().clone();
    let own = sessions.iter().find(|own| own["current"] == true).unwrap();
    own["remembered"].as_bool().unwrap()
}

#[test]
fn who_ticks_the_box_stays_logged_in_and_nobody_else() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    assert!(!remembered(&alice));
    let codes = alice.new_recovery_codes();
    let visitor = Visitor::program(&server);

    for (form, code) in [(&[][..], &codes[0]), (&[("remember", "")], &codes[1])] {
        assert_eq!(max_age(&log_in(&visitor, form, code)), None);
        assert!(!remembered(&visitor));
    }
    let answer = log_in(&visitor, &[("remember", "1")], &codes[2]);
    assert!((MONTH - 5..=MONTH).contains(&max_age(&answer).unwrap()));
    assert!(remembered(&visitor));
    let page = visitor.reading(Accept::Page).get("/account").body;
    assert!(
        page.contains(", stays logged in until <time datetime=\""),
        "{page}"
    );

    for odd in ["0", "yes", "11"] {
        let form = [
            ("username", "alice"),
            ("password", PASSWORD),
            ("remember", odd),
        ];
        let refused = visitor.post("/login", &form);
        assert_eq!(refused.status, 400);
        refused.expect("bad_field");
        assert!(
            refused.json()["message"]
                .as_str()
                .unwrap()
                .contains("remember")
        );
    }
}

#[test]
fn the_box_is_kept_as_it_was_after_a_wrong_password() {
    let server = Server::start();
    Visitor::program(&server).register("alice");
    let page = Visitor::new(&server, Accept::Page);
    let shown = page.get("/login").body;
    let input = |page: &str| {
        let at = page.find(BOX).unwrap_or_else(|| panic!("{page}"));
        page[at..].split('>').next().unwrap().to_owned()
    };
    assert!(!input(&shown).contains("checked"));
    assert!(shown.contains("For 30 days."));
    for (sent, ticked) in [(&[][..], false), (&[("remember", "1")], true)] {
        let mut form = vec![("username", "alice"), ("password", "wrong wrong")];
        form.extend(sent);
        let again = page.post("/login", &form).body;
        assert_eq!(input(&again).contains("checked"), ticked, "{again}");
    }
}

#[test]
fn staying_is_kept_over_an_enrolment_a_mailed_password_and_a_changed_one() {
    let server = Server::start();
    let alice = Visitor::program(&server);
    alice.register("alice");
    let form = [
        ("username", "alice"),
        ("password", PASSWORD),
        ("remember", "1"),
    ];
    let begun = alice.post("/login", &form);
    begun.expect("enrol_required");
    let authenticator =
        crate::harness::Authenticator::new(begun.json()["secret"].as_str().unwrap());
    let entered = alice.post("/secret_key", &[("secret", &authenticator.code())]);
    entered.expect("login_complete");
    assert!(max_age(&entered).is_some());

    let form = [
        ("current_password", PASSWORD),
        ("new_password", "eight tame cows"),
    ];
    let changed = alice.post("/account/password", &form);
    changed.expect("password_changed");
    assert!(max_age(&changed).is_some_and(|age| age <= MONTH));
    assert!(remembered(&alice));

    let mailed = alice.mailed_password(&server, "alice");
    let visitor = Visitor::program(&server);
    let form = [
        ("username", "alice"),
        ("password", mailed.as_str()),
        ("remember", "1"),
    ];
    visitor.post("/login", &form).expect("code_required");
    let code = [("secret", authenticator.code())];
    let code = [(code[0].0, code[0].1.as_str())];
    visitor
        .post("/secret_key", &code)
        .expect("password_change_required");
    let chosen = visitor.post("/account/password", &[("new_password", "nine tame cows")]);
    chosen.expect("password_changed");
    assert!(max_age(&chosen).is_some());
    assert!(remembered(&visitor));
}

#[test]
fn a_restart_with_another_value_counts_for_sessions_that_stay() {
    let setup = Setup::new();
    let server = setup.start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let code = &alice.new_recovery_codes()[0];
    let stays = Visitor::program(&server);
    log_in(&stays, &[("remember", "1")], code);
    drop(server);

    let shorter = setup.env("AUTH_REMEMBER", "1s");
    let server = shorter.start();
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert!(!stays.at(&server).is_logged_in());
    assert!(alice.at(&server).is_logged_in());
    server.wait_for_log("is shorter than a session may last anyway");
}

#[test]
fn without_the_box_the_field_does_nothing() {
    let server = Server::start_with(&["--remember", "0"]);
    let (alice, _) = Visitor::with_account(&server, "alice");
    let code = &alice.new_recovery_codes()[0];
    let visitor = Visitor::program(&server);
    let answer = log_in(&visitor, &[("remember", "1")], code);
    assert_eq!(max_age(&answer), None);
    assert!(!remembered(&visitor));
    let page = visitor.reading(Accept::Page);
    first_step(
        &page.reading(Accept::Json),
        "wrong wrong",
        "wrong_credentials",
    );
    assert!(
        !Visitor::new(&server, Accept::Page)
            .get("/login")
            .body
            .contains("name=\"remember\"")
    );
}
