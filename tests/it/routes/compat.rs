//! `--compat`: what programs written for the script `auth_user.py` read, to the letter.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::harness::{Accept, Answer, PASSWORD, Server, Setup, Visitor};

const TEMPLATE: &str = include_str!("../../../static/compat/secret_key.html");

/// A visitor as the script's clients are: no cookies to begin with, and any type will do.
fn client(server: &Server) -> Visitor {
    Visitor::new(server, Accept::Text)
}

fn start() -> Server {
    Server::start_with(&["--compat"])
}

/// The script's answer: always 200, always said to be HTML, and the text alone.
#[track_caller]
fn says(answer: &Answer, text: &str) {
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (200, text),
        "{answer:?}"
    );
    assert_eq!(answer.header("content-type"), Some("text/html"));
}

#[track_caller]
fn register(server: &Server, name: &str, password: &str) -> Answer {
    let email = format!("{name}@example.com");
    let form = [
        ("username", name),
        ("email", email.as_str()),
        ("password", password),
    ];
    client(server).post("/register", &form)
}

fn login(server: &Server, name: &str, password: &str) -> Answer {
    client(server).post("/login", &[("username", name), ("password", password)])
}

fn code(server: &Server, name: &str, secret: &str) -> Answer {
    client(server).post("/secret_key", &[("username", name), ("secret", secret)])
}

fn recovered(answer: &Answer) -> String {
    let password = answer
        .body
        .strip_prefix("your new password: ")
        .unwrap()
        .to_owned();
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    assert_eq!(password.len(), 16, "{password}");
    assert!(password.bytes().all(is_hex), "{password}");
    password
}

/// Our own log-in has a cookie by which a form that is sent again is known; here it means nothing.
#[test]
fn a_printed_key_works_once_whatever_cookie_comes_with_it() {
    let mut server = start();
    register(&server, "alice", PASSWORD);
    login(&server, "alice", PASSWORD);
    let key = server.next_line();
    let form = [("username", "alice"), ("secret", key.as_str())];
    let with_cookie = || client(&server).sending("cookie", "__Host-login=planted");

    let first = with_cookie().post("/secret_key", &form);
    says(&first, "Login completed successfully.");
    assert!(!format!("{first:?}").contains("planted"), "{first:?}");

    says(&with_cookie().post("/secret_key", &form), "Wrong 2FA code.");
}

#[test]
fn registration_speaks_as_the_script_does() {
    let server = start();

    says(
        &register(&server, "alice", PASSWORD),
        "User successfully registered.",
    );
    says(
        &register(&server, "ALICE", PASSWORD),
        "The user already exists.",
    );
    let taken = [
        ("username", "bob"),
        ("email", "Alice@example.com"),
        ("password", PASSWORD),
    ];
    says(
        &client(&server).post("/register", &taken),
        "User with this email already exists",
    );
    let short = "The password must contain at least 8 characters.";
    says(&register(&server, "bob", "1234567"), short);
    // Its order: password, name, address.
    says(&register(&server, "alice", "1234567"), short);
    says(
        &register(&server, "alice", PASSWORD),
        "The user already exists.",
    );
    // Of its rules for passwords only the length holds.
    says(
        &register(&server, "bob", "password"),
        "User successfully registered.",
    );
    says(
        &register(&server, "carolina", "carolina"),
        "User successfully registered.",
    );
    let hash = &server.users()["users"]["bob"]["password"];
    assert!(
        hash.as_str()
            .unwrap()
            .starts_with("$pbkdf2-sha256$i=600000,l=32$"),
        "{hash}"
    );
}

#[test]
fn a_login_prints_a_key_that_works_once() {
    let mut server = start();
    register(&server, "alice", PASSWORD);

    says(&login(&server, "nobody", PASSWORD), "User is not found.");
    says(&login(&server, "alice", "a wrong one"), "Wrong password.");
    says(
        &login(&server, "alice", PASSWORD),
        &TEMPLATE.replace("{username}", "alice"),
    );
    let first = server.next_line();
    login(&server, "alice", PASSWORD);
    let second = server.next_line();
    for key in [&first, &second] {
        assert!(
            key.len() >= 16 && data_encoding::BASE32.decode(key.as_bytes()).is_ok(),
            "{key}"
        );
        assert!(
            !server.log().contains(key.as_str()),
            "on standard output alone"
        );
    }

    says(&code(&server, "alice", &first), "Wrong 2FA code.");
    says(&code(&server, "nobody", &second), "Wrong 2FA code.");
    says(
        &code(&server, "alice", &second),
        "Login completed successfully.",
    );
    says(&code(&server, "alice", &second), "Wrong 2FA code.");
}

