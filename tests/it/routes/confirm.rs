//! Proving that an address is one's own.

use crate::harness::smtp_sink::Sink;
use crate::harness::three_forms::{FORMS, json, page, refused, see_other, text};
use crate::harness::{Accept, Answer, Authenticator, PASSWORD, Server, Setup, Visitor, wait_for};
use crate::operator::told;

/// What the mail with the link is about.
pub(super) const SUBJECT: &str = "Please confirm your e-mail address";

const CONFIRMED: &str = "Your e-mail address is confirmed.";

/// What is answered where a link proves nothing.
pub(super) const UNKNOWN: (u16, &str, &str) = (
    404,
    "no_confirmation",
    "This link is used, expired or unknown.",
);

/// Alice, whose link still waits in the outbox.
fn with_account(server: &Server) -> (Visitor, Authenticator) {
    let alice = Visitor::program(server);
    alice.sign_up("alice");
    let authenticator = alice.enrol("alice");
    (alice, authenticator)
}

/// The token in the link of a mail, which stands alone on its line.
pub(super) fn token(server: &Server, mail: &str) -> String {
    let link = server.url("/confirm?token=");
    let line = mail
        .lines()
        .find_map(|line| line.trim_end().strip_prefix(&link));
    line.unwrap_or_else(|| panic!("{mail}")).to_owned()
}

fn mailed(server: &Server) -> String {
    token(server, &server.next_mail(SUBJECT))
}

fn is_proven(visitor: &Visitor) -> bool {
    visitor.get("/account").json()["email_proven"] == true
}

pub(super) fn confirm(visitor: &Visitor, token: &str) -> Answer {
    visitor.post("/confirm", &[("token", token)])
}

fn remote_email(visitor: &Visitor) -> String {
    let asking = visitor
        .sending("x-forwarded-method", "GET")
        .sending("x-forwarded-proto", "https")
        .sending("x-forwarded-host", "localhost")
        .sending("x-forwarded-uri", "/");
    let answer = asking.get("/api/authz/forward-auth");
    answer
        .header("remote-email")
        .unwrap_or_else(|| panic!("{answer:?}"))
        .to_owned()
}

#[test]
fn a_registration_mails_a_link_that_proves_the_address_in_three_forms() {
    for form in FORMS {
        let server = Server::start();
        let (alice, _) = with_account(&server);
        let mail = server.next_mail(SUBJECT);
        assert!(mail.contains("works once, for 24 hours"), "{mail}");
        assert!(mail.contains("did not ask for this"), "{mail}");
        let token = token(&server, &mail);
        assert_eq!(token.len(), 22);
        assert!(
            !server.users().to_string().contains(&token),
            "only as a digest"
        );
        assert!(!is_proven(&alice));

        // Programs that scan mail open links: nothing changes, however they ask.
        for accept in FORMS {
            let shown = Visitor::new(&server, accept).get(&format!("/confirm?token={token}"));
            assert_eq!(shown.status, 200);
            assert!(
                shown
                    .body
                    .contains("<button type=\"submit\">Confirm my address")
            );
            assert!(!shown.body.contains("alice"), "{}", shown.body);
        }
        assert!(!is_proven(&alice));

        let answer = confirm(&alice.reading(form), &token);
        match form {
            Accept::Json => json(&answer, 200, "email_confirmed", CONFIRMED),
            Accept::Text => text(&answer, 200, CONFIRMED),
            Accept::Page => see_other(&answer, "/account?notice=email_confirmed"),
        }
        assert!(is_proven(&alice));
        assert_eq!(server.users()["users"]["alice"]["email_proven"], true);
        let event = told(&server, "email_confirmed");
        assert_eq!((&event["user"], event.get("by")), (&"alice".into(), None));
    }
}

#[test]
fn a_link_that_proves_nothing_is_refused_in_three_forms() {
    let server = Server::start();
    let (alice, _) = with_account(&server);
    let used = mailed(&server);
    let stranger = Visitor::program(&server);
    confirm(&stranger, &used).expect("email_confirmed");
    // The same browser, recognized by its session, would be given the same answer again.
    for token in [used.as_str(), &used[..21], "unknown", &"a".repeat(5000)] {
        refused(&stranger, UNKNOWN, |visitor| confirm(visitor, token));
        for accept in FORMS {
            let visitor = stranger.reading(accept);
            let shown = visitor.get(&format!("/confirm?token={token}"));
            match accept {
                Accept::Json => json(&shown, UNKNOWN.0, UNKNOWN.1, UNKNOWN.2),
                Accept::Text => text(&shown, UNKNOWN.0, UNKNOWN.2),
                Accept::Page => page(&shown, UNKNOWN.0, UNKNOWN.2),
            }
        }
    }
    confirm(&stranger, "").expect("bad_field");
    let twice = [("token", "a"), ("token", "b")];
    stranger.post("/confirm", &twice).expect("bad_field");
    assert_eq!(stranger.get("/confirm").status, 404);
    assert!(is_proven(&alice));
}

