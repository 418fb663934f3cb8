//! A login by passkey alone.

use serde_json::{Value, json};

use crate::harness::passkey::{
    Algorithm, BACKED_UP, Device, ELIGIBLE, PRESENT, Passkey, VERIFIED, device, encoded, with,
};
use crate::harness::three_forms::{refused, see_other};
use crate::harness::{Accept, PASSWORD, Server, Setup, Visitor, wait_for};
use crate::routes::passkeys::{WRONG, event, is_wrong, kept, lines};

#[test]
fn what_asks_for_a_passkey_is_the_w3cs_dictionary_and_names_nobody() {
    let server = Server::start();
    Visitor::with_passkey(&server, "alice");
    let visitor = Visitor::program(&server);

    let page = visitor.get("/login");

    assert_eq!(page.header("vary"), Some("Accept"));
    let asked = page.json()["passkey"]["challenge"].clone();
    let expected = json!({
        "code": "log_in",
        "message": "Log in.",
        "passkey": {
            "challenge": asked, "rpId": "localhost", "timeout": 300_000,
            "userVerification": "required",
        },
    });
    assert_eq!((page.status, page.json()), (200, expected));
    for form in [Accept::Page, Accept::Text] {
        let page = visitor.reading(form).get("/login");
        assert!(page.body.contains("<h1>Log in</h1>"), "{form:?}");
        assert_eq!(page.header("vary"), Some("Accept"));
    }
}

#[test]
fn a_passkey_alone_begins_a_session() {
    let server = Server::start();
    let (_, _, mut passkey) = Visitor::with_passkey(&server, "alice");
    let visitor = Visitor::program(&server);

    let answer = passkey.log_in(&visitor);

    let said = json!({ "code": "login_complete", "message": "Login completed successfully." });
    assert_eq!((answer.status, answer.json()), (200, said));
    let cookie = answer.cookie("__Host-session").unwrap();
    assert!(!cookie.contains("Max-Age"), "{cookie}");
    assert_eq!(visitor.get("/account").json()["username"], "alice");
    assert_eq!(event(&visitor, "logged_in")["result"], "ok");
    let alone = lines(&server, "logged_in", 2).pop().unwrap();
    assert_eq!(
        (&alone["with"], &alone["user"]),
        (&json!("passkey_alone"), &json!("alice"))
    );
    let used = kept(&server, "alice")["passkeys"][0].clone();
    assert_eq!(used["count"], 2);
    assert!(used["used"].is_string());
    // From a browser that the account did not know.
    server.next_mail("New login");
    passkey.log_in(&visitor).expect("login_complete");
    assert!(visitor.is_logged_in());
}

#[test]
fn a_browser_goes_where_it_wanted_to_and_may_stay_logged_in() {
    let server = Server::start();
    let (_, _, mut passkey) = Visitor::with_passkey(&server, "alice");
    let browser = Visitor::new(&server, Accept::Page);
    for (rd, place) in [
        ("/account/password", "/account/password"),
        ("", "/account"),
        ("https://evil.test/", "/account"),
    ] {
        let fields = with(passkey.using(&browser.asked()), "rd", rd);
        let fields = with(fields, "remember", "1");
        let answer = browser.send("/login/passkey", &fields);
        see_other(&answer, place);
        let cookie = answer.cookie("__Host-session").unwrap();
        assert!(cookie.contains("; Max-Age=2592000"), "{cookie}");
    }
    let listed = browser.reading(Accept::Json).get("/account").json()["sessions"].clone();
    assert_eq!(listed[0]["remembered"], true);
    let fields = with(passkey.using(&browser.asked()), "remember", "2");
    let answer = browser.send("/login/passkey", &fields);
    assert_eq!(answer.status, 400);
}

type Spoil = fn(&mut Passkey);

