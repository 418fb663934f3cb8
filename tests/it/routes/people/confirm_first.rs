//! Password and code are asked for again ten minutes after they were shown.

use serde_json::json;
use time::format_description::well_known::Rfc3339;

use crate::harness::three_forms::{page, refused, see_other};
use crate::harness::{Accept, PASSWORD, Server, Visitor, wait_for};
use crate::routes::people::{act, administrator, listed};

/// Moves the login of every session into the past, as if these minutes had gone by.
fn minutes_go_by(server: &Server, visitor: &Visitor, minutes: i64) {
    let before = visitor.get("/account").json()["sessions"][0]["created"].clone();
    server.edit("sessions.json", |sessions| {
        for session in sessions["sessions"].as_array_mut().unwrap() {
            for field in ["created", "login"] {
                if let Some(text) = session[field].as_str() {
                    let at = time::OffsetDateTime::parse(text, &Rfc3339).unwrap();
                    let earlier = at - time::Duration::minutes(minutes);
                    session[field] = json!(earlier.format(&Rfc3339).unwrap());
                }
            }
        }
    });
    wait_for("the sessions", || {
        let now = visitor.get("/account").json()["sessions"][0]["created"].clone();
        (now != before).then_some(())
    });
}

const FIRST: (u16, &str, &str) = (
    403,
    "confirm_first",
    "Enter your password and a code first.",
);

#[test]
fn after_ten_minutes_an_act_asks_for_both_and_they_count_for_this_session_alone() {
    let server = Server::start();
    let (ada, phone) = administrator(&server, "ada");
    let other = Visitor::program(&server);
    other.log_in("ada", PASSWORD, &phone);
    Visitor::program(&server).register("bob");
    minutes_go_by(&server, &ada, 9);
    // From a page of its own, or the same form would get this answer again.
    let form = [("form", "0123456789abcdef")];
    ada.post("/people/bob/disable", &form)
        .expect("account_disabled");
    minutes_go_by(&server, &ada, 1);

    for word in [
        "enable",
        "disable",
        "reset_2fa",
        "new_password",
        "end_sessions",
    ] {
        refused(&ada, FIRST, |visitor| {
            act(visitor, &format!("/people/bob/{word}"))
        });
    }
    refused(&ada, FIRST, |visitor| {
        visitor.post("/people/bob/groups", &[("groups", "x")])
    });
    refused(&ada, FIRST, |visitor| {
        visitor.post("/people/bob/remove", &[("username", "bob")])
    });
    // Reading asks for nothing, and what comes before is refused before.
    assert_eq!(ada.get("/people/bob").status, 200);
    ada.post("/people/bob/groups", &[("groups", "/")])
        .expect("bad_field");
    act(&ada, "/people/nobody/enable").expect("not_found");
    act(&ada, "/people/ada/disable").expect("not_yourself");
    assert_eq!(listed(&ada, "bob")["state"], "disabled");

    let both = [("current_password", PASSWORD), ("secret", &*phone.code())];
    ada.post("/people/bob/enable", &both)
        .expect("account_enabled");
    act(&ada, "/people/bob/disable").expect("account_disabled");
    refused(&other, FIRST, |visitor| act(visitor, "/people/bob/enable"));
}

#[test]
fn half_of_it_and_what_is_wrong_are_refused_and_change_nothing() {
    let server = Server::start();
    let (ada, _) = administrator(&server, "ada");
    Visitor::program(&server).register("bob");
    for old in [false, true] {
        if old {
            minutes_go_by(&server, &ada, 11);
        }
        for (fields, refusal) in [
            (
                &[("current_password", PASSWORD)][..],
                (400, "bad_field", "The field secret is missing."),
            ),
            (
                &[("secret", "123456")],
                (400, "bad_field", "The field current_password is missing."),
            ),
            (
                &[("current_password", PASSWORD), ("secret", " ")],
                (400, "bad_field", "The field secret is missing."),
            ),
            (
                &[("current_password", "wrong"), ("secret", "123456")],
                (401, "wrong_password", "Wrong password."),
            ),
            (
                &[
                    ("current_password", PASSWORD),
                    ("secret", "aaaa-bbbb-cccc-dddd"),
                ],
                (401, "wrong_code", "Wrong 2FA code."),
            ),
        ] {
            // Few wrong ones, or the next has to wait.
            match (refusal.0, old) {
                (401, true) => {
                    let answer = ada.post("/people/bob/disable", fields);
                    answer.expect(refusal.1);
                }
                _ => refused(&ada, refusal, |visitor| {
                    visitor.post("/people/bob/disable", fields)
                }),
            }
        }
        // Empty is as not sent.
        let form = format!("0123456789abcdef{old}");
        let empty = [
            ("current_password", ""),
            ("secret", ""),
            ("form", form.as_str()),
        ];
        let answer = ada.post("/people/bob/end_sessions", &empty);
        answer.expect(if old {
            "confirm_first"
        } else {
            "sessions_ended"
        });
    }
    assert_eq!(listed(&ada, "bob")["state"], "active");
}

