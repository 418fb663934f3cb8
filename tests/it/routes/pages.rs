//! What pages say and lead to, read without a browser.

use crate::harness::{Accept, PASSWORD, Server, Visitor};
use crate::routes::way_back::{TARGET, keeps};

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

#[test]
fn password_managers_find_where_to_change_a_password() {
    let server = Server::start();
    for form in [Accept::Page, Accept::Json, Accept::Text] {
        let visitor = Visitor::new(&server, form);
        for method in ["GET", "HEAD"] {
            let answer = visitor.ask(method, "/.well-known/change-password");
            assert_eq!(answer.status, 303);
            assert_eq!(answer.header("location"), Some("/account/password"));
        }
        let posted = visitor.post("/.well-known/change-password", &[]);
        assert_eq!(
            (posted.status, posted.header("allow")),
            (405, Some("GET, HEAD"))
        );
        assert_eq!(visitor.get("/.well-known/other").status, 404);
    }
}
