//! What is written of what happens to an account, and what is not.

use serde_json::{Value, json};

use crate::harness::directory::mode;
use crate::harness::{Accept, Authenticator, PASSWORD, Server, Setup, Visitor, place, wait_for};
use crate::operator::events::{as_agent, id, lines, told, told_all};

#[test]
fn a_life_of_an_account_is_told_line_by_line() {
    let setup = Setup::new();
    let server = setup.start();
    let alice = as_agent(&Visitor::program(&server), "browser/1");
    alice.sign_up("alice");
    let id = id(&server, "alice");
    let line = |event: &str, result: &str| {
        json!({
            "event": event, "user": "alice", "id": id, "address": "127.0.0.1",
            "agent": "browser/1", "result": result,
        })
    };
    let with = |mut line: Value, name: &str, value: Value| {
        line[name] = value;
        line
    };
    assert_eq!(told(&server, "registered"), line("registered", "ok"));

    let authenticator = alice.enrol("alice");
    let entered = told(&server, "logged_in");
    assert_eq!(
        entered,
        with(line("logged_in", "ok"), "with", json!("enrolment"))
    );

    alice.new_recovery_codes();
    let made = told(&server, "recovery_codes_made");
    assert_eq!(made, line("recovery_codes_made", "ok"));

    let wrong = [("current_password", "no"), ("secret", "000000")];
    alice
        .post("/account/delete", &wrong)
        .expect("wrong_password");
    let refused = told(&server, "refused");
    let at = with(
        line("refused", "wrong_password"),
        "at",
        json!("/account/delete"),
    );
    assert_eq!(refused, at);

    let password = ("current_password", PASSWORD);
    let answer = alice.post(
        "/account/totp",
        &[password, ("secret", &authenticator.code())],
    );
    let new = Authenticator::new(answer.json()["secret"].as_str().unwrap());
    let confirmed = [("secret", new.code())];
    let confirmed: Vec<(&str, &str)> = confirmed.iter().map(|(n, v)| (*n, v.as_str())).collect();
    alice
        .post("/account/totp/confirm", &confirmed)
        .expect("authenticator_changed");
    let changed = told(&server, "authenticator_changed");
    assert_eq!(changed, line("authenticator_changed", "ok"));

    let change = [password, ("new_password", "eight tame horses")];
    alice
        .post("/account/password", &change)
        .expect("password_changed");
    let changed = told(&server, "password_changed");
    assert_eq!(changed, line("password_changed", "ok"));

    let other = as_agent(&Visitor::program(&server), "browser/2");
    other.log_in("alice", "eight tame horses", &new);
    let entered = &told_all(&server, "logged_in", 2)[1];
    assert_eq!(entered["with"], "code");
    assert_eq!(entered["agent"], "browser/2");
    assert_eq!(told(&server, "new_browser")["agent"], "browser/2");

    let others = [("session", "others")];
    alice
        .post("/account/sessions/end", &others)
        .expect("sessions_ended");
    let ended = told(&server, "sessions_ended");
    assert_eq!(ended, line("sessions_ended", "ok"));

    let mailed = alice.mailed_password(&server, "alice");
    assert_eq!(
        told(&server, "password_mailed"),
        line("password_mailed", "ok")
    );
    assert!(!server.kept("events.jsonl").contains(&mailed));

    alice.post("/logout", &[]).expect("logged_out");
    assert_eq!(told(&server, "logged_out"), line("logged_out", "ok"));
    if !place::is_database() {
        assert_eq!(mode(&server.path("events.jsonl")), 0o600);
    }
}

