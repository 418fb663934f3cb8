//! What comes between: going back, a second window, a restart, cookies that are not kept. Each ends
//! in a page that explains, and a way on.

use crate::browser::person::{codes_on_page, log_in, password_step};
use crate::harness::{Authenticator, Browser, PASSWORD, Server, Setup, Visitor, free_port, place};

/// A server that comes back at the same address.
fn lasting() -> Setup {
    Setup::new().with(&["--listen", &format!("127.0.0.1:{}", free_port())])
}

#[test]
fn who_keeps_no_cookies_is_told_that_they_are_needed() {
    let server = Server::start();
    Visitor::with_account(&server, "alice");
    let browser = Browser::without_cookies(&server);

    browser.open("/login?rd=%2Faccount%2Fpassword");
    password_step(&browser);

    browser.says("Log in with your password first.");
    browser.says("your browser keeps no cookies for this site: allow them");
    browser.follow("Log in");
    let login = server.url("/login?rd=%2Faccount%2Fpassword");
    assert_eq!(browser.url(), login, "and where one was going is kept");
}

#[test]
fn a_restart_at_any_step_ends_in_a_page_that_leads_on() {
    let setup = lasting();
    let mut server = setup.start();
    let (alice, phone) = Visitor::with_account(&server, "alice");
    let codes = alice.new_recovery_codes();
    let browser = Browser::start(&server);
    let mut restart = || {
        server.kill();
        server = setup.start();
    };

    at_the_code(&browser, &mut restart, &phone, &codes[1]);

    // At a form of the account: nobody is logged out.
    log_in(&browser, &phone);
    restart();
    browser.unfold("Make new recovery codes");
    browser.fill("Current password", PASSWORD);
    browser.fill(
        "Code from your authenticator, or a recovery code",
        &codes[0],
    );
    browser.press("Make new codes");
    let codes = codes_on_page(&browser);

    // While moving to a new authenticator.
    browser.follow("I have kept them: continue");
    browser.unfold("Move to a new authenticator app");
    browser.fill("Current password", PASSWORD);
    let label = "Code from the old authenticator, or a recovery code";
    browser.fill(label, &codes[0]);
    browser.press("Show the new key");
    let key = browser.text_of("//code[@class = 'key']");
    restart();
    if place::is_database() {
        let phone = Authenticator::new(&key.replace([' ', '\n'], ""));
        browser.fill("Code", &phone.code());
        browser.press("Confirm");
        browser.says("Your new authenticator is set up.");
        return;
    }
    browser.fill("Code", "123456");
    browser.press("Confirm");
    browser.says("That key is no longer waiting for a code. Nothing was changed.");
    browser.follow("Your account");
    browser.says("alice@example.com");
}

/// A restart before the code is sent, and one before the form is looked at again. In a database is
/// what waits for a code too, and the login goes on.
fn at_the_code(
    browser: &Browser,
    restart: &mut impl FnMut(),
    phone: &Authenticator,
    recovery_code: &str,
) {
    browser.open("/login?rd=%2Faccount%2Fpassword");
    password_step(browser);
    restart();
    if place::is_database() {
        browser.reload();
        browser.follow("Use a recovery code");
        browser.fill("Recovery code", recovery_code);
        browser.press("Log in");
        assert!(browser.url().ends_with("/account/password"));
        browser.open("/account");
        browser.press("Log out");
        return;
    }
    browser.fill("Code", &phone.code());
    browser.press("Log in");
    browser.says("Log in with your password first.");
    browser.says("a restart of this site may end it too");
    browser.follow("Log in");
    assert!(browser.url().ends_with("/login?rd=%2Faccount%2Fpassword"));
    browser.open("/login");
    password_step(browser);
    restart();
    browser.reload();
    browser.says("a restart of this site may end it too");
}

