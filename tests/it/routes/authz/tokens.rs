//! Who enters by an access token, and what those are told who do not.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::tokens::{basic, kept, secret};
use crate::harness::{Answer, Server, Visitor, from_now, wait_for};
use crate::routes::authz::{
    AUTH_REQUEST, FORWARD_AUTH, VERIFY, ask, forwarded, original, session, setup, with, without,
};

const RULES: &str = r#"
[[rule]]
host = "app.example.com"
groups = ["users"]
tokens = true

[[rule]]
host = "app.example.com"
path = "/staff"
groups = ["staff"]
tokens = true

[[rule]]
host = "app.example.com"
path = "/people"
groups = ["*"]

[[rule]]
host = "*.example.com"
groups = ["*"]
tokens = true
"#;

const CHALLENGE: &str = "Basic realm=\"app.example.com\", charset=\"UTF-8\"";

/// Every host that a test asks about and that is in the domain.
pub(super) const HOSTS: [&str; 2] = ["app.example.com", "www.example.com"];

/// A server with rules, and alice with these tokens.
pub(super) fn with_tokens(tokens: &[Value]) -> (Server, Visitor) {
    let setup = setup();
    fs::write(setup.dir().join("access.toml"), RULES).unwrap();
    let server = setup.start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    give(&server, &alice, tokens);
    (server, alice)
}

fn give(server: &Server, alice: &Visitor, tokens: &[Value]) {
    server.edit_account("alice", |alice| alice["tokens"] = json!(tokens));
    wait_for("the tokens", || {
        let listed = alice.get("/account").json()["tokens"].clone();
        let ids = |all: &Value| -> Vec<Value> {
            let all = all.as_array().unwrap();
            all.iter()
                .map(|one| json!([one["id"], one["hosts"], one["expires"]]))
                .collect()
        };
        (ids(&listed) == ids(&json!(tokens))).then_some(())
    });
}

/// What a program without a session is answered at each endpoint, which must be the same.
#[track_caller]
fn enter(server: &Server, method: &str, host: &str, path: &str, more: &[(&str, &str)]) -> Answer {
    let url = format!("https://{host}{path}");
    let forwarded = with(without(forwarded(method, host, path), "Accept"), more);
    let original = with(without(original(method, &url), "Accept"), more);
    let answer = ask(server, "GET", FORWARD_AUTH, &forwarded);
    for (endpoint, fields) in [
        (AUTH_REQUEST, &original),
        (VERIFY, &original),
        (VERIFY, &forwarded),
    ] {
        let other = ask(server, "GET", endpoint, fields);
        let told = |answer: &Answer| {
            let fields = ["www-authenticate", "location", "remote-user"];
            let mut fields = fields.map(|name| answer.header(name).map(str::to_owned));
            // nginx has a page of its own for those who may not enter, and must lead to ours.
            fields[1].take_if(|_| answer.status == 403);
            (answer.status, fields)
        };
        assert_eq!(told(&other), told(&answer), "{endpoint}");
    }
    answer
}

pub(super) fn bearer(secret: &str) -> String {
    format!("Bearer {secret}")
}

#[test]
fn a_token_enters_for_its_owner_by_any_method_and_begins_no_session() {
    let (server, alice) = with_tokens(&[kept(&secret('a'), &HOSTS)]);
    let sessions = |alice: &Visitor| alice.get("/account").json()["sessions"].clone();
    let before = sessions(&alice);
    for (host, path, method) in [
        ("app.example.com", "/", "GET"),
        ("app.example.com", "/a/b?c=d", "PROPFIND"),
        ("APP.Example.com.:8443", "/", "PUT"),
        ("app.example.com", "/", "DELETE"),
        ("www.example.com", "/", "MKCALENDAR"),
    ] {
        for value in [
            bearer(&secret('a')),
            format!("bearer   {}", secret('a')),
            basic("alice", &secret('a')),
            basic("ALICE", &secret('a')),
            basic(" alice", &secret('a')),
            basic("alice@example.com", &secret('a')),
            basic("alice@EXAMPLE.com", &secret('a')),
        ] {
            let answer = enter(&server, method, host, path, &[("Authorization", &value)]);

            assert_eq!(
                (answer.status, answer.body.as_str()),
                (200, ""),
                "{value} {host}"
            );
            assert_eq!(answer.header("remote-user"), Some("alice"));
            assert_eq!(answer.header("remote-groups"), Some("users"));
            assert!(answer.header("remote-id").unwrap().len() >= 26);
            for name in ["set-cookie", "authorization", "www-authenticate"] {
                assert_eq!(answer.header(name), None);
            }
        }
    }
    assert_eq!(
        sessions(&alice).as_array().unwrap().len(),
        before.as_array().unwrap().len()
    );
}