#[test]
fn a_login_by_mailed_password_and_the_end_of_an_account_are_told() {
    let server = Server::start();
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    let id = id(&server, "alice");
    let mailed = alice.mailed_password(&server, "alice");

    let visitor = Visitor::program(&server);
    let form = [("username", "alice"), ("password", &mailed)];
    visitor.post("/login", &form).expect("code_required");
    let code = [("secret", authenticator.code())];
    visitor
        .post("/secret_key", &[("secret", &code[0].1)])
        .expect("password_change_required");
    // That of the enrolment, and no other: the password is still to be chosen.
    told(&server, "logged_in");
    visitor
        .post(
            "/account/password",
            &[("new_password", "eight tame horses")],
        )
        .expect("password_changed");

    let entered = &told_all(&server, "logged_in", 2)[1];
    assert_eq!(entered["mailed_password"], true);
    assert_eq!(entered["with"], "code");
    told(&server, "password_changed");
    told(&server, "new_browser");

    authenticator.forget(&server, "alice");
    wait_for("the edit to be taken up", || {
        let form = [
            ("current_password", "eight tame horses"),
            ("secret", &authenticator.code()),
        ];
        let answer = visitor.post("/account/delete", &form);
        (answer.json()["code"] == "account_deleted").then_some(())
    });
    let deleted = told(&server, "account_deleted");
    assert_eq!((&deleted["user"], &deleted["id"]), (&json!("alice"), &id));
}

#[test]
fn what_changes_nothing_is_no_event() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let nobody = Visitor::program(&server);
    nobody.post("/logout", &[]).expect("logged_out");
    let others = [("session", "others")];
    alice
        .post("/account/sessions/end", &others)
        .expect("sessions_ended");
    let one = [("session", "nothing-like-it")];
    alice
        .post("/account/sessions/end", &one)
        .expect("sessions_ended");
    let page = Visitor::new(&server, Accept::Page);
    page.get("/login");

    alice.post("/logout", &[]).expect("logged_out");
    told(&server, "logged_out");

    // Nodes write each their own, and so not always in the order in which they happened.
    let mut all: Vec<String> = lines(&server)
        .iter()
        .map(|line| line["event"].as_str().unwrap().to_owned())
        .collect();
    all.sort();
    assert_eq!(all, ["logged_in", "logged_out", "registered"]);
}

#[test]
fn what_administrators_do_is_told_in_their_name() {
    let server = Server::start();
    let (ada, _) = Visitor::with_account(&server, "ada");
    let (_bob, _) = Visitor::with_account(&server, "bob");
    let bob = id(&server, "bob");
    server.edit_account("ada", |ada| ada["groups"] = json!(["users", "admins"]));
    wait_for("the administrator", || {
        (ada.get("/people").status == 200).then_some(())
    });
    let ada = as_agent(&ada, "browser/1");
    let told = |event: &str| {
        wait_for(event, || {
            let is_it = |line: &Value| line["event"] == event && line["by"] == "ada";
            lines(&server).into_iter().find(is_it)
        })
    };

    for (act, form, event) in [
        ("groups", &[("groups", "users staff")][..], "groups_changed"),
        ("new_password", &[], "password_mailed"),
        ("end_sessions", &[], "sessions_ended"),
        ("reset_2fa", &[], "second_factor_reset"),
        ("disable", &[], "account_disabled"),
        ("enable", &[], "account_enabled"),
        ("remove", &[("username", "bob")], "account_removed"),
    ] {
        let answer = ada.post(&format!("/people/bob/{act}"), form);
        assert_eq!(answer.status, 200, "{act}");
        let line = told(event);
        assert_eq!(
            (&line["user"], &line["id"]),
            (&json!("bob"), &bob),
            "{line}"
        );
        assert_eq!(
            (&line["address"], &line["agent"], &line["result"]),
            (&json!("127.0.0.1"), &json!("browser/1"), &json!("ok"))
        );
        let groups = (act == "groups").then(|| json!(["users", "staff"]));
        assert_eq!(line.get("groups"), groups.as_ref(), "{line}");
    }

    let form = [("email", "new@example.com"), ("groups", "staff")];
    let made = ada.post("/people/invite", &form).json();
    let end = [("invitation", made["id"].as_str().unwrap())];
    assert_eq!(ada.post("/people/invitations/end", &end).status, 200);
    for event in ["invited", "invitation_ended"] {
        let line = told(event);
        assert_eq!(
            (&line["invitation"], &line["email"], &line["groups"]),
            (
                &made["id"],
                &json!("new@example.com"),
                &json!(["users", "staff"])
            )
        );
        assert_eq!((&line["user"], &line["id"]), (&Value::Null, &Value::Null));
    }
}