#[test]
fn wrong_passwords_and_codes_are_counted() {
    let server = Server::start();
    let (ada, _) = administrator(&server, "ada");
    Visitor::program(&server).register("bob");
    // No browser that the account knows.
    ada.cookies.borrow_mut().remove("__Host-device");
    let both = |n: u32| {
        [
            ("current_password", PASSWORD),
            ("secret", ["000000", "111111"][n as usize % 2]),
        ]
    };
    let last = (0..40).map(|n| ada.post("/people/bob/disable", &both(n)));
    let codes: Vec<String> = last
        .map(|answer| answer.json()["code"].as_str().unwrap().to_owned())
        .collect();
    assert!(codes.iter().any(|code| code == "throttled"), "{codes:?}");
    let wrong = codes.iter().filter(|code| *code == "wrong_code").count();
    assert!(wrong >= 3, "{codes:?}");
    let counted = &server.users()["users"]["ada"]["wrong_codes"]["count"];
    assert_eq!(counted, wrong);
}

#[test]
fn a_browser_is_shown_a_form_that_carries_the_act_along() {
    // What is sent twice is known to the node that answered.
    let server = Server::start_alone();
    let (ada, phone) = administrator(&server, "ada");
    Visitor::program(&server).register("bob");
    minutes_go_by(&server, &ada, 11);
    let browser = ada.reading(Accept::Page);

    let shown = browser.post("/people/bob/groups", &[("groups", "a, \"b")]);
    assert_eq!(shown.status, 400, "fields first");
    let shown = browser.post("/people/bob/groups", &[("groups", "a, b")]);
    page(&shown, 403, "Confirm that it is you");
    for part in [
        "<form method=\"post\" action=\"/people/bob/groups\">",
        "<input type=\"hidden\" name=\"groups\" value=\"a, b\">",
        "You are about to change the groups of <strong>bob</strong>.",
        "name=\"current_password\"",
        "name=\"secret\"",
    ] {
        assert!(shown.body.contains(part), "{part}");
    }
    let shown = browser.post("/people/bob/remove", &[("username", "bob")]);
    assert!(
        shown
            .body
            .contains("<input type=\"hidden\" name=\"username\" value=\"bob\">")
    );

    let wrong = [
        ("groups", "a, b"),
        ("current_password", "wrong"),
        ("secret", "123456"),
    ];
    let shown = browser.post("/people/bob/groups", &wrong);
    page(&shown, 401, "Confirm that it is you");
    assert!(
        shown
            .body
            .contains("<input type=\"hidden\" name=\"groups\" value=\"a, b\">")
    );
    assert!(!shown.body.contains("value=\"wrong\"") && !shown.body.contains("123456"));
    let half = [("groups", "a, b"), ("current_password", PASSWORD)];
    page(
        &browser.post("/people/bob/groups", &half),
        400,
        "Confirm that it is you",
    );

    let both = [
        ("groups", "a, b"),
        ("current_password", PASSWORD),
        ("secret", &*phone.code()),
    ];
    see_other(
        &browser.post("/people/bob/groups", &both),
        "/people/bob?notice=groups_changed",
    );
    // A double click: the code is spent, and the answer is the same.
    see_other(
        &browser.post("/people/bob/groups", &both),
        "/people/bob?notice=groups_changed",
    );
    assert_eq!(listed(&ada, "bob")["groups"], json!(["a", "b"]));
}

#[test]
fn a_recovery_code_does_as_well_and_its_owner_is_told() {
    let server = Server::start();
    let (ada, _) = administrator(&server, "ada");
    let codes = ada.new_recovery_codes();
    Visitor::program(&server).register("bob");
    let both = [("current_password", PASSWORD), ("secret", &codes[0])];
    ada.post("/people/bob/disable", &both)
        .expect("account_disabled");
    let mail = server.next_mail("A recovery code was used");
    assert!(mail.contains("To: ada@example.com"), "{mail}");
    let again = [("current_password", PASSWORD), ("secret", &codes[0])];
    ada.post("/people/bob/enable", &again).expect("wrong_code");
}

#[test]
fn a_new_password_alone_does_not_make_a_session_younger() {
    let server = Server::start();
    let (ada, _) = administrator(&server, "ada");
    Visitor::program(&server).register("bob");
    minutes_go_by(&server, &ada, 11);

    ada.change_password("eight tame cows");

    act(&ada, "/people/bob/disable").expect("confirm_first");
}

#[test]
fn what_was_shown_counts_after_a_restart_too() {
    let setup = crate::harness::Setup::new();
    let mut server = setup.start();
    let (ada, phone) = administrator(&server, "ada");
    Visitor::program(&server).register("bob");
    server.signal(rustix::process::Signal::TERM);
    server.wait();
    let mut server = setup.start();
    let ada = ada.at(&server);
    act(&ada, "/people/bob/disable").expect("account_disabled");
    minutes_go_by(&server, &ada, 11);
    let both = [("current_password", PASSWORD), ("secret", &*phone.code())];
    ada.post("/people/bob/enable", &both)
        .expect("account_enabled");
    server.signal(rustix::process::Signal::TERM);
    server.wait();
    let server = setup.start();
    let ada = ada.at(&server);
    act(&ada, "/people/bob/disable").expect("account_disabled");
}