#[test]
fn a_token_that_is_not_good_there_is_refused_like_one_that_nobody_has() {
    let expired = |at| {
        let mut token = kept(&secret('e'), &HOSTS);
        token["expires"] = json!(from_now(at));
        token
    };
    let (server, alice) = with_tokens(&[
        kept(&secret('a'), &HOSTS),
        kept(&secret('b'), &["www.example.com", "sub.app.example.com"]),
        // The first is outside of the domain, the second the login itself.
        kept(&secret('c'), &["app.example.org", "auth.example.com"]),
        expired(-1),
    ]);
    Visitor::program(&server).register("bob");
    let good = bearer(&secret('a'));
    let is_good = |server: &Server| {
        let question = without(forwarded("GET", "app.example.com", "/"), "Accept");
        let question = with(question, &[("Authorization", &good)]);
        ask(server, "GET", FORWARD_AUTH, &question).status == 200
    };
    assert!(is_good(&server));

    for value in [
        bearer(&secret('x')),
        bearer(&secret('b')),
        bearer(&secret('c')),
        bearer(&secret('e')),
        basic("bob", &secret('a')),
        basic("bob@example.com", &secret('a')),
        basic("", &secret('a')),
        basic("nobody", &secret('a')),
        basic("alice", &secret('x')),
        format!("{}, Basic YTpi", bearer(&secret('a'))),
    ] {
        let fields = [("Authorization", value.as_str())];
        let answer = enter(&server, "GET", "app.example.com", "/", &fields);
        assert_eq!(answer.status, 401, "{value}");
        assert_eq!(
            answer.header("www-authenticate"),
            Some(CHALLENGE),
            "{value}"
        );
        assert!(answer.header("location").is_some() && answer.header("remote-user").is_none());
    }
    let twice = [("Authorization", good.as_str()), ("Authorization", &good)];
    assert_eq!(
        enter(&server, "GET", "app.example.com", "/", &twice).status,
        401
    );
    // Another rule, which takes no tokens, and asks for none.
    let fields = [("Authorization", good.as_str())];
    let answer = enter(&server, "GET", "app.example.com", "/people", &fields);
    assert_eq!(
        (answer.status, answer.header("www-authenticate")),
        (401, None)
    );
    let answer = enter(&server, "GET", "sub.example.com", "/", &fields);
    assert_eq!(answer.status, 401, "a host that it is not for");
    let fields = [("Authorization", &*bearer(&secret('c')))];
    let answer = enter(&server, "GET", "auth.example.com", "/", &fields);
    assert_eq!(answer.status, 401, "the login's own");

    // A browser is told so too, and not sent to the login.
    for endpoint in [FORWARD_AUTH, VERIFY] {
        let question = forwarded("GET", "app.example.com", "/");
        let wrong = bearer(&secret('x'));
        let answer = ask(
            &server,
            "GET",
            endpoint,
            &with(question, &[("Authorization", &wrong)]),
        );
        assert_eq!(answer.status, 401);
        assert_eq!(answer.header("www-authenticate"), None);
    }

    server.edit_account("alice", |alice| alice["disabled"] = true.into());
    wait_for("the account to be disabled", || {
        (!is_good(&server)).then_some(())
    });
    server.edit_account("alice", |alice| alice["disabled"] = false.into());
    wait_for("the account to be enabled", || {
        is_good(&server).then_some(())
    });
    server.edit_account("alice", |alice| {
        alice["tokens"].as_array_mut().unwrap().remove(0);
    });
    wait_for("the token to be gone", || (!is_good(&server)).then_some(()));
    drop(alice);
}

