//! Who is sent to the login, how, and the way back from it.

use crate::harness::{Accept, PASSWORD, Visitor};
use crate::routes::authz::{
    AUTH_REQUEST, BROWSER, FORWARD_AUTH, VERIFY, ask, forwarded, is_let_in, original, session,
    setup, with, with_alice, without,
};

#[test]
fn a_browser_without_a_session_is_sent_to_the_login_and_back() {
    let server = setup().start();
    let location = "https://auth.example.com/login?rd=https%3A%2F%2Fapp.example.com%2Fa%3Fb%3Dc%26d%3D%252F&rm=";
    for (method, status) in [
        ("GET", 302),
        ("HEAD", 302),
        ("OPTIONS", 302),
        ("POST", 303),
        ("PUT", 303),
        ("DELETE", 303),
        ("PROPFIND", 303),
    ] {
        for path in [FORWARD_AUTH, VERIFY] {
            let answer = ask(
                &server,
                "GET",
                path,
                &forwarded(method, "app.example.com", "/a?b=c&d=%2F"),
            );

            let expected = format!("{location}{method}");
            assert_eq!(
                (answer.status, answer.header("location")),
                (status, Some(expected.as_str())),
                "{path}"
            );
            assert_eq!(answer.header("remote-user"), None);
        }
        for path in [AUTH_REQUEST, VERIFY] {
            let answer = ask(
                &server,
                "GET",
                path,
                &original(method, "https://app.example.com/a?b=c&d=%2F"),
            );

            let expected = format!("{location}{method}");
            assert_eq!(
                (answer.status, answer.header("location")),
                (401, Some(expected.as_str())),
                "{path}"
            );
            assert!(answer.body.len() < 100);
        }
    }
}

#[test]
fn a_script_or_program_without_a_session_is_told_and_not_sent() {
    let server = setup().start();
    let plain = || without(forwarded("GET", "app.example.com", "/"), "Accept");
    for (more, status) in [
        (&[("Accept", "text/html")][..], 302),
        (&[("Accept", "*/*")], 302),
        (&[("Accept", "image/png, text/*;q=0.1")], 302),
        (&[("Accept", "application/json")], 401),
        (&[("Accept", "application/json, text/html;q=0")], 401),
        (&[("Accept", "image/*")], 401),
        (&[], 401),
        (
            &[("Accept", BROWSER), ("X-Requested-With", "XMLHttpRequest")],
            401,
        ),
        (
            &[("Accept", BROWSER), ("X-Requested-With", "xmlhttprequest")],
            401,
        ),
    ] {
        let answer = ask(&server, "GET", FORWARD_AUTH, &with(plain(), more));

        assert_eq!(answer.status, status, "{more:?}");
        assert_eq!(
            answer.header("location"),
            Some("https://auth.example.com/login?rd=https%3A%2F%2Fapp.example.com%2F&rm=GET")
        );
    }
}

