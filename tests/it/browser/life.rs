//! What a person does, with scripts switched off.

use crate::harness::{Authenticator, Browser, PASSWORD, Server, Visitor};

/// The key on the page that enrols.
fn key_on_page(browser: &Browser) -> String {
    browser
        .text_of("//code[@class = 'key']")
        .replace([' ', '\n'], "")
}

#[test]
fn a_visitor_without_scripts_registers_enrols_logs_out_and_logs_in_again() {
    let server = Server::start();
    let browser = Browser::without_scripts(&server);
    assert!(!browser.runs_scripts());

    browser.open("/");
    browser.fill("Username", "alice");
    browser.fill("E-mail", "alice@example.com");
    browser.fill("Password", PASSWORD);
    browser.press("Create account");
    browser.says("User successfully registered.");
    assert_eq!(browser.filled("Username"), "alice");

    browser.fill("Password", PASSWORD);
    browser.press("Continue");
    let authenticator = Authenticator::new(&key_on_page(&browser));
    browser.fill("Code", &authenticator.code());
    browser.press("Confirm");
    let codes = browser.text_of("//ul[@aria-label = 'Recovery codes']");
    assert_eq!(codes.lines().count(), 10, "{codes}");

    browser.follow("I have kept them: continue");
    assert_eq!(browser.url(), server.url("/account"));
    browser.says("alice@example.com");
    browser.says("10 recovery codes are left");

    assert_eq!(browser.console(), [] as [&str; 0]);
    browser.press("Log out");
    browser.says("You have successfully logged out.");
    browser.follow("Log in");
    browser.fill("Username", "alice");
    browser.fill("Password", PASSWORD);
    browser.press("Continue");
    browser.fill("Code", &authenticator.code());
    browser.press("Log in");
    assert_eq!(browser.url(), server.url("/account"));
}

#[test]
fn a_login_needs_no_mouse() {
    let server = Server::start();
    let (_, authenticator) = Visitor::with_account(&server, "alice");
    let browser = Browser::start(&server);
    let (tab, enter) = ('\u{e004}', '\u{e007}');

    browser.open("/login");
    browser.leave(|| browser.keys(&format!("alice{tab}{PASSWORD}{enter}")));
    browser.says("Enter your code");
    browser.leave(|| browser.keys(&format!("{}{enter}", authenticator.code())));

    assert_eq!(browser.url(), server.url("/account"));
}
