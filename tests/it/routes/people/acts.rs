//! Each act: what it answers in each form, what it ends, and what it leaves alone.

use serde_json::json;

use crate::harness::three_forms::{json as told, page, refused, see_other, text};
use crate::harness::{Accept, PASSWORD, Server, Visitor};
use crate::routes::people::{act, administrator, code_of_login, listed};

#[test]
fn every_act_is_answered_in_three_forms_and_a_browser_is_shown_what_was_done() {
    let server = Server::start();
    let (ada, _) = administrator(&server, "ada");
    for name in ["one", "two", "three"] {
        Visitor::program(&server).register(name);
    }
    // What is done already is answered the same.
    for (word, code, message, fields, said) in [
        (
            "groups",
            "groups_changed",
            "Done.",
            &[("groups", "staff, users staff")][..],
            "The groups are changed.",
        ),
        (
            "end_sessions",
            "sessions_ended",
            "Done.",
            &[],
            "The sessions have ended.",
        ),
        (
            "reset_2fa",
            "second_factor_reset",
            "Done.",
            &[],
            "The second step is reset. At the next login a new authenticator app is set up.",
        ),
        (
            "new_password",
            "password_mailed",
            "A new password has been sent to their e-mail address.",
            &[],
            "A new password has been sent to their e-mail address.",
        ),
        (
            "disable",
            "account_disabled",
            "Done.",
            &[],
            "The account is disabled. Nobody can log in to it.",
        ),
        (
            "enable",
            "account_enabled",
            "Done.",
            &[],
            "The account is enabled. Its owner can log in again.",
        ),
    ] {
        let send = |accept| {
            ada.reading(accept)
                .post(&format!("/people/ONE/{word}"), fields)
        };
        let answer = send(Accept::Json);
        told(&answer, 200, code, message);
        let groups = answer.json()["groups"].clone();
        assert_eq!(
            groups,
            if word == "groups" {
                json!(["staff", "users"])
            } else {
                json!(null)
            }
        );
        text(&send(Accept::Text), 200, message);
        let shown = send(Accept::Page);
        see_other(&shown, &format!("/people/one?notice={code}"));
        let place = shown.header("location").unwrap();
        page(&ada.reading(Accept::Page).get(place), 200, said);
    }
    for (accept, name) in [
        (Accept::Json, "one"),
        (Accept::Text, "two"),
        (Accept::Page, "three"),
    ] {
        let answer = ada
            .reading(accept)
            .post(&format!("/people/{name}/remove"), &[("username", name)]);
        match accept {
            Accept::Json => told(&answer, 200, "account_removed", "Done."),
            Accept::Text => text(&answer, 200, "Done."),
            Accept::Page => see_other(&answer, "/people?notice=account_removed"),
        }
        assert_eq!(ada.get(&format!("/people/{name}")).status, 404);
    }
    page(
        &ada.reading(Accept::Page)
            .get("/people?notice=account_removed"),
        200,
        "The account has been removed.",
    );
}

#[test]
fn a_disabled_account_is_out_and_enabling_revives_nothing() {
    let server = Server::start();
    let (ada, _) = administrator(&server, "ada");
    let (bob, _) = Visitor::with_account(&server, "bob");
    let begun = Visitor::program(&server);
    assert_eq!(code_of_login(&begun, "bob"), "code_required");

    act(&ada, "/people/bob/disable").expect("account_disabled");
    assert_eq!(listed(&ada, "bob")["state"], "disabled");
    assert!(!bob.is_logged_in());
    assert_eq!(
        code_of_login(&Visitor::program(&server), "bob"),
        "wrong_credentials"
    );
    assert_eq!(ada.get("/people/bob").json()["sessions"], json!([]));

    act(&ada, "/people/bob/enable").expect("account_enabled");
    assert_eq!(listed(&ada, "bob")["state"], "active");
    assert!(!bob.is_logged_in());
    begun
        .post("/secret_key", &[("secret", "000000")])
        .expect("no_pending_login");
    assert_eq!(code_of_login(&begun, "bob"), "code_required");
}

#[test]
fn three_quick_presses_are_three_acts() {
    let server = Server::start();
    let (ada, _) = administrator(&server, "ada");
    Visitor::program(&server).register("bob");
    for (word, code, state) in [
        ("disable", "account_disabled", "disabled"),
        ("enable", "account_enabled", "active"),
        ("disable", "account_disabled", "disabled"),
        ("enable", "account_enabled", "active"),
    ] {
        act(&ada, &format!("/people/bob/{word}")).expect(code);
        assert_eq!(listed(&ada, "bob")["state"], state);
    }
    for groups in ["a", "b", "a"] {
        ada.post("/people/bob/groups", &[("groups", groups)])
            .expect("groups_changed");
        assert_eq!(listed(&ada, "bob")["groups"], json!([groups]));
    }
}