#[test]
fn wrong_passwords_of_an_account_are_listed_with_the_route() {
    let server = Server::start();
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    let stranger = Visitor::program(&server);
    // By its address, which the file does not have.
    let form = [
        ("username", "alice@example.com"),
        ("password", "not this one"),
    ];
    stranger.post("/login", &form).expect("wrong_credentials");
    let form = [("username", "alice"), ("password", PASSWORD)];
    stranger.post("/login", &form).expect("code_required");
    stranger
        .post("/secret_key", &[("secret", "123456")])
        .expect("wrong_code");

    let refused = told_all(&server, "refused", 2);

    for (line, (result, at)) in refused.iter().zip([
        ("wrong_credentials", "/login"),
        ("wrong_code", "/secret_key"),
    ]) {
        assert_eq!((&line["result"], &line["at"]), (&json!(result), &json!(at)));
        assert_eq!(line["id"], id(&server, "alice"));
    }
    let text = server.kept("events.jsonl");
    for secret in [
        PASSWORD,
        "not this one",
        "123456",
        "@",
        &authenticator.last_code(),
    ] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    for cookies in [&alice, &stranger] {
        for cookie in cookies.cookies.borrow().values() {
            assert!(!text.contains(cookie.as_str()), "{cookie}");
        }
    }
}

#[test]
fn edits_by_hand_and_the_command_are_by_the_operator() {
    of_one_machine!("users.json is edited by hand");
    let setup = Setup::new();
    let server = setup.start();
    Visitor::program(&server).register("alice");
    server.edit_account("alice", |account| {
        account["email"] = "new@example.com".into();
        account["disabled"] = true.into();
        account["groups"] = json!(["users", "staff"]);
    });

    let changed = told(&server, "email_changed");
    assert_eq!(changed["by"], "the operator");
    assert_eq!(
        (&changed["address"], &changed["agent"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(changed["id"], id(&server, "alice"));
    assert_eq!(told(&server, "account_disabled")["by"], "the operator");
    assert_eq!(
        told(&server, "groups_changed")["groups"],
        json!(["users", "staff"])
    );
    let text = server.kept("events.jsonl");
    assert!(!text.contains("new@example.com"), "{text}");

    server.edit_account("alice", |account| account["disabled"] = false.into());
    told(&server, "account_enabled");
}

#[test]
fn the_original_script_s_password_in_the_answer_is_an_event_without_it() {
    of_one_machine!("--compat has files alone");
    let mut server = Server::start_with(&["--compat"]);
    let visitor = Visitor::program(&server);
    let form = [
        ("username", "alice"),
        ("email", "alice@example.com"),
        ("password", PASSWORD),
    ];
    visitor.post("/register", &form);
    let answer = visitor.post("/forgot_password", &[("username", "alice")]);
    let password = answer.body.rsplit(' ').next().unwrap().to_owned();

    told(&server, "password_changed");

    assert!(!server.kept("events.jsonl").contains(&password));

    // A wrong one is refused, in the words of the script.
    let form = [("username", "alice"), ("password", "not this one")];
    visitor.post("/login", &form);
    let refused = told(&server, "refused");
    assert_eq!(refused["id"], id(&server, "alice"));
    assert_eq!(
        (&refused["result"], &refused["at"]),
        (&json!("wrong_credentials"), &json!("/login"))
    );
    let form = [("username", "nobody"), ("password", "not this one")];
    visitor.post("/login", &form);
    server.signal(rustix::process::Signal::TERM);
    assert!(server.wait().success());
    let lines = lines(&server);
    let counted = lines.last().unwrap();
    assert_eq!(
        (&counted["count"], &counted["user"]),
        (&json!(1), &Value::Null)
    );
    assert_eq!(counted["result"], "wrong_credentials");
}