#[test]
fn a_printed_key_needs_no_cookie_and_starts_a_session() {
    let mut server = start();
    register(&server, "alice", PASSWORD);
    login(&server, "alice", PASSWORD);
    let key = server.next_line();
    let anybody = client(&server);

    let answer = anybody.post("/secret_key", &[("username", "alice"), ("secret", &key)]);

    says(&answer, "Login completed successfully.");
    assert!(anybody.is_logged_in());
    says(&code(&server, "alice", &key), "Wrong 2FA code.");
    says(&anybody.get("/logout"), "You have successfully logged out.");
    assert!(!anybody.is_logged_in());
    says(
        &anybody.post("/logout", &[]),
        "You have successfully exited the program.",
    );
}

#[test]
fn a_recovery_shows_the_new_password_which_works_at_once() {
    let mut server = start();
    register(&server, "alice", PASSWORD);
    login(&server, "alice", PASSWORD);
    let key = server.next_line();
    let elsewhere = client(&server);
    elsewhere.post("/secret_key", &[("username", "alice"), ("secret", &key)]);

    let unknown = client(&server).post("/forgot_password", &[("username", "nobody")]);
    says(&unknown, "User is not found.");
    let answer = client(&server).post("/forgot_password", &[("username", "alice")]);
    let password = recovered(&answer);

    says(&answer, &format!("your new password: {password}"));
    says(&login(&server, "alice", PASSWORD), "Wrong password.");
    says(
        &login(&server, "alice", &password),
        &TEMPLATE.replace("{username}", "alice"),
    );
    assert!(!elsewhere.is_logged_in());
    assert!(!server.log().contains(&password));
}

#[test]
fn a_code_of_the_authenticator_does_instead_of_the_key() {
    of_one_machine!("--compat has files alone");
    let setup = Setup::new();
    let mut server = setup.start();
    let (_, authenticator) = Visitor::with_account(&server, "alice");
    server.kill();
    let server = setup.with(&["--compat"]).start();
    login(&server, "alice", PASSWORD);

    let used = authenticator.code();
    says(
        &code(&server, "alice", &used),
        "Login completed successfully.",
    );

    says(&code(&server, "alice", &used), "Wrong 2FA code.");
    says(&code(&server, "alice", "000000"), "Wrong 2FA code.");
}

/// The code page is the template byte by byte but for its only hole, and whoever has changed the
/// one beside the script keeps it.
#[test]
fn a_template_in_the_current_directory_is_used_instead() {
    assert_eq!(TEMPLATE.matches("{username}").count(), 1);
    let setup = Setup::new().with(&["--compat"]);
    let own = "\n<!-- ours -->\n<form>{username} {password} {{x}}</form>";
    fs::write(setup.dir().join("secret_key.html"), own).unwrap();
    let server = setup.start();
    register(&server, "alice", PASSWORD);

    let expected = "\n<!-- ours -->\n<form>alice {password} {{x}}</form>";
    says(&login(&server, "alice", PASSWORD), expected);
    let browser = Visitor::new(&server, Accept::Page);
    let page = browser.post("/login", &[("username", "alice"), ("password", PASSWORD)]);
    assert_eq!(
        page.body, expected,
        "a browser has to send the name along as well"
    );
}