#[test]
fn sessions_end_again_when_somebody_has_logged_in_again() {
    let server = Server::start();
    let (ada, _) = administrator(&server, "ada");
    let (bob, phone) = Visitor::with_account(&server, "bob");
    let begun = Visitor::program(&server);
    code_of_login(&begun, "bob");

    act(&ada, "/people/bob/end_sessions").expect("sessions_ended");
    assert!(!bob.is_logged_in());
    begun
        .post("/secret_key", &[("secret", &phone.code())])
        .expect("no_pending_login");

    bob.log_in("bob", PASSWORD, &phone);
    assert!(bob.is_logged_in());
    act(&ada, "/people/bob/end_sessions").expect("sessions_ended");
    assert!(!bob.is_logged_in());
    let account = &server.users()["users"]["bob"];
    assert_eq!(
        account["devices"].as_array().unwrap().len(),
        1,
        "browsers are known still"
    );
}

#[test]
fn on_oneself_all_sessions_end_but_this_one() {
    let server = Server::start();
    let (ada, phone) = administrator(&server, "ada");
    let other = Visitor::program(&server);
    other.log_in("ada", PASSWORD, &phone);

    act(&ada, "/people/ada/end_sessions").expect("sessions_ended");

    assert!(ada.is_logged_in());
    assert!(!other.is_logged_in());
}

#[test]
fn groups_hold_at_the_next_request_and_sessions_stay() {
    let server = Server::start();
    let (ada, _) = administrator(&server, "ada");
    let (bob, _) = Visitor::with_account(&server, "bob");
    for (sent, groups) in [
        ("admins", json!(["admins"])),
        ("", json!([])),
        (" b,a  b,\tA.x_y-9 ", json!(["b", "a", "A.x_y-9"])),
    ] {
        let answer = ada.post("/people/bob/groups", &[("groups", sent)]);
        answer.expect("groups_changed");
        assert_eq!(answer.json()["groups"], groups);
        assert_eq!(bob.get("/account").json()["groups"], groups);
        let is_administrator = sent == "admins";
        assert_eq!(bob.get("/people").status == 200, is_administrator);
    }
}

#[test]
fn groups_that_cannot_be_are_refused_beside_their_field() {
    let server = Server::start();
    let (ada, _) = administrator(&server, "ada");
    Visitor::program(&server).register("bob");
    let odd = "The field groups may hold names of 1 to 64 ASCII letters, digits and . _ - with \
               commas between.";
    let many: Vec<String> = (0..51).map(|n| format!("g{n}")).collect();
    let many = many.join(",");
    for (sent, message) in [
        ("b&#252;ro", odd),
        ("a/b", odd),
        (&"a".repeat(65), odd),
        (
            &many,
            "The field groups is too long: it may have 50 groups.",
        ),
    ] {
        refused(&ada, (400, "bad_field", message), |visitor| {
            visitor.post("/people/bob/groups", &[("groups", sent)])
        });
        let answer = ada.post("/people/bob/groups", &[("groups", sent)]);
        assert_eq!(answer.json()["field"], "groups");
    }
    // A form that lost the field on its way must not take all groups away.
    refused(
        &ada,
        (400, "bad_field", "The field groups is missing."),
        |visitor| act(visitor, "/people/bob/groups"),
    );
    let shown = ada
        .reading(Accept::Page)
        .post("/people/bob/groups", &[("groups", "a/<b")]);
    assert!(shown.body.contains("value=\"a/&lt;b\""), "what was typed");
    assert_eq!(listed(&ada, "bob")["groups"], json!(["users"]));
}

#[test]
fn a_reset_takes_the_second_factor_and_all_that_stands_in_for_it() {
    let server = Server::start();
    let (ada, _) = administrator(&server, "ada");
    let (bob, phone) = Visitor::with_account(&server, "bob");
    let begun = Visitor::program(&server);
    code_of_login(&begun, "bob");

    act(&ada, "/people/bob/reset_2fa").expect("second_factor_reset");

    assert!(!bob.is_logged_in());
    begun
        .post("/secret_key", &[("secret", &phone.code())])
        .expect("no_pending_login");
    let told = ada.get("/people/bob").json();
    assert_eq!(
        (&told["second_factor"], &told["recovery_codes_left"]),
        (&json!(false), &json!(0))
    );
    let account = server.users()["users"]["bob"].clone();
    assert_eq!(account.get("totp"), None);
    assert_eq!(account.get("devices"), None);
    bob.enrol("bob");
    assert!(bob.is_logged_in());
}

#[test]
fn on_oneself_a_reset_logs_out_and_the_same_form_is_answered_the_same() {
    let server = Server::start_alone();
    let (ada, _) = administrator(&server, "ada");
    act(&ada, "/people/ada/reset_2fa").expect("second_factor_reset");
    act(&ada, "/people/ada/reset_2fa").expect("second_factor_reset");
    assert!(!ada.is_logged_in());
    server.next_mail("Your second factor was reset");
    ada.enrol("ada");
    assert_eq!(ada.get("/people").status, 200);
}

