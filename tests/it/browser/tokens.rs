//! Access tokens, as their owners make and remove them.

use crate::browser::accessibility::Judge;
use crate::harness::{
    Authenticator, Browser, PASSWORD, Server, Setup, Visitor, free_port, wait_for,
};

/// A server whose sessions applications share, its address, and alice's phone and recovery codes.
fn set_up() -> (Server, String, Codes) {
    let port = free_port();
    let url = format!("https://auth.example.test:{port}");
    let server = Setup::new()
        .with(&["--listen", &format!("127.0.0.1:{port}")])
        .with(&["--public-url", &url, "--cookie-domain", "example.test"])
        .with(&["--registration", "open"])
        .start();
    let (alice, phone) = Visitor::with_account(&server, "alice");
    let spare = alice.new_recovery_codes().remove(0);
    (server, url, Codes { phone, spare })
}

/// What alice has besides her password.
struct Codes {
    phone: Authenticator,
    /// Good for as long as it takes to judge pages.
    spare: String,
}

fn makes_and_removes_a_token(browser: &Browser, codes: &Codes, shown: &dyn Fn(&str)) {
    browser.open("/login");
    browser.fill("Username", "alice");
    browser.fill("Password", PASSWORD);
    browser.press("Continue");
    browser.fill("Code", &codes.phone.code());
    browser.press("Log in");
    let code = "Code from your authenticator, or a recovery code";

    browser.unfold("Make an access token");
    shown("account-token");
    browser.fill("Name of the program or device", "Phone");
    browser.fill("Hosts of the applications", "app.example.org");
    browser.fill("Current password", PASSWORD);
    browser.fill(code, "000000");
    browser.press("Make the token");
    browser.says("The field hosts must name 1 to 20 hosts");
    shown("account-token_refused");
    browser.fill(
        "Hosts of the applications",
        "app.example.test, dav.example.test",
    );
    browser.fill("Current password", PASSWORD);
    browser.fill(code, &codes.spare);
    browser.press("Make the token");
    shown("access_token");
    let token = browser.text_of("//code[@class = 'key']");
    assert!(token.starts_with("au_") && token.len() == 35, "{token}");
    browser.says("app.example.test, dav.example.test");
    browser.follow("I have copied it: continue");
    browser.says("for app.example.test, dav.example.test; made just now, good until");
    shown("account-tokens");

    browser.unfold("Remove an access token");
    browser.fill("Current password", "not this one");
    browser.press("Remove the token");
    browser.says("Wrong password.");
    shown("account-token_stays");
    browser.fill("Current password", PASSWORD);
    browser.press("Remove the token");
    browser.says("Done.");
    assert!(!browser.text().contains("dav.example.test"));
    shown("account-token_removed");
}

#[test]
fn axe_finds_nothing_where_tokens_are_made_and_removed() {
    let (server, url, codes) = set_up();
    let mut browser = Browser::start(&server);
    browser.base = url;
    let judge = Judge::new(&browser);

    makes_and_removes_a_token(&browser, &codes, &|page| judge.judge(page));
}

#[test]
fn a_token_is_made_and_removed_without_any_script() {
    let (server, url, codes) = set_up();
    let mut browser = Browser::without_scripts(&server);
    browser.base = url;

    makes_and_removes_a_token(&browser, &codes, &|_| {});

    let kept = || server.users()["users"]["alice"].get("tokens").cloned();
    wait_for("the token to be gone", || kept().is_none().then_some(()));
}