#[test]
fn going_back_after_a_login_shows_that_one_is_logged_in() {
    let server = Server::start();
    let (_, phone) = Visitor::with_account(&server, "alice");
    let browser = Browser::start(&server);

    log_in(&browser, &phone);
    browser.back();
    browser.says("You are logged in");
    browser.says("This step is done already.");
    browser.back();
    browser.says("You are logged in as alice.");
    browser.reload();
    browser.follow("Continue");
    assert_eq!(browser.url(), server.url("/account"));
    browser.open("/");
    browser.says("You are logged in as alice.");
    browser.follow("Go to your account");
    assert_eq!(browser.url(), server.url("/account"));
}

#[test]
fn who_has_to_choose_a_password_is_led_there_from_the_code() {
    let server = Server::start();
    let (alice, phone) = Visitor::with_account(&server, "alice");
    let mailed = alice.mailed_password(&server, "alice");
    let browser = Browser::start(&server);
    browser.open("/login");
    browser.fill("Username", "alice");
    browser.fill("Password", &mailed);
    browser.press("Continue");
    browser.fill("Code", &phone.code());
    browser.press("Log in");
    browser.says("Choose a new password");

    browser.back();
    browser.says("Your code was right.");
    browser.follow("Choose a new password");
    browser.fill("New password", "eight tame cows");
    browser.press("Save password");

    assert_eq!(browser.url(), server.url("/account"));
}

#[test]
fn going_back_and_sending_the_same_again_is_no_mistake() {
    let server = Server::start();
    let (_, phone) = Visitor::with_account(&server, "alice");
    let browser = Browser::start(&server);
    browser.open("/login");
    password_step(&browser);
    browser.back();
    password_step(&browser);
    browser.says("six digits");
    browser.back();
    browser.fill("Username", "alice");
    browser.fill("Password", "not this one");
    browser.press("Continue");
    browser.says("Wrong username or password.");
    password_step(&browser);
    browser.fill("Code", &phone.code());
    browser.press("Log in");
    assert_eq!(browser.url(), server.url("/account"));
    browser.back();
    browser.says("This step is done already.");
    browser.open("/account");
    browser.says("alice@example.com");
}

#[test]
fn a_second_window_that_logs_out_leaves_the_first_with_a_way_on() {
    let server = Server::start();
    let (_, phone) = Visitor::with_account(&server, "alice");
    let browser = Browser::start(&server);
    log_in(&browser, &phone);
    browser.unfold("Make new recovery codes");
    browser.fill("Current password", PASSWORD);
    browser.fill("Code from your authenticator, or a recovery code", "000000");
    let first = browser.open_window();
    browser.open("/account");
    browser.press("Log out");
    browser.close_window(&first);

    browser.press("Make new codes");

    browser.says("Log in first. You are not logged in in this browser, or no longer.");
    browser.says("Then you are taken to your account.");
    browser.fill("Username", "alice");
    browser.fill("Password", PASSWORD);
    browser.press("Continue");
    browser.fill("Code", &phone.code());
    browser.press("Log in");
    assert_eq!(browser.url(), server.url("/account"));
}

#[test]
fn two_windows_can_both_log_in() {
    let server = Server::start();
    let (_, phone) = Visitor::with_account(&server, "alice");
    let browser = Browser::start(&server);
    browser.open("/login");
    password_step(&browser);
    let first = browser.open_window();
    browser.open("/login");
    password_step(&browser);
    browser.fill("Code", &phone.code());
    browser.press("Log in");
    browser.says("Your account");
    browser.close_window(&first);

    browser.fill("Code", &phone.code());
    browser.press("Log in");

    browser.says("You are logged in as alice.");
    browser.follow("Continue");
    browser.says("Your account");
}

#[test]
fn who_types_the_address_a_form_is_sent_to_is_shown_the_way_to_the_form() {
    let server = Server::start();
    let browser = Browser::start(&server);

    browser.open("/register");
    browser.says("This page does not take that method.");
    browser.follow("Create an account");

    assert_eq!(browser.url(), server.url("/"));
}
