//! Logging out: by whom, and what is over with it.

use crate::harness::{Accept, Server, Visitor};

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

#[test]
fn a_copied_cookie_is_worth_nothing_after_a_logout() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let copied = alice.reading(Accept::Json);

    alice.post("/logout", &[]).expect("logged_out");

    assert!(!copied.is_logged_in());
}
