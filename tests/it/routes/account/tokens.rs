//! Access tokens on the account page: made, listed, removed.

use std::fs;

use serde_json::{Value, json};

use crate::harness::tokens::{kept, secret};
use crate::harness::{Accept, Answer, PASSWORD, Server, Setup, Visitor, from_now, wait_for};
use crate::routes::account::NEW;

fn setup() -> Setup {
    Setup::new().for_applications()
}

/// A form for a token, with this code.
fn form(code: &str) -> Vec<(&'static str, String)> {
    vec![
        ("name", "Phone".to_owned()),
        ("hosts", "app.example.com".to_owned()),
        ("days", "30".to_owned()),
        ("current_password", PASSWORD.to_owned()),
        ("secret", code.to_owned()),
    ]
}

fn send(visitor: &Visitor, form: &[(&'static str, String)]) -> Answer {
    let form: Vec<_> = form
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    visitor.post("/account/tokens", &form)
}

fn remove(visitor: &Visitor, id: &str, password: &str) -> Answer {
    let form = [("token", id), ("current_password", password)];
    visitor.post("/account/tokens/remove", &form)
}

fn listed(visitor: &Visitor) -> Vec<Value> {
    let account = visitor.get("/account").json();
    account["tokens"].as_array().unwrap().clone()
}

fn status_with(server: &Server, token: &str) -> u16 {
    Visitor::program(server)
        .sending("x-forwarded-method", "GET")
        .sending("x-forwarded-proto", "https")
        .sending("x-forwarded-host", "app.example.com")
        .sending("x-forwarded-uri", "/")
        .sending("authorization", &format!("Bearer {token}"))
        .get("/api/authz/forward-auth")
        .status
}

#[test]
fn a_token_is_made_shown_once_and_removed() {
    let setup = setup().alone();
    let rule = "[[rule]]\nhost = \"app.example.com\"\ngroups = [\"*\"]\ntokens = true\n";
    fs::write(setup.dir().join("access.toml"), rule).unwrap();
    let server = setup.start();
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    assert_eq!(listed(&alice), Vec::<Value>::new());

    let code = authenticator.code();
    let made = send(&alice, &form(&code));
    made.expect("token_made");
    let told = made.json();
    let token = told["token"].as_str().unwrap();
    let id = told["id"].as_str().unwrap();
    assert_eq!(made.status, 200);
    assert_eq!(
        told["message"],
        format!("Your access token, shown once: {token}")
    );
    assert!(token.len() == 35 && token.starts_with("au_"));
    let expires = told["expires"].as_str().unwrap();
    let month = |seconds: i64| from_now(30 * 24 * 3600 + seconds);
    assert!(*month(-60) < *expires && *expires <= *month(0), "{expires}");
    assert_eq!(status_with(&server, token), 200);
    let text = server.kept("users.json");
    assert!(
        !text.contains(token) && !text.contains(&token[3..]),
        "kept hashed"
    );
    let mail = server.next_mail("An access token was made");
    assert!(
        mail.contains("Phone") && mail.contains("app.example.com"),
        "{mail}"
    );
    assert!(!mail.contains(token));

    // The same form again is the same token; so it is in another form of answer.
    assert_eq!(send(&alice, &form(&code)).json(), told);
    let as_text = send(&alice.reading(Accept::Text), &form(&code));
    assert_eq!(
        as_text.body,
        format!("Your access token, shown once: {token}")
    );
    let page = send(&alice.reading(Accept::Page), &form(&code));
    assert!(page.status == 200 && page.body.contains(token), "{page:?}");
    let all = listed(&alice);
    let [one] = &all[..] else { panic!("{all:?}") };
    assert_eq!((&one["id"], &one["name"]), (&told["id"], &json!("Phone")));
    assert_eq!(one["hosts"], json!(["app.example.com"]));
    assert_eq!(one["expires"], told["expires"]);
    let account = alice.reading(Accept::Page).get("/account").body;
    assert!(account.contains("Phone") && !account.contains(token));

    remove(&alice, id, NEW).expect("wrong_password");
    let answer = remove(&alice, "unknown", PASSWORD);
    assert_eq!(answer.status, 404);
    answer.expect("not_found");
    assert_eq!(status_with(&server, token), 200);
    let removed = remove(&alice, id, PASSWORD);
    removed.expect("token_removed");
    assert_eq!(removed.json()["message"], "Done.");
    assert_eq!(status_with(&server, token), 401);
    assert!(
        server
            .next_mail("An access token was removed")
            .contains("Phone")
    );
    // Twice within a minute is once; and the token does not come back.
    remove(&alice, id, PASSWORD).expect("token_removed");
    send(&alice, &form(&code)).expect("wrong_code");
    assert!(listed(&alice).is_empty() && alice.is_logged_in());
    let events = alice.get("/account").json()["events"].clone();
    let named = |name| {
        let all = events.as_array().unwrap().iter();
        all.filter(|event| event["event"] == name).count()
    };
    assert_eq!(
        (named("token_made"), named("token_removed")),
        (1, 1),
        "{events}"
    );
}

#[test]
fn a_browser_is_led_back_to_its_account() {
    let server = setup().start();
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    let browser = alice.reading(Accept::Page);
    let made = send(&alice, &form(&authenticator.code())).json();

    let wrong = remove(&browser, made["id"].as_str().unwrap(), NEW);
    let gone = remove(&browser, made["id"].as_str().unwrap(), PASSWORD);

    assert!(wrong.status == 401 && wrong.body.contains("Remove an access token"));
    assert_eq!(
        (gone.status, gone.header("location")),
        (303, Some("/account?notice=token_removed"))
    );
    let mut form = form("000000");
    form[1].1 = "app.example.org".to_owned();
    form[2].1 = "31".to_owned();
    let again = send(&browser, &form);
    assert_eq!(again.status, 400);
    for typed in [
        "value=\"Phone\"",
        "value=\"app.example.org\"",
        "value=\"31\"",
    ] {
        assert!(again.body.contains(typed), "{typed}");
    }
}

#[test]
fn a_form_that_says_what_cannot_be_is_refused_by_its_field() {
    let server = setup().start();
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    let many: Vec<String> = (0..21).map(|at| format!("a{at}.example.com")).collect();
    let many = many.join(" ");
    let long = "x".repeat(65);
    for (field, value) in [
        ("name", ""),
        ("name", long.as_str()),
        ("name", "a\u{7}b"),
        ("name", "a\u{202e}b"),
        ("hosts", ""),
        ("hosts", " , "),
        ("hosts", "*.example.com"),
        ("hosts", "app.example.com:443"),
        ("hosts", "https://app.example.com"),
        ("hosts", "app.example.com/path"),
        ("hosts", "auth.example.com"),
        ("hosts", "app.example.com auth.example.com"),
        ("hosts", "app.example.org"),
        ("hosts", "evilexample.com"),
        ("hosts", "127.0.0.1"),
        ("hosts", &many),
        ("days", ""),
        ("days", "0"),
        ("days", "366"),
        ("days", "-1"),
        ("days", "+1"),
        ("days", "1.5"),
        ("days", "ninety"),
        ("days", "18446744073709551617"),
        ("current_password", ""),
        ("secret", ""),
    ] {
        let mut sent = form(&authenticator.last_code());
        sent.iter_mut().find(|(name, _)| *name == field).unwrap().1 = value.to_owned();
        let answer = send(&alice, &sent);
        assert_eq!(
            (answer.status, &answer.json()["field"]),
            (400, &json!(field)),
            "{field}={value}"
        );
        sent.retain(|(name, _)| *name != field);
        assert_eq!(send(&alice, &sent).json()["field"], field);
        sent.push((field, "1".to_owned()));
        sent.push((field, "1".to_owned()));
        assert_eq!(send(&alice, &sent).json()["field"], field, "twice");
    }
    for (password, code, refused) in [
        (NEW, authenticator.code(), "wrong_password"),
        (PASSWORD, "000000".to_owned(), "wrong_code"),
    ] {
        let mut sent = form(&code);
        sent[3].1 = password.to_owned();
        send(&alice, &sent).expect(refused);
    }
    assert_eq!(server.users()["users"]["alice"].get("tokens"), None);

    let mut sent = form(&authenticator.code());
    sent[0].1 = format!(" {} ", "é".repeat(64));
    let hosts = "APP.example.com., b.Example.com,\tx\u{e9}.example.com\nexample.com b.example.com";
    sent[1].1 = hosts.to_owned();
    sent[2].1 = " 365 ".to_owned();
    send(&alice, &sent).expect("token_made");
    let hosts = [
        "app.example.com",
        "b.example.com",
        "xn--x-bga.example.com",
        "example.com",
    ];
    let all = listed(&alice);
    assert_eq!(all[0]["hosts"], json!(hosts));
    assert_eq!(all[0]["name"], "é".repeat(64));
    let strangers = Visitor::program(&server);
    assert_eq!(send(&strangers, &form("000000")).status, 401);
    assert_eq!(remove(&strangers, "x", PASSWORD).status, 401);
}

#[test]
fn there_are_twenty_at_most_and_expired_ones_are_listed_and_do_not_count() {
    let server = setup().start();
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    let letters = "abcdefghijklmnopqrst";
    let mut tokens: Vec<Value> = letters
        .chars()
        .map(|letter| kept(&secret(letter), &["app.example.com"]))
        .collect();
    let give = |tokens: &[Value]| {
        server.edit_account("alice", |alice| alice["tokens"] = json!(tokens));
        wait_for("the tokens", || {
            let ends = |all: &[Value]| -> Vec<Value> {
                all.iter().map(|one| one["expires"].clone()).collect()
            };
            (ends(&listed(&alice)) == ends(tokens)).then_some(())
        });
    };
    give(&tokens);

    let code = authenticator.code();
    let answer = send(&alice, &form(&code));
    answer.expect("too_many_tokens");
    assert_eq!(answer.status, 409);
    let message = "There are twenty access tokens already. Remove one first.";
    assert_eq!(answer.json()["message"], message);

    tokens[0]["expires"] = json!(from_now(-60));
    tokens[1]["hosts"] = json!(["app.example.org"]);
    give(&tokens);
    let page = alice.reading(Accept::Page).get("/account").body;
    assert!(page.contains(", expired <time"), "{page}");
    assert!(page.contains("Not good at app.example.org"), "{page}");
    // The code was not used up.
    send(&alice, &form(&code)).expect("token_made");
    assert_eq!(listed(&alice).len(), 21);
}

#[test]
fn without_applications_there_are_no_tokens() {
    let flags = [
        "--public-url",
        "https://auth.example.com",
        "--cookie-domain",
        "example.com",
    ];
    let compat = Setup::new().with(&flags).with(&[
        "--registration",
        "open",
        "--compat",
        "--trusted-proxy",
        "127.0.0.1",
    ]);
    let alone = Server::start();
    for server in [&alone, &compat.start()] {
        let visitor = Visitor::program(server);
        for path in ["/account/tokens", "/account/tokens/remove"] {
            for answer in [visitor.get(path), visitor.post(path, &[("name", "x")])] {
                assert_eq!(answer.status, 404, "{path} {answer:?}");
            }
        }
    }
    let (alice, _) = Visitor::with_account(&alone, "alice");
    assert_eq!(alice.get("/account").json().get("tokens"), None);
    let page = alice.reading(Accept::Page).get("/account").body;
    assert!(!page.contains("ccess token"), "{page}");
}

#[test]
fn a_new_password_leaves_tokens_and_says_so() {
    let server = setup().start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let tokens = [
        kept(&secret('a'), &["app.example.com"]),
        kept(&secret('b'), &["a.example.com"]),
    ];
    server.edit_account("alice", |alice| alice["tokens"] = json!(tokens));
    wait_for("the tokens", || (listed(&alice).len() == 2).then_some(()));

    alice.change_password(NEW);

    let page = alice
        .reading(Accept::Page)
        .get("/account?notice=password_changed")
        .body;
    assert!(
        page.contains("Password changed. Still good: 2 access tokens."),
        "{page}"
    );
    let mail = server.next_mail("Your password was changed");
    assert!(mail.contains("Still good: 2 access tokens."), "{mail}");
    assert_eq!(listed(&alice).len(), 2);
}

#[test]
fn tokens_end_with_the_second_factor_and_go_with_the_account() {
    of_one_machine!("an edit of users.json ends what rested on it");
    let server = setup().start();
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    let give = |name: &str| {
        let tokens = [kept(&secret('a'), &["app.example.com"])];
        server.edit_account(name, |account| account["tokens"] = json!(tokens));
    };
    give("alice");
    wait_for("the token", || (listed(&alice).len() == 1).then_some(()));
    server.edit_account("alice", |alice| {
        alice.as_object_mut().unwrap().remove("totp");
    });
    wait_for("the token to go", || {
        server.users()["users"]["alice"]
            .get("tokens")
            .is_none()
            .then_some(())
    });
    let mail = server.next_mail("Your authenticator was removed");
    assert!(mail.contains("access tokens no longer work"), "{mail}");
    drop(authenticator);

    let (bob, authenticator) = Visitor::with_account(&server, "bob");
    give("bob");
    wait_for("the token", || (listed(&bob).len() == 1).then_some(()));
    let code = authenticator.code();
    bob.post(
        "/account/delete",
        &[("current_password", PASSWORD), ("secret", &code)],
    )
    .expect("account_deleted");
    let text = server.kept("users.json");
    assert!(!text.contains("\"hash\""), "{text}");
}
