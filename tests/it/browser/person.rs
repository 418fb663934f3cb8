//! A person at a browser, who uses either a mouse and the screen or the keyboard alone.

use serde_json::{Value, json};

use crate::harness::{Authenticator, Browser, PASSWORD};

const TAB: char = '\u{e004}';
const ENTER: char = '\u{e007}';

pub(super) struct Person<'a> {
    pub(super) browser: &'a Browser,
    /// Touches no mouse. Needs scripts, to see where the focus is.
    pub(super) by_keyboard: bool,
}

impl Person<'_> {
    #[track_caller]
    pub(super) fn fill(&self, label: &str, text: &str) {
        if !self.by_keyboard {
            return self.browser.fill(label, text);
        }
        self.go_to(&format!(
            "//input[@id = //label[normalize-space() = '{label}']/@for]"
        ));
        self.browser.keys(text);
    }

    #[track_caller]
    pub(super) fn press(&self, button: &str) {
        if !self.by_keyboard {
            return self.browser.press(button);
        }
        self.go_to(&format!("//button[normalize-space() = '{button}']"));
        self.browser.leave(|| self.browser.keys(&ENTER.to_string()));
    }

    #[track_caller]
    pub(super) fn follow(&self, link: &str) {
        if !self.by_keyboard {
            return self.browser.follow(link);
        }
        self.go_to(&format!("//a[normalize-space() = '{link}']"));
        self.browser.leave(|| self.browser.keys(&ENTER.to_string()));
    }

    #[track_caller]
    pub(super) fn unfold(&self, summary: &str) {
        if !self.by_keyboard {
            return self.browser.unfold(summary);
        }
        self.go_to(&format!("//summary[normalize-space() = '{summary}']"));
        self.browser.keys(&ENTER.to_string());
    }

    /// Has the phone look at the QR code, and compares it with the key for those without a camera.
    #[track_caller]
    pub(super) fn scan(&self) -> Authenticator {
        let read = self.browser.scanned();
        let (_, key) = read.split_once("?secret=").unwrap_or_else(|| {
            panic!("no QR code can be read off the screen: {read:?}");
        });
        let (key, issuer) = key.split_once("&issuer=").unwrap();
        assert_eq!(issuer, "localhost");
        let typed = self.browser.text_of("//code[@class = 'key']");
        assert_eq!(typed.replace([' ', '\n'], ""), key);
        Authenticator::new(key)
    }

    /// Presses Tab until what is at this XPath has the focus, which must be seen to be there.
    #[track_caller]
    fn go_to(&self, path: &str) {
        // Twice around, if need be: a window that has just been given another process, as after
        // `Clear-Site-Data`, shows no focus before the first key.
        for _ in 0..60 {
            if self.browser.run_with(FOCUS, &json!(path)) == "seen" {
                return;
            }
            self.browser.keys(&TAB.to_string());
        }
        let page = self.browser.text();
        panic!("Tab never comes to {path}, or nobody sees it:\n{page}");
    }
}

const FOCUS: &str = "
const wanted = document.evaluate(arguments[0], document, null,
    XPathResult.ORDERED_NODE_SNAPSHOT_TYPE, null);
const at = document.activeElement;
for (let n = 0; n < wanted.snapshotLength; n++) {
    if (wanted.snapshotItem(n) !== at) continue;
    const style = getComputedStyle(at);
    return style.outlineStyle === 'solid' && parseFloat(style.outlineWidth) >= 2
        ? 'seen' : 'unseen';
}
return 'elsewhere';
";

/// The recovery codes on the page that shows them.
pub(super) fn codes_on_page(browser: &Browser) -> Vec<String> {
    let codes = browser.text_of("//ul[@aria-label = 'Recovery codes']");
    let codes: Vec<String> = codes.lines().map(str::to_owned).collect();
    assert_eq!(codes.len(), 10, "{codes:?}");
    codes
}

/// What Chromium says beside what it says of every page: that a status is not 200, and what
/// `Clear-Site-Data` did.
pub(super) fn complaints(browser: &Browser) -> Vec<String> {
    let mut lines = browser.console();
    lines.retain(|line| {
        !line.contains("Clear-Site-Data") && !line.contains("the server responded with a status of")
    });
    lines
}

/// Whether something on the page can only be reached by moving the page sideways.
pub(super) fn is_too_wide(browser: &Browser) -> bool {
    let script = "return document.documentElement.scrollWidth > innerWidth";
    browser.run(script) == Value::Bool(true)
}

/// The first step of alice's login, on the page at hand.
pub(super) fn password_step(browser: &Browser) {
    browser.fill("Username", "alice");
    browser.fill("Password", PASSWORD);
    browser.press("Continue");
}

/// Both steps of it.
pub(super) fn log_in(browser: &Browser, phone: &Authenticator) {
    browser.open("/login");
    password_step(browser);
    browser.fill("Code", &phone.code());
    browser.press("Log in");
    browser.says("Your account");
}
