//! Changes of an account, and a second look in the moment of their save: what allowed them may have
//! ended meanwhile.

use std::thread::{self, JoinHandle};

use serde_json::{Value, json};

use crate::harness::{Accept, Answer, Authenticator, Held, PASSWORD, Server, Visitor};
use crate::routes::account::{NEW, sessions};

/// Sends a form, from the same browser; its answer will be there, and what the browser is then.
fn send(visitor: &Visitor, path: &'static str, form: &[(&'static str, &str)]) -> Sent {
    let visitor = visitor.reading(Accept::Json);
    let form: Vec<_> = form
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()))
        .collect();
    thread::spawn(move || {
        let form: Vec<_> = form
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let answer = visitor.post(path, &form);
        (answer, visitor)
    })
}

type Sent = JoinHandle<(Answer, Visitor)>;

/// An account with everything its owner can do to it.
struct Owner {
    name: String,
    visitor: Visitor,
    code: String,
    /// Of the authenticator that waits to be confirmed.
    new_code: String,
}

impl Owner {
    fn new(server: &Server, name: String) -> Self {
        let (visitor, _) = Visitor::with_account(server, &name);
        let codes = visitor.new_recovery_codes();
        let form = [("current_password", PASSWORD), ("secret", &codes[0])];
        let key = visitor.post("/account/totp", &form).json()["secret"].take();
        Self {
            name,
            visitor,
            code: codes[1].clone(),
            new_code: Authenticator::new(key.as_str().unwrap()).code(),
        }
    }

    fn act(&self, (path, _): Act) -> Sent {
        let password = ("current_password", PASSWORD);
        let code = ("secret", self.code.as_str());
        let form = match path {
            "/account/email" => vec![password, ("email", "new@example.com")],
            "/account/password" => vec![password, ("new_password", NEW)],
            "/account/totp/confirm" => vec![("secret", self.new_code.as_str())],
            "/account/sessions/end" => vec![("session", "others")],
            _ => vec![password, code],
        };
        send(&self.visitor, path, &form)
    }
}

/// What an act may change, and what may end it, as an account is kept.
fn changeable(account: &Value) -> [Value; 3] {
    ["password", "disabled", "recovery_codes"].map(|field| account[field].clone())
}

