//! Every form sent twice by a double click: what is done once is answered as if it had been clicked
//! once.

use crate::browser::person::{codes_on_page, complaints};
use crate::harness::smtp_sink::new_password;
use crate::harness::{Authenticator, Browser, PASSWORD, Server};

const CODE: &str = "Code from your authenticator, or a recovery code";

#[test]
fn a_double_click_on_any_form_is_one_click() {
    twice_through_life(0);
}

#[test]
fn a_double_click_on_any_form_is_one_click_on_a_line_to_far_away() {
    twice_through_life(150);
}

fn twice_through_life(delay: u32) {
    // A node knows what it has answered itself; another may refuse what comes again.
    let server = Server::start_alone();
    let browser = Browser::start(&server);
    browser.delay(delay);
    let (phone, codes) = first_login(&browser);
    let codes = new_codes(&browser, &codes[0]);
    change_the_password(&server, &browser);
    lose_the_password(&server, &browser, &phone);
    let phone = move_to_another(&browser, &codes[0]);
    log_in_by_recovery_code(&server, &browser, &codes[1]);
    delete(&server, &browser, &phone);
    assert_eq!(complaints(&browser), [] as [&str; 0]);
}

fn first_login(browser: &Browser) -> (Authenticator, Vec<String>) {
    browser.open("/");
    browser.fill("Username", "alice");
    browser.fill("E-mail", "alice@example.com");
    browser.fill("Password", "short");
    browser.run("for (const form of document.forms) form.noValidate = true");
    browser.press_twice("Create account");
    browser.says("at least 8 characters");
    // The page that says so is as good as the first.
    browser.fill("Password", PASSWORD);
    browser.press_twice("Create account");
    browser.says("User successfully registered.");
    browser.fill("Password", PASSWORD);
    browser.press_twice("Continue");
    let key = browser.text_of("//code[@class = 'key']");
    let phone = Authenticator::new(&key.replace([' ', '\n'], ""));
    browser.fill("Code", &phone.code());
    browser.press_twice("Confirm");
    let codes = codes_on_page(browser);
    browser.reload();
    assert_eq!(codes_on_page(browser), codes, "they are shown once more");
    browser.follow("I have kept them: continue");
    browser.says("10 recovery codes are left");
    (phone, codes)
}

fn new_codes(browser: &Browser, code: &str) -> Vec<String> {
    browser.unfold("Make new recovery codes");
    browser.fill("Current password", PASSWORD);
    browser.fill(CODE, code);
    browser.press_twice("Make new codes");
    let codes = codes_on_page(browser);
    browser.follow("I have kept them: continue");
    browser.says("10 recovery codes are left");
    codes
}

const CHANGED: &str = "eight tame cows";

fn change_the_password(server: &Server, browser: &Browser) {
    browser.open("/account/password");
    browser.fill("Current password", PASSWORD);
    browser.fill("New password", CHANGED);
    browser.press_twice("Save password");
    browser.says("Password changed.");
    server.next_mail("Your password was changed");
    browser.press_twice("Log out");
    browser.says("You have successfully");
}

const CHOSEN: &str = "nine sad goats";

fn lose_the_password(server: &Server, browser: &Browser, phone: &Authenticator) {
    browser.open("/forgot_password");
    browser.fill("Username", "alice");
    browser.press_twice("Send a new password");
    browser.says("Look at your mail");
    let mail = server.next_mail("Your new password");
    let mailed = new_password(&mail);
    let users = server.users();
    let alive = &users["users"]["alice"]["mailed_passwords"];
    assert_eq!(alive.as_array().map(Vec::len), Some(1), "one mail: {alive}");
    browser.open("/login");
    browser.fill("Username", "alice");
    browser.fill("Password", mailed);
    browser.press_twice("Continue");
    phone.forget(server, "alice");
    browser.fill("Code", &phone.code());
    browser.press_twice("Log in");
    browser.fill("New password", CHOSEN);
    browser.press_twice("Save password");
    assert_eq!(browser.url(), server.url("/account"));
    browser.says("alice@example.com");
}

fn move_to_another(browser: &Browser, code: &str) -> Authenticator {
    browser.unfold("Move to a new authenticator app");
    browser.fill("Current password", CHOSEN);
    browser.fill("Code from the old authenticator, or a recovery code", code);
    browser.press_twice("Show the new key");
    let key = browser.text_of("//code[@class = 'key']");
    let phone = Authenticator::new(&key.replace([' ', '\n'], ""));
    browser.fill("Code", &phone.code());
    browser.press_twice("Confirm");
    browser.says("Your new authenticator is set up.");
    phone
}

fn log_in_by_recovery_code(server: &Server, browser: &Browser, code: &str) {
    browser.press_twice("Log out");
    browser.open("/login");
    browser.fill("Username", "alice");
    browser.fill("Password", CHOSEN);
    browser.press_twice("Continue");
    browser.follow("Use a recovery code");
    browser.fill("Recovery code", code);
    browser.press_twice("Log in");
    assert_eq!(browser.url(), server.url("/account"));
    browser.says("8 recovery codes are left");
}

fn delete(server: &Server, browser: &Browser, phone: &Authenticator) {
    phone.forget(server, "alice");
    browser.unfold("Delete this account");
    browser.fill("Current password", CHOSEN);
    browser.fill(CODE, &phone.code());
    browser.press_twice("Delete my account");
    browser.says("Your account has been deleted.");
}
