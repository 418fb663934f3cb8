//! The acts that send mail.

use std::fs;

use serde_json::json;

use crate::harness::smtp_sink::new_password;
use crate::harness::three_forms::refused;
use crate::harness::{Accept, Server, Visitor, wait_for};
use crate::routes::people::{act, administrator};

/// How many mails with this subject are in the outbox.
fn mails(server: &Server, subject: &str) -> usize {
    let files = fs::read_dir(server.path("outbox")).into_iter().flatten();
    let texts = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap_or_default());
    let subject = format!("Subject: {subject}\r\n");
    texts.filter(|text| text.contains(&subject)).count()
}

/// A mail that is written after all that were asked for before.
fn all_are_written(server: &Server) {
    let (last, _) = Visitor::with_account(server, "last");
    last.new_recovery_codes();
    server.next_mail("Your recovery codes were replaced");
}

#[test]
fn a_reset_is_told_to_whoever_had_a_second_factor() {
    let server = Server::start();
    let (ada, _) = administrator(&server, "ada");
    Visitor::with_account(&server, "bob");
    Visitor::program(&server).register("carol");

    act(&ada, "/people/carol/reset_2fa").expect("second_factor_reset");
    act(&ada, "/people/bob/reset_2fa").expect("second_factor_reset");

    let mail = server.next_mail("Your second factor was reset");
    assert!(mail.contains("To: bob@example.com"), "{mail}");
    assert!(mail.contains("/login"), "{mail}");
    act(&ada, "/people/bob/reset_2fa").expect("second_factor_reset");
    all_are_written(&server);
    assert_eq!(mails(&server, "Your second factor was reset"), 0);
}

#[test]
fn disabling_ending_sessions_and_removing_send_no_mail() {
    let server = Server::start();
    let (ada, _) = administrator(&server, "ada");
    Visitor::with_account(&server, "bob");
    act(&ada, "/people/bob/end_sessions").expect("sessions_ended");
    act(&ada, "/people/bob/disable").expect("account_disabled");
    ada.post("/people/bob/remove", &[("username", "bob")])
        .expect("account_removed");
    all_are_written(&server);
    let to_bob = |text: String| text.contains("To: bob@example.com");
    let files = fs::read_dir(server.path("outbox")).unwrap();
    let texts = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap_or_default());
    assert_eq!(texts.filter(|text| to_bob(text.clone())).count(), 0);
}

#[test]
fn a_mailed_password_works_as_if_they_had_asked() {
    let server = Server::start();
    let (ada, _) = administrator(&server, "ada");
    let (bob, phone) = Visitor::with_account(&server, "bob");

    act(&ada, "/people/bob/new_password").expect("password_mailed");

    let mail = server.next_mail("Your new password");
    assert!(bob.is_logged_in());
    let visitor = Visitor::program(&server);
    visitor
        .post(
            "/login",
            &[("username", "bob"), ("password", new_password(&mail))],
        )
        .expect("code_required");
    visitor
        .post("/secret_key", &[("secret", &phone.code())])
        .expect("password_change_required");
}

#[test]
fn mails_count_towards_their_five_an_hour_and_the_sixth_has_to_wait() {
    let server = Server::start();
    let (ada, _) = administrator(&server, "ada");
    let (bob, _) = Visitor::with_account(&server, "bob");
    bob.mailed_password(&server, "bob");
    // Each from a page of its own, as somebody presses who reads what comes.
    let send = |n: u32| {
        let form = format!("0123456789abcdef{n}");
        ada.post("/people/bob/new_password", &[("form", &form)])
    };
    for n in 0..4 {
        send(n).expect("password_mailed");
        server.next_mail("Your new password");
    }
    let answer = send(4);
    answer.expect("throttled");
    let wait = answer.json()["retry_after"].as_u64().unwrap();
    assert!((3_500..=3_600).contains(&wait), "{wait}");
    assert_eq!(
        answer.header("retry-after"),
        Some(wait.to_string().as_str())
    );
    let shown = ada
        .reading(Accept::Page)
        .post("/people/bob/new_password", &[]);
    assert_eq!(shown.status, 429);
    assert!(
        shown.body.contains("<h1>bob</h1>"),
        "the page of the account"
    );

    let mails = server.users()["users"]["bob"]["mails"].clone();
    assert_eq!(mails.as_array().unwrap().len(), 5);
    assert!(
        server
            .log()
            .lines()
            .filter(|line| line.contains("\"too_many\""))
            .count()
            == 0
    );
}

#[test]
fn nothing_is_mailed_to_a_disabled_account() {
    let server = Server::start();
    let (ada, _) = administrator(&server, "ada");
    Visitor::program(&server).register("bob");
    act(&ada, "/people/bob/disable").expect("account_disabled");
    refused(
        &ada,
        (409, "account_is_disabled", "This account is disabled."),
        |visitor| act(visitor, "/people/bob/new_password"),
    );
    all_are_written(&server);
    assert_eq!(mails(&server, "Your new password"), 0);
}

#[test]
fn nothing_is_mailed_to_an_account_without_an_address() {
    let server = Server::start();
    let (ada, _) = administrator(&server, "ada");
    Visitor::program(&server).register("bob");
    server.edit_account("bob", |bob| {
        bob["email"] = serde_json::Value::Null;
    });
    wait_for("the edit", || {
        let bob = ada.get("/people/bob").json();
        bob["email"].is_null().then_some(())
    });
    refused(
        &ada,
        (409, "no_address", "This account has no e-mail address."),
        |visitor| act(visitor, "/people/bob/new_password"),
    );
    let line = "bob\t-\tusers\tactive\tno\t-";
    let list = ada.reading(Accept::Text).get("/people?q=bob");
    assert_eq!(list.body, line);
}

#[test]
fn a_double_click_mails_once_and_a_later_press_once_more() {
    let server = Server::start_alone();
    let (ada, _) = administrator(&server, "ada");
    Visitor::program(&server).register("bob");
    let browser = ada.reading(Accept::Page);
    let form_of = |body: &str| {
        let (_, value) = body.split_once("name=\"form\" value=\"").unwrap();
        value.split('"').next().unwrap().to_owned()
    };
    for expected in [1, 2] {
        let form = form_of(&browser.get("/people/bob").body);
        for _ in 0..2 {
            let answer = browser.post("/people/bob/new_password", &[("form", &form)]);
            assert_eq!(
                answer.header("location"),
                Some("/people/bob?notice=password_mailed")
            );
        }
        wait_for("the mail", || {
            (mails(&server, "Your new password") == expected).then_some(())
        });
    }
    let counted = server.users()["users"]["bob"]["mails"].clone();
    assert_eq!(counted.as_array().unwrap().len(), 2);
    assert_eq!(
        ada.post("/people/bob/new_password", &[("form", "short")])
            .json()["field"],
        json!("form")
    );
}
