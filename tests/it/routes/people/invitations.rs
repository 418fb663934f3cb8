//! Invitations, as administrators make and withdraw them.

use serde_json::{Value, json};

use super::{act, administrator, put_into};
use crate::harness::three_forms::{json, page, refused, see_other, text};
use crate::harness::{Accept, Answer, PASSWORD, Server, Setup, Visitor, from_now};
use crate::operator::{run, told};

fn invite(visitor: &Visitor, fields: &[(&str, &str)]) -> Answer {
    visitor.post("/people/invite", fields)
}

fn invited_only() -> Server {
    Setup::new().with(&["--registration", "invited"]).start()
}

/// An administrator where strangers cannot register.
fn root(server: &Server) -> Visitor {
    let words = ["user", "add", "root", "--email", "root@example.com"];
    let words = [&words[..], &["--groups", "admins", "--password-stdin"]].concat();
    let said = run(&Setup::of(server), &words, PASSWORD.as_bytes());
    assert_eq!(said.0, 0, "{said:?}");
    let visitor = Visitor::program(server);
    crate::harness::wait_for("the account", || {
        let login = [("username", "root"), ("password", PASSWORD)];
        let answer = visitor.post("/login", &login);
        (answer.json()["code"] == "enrol_required").then_some(())
    });
    visitor.enrol("root");
    visitor
}

fn open(visitor: &Visitor) -> Vec<Value> {
    let list = visitor.get("/people").json();
    list["invitations"].as_array().unwrap().clone()
}

fn token(server: &Server, link: &str) -> String {
    let token = link.strip_prefix(&server.url("/invitation?token="));
    token.unwrap_or_else(|| panic!("{link}")).to_owned()
}

fn accept(server: &Server, token: &str, name: &str, email: &str) -> Answer {
    let mut form = vec![("token", token), ("username", name), ("password", PASSWORD)];
    form.extend((!email.is_empty()).then_some(("email", email)));
    Visitor::program(server).post("/register", &form)
}

#[test]
fn an_invitation_is_mailed_listed_and_used() {
    let server = invited_only();
    let root = root(&server);
    let fields = [
        ("email", "alice@example.com"),
        ("groups", "family, staff"),
        ("days", "3"),
    ];
    let made = invite(&root, &fields);
    assert_eq!(made.status, 200);
    let made = made.json();
    let link = made["link"].as_str().unwrap();
    assert_eq!(made["code"], "invited");
    assert_eq!(made["message"], format!("Invitation made: {link}"));
    assert_eq!(made["email"], "alice@example.com");
    assert_eq!(made["groups"], json!(["users", "family", "staff"]));
    let day = 24 * 60 * 60;
    let expires = made["expires"].as_str().unwrap();
    assert!(expires > from_now(3 * day - 60).as_str() && expires <= from_now(3 * day).as_str());

    let mail = server.next_mail("Your invitation");
    assert!(mail.contains("To: alice@example.com"), "{mail}");
    assert!(mail.lines().any(|line| line == link), "{mail}");
    let listed = open(&root);
    assert_eq!(
        listed,
        [json!({
            "id": made["id"],
            "email": "alice@example.com",
            "groups": ["users", "family", "staff"],
            "by": "root",
            "expires": expires,
        })]
    );
    let token = token(&server, link);
    assert!(!server.users().to_string().contains(&token));
    assert!(!server.log().contains(&token));

    accept(&server, &token, "alice", "").expect("registered");
    assert_eq!(told(&server, "registered")["invitation"], made["id"]);
    let alice = &server.users()["users"]["alice"];
    assert_eq!(alice["groups"], json!(["users", "family", "staff"]));
    assert_eq!(open(&root), [] as [Value; 0]);
}

#[test]
fn an_invitation_is_made_in_three_forms_and_withdrawn() {
    let server = invited_only();
    let root = root(&server);
    let as_text = invite(&root.reading(Accept::Text), &[]);
    assert_eq!(as_text.status, 200);
    let link = as_text
        .body
        .strip_prefix("Invitation made: ")
        .unwrap()
        .trim_end();
    let id = open(&root)[0]["id"].as_str().unwrap().to_owned();
    let named = [("invitation", id.as_str())];
    let browser = root.reading(Accept::Page);

    let withdrawn = browser.post("/people/invitations/end", &named);
    see_other(&withdrawn, "/people?notice=invitation_ended");
    let said = browser.get("/people?notice=invitation_ended");
    assert!(said.body.contains("The invitation is withdrawn."));
    accept(&server, &token(&server, link), "a", "a@example.com").expect("no_invitation");

    let shown = invite(&browser, &[("email", "bob@example.com")]);
    assert_eq!(shown.status, 200);
    let link = open(&root)[0]["id"].clone();
    assert!(
        shown.body.contains(&server.url("/invitation?token=")),
        "{link}"
    );
    let list = browser.get("/people");
    assert!(list.body.contains("bob@example.com"));
    assert!(list.body.contains("Invited by root"));
    let unknown = (
        404,
        "no_invitation",
        "This invitation is used, expired or unknown.",
    );
    // The answer to the same form would be given again.
    for id in [id.as_str(), "unknown"] {
        let fields = [("invitation", id), ("form", "0123456789abcdef")];
        refused(&root, unknown, |visitor| {
            visitor.post("/people/invitations/end", &fields)
        });
    }
    let id = open(&root)[0]["id"].as_str().unwrap().to_owned();
    let ended = root.post("/people/invitations/end", &[("invitation", &id)]);
    json(&ended, 200, "invitation_ended", "Done.");
    let made = invite(&root, &[]).json();
    let fields = [("invitation", made["id"].as_str().unwrap())];
    let ended = root
        .reading(Accept::Text)
        .post("/people/invitations/end", &fields);
    text(&ended, 200, "Done.");
}

