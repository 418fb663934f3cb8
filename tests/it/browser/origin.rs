//! Where a browser says that a form comes from.

use serde_json::json;

use crate::browser::person::password_step;
use crate::harness::{Browser, PASSWORD, Setup, free_port};

/// To a site without TLS Chromium says nothing but `Origin`, as older browsers do to every site.
#[test]
fn a_browser_that_says_only_its_origin_says_ours() {
    let port = free_port();
    let (listen, url) = (
        format!("127.0.0.1:{port}"),
        format!("http://login.test:{port}"),
    );
    let setup = Setup::new().with(&["--no-tls", "--listen", &listen, "--public-url", &url]);
    let server = setup.start();
    let mut browser = Browser::start(&server);
    browser.base = url;

    browser.open("/");
    browser.fill("Username", "alice");
    browser.fill("E-mail", "alice@example.com");
    browser.fill("Password", PASSWORD);
    browser.press("Create account");
    browser.says("User successfully registered.");
    let referrer = browser.run("return document.referrer");
    assert_eq!(referrer, json!(format!("{}/", browser.base)));
    browser.fill("Password", PASSWORD);
    browser.press("Continue");
    // The password was taken; the cookie is not, without TLS.
    browser.says("your browser keeps no cookies for this site");

    let sent = "const meta = document.createElement('meta');
        meta.name = 'referrer';
        meta.content = 'no-referrer';
        document.head.replaceChildren(meta);";
    browser.open("/login");
    browser.run(sent);
    password_step(&browser);
    browser.says("This request came from another site.");
}