#[test]
fn what_does_not_hold_is_refused_with_one_status_and_one_text() {
    let server = Server::start();
    let (_, _, mut passkey) = Visitor::with_passkey(&server, "alice");
    let (_, _, bobs) = Visitor::with_passkey(&server, "bob");
    let visitor = Visitor::program(&server);
    let spoilt: [(&str, Spoil); 10] = [
        ("not verified", |own| own.device.flags &= !VERIFIED),
        ("nobody there", |own| own.device.flags &= !PRESENT),
        ("another origin", |own| own.device.origin.push('0')),
        ("another site", |own| {
            own.device.rp_id = "example.com".to_owned();
        }),
        ("a frame", |own| {
            own.device.members = r#","crossOrigin":true"#.to_owned();
        }),
        ("a page in a frame", |own| {
            own.device.members = r#","topOrigin":"https://a.test""#.to_owned();
        }),
        ("made to be synced", |own| own.device.flags |= ELIGIBLE),
        ("copied, which cannot be", |own| {
            own.device.flags |= BACKED_UP
        }),
        ("nobody's", |own| own.user.clear()),
        ("of a removed account", |own| own.user[0] ^= 1),
    ];
    for (why, spoil) in spoilt {
        let (flags, user) = (passkey.device.flags, passkey.user.clone());
        spoil(&mut passkey);
        let answer = passkey.log_in(&visitor);
        assert_eq!(
            (answer.status, &answer.json()["code"]),
            (401, &json!(WRONG.1)),
            "{why}"
        );
        passkey.device.flags = flags;
        passkey.user = user;
        passkey.device.rp_id = "localhost".to_owned();
        passkey.device.origin = server.url("");
        passkey.device.members = r#","crossOrigin":false"#.to_owned();
    }
    let asked = visitor.asked();
    let good = passkey.using(&asked);
    let user = encoded(&bobs.user);
    let id = encoded(&bobs.device.id);
    for (field, value) in [
        ("user", user.as_str()),
        ("id", &id),
        ("id", "AAAA"),
        ("signature", "AAAA"),
        ("data", "AAAA"),
        ("client", "e30"),
    ] {
        is_wrong(&visitor.send("/login/passkey", &with(good.clone(), field, value)));
    }
    let nameless: Vec<_> = good
        .iter()
        .filter(|(name, _)| *name != "user")
        .cloned()
        .collect();
    is_wrong(&visitor.send("/login/passkey", &nameless));
    // None of these has spent the challenge.
    visitor
        .send("/login/passkey", &good)
        .expect("login_complete");
}

#[test]
fn the_refusal_has_three_forms_and_its_page_a_fresh_challenge() {
    let server = Server::start();
    let visitor = Visitor::program(&server);
    let fields = nonsense();
    refused(&visitor, WRONG, |visitor| {
        visitor.send("/login/passkey", &fields)
    });
    let pages = [(); 2].map(|()| {
        let page = visitor.reading(Accept::Page);
        page.send(
            "/login/passkey",
            &with(fields.clone(), "rd", "/account/password"),
        )
        .body
    });
    assert_ne!(asked_on(&pages[0]), asked_on(&pages[1]));
    assert!(pages[0].contains("name=\"rd\" value=\"/account/password\""));
}

fn asked_on(page: &str) -> &str {
    let (_, asked) = page.split_once("data-passkey=\"").unwrap();
    asked.split_once('"').unwrap().0
}

/// Fields that can be read and hold nothing.
fn nonsense() -> Vec<(&'static str, String)> {
    ["client", "data", "signature", "id"]
        .map(|field| (field, "AAAA".to_owned()))
        .to_vec()
}

#[test]
fn a_field_that_is_no_field_is_named_and_is_no_failure() {
    let server = Server::start();
    let visitor = Visitor::program(&server);
    for (field, most) in [
        ("client", 4096),
        ("data", 1024),
        ("signature", 1024),
        ("id", 1023),
        ("user", 64),
    ] {
        let long = |bytes: usize| encoded(vec![0; bytes]);
        let send = |value: &str| visitor.send("/login/passkey", &with(nonsense(), field, value));
        for value in [long(most + 1), "*".to_owned(), "A".to_owned()] {
            let answer = send(&value);
            answer.expect("bad_field");
            assert_eq!(
                (answer.status, &answer.json()["field"]),
                (400, &json!(field))
            );
        }
        is_wrong(&send(&long(most)));
        let twice = [nonsense(), vec![(field, "AAAA".to_owned()); 2]].concat();
        visitor.send("/login/passkey", &twice).expect("bad_field");
    }
    for field in ["client", "data", "signature", "id"] {
        let fields = with(nonsense(), field, "");
        visitor.send("/login/passkey", &fields).expect("bad_field");
    }
    is_wrong(&visitor.send("/login/passkey", &with(nonsense(), "user", "")));
}

/// Edits alice's account, and returns when the server has taken that up.
fn edited(server: &Server, edit: impl FnOnce(&mut Value)) {
    let edits = || server.log().matches("edited_by_hand").count();
    let before = edits();
    server.edit_account("alice", edit);
    wait_for("the edit", || (edits() > before).then_some(()));
}

