//! Pictures of every page, to look at. Asserts nothing:
//! `SHOTS=some/folder cargo test --features browser -- --ignored pictures`

use std::path::PathBuf;

use crate::browser::walk;
use crate::harness::{Authenticator, Browser, PASSWORD, Server, Visitor};

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

/// The pictures of the README:
/// `cargo test --test it --features browser -- --ignored readme`
#[test]
#[ignore = "makes pictures for people to look at"]
fn pictures_for_the_readme() {
    let server = Server::start_with(&["--issuer", "Example"]);
    let browser = Browser::start(&server);
    let take = |page: &str| {
        for scheme in ["light", "dark"] {
            browser.resize(560, 640);
            browser.prefer(scheme);
            let file = format!("docs/pictures/{page}-{scheme}.webp");
            browser.small_picture(std::path::Path::new(&file));
        }
    };
    std::fs::create_dir_all("docs/pictures").unwrap();

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
}

#[test]
#[ignore = "makes pictures for people to look at"]
fn pictures_of_every_page() {
    let server = Server::start();
    let folder = std::env::var_os("SHOTS").map_or_else(
        || PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("shots"),
        PathBuf::from,
    );
    std::fs::create_dir_all(&folder).unwrap();
    let browser = Browser::start(&server);
    let camera = Camera {
        browser: &browser,
        folder,
    };

    walk::through_every_page(&server, &browser, &|page| camera.take(page));
}
