//! What a rule opens to everybody.

use std::fs;

use crate::harness::Visitor;
use crate::harness::tokens::secret;
use crate::routes::authz::{
    AUTH_REQUEST, FORWARD_AUTH, VERIFY, ask, forwarded, original, session, setup, with,
};

const RULES: &str = r#"
[[rule]]
host = "app.example.com"
groups = ["staff"]

[[rule]]
host = "app.example.com"
path = "/feed"
public = true
"#;

#[test]
fn everybody_enters_where_a_rule_says_so_and_nobody_is_named() {
    let setup = setup();
    fs::write(setup.dir().join("access.toml"), RULES).unwrap();
    let server = setup.start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let cookie = session(&alice);
    let wrong = format!("Bearer {}", secret('z'));
    let two = format!("{cookie}; {cookie}");
    for fields in [
        &[][..],
        &[("Cookie", cookie.as_str())],
        &[("Cookie", &two)],
        &[("Authorization", &wrong)],
        &[("Sec-Fetch-Mode", "cors")],
    ] {
        for (path, question) in [
            (
                FORWARD_AUTH,
                forwarded("PUT", "app.example.com", "/feed/a?b"),
            ),
            (
                AUTH_REQUEST,
                original("PUT", "https://app.example.com/feed"),
            ),
            (VERIFY, forwarded("GET", "APP.example.com.", "/feed/")),
        ] {
            let answer = ask(&server, "GET", path, &with(question, fields));

            assert_eq!(
                (answer.status, answer.body.as_str()),
                (200, ""),
                "{answer:?}"
            );
            for name in ["user", "name", "email", "groups", "id"] {
                let field = format!("remote-{name}");
                assert_eq!(answer.header(&field), Some("-"), "{field} {fields:?}");
            }
            for name in [
                "authorization",
                "www-authenticate",
                "set-cookie",
                "location",
            ] {
                assert_eq!(answer.header(name), None, "{fields:?}");
            }
        }
        for path in ["/", "/feed.json", "/FEED", "/feed%20", "/feeds"] {
            let question = with(forwarded("GET", "app.example.com", path), fields);
            let answer = ask(&server, "GET", FORWARD_AUTH, &question);
            assert_ne!(answer.status, 200, "{path} {fields:?}");
        }
        for path in ["/feed%2fx", "/feed/..", "/feed//x", "/feed;x"] {
            let question = with(forwarded("GET", "app.example.com", path), fields);
            let answer = ask(&server, "GET", FORWARD_AUTH, &question);
            assert_eq!(answer.status, 403, "{path} {fields:?}");
        }
    }
}
