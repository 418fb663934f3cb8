//! What becomes of passkeys: removed by their owner, by an operator's edit, by a reset; kept over a
//! new password and a new name; gone with the account.

use serde_json::{Value, json};

use crate::harness::passkey::{Algorithm, Device, device, encoded, making, with};
use crate::harness::three_forms::{FORMS, json, page, refused, see_other, text};
use crate::harness::{Accept, PASSWORD, Server, Setup, Visitor, wait_for};
use crate::operator::run;
use crate::routes::passkeys::{event, is_wrong, kept};

const PATH: &str = "/account/passkeys/remove";

#[test]
fn a_removed_passkey_is_gone_and_ends_no_session() {
    let server = Server::start_alone();
    let (alice, _, mut passkey) = Visitor::with_passkey(&server, "alice");
    let elsewhere = Visitor::program(&server);
    passkey.log_in(&elsewhere).expect("login_complete");
    let id = encoded(&passkey.device.id);
    let form = [("passkey", id.as_str()), ("current_password", PASSWORD)];

    json(&alice.post(PATH, &form), 200, "passkey_removed", "Done.");

    assert_eq!(alice.get("/account").json()["passkeys"], json!([]));
    assert_eq!(kept(&server, "alice").get("passkeys"), None);
    assert!(elsewhere.is_logged_in());
    is_wrong(&passkey.log_in(&Visitor::program(&server)));
    let login = [("username", "alice"), ("password", PASSWORD)];
    let answer = Visitor::program(&server).post("/login", &login);
    assert_eq!(answer.json().get("passkey"), None);
    let mail = server.next_mail("A passkey was removed");
    assert!(mail.contains("If it was not you"), "{mail}");
    assert_eq!(event(&alice, "passkey_removed")["result"], "ok");
    // Sent twice, it is answered once more; after that there is none.
    for form_of in FORMS {
        let answer = alice.reading(form_of).post(PATH, &form);
        match form_of {
            Accept::Json => json(&answer, 200, "passkey_removed", "Done."),
            Accept::Text => text(&answer, 200, "Done."),
            Accept::Page => see_other(&answer, "/account?notice=passkey_removed"),
        }
    }
}

#[test]
fn one_that_is_not_there_or_anothers_is_not_found() {
    let server = Server::start();
    let (alice, _, passkey) = Visitor::with_passkey(&server, "alice");
    let (bob, _) = Visitor::with_account(&server, "bob");
    let id = encoded(&passkey.device.id);
    let row = (404, "not_found", "There is no such page.");
    for (visitor, id) in [(&bob, id.as_str()), (&alice, "AAAA")] {
        let form = [("passkey", id), ("current_password", PASSWORD)];
        refused(visitor, row, |visitor| visitor.post(PATH, &form));
    }
    for (id, password, outcome) in [
        (id.as_str(), "not this one", "wrong_password"),
        ("*", PASSWORD, "bad_field"),
        ("", PASSWORD, "bad_field"),
        (id.as_str(), "", "bad_field"),
    ] {
        let form = [("passkey", id), ("current_password", password)];
        alice.post(PATH, &form).expect(outcome);
    }
    let form = [
        ("passkey", id.as_str()),
        ("current_password", "not this one"),
    ];
    let again = alice.reading(Accept::Page).post(PATH, &form);
    page(&again, 401, "Wrong password.");
    let (_, open) = again.body.split_once("<details open>").unwrap();
    assert!(
        open.trim_start().starts_with("<summary>Remove<span"),
        "{open}"
    );
    assert_eq!(
        kept(&server, "alice")["passkeys"].as_array().unwrap().len(),
        1
    );
}

#[test]
fn an_edit_by_hand_removes_one_within_a_second() {
    of_one_machine!("users.json is edited by hand");
    let server = Server::start();
    let (alice, codes, mut passkey) = Visitor::with_passkey(&server, "alice");
    server.edit_account("alice", |alice| {
        alice["passkeys"] = json!([]);
    });
    let visitor = Visitor::program(&server);
    wait_for("the edit", || {
        (passkey.log_in(&visitor).status == 401).then_some(())
    });
    assert!(alice.is_logged_in());

    // Without the app go the passkeys.
    let mut other = alice.add(device(&server, Algorithm::EdDsa), &codes[0]);
    server.edit_account("alice", |alice| {
        alice.as_object_mut().unwrap().remove("totp");
    });
    wait_for("the edit", || (!alice.is_logged_in()).then_some(()));
    is_wrong(&other.log_in(&visitor));
    wait_for("the file", || {
        kept(&server, "alice")
            .get("passkeys")
            .is_none()
            .then_some(())
    });
}

#[test]
fn one_id_in_two_accounts_is_a_damaged_file() {
    of_one_machine!("a damaged users.json");
    let setup = Setup::new();
    let mut server = setup.start();
    Visitor::with_passkey(&server, "alice");
    Visitor::with_account(&server, "bob");
    server.kill();
    let alices = kept(&server, "alice")["passkeys"].clone();
    server.edit_account("bob", |bob| bob["passkeys"] = alices);

    let (status, _, error) = setup.run();

    assert_eq!(status.code(), Some(1));
    assert!(
        error.contains("is there twice, or another account's too"),
        "{error}"
    );
}