#[test]
fn what_cannot_be_invited_is_refused_beside_its_field_and_nothing_is_made() {
    let server = invited_only();
    let root = root(&server);
    let long = "g".repeat(65);
    let many: String = (0..50).map(|n| format!("g{n},")).collect();
    for (field, value, said) in [
        (
            "email",
            "alice",
            "The field email is not an e-mail address.",
        ),
        ("groups", "a;b", "The field groups may hold names"),
        ("groups", &long, "The field groups may hold names"),
        ("groups", &many, "The field groups is too long"),
        ("days", "0", "The field days must be a number from 1 to 90."),
        (
            "days",
            "91",
            "The field days must be a number from 1 to 90.",
        ),
        (
            "days",
            "-1",
            "The field days must be a number from 1 to 90.",
        ),
        (
            "days",
            "1.5",
            "The field days must be a number from 1 to 90.",
        ),
        (
            "days",
            "week",
            "The field days must be a number from 1 to 90.",
        ),
    ] {
        let answer = invite(&root, &[(field, value)]);
        assert_eq!(answer.status, 400, "{value}: {}", answer.body);
        assert_eq!(answer.json()["field"], field, "{value}");
        let shown = invite(&root.reading(Accept::Page), &[(field, value)]);
        assert_eq!(shown.status, 400);
        assert!(shown.body.contains(said), "{}", shown.body);
        assert!(
            shown.body.contains(&format!("value=\"{value}\"")),
            "{value}"
        );
    }
    let taken = "User with this email already exists";
    let fields = [("email", "ROOT@example.com")];
    refused(&root, (409, "email_exists", taken), |visitor| {
        invite(visitor, &fields)
    });
    assert_eq!(open(&root), [] as [Value; 0]);
}

#[test]
fn where_registration_is_closed_nobody_is_invited() {
    let setup = Setup::new().with(&["--registration", "closed"]);
    let server = setup.start();
    let root = root(&server);
    let closed = (403, "registration_closed", "Registration is closed.");
    refused(&root, closed, |visitor| invite(visitor, &[]));
    let list = root.reading(Accept::Page).get("/people");
    assert!(!list.body.contains("/people/invite"), "{}", list.body);
}

#[test]
fn two_to_one_address_live_until_one_is_used() {
    let server = invited_only();
    let root = root(&server);
    let link = |form| {
        let fields = [("email", "alice@example.com"), ("form", form)];
        let made = invite(&root, &fields).json();
        token(&server, made["link"].as_str().unwrap())
    };
    let (one, other) = (link("0123456789abcdef"), link("fedcba9876543210"));
    assert_ne!(one, other);
    accept(&server, &one, "alice", "").expect("registered");
    accept(&server, &other, "bob", "").expect("no_invitation");
}

#[test]
fn the_same_form_makes_one_invitation_as_long_as_that_is_open() {
    let setup = Setup::new().alone();
    let server = setup.with(&["--registration", "invited"]).start();
    let root = root(&server);
    let form = [("form", "0123456789abcdef")];
    let first = invite(&root, &form).json();
    assert_eq!(invite(&root, &form).json()["link"], first["link"]);
    assert_eq!(open(&root).len(), 1);
    let id = first["id"].as_str().unwrap();
    root.post("/people/invitations/end", &[("invitation", id)])
        .expect("invitation_ended");
    assert_ne!(invite(&root, &form).json()["link"], first["link"]);
}

#[test]
fn who_is_no_administrator_finds_nothing_and_invites_nobody() {
    let server = Server::start();
    let (root, _) = administrator(&server, "chief");
    let (eve, _) = Visitor::with_account(&server, "eve");
    for path in ["/people/invite", "/people/invitations/end"] {
        let never = eve.post("/peoples", &[]);
        let answer = act(&eve, path);
        assert_eq!((answer.status, answer.body), (never.status, never.body));
        act(&Visitor::program(&server), path).expect("login_required");
        assert_eq!(root.ask("PUT", path).status, 405);
    }
    put_into(&server, &root, "chief", &["users"]);
    invite(&root, &[]).expect("not_found");
    page(
        &root.reading(Accept::Page).post("/people/invite", &[]),
        404,
        "There is no such page.",
    );
    assert_eq!(server.users().get("invitations"), None);
}
