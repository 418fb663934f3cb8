//! Using an invitation: by a link that makes an account, or that gives one its first password.

use std::fs;
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::harness::three_forms::{FORMS, json, page, refused, see_other, text};
use crate::harness::{Accept, Answer, PASSWORD, Server, Setup, Visitor, from_now, wait_for};

const TOKEN: &str = "AAAAAAAAAAAAAAAAAAAAAA";

const NONE: (u16, &str, &str) = (
    404,
    "no_invitation",
    "This invitation is used, expired or unknown.",
);

const CLOSED: (u16, &str, &str) = (403, "registration_closed", "Registration is closed.");

fn digest(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(token))
}

/// An invitation as it stands in users.json.
fn invitation(email: Option<&str>, expires: i64) -> Value {
    let mut invitation = json!({
        "groups": ["users", "family"],
        "by": "root",
        "expires": from_now(expires),
    });
    if let Some(email) = email {
        invitation["email"] = json!(email);
    }
    invitation
}

/// A folder in which these invitations are open, by their tokens.
fn inviting(all: &[(&str, Value)]) -> Setup {
    let setup = Setup::new();
    let open = all
        .iter()
        .map(|(token, invitation)| (digest(token), invitation.clone()));
    let users = json!({
        "version": 1,
        "users": {},
        "invitations": Value::Object(open.collect()),
    });
    fs::write(setup.dir().join("users.json"), users.to_string()).unwrap();
    setup
}

const DAY: i64 = 24 * 60 * 60;

fn with_address() -> Setup {
    inviting(&[(TOKEN, invitation(Some("alice@example.com"), DAY))])
}

fn without_address() -> Setup {
    inviting(&[(TOKEN, invitation(None, DAY))])
}

fn invited_only(setup: Setup) -> Server {
    setup.with(&["--registration", "invited"]).start()
}

fn link() -> String {
    format!("/invitation?token={TOKEN}")
}

fn accept(visitor: &Visitor, fields: &[(&str, &str)]) -> Answer {
    let mut form = vec![("token", TOKEN), ("password", PASSWORD)];
    form.extend(fields);
    visitor.post("/register", &form)
}

fn invitations(server: &Server) -> usize {
    let users = server.users();
    let open = users["invitations"].as_object();
    open.map_or(0, serde_json::Map::len)
}

/// The address is settled and proven, and the groups are those of the invitation.
#[test]
fn an_invitation_with_an_address_makes_one_account_in_three_forms() {
    for form in FORMS {
        let server = invited_only(with_address());
        let visitor = Visitor::new(&server, form);
        let shown = visitor.get(&link());
        assert_eq!(shown.status, 200);
        assert!(shown.body.contains("<dd>alice@example.com</dd>"));
        assert!(!shown.body.contains("name=\"email\""), "{}", shown.body);
        assert_eq!(server.users()["users"], json!({}), "nothing changes yet");

        let answer = accept(&visitor, &[("username", "alice")]);
        let login = "/login?notice=registered&username=alice";
        match form {
            Accept::Json => json(&answer, 201, "registered", "User successfully registered."),
            Accept::Text => text(&answer, 201, "User successfully registered."),
            Accept::Page => see_other(&answer, login),
        }
        let account = &server.users()["users"]["alice"];
        assert_eq!(account["email"], "alice@example.com");
        assert_eq!(account["email_proven"], true);
        assert_eq!(account["groups"], json!(["users", "family"]));
        assert_eq!(invitations(&server), 0);
        for accept in FORMS {
            assert_eq!(visitor.reading(accept).get(&link()).status, 404);
        }
        refused(&Visitor::program(&server), NONE, |visitor| {
            accept_as(visitor, "bob")
        });
    }
}

fn accept_as(visitor: &Visitor, name: &str) -> Answer {
    accept(visitor, &[("username", name)])
}

#[test]
fn without_an_address_the_invited_give_one_and_prove_it() {
    let server = invited_only(without_address());
    let visitor = Visitor::program(&server);
    let missing = accept_as(&visitor, "alice");
    json(&missing, 400, "bad_field", "The field email is missing.");

    let address = ("email", "alice@example.com");
    accept(&visitor, &[("username", "alice"), address]).expect("registered");
    assert_eq!(server.users()["users"]["alice"]["email_proven"], false);
    server.next_mail("Please confirm your e-mail address");
}

#[test]
fn what_is_settled_cannot_be_changed() {
    let server = invited_only(with_address());
    let visitor = Visitor::program(&server);
    let other = accept(&visitor, &[("username", "a"), ("email", "b@example.com")]);
    let said = "The field email cannot be changed: it is settled by the invitation.";
    json(&other, 400, "bad_field", said);
    let same = accept(
        &visitor,
        &[("username", "alice"), ("email", " ALICE@example.com ")],
    );
    same.expect("registered");
    let account = &server.users()["users"]["alice"];
    assert_eq!(account["email"], "alice@example.com");
}