#[test]
fn an_account_that_nobody_may_log_in_to_has_no_passkey() {
    of_one_machine!("users.json is edited by hand");
    let server = Server::start();
    let (_, _, mut passkey) = Visitor::with_passkey(&server, "alice");
    let visitor = Visitor::program(&server);
    for (field, out, back) in [
        ("disabled", json!(true), json!(false)),
        (
            "password",
            json!(null),
            kept(&server, "alice")["password"].clone(),
        ),
    ] {
        edited(&server, |alice| alice[field] = out);
        is_wrong(&passkey.log_in(&visitor));
        edited(&server, |alice| alice[field] = back);
        passkey.log_in(&visitor).expect("login_complete");
    }
}

#[test]
fn a_counter_behind_is_refused_and_its_owner_told_once_a_day() {
    let setup = Setup::new().with(&["--public-url", "https://localhost:8443"]);
    let mut server = setup.start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let device = Device::new(Algorithm::Es256, "localhost", "https://localhost:8443");
    let mut passkey = alice.add(device, &alice.new_recovery_codes()[0]);
    let visitor = Visitor::program(&server);
    passkey.device.count = 10;
    passkey.log_in(&visitor).expect("login_complete");
    for count in [9, 10] {
        passkey.device.count = count;
        is_wrong(&passkey.log_in(&visitor));
        passkey.device.count = 0;
    }

    let mail = server.next_mail("A passkey may have been copied");
    assert!(mail.contains("To: alice@example.com\r\n"), "{mail}");
    let line = lines(&server, "passkey_copied", 2).pop().unwrap();
    assert_eq!(
        (&line["user"], &line["address"]),
        (&json!("alice"), &json!("127.0.0.1"))
    );
    assert_eq!(event(&alice, "passkey_copied")["result"], "ok");
    server.wait_for_log("\"passkey_copied\"");
    // It stays, and works when its counter is ahead again.
    passkey.device.count = 11;
    passkey.log_in(&visitor).expect("login_complete");
    // Nor does a restart have them told once more.
    server.kill();
    let server = setup.start();
    passkey.device.count = 5;
    is_wrong(&passkey.log_in(&Visitor::program(&server)));
    lines(&server, "passkey_copied", 3);
    Visitor::program(&server).register("last");
    let again = std::fs::read_dir(server.path("outbox"))
        .unwrap()
        .any(|entry| {
            let mail = std::fs::read_to_string(entry.unwrap().path()).unwrap_or_default();
            mail.contains("Subject: A passkey may have been copied")
        });
    assert!(!again, "one mail a day");
}

#[test]
fn a_network_that_guesses_waits_and_a_good_passkey_does_not() {
    let server = Server::start_with(&["--trusted-proxy", "127.0.0.1"]);
    let (_, _, mut passkey) = Visitor::with_passkey(&server, "alice");
    let guesser = Visitor::program(&server).sending("x-forwarded-for", "192.0.2.1");
    let fields = with(nonsense(), "id", &encoded(&passkey.device.id));

    let waits = (0..40).any(|_| guesser.send("/login/passkey", &fields).status == 429);

    assert!(waits, "twenty failures are free");
    // The account has counted nothing: its owner logs in from elsewhere as ever.
    assert_eq!(kept(&server, "alice").get("wrong_codes"), None);
    let login = [("username", "alice"), ("password", PASSWORD)];
    let owner = Visitor::program(&server).sending("x-forwarded-for", "198.51.100.7");
    owner.post("/login", &login).expect("code_required");
    // Nobody guesses a passkey, so a good one is let in even from there.
    passkey.log_in(&guesser).expect("login_complete");
    assert!(guesser.is_logged_in());
}

#[test]
fn an_unknown_passkey_is_logged_of_nobody() {
    let server = Server::start();
    let (_, _, passkey) = Visitor::with_passkey(&server, "alice");
    let visitor = Visitor::program(&server);
    let fields = with(nonsense(), "id", &encoded(&passkey.device.id));
    is_wrong(&visitor.send("/login/passkey", &fields));
    server.wait_for_log("wrong_passkey");
    let log = server.log();
    let line = log.lines().find(|line| line.contains("wrong_passkey"));
    assert!(line.unwrap().contains("user=\"-\""), "{line:?}");
    let other = device(&server, Algorithm::EdDsa);
    let fields = with(nonsense(), "id", &encoded(&other.id));
    is_wrong(&visitor.send("/login/passkey", &fields));
}
