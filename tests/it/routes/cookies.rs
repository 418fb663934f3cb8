//! The cookies: their attributes, and whose value is never taken.

use crate::harness::{Answer, PASSWORD, Server, Setup, Visitor};
use crate::routes::first_step;

/// The attributes of a cookie, without its value.
#[track_caller]
fn attributes(answer: &Answer, name: &str) -> String {
    let cookie = answer
        .cookie(name)
        .unwrap_or_else(|| panic!("no {name} in {answer:?}"));
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    let value = pair.split_once('=').unwrap().1;
    assert!(
        value.len() == 43 || value.is_empty(),
        "256 bits or nothing: {cookie}"
    );
    attributes.to_owned()
}

#[test]
fn cookies_are_for_this_host_and_its_browser_only() {
    let server = Server::start();
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    alice.cookies.borrow_mut().clear();

    let first = alice.post("/login", &[("username", "alice"), ("password", PASSWORD)]);
    let second = alice.post("/secret_key", &[("secret", &authenticator.code())]);
    let last = alice.post("/logout", &[]);

    let strict = "Secure; HttpOnly; SameSite=Lax; Path=/";
    let over = "Secure; HttpOnly; SameSite=Lax; Path=/; Max-Age=0";
    assert_eq!(attributes(&first, "__Host-login"), strict);
    assert_eq!(
        first.cookie("__Host-session"),
        None,
        "no session before the code"
    );
    assert_eq!(attributes(&second, "__Host-session"), strict);
    assert_eq!(
        attributes(&second, "__Host-login"),
        format!("{strict}; Max-Age=60")
    );
    assert_eq!(
        attributes(&second, "__Host-device"),
        format!("{strict}; Max-Age=15552000")
    );
    assert_eq!(attributes(&last, "__Host-session"), over);
    assert_eq!(attributes(&last, "__Host-login"), over);
    assert_eq!(
        last.cookie("__Host-device"),
        None,
        "the browser stays known"
    );
    assert_eq!(last.header("clear-site-data"), Some("\"storage\""));
    let file = server.kept("sessions.json");
    let value = second.cookie("__Host-session").unwrap();
    assert!(!file.contains(&value[15..58]), "kept hashed");
}

#[test]
fn with_a_cookie_domain_the_session_is_shared_and_nothing_else_is() {
    let server = Setup::new().for_domain("example.com").start();
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    alice.cookies.borrow_mut().clear();

    let first = alice.post("/login", &[("username", "alice"), ("password", PASSWORD)]);
    let second = alice.post("/secret_key", &[("secret", &authenticator.code())]);

    let strict = "Secure; HttpOnly; SameSite=Lax; Path=/";
    assert_eq!(attributes(&first, "__Host-login"), strict);
    let shared = format!("{strict}; Domain=example.com");
    assert_eq!(attributes(&second, "__Secure-session"), shared);
    assert_eq!(second.cookie("__Host-session"), None);
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
