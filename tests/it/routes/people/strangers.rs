//! To whoever is not an administrator, nothing is there.

use crate::harness::three_forms::{FORMS, refused, see_other};
use crate::harness::{Accept, Answer, Server, Visitor, wait_for};
use crate::routes::people::{act, administrator, put_into};

const PATHS: [&str; 12] = [
    "/people",
    "/people/",
    "/people?page=0",
    "/people/alice",
    "/people/nobody",
    "/people/%ff",
    "/people/alice/",
    "/people/alice/disable",
    "/people/nobody/disable",
    "/people/alice/nothing",
    "/people/invite",
    "/people/invitations/end",
];

/// All that could tell one answer from another.
fn seen(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let mut headers = answer.headers.clone();
    headers.retain(|(name, _)| name != "date");
    (answer.status, headers, answer.body.clone())
}

#[test]
fn somebody_else_is_answered_as_at_a_path_that_never_was() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let form = "application/x-www-form-urlencoded";
    for accept in FORMS {
        let alice = alice.reading(accept);
        for path in PATHS {
            for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"] {
                let never = alice.ask(method, "/never");
                assert_eq!(never.status, 404);
                assert_eq!(
                    seen(&alice.ask(method, path)),
                    seen(&never),
                    "{method} {path}"
                );
            }
            for (content_type, body) in [
                (form, ""),
                (form, "current_password=x"),
                (form, "username=alice&username=alice"),
                ("application/json", "{}"),
                ("text/plain", "\0"),
            ] {
                let never = alice.post_as("/never", content_type, body);
                let answer = alice.post_as(path, content_type, body);
                assert_eq!(seen(&answer), seen(&never), "POST {path} {body}");
            }
        }
    }
}

#[test]
fn without_a_session_every_path_asks_for_a_login_and_comes_back() {
    let server = Server::start();
    Visitor::program(&server).register("alice");
    let stranger = Visitor::program(&server);
    for path in PATHS {
        let answer = stranger.get(path);
        answer.expect("login_required");
        assert_eq!(answer.status, 401, "{path}");
        let answer = act(&stranger, path);
        answer.expect("login_required");
        assert_eq!(answer.status, 401, "{path}");
    }
    let browser = stranger.reading(Accept::Page);
    for (path, back) in [
        ("/people", "/login?rd=%2Fpeople"),
        (
            "/people?q=a%26b&page=2",
            "/login?rd=%2Fpeople%3Fq%3Da%2526b%26page%3D2",
        ),
        ("/people/alice", "/login?rd=%2Fpeople%2Falice"),
        ("/people/nobody", "/login?rd=%2Fpeople%2Fnobody"),
    ] {
        see_other(&browser.get(path), back);
    }
    // What is sent is not sent again after the login.
    see_other(
        &act(&browser, "/people/alice/disable"),
        "/login?rd=%2Fpeople%2Falice",
    );
}

#[test]
fn another_sites_form_is_refused_before_anything_else() {
    let server = Server::start();
    let (ada, _) = administrator(&server, "ada");
    let lured = ada.sending("sec-fetch-site", "cross-site");
    refused(
        &lured,
        (403, "cross_site", "This request came from another site."),
        |visitor| act(visitor, "/people/ada/disable"),
    );
}

#[test]
fn who_is_taken_from_admins_is_out_at_once() {
    let server = Server::start();
    let (ada, _) = administrator(&server, "ada");
    let (eve, _) = administrator(&server, "eve");
    assert_eq!(eve.get("/people").status, 200);

    let taken = ada.post("/people/eve/groups", &[("groups", "users")]);
    taken.expect("groups_changed");

    let never = seen(&eve.get("/never"));
    assert_eq!(seen(&eve.get("/people")), never);
    let never = seen(&act(&eve, "/never"));
    assert_eq!(seen(&act(&eve, "/people/ada/disable")), never);

    // By hand it takes a second at most.
    server.edit_account("ada", |account| {
        account["groups"] = serde_json::json!(["users"])
    });
    let begun = std::time::Instant::now();
    wait_for("the edit", || {
        (ada.get("/people").status == 404).then_some(())
    });
    assert!(begun.elapsed().as_millis() < 1_500, "{:?}", begun.elapsed());
}

#[test]
fn a_group_that_only_looks_like_admins_opens_nothing() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    for group in ["Admins", "admin", "admins ", "administrators"] {
        put_into(&server, &alice, "alice", &[group]);
        assert_eq!(alice.get("/people").status, 404, "{group}");
    }
}

#[test]
fn only_the_account_page_of_an_administrator_leads_here() {
    let server = Server::start();
    let (ada, _) = administrator(&server, "ada");
    let (bob, _) = Visitor::with_account(&server, "bob");
    let leads = |visitor: &Visitor| {
        let page = visitor.reading(Accept::Page).get("/account");
        page.body.contains("href=\"/people\"")
    };
    assert!(leads(&ada));
    assert!(!leads(&bob));
}

#[test]
fn an_administrator_is_told_which_methods_there_are_and_what_is_not_there() {
    let server = Server::start();
    let (ada, _) = administrator(&server, "ada");
    for (method, path, allow) in [
        ("POST", "/people", "GET, HEAD"),
        ("PUT", "/people", "GET, HEAD"),
        ("POST", "/people/ada", "GET, HEAD"),
        ("GET", "/people/ada/disable", "POST"),
        ("DELETE", "/people/ada/remove", "POST"),
    ] {
        let answer = match method {
            "POST" => act(&ada, path),
            method => ada.ask(method, path),
        };
        answer.expect("method_not_allowed");
        assert_eq!(answer.header("allow"), Some(allow), "{method} {path}");
    }
    for path in [
        "/people/",
        "/people/ada/",
        "/people/ada/nothing",
        "/people/ada/disable/",
    ] {
        refused(
            &ada,
            (404, "not_found", "There is no such page."),
            |visitor| visitor.get(path),
        );
        assert_eq!(act(&ada, path).status, 404, "{path}");
    }
}
