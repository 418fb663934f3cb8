//! Another address for an account: mailed a link, and whoever asks learns nothing of who has it.

use std::fs;

use serde_json::Value;

use crate::harness::smtp_sink::Sink;
use crate::harness::three_forms::{FORMS, json, page, refused, see_other, text};
use crate::harness::{Accept, Answer, PASSWORD, Server, Setup, Visitor, wait_for};
use crate::operator::told;
use crate::routes::confirm::{SUBJECT, UNKNOWN, confirm, token};
use crate::routes::log_in;

const WANTED: &str = "Somebody asked to use your e-mail address";

const CHANGED: &str = "Your e-mail address was changed";

const SENT: &str = "A confirmation has been sent to the new address.";

const NEW: &str = "new@example.com";

fn ask(visitor: &Visitor, email: &str) -> Answer {
    let form = [("email", email), ("current_password", PASSWORD)];
    visitor.post("/account/email", &form)
}

/// Asks for this address, and takes the mail that comes of it.
fn mailed(server: &Server, visitor: &Visitor, email: &str) -> String {
    ask(&visitor.reading(Accept::Json), email).expect("confirmation_sent");
    server.next_mail(SUBJECT)
}

fn link(server: &Server, visitor: &Visitor, email: &str) -> String {
    token(server, &mailed(server, visitor, email))
}

