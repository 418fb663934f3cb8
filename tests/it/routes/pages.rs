//! What the pages carry on and lead to, read without a browser.

use std::fs;
use std::process::Command;

use crate::harness::{Accept, Answer, PASSWORD, Server, Setup, Visitor};

/// Where one was going, and the same within an address.
const TARGET: &str = "/account?notice=sessions_ended&a=b";
const ENCODED: &str = "%2Faccount%3Fnotice%3Dsessions_ended%26a%3Db";

#[track_caller]
fn keeps(answer: &Answer, what: &str) {
    let hidden =
        "<input type=\"hidden\" name=\"rd\" value=\"/account?notice=sessions_ended&amp;a=b\">";
    assert!(answer.body.contains(hidden), "{what}: {answer:?}");
}

#[track_caller]
fn links(answer: &Answer, to: &str) {
    let link = format!(" href=\"{to}\"");
    assert!(answer.body.contains(&link), "no link to {to}: {answer:?}");
}

#[test]
fn where_one_was_going_survives_every_detour() {
    let server = Server::start();
    let browser = Visitor::new(&server, Accept::Page);
    let login = format!("/login?rd={ENCODED}");

    // By making an account,
    let page = browser.get(&login);
    keeps(&page, "login");
    links(&page, &format!("/?onward={ENCODED}"));
    let page = browser.get(&format!("/?onward={ENCODED}"));
    keeps(&page, "register");
    links(&page, &login);
    let form = |password| {
        [
            ("username", "alice"),
            ("email", "alice@example.com"),
            ("password", password),
            ("rd", TARGET),
        ]
    };
    keeps(
        &browser.post("/register", &form("short")),
        "register, refused",
    );
    let done = browser.post("/register", &form(PASSWORD));
    let registered = format!("/login?notice=registered&username=alice&rd={ENCODED}");
    assert_eq!(done.header("location"), Some(registered.as_str()));
    keeps(&browser.get(&registered), "login, registered");

    // by a wrong password and a forgotten one,
    let wrong = [
        ("username", "alice"),
        ("password", "not this"),
        ("rd", TARGET),
    ];
    let page = browser.post("/login", &wrong);
    keeps(&page, "login, refused");
    links(&page, &format!("/forgot_password?rd={ENCODED}"));
    let page = browser.get(&format!("/forgot_password?rd={ENCODED}"));
    keeps(&page, "forgot");
    links(&page, &login);
    let form = [("username", "alice"), ("rd", TARGET)];
    let sent = browser.post("/forgot_password", &form);
    let location = format!("/forgot_password?sent&rd={ENCODED}");
    assert_eq!(sent.header("location"), Some(location.as_str()));
    links(&browser.get(&location), &login);
    keeps(
        &browser.post("/forgot_password", &[("rd", TARGET)]),
        "forgot, refused",
    );

    // and by the code, of an app or from paper.
    let form = [
        ("username", "alice"),
        ("password", PASSWORD),
        ("rd", TARGET),
    ];
    let asked = browser.post("/login", &form);
    let location = format!("/secret_key?rd={ENCODED}");
    assert_eq!(asked.header("location"), Some(location.as_str()));
    keeps(&browser.get(&location), "enrol");
    keeps(
        &browser.post("/secret_key", &[("secret", "000000")]),
        "enrol, refused",
    );
    Visitor::with_account(&server, "bob");
    let form = [("username", "bob"), ("password", PASSWORD), ("rd", TARGET)];
    browser.post("/login", &form);
    keeps(&browser.get("/secret_key"), "code");
    keeps(&browser.get("/secret_key?recovery"), "recovery code");
    links(&browser.get("/secret_key"), &login);
}

#[test]
fn where_a_stranger_would_send_one_is_not_carried_on() {
    let server = Server::start();
    let browser = Visitor::new(&server, Accept::Page);

    for path in [
        "/login?rd=",
        "/?onward=",
        "/forgot_password?rd=",
        "/forgot_password?sent&rd=",
        "/secret_key?rd=",
    ] {
        let page = browser.get(&format!("{path}https%3A%2F%2Fevil.test%2F"));
        assert!(!page.body.contains("evil"), "{path}: {page:?}");
    }
}

