//! What keyboards and clipboards put into a field, and what must not be cut out of it.

use crate::harness::{Browser, PASSWORD, Server, Visitor};

/// A browser whose own checks do not come first.
fn unchecked(browser: &Browser) {
    browser.run("for (const form of document.forms) form.noValidate = true");
}

#[test]
fn what_is_too_long_is_never_cut_but_told() {
    let server = Server::start();
    let browser = Browser::start(&server);
    let long = "Correct horse ".repeat(22)[..300].to_owned();
    let (_, phone) = Visitor::with_account(&server, "alice");

    browser.open("/");
    for (field, text, limit) in [
        ("Password", long.clone(), "256 characters"),
        ("Username", "u".repeat(300), "64 characters"),
        ("E-mail", format!("{}@b", "e".repeat(300)), "254 bytes"),
    ] {
        browser.fill("Username", "bob");
        browser.fill("E-mail", "bob@example.com");
        browser.fill("Password", PASSWORD);
        browser.paste(field, &text);
        assert_eq!(browser.filled(field), text, "{field} is whole");
        browser.press("Create account");
        browser.says("is too long");
        browser.says(limit);
        unchecked(&browser);
    }
    assert!(server.users()["users"]["bob"].is_null());

    browser.open("/login");
    browser.fill("Username", "alice");
    browser.paste("Password", &long);
    assert_eq!(browser.filled("Password").len(), 300);
    browser.press("Continue");
    browser.says("The field password is too long: it may have 256 characters.");
    browser.fill("Password", PASSWORD);
    browser.press("Continue");
    browser.paste("Code", &"1".repeat(300));
    assert_eq!(browser.filled("Code").len(), 300);
    browser.press("Log in");
    browser.says("The field secret is too long");
    browser.fill("Code", &phone.code());
    browser.press("Log in");

    browser.open("/account/password");
    for label in ["Current password", "New password"] {
        browser.fill("Current password", PASSWORD);
        browser.fill("New password", "eight tame cows");
        browser.paste(label, &long);
        assert_eq!(browser.filled(label).len(), 300);
        browser.press("Save password");
        browser.says("is too long: it may have 256 characters.");
    }
}

/// The digits of a code as other scripts write them, by their zeros.
const ZEROS: [char; 5] = ['\u{660}', '\u{6f0}', '\u{966}', '\u{e50}', '\u{ff10}'];

#[test]
fn what_a_keyboard_adds_is_read_away() {
    let server = Server::start();
    let (alice, phone) = Visitor::with_account(&server, "alice");
    let browser = Browser::start(&server);
    let added = [
        ("", " "),
        ("\u{200e}", "\u{a0}"),
        ("\u{202b}", "\u{202c}"),
        ("\u{feff}", "\u{200b}"),
        ("\u{3000}", "\t"),
    ];
    for ((before, after), zero) in added.into_iter().zip(ZEROS) {
        browser.open("/login");
        browser.paste("Username", &format!("{before}alice{after}"));
        browser.fill("Password", PASSWORD);
        browser.press("Continue");
        phone.forget(&server, "alice");
        let digits = phone.code().chars().collect::<Vec<_>>();
        let other = digits.iter().map(|digit| {
            let digit = digit.to_digit(10).unwrap();
            char::from_u32(u32::from(zero) + digit).unwrap()
        });
        let mut code: String = other.collect();
        code.insert(code.char_indices().nth(3).unwrap().0, '\u{2009}');
        browser.paste("Code", &format!("{before}{code}{after}"));
        browser.press("Log in");
        assert_eq!(browser.url(), server.url("/account"), "{zero}");
        browser.press("Log out");
    }
    // What was copied out of a mail, and a recovery code off paper.
    let mailed = alice.mailed_password(&server, "alice");
    let recovery = alice.new_recovery_codes()[0]
        .to_uppercase()
        .replace('-', " \u{2013} ");
    browser.open("/login");
    browser.paste("Username", "alice@example.com ");
    browser.paste("Password", &format!("\u{a0}{mailed} "));
    browser.press("Continue");
    browser.follow("Use a recovery code");
    browser.paste("Recovery code", &recovery);
    browser.press("Log in");
    browser.says("Choose a new password");
}
