//! A passkey after the password, in place of the code.

use serde_json::{Value, json};

use crate::harness::passkey::{Algorithm, VERIFIED, device, encoded, making, with};
use crate::harness::three_forms::{refused, see_other};
use crate::harness::{Accept, PASSWORD, Server, Setup, Visitor, from_now, wait_for};
use crate::routes::passkeys::{WRONG, is_wrong, kept, lines};

const PATH: &str = "/secret_key/passkey";

#[test]
fn after_the_password_those_of_the_account_are_asked_for() {
    let server = Server::start();
    let (alice, codes, passkey) = Visitor::with_passkey(&server, "alice");
    let usb = device(&server, Algorithm::EdDsa);
    let fields = making(&usb, &alice.options(&codes[0]));
    let fields = with(fields, "transports", "usb nfc");
    alice
        .send("/account/passkeys/confirm", &fields)
        .expect("passkey_added");
    let visitor = Visitor::program(&server);

    let asked = visitor.asked_after_password("alice");

    let challenge = asked["challenge"].clone();
    let expected = json!({
        "challenge": challenge, "rpId": "localhost", "timeout": 300_000,
        "userVerification": "discouraged",
        "allowCredentials": [
            { "type": "public-key", "id": encoded(&passkey.device.id), "transports": [] },
            { "type": "public-key", "id": encoded(&usb.id), "transports": ["usb", "nfc"] },
        ],
    });
    assert_eq!(asked, expected);
    let login = [("username", "bob"), ("password", PASSWORD)];
    Visitor::with_account(&server, "bob");
    let answer = visitor.post("/login", &login);
    answer.expect("code_required");
    assert_eq!(answer.json().get("passkey"), None, "bob has none");
}

#[test]
fn a_passkey_completes_a_login_even_if_it_says_neither_who_nor_whose() {
    let server = Server::start();
    let (_, _, mut passkey) = Visitor::with_passkey(&server, "alice");
    passkey.device.flags &= !VERIFIED;
    passkey.user.clear();
    let visitor = Visitor::program(&server);
    let asked = visitor.asked_after_password("alice");

    let answer = visitor.send(PATH, &passkey.using(&asked));

    answer.expect("login_complete");
    assert!(visitor.is_logged_in());
    let line = lines(&server, "logged_in", 2).pop().unwrap();
    assert_eq!(line["with"], "passkey");
    assert_eq!(kept(&server, "alice")["passkeys"][0]["count"], 2);
    // Such a passkey is good for no login alone.
    passkey.user = vec![];
    is_wrong(&passkey.log_in(&Visitor::program(&server)));
}

#[test]
fn where_the_login_goes_and_how_long_it_lasts_was_said_in_the_first_step() {
    let server = Server::start_alone();
    let (_, _, mut passkey) = Visitor::with_passkey(&server, "alice");
    let browser = Visitor::new(&server, Accept::Page);
    let login = [
        ("username", "alice"),
        ("password", PASSWORD),
        ("rd", "/account/password"),
        ("remember", "1"),
    ];
    let asked = browser.reading(Accept::Json).post("/login", &login);
    let cookie = asked.cookie("__Host-login").unwrap();
    let cookie = cookie.split([';', '=']).nth(1).unwrap().to_owned();
    browser
        .cookies
        .borrow_mut()
        .insert("__Host-login".to_owned(), cookie);

    let fields = passkey.using(&asked.json()["passkey"]);
    let fields = with(with(fields, "rd", "/account"), "remember", "");
    let answer = browser.send(PATH, &fields);

    see_other(&answer, "/account/password");
    let cookie = answer.cookie("__Host-session").unwrap();
    assert!(cookie.contains("; Max-Age="), "{cookie}");
    // Sent again, it is answered again, with the same session.
    let again = browser.send(PATH, &fields);
    see_other(&again, "/account/password");
    assert_eq!(
        again.cookie("__Host-session"),
        answer.cookie("__Host-session")
    );
}

#[test]
fn without_a_password_first_there_is_nothing_to_complete() {
    let server = Server::start();
    let (_, _, mut passkey) = Visitor::with_passkey(&server, "alice");
    let visitor = Visitor::program(&server);
    let fields = passkey.using(&visitor.asked());
    let row = (401, "no_pending_login", "Log in with your password first.");
    refused(&visitor, row, |visitor| visitor.send(PATH, &fields));
}

#[test]
fn what_was_asked_for_something_else_or_of_somebody_else_is_refused() {
    let server = Server::start();
    let (_, _, mut passkey) = Visitor::with_passkey(&server, "alice");
    let (_, _, mut bobs) = Visitor::with_passkey(&server, "bob");
    let visitor = Visitor::program(&server);
    let other = Visitor::program(&server);
    let others = other.asked_after_password("alice");
    for asked in [visitor.asked(), others.clone()] {
        visitor.asked_after_password("alice");
        is_wrong(&visitor.send(PATH, &passkey.using(&asked)));
    }
    let asked = visitor.asked_after_password("alice");
    is_wrong(&visitor.send(PATH, &bobs.using(&asked)));
    // What was asked after a password is good for no login alone.
    is_wrong(&visitor.send("/login/passkey", &passkey.using(&asked)));
}

