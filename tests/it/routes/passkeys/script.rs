//! The one script: in three pages, allowed by its hash, and in no other.

use data_encoding::BASE64;
use sha2::{Digest as _, Sha256};

use crate::harness::{Accept, Answer, PASSWORD, Server, Visitor};

/// The script in a page; `None` if there is none. What the page allows must be just that.
#[track_caller]
fn script(page: &Answer) -> Option<&str> {
    let policy = page.header("content-security-policy").unwrap();
    let about_scripts: Vec<&str> = policy
        .split("; ")
        .filter(|directive| directive.contains("script") || directive.contains("types"))
        .collect();
    let Some((_, script)) = page.body.split_once("<script") else {
        assert_eq!(about_scripts, [] as [&str; 0], "{policy}");
        return None;
    };
    let (script, after) = script.split_once("</script>").unwrap();
    let script = script.strip_prefix('>').expect("no attribute");
    assert!(!after.contains("<script"), "one alone");
    let hash = BASE64.encode(&Sha256::digest(script));
    let allowed = format!("script-src 'sha256-{hash}'");
    assert_eq!(
        about_scripts,
        [
            allowed.as_str(),
            "require-trusted-types-for 'script'",
            "trusted-types 'none'"
        ]
    );
    assert!(policy.starts_with("default-src 'none'; "), "{policy}");
    Some(script)
}

#[test]
fn three_pages_carry_it_where_they_offer_something() {
    let server = Server::start();
    let (alice, codes, _) = Visitor::with_passkey(&server, "alice");
    let alice = alice.reading(Accept::Page);
    Visitor::with_account(&server, "bob");
    let first_step = |name: &str| {
        let visitor = Visitor::new(&server, Accept::Page);
        visitor.post("/login", &[("username", name), ("password", PASSWORD)]);
        visitor
    };
    let login = Visitor::new(&server, Accept::Page);

    let begun = [
        ("current_password", PASSWORD),
        ("secret", codes[0].as_str()),
    ];
    let with = [
        login.get("/login"),
        login.post(
            "/login",
            &[("username", "alice"), ("password", "not this one")],
        ),
        login.post("/login/passkey", &[("client", "AAAA")]),
        first_step("alice").get("/secret_key"),
        first_step("alice").get("/secret_key?recovery"),
        alice.get("/account"),
        alice.post("/account/passkeys", &begun),
        alice.post("/account/passkeys", &begun[..1]),
    ];
    for page in &with {
        let script = script(page).unwrap_or_else(|| panic!("no script in {page:?}"));
        assert!(script.len() <= 2048, "{} bytes", script.len());
    }
    let without = [
        login.get("/"),
        login.get("/forgot_password"),
        login.get("/none"),
        login.get("/secret_key"),
        first_step("bob").get("/secret_key"),
        alice.get("/account/password"),
        alice.get("/login"),
    ];
    for page in &without {
        assert_eq!(script(page), None, "{page:?}");
    }
    // Programs are told and not shown.
    let told = alice.reading(Accept::Json).get("/account");
    let policy = told.header("content-security-policy").unwrap();
    assert!(!policy.contains("script"), "{policy}");
    assert_eq!(script(&alice.get("/logout")), None);
}
