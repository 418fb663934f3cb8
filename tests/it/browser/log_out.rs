//! What a log-out leaves alone.

use crate::browser::person::log_in;
use crate::browser::stranger::Stranger;
use crate::harness::{Authenticator, Browser, Server, Setup, Visitor};

/// A login that shares its session with the hosts of a domain, one of them somebody else's, the
/// authenticator of its one account, and a browser that is at the login.
fn shared_domain() -> (Server, Stranger, Authenticator, Browser) {
    let server = Setup::new().for_domain("example.test").start();
    let stranger = Stranger::start();
    let (_, phone) = Visitor::with_account(&server, "alice");
    let mut browser = Browser::trusting(&server, &[&stranger.certificate], true);
    browser.base = format!("https://auth.example.test:{}", server.port);
    (server, stranger, phone, browser)
}

#[test]
fn a_log_out_leaves_the_cookies_of_sibling_hosts() {
    let (_server, stranger, phone, browser) = shared_domain();
    let hosts = ["app.example.test", "deep.app.example.test", "example.test"];
    for host in hosts {
        browser.open(&stranger.at(host, "/"));
        browser.run("document.cookie = 'own=1; Secure; Path=/'");
        browser.run("document.cookie = 'shared=1; Secure; Path=/; Domain=example.test'");
        browser.run("localStorage.setItem('kept', '1')");
    }
    let way_out = ["button", "address"];
    for way in way_out {
        log_in(&browser, &phone);
        browser.run("localStorage.setItem('ours', '1')");
        match way {
            "button" => browser.press("Log out"),
            _ => browser.open("/logout"),
        }
        browser.says("You have successfully");
        let ours = browser.run("return localStorage.getItem('ours')");
        assert!(ours.is_null(), "{way}: our own storage is cleared");
        for host in hosts {
            browser.open(&stranger.at(host, "/"));
            let cookies = browser.run("return document.cookie");
            let cookies = cookies.as_str().unwrap();
            assert!(cookies.contains("own=1"), "{way}, {host}: {cookies}");
            assert!(cookies.contains("shared=1"), "{way}, {host}: {cookies}");
            let kept = browser.run("return localStorage.getItem('kept')");
            assert_eq!(kept, "1", "{way}, {host}");
        }
    }
}