fn email(server: &Server) -> String {
    let users = server.users();
    users["users"]["alice"]["email"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn links(server: &Server) -> usize {
    let users = server.users();
    users["confirmations"]
        .as_object()
        .map_or(0, |open| open.len())
}

/// How many mails wait.
fn mails(server: &Server) -> usize {
    let all = fs::read_dir(server.path("outbox")).unwrap();
    all.filter(|entry| {
        let path = entry.as_ref().unwrap().path();
        path.extension().is_some_and(|ending| ending == "eml")
    })
    .count()
}

/// Waits until so many requests of alice's have been worked on, with this result.
fn wait_for_results(server: &Server, result: &str, count: usize) {
    let line = format!("event=\"confirmation\" user=\"alice\" result=\"{result}\"");
    wait_for(&line, || {
        (server.log().matches(&line).count() == count).then_some(())
    });
}

/// Proves the address that the account has, without a mail.
fn prove(server: &Server, name: &str, visitor: &Visitor) {
    server.edit_account(name, |account| account["email_proven"] = true.into());
    wait_for("the edit", || {
        (visitor.get("/account").json()["email_proven"] == true).then_some(())
    });
}

#[test]
fn an_address_changes_once_the_link_mailed_to_the_new_one_is_used() {
    for form in FORMS {
        let server = Server::start();
        let (alice, _) = Visitor::with_account(&server, "alice");

        let answer = ask(&alice.reading(form), NEW);
        match form {
            Accept::Json => json(&answer, 200, "confirmation_sent", SENT),
            Accept::Text => text(&answer, 200, SENT),
            Accept::Page => {
                see_other(&answer, "/account?notice=change_mailed");
                let shown = alice.reading(form).get("/account?notice=change_mailed");
                page(&shown, 200, SENT);
            }
        }
        let mail = server.next_mail(SUBJECT);
        assert!(mail.contains("To: new@example.com\r\n"), "{mail}");
        assert!(mail.contains("works once, for 24 hours"), "{mail}");
        assert!(mail.contains("did not ask for this"), "{mail}");
        assert!(!mail.contains("alice@example.com"), "{mail}");
        let token = token(&server, &mail);
        assert_eq!(email(&server), "alice@example.com");
        assert!(!server.users().to_string().contains(&token));

        // Programs that scan mail open links: nothing changes.
        for accept in FORMS {
            let shown = Visitor::new(&server, accept).get(&format!("/confirm?token={token}"));
            assert_eq!(shown.status, 200);
            assert_eq!(shown.body.matches("<button").count(), 1);
            for secret in ["alice", "new@", "example.com"] {
                assert!(!shown.body.contains(secret), "{}", shown.body);
            }
        }
        assert_eq!(email(&server), "alice@example.com");

        let message = "Your e-mail address is confirmed.";
        let answer = confirm(&alice.reading(form), &token);
        match form {
            Accept::Json => json(&answer, 200, "email_confirmed", message),
            Accept::Text => text(&answer, 200, message),
            Accept::Page => see_other(&answer, "/account?notice=email_confirmed"),
        }
        let account = alice.get("/account").json();
        assert_eq!(account["email"], NEW);
        assert_eq!(account["email_proven"], true);
        assert_eq!(links(&server), 0, "the link of the registration has ended");
        let event = told(&server, "email_changed");
        assert_eq!((&event["user"], event.get("by")), (&"alice".into(), None));
        let notice = server.next_mail(CHANGED);
        assert!(notice.contains("To: alice@example.com\r\n"), "{notice}");
        assert!(notice.contains("\r\nnew@example.com\r\n"), "{notice}");
        // One logs in by the new address, and not by the old one.
        let stranger = Visitor::program(&server);
        let by = |name| [("username", name), ("password", PASSWORD)];
        stranger.post("/login", &by(NEW)).expect("code_required");
        let old = by("alice@example.com");
        stranger.post("/login", &old).expect("wrong_credentials");
    }
}

#[test]
fn nobody_learns_from_the_answer_whose_address_it_is() {
    for form in FORMS {
        let server = Server::start();
        let (alice, _) = Visitor::with_account(&server, "alice");
        let (bob, _) = Visitor::with_account(&server, "bob");
        prove(&server, "alice", &alice);
        let before = mails(&server);

        let same = |answer: &Answer| {
            let place = answer.header("location").map(str::to_owned);
            (answer.status, place, answer.body.clone())
        };
        let free = ask(&alice.reading(form), NEW);
        for other in ["bob@example.com", "BOB@Example.com", "alice@example.com"] {
            let answer = ask(&alice.reading(form), other);
            assert_eq!(same(&answer), same(&free), "{other}");
        }

        let link = server.next_mail(SUBJECT);
        assert!(link.contains("To: new@example.com\r\n"), "{link}");
        for mail in server.next_mails(WANTED, 2) {
            assert!(mail.contains("To: bob@example.com\r\n"), "{mail}");
            for secret in ["alice", "://", "localhost/", "token"] {
                assert!(!mail.contains(secret), "{mail}");
            }
        }
        wait_for_results(&server, "proven_already", 1);
        assert_eq!(mails(&server), before, "to a proven address of one's own");
        assert_eq!(bob.get("/account").json()["email"], "bob@example.com");
    }
}

#[test]
fn ones_own_address_is_proven_by_the_same_form() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");

    let token = link(&server, &alice, "Alice@EXAMPLE.com");
    confirm(&alice, &token).expect("email_confirmed");

    let account = alice.get("/account").json();
    assert_eq!(account["email"], "alice@example.com");
    assert_eq!(account["email_proven"], true);
    assert_eq!(mails(&server), 0, "and nobody is told of a change");
}

#[test]
fn what_is_refused_is_told_beside_the_form_and_the_address_stays() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let post = |visitor: &Visitor, email: &str, password: &str| {
        let form = [("email", email), ("current_password", password)];
        visitor.post("/account/email", &form)
    };
    let wrong = (401, "wrong_password", "Wrong password.");
    refused(&alice, wrong, |visitor| post(visitor, NEW, "not this one"));
    let bad = (
        400,
        "bad_field",
        "The field email is not an e-mail address.",
    );
    refused(&alice, bad, |visitor| post(visitor, "nobody", PASSWORD));
    // What is wrong with a field is told before the password is looked at.
    post(&alice, "nobody", "not this one").expect("bad_field");
    post(&alice, "", PASSWORD).expect("bad_field");
    post(&alice, NEW, "").expect("bad_field");
    let stranger = Visitor::program(&server);
    post(&stranger, "nobody", "").expect("login_required");
    let body = "email=new%40example.com&current_password=x";
    let typed = alice.post_as("/account/email", "text/plain", body);
    typed.expect("unsupported_type");

    let browser = alice.reading(Accept::Page);
    let markup = "\"><script>alert(1)</script>@example.com";
    let shown = post(&browser, markup, PASSWORD);
    assert_eq!(shown.status, 400);
    assert!(!shown.body.contains("<script>alert"), "{}", shown.body);
    let kept = "value=\"&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;@example.com\"";
    assert!(shown.body.contains(kept), "{}", shown.body);
    let shown = post(&browser, NEW, "not this one");
    let (_, open) = shown.body.split_once("<details open>").unwrap();
    let (open, _) = open.split_once("</details>").unwrap();
    assert!(open.contains("value=\"new@example.com\""), "{open}");
    assert!(open.contains(">Wrong password.<"), "{open}");
    assert_eq!(mails(&server), 0);
    assert_eq!(email(&server), "alice@example.com");
}

