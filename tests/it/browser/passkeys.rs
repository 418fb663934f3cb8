//! Passkeys as people meet them: buttons, autofill, security keys, and what goes wrong.

use crate::browser::person::{complaints, log_in, password_step};
use crate::harness::{Browser, PASSWORD, SecurityKey, Server, Visitor, wait_for};

const BUTTON: &str = "Log in with a passkey";

/// What the forms of the account page ask for beside the password.
const CODE: &str = "Code from your authenticator, or a recovery code";

/// Registers alice, and logs her in in this browser; gives recovery codes.
fn alice_in(server: &Server, browser: &Browser) -> Vec<String> {
    let (alice, phone) = Visitor::with_account(server, "alice");
    let codes = alice.new_recovery_codes();
    log_in(browser, &phone);
    codes
}

/// Adds a passkey on the account page, up to the confirmation of the device.
fn begin_adding(browser: &Browser, code: &str) {
    browser.open("/account");
    browser.unfold("Add a passkey");
    browser.fill("Current password", PASSWORD);
    browser.fill(CODE, code);
    browser.press("Add a passkey");
    browser.says("Confirm with your device.");
}

fn add(browser: &Browser, code: &str) {
    begin_adding(browser, code);
    browser.press("Make the passkey");
    browser.says("Your passkey is set up.");
}

/// Alice, logged in, with a passkey in this device, and the recovery codes that are left. The browser
/// offers none by itself.
fn alice_with(plug_in: fn(&Browser) -> SecurityKey) -> (Server, Browser, SecurityKey, Vec<String>) {
    let server = Server::start();
    let browser = Browser::start(&server);
    browser.never_fills_in();
    let device = plug_in(&browser);
    let mut codes = alice_in(&server, &browser);
    add(&browser, &codes.remove(0));
    (server, browser, device, codes)
}

fn log_out(browser: &Browser) {
    browser.open("/account");
    browser.press("Log out");
}

fn is_at_account(server: &Server, browser: &Browser) {
    wait_for("the account page", || {
        (browser.url() == server.url("/account")).then_some(())
    });
    browser.says("alice@example.com");
}

fn is_good_after_the_password_only(server: &Server, browser: &Browser) {
    browser.open("/login");
    browser.click(&format!("//button[normalize-space() = '{BUTTON}']"));
    wait_for("the browser's refusal", || {
        browser.text().contains("That did not work:").then_some(())
    });
    password_step(browser);
    browser.press("Use a passkey");
    is_at_account(server, browser);
}

#[test]
fn a_passkey_of_this_device_logs_in_by_its_button_and_as_the_second_step() {
    let (server, browser, _, _) = alice_with(Browser::has_platform);
    browser.says("on one device only");
    log_out(&browser);

    browser.open("/login");
    browser.press(BUTTON);
    is_at_account(&server, &browser);
    browser.says("last used just now");
    log_out(&browser);

    browser.open("/login");
    password_step(&browser);
    browser.press("Use a passkey");
    is_at_account(&server, &browser);
    assert_eq!(complaints(&browser), [] as [&str; 0]);
}

#[test]
fn a_synced_passkey_logs_in_by_itself_where_the_name_is_typed() {
    let server = Server::start();
    let browser = Browser::start(&server);
    browser.has_synced_platform();
    let codes = alice_in(&server, &browser);
    add(&browser, &codes[0]);
    browser.says("synced between devices");
    log_out(&browser);

    browser.open("/login");
    is_at_account(&server, &browser);
    assert_eq!(complaints(&browser), [] as [&str; 0]);
}

#[test]
fn where_one_was_going_and_what_stands_behind_the_hash_stay() {
    let (server, browser, _, _) = alice_with(Browser::has_platform);
    log_out(&browser);

    browser.open("/login?rd=%2Faccount%2Fpassword#part");
    // The box of either form will do.
    browser.click("//input[@id = 'remember']");
    browser.press(BUTTON);

    wait_for("the way back", || {
        (browser.url() == server.url("/account/password#part")).then_some(())
    });
    let cookies = browser.cookies();
    let session = cookies
        .iter()
        .find(|cookie| cookie["name"] == "__Host-session");
    assert!(session.unwrap()["expiry"].is_number(), "{session:?}");
}