#[test]
fn the_refusal_has_three_forms_and_its_page_asks_anew() {
    let server = Server::start();
    let (_, _, mut passkey) = Visitor::with_passkey(&server, "alice");
    let visitor = Visitor::program(&server);
    let asked = visitor.asked_after_password("alice");
    let fields = with(passkey.using(&asked), "signature", "AAAA");
    refused(&visitor, WRONG, |visitor| visitor.send(PATH, &fields));

    let page = visitor.reading(Accept::Page).send(PATH, &fields).body;

    let (_, fresh) = page.split_once("data-passkey=\"").unwrap();
    let (fresh, _) = fresh.split_once('"').unwrap();
    let fresh: Value = serde_json::from_str(&fresh.replace("&quot;", "\"")).unwrap();
    assert_ne!(fresh["challenge"], asked["challenge"]);
    visitor
        .send(PATH, &passkey.using(&fresh))
        .expect("login_complete");
}

#[test]
fn a_wrong_one_counts_as_a_wrong_code_and_five_end_the_login() {
    let server = Server::start();
    let (_, _, mut passkey) = Visitor::with_passkey(&server, "alice");
    let visitor = Visitor::program(&server);
    let asked = visitor.asked_after_password("alice");
    let good = passkey.using(&asked);
    for wrong in 1..=5 {
        is_wrong(&visitor.send(PATH, &with(good.clone(), "signature", "AAAA")));
        let count = kept(&server, "alice")["wrong_codes"]["count"].clone();
        assert_eq!(count, wrong);
    }
    visitor.send(PATH, &good).expect("no_pending_login");
    let refusals = lines(&server, "refused", 5);
    assert_eq!(
        (
            &refusals[0]["result"],
            &refusals[0]["user"],
            &refusals[0]["at"]
        ),
        (&json!("wrong_passkey"), &json!("alice"), &json!(PATH))
    );

    // What anybody has got wrong holds nobody's passkey up; a good login forgives it.
    server.edit_account("alice", |account| {
        account["wrong_codes"]["count"] = 150.into();
        account["wrong_codes"]["last"] = from_now(50).into();
    });
    let visitor = Visitor::program(&server);
    wait_for("the edit", || {
        let _ = visitor.asked_after_password("alice");
        let answer = visitor.post("/secret_key", &[("secret", "000000")]);
        (answer.json()["code"] == "recovery_code_needed").then_some(())
    });
    let asked = visitor.asked_after_password("alice");
    let spoilt = with(passkey.using(&asked), "signature", "AAAA");
    is_wrong(&visitor.send(PATH, &spoilt));
    assert_eq!(
        kept(&server, "alice")["wrong_codes"]["count"],
        150,
        "not counted meanwhile"
    );
    visitor
        .send(PATH, &passkey.using(&asked))
        .expect("login_complete");
    assert_eq!(kept(&server, "alice").get("wrong_codes"), None);
}

#[test]
fn after_a_mailed_password_a_passkey_leads_to_choosing_one() {
    let server = Server::start();
    let (alice, _, mut passkey) = Visitor::with_passkey(&server, "alice");
    let mailed = alice.mailed_password(&server, "alice");
    let visitor = Visitor::program(&server);
    let login = [("username", "alice"), ("password", mailed.as_str())];
    let asked = visitor.post("/login", &login).json()["passkey"].clone();

    let answer = visitor.send(PATH, &passkey.using(&asked));

    answer.expect("password_change_required");
    assert!(!visitor.is_logged_in());
    let browser = visitor.reading(Accept::Page);
    let chosen = browser.post("/account/password", &[("new_password", "eight tame cows")]);
    see_other(&chosen, "/account?notice=password_changed");
    let page = browser.get("/account?notice=password_changed").body;
    assert!(
        page.contains("Password changed. Still good: 1 passkey."),
        "{page}"
    );
    let mail = server.next_mail("Your password was changed");
    assert!(mail.contains("\r\nStill good: 1 passkey."), "{mail}");
    let line = lines(&server, "logged_in", 2).pop().unwrap();
    assert_eq!(
        (&line["with"], &line["mailed_password"]),
        (&json!("passkey"), &json!(true))
    );
}

#[test]
fn an_account_without_an_app_is_asked_for_its_passkey_and_never_enrols_by_password_alone() {
    let setup = Setup::new();
    let mut server = setup.start();
    let (_, codes, mut passkey) = Visitor::with_passkey(&server, "alice");
    server.kill();
    // An account that an operator writes anew, with what its owner has.
    server.edit_account("alice", |alice| {
        let alice = alice.as_object_mut().unwrap();
        alice.remove("totp");
        alice.remove("seal");
    });
    let server = setup.start();
    let visitor = Visitor::program(&server);
    passkey.device.origin = server.url("");

    let asked = visitor.asked_after_password("alice");
    let known = &asked["allowCredentials"][0]["id"];
    assert_eq!(*known, encoded(&passkey.device.id));
    let page = visitor.reading(Accept::Page).get("/secret_key").body;
    assert!(page.contains("<h1>Enter a recovery code</h1>"), "{page}");
    assert!(page.contains(">Use a passkey</button>"));
    assert!(!page.contains("Use the authenticator app"));
    visitor
        .post("/secret_key", &[("secret", "000000")])
        .expect("wrong_code");
    visitor
        .send(PATH, &passkey.using(&asked))
        .expect("login_complete");
    let other = Visitor::program(&server);
    other.asked_after_password("alice");
    other
        .post("/secret_key", &[("secret", &codes[0])])
        .expect("login_complete");
    assert_eq!(kept(&server, "alice").get("totp"), None);
}
