//! The pages where strangers cannot register.

use crate::harness::{Browser, Server};

#[test]
fn where_strangers_cannot_register_the_first_page_is_the_login() {
    let server = Server::start_with(&["--registration", "closed"]);
    let browser = Browser::start(&server);
    browser.open("/");
    assert_eq!(browser.url(), server.url("/login"));
    for path in [
        "/",
        "/login",
        "/forgot_password",
        "/secret_key",
        "/register",
        "/nowhere",
    ] {
        browser.open(path);
        let page = browser.text();
        assert!(!page.contains("Create an account"), "{path}:\n{page}");
    }
}
