//! Who makes a browser act: our own pages, programs, and nobody else.

use crate::harness::{Accept, FORMS, Server, Visitor};

#[test]
fn another_site_cannot_make_a_browser_act() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let own = server.url("");
    let plain = own.replace("https:", "http:");
    for fields in [
        &[("sec-fetch-site", "cross-site")][..],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "Same-Origin")],
        &[("sec-fetch-site", "")],
        &[("sec-fetch-site", "cross-site"), ("origin", own.as_str())],
        &[("origin", "null")],
        &[("origin", "")],
        &[("origin", "https://evil.test")],
        &[("origin", "https://localhost")],
        &[("origin", "https://localhost:1")],
        &[("origin", plain.as_str())],
    ] {
        let tricked = fields
            .iter()
            .fold(alice.reading(Accept::Json), |visitor, (name, value)| {
                visitor.sending(name, value)
            });
        for path in FORMS {
            let answer = tricked.post(path, &[("session", "others"), ("username", "alice")]);
            assert_eq!(answer.json()["code"], "cross_site", "{fields:?} {path}");
            assert_eq!(
                answer
                    .headers
                    .iter()
                    .filter(|(name, _)| name == "set-cookie")
                    .count(),
                0
            );
        }
        let answer = tricked.post_as("/login", "text/plain", "x");
        assert_eq!(answer.status, 403, "before anything else of the request");
        let page = tricked.reading(Accept::Page).get("/logout");
        assert_eq!(page.status, 200);
        assert!(
            page.body
                .contains("<form method=\"post\" action=\"/logout\">"),
            "{page:?}"
        );
    }
    assert!(alice.is_logged_in());
}

#[test]
fn our_own_pages_and_programs_may_act() {
    let server = Server::start();
    let visitor = Visitor::program(&server);
    let own = server.url("");
    for fields in [
        &[][..],
        &[("sec-fetch-site", "same-origin")],
        &[("sec-fetch-site", "none")],
        &[("sec-fetch-site", "same-origin"), ("origin", own.as_str())],
        &[("origin", own.as_str())],
    ] {
        let visitor = fields
            .iter()
            .fold(visitor.reading(Accept::Json), |visitor, (name, value)| {
                visitor.sending(name, value)
            });
        visitor.post("/logout", &[]).expect("logged_out");
        visitor.get("/logout").expect("logged_out");
    }
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