#[test]
fn a_link_of_somebody_elses_account_leads_to_the_log_in() {
    let server = Server::start();
    Visitor::program(&server).sign_up("alice");
    let token = mailed(&server);
    let (bob, _) = Visitor::with_account(&server, "bob");
    let answer = confirm(&bob.reading(Accept::Page), &token);
    see_other(&answer, "/login?notice=email_confirmed");
    let page = Visitor::new(&server, Accept::Page).get("/login?notice=email_confirmed");
    assert!(page.body.contains(CONFIRMED));
    assert!(!is_proven(&bob));
    assert_eq!(server.users()["users"]["alice"]["email_proven"], true);
}

#[test]
fn another_link_is_sent_and_the_first_works_all_the_same() {
    let server = Server::start_alone();
    let (alice, _) = with_account(&server);
    let first = mailed(&server);
    let page = alice.reading(Accept::Page);
    assert!(page.get("/account").body.contains("not confirmed yet"));

    let sent = alice.post("/account/email/confirmation", &[]);
    let message = "A confirmation has been sent to your address.";
    json(&sent, 200, "confirmation_sent", message);
    let open = || {
        server.users()["confirmations"]
            .as_object()
            .map_or(0, serde_json::Map::len)
    };
    wait_for("the second link", || (open() == 2).then_some(()));
    // Sent twice, it is mailed once.
    let again = alice
        .reading(Accept::Page)
        .post("/account/email/confirmation", &[]);
    see_other(&again, "/account?notice=confirmation_sent");
    assert!(
        page.get("/account?notice=confirmation_sent")
            .body
            .contains(message)
    );

    confirm(&alice, &first).expect("email_confirmed");
    assert_eq!(open(), 1);
    assert!(!page.get("/account").body.contains("not confirmed yet"));
    let proven = alice
        .reading(Accept::Text)
        .post("/account/email/confirmation", &[]);
    // The first answer is not given again: it is no longer true.
    text(&proven, 200, CONFIRMED);
    Visitor::program(&server)
        .post("/account/email/confirmation", &[])
        .expect("login_required");
}

#[test]
fn a_link_dies_with_the_address_and_with_the_account() {
    let server = Server::start();
    let (alice, _) = with_account(&server);
    let token = mailed(&server);
    server.edit_account("alice", |alice| alice["email"] = "new@example.com".into());
    wait_for("the edit", || {
        (alice.get("/account").json()["email"] == "new@example.com").then_some(())
    });
    confirm(&alice, &token).expect("no_confirmation");
    assert!(!is_proven(&alice));
}

#[test]
fn a_link_outlives_a_restart() {
    let setup = Setup::new();
    let server = setup.start();
    Visitor::program(&server).sign_up("alice");
    let mail = server.next_mail(SUBJECT);
    let link = mail.split("/confirm?token=").nth(1).unwrap();
    let token: String = link.split_whitespace().next().unwrap().to_owned();
    drop(server);
    let server = setup.start();
    confirm(&Visitor::program(&server), &token).expect("email_confirmed");
}

#[test]
fn an_application_is_told_an_address_only_once_it_is_proven() {
    let setup = Setup::new().with(&["--trusted-proxy", "127.0.0.1"]);
    let server = setup.start();
    let (alice, _) = with_account(&server);
    let token = mailed(&server);
    assert_eq!(remote_email(&alice), "-");
    confirm(&alice, &token).expect("email_confirmed");
    crate::harness::place::settle(setup.dir());
    assert_eq!(remote_email(&alice), "alice@example.com");
}

#[test]
fn a_mailed_password_proves_the_address_once_the_new_one_is_chosen() {
    let server = Server::start();
    let (alice, authenticator) = with_account(&server);
    let mailed = alice.mailed_password(&server, "alice");
    let visitor = Visitor::program(&server);
    let form = [("username", "alice"), ("password", mailed.as_str())];
    visitor.post("/login", &form).expect("code_required");
    visitor
        .post("/secret_key", &[("secret", &authenticator.code())])
        .expect("password_change_required");
    assert_eq!(server.users()["users"]["alice"]["email_proven"], false);
    visitor
        .post("/account/password", &[("new_password", "nine tame cows")])
        .expect("password_changed");
    assert_eq!(server.users()["users"]["alice"]["email_proven"], true);
}

#[test]
fn one_network_has_twenty_links_mailed_an_hour() {
    let server = Server::start_with(&["--registrations-per-hour", "0"]);
    let visitor = Visitor::program(&server);
    for n in 0..21 {
        let name = format!("user{n}");
        let form = [
            ("username", name.as_str()),
            ("email", &format!("{name}@example{n}.com")),
            ("password", PASSWORD),
        ];
        visitor.post("/register", &form).expect("registered");
    }
    server.wait_for_log("event=\"confirmation\" user=\"user20\" result=\"too_many\"");
    let open = server.users()["confirmations"].as_object().unwrap().len();
    assert_eq!(open, 20);
}

#[test]
fn a_mail_server_is_given_the_link() {
    let sink = Sink::start();
    let setup = Setup::new().with(&["--smtp", &sink.url()]);
    let server = setup.start();
    Visitor::program(&server).sign_up("alice");
    let mail = sink.any();
    assert_eq!(mail.subject(), SUBJECT);
}