#[test]
fn a_browser_gets_pages_with_the_same_texts() {
    let mut server = start();
    let browser = Visitor::new(&server, Accept::Page);
    let shows = |answer: &Answer, text: &str| {
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.body.starts_with("<!DOCTYPE html>\n"), "{answer:?}");
        assert!(answer.body.contains(text), "no {text:?} in {answer:?}");
        assert_eq!(
            answer.header("content-type"),
            Some("text/html; charset=utf-8")
        );
    };
    for (path, title) in [
        ("/", "Create an account"),
        ("/login", "Log in"),
        ("/forgot_password", "Forgot your password?"),
    ] {
        shows(&browser.get(path), title);
        assert!(client(&server).get(path).body.contains(title), "{path}");
    }
    let alice = [
        ("username", "alice"),
        ("email", "alice@example.com"),
        ("password", PASSWORD),
    ];
    shows(
        &browser.post("/register", &alice),
        "User successfully registered.",
    );
    shows(
        &browser.post("/register", &alice),
        "The user already exists.",
    );

    let wrong = browser.post(
        "/login",
        &[("username", "alice"), ("password", "a wrong one")],
    );
    shows(&wrong, "Wrong password.");
    assert!(
        wrong.body.contains("<title>Error: Log in - "),
        "the form again: {wrong:?}"
    );
    assert!(wrong.body.contains(" value=\"alice\""), "{wrong:?}");
    assert!(!wrong.body.contains("a wrong one"), "{wrong:?}");
    let unknown = browser.post("/login", &[("username", "nobody"), ("password", PASSWORD)]);
    shows(&unknown, "User is not found.");
    let unknown = browser.post("/forgot_password", &[("username", "nobody")]);
    shows(&unknown, "User is not found.");
    assert!(
        unknown
            .body
            .contains("<title>Error: Forgot your password? - "),
        "{unknown:?}"
    );

    let code = browser.post("/login", &[("username", "alice"), ("password", PASSWORD)]);
    assert_eq!(code.body, TEMPLATE.replace("{username}", "alice"));
    let key = server.next_line();
    let wrong = browser.post(
        "/secret_key",
        &[("username", "alice"), ("secret", "000000")],
    );
    shows(&wrong, "Wrong 2FA code.");
    let done = browser.post("/secret_key", &[("username", "alice"), ("secret", &key)]);
    shows(&done, "Login completed successfully.");
    assert!(browser.is_logged_in());
    let recovered = browser.post("/forgot_password", &[("username", "alice")]);
    shows(&recovered, "your new password: ");
    shows(
        &browser.post("/logout", &[]),
        "You have successfully exited the program.",
    );
    shows(&browser.get("/logout"), "You have successfully logged out.");
}

#[test]
fn what_the_script_does_not_know_is_as_ever() {
    let server = start();
    let client = client(&server);
    let ends = |answer: &Answer, status: u16, text: &str| {
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (status, text),
            "{answer:?}"
        );
        assert_eq!(
            answer.header("content-type"),
            Some("text/plain; charset=utf-8")
        );
    };

    let missing = client.post("/login", &[("username", "alice")]);
    ends(&missing, 400, "The field password is missing.");
    ends(&client.get("/none"), 404, "There is no such page.");
    ends(
        &client.ask("DELETE", "/login"),
        405,
        "This page does not take that method.",
    );
    let json = client.post_as("/login", "application/json", "{}");
    ends(
        &json,
        415,
        "Send the form as application/x-www-form-urlencoded.",
    );
    let cross = client
        .sending("sec-fetch-site", "cross-site")
        .post("/login", &[]);
    ends(&cross, 403, "This request came from another site.");
    ends(&client.get("/account"), 401, "Log in first.");
    ends(&client.get("/healthz"), 200, "ok");
    let throttled = (0..9)
        .map(|_| login(&server, "nobody", PASSWORD))
        .find(|a| a.status != 200);
    let throttled = throttled.unwrap();
    let seconds = throttled.header("retry-after").unwrap();
    let text = format!("Too many attempts. Try again in {seconds} seconds.");
    ends(&throttled, 429, &text);
    assert_eq!(throttled.header("x-content-type-options"), Some("nosniff"));
}

#[test]
fn it_is_warned_of_at_the_start() {
    let server = start();

    server.wait_for_log("WARN");

    assert!(
        server.log().contains("compatibility mode prints keys"),
        "{}",
        server.log()
    );
}

#[test]
fn a_key_file_others_can_read_is_a_warning() {
    let setup = Setup::new();
    let key = setup.dir().join("server.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let (status, _, told) = setup.run();
    assert_eq!(status.code(), Some(1), "{told}");

    let server = setup.with(&["--compat"]).start();

    server.wait_for_log("server.key");
    assert_eq!(Visitor::program(&server).get("/login").status, 200);
}

#[test]
fn the_field_names_in_the_head_are_spelt_as_the_script_does() {
    let server = Server::start_with(&["--compat", "--no-tls"]);
    let mut wire = server.connect();

    wire.send(b"GET /logout HTTP/1.1\r\nHost: localhost\r\n\r\n");

    let answer = wire.read_answer();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        answer.contains("\r\nContent-type: text/html\r\n"),
        "{answer}"
    );
    assert!(
        answer.ends_with("\r\n\r\nYou have successfully logged out."),
        "{answer}"
    );
}

#[test]
fn a_key_whose_login_could_not_be_saved_still_works() {
    let mut server = start();
    register(&server, "alice", PASSWORD);
    login(&server, "alice", PASSWORD);
    let key = server.next_line();
    let users = fs::read(server.path("users.json")).unwrap();
    fs::write(server.path("users.json"), "{").unwrap();
    let refused = code(&server, "alice", &key);
    assert_eq!(refused.status, 503, "{refused:?}");
    fs::write(server.path("users.json"), users).unwrap();

    let answer = code(&server, "alice", &key);

    says(&answer, "Login completed successfully.");
}