#[test]
fn a_removed_account_is_gone_for_good_and_its_name_is_held() {
    let server = Server::start();
    let (ada, _) = administrator(&server, "ada");
    let (bob, phone) = Visitor::with_account(&server, "bob");
    let begun = Visitor::program(&server);
    code_of_login(&begun, "bob");
    server.edit_account("bob", |bob| bob["created"] = json!("2026-01-02T03:04:05Z"));
    crate::harness::wait_for("the edit", || {
        (listed(&ada, "bob")["created"] == "2026-01-02T03:04:05Z").then_some(())
    });

    for (name, message) in [
        ("", "The field username is missing."),
        (
            "alice",
            "The field username is not the name of this account.",
        ),
    ] {
        refused(&ada, (400, "bad_field", message), |visitor| {
            visitor.post("/people/bob/remove", &[("username", name)])
        });
    }
    ada.post("/people/bob/remove", &[("username", " BOB ")])
        .expect("account_removed");

    assert!(!bob.is_logged_in());
    begun
        .post("/secret_key", &[("secret", &phone.code())])
        .expect("no_pending_login");
    assert_eq!(code_of_login(&begun, "bob"), "wrong_credentials");
    assert_eq!(server.users()["users"].get("bob"), None);
    let form = [
        ("username", "bob"),
        ("email", "new@example.com"),
        ("password", PASSWORD),
    ];
    begun.post("/register", &form).expect("user_exists");
    let form = [
        ("username", "rob"),
        ("email", "bob@example.com"),
        ("password", PASSWORD),
    ];
    begun.post("/register", &form).expect("registered");
}

#[test]
fn nobody_shuts_themselves_out() {
    let server = Server::start();
    let (ada, _) = administrator(&server, "ada");
    let not_yourself = (
        409,
        "not_yourself",
        "You cannot do this to your own account.",
    );
    for name in ["ada", "ADA", "ada@example.com"] {
        for (word, fields) in [
            ("disable", vec![]),
            ("groups", vec![("groups", "users")]),
            ("groups", vec![("groups", "")]),
            ("remove", vec![("username", name)]),
        ] {
            refused(&ada, not_yourself, |visitor| {
                visitor.post(&format!("/people/{name}/{word}"), &fields)
            });
        }
    }
    assert_eq!(ada.get("/people").status, 200);
    let groups = [("groups", "admins, staff")];
    ada.post("/people/ada/groups", &groups)
        .expect("groups_changed");
    act(&ada, "/people/ada/enable").expect("account_enabled");
    assert!(ada.is_logged_in());
}

#[test]
fn refusals_come_in_their_order() {
    let server = Server::start();
    let (ada, _) = administrator(&server, "ada");
    let nowhere = (404, "not_found", "There is no such page.");
    // The fields, then the person, then oneself.
    for path in ["/people/nobody/groups", "/people/ada/groups"] {
        let answer = ada.post(path, &[("groups", "a/b")]);
        answer.expect("bad_field");
        let answer = ada.post_as(path, "application/json", "{}");
        answer.expect("unsupported_type");
    }
    for word in [
        "disable",
        "enable",
        "reset_2fa",
        "new_password",
        "end_sessions",
    ] {
        refused(&ada, nowhere, |visitor| {
            act(visitor, &format!("/people/nobody/{word}"))
        });
        let half = [("current_password", "x")];
        let answer = ada.post(&format!("/people/nobody/{word}"), &half);
        answer.expect("bad_field");
    }
    refused(&ada, nowhere, |visitor| {
        visitor.post("/people/nobody/remove", &[("username", "nobody")])
    });
    let both = [("current_password", "wrong"), ("secret", "000000")];
    ada.post("/people/ada/disable", &both)
        .expect("not_yourself");
    ada.post("/people/nobody/disable", &both)
        .expect("not_found");
}

#[test]
fn the_log_says_who_did_what_to_whom() {
    let server = Server::start();
    let (ada, _) = administrator(&server, "ada");
    Visitor::program(&server).register("bob");
    let form = [
        ("username", "bob"),
        ("current_password", "a secret"),
        ("secret", "123456"),
    ];
    ada.post("/people/bob/remove", &form)
        .expect("wrong_password");
    ada.post("/people/bob/remove", &form[..1])
        .expect("account_removed");

    let log = server.log();
    let lines = |result: &str| {
        let told = ["event=\"people/bob/remove\"", "user=\"ada\"", result];
        log.lines()
            .filter(|line| told.iter().all(|part| line.contains(part)))
            .count()
    };
    assert_eq!(
        (lines("account_removed"), lines("wrong_password")),
        (1, 1),
        "{log}"
    );
    assert!(!log.contains("a secret") && !log.contains("123456"));
}
