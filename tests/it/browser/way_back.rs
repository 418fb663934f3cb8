//! Where `rd` leads a real browser after a login, and what stands behind the hash with it.

use url::form_urlencoded;

use crate::browser::person::password_step;
use crate::browser::stranger::Stranger;
use crate::harness::{Browser, PASSWORD, Server, Setup, Visitor};

/// A server at a name of its own, whose session sub-domains share: the widest `rd` there is.
fn server() -> Server {
    Setup::new().for_domain("example.test").start()
}

fn browser(server: &Server, stranger: &Stranger) -> Browser {
    let mut browser = Browser::trusting(server, &[&stranger.certificate], true);
    browser.base = format!("https://auth.example.test:{}", server.port);
    browser
}

fn with_rd(path: &str, rd: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    format!("{path}?{}", query.append_pair("rd", rd).finish())
}

/// Logs in from the page at hand with a recovery code.
fn log_in(browser: &Browser, recovery_code: &str) {
    browser.fill("Username", "alice");
    browser.fill("Password", PASSWORD);
    browser.press("Continue");
    browser.follow("Use a recovery code");
    browser.fill("Recovery code", recovery_code);
    browser.press("Log in");
}

fn log_out(browser: &Browser) {
    browser.open("/account");
    browser.press("Log out");
}

/// What strangers would have us send a visitor to, all of it their own site if it worked. `PORT` is
/// theirs.
const BAD: [&str; 28] = [
    // Followed by a login from beginning to end.
    "https://evil.test:PORT/",
    "//evil.test:PORT/",
    "/\\evil.test:PORT/",
    "/\t/evil.test:PORT/",
    "https://auth.example.test@evil.test:PORT/",
    "https://auth.example.test.evil.test:PORT/",
    "javascript:location='https://evil.test:PORT/'",
    // Followed by one who is logged in.
    "///evil.test:PORT/",
    "\\\\evil.test:PORT/",
    "\\/evil.test:PORT/",
    "/\n/evil.test:PORT/",
    "/\r\n/evil.test:PORT/",
    "\u{1}//evil.test:PORT/",
    "  //evil.test:PORT/",
    "https:evil.test:PORT/",
    "https:/evil.test:PORT/",
    "https:\\\\evil.test:PORT\\",
    "https:///evil.test:PORT/",
    "HTTPS://EVIL.TEST:PORT/",
    "https://evilexample.test:PORT/",
    "https://user:pw@app.example.test:PORT/",
    "https://evil.test\\@app.example.test:PORT/",
    "http://app.example.test:PORT/",
    "data:text/html,<script>location='https://evil.test:PORT/'</script>",
    "/..//evil.test:PORT/",
    "/.//evil.test:PORT/",
    "/login?rd=//evil.test:PORT/",
    "/%2F%2Fevil.test:PORT/",
];

/// How many of them are followed by a login from beginning to end.
const WHOLE_LOGINS: usize = 7;

#[test]
fn a_login_never_leads_to_a_site_of_somebody_else() {
    let server = server();
    let stranger = Stranger::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let recovery_codes = alice.new_recovery_codes();
    let browser = browser(&server, &stranger);
    let bad = BAD.map(|rd| rd.replace("PORT", &stranger.port.to_string()));

    for (n, rd) in bad.iter().enumerate() {
        // Old proxy configurations send people to the first page.
        let start = if n % 2 == 0 { "/login" } else { "/" };
        browser.open(&with_rd(start, rd));
        if n < WHOLE_LOGINS {
            log_in(&browser, &recovery_codes[n]);
            assert_eq!(browser.url(), format!("{}/account", browser.base), "{rd:?}");
            browser.says("Your account");
            if n + 1 < WHOLE_LOGINS {
                log_out(&browser);
            }
        } else {
            browser.follow("Continue");
            let at = browser.url();
            assert!(
                at.starts_with(&format!("{}/", browser.base)),
                "{rd:?}: {at}"
            );
        }
    }

    assert_eq!(stranger.visits().len(), 0);
    assert_eq!(browser.dialog(), None);
}

#[test]
fn a_login_leads_exactly_where_it_was_meant_to() {
    let server = server();
    let stranger = Stranger::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let recovery_codes = alice.new_recovery_codes();
    let browser = browser(&server, &stranger);
    stranger.serves("/a/b", "<!DOCTYPE html><p>the app");
    let app = stranger.at("app.example.test", "/a/b?c=d%26e&f=%C3%BC&rd=/x");

    for (n, (rd, reached)) in [
        (app.clone(), app.clone()),
        (format!("{app}#part"), format!("{app}#part")),
        (
            "/account?notice=sessions_ended&a=%20b".to_owned(),
            browser.base.clone() + "/account?notice=sessions_ended&a=%20b",
        ),
        (
            "forgot_password?sent".to_owned(),
            browser.base.clone() + "/forgot_password?sent",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        browser.open(&with_rd("/login", &rd));
        log_in(&browser, &recovery_codes[n]);
        assert_eq!(browser.url(), reached);
        log_out(&browser);
    }

    let visits = stranger.visits();
    let visit = visits
        .iter()
        .find(|visit| visit.target.starts_with("/a/b"))
        .unwrap();
    assert_eq!(visit.target, "/a/b?c=d%26e&f=%C3%BC&rd=/x");
    assert!(
        visit.cookies.contains("__Secure-session="),
        "the app shares the session"
    );
    assert!(
        !visit.cookies.contains("__Host-"),
        "and nothing else: {visit:?}"
    );
}

/// The `action` of the first form, if it has one.
const ACTION: &str = "return document.forms[0].getAttribute('action')";

#[test]
fn what_stands_behind_the_hash_comes_back_with_who_logs_in() {
    let (server, stranger) = (server(), Stranger::start());
    let (_, phone) = Visitor::with_account(&server, "alice");
    let browser = browser(&server, &stranger);
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