#[test]
fn who_has_to_wait_is_told_beside_the_field_and_keeps_what_was_typed() {
    let server = Server::start();
    let browser = Visitor::new(&server, Accept::Page);
    let form = [
        ("username", "alice"),
        ("password", "not this"),
        ("rd", TARGET),
    ];

    // Waits are counted in whole seconds, so the first may be over before it has begun.
    let page = (0..12)
        .map(|_| browser.post("/login", &form))
        .find(|page| page.status == 429)
        .unwrap();

    keeps(&page, "login, throttled");
    assert!(page.body.contains(" value=\"alice\""), "{page:?}");
    assert!(!page.body.contains("not this"), "{page:?}");
    assert!(
        !page.body.contains(" aria-invalid="),
        "nothing typed is to blame: {page:?}"
    );
    let field = page.body.split("<input id=\"password\"").nth(1).unwrap();
    let (field, after) = field.split_once('>').unwrap();
    assert!(field.ends_with(" autofocus"), "{field}");
    let (beside, _) = after.split_once("</div>").unwrap();
    assert!(
        beside.contains("Too many attempts. Try again in "),
        "{beside}"
    );
    assert!(beside.contains("was not looked at"), "{beside}");
}

#[test]
fn the_operators_logo_stands_in_the_page_and_the_policy_allows_no_other_image() {
    let setup = Setup::new();
    fs::write(setup.dir().join("logo.svg"), "<svg/>").unwrap();
    let server = setup.start();

    let page = Visitor::new(&server, Accept::Page).get("/login");

    let image = "<img class=\"logo\" src=\"data:image/svg+xml;base64,PHN2Zy8+\" alt=\"\">";
    assert!(page.body.contains(image), "{page:?}");
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("; img-src data:; "), "{policy}");
}

#[test]
fn a_logo_that_is_too_large_is_left_out_with_a_warning() {
    let setup = Setup::new();
    fs::write(setup.dir().join("logo.png"), vec![0; 3 * 1024 + 1]).unwrap();
    let server = setup.start();

    let page = Visitor::new(&server, Accept::Page).get("/login");

    assert!(!page.body.contains("<img"), "{page:?}");
    let policy = page.header("content-security-policy").unwrap();
    assert!(!policy.contains("img-src"), "{policy}");
    server.wait_for_log("the logo is too large and is not shown");
}

#[test]
fn a_logo_that_is_a_pipe_does_not_keep_the_server_waiting() {
    let setup = Setup::new();
    let made = Command::new("mkfifo")
        .arg(setup.dir().join("logo.svg"))
        .status();
    assert!(made.unwrap().success());

    let server = setup.start();

    server.wait_for_log("the logo cannot be read and is not shown");
}

#[test]
fn a_wrong_recovery_code_is_not_blamed_on_the_clock_of_a_phone() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let visitor = Visitor::new(&server, Accept::Page);
    visitor.post("/login", &[("username", "alice"), ("password", PASSWORD)]);
    let (recovery, clock) = ("none of your recovery codes", "the clock of your phone");
    for (typed, said, unsaid) in [
        ("abcd-efgh-ijkl-mnop", recovery, clock),
        ("ABCD EFGH IJKL MNOP", recovery, clock),
        ("000000", clock, recovery),
    ] {
        let page = visitor.post("/secret_key", &[("secret", typed)]).body;
        assert!(page.contains(said) && !page.contains(unsaid), "{typed}");
        let form = [("current_password", PASSWORD), ("secret", typed)];
        let page = alice
            .reading(Accept::Page)
            .post("/account/totp", &form)
            .body;
        assert!(page.contains(said) && !page.contains(unsaid), "{typed}");
    }
}
