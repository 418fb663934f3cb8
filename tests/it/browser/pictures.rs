//! Pictures of every page, to look at. Asserts nothing:
//! `SHOTS=some/folder cargo test --features browser -- --ignored pictures`

use std::path::PathBuf;

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

    fn open(&self, path: &str, page: &str) {
        self.browser.open(path);
        self.take(page);
    }

    fn press(&self, button: &str, page: &str) {
        self.browser.press(button);
        self.take(page);
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

    let authenticator = a_first_login(&browser, &camera);
    an_account(&server, &browser, &camera);
    a_later_login(&server, &browser, &camera, &authenticator);
    mishaps(&browser, &camera);
}

fn a_first_login(browser: &Browser, camera: &Camera<'_>) -> Authenticator {
    camera.open("/", "register");
    browser.fill("Username", "alice");
    browser.fill("E-mail", "alice@example.com");
    browser.fill("Password", "password");
    camera.press("Create account", "register-refused");
    browser.fill("Password", PASSWORD);
    camera.press("Create account", "login-registered");
    browser.fill("Password", PASSWORD);
    camera.press("Continue", "enrol");
    let key = browser.text_of("//code[@class = 'key']");
    let authenticator = Authenticator::new(&key.replace([' ', '\n'], ""));
    browser.fill("Code", "000000");
    camera.press("Confirm", "enrol-refused");
    browser.fill("Code", &authenticator.code());
    camera.press("Confirm", "recovery_codes");
    browser.follow("I have kept them: continue");
    camera.take("account");
    authenticator
}

fn an_account(server: &Server, browser: &Browser, camera: &Camera<'_>) {
    let elsewhere = Visitor::program(server).sending("user-agent", "Firefox/128.0 Linux");
    elsewhere
        .post("/login", &[("username", "alice"), ("password", PASSWORD)])
        .expect("code_required");
    camera.open("/login", "logged_in");
    browser.open("/account");
    browser.unfold("Make new recovery codes");
    browser.unfold("Move to a new authenticator app");
    browser.unfold("Delete this account");
    camera.take("account-unfolded");
    browser.open("/account");
    browser.unfold("Make new recovery codes");
    browser.fill("Current password", "not this one");
    browser.fill("Code from your authenticator, or a recovery code", "000000");
    camera.press("Make new codes", "account-refused");
    camera.open("/account/password", "change_password");
    camera.open("/account?notice=password_changed", "account-notice");
    browser.press("Log out");
    camera.take("logged_out");
    camera.open("/logout", "logged_out-by_get");
}

fn a_later_login(
    server: &Server,
    browser: &Browser,
    camera: &Camera<'_>,
    authenticator: &Authenticator,
) {
    camera.open("/login", "login");
    browser.fill("Username", "alice");
    browser.fill("Password", "not this one");
    camera.press("Continue", "login-refused");
    camera.open("/forgot_password", "forgot");
    browser.fill("Username", "alice");
    camera.press("Send a new password", "forgot-sent");
    let mail = server.next_mail("Your new password");
    let line = mail
        .lines()
        .find_map(|line| line.strip_prefix("New password: "));
    browser.open("/login");
    browser.fill("Username", "alice");
    browser.fill("Password", line.unwrap());
    camera.press("Continue", "code");
    browser.follow("Use a recovery code");
    camera.take("recovery_code");
    browser.follow("Use the authenticator app");
    browser.fill("Code", &authenticator.code());
    camera.press("Log in", "choose_password");
}

fn mishaps(browser: &Browser, camera: &Camera<'_>) {
    browser.open("data:text/html,<title>elsewhere</title>");
    camera.open("/nowhere", "not_found");
    camera.open("/register", "method_not_allowed");
    browser.open(&format!("/{}", "a".repeat(9000)));
    camera.take("too_long");
    let to = format!("{}/register", browser.base);
    let form = format!("<form id=f method=post action={to}></form>");
    browser.open(&format!("data:text/html,{form}"));
    browser.submit();
    browser.says("This request came from another site.");
    camera.take("cross_site");
}