#[test]
fn a_link_that_is_used_cut_short_or_overtaken_changes_nothing() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let stranger = Visitor::program(&server);
    let one = link(&server, &alice, "one@example.com");
    let other = link(&server, &alice, "other@example.com");
    confirm(&stranger, &one[..21]).expect("no_confirmation");
    assert_eq!(links(&server), 3, "a new request leaves those before alive");

    confirm(&stranger, &one).expect("email_confirmed");

    assert_eq!(email(&server), "one@example.com");
    for over in [&one, &other] {
        refused(&stranger, UNKNOWN, |visitor| confirm(visitor, over));
        let shown = stranger.get(&format!("/confirm?token={over}"));
        assert_eq!(shown.status, 404);
    }
    assert_eq!(email(&server), "one@example.com");
    // The old address is free, and can be had again.
    server.next_mail(CHANGED);
    let back = link(&server, &alice, "alice@example.com");
    confirm(&stranger, &back).expect("email_confirmed");
    assert_eq!(email(&server), "alice@example.com");
}

#[test]
fn mailed_passwords_and_the_logins_begun_with_them_end_and_sessions_stay() {
    let server = Server::start();
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    let used = alice.mailed_password(&server, "alice");
    let unused = alice.mailed_password(&server, "alice");
    let login = |password: &str| {
        let visitor = Visitor::program(&server);
        let form = [("username", "alice"), ("password", password)];
        let answer = visitor.post("/login", &form);
        (visitor, answer)
    };
    let (pending, begun) = login(&used);
    begun.expect("code_required");
    let token = link(&server, &alice, NEW);

    confirm(&alice, &token).expect("email_confirmed");

    login(&unused).1.expect("wrong_credentials");
    pending
        .post("/secret_key", &[("secret", &authenticator.code())])
        .expect("no_pending_login");
    assert!(alice.is_logged_in());
}

#[test]
fn an_address_that_is_taken_meanwhile_stays_whose_it_is() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let token = link(&server, &alice, "bob@example.com");
    let (bob, _) = Visitor::with_account(&server, "bob");
    let before = server.users();

    let stranger = Visitor::program(&server);
    let taken = (409, "email_exists", "User with this email already exists");
    refused(&stranger, taken, |visitor| confirm(visitor, &token));

    assert_eq!(server.users(), before);
    assert_eq!(bob.get("/account").json()["email"], "bob@example.com");
    // It works once the address is free again.
    let codes = bob.new_recovery_codes();
    let form = [("current_password", PASSWORD), ("secret", &codes[0])];
    bob.post("/account/delete", &form).expect("account_deleted");
    confirm(&stranger, &token).expect("email_confirmed");
    assert_eq!(email(&server), "bob@example.com");
}

