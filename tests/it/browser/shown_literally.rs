//! What is typed comes back as it was typed, and as nothing else.

use serde_json::{Value, json};
use url::form_urlencoded;

use crate::harness::{Authenticator, Browser, PASSWORD, Server, Visitor};

/// Names that mean something to a browser, or to what fills our pages.
const NAMES: [&str; 9] = [
    "\"><img src=x onerror=alert(1)>",
    "'><svg onload=alert(1)>",
    "<script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "\" autofocus onfocus=alert(1) x=\"",
    "{username}",
    "{{secret}}",
    "&lt;b&gt;&amp;quot;",
    "javascript:alert(1)//</title>",
];

/// Fails the test if anything on the page came from what was typed, or the browser had to stop it.
#[track_caller]
fn harmless(browser: &Browser, what: &str) {
    assert_eq!(browser.dialog(), None, "{what}");
    let made = browser.run(
        "const ours = document.querySelector('body > script:last-child');
         return [...document.querySelectorAll('*')].filter(one => one !== ours).filter(one =>
             ['IMG', 'SCRIPT', 'IFRAME', 'OBJECT', 'EMBED', 'LINK', 'BASE'].includes(one.nodeName)
             || [...one.attributes].some(its => its.name.startsWith('on')
                 || /^javascript:/i.test(its.value) && ['href', 'action', 'src'].includes(its.name))
         ).map(one => one.outerHTML)",
    );
    assert_eq!(made, json!([]), "{what}");
    for line in browser.console() {
        // Chromium tells of every refusal; this one is the answer's status.
        let status =
            line.contains("Failed to load resource: the server responded with a status of");
        // And now and then of a form that it has not read to its end; each has a field for the name.
        let half_read = line.contains("[DOM] Password forms should have");
        assert!(status || half_read, "{what}: {line}");
    }
}

/// Lets a form go off with whatever is in it, as one who does not use a browser can.
fn unchecked(browser: &Browser) {
    browser.run(
        "for (const form of document.forms) form.noValidate = true;
         for (const field of document.querySelectorAll('input')) {
             field.removeAttribute('maxlength'); field.removeAttribute('pattern');
             if (field.type === 'email') field.type = 'text';
         }",
    );
}

#[test]
fn what_is_typed_into_a_form_comes_back_literally() {
    let server = Server::start();
    let (_, authenticator) = Visitor::with_account(&server, "alice");
    let browser = Browser::start(&server);

    for name in NAMES {
        browser.open("/");
        unchecked(&browser);
        browser.fill("Username", name);
        browser.fill("E-mail", name);
        browser.fill("Password", name);
        browser.press("Create account");
        browser.says("may hold letters, digits and");
        assert_eq!(
            (browser.filled("Username"), browser.filled("E-mail")),
            both(name)
        );
        harmless(&browser, name);

        unchecked(&browser);
        browser.fill("Username", "bob");
        browser.fill("E-mail", name);
        browser.fill("Password", PASSWORD);
        browser.press("Create account");
        browser.says("is not an e-mail address");
        assert_eq!(browser.filled("E-mail"), name);
        harmless(&browser, name);

        browser.open("/forgot_password");
        browser.fill("Username", name);
        browser.press("Send a new password");
        browser.says("Look at your mail");
        harmless(&browser, name);
    }
    // Few enough for the throttle.
    for name in &NAMES[..4] {
        browser.open("/login");
        browser.fill("Username", name);
        browser.fill("Password", name);
        browser.press("Continue");
        browser.says("Wrong username or password.");
        assert_eq!(browser.filled("Username"), *name);
        harmless(&browser, name);
    }

    browser.open("/login");
    browser.fill("Username", "alice");
    browser.fill("Password", PASSWORD);
    browser.press("Continue");
    for name in &NAMES[..3] {
        unchecked(&browser);
        browser.fill("Code", name);
        browser.press("Log in");
        browser.says("Wrong 2FA code.");
        assert_eq!(browser.filled("Code"), "", "a secret is never shown again");
        harmless(&browser, name);
    }
    log_in_with(&browser, &authenticator);
    in_the_account(&browser);
}

fn both(name: &str) -> (String, String) {
    (name.to_owned(), name.to_owned())
}