#[test]
fn dead_tokens_are_refused_in_three_forms_also_where_registration_is_open() {
    let setup = inviting(&[
        ("expired", invitation(None, -1)),
        ("too-late", invitation(None, 100 * DAY)),
    ]);
    let server = setup.start();
    for token in [
        "expired",
        "too-late",
        "unknown",
        &TOKEN[1..],
        &"a".repeat(5000),
    ] {
        refused(&Visitor::program(&server), NONE, |visitor| {
            visitor.post(
                "/register",
                &[
                    ("token", token),
                    ("username", "alice"),
                    ("email", "alice@example.com"),
                    ("password", PASSWORD),
                ],
            )
        });
        for accept in FORMS {
            let answer = Visitor::new(&server, accept).get(&format!("/invitation?token={token}"));
            assert_eq!(answer.status, 404, "{token}");
        }
    }
    assert_eq!(server.users()["users"], json!({}));
    let page_of_none = Visitor::new(&server, Accept::Page).get("/invitation");
    page(&page_of_none, 404, NONE.2);
    // An empty field is as none: that is a registration without an invitation.
    let stranger = Visitor::program(&server);
    let form = [
        ("token", ""),
        ("username", "alice"),
        ("email", "alice@example.com"),
        ("password", PASSWORD),
    ];
    stranger.post("/register", &form).expect("registered");
}

#[test]
fn where_registration_is_closed_an_invitation_opens_nothing_and_lives_on() {
    let setup = with_address();
    let server = setup.clone().with(&["--registration", "closed"]).start();
    for token in [TOKEN, "unknown"] {
        refused(&Visitor::program(&server), CLOSED, |visitor| {
            visitor.post(
                "/register",
                &[
                    ("token", token),
                    ("username", "alice"),
                    ("password", PASSWORD),
                ],
            )
        });
        refused(&Visitor::program(&server), CLOSED, |visitor| {
            visitor.get(&format!("/invitation?token={token}"))
        });
    }
    drop(server);
    let server = invited_only(setup);
    accept_as(&Visitor::program(&server), "alice").expect("registered");
}

#[test]
fn what_is_taken_is_refused_and_the_invitation_lives_on() {
    let server = with_address().start();
    let visitor = Visitor::program(&server);
    visitor.register("bob");
    for name in ["bob", "BOB", "admin"] {
        let answer = accept_as(&visitor, name);
        json(&answer, 409, "user_exists", "The user already exists.");
    }
    let form = [
        ("username", "other"),
        ("email", "alice@example.com"),
        ("password", PASSWORD),
    ];
    visitor.post("/register", &form).expect("registered");
    let taken = "User with this email already exists";
    json(&accept_as(&visitor, "alice"), 409, "email_exists", taken);
    assert_eq!(visitor.get(&link()).status, 200);
    assert_eq!(invitations(&server), 1);
}

#[test]
fn the_rules_for_names_and_passwords_hold_and_the_page_keeps_what_was_typed() {
    let server = invited_only(without_address());
    let visitor = Visitor::new(&server, Accept::Page);
    for (name, password, said) in [
        ("a b", PASSWORD, "The field username may hold letters"),
        ("alice", "1234567", "at least 8 characters"),
        ("alice", "password", "too easy to guess"),
        ("alice", "alice@example.com", "too easy to guess"),
    ] {
        let form = [
            ("token", TOKEN),
            ("username", name),
            ("email", "alice@example.com"),
            ("password", password),
        ];
        let answer = visitor.post("/register", &form);
        assert!(answer.body.contains(said), "{}", answer.body);
        assert!(answer.body.contains(&format!("value=\"{name}\"")));
        assert!(answer.body.contains("value=\"alice@example.com\""));
        assert!(answer.body.contains(&format!("value=\"{TOKEN}\"")));
    }
    assert_eq!(invitations(&server), 1);
}

/// Invited registrations are not counted with those of strangers, but what they are refused is.
#[test]
fn an_invitation_asks_ten_times_an_hour_who_is_there() {
    let all = [
        (TOKEN, invitation(None, DAY)),
        ("second", invitation(None, DAY)),
    ];
    let server = inviting(&all)
        .with(&["--registrations-per-hour", "12"])
        .start();
    let visitor = Visitor::program(&server);
    visitor.register("bob");
    let fields = |name| [("username", name), ("email", "alice@example.com")];
    for _ in 0..10 {
        accept(&visitor, &fields("bob")).expect("user_exists");
    }
    let answer = accept(&visitor, &fields("free"));
    assert_eq!(
        (answer.status, answer.json()["code"].as_str()),
        (429, Some("throttled"))
    );
    // One registration and ten refusals of the twelve that strangers may have.
    visitor.register("carol");
    let form = [
        ("username", "dave"),
        ("email", "dave@example.com"),
        ("password", PASSWORD),
    ];
    visitor.post("/register", &form).expect("throttled");
    let form = [&[("token", "second")], form.as_slice()].concat();
    visitor.post("/register", &form).expect("registered");
}

