//! Where there are no passkeys: at an address, and with `--compat`.

use serde_json::json;

use crate::harness::passkey::making;
use crate::harness::three_forms::refused;
use crate::harness::{Accept, PASSWORD, Setup, Visitor};
use crate::routes::passkeys::is_wrong;

const NOT_HERE: (u16, &str, &str) = (409, "no_passkeys_here", "Passkeys need a host name.");

#[test]
fn an_address_has_none_and_says_so() {
    for address in ["https://127.0.0.1", "https://[::1]:8443"] {
        let setup = Setup::new();
        let mut server = setup.start();
        let (_, codes, mut passkey) = Visitor::with_passkey(&server, "alice");
        let asked = Visitor::program(&server).asked();
        server.kill();
        let server = setup.clone().with(&["--public-url", address]).start();
        let visitor = Visitor::program(&server);

        let page = visitor.get("/login");
        assert_eq!(
            page.json(),
            json!({ "code": "log_in", "message": "Log in." })
        );
        is_wrong(&visitor.send("/login/passkey", &passkey.using(&asked)));
        let login = [("username", "alice"), ("password", PASSWORD)];
        let answer = visitor.post("/login", &login);
        answer.expect("code_required");
        assert_eq!(answer.json().get("passkey"), None);
        let code = visitor.reading(Accept::Page).get("/secret_key");
        is_wrong(&visitor.send("/secret_key/passkey", &passkey.using(&asked)));
        visitor
            .post("/secret_key", &[("secret", &codes[0])])
            .expect("login_complete");
        for path in ["", "/confirm", "/remove"] {
            let path = format!("/account/passkeys{path}");
            let form = [
                ("current_password", PASSWORD),
                ("secret", codes[1].as_str()),
            ];
            refused(&visitor, NOT_HERE, |visitor| visitor.post(&path, &form));
        }
        let listed = visitor.get("/account").json()["passkeys"].clone();
        assert_eq!(listed[0]["host"], "localhost");
        server.wait_for_log("1 accounts have passkeys for another host than ");
        let account = visitor.reading(Accept::Page).get("/account");
        assert!(
            account.body.contains("where passkeys do not work"),
            "{account:?}"
        );
        let login = Visitor::new(&server, Accept::Page).get("/login");
        for page in [login, code, account] {
            assert!(!page.body.contains("<script"), "{page:?}");
            assert!(!page.body.contains("data-script"), "{page:?}");
            let policy = page.header("content-security-policy").unwrap();
            assert!(!policy.contains("script"), "{policy}");
        }
    }
}

#[test]
fn the_original_script_knows_none() {
    let setup = Setup::new();
    let mut server = setup.start();
    let (_, _, passkey) = Visitor::with_passkey(&server, "alice");
    server.kill();
    let server = setup.clone().with(&["--compat"]).start();
    let visitor = Visitor::program(&server);
    let row = (404, "not_found", "There is no such page.");
    let fields = making(&passkey.device, &json!({ "challenge": "AAAA" }));
    for path in [
        "/login/passkey",
        "/secret_key/passkey",
        "/account/passkeys",
        "/account/passkeys/confirm",
        "/account/passkeys/remove",
    ] {
        refused(&visitor, row, |visitor| visitor.send(path, &fields));
        refused(&visitor, row, |visitor| visitor.get(path));
    }
    let page = visitor.get("/login");
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(page.body.contains("<h1>Log in</h1>"), "{page:?}");
    assert!(!page.body.contains("passkey") && !page.body.contains("<script"));
    assert_eq!(page.header("vary"), None);
    assert!(!server.log().contains("passkeys for another host"));
}
