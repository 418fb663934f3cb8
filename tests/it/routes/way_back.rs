//! Where one was going, kept through the whole login; where a stranger would send one, not kept.

use crate::harness::{Accept, Answer, Authenticator, PASSWORD, Server, Setup, Visitor};

/// Where one was going, and the same within an address.
pub(super) const TARGET: &str = "/account?notice=sessions_ended&a=b";
const ENCODED: &str = "%2Faccount%3Fnotice%3Dsessions_ended%26a%3Db";

#[track_caller]
pub(super) fn keeps(answer: &Answer, what: &str) {
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
fn a_visitor_ends_up_where_they_were_going() {
    let server = Setup::new().for_domain("example.com").start();
    let target = "https://app.example.com/reports?year=2026&q=a+b";
    let encoded = "https%3A%2F%2Fapp.example.com%2Freports%3Fyear%3D2026%26q%3Da%2Bb";
    let browser = Visitor::new(&server, Accept::Page);
    browser.reading(Accept::Json).register("alice");
    let old = browser.get(&format!("/?rd={encoded}"));
    assert_eq!(
        old.header("location"),
        Some(format!("/login?rd={encoded}").as_str())
    );
    let login = browser.get(&format!("/login?rd={encoded}"));
    let kept = "name=\"rd\" value=\"https://app.example.com/reports?year=2026&amp;q=a+b\"";
    assert!(login.body.contains(kept), "{login:?}");
    let form = |rd| [("username", "alice"), ("password", PASSWORD), ("rd", rd)];

    // The first time by way of the recovery codes,
    browser.post("/login", &form(target));
    let page = browser.get("/secret_key").body;
    let authenticator = Authenticator::new(&page.split_once("?secret=").unwrap().1[..32]);
    let codes = browser.post("/secret_key", &[("secret", &authenticator.code())]);
    let onward = "href=\"https://app.example.com/reports?year=2026&amp;q=a+b\"";
    assert!(codes.body.contains(onward), "{codes:?}");
    // then straight,
    browser.post("/login", &form(target));
    let done = browser.post("/secret_key", &[("secret", &authenticator.code())]);
    assert_eq!((done.status, done.header("location")), (303, Some(target)));
    // also after a mailed password,
    let mailed = browser.mailed_password(&server, "alice");
    browser.post(
        "/login",
        &[("username", "alice"), ("password", &mailed), ("rd", target)],
    );
    browser.post("/secret_key", &[("secret", &authenticator.code())]);
    let done = browser.post("/account/password", &[("new_password", PASSWORD)]);
    assert_eq!((done.status, done.header("location")), (303, Some(target)));
    // but never to a stranger.
    authenticator.forget(&server, "alice");
    browser.post("/login", &form("https://example.com.evil.test/"));
    let done = browser.post("/secret_key", &[("secret", &authenticator.code())]);
    assert_eq!(
        (done.status, done.header("location")),
        (303, Some("/account"))
    );
}