/// A route, and whether it asks for the password.
type Act = (&'static str, bool);

const ACTS: [Act; 7] = [
    ("/account/email", true),
    ("/account/password", true),
    ("/account/recovery_codes", true),
    ("/account/totp", true),
    ("/account/totp/confirm", false),
    ("/account/sessions/end", false),
    ("/account/delete", true),
];

/// Has all acts wait for their save, each of an account of its own, does `meanwhile` to each of
/// these, and expects that answer; or, of acts that asked for the password, the other one.
fn stops_every_act(
    server: &Server,
    what: &str,
    meanwhile: impl Fn(&mut Held, &Owner),
    expected: [&str; 2],
) {
    let owners = ACTS.map(|(path, _)| {
        let act = path.rsplit('/').next().unwrap();
        Owner::new(server, format!("{what}-{act}"))
    });

    let mut held = Held::of(server.dir.path());
    let sent = owners.iter().zip(ACTS).map(|(owner, act)| owner.act(act));
    let sent: Vec<Sent> = sent.collect();
    held.let_wait(ACTS.len());
    for owner in &owners {
        meanwhile(&mut held, owner);
    }
    let after = owners
        .each_ref()
        .map(|owner| changeable(&held.account(&owner.name)));
    drop(held);

    let answers: Vec<Answer> = sent
        .into_iter()
        .map(|sent| sent.join().unwrap().0)
        .collect();
    let users = server.users();
    for (((path, asks), answer), (owner, after)) in
        ACTS.iter().zip(answers).zip(owners.iter().zip(after))
    {
        let code = answer.json()["code"].take();
        assert_eq!(code, expected[usize::from(*asks)], "{what}: {path}");
        let now = changeable(&users["users"][&owner.name]);
        assert_eq!(now[..2], after[..2], "{what}: {path}");
        // The program takes up what the edit ends.
        if now[2] != after[2] {
            assert_eq!(now[2], json!([]), "{what}: {path}");
        }
    }
}

#[test]
fn an_act_is_refused_if_what_allowed_it_ends_before_its_save() {
    let server = Server::start_with(&["--registrations-per-hour", "0"]);
    let by_hand =
        |edit: fn(&mut Value)| move |held: &mut Held, owner: &Owner| held.edit(&owner.name, edit);
    let login = ["login_required"; 2];
    stops_every_act(
        &server,
        "disabled",
        by_hand(|account| account["disabled"] = true.into()),
        login,
    );
    stops_every_act(
        &server,
        "password",
        by_hand(|account| {
            let hash = account["password"].as_str().unwrap();
            let (rest, last) = hash.split_at(hash.len() - 2);
            let other = if last == "AA" { "BA" } else { "AA" };
            account["password"] = format!("{rest}{other}").into();
        }),
        ["login_required", "wrong_password"],
    );
    stops_every_act(
        &server,
        "factor",
        by_hand(|account| {
            account.as_object_mut().unwrap().remove("totp");
        }),
        login,
    );
    stops_every_act(
        &server,
        "session",
        |_, owner| {
            let visitor = owner.visitor.reading(Accept::Json);
            visitor.post("/logout", &[]).expect("logged_out");
        },
        login,
    );
    stops_every_act(
        &server,
        "gone",
        |held, owner| held.remove(&owner.name),
        login,
    );
}

#[test]
fn a_thief_with_the_old_password_is_too_late_once_the_new_one_is_saved() {
    for path in [
        "/account/recovery_codes",
        "/account/totp",
        "/account/delete",
    ] {
        let server = Server::start();
        let (alice, _) = Visitor::with_account(&server, "alice");
        let codes = alice.new_recovery_codes();
        let form = [("current_password", PASSWORD), ("new_password", NEW)];
        let stolen = [("current_password", PASSWORD), ("secret", &codes[0])];

        let mut held = Held::of(server.dir.path());
        let change = send(&alice, "/account/password", &form);
        held.let_wait(1);
        let theft = send(&alice, path, &stolen);
        held.let_wait(2);
        drop(held);
        let (answer, alice) = change.join().unwrap();
        answer.expect("password_changed");
        let (answer, _) = theft.join().unwrap();
        answer.expect("wrong_password");

        let account = alice.get("/account").json();
        assert_eq!(account["recovery_codes_left"], 10, "{path}");
    }
}

#[test]
fn a_log_in_is_refused_if_what_it_rests_on_ends_before_its_save() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let codes = alice.new_recovery_codes();
    let login = [("username", "alice"), ("password", PASSWORD)];
    let begun = || {
        let visitor = Visitor::program(&server);
        visitor.post("/login", &login).expect("code_required");
        visitor
    };
    let late = |meanwhile: &dyn Fn(&mut Held, &Visitor)| {
        let visitor = begun();
        let mut held = Held::of(server.dir.path());
        let sent = send(&visitor, "/secret_key", &[("secret", &codes[0])]);
        held.let_wait(1);
        meanwhile(&mut held, &visitor);
        drop(held);
        let (answer, visitor) = sent.join().unwrap();
        answer.expect("no_pending_login");
        assert!(!visitor.is_logged_in());
    };

    late(&|_, same| {
        same.post("/logout", &[]).expect("logged_out");
    });
    // What was not done has cost nothing, and left nothing behind.
    assert_eq!(alice.get("/account").json()["recovery_codes_left"], 10);
    assert_eq!(sessions(&alice), 1);
    late(&|held, _| held.edit("alice", |account| account["disabled"] = true.into()));
    server.edit_account_and_wait("alice", |account| account["disabled"] = false.into());
    begun()
        .post("/secret_key", &[("secret", &codes[0])])
        .expect("login_complete");
}