#[test]
fn the_groups_of_the_account_decide_and_a_session_before_any_token() {
    let (server, alice) = with_tokens(&[kept(&secret('a'), &HOSTS)]);
    let (bob, _) = Visitor::with_account(&server, "bob");
    let good = bearer(&secret('a'));

    let fields = [("Authorization", good.as_str())];
    let answer = enter(&server, "GET", "app.example.com", "/staff", &fields);
    assert_eq!(answer.status, 403, "{answer:?}");
    assert_eq!(answer.header("www-authenticate"), None);

    let cookie = session(&bob);
    let both = [("Cookie", cookie.as_str()), ("Authorization", &good)];
    let answer = enter(&server, "GET", "app.example.com", "/", &both);
    assert_eq!(answer.header("remote-user"), Some("bob"));
    let wrong = bearer(&secret('x'));
    let both = [("Cookie", cookie.as_str()), ("Authorization", &wrong)];
    assert_eq!(
        enter(&server, "GET", "app.example.com", "/", &both).status,
        200
    );
    // Two sessions are none, and no token makes one of them.
    let two = format!("{cookie}; {}", session(&alice));
    let both = [("Cookie", two.as_str()), ("Authorization", &good)];
    assert_eq!(
        enter(&server, "GET", "app.example.com", "/", &both).status,
        401
    );
    let old = [("Cookie", "__Secure-session=x"), ("Authorization", &good)];
    assert_eq!(
        enter(&server, "GET", "app.example.com", "/", &old).status,
        200
    );
}

#[test]
fn a_program_is_asked_for_a_token_and_a_browser_never() {
    let (server, _) = with_tokens(&[]);
    for more in [
        &[][..],
        &[("User-Agent", "git/2.47")],
        &[("Accept", "*/*"), ("User-Agent", "curl/8 Mozilla/5.0")],
        &[("Accept", "application/xml")],
        &[("Authorization", "Bearer abc")],
        &[("Authorization", &bearer(&secret('x')))],
    ] {
        let answer = enter(&server, "GET", "app.example.com", "/", more);
        assert_eq!(answer.status, 401, "{more:?}");
        assert_eq!(
            answer.header("www-authenticate"),
            Some(CHALLENGE),
            "{more:?}"
        );
        for endpoint in [FORWARD_AUTH, VERIFY] {
            let question = without(forwarded("GET", "app.example.com", "/people"), "Accept");
            let answer = ask(&server, "GET", endpoint, &with(question, more));
            assert_eq!(answer.header("www-authenticate"), None, "{more:?}");
        }
    }
    for more in [
        ("Accept", "text/html"),
        ("Accept", "*/*, TEXT/HTML;q=0.1"),
        ("User-Agent", "Mozilla/5.0 (X11)"),
        ("X-Requested-With", "fetch"),
        ("Sec-Fetch-Mode", "cors"),
        ("Sec-Fetch-Dest", "empty"),
        ("Sec-Fetch-Site", "none"),
        ("Sec-Fetch-User", "?1"),
    ] {
        for wrong in [&[][..], &[("Authorization", &*bearer(&secret('x')))]] {
            for (endpoint, question) in [
                (FORWARD_AUTH, forwarded("GET", "app.example.com", "/")),
                (AUTH_REQUEST, original("GET", "https://app.example.com/")),
                (VERIFY, original("GET", "https://app.example.com/")),
            ] {
                let question = with(with(without(question, "Accept"), &[more]), wrong);
                let answer = ask(&server, "GET", endpoint, &question);
                assert!(matches!(answer.status, 302 | 401), "{more:?}");
                assert_eq!(
                    answer.header("www-authenticate"),
                    None,
                    "{more:?} {endpoint}"
                );
            }
        }
    }
}