#[test]
fn a_key_that_knows_nobody_is_good_after_the_password_only() {
    let (server, browser, _, _) = alice_with(Browser::has_old_key);
    log_out(&browser);

    is_good_after_the_password_only(&server, &browser);
    assert_eq!(complaints(&browser), [] as [&str; 0]);
}

#[test]
fn a_device_that_does_not_know_its_owner_is_good_after_the_password_only() {
    let (server, browser, device, _) = alice_with(Browser::has_platform);
    log_out(&browser);
    browser.verifies(&device, false);

    is_good_after_the_password_only(&server, &browser);
}

#[test]
fn a_device_has_one_passkey_of_an_account() {
    let (_server, browser, _, codes) = alice_with(Browser::has_platform);

    begin_adding(&browser, &codes[0]);
    browser.click("//button[normalize-space() = 'Make the passkey']");

    wait_for("the browser's refusal", || {
        let said = "This device has a passkey for your account already.";
        browser.text().contains(said).then_some(())
    });
    assert_eq!(complaints(&browser), [] as [&str; 0]);
}

#[test]
fn a_copy_that_counts_behind_is_refused_on_the_page() {
    let (server, browser, device, _) = alice_with(Browser::has_platform);
    log_out(&browser);
    let copy = browser.credentials(&device).remove(0);
    for _ in 0..2 {
        browser.open("/login");
        browser.press(BUTTON);
        is_at_account(&server, &browser);
        log_out(&browser);
    }
    browser.unplug(device);
    let device = browser.has_platform();
    browser.put_back(&device, &copy);

    browser.open("/login");
    browser.press(BUTTON);

    browser.says("This passkey is not known here, or was not confirmed.");
    server.next_mail("A passkey may have been copied");
    assert_eq!(complaints(&browser), [] as [&str; 0]);
}

#[test]
fn whoever_changes_their_mind_is_told_and_goes_on_by_password() {
    let (server, browser, _, codes) = alice_with(Browser::has_platform);
    log_out(&browser);
    browser.open("/login");
    // What browsers answer when their dialog is closed.
    browser.run(
        "navigator.credentials.get = () => \
         Promise.reject(new DOMException('closed', 'NotAllowedError'))",
    );

    browser.click(&format!("//button[normalize-space() = '{BUTTON}']"));

    wait_for("the words", || {
        browser
            .text()
            .contains("nothing was confirmed")
            .then_some(())
    });
    password_step(&browser);
    browser.fill("Code", &codes[0]);
    browser.press("Log in");
    is_at_account(&server, &browser);
    assert_eq!(complaints(&browser), [] as [&str; 0]);
}

#[test]
fn without_scripts_nothing_is_offered_and_everything_works() {
    let server = Server::start();
    let browser = Browser::without_scripts(&server);
    let (_, codes, _) = Visitor::with_passkey(&server, "alice");

    browser.open("/login");
    assert!(!browser.text().contains("passkey"), "{}", browser.text());
    password_step(&browser);
    assert!(!browser.text().contains("passkey"), "{}", browser.text());
    browser.fill("Code", &codes[0]);
    browser.press("Log in");
    is_at_account(&server, &browser);
    assert!(!browser.text().contains("Add a passkey"));
    browser.click("//summary[starts-with(normalize-space(), 'Remove the passkey')]");
    browser.fill("Current password", PASSWORD);
    let remove = "//button[starts-with(normalize-space(), 'Remove the passkey')]";
    browser.leave(|| browser.click(remove));
    browser.says("Done.");
    assert_eq!(server.users()["users"]["alice"].get("passkeys"), None);
    assert_eq!(complaints(&browser), [] as [&str; 0]);
}
