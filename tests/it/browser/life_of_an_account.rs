//! The whole life of an account, as a person lives it: nothing is known but what the pages say.

use std::fs;

use crate::browser::person::{Person, codes_on_page, complaints};
use crate::harness::smtp_sink::new_password;
use crate::harness::{Authenticator, Browser, PASSWORD, Server, wait_for};

const CHOSEN: &str = "eight tame cows";

/// What two forms of the account page ask for beside the password.
const CODE: &str = "Code from your authenticator, or a recovery code";

#[test]
fn an_account_lives_on_a_phone_in_the_dark_without_scripts() {
    let server = Server::start();
    let browser = Browser::without_scripts(&server);
    assert!(!browser.runs_scripts());
    browser.resize(390, 844);
    browser.prefer("dark");

    live(&server, &browser, false);
}

#[test]
fn an_account_lives_in_the_light_without_a_mouse() {
    let server = Server::start();
    let browser = Browser::start(&server);
    browser.resize(1280, 800);
    browser.prefer("light");

    live(&server, &browser, true);
}

fn live(server: &Server, browser: &Browser, by_keyboard: bool) {
    let person = Person {
        browser,
        by_keyboard,
    };
    let (phone, codes) = register_and_enrol(server, &person);
    log_in_again(server, &person, &phone);
    let codes = new_codes(&person, &codes[0]);
    lose_the_password(server, &person, &phone);
    let phone = lose_the_phone(server, &person, &codes);
    leave(&person, &phone);
    assert_eq!(complaints(browser), [] as [&str; 0]);
}

fn register_and_enrol(server: &Server, person: &Person<'_>) -> (Authenticator, Vec<String>) {
    let browser = person.browser;
    browser.open("/");
    person.fill("Username", "alice");
    person.fill("E-mail", "alice@example.com");
    person.fill("Password", PASSWORD);
    person.press("Create account");
    browser.says("User successfully registered.");
    assert_eq!(browser.filled("Username"), "alice");

    person.fill("Password", PASSWORD);
    person.press("Continue");
    let phone = person.scan();
    person.fill("Code", &with_a_gap(&phone.code()));
    person.press("Confirm");

    let codes = codes_on_page(browser);
    saves_as_a_file(browser, &codes);
    person.follow("I have kept them: continue");
    assert_eq!(browser.url(), server.url("/account"));
    browser.says("alice@example.com");
    browser.says("10 recovery codes are left");
    (phone, codes)
}

/// Authenticator apps show their codes in two halves.
fn with_a_gap(code: &str) -> String {
    format!("{} {}", &code[..3], &code[3..])
}

fn saves_as_a_file(browser: &Browser, codes: &[String]) {
    let folder = tempfile::tempdir().unwrap();
    browser.save_to(folder.path());
    browser.click("//a[normalize-space() = 'Save as a file']");
    let file = folder.path().join("recovery-codes.txt");
    // The browser holds the name with an empty file before it moves the whole one there.
    let whole = || {
        fs::read_to_string(&file)
            .ok()
            .filter(|saved| !saved.is_empty())
    };
    let saved = wait_for("the codes to be saved", whole);
    assert_eq!(saved.lines().collect::<Vec<_>>(), codes);
}

fn log_in_again(server: &Server, person: &Person<'_>, phone: &Authenticator) {
    let browser = person.browser;
    person.press("Log out");
    browser.says("You have successfully logged out.");
    person.follow("Log in");
    person.fill("Username", "alice@example.com");
    person.fill("Password", PASSWORD);
    person.press("Continue");
    browser.says("six digits");
    person.fill("Code", &phone.code());
    person.press("Log in");
    assert_eq!(browser.url(), server.url("/account"));
    browser.says("this one");
}

fn new_codes(person: &Person<'_>, code: &str) -> Vec<String> {
    person.unfold("Make new recovery codes");
    person.fill("Current password", PASSWORD);
    person.fill(CODE, code);
    person.press("Make new codes");
    let codes = codes_on_page(person.browser);
    person.follow("I have kept them: continue");
    codes
}

fn lose_the_password(server: &Server, person: &Person<'_>, phone: &Authenticator) {
    let browser = person.browser;
    person.press("Log out");
    person.follow("Log in");
    person.fill("Username", "alice");
    person.fill("Password", "is it this one?");
    person.press("Continue");
    browser.says("Wrong username or password.");
    assert_eq!(browser.filled("Username"), "alice");
    person.follow("Forgot your password?");
    person.fill("Username", "alice");
    person.press("Send a new password");
    browser.says("Look at your mail");
    let mail = server.next_mail("Your new password");
    let mailed = new_password(&mail);

    person.follow("Log in");
    person.fill("Username", "alice");
    person.fill("Password", mailed);
    person.press("Continue");
    person.fill("Code", &phone.code());
    person.press("Log in");
    person.fill("New password", CHOSEN);
    person.press("Save password");
    assert_eq!(browser.url(), server.url("/account"));
}

/// The old phone is gone; a new one takes its place.
fn lose_the_phone(server: &Server, person: &Person<'_>, codes: &[String]) -> Authenticator {
    let browser = person.browser;
    person.press("Log out");
    person.follow("Log in");
    person.fill("Username", "alice");
    person.fill("Password", CHOSEN);
    person.press("Continue");
    person.follow("Use a recovery code");
    person.fill("Recovery code", &codes[0]);
    person.press("Log in");
    assert_eq!(browser.url(), server.url("/account"));
    browser.says("9 recovery codes are left");

    person.unfold("Move to a new authenticator app");
    person.fill("Current password", CHOSEN);
    let label = "Code from the old authenticator, or a recovery code";
    person.fill(label, &codes[1]);
    person.press("Show the new key");
    let phone = person.scan();
    person.fill("Code", &phone.code());
    person.press("Confirm");
    browser.says("Your new authenticator is set up.");
    phone
}

fn leave(person: &Person<'_>, phone: &Authenticator) {
    person.unfold("Delete this account");
    person.browser.says("This cannot be undone.");
    person.fill("Current password", CHOSEN);
    person.fill(CODE, &phone.code());
    person.press("Delete my account");
    person.browser.says("Your account has been deleted.");
}