#[test]
fn a_new_password_in_between_voids_the_link() {
    let server = Server::start();
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    let token = link(&server, &alice, NEW);
    alice.change_password("nine tame cows");
    confirm(&alice, &token).expect("no_confirmation");
    assert_eq!(links(&server), 1, "the present address can still be proven");

    // And so does one after a mailed password.
    let form = [("email", NEW), ("current_password", "nine tame cows")];
    alice
        .post("/account/email", &form)
        .expect("confirmation_sent");
    let token = self::token(&server, &server.next_mail(SUBJECT));
    let mailed = alice.mailed_password(&server, "alice");
    let visitor = Visitor::program(&server);
    let form = [("username", "alice"), ("password", mailed.as_str())];
    visitor.post("/login", &form).expect("code_required");
    visitor
        .post("/secret_key", &[("secret", &authenticator.code())])
        .expect("password_change_required");
    visitor
        .post("/account/password", &[("new_password", "ten tame cows")])
        .expect("password_changed");
    confirm(&visitor, &token).expect("no_confirmation");
    assert_eq!(email(&server), "alice@example.com");
}

/// Whoever asked for it may have done so in a session that was not theirs.
#[test]
fn an_end_of_all_sessions_in_between_voids_the_link() {
    for words in [&["end-sessions", "alice"][..], &["reset-2fa", "alice"]] {
        let setup = Setup::new();
        let server = setup.start();
        let (alice, _) = Visitor::with_account(&server, "alice");
        let token = link(&server, &alice, NEW);
        assert_eq!(links(&server), 2);

        let command = setup.clone().with(&["user"]).with(words);
        assert!(command.run().0.success());

        wait_for("the end of the session", || {
            (!alice.is_logged_in()).then_some(())
        });
        let stranger = Visitor::program(&server);
        confirm(&stranger, &token).expect("no_confirmation");
        assert_eq!(email(&server), "alice@example.com");
        // The one that only proves the address changes nothing for whoever asked for it.
        assert_eq!(links(&server), 1);
    }
}

#[test]
fn a_removed_account_takes_its_links_along() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let codes = alice.new_recovery_codes();
    let token = link(&server, &alice, NEW);
    let form = [("current_password", PASSWORD), ("secret", &codes[0])];
    alice
        .post("/account/delete", &form)
        .expect("account_deleted");

    confirm(&alice, &token).expect("no_confirmation");
    assert_eq!(links(&server), 0);
}

#[test]
fn edits_by_hand_in_between_void_the_link() {
    of_one_machine!("an edit of users.json ends what rested on it");
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let codes = alice.new_recovery_codes();
    let log_in = |code: &str| {
        let visitor = Visitor::program(&server);
        log_in(&visitor, "alice", PASSWORD, code);
        visitor
    };
    let browser = Visitor::program(&server);
    let edit = |field: &str, value: Value| {
        server.edit_account("alice", |account| account[field] = value);
    };
    let settled = |open| wait_for("the edit", || (links(&server) == open).then_some(()));
    let logged = |what: &str, count| {
        let what = format!("changed=\"{what}\"");
        wait_for(&what, || {
            (server.log().matches(&what).count() == count).then_some(())
        });
    };

    // Disabled, though enabled again.
    let token = link(&server, &alice, NEW);
    assert_eq!(links(&server), 2);
    edit("disabled", true.into());
    settled(1);
    edit("disabled", false.into());
    logged("enabled", 1);
    confirm(&browser, &token).expect("no_confirmation");

    // Another password, though the old one is put back.
    let token = link(&server, &log_in(&codes[0]), NEW);
    let hash = server.users()["users"]["alice"]["password"].take();
    let (rest, last) = hash
        .as_str()
        .unwrap()
        .split_at(hash.as_str().unwrap().len() - 2);
    let other = if last == "AA" { "BA" } else { "AA" };
    edit("password", format!("{rest}{other}").into());
    settled(1);
    edit("password", hash);
    logged("password", 2);
    confirm(&browser, &token).expect("no_confirmation");

    // Another address: links of both kinds end, and none is revived.
    let token = link(&server, &log_in(&codes[1]), NEW);
    edit("email", "other@example.com".into());
    settled(0);
    edit("email", "alice@example.com".into());
    logged("email", 2);
    confirm(&browser, &token).expect("no_confirmation");
    assert_eq!(email(&server), "alice@example.com");
}

