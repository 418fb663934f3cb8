//! What reaches beyond a form of ours: where it says it comes from, where it leads back to, what a
//! log-out leaves alone, and what a browser fetches without being asked.

use serde_json::json;
use url::form_urlencoded;

use crate::browser::stranger::Stranger;
use crate::harness::{Authenticator, Browser, PASSWORD, Server, Setup, Visitor, free_port};

fn password_step(browser: &Browser) {
    browser.fill("Username", "alice");
    browser.fill("Password", PASSWORD);
    browser.press("Continue");
}

fn log_in(browser: &Browser, phone: &Authenticator) {
    browser.open("/login");
    password_step(browser);
    browser.fill("Code", &phone.code());
    browser.press("Log in");
    browser.says("Your account");
}

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

    let sent = "document.head.innerHTML = '<meta name=referrer content=no-referrer>'";
    browser.open("/login");
    browser.run(sent);
    password_step(&browser);
    browser.says("This request came from another site.");
}

/// A login that shares its session with the hosts of a domain, one of them somebody else's, the
/// authenticator of its one account, and a browser that is at the login.
fn shared_domain() -> (Server, Stranger, Authenticator, Browser) {
    let server = Server::start_with(&[
        "--public-url",
        "https://auth.example.test",
        "--cookie-domain",
        "example.test",
    ]);
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

#[test]
fn what_stands_behind_the_hash_comes_back_with_who_logs_in() {
    let (server, stranger, phone, browser) = shared_domain();
    for (n, fragment) in ["#/home/42", "#a=b&c=%20d", "#", "#!/x?y#z", "#\u{fc}"]
        .into_iter()
        .enumerate()
    {
        let app = stranger.at("app.example.test", "/index.html");
        let mut query = form_urlencoded::Serializer::new(String::new());
        let login = format!(
            "{}/login?{}",
            browser.base,
            query.append_pair("rd", &app).finish()
        );
        stranger.redirects("/index.html", 302, &login);

        browser.open(&format!("{app}{fragment}"));
        let kept = browser.run("return location.hash");
        // With mistakes on the way.
        browser.fill("Username", "alice");
        browser.fill("Password", "not this one");
        browser.press("Continue");
        password_step(&browser);
        let action = browser.run(ACTION);
        assert!(action.is_null(), "it would drop what is kept: {action}");
        browser.fill("Code", "000000");
        browser.press("Log in");
        stranger.serves("/index.html", "<!DOCTYPE html><p>the app");
        phone.forget(&server, "alice");
        browser.fill("Code", &phone.code());
        browser.press("Log in");
        browser.says("the app");
        assert_eq!(browser.run("return location.hash"), kept, "{n}: {fragment}");
        assert!(browser.url().starts_with(&app));
        browser.open("/account");
        browser.press("Log out");
    }
}

/// The `action` of the first form, if it has one.
const ACTION: &str = "return document.forms[0].getAttribute('action')";

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
