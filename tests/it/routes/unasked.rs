//! What browsers send that nobody meant, and what our own answers make them send: only what a
//! person did has an effect, and only here.

use std::time::Duration;

use crate::harness::{Accept, PASSWORD, Server, Visitor};

/// What a browser says of a visit to the address in its own address line.
const VISIT: [(&str, &str); 3] = [
    ("sec-fetch-site", "none"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-dest", "document"),
];

fn with(visitor: &Visitor, fields: &[(&str, &str)]) -> Visitor {
    let mut visitor = visitor.reading(Accept::Page);
    for (name, value) in fields {
        visitor.headers.retain(|(known, _)| known != name);
        visitor
            .headers
            .push(((*name).to_owned(), (*value).to_owned()));
    }
    visitor
}

#[test]
fn a_log_out_that_nobody_asked_for_shows_the_button() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let visit = with(&alice, &VISIT);

    for fields in [
        [("sec-purpose", "prefetch")],
        [("sec-purpose", "prefetch;prerender")],
        [("sec-purpose", "")],
        [("purpose", "prefetch")],
        [("x-purpose", "preview")],
        [("x-moz", "prefetch")],
        [("sec-fetch-dest", "image")],
        [("sec-fetch-dest", "empty")],
        [("sec-fetch-dest", "iframe")],
        [("sec-fetch-mode", "no-cors")],
        [("sec-fetch-mode", "cors")],
        [("sec-fetch-site", "same-site")],
    ] {
        // With and without what else a browser says.
        for visitor in [with(&visit, &fields), with(&alice, &fields)] {
            let answer = visitor.get("/logout");
            assert_eq!(answer.status, 200, "{fields:?}");
            assert!(answer.body.contains("Log out?"), "{fields:?}");
            assert_eq!(answer.header("clear-site-data"), None);
            assert_eq!(answer.header("set-cookie"), None);
        }
        let json = with(&visit, &fields).reading(Accept::Json).get("/logout");
        assert!(
            json.body.contains("Log out?"),
            "the page, whatever is asked for"
        );
    }
    assert!(alice.is_logged_in());

    let answer = visit.get("/logout");
    assert!(answer.body.contains("You have successfully logged out."));
    assert!(!alice.is_logged_in());
}

#[test]
fn a_program_that_says_nothing_of_itself_logs_out_by_get() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");

    alice.get("/logout").expect("logged_out");

    assert!(!alice.is_logged_in());
}

#[test]
fn a_log_out_reaches_nothing_but_our_own() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    assert_eq!(alice.get("/login").header("clear-site-data"), None);
    let known = alice.cookies.borrow()["__Host-device"].clone();

    let answer = alice.post("/logout", &[]);

    assert_eq!(answer.header("clear-site-data"), Some("\"storage\""));
    assert_eq!(answer.cookie("__Host-device"), None);
    assert_eq!(alice.cookies.borrow()["__Host-device"], known);
}

/// Old browsers send `Origin: null` with a form of a page that asks for no referrer.
#[test]
fn our_own_forms_say_where_they_come_from() {
    let server = Server::start();
    let visitor = Visitor::program(&server);
    for path in ["/", "/login", "/nowhere", "/logout", "/healthz"] {
        let answer = visitor.get(path);
        assert_eq!(
            answer.header("referrer-policy"),
            Some("same-origin"),
            "{path}"
        );
    }
    let login = [("username", "nobody"), ("password", "eight tame cows")];

    for (origin, code) in [
        (server.url(""), "wrong_credentials"),
        ("null".to_owned(), "cross_site"),
        (String::new(), "cross_site"),
        (server.url("/"), "cross_site"),
        ("https://localhost".to_owned(), "cross_site"),
        ("http://localhost:1".to_owned(), "cross_site"),
    ] {
        let answer = visitor.sending("origin", &origin).post("/login", &login);
        assert_eq!(answer.json()["code"], code, "{origin}");
    }
}

#[test]
fn password_managers_find_where_to_change_a_password() {
    let server = Server::start();
    for form in [Accept::Page, Accept::Json, Accept::Text] {
        let visitor = Visitor::new(&server, form);
        for method in ["GET", "HEAD"] {
            let answer = visitor.ask(method, "/.well-known/change-password");
            assert_eq!(answer.status, 303);
            assert_eq!(answer.header("location"), Some("/account/password"));
        }
        let posted = visitor.post("/.well-known/change-password", &[]);
        assert_eq!(
            (posted.status, posted.header("allow")),
            (405, Some("GET, HEAD"))
        );
        assert_eq!(visitor.get("/.well-known/other").status, 404);
    }
}

#[test]
fn asking_by_head_is_no_use_of_a_session() {
    let server = Server::start();
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    let observer = Visitor::program(&server);
    observer.log_in("alice", PASSWORD, &authenticator);
    // The list counts in seconds.
    std::thread::sleep(Duration::from_millis(1100));

    for path in [
        "/",
        "/login",
        "/logout",
        "/account",
        "/account/password",
        "/secret_key",
    ] {
        alice.ask("HEAD", path);
    }

    let sessions = observer.get("/account").json()["sessions"].clone();
    let other = sessions
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["current"] == false);
    let other = other.unwrap();
    assert_eq!(other["last_seen"], other["created"]);
}