#[test]
fn a_new_password_leaves_them_and_says_so() {
    let server = Server::start();
    let (alice, _, mut passkey) = Visitor::with_passkey(&server, "alice");
    alice.change_password("eight tame cows");
    let page = alice
        .reading(Accept::Page)
        .get("/account?notice=password_changed");
    assert!(
        page.body
            .contains("Password changed. Still good: 1 passkey."),
        "{page:?}"
    );
    let mail = server.next_mail("Your password was changed");
    assert!(mail.contains("\r\nStill good: 1 passkey."), "{mail}");
    passkey
        .log_in(&Visitor::program(&server))
        .expect("login_complete");
}

#[test]
fn a_reset_of_the_second_factor_removes_them() {
    let server = Server::start();
    let (_, _, mut passkey) = Visitor::with_passkey(&server, "alice");
    let (root, _) = Visitor::with_account(&server, "boss");
    server.edit_account("boss", |boss| boss["groups"] = json!(["admins"]));
    let told = |root: &Visitor| root.get("/people/alice").json()["second_factor"].clone();
    wait_for("the group", || (told(&root) == json!(true)).then_some(()));

    root.post("/people/alice/reset_2fa", &[])
        .expect("second_factor_reset");

    is_wrong(&passkey.log_in(&Visitor::program(&server)));
    assert_eq!(kept(&server, "alice").get("passkeys"), None);
    assert_eq!(told(&root), json!(false));
    let mail = server.next_mail("Your second factor was reset");
    assert!(
        mail.contains("your passkeys and your access tokens no longer work"),
        "{mail}"
    );
}

#[test]
fn somebody_with_a_passkey_alone_counts_as_enrolled() {
    let server = Server::start();
    let (root, _) = Visitor::with_account(&server, "boss");
    Visitor::program(&server).register("carol");
    server.edit_account("boss", |boss| boss["groups"] = json!(["admins"]));
    let enrolled = |is: bool| {
        wait_for("the edit", || {
            let carol = root.get("/people/carol").json();
            (carol["second_factor"] == json!(is)).then_some(())
        });
    };
    enrolled(false);
    let passkey = json!([{
        "id": "AQ", "key": format!("pAEBAycgBiFYI{}", "A".repeat(43)), "name": "Key",
        "created": "2026-11-22T12:00:00Z", "used": null, "count": 0, "verified": true,
        "synced": false, "transports": [], "rp": "localhost",
    }]);
    server.edit_account("carol", |carol| carol["passkeys"] = passkey);
    enrolled(true);
    let login = [("username", "carol"), ("password", PASSWORD)];
    let answer = Visitor::program(&server).post("/login", &login);
    answer.expect("code_required");
    assert_eq!(answer.json()["passkey"]["allowCredentials"][0]["id"], "AQ");
}

#[test]
fn a_renamed_account_keeps_them_and_a_deleted_one_does_not() {
    let setup = Setup::new();
    let server = setup.start();
    let (alice, codes, mut passkey) = Visitor::with_passkey(&server, "alice");
    let said = run(&setup, &["user", "set", "alice", "--rename", "alicia"], b"");
    assert_eq!(said.0, 0, "{said:?}");
    let visitor = Visitor::program(&server);
    wait_for("the new name", || (!alice.is_logged_in()).then_some(()));
    passkey.log_in(&visitor).expect("login_complete");
    assert_eq!(visitor.get("/account").json()["username"], "alicia");

    let form = [
        ("current_password", PASSWORD),
        ("secret", codes[0].as_str()),
    ];
    visitor
        .post("/account/delete", &form)
        .expect("account_deleted");
    is_wrong(&passkey.log_in(&Visitor::program(&server)));
}

#[test]
fn a_passkey_for_another_host_stays_and_does_nothing() {
    let setup = Setup::new();
    let mut server = setup.start();
    let (_, codes, mut passkey) = Visitor::with_passkey(&server, "alice");
    server.kill();
    let moved = setup.clone().with(&["--public-url", "https://login.test"]);
    let checked = moved.command().arg("check").output().unwrap();
    let warning = "1 accounts have passkeys for another host than login.test; they log in by code.";
    let said = String::from_utf8(checked.stdout).unwrap();
    assert!(said.contains(&format!("warning: {warning}")), "{said}");
    let server = moved.start();
    server.wait_for_log(warning);

    let visitor = Visitor::program(&server);
    let login = [("username", "alice"), ("password", PASSWORD)];
    let answer = visitor.post("/login", &login);
    answer.expect("code_required");
    assert_eq!(answer.json().get("passkey"), None);
    passkey.device.origin = "https://login.test".to_owned();
    is_wrong(&passkey.log_in(&Visitor::program(&server)));
    passkey.device.rp_id = "login.test".to_owned();
    is_wrong(&passkey.log_in(&Visitor::program(&server)));
    visitor
        .post("/secret_key", &[("secret", &codes[0])])
        .expect("login_complete");
    assert_eq!(
        visitor.get("/account").json()["passkeys"][0]["host"],
        "localhost"
    );
    let page = visitor.reading(Accept::Page).get("/account").body;
    assert!(
        page.contains("It is for localhost and does not work here."),
        "{page}"
    );
    // New ones can be made, and the old one can be removed.
    let options: Value = visitor.options(&codes[1]);
    assert_eq!(options["excludeCredentials"], json!([]));
    let device = Device::new(Algorithm::Es256, "login.test", "https://login.test");
    let fields = making(&device, &options);
    visitor
        .send("/account/passkeys/confirm", &with(fields, "name", "new"))
        .expect("passkey_added");
    let id = encoded(&passkey.device.id);
    let form = [("passkey", id.as_str()), ("current_password", PASSWORD)];
    visitor.post(PATH, &form).expect("passkey_removed");
}
