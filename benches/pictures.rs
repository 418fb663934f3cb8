//! Makes pictures for people to look at. Measures nothing: of what cargo builds, only tests and
//! benches are told where the program is.
//!
//! - `cargo bench --features browser --bench pictures -- readme`: those of the README.
//! - `cargo bench --features browser --bench pictures -- pages some/folder`: every page, wide and
//!   narrow, light and dark.

#![allow(clippy::unwrap_used)]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::harness::{Authenticator, Browser, PASSWORD, Server, Visitor, wait_for};

#[cfg(feature = "databases")]
#[path = "../tests/cluster/mod.rs"]
mod cluster;
#[expect(dead_code, unused_imports, reason = "tests need more of it")]
#[path = "../tests/it/harness/mod.rs"]
mod harness;
#[path = "../tests/it/browser/walk.rs"]
mod walk;

fn main() {
    // Cargo adds a flag of its own.
    let arguments: Vec<String> = env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["readme"] => pictures_for_the_readme(),
        ["pages", folder] => pictures_of_every_page(Path::new(folder)),
        // As when all benches run.
        _ => eprintln!("pictures: say `readme`, or `pages` and a folder"),
    }
}

/// Takes each page wide and narrow, light and dark.
struct Camera<'a> {
    browser: &'a Browser,
    folder: PathBuf,
}

impl Camera<'_> {
    fn take(&self, page: &str) {
        for (width, height) in [(1280, 800), (360, 740)] {
            for scheme in ["light", "dark"] {
                self.browser.resize(width, height);
                self.browser.prefer(scheme);
                let file = format!("{page}-{width}-{scheme}.png");
                self.browser.screenshot(&self.folder.join(file));
            }
        }
    }
}

fn pictures_for_the_readme() {
    let server = Server::start_with(&["--issuer", "Example"]);
    let browser = Browser::start(&server);
    let take = |page: &str| {
        for scheme in ["light", "dark"] {
            browser.resize(560, 640);
            browser.prefer(scheme);
            let file = format!("docs/pictures/{page}-{scheme}.webp");
            browser.screenshot(Path::new(&file));
        }
    };
    fs::create_dir_all("docs/pictures").unwrap();

    browser.open("/");
    browser.fill("Username", "alice");
    browser.fill("E-mail", "alice@example.com");
    take("register");
    browser.fill("Password", PASSWORD);
    browser.press("Create account");
    browser.fill("Password", PASSWORD);
    browser.press("Continue");
    take("enrol");
    let key = browser.text_of("//code[@class = 'key']");
    let authenticator = Authenticator::new(&key.replace([' ', '\n'], ""));
    browser.fill("Code", &authenticator.code());
    browser.press("Confirm");
    let phone = Visitor::program(&server).sending("user-agent", "iPhone Safari/604.1");
    phone
        .post("/login", &[("username", "alice"), ("password", PASSWORD)])
        .expect("code_required");
    phone
        .post("/secret_key", &[("secret", &authenticator.code())])
        .expect("login_complete");
    browser.follow("I have kept them: continue");
    take("account");
    people(&server, &browser);
    take("people");
}

/// Makes alice an administrator with some people about her, and shows her the list.
fn people(server: &Server, browser: &Browser) {
    for (name, groups) in [("bob", "family"), ("carol", "family"), ("dave", "staff")] {
        Visitor::program(server).register(name);
        server.edit_account(name, |account| account["groups"] = json!(["users", groups]));
    }
    server.edit_account("alice", |alice| {
        alice["groups"] = json!(["users", "admins"])
    });
    wait_for("the list", || {
        browser.open("/people");
        browser.text().contains("dave").then_some(())
    });
}

fn pictures_of_every_page(folder: &Path) {
    let server = Server::start();
    fs::create_dir_all(folder).unwrap();
    let browser = Browser::start(&server);
    let camera = Camera {
        browser: &browser,
        folder: folder.to_owned(),
    };

    walk::through_every_page(&server, &browser, &|page| camera.take(page));
}