#[test]
fn of_many_at_once_one_is_registered() {
    let server = invited_only(without_address());
    let codes: Vec<String> = thread::scope(|scope| {
        let begin = |n: usize| {
            let server = &server;
            scope.spawn(move || {
                let (name, email) = (format!("u{n}"), format!("u{n}@example.com"));
                let visitor = Visitor::program(server);
                let answer = accept(&visitor, &[("username", &name), ("email", &email)]);
                answer.json()["code"].as_str().unwrap().to_owned()
            })
        };
        let all: Vec<_> = (0..30).map(begin).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let count = |code| codes.iter().filter(|one| *one == code).count();
    assert_eq!(count("registered"), 1, "{codes:?}");
    assert_eq!(count("no_invitation"), 29, "{codes:?}");
    assert_eq!(server.users()["users"].as_object().unwrap().len(), 1);
}

#[test]
fn a_form_that_is_sent_twice_gets_the_same_answer() {
    let server = invited_only(with_address().alone());
    let visitor = Visitor::program(&server);
    let fields = [("username", "alice"), ("form", "0123456789abcdef")];
    accept(&visitor, &fields).expect("registered");
    accept(&visitor, &fields).expect("registered");
    let other = [("username", "alice"), ("form", "0123456789abcdeg")];
    accept(&visitor, &other).expect("no_invitation");
}

/// An account that an operator made without a password; gives the token of its link.
fn made(setup: &Setup) -> String {
    let words = ["user", "add", "carol", "--email", "carol@example.com"];
    let (status, out, _) = setup
        .clone()
        .with(&words)
        .with(&["--public-url", "https://login.example.com"])
        .run();
    assert!(status.success());
    let link = out.lines().nth(1).unwrap();
    let token = link.strip_prefix("https://login.example.com/invitation?token=");
    token.unwrap_or_else(|| panic!("{link}")).to_owned()
}

#[test]
fn an_account_that_was_made_gets_its_password_where_registration_is_closed_too() {
    for form in FORMS {
        let setup = Setup::new().with(&["--registration", "closed"]);
        let token = made(&setup);
        let server = setup.start();
        let visitor = Visitor::new(&server, form);
        let stranger = Visitor::program(&server);
        let login = [("username", "carol"), ("password", PASSWORD)];
        stranger.post("/login", &login).expect("wrong_credentials");

        let shown = visitor.get(&format!("/invitation?token={token}"));
        assert!(shown.body.contains("<dd>carol</dd>"), "{}", shown.body);
        assert!(shown.body.contains("<dd>carol@example.com</dd>"));
        for field in ["username", "email"] {
            assert!(!shown.body.contains(&format!("name=\"{field}\"")));
        }
        let other = [
            ("token", token.as_str()),
            ("username", "dave"),
            ("password", PASSWORD),
        ];
        stranger.post("/register", &other).expect("bad_field");
        let easy = [("token", token.as_str()), ("password", "carol@example.com")];
        stranger.post("/register", &easy).expect("password_common");

        let answer = visitor.post("/register", &[("token", &token), ("password", PASSWORD)]);
        match form {
            Accept::Json => json(&answer, 201, "registered", "User successfully registered."),
            Accept::Text => text(&answer, 201, "User successfully registered."),
            Accept::Page => see_other(&answer, "/login?notice=registered&username=carol"),
        }
        stranger.post("/login", &login).expect("enrol_required");
        let again = [("token", token.as_str()), ("password", "another long one")];
        stranger
            .post("/register", &again)
            .expect("registration_closed");
    }
}

#[test]
fn an_account_without_a_password_can_be_recovered_which_ends_its_link() {
    let setup = Setup::new();
    let token = made(&setup);
    let server = setup.start();
    let visitor = Visitor::program(&server);
    let mailed = visitor.mailed_password(&server, "carol");
    let login = [("username", "carol"), ("password", mailed.as_str())];
    let answer = visitor.post("/login", &login);
    answer.expect("enrol_required");
    let secret = answer.json()["secret"].as_str().unwrap().to_owned();
    let code = crate::harness::Authenticator::new(&secret).code();
    visitor
        .post("/secret_key", &[("secret", &code)])
        .expect("password_change_required");
    visitor
        .post("/account/password", &[("new_password", PASSWORD)])
        .expect("password_changed");
    let form = [("token", token.as_str()), ("password", PASSWORD)];
    Visitor::program(&server)
        .post("/register", &form)
        .expect("no_invitation");
}

#[test]
fn the_mail_of_an_account_that_was_made_waits_in_the_outbox() {
    let setup = Setup::new();
    let token = made(&setup);
    let server = setup.start();
    let mail = wait_for("the mail", || {
        let mut files = fs::read_dir(server.path("outbox")).ok()?;
        fs::read_to_string(files.next()?.ok()?.path()).ok()
    });
    assert!(mail.contains("To: carol@example.com"), "{mail}");
    assert!(mail.contains("Subject: Your invitation"), "{mail}");
    let link = format!("https://login.example.com/invitation?token={token}");
    assert!(mail.lines().any(|line| line == link), "{mail}");
    assert!(mail.contains("at login.example.com."), "{mail}");
    assert!(mail.contains("for 7 days: until "), "{mail}");
    assert!(!mail.contains("minute"), "{mail}");
    assert!(!server.users().to_string().contains(&token));
}