fn log_in_with(browser: &Browser, authenticator: &Authenticator) {
    browser.fill("Code", &authenticator.code());
    browser.press("Log in");
    browser.says("Your account");
}

/// The forms of one's account hold secrets only, and show none again.
fn in_the_account(browser: &Browser) {
    let name = NAMES[0];
    for (fold, button, label) in [
        (
            "Make new recovery codes",
            "Make new codes",
            "Code from your authenticator, or a recovery code",
        ),
        (
            "Move to a new authenticator app",
            "Show the new key",
            "Code from the old authenticator, or a recovery code",
        ),
    ] {
        browser.open("/account");
        browser.unfold(fold);
        browser.fill("Current password", name);
        browser.fill(label, name);
        browser.press(button);
        browser.says("Wrong password.");
        assert_eq!(browser.filled("Current password"), "");
        harmless(browser, fold);
    }
    browser.open("/account/password");
    browser.fill("Current password", name);
    browser.fill("New password", name);
    browser.press("Save password");
    browser.says("Wrong password.");
    assert_eq!(browser.filled("Current password"), "");
    harmless(browser, "change password");
}

#[test]
fn what_stands_in_an_address_is_no_part_of_the_page() {
    let server = Server::start();
    let browser = Browser::start(&server);

    for name in NAMES {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let query = query
            .append_pair("username", name)
            .append_pair("notice", name)
            .append_pair("rd", name)
            .append_pair(name, name)
            .finish();
        for path in [
            "/login",
            "/",
            "/forgot_password",
            "/secret_key",
            "/logout",
            "/account",
        ] {
            browser.open(&format!("{path}?{query}"));
            harmless(&browser, path);
        }
        browser.open(&format!("/{name}?{name}#{name}"));
        browser.says("There is no such page.");
        harmless(&browser, name);
        browser.open(&format!("/login?username={}", &query[..0]));
        assert_eq!(browser.filled("Username"), "");
    }
    browser.open("/login?username=alice&notice=registered");
    assert_eq!(browser.filled("Username"), "alice");
}

#[test]
fn what_others_named_themselves_is_shown_literally() {
    let markup = "<img src=x onerror=alert(1)>{username}&lt;";
    let server = Server::start_with(&["--issuer", markup]);
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    for name in NAMES {
        let codes = alice.new_recovery_codes();
        let elsewhere = Visitor::program(&server).sending("user-agent", name);
        elsewhere
            .post("/login", &[("username", "alice"), ("password", PASSWORD)])
            .expect("code_required");
        elsewhere
            .post("/secret_key", &[("secret", &codes[0])])
            .expect("login_complete");
    }
    // An operator may call a group what they like.
    server.edit_account("alice", |account| {
        account["groups"] = json!([NAMES[0], NAMES[5]])
    });
    let browser = Browser::start(&server);

    browser.open("/login");
    browser.says(markup);
    harmless(&browser, "issuer");
    browser.fill("Username", "alice");
    browser.fill("Password", PASSWORD);
    browser.press("Continue");
    log_in_with(&browser, &authenticator);

    browser.says(markup);
    browser.says(NAMES[0]);
    browser.says(NAMES[5]);
    // Of the browsers no more than ten are known.
    for (list, count) in [
        (".sessions:not(#browsers):not(#events)", 11),
        ("#browsers", 10),
    ] {
        let agents = browser.run(&format!(
            "return [...document.querySelectorAll('{list} strong')].map(one => one.textContent)"
        ));
        let agents = agents.as_array().unwrap().iter();
        let agents: Vec<&str> = agents.filter_map(Value::as_str).collect();
        assert_eq!(agents.len(), count);
        assert!(agents[0].starts_with("Chrom"), "{agents:?}");
        let unknown = |agent: &&str| agent.starts_with("Unknown browser");
        assert!(agents[1..].iter().all(unknown), "{agents:?}");
    }
    harmless(&browser, "account");

    // The key of an authenticator carries the issuer, in an address and in a picture.
    browser.unfold("Move to a new authenticator app");
    browser.fill("Current password", PASSWORD);
    browser.fill(
        "Code from the old authenticator, or a recovery code",
        &alice.new_recovery_codes()[0],
    );
    browser.press("Show the new key");
    browser.says("Set up your new authenticator");
    harmless(&browser, "enrol");
}
