//! Every page, in every state a visitor can bring it to, judged by axe: wide and narrow, light and
//! dark. Its console is silent, and its policy allows no script but ours, where that is.

use std::fs;

use serde_json::json;

use crate::browser::person::{complaints, is_too_wide};
use crate::browser::walk;
use crate::harness::{Browser, Server};

const AXE: &str = "tests/pages/node_modules/axe-core/axe.min.js";

/// All of WCAG 2.2 AA that a program can judge, and what axe thinks good besides.
const JUDGE: &str = "
const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
return axe.run({ runOnly: tags, preload: false, resultTypes: ['violations'] }).then(found =>
    found.violations.map(one => one.id + ': ' + one.nodes.map(node => node.html).join(' ')));
";

/// What the browser holds a page to, which it says when it refuses a style that is none of ours.
const POLICY: &str = "
return new Promise(told => {
    const tell = event => told(event.originalPolicy);
    document.addEventListener('securitypolicyviolation', tell, { once: true });
    const style = document.createElement('style');
    style.textContent = 'p { color: red }';
    document.head.append(style);
});
";

/// Judges the page that is shown.
pub(super) struct Judge<'a> {
    browser: &'a Browser,
    axe: String,
}

impl<'a> Judge<'a> {
    pub(super) fn new(browser: &'a Browser) -> Self {
        let axe = fs::read_to_string(AXE)
            .unwrap_or_else(|error| panic!("{AXE}: {error}; tests/setup installs it"));
        Self { browser, axe }
    }

    pub(super) fn judge(&self, page: &str) {
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
        self.judge_policy(page);
    }

    fn judge_policy(&self, page: &str) {
        let policy = self.browser.run(POLICY);
        let policy = policy.as_str().unwrap();
        let scripts = self.browser.run("return document.scripts.length");
        let about_scripts: Vec<&str> = policy
            .split("; ")
            .filter(|part| part.contains("script") || part.contains("types"))
            .collect();
        match scripts.as_u64() {
            Some(0) => assert_eq!(about_scripts, [] as [&str; 0], "{page}"),
            Some(1) => {
                let (source, rest) = about_scripts.split_first().unwrap();
                assert!(
                    source.starts_with("script-src 'sha256-"),
                    "{page}: {policy}"
                );
                assert_eq!(source.matches(' ').count(), 1, "{page}: {policy}");
                let types = ["require-trusted-types-for 'script'", "trusted-types 'none'"];
                assert_eq!(rest, types, "{page}");
                let url = self.browser.url();
                let carries = ["/login", "/secret_key", "/account"];
                let carries = carries.map(|path| url.contains(path));
                assert!(carries.contains(&true), "{page} at {url}");
            }
            _ => panic!("{scripts} scripts on {page}"),
        }
        // The refusal was asked for.
        self.browser.console();
    }
}

#[test]
fn axe_finds_nothing_on_any_page() {
    let server = Server::start();
    let browser = Browser::start(&server);
    let judge = Judge::new(&browser);

    walk::through_every_page(&server, &browser, &|page| judge.judge(page));
}