#[test]
fn only_a_navigation_is_sent_to_the_login() {
    let server = setup().start();
    let basic = ("Authorization", "Bearer x");
    for (more, accept, sent) in [
        (
            &[
                ("Sec-Fetch-Mode", "navigate"),
                ("Sec-Fetch-Dest", "document"),
            ][..],
            BROWSER,
            true,
        ),
        (
            &[("Sec-Fetch-Mode", "NAVIGATE"), ("Sec-Fetch-Dest", "IFrame")],
            "*/*",
            true,
        ),
        (&[("Sec-Fetch-Dest", "frame")], BROWSER, true),
        (&[("Sec-Fetch-Dest", "embed")], BROWSER, true),
        (&[("Sec-Fetch-Dest", "object")], BROWSER, true),
        (
            &[("Sec-Fetch-Mode", ""), ("Sec-Fetch-Dest", "")],
            "*/*",
            true,
        ),
        (&[("Sec-Fetch-Mode", "cors")], "*/*", false),
        (&[("Sec-Fetch-Mode", "cors")], BROWSER, false),
        (&[("Sec-Fetch-Mode", "same-origin")], "*/*", false),
        (
            &[("Sec-Fetch-Mode", "no-cors"), ("Sec-Fetch-Dest", "image")],
            "*/*",
            false,
        ),
        (&[("Sec-Fetch-Mode", "websocket")], "*/*", false),
        (
            &[("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "empty")],
            BROWSER,
            false,
        ),
        (&[("Sec-Fetch-Dest", "script")], "*/*", false),
        (&[("Sec-Fetch-Dest", "serviceworker")], BROWSER, false),
        (
            &[("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Mode", "cors")],
            BROWSER,
            false,
        ),
        (&[basic], "*/*", false),
        (&[basic], "text/*", false),
        (&[basic], "application/json", false),
        (&[basic], BROWSER, true),
        (&[("Authorization", "")], "*/*", true),
    ] {
        for (path, status) in [(FORWARD_AUTH, 302), (VERIFY, 302)] {
            let fields = without(forwarded("GET", "app.example.com", "/"), "Accept");
            let fields = with(with(fields, more), &[("Accept", accept)]);
            let answer = ask(&server, "GET", path, &fields);
            let expected = if sent { status } else { 401 };
            assert_eq!(answer.status, expected, "{path} {more:?} {accept}");
            assert_eq!(
                answer.header("location"),
                Some("https://auth.example.com/login?rd=https%3A%2F%2Fapp.example.com%2F&rm=GET")
            );
        }
        let fields = without(original("GET", "https://app.example.com/"), "Accept");
        let fields = with(with(fields, more), &[("Accept", accept)]);
        let answer = ask(&server, "GET", AUTH_REQUEST, &fields);
        assert_eq!(answer.status, 401, "{more:?}");
        assert!(answer.header("location").is_some());
    }
}

#[test]
fn a_way_back_too_long_for_the_login_is_said_to_be() {
    let server = setup().start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let browser = Visitor::new(&server, Accept::Page);
    let fits = format!("/{}", "a".repeat(2048 - "https://app.example.com/".len()));
    let query = format!("/x?{}", "b".repeat(2100));
    let twice = format!("{fits}a");
    let huge = format!("/{}", "c".repeat(9000));
    for uri in [&twice, &query, &huge] {
        let url = format!("https://app.example.com{uri}");
        for (path, fields) in [
            (FORWARD_AUTH, forwarded("GET", "app.example.com", uri)),
            (AUTH_REQUEST, original("GET", &url)),
            (VERIFY, forwarded("GET", "app.example.com", uri)),
        ] {
            let answer = ask(&server, "GET", path, &fields);
            let location = answer.header("location").unwrap();
            assert!(location.len() < 100, "{location}");
            let login = location.strip_prefix("https://auth.example.com").unwrap();

            let page = browser.get(login);
            assert_eq!(page.status, 200, "{login}");
            assert!(
                page.body.contains("too long to come back to"),
                "{}",
                page.body
            );
            assert!(page.body.contains("name=\"rd\" value=\"\""));
            let known = alice.reading(Accept::Page).get(login);
            assert!(known.body.contains("too long to come back to"));
            // As old configurations send people.
            let old = browser.get(&login.replace("/login?", "/?"));
            let page = browser.get(old.header("location").unwrap());
            assert!(page.body.contains("too long to come back to"));
        }
    }
    let answer = ask(
        &server,
        "GET",
        FORWARD_AUTH,
        &forwarded("GET", "app.example.com", &fits),
    );
    let login = answer.header("location").unwrap();
    let page = browser.get(login.strip_prefix("https://auth.example.com").unwrap());
    assert!(!page.body.contains("too long") && page.body.contains(&fits));
    // Written by somebody else.
    let page = browser.get(&format!("/login?rd=/{}", "a".repeat(2048)));
    assert_eq!(page.status, 200);
    assert!(page.body.contains("too long to come back to"));
}

#[test]
fn a_way_back_in_a_post_is_that_of_the_body_or_else_of_the_address() {
    let server = setup().start();
    let alice = Visitor::program(&server);
    alice.register("alice");
    alice.enrol("alice");
    let browser = Visitor::new(&server, Accept::Page);
    let long = format!("/{}", "a".repeat(2048));
    let right = [("username", "alice"), ("password", PASSWORD)];
    let with_rd = |rd| [right[0], right[1], ("rd", rd)];
    let next = |query: &str, form: &[(&str, &str)]| {
        let answer = browser.post(&format!("/login{query}"), form);
        (answer.status, answer.header("location").map(str::to_owned))
    };

    let to = |location: &str| (303, Some(location.to_owned()));
    assert_eq!(
        next("?rd=/account", &right),
        to("/secret_key?rd=%2Faccount")
    );
    assert_eq!(
        next("?rd=/x", &with_rd("/account")),
        to("/secret_key?rd=%2Faccount")
    );
    assert_eq!(next("?rd=/account", &with_rd("")), to("/secret_key"));
    assert_eq!(next(&format!("?rd={long}"), &right), to("/secret_key"));
    assert_eq!(next("?rd=too-long%3A", &right), to("/secret_key"));
    assert_eq!(next("?rd=https://evil.test/", &right), to("/secret_key"));
    assert_eq!(next("", &with_rd(&long)).0, 400);
    alice.post("/login", &with_rd(&long)).expect("bad_field");
}

#[test]
fn a_login_leads_back_to_the_application_with_its_query() {
    let server = setup().start();
    let alice = Visitor::program(&server);
    alice.register("alice");
    let authenticator = alice.enrol("alice");
    let browser = Visitor::new(&server, Accept::Page);
    let uri = "/a%20b?c=d&e=%26%23&f=https://evil.test/";
    let answer = ask(
        &server,
        "GET",
        FORWARD_AUTH,
        &forwarded("POST", "app.example.com", uri),
    );
    let login = answer
        .header("location")
        .unwrap()
        .strip_prefix("https://auth.example.com")
        .unwrap();

    let page = browser.get(login);
    let rd = page
        .body
        .split_once("name=\"rd\" value=\"")
        .unwrap()
        .1
        .split('"')
        .next()
        .unwrap();
    let rd = rd.replace("&amp;", "&").replace("&#39;", "'");
    browser.post(
        "/login",
        &[("username", "alice"), ("password", PASSWORD), ("rd", &rd)],
    );
    let done = browser.post("/secret_key", &[("secret", &authenticator.code())]);

    let back = format!("https://app.example.com{uri}");
    assert_eq!(
        (done.status, done.header("location")),
        (303, Some(back.as_str()))
    );
    assert!(is_let_in(&server, &session(&browser)));
}

#[test]
fn a_loop_is_explained_and_not_repeated() {
    let (_server, alice, _) = with_alice();
    let browser = alice.reading(Accept::Page);
    let login = "/login?rd=https%3A%2F%2Fapp.example.com%2Fx&rm=GET";

    let page = browser.get(login);
    let old = browser.get("/?rd=https%3A%2F%2Fapp.example.com%2Fx&rm=GET");
    let by_link = browser.get("/login?rd=https%3A%2F%2Fapp.example.com%2Fx");
    let foreign = browser.get("/login?rd=https%3A%2F%2Fevil.test%2Fx&rm=GET");

    assert_eq!((page.status, page.header("location")), (200, None));
    assert!(
        page.body
            .contains("You are logged in as <strong>alice</strong>")
    );
    assert!(
        page.body
            .contains("your session does not reach app.example.com")
    );
    assert!(page.body.contains("href=\"https://app.example.com/x\""));
    assert_eq!(
        old.header("location"),
        Some("/login?rd=https%3A%2F%2Fapp.example.com%2Fx&rm")
    );
    assert!(!by_link.body.contains("does not reach"));
    assert!(
        foreign
            .body
            .contains("This server does not lead back to the address you came from.")
    );
    assert!(!foreign.body.contains("evil.test"));
}