#[test]
fn without_rules_no_token_is_taken() {
    let server = setup().start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    give(&server, &alice, &[kept(&secret('a'), &HOSTS)]);

    let good = bearer(&secret('a'));
    let answer = enter(
        &server,
        "GET",
        "app.example.com",
        "/",
        &[("Authorization", &good)],
    );

    assert_eq!(
        (answer.status, answer.header("www-authenticate")),
        (401, None)
    );
}

#[test]
fn a_wrong_token_counts_against_its_network_once_and_a_good_one_does_not_wait() {
    let (server, _) = with_tokens(&[kept(&secret('a'), &HOSTS)]);
    let letters = "bcdefghijklmnopqrstuvwxyz234567";
    let try_one = |from: &str, secret: &str| {
        let value = bearer(secret);
        let question = forwarded("GET", "app.example.com", "/");
        let fields = [("Authorization", value.as_str()), ("X-Forwarded-For", from)];
        ask(&server, "GET", FORWARD_AUTH, &with(question, &fields)).status
    };
    let log_in = |from: &str| {
        let visitor = Visitor::program(&server).sending("x-forwarded-for", from);
        visitor.post(
            "/login",
            &[("username", "nobody"), ("password", "wrong and long")],
        )
    };

    for _ in 0..40 {
        assert_eq!(try_one("192.0.2.1", &secret('x')), 401);
    }
    log_in("192.0.2.1").expect("wrong_credentials");
    // More than are free for a network, each of them another.
    for letter in letters.chars() {
        assert_eq!(try_one("192.0.2.2", &secret(letter)), 401, "never 429");
    }
    let waits = log_in("192.0.2.2");
    assert_eq!(waits.status, 429, "{waits:?}");
    assert_eq!(try_one("192.0.2.2", &secret('a')), 200);
    log_in("192.0.2.3").expect("wrong_credentials");
}

#[test]
fn the_last_use_is_told_at_once_by_the_hour_and_kept_on_disk() {
    of_one_machine!("users.json is written once");
    let (mut server, alice) = with_tokens(&[kept(&secret('a'), &HOSTS)]);
    let used = |alice: &Visitor| alice.get("/account").json()["tokens"][0]["used"].clone();
    assert_eq!(used(&alice), Value::Null);
    let before = fs::metadata(server.path("users.json"))
        .unwrap()
        .modified()
        .unwrap();

    let good = bearer(&secret('a'));
    for _ in 0..3 {
        enter(
            &server,
            "GET",
            "app.example.com",
            "/",
            &[("Authorization", &good)],
        );
    }

    let told = used(&alice);
    let hour = from_now(0)[..13].to_owned();
    let text = told.as_str().unwrap();
    assert!(text.ends_with(":00:00Z") && text[..13] <= *hour, "{told}");
    // A request costs no save; the end of the program makes one, if the minute has not.
    server.signal(Signal::TERM);
    server.wait();
    assert_eq!(server.users()["users"]["alice"]["tokens"][0]["used"], told);
    assert!(
        fs::metadata(server.path("users.json"))
            .unwrap()
            .modified()
            .unwrap()
            > before
    );
}

#[test]
fn a_token_that_expired_a_month_ago_leaves_the_file() {
    let ended = |days: i64| {
        let mut token = kept(&secret('e'), &HOSTS);
        token["expires"] = json!(from_now(-days * 24 * 3600));
        token
    };
    let (server, alice) = with_tokens(&[ended(29)]);
    let kept = || {
        let users = server.users();
        let tokens = users["users"]["alice"]["tokens"].as_array();
        tokens.map_or(0, Vec::len)
    };
    assert_eq!(kept(), 1);

    server.edit_account("alice", |alice| alice["tokens"] = json!([ended(31)]));

    wait_for("the token to go", || (kept() == 0).then_some(()));
    assert!(alice.is_logged_in());
}