#[test]
fn a_form_sent_twice_is_mailed_once() {
    let server = Server::start_alone();
    let (alice, _) = Visitor::with_account(&server, "alice");
    ask(&alice, NEW).expect("confirmation_sent");
    let again = ask(&alice.reading(Accept::Page), " new@example.com ");
    see_other(&again, "/account?notice=change_mailed");
    ask(&alice, "other@example.com").expect("confirmation_sent");
    wait_for_results(&server, "written", 3);
    server.next_mails(SUBJECT, 2);
    assert!(server.log().contains("result=\"repeated\""));

    // What was not done is looked at anew.
    let form = |password| [("email", NEW), ("current_password", password)];
    alice
        .post("/account/email", &form("not this one"))
        .expect("wrong_password");
}

#[test]
fn one_account_has_twenty_of_these_mailed_an_hour_whoever_they_go_to() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let (_bob, _) = Visitor::with_account(&server, "bob");
    prove(&server, "alice", &alice);
    let before = mails(&server);
    ask(&alice, "bob@example.com").expect("confirmation_sent");
    for n in 0..20 {
        let answer = ask(&alice, &format!("alice@example{n}.com"));
        json(&answer, 200, "confirmation_sent", SENT);
    }
    wait_for("the last", || {
        server
            .log()
            .contains("user=\"alice\" result=\"too_many\"")
            .then_some(())
    });
    let mailed = mails(&server) - before;
    assert!(mailed <= 20);

    // The owner is told of a change all the same. One of the mails went to bob.
    let links = server.next_mails(SUBJECT, mailed - 1);
    confirm(&alice, &token(&server, &links[0])).expect("email_confirmed");
    let notice = server.next_mail(CHANGED);
    assert!(notice.contains("To: alice@example.com\r\n"), "{notice}");
}

#[test]
fn an_application_is_told_the_new_address_at_once() {
    let setup = Setup::new().with(&["--trusted-proxy", "127.0.0.1"]);
    let server = setup.start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    prove(&server, "alice", &alice);
    let told = || {
        let asking = alice
            .sending("x-forwarded-method", "GET")
            .sending("x-forwarded-proto", "https")
            .sending("x-forwarded-host", "localhost")
            .sending("x-forwarded-uri", "/");
        let answer = asking.get("/api/authz/forward-auth");
        answer.header("remote-email").unwrap().to_owned()
    };
    let token = link(&server, &alice, NEW);
    assert_eq!(told(), "alice@example.com");
    confirm(&alice, &token).expect("email_confirmed");
    crate::harness::place::settle(setup.dir());
    assert_eq!(told(), NEW);
}

#[test]
fn a_mail_server_is_given_the_mails() {
    let sink = Sink::start();
    let server = Server::start_with(&["--smtp", &sink.url()]);
    let (alice, _) = Visitor::with_account(&server, "alice");
    let (_bob, _) = Visitor::with_account(&server, "bob");
    ask(&alice, "bob@example.com").expect("confirmation_sent");
    let mail = sink.next();
    assert_eq!(
        (mail.subject(), &*mail.to),
        (WANTED, "RCPT TO:<bob@example.com>")
    );
}

#[test]
fn a_link_outlives_a_restart() {
    let setup = Setup::new();
    let server = setup.start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let mail = mailed(&server, &alice, NEW);
    let link = mail.split("/confirm?token=").nth(1).unwrap();
    let token: String = link.split_whitespace().next().unwrap().to_owned();
    drop(server);
    let server = setup.start();
    confirm(&Visitor::program(&server), &token).expect("email_confirmed");
    assert_eq!(email(&server), NEW);
}
