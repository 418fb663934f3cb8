//! Who asks about somebody learns nothing: not whether there is such a user, and not what state the
//! account is in.

use std::fs;

use crate::harness::{Accept, Answer, Server, Setup, Visitor, free_port, wait_for};
use crate::mail::forgot;

#[test]
fn an_unknown_name_is_answered_as_a_known_one() {
    let server = Server::start();
    let (_, _) = Visitor::with_account(&server, "alice");
    for form in [Accept::Json, Accept::Page, Accept::Text] {
        let ask = |path, name, password| {
            let fields = [("username", name), ("password", password)];
            shape(Visitor::new(&server, form).post(path, &fields), name)
        };
        let known = ask("/login", "alice", "a wrong one");
        assert_eq!(known, ask("/login", "nobod", "a wrong one"));
        assert_eq!(
            ask("/forgot_password", "alice", ""),
            ask("/forgot_password", "nobod", "")
        );
        let known = ask("/forgot_password", "alice@example.com", "");
        assert_eq!(known, ask("/forgot_password", "nobod@example.com", ""));
    }
}

/// An answer but for its time, the name it was asked for, and what a passkey would sign, which is
/// another on each page.
fn shape(answer: Answer, name: &str) -> (u16, Vec<(String, String)>, String) {
    let mut headers = answer.headers;
    headers.retain(|(name, _)| name != "date");
    let mut body = answer.body.replace(name, "NAME");
    const CHALLENGE: &str = "&quot;challenge&quot;:&quot;";
    if let Some(begin) = body.find(CHALLENGE) {
        let begin = begin + CHALLENGE.len();
        let length = body[begin..].find("&quot;").unwrap();
        body.replace_range(begin..begin + length, "CHALLENGE");
    }
    (answer.status, headers, body)
}

#[test]
fn a_disabled_account_and_an_old_hash_are_answered_as_an_unknown_name() {
    let setup = Setup::new();
    let hash = "$pbkdf2-sha256$i=1,l=32$c2FsdA$Eg+2z/z4syxD5yJSVsT4N6hlSMkszDVICAWYfLcL4Xs";
    let users = serde_json::json!({ "version": 1, "users": {
        "weak-hash": { "email": "w@example.com", "password": hash },
        "disabled1": { "email": "d@example.com", "password": hash, "disabled": true },
    }});
    fs::write(setup.dir().join("users.json"), users.to_string()).unwrap();
    let server = setup.start();
    for form in [Accept::Json, Accept::Page, Accept::Text] {
        let ask = |path, name, password| {
            let fields = [("username", name), ("password", password)];
            shape(Visitor::new(&server, form).post(path, &fields), name)
        };
        let unknown = ask("/login", "nobody-at", "password");
        assert_eq!(unknown.0, 401);
        assert_eq!(ask("/login", "weak-hash", "a wrong one"), unknown);
        // Even with the right password.
        assert_eq!(ask("/login", "disabled1", "password"), unknown);
        let unknown = ask("/forgot_password", "nobody-at", "");
        assert_eq!(ask("/forgot_password", "disabled1", ""), unknown);
    }
}

#[test]
fn a_mail_server_that_is_gone_shows_in_no_answer() {
    let url = format!("smtp://127.0.0.1:{}?tls=none", free_port());
    let server = Server::start_with(&["--smtp", &url]);
    let visitor = Visitor::program(&server);
    visitor.register("alice");
    let ask = |name| {
        let answer = visitor.post("/forgot_password", &[("username", name)]);
        shape(answer, name)
    };
    let first = ask("alice");
    server.wait_for_log("cannot reach the mail server");

    let after = [ask("alice"), ask("nobod")];

    assert_eq!(after, [first.clone(), first]);
    wait_for("the second mail to be written", || {
        (server.log().matches("result=\"written\"").count()
            + server.log().matches("result=written").count()
            >= 2)
            .then_some(())
    });
}

#[test]
fn a_failing_disk_does_not_show_in_the_answer_to_a_forgotten_password() {
    of_one_machine!("a disk fails");
    let server = Server::start();
    let visitor = Visitor::program(&server);
    visitor.register("alice");
    fs::remove_dir(server.path("outbox")).unwrap();
    fs::write(server.path("outbox"), "not a directory").unwrap();

    forgot(&visitor, "alice");

    server.wait_for_log("not_written");
}
