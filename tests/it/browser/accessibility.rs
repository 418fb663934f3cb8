//! Every page, in every state a visitor can bring it to, judged by axe: wide and narrow, light and
//! dark.

use std::fs;

use serde_json::json;

use crate::browser::person::{complaints, is_too_wide};
use crate::harness::{Authenticator, Browser, PASSWORD, Server, Visitor};

const AXE: &str = "tests/pages/node_modules/axe-core/axe.min.js";

/// All of WCAG 2.2 AA that a program can judge, and what axe thinks good besides.
const JUDGE: &str = "
const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
return axe.run({ runOnly: tags, preload: false, resultTypes: ['violations'] }).then(found =>
    found.violations.map(one => one.id + ': ' + one.nodes.map(node => node.html).join(' ')));
";

struct Judge<'a> {
    browser: &'a Browser,
    axe: String,
}

impl<'a> Judge<'a> {
    fn new(browser: &'a Browser) -> Self {
        let axe = fs::read_to_string(AXE)
            .unwrap_or_else(|error| panic!("{AXE}: {error}; tests/setup installs it"));
        Self { browser, axe }
    }

    #[track_caller]
    fn judge(&self, page: &str) {
        // The page's own policy lets no script in but by this door.
        let script = json!({ "expression": self.axe });
        self.browser.cdp("Runtime.evaluate", &script);
        for width in [1280, 390] {
            self.browser.resize(width, 844);
            for scheme in ["light", "dark"] {
                self.browser.prefer(scheme);
                let found = self.browser.run(JUDGE);
                assert_eq!(found, json!([]), "{page}, {width} wide, {scheme}");
            }
        }
        // A small phone, which is also a window at 400 %.
        self.browser.resize(320, 844);
        assert!(!is_too_wide(self.browser), "{page} moves sideways");
        assert_eq!(complaints(self.browser), [] as [&str; 0], "{page}");
    }

    #[track_caller]
    fn open(&self, path: &str, page: &str) {
        self.browser.open(path);
        self.judge(page);
    }

    #[track_caller]
    fn press(&self, button: &str, page: &str) {
        self.browser.press(button);
        self.judge(page);
    }
}

#[test]
fn axe_finds_nothing_on_any_page() {
    let server = Server::start();
    let browser = Browser::start(&server);
    let judge = Judge::new(&browser);

    let phone = a_first_login(&browser, &judge);
    an_account(&server, &browser, &judge);
    a_later_login(&server, &browser, &judge, &phone);
    mishaps(&browser, &judge);
}

fn a_first_login(browser: &Browser, judge: &Judge<'_>) -> Authenticator {
    judge.open("/", "register");
    browser.fill("Username", "alice");
    browser.fill("E-mail", "alice@example.com");
    browser.fill("Password", "password");
    judge.press("Create account", "register, refused");
    browser.fill("Password", PASSWORD);
    judge.press("Create account", "log in, registered");
    browser.fill("Password", PASSWORD);
    judge.press("Continue", "enrol");
    let key = browser.text_of("//code[@class = 'key']");
    let phone = Authenticator::new(&key.replace([' ', '\n'], ""));
    browser.fill("Code", "000000");
    judge.press("Confirm", "enrol, refused");
    browser.fill("Code", &phone.code());
    judge.press("Confirm", "recovery codes");
    browser.follow("I have kept them: continue");
    judge.judge("account");
    phone
}

fn an_account(server: &Server, browser: &Browser, judge: &Judge<'_>) {
    let elsewhere = Visitor::program(server).sending("user-agent", "Firefox/128.0 Linux");
    elsewhere
        .post("/login", &[("username", "alice"), ("password", PASSWORD)])
        .expect("code_required");
    judge.open("/login", "log in, logged in");
    judge.open("/", "register, logged in");
    judge.open("/secret_key", "code, logged in");
    browser.open("/account");
    browser.unfold("Make new recovery codes");
    browser.unfold("Move to a new authenticator app");
    browser.unfold("Delete this account");
    judge.judge("account, unfolded");
    browser.open("/account");
    browser.unfold("Make new recovery codes");
    browser.fill("Current password", "not this one");
    browser.fill("Code from your authenticator, or a recovery code", "000000");
    judge.press("Make new codes", "account, refused");
    judge.open("/account/password", "change password");
    browser.fill("Current password", "not this one");
    browser.fill("New password", "eight tame cows");
    judge.press("Save password", "change password, refused");
    judge.open("/account?notice=password_changed", "account, done");
    browser.press("Log out");
    judge.judge("logged out");
}

fn a_later_login(server: &Server, browser: &Browser, judge: &Judge<'_>, phone: &Authenticator) {
    judge.open("/login", "log in");
    browser.fill("Username", "alice");
    browser.fill("Password", "not this one");
    judge.press("Continue", "log in, refused");
    judge.open("/login?rd=%2Faccount", "log in, sent here");
    judge.open("/forgot_password", "forgot");
    browser.fill("Username", "alice");
    judge.press("Send a new password", "forgot, sent");
    let mail = server.next_mail("Your new password");
    let line = mail
        .lines()
        .find_map(|line| line.strip_prefix("New password: "));
    browser.open("/login");
    browser.fill("Username", "alice");
    browser.fill("Password", line.unwrap());
    judge.press("Continue", "code");
    browser.fill("Code", "000000");
    judge.press("Log in", "code, refused");
    browser.follow("Use a recovery code");
    judge.judge("recovery code");
    browser.follow("Use the authenticator app");
    browser.fill("Code", &phone.code());
    judge.press("Log in", "choose password");
    judge.open("/secret_key", "code, choosing");
}

fn mishaps(browser: &Browser, judge: &Judge<'_>) {
    browser.open("data:text/html,<title>elsewhere</title>");
    judge.open("/nowhere", "no such page");
    judge.open("/register", "no such method");
    browser.open(&format!("/{}", "a".repeat(9000)));
    judge.judge("too long");
    let form = format!(
        "<form id=f method=post action={}/register></form>",
        browser.base
    );
    browser.open(&format!("data:text/html,{form}"));
    browser.submit();
    browser.says("This request came from another site.");
    judge.judge("another site");
    // Waits are counted in whole seconds, so the first may be over before it has begun.
    let throttled = (0..12).any(|_| {
        browser.open("/login");
        browser.fill("Username", "bob");
        browser.fill("Password", "not this one");
        browser.press("Continue");
        browser.text().contains("Too many attempts.")
    });
    assert!(throttled);
    judge.judge("throttled");
}
