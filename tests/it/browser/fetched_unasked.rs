//! What a browser fetches without being asked: nothing of a page of ours, and nothing with an
//! effect.

use serde_json::{Value, json};

use crate::browser::person::log_in;
use crate::harness::{Browser, Server, Visitor};

/// A page is asked for by nothing but its own address.
#[test]
fn a_page_is_one_request() {
    let server = Server::start();
    let browser = Browser::start(&server);

    browser.open("/login");

    let fetched =
        browser.run("return performance.getEntriesByType('resource').map(one => one.name)");
    assert_eq!(fetched, Value::Array(Vec::new()));
}

#[test]
fn what_a_browser_fetches_by_itself_logs_nobody_out() {
    let server = Server::start();
    let (_, phone) = Visitor::with_account(&server, "alice");
    let browser = Browser::start(&server);
    log_in(&browser, &phone);
    // Our own policy lets nothing be fetched; others' extensions may.
    browser.cdp("Page.setBypassCSP", &json!({ "enabled": true }));
    browser.open("/account");
    let fetched = browser.run(
        "const settled = [], add = (name, fields) => settled.push(new Promise(done => {
             const element = Object.assign(document.createElement(name), fields);
             element.onload = element.onerror = done;
             document.body.append(element);
         }));
         add('link', { rel: 'prefetch', href: '/logout' });
         add('link', { rel: 'preload', as: 'fetch', href: '/logout', crossOrigin: 'anonymous' });
         add('img', { src: '/logout' });
         add('script', { src: '/logout' });
         add('iframe', { src: '/logout' });
         settled.push(fetch('/logout').then(answer => answer.text()));
         return Promise.all(settled).then(all => all.length);",
    );
    assert_eq!(fetched, 6);
    browser.open("/account");
    browser.says("alice@example.com");
    browser.open("/logout");
    browser.says("You have successfully logged out.");
}
