//! Changes of an account, and a second look in the moment of their save: what allowed them may have
//! ended meanwhile.

use std::fs::{self, File};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Accept, Answer, Authenticator, PASSWORD, Server, Visitor, wait_for};
use crate::routes::account::{NEW, sessions};

/// Keeps the server from saving the accounts, as another process does that saves them, while
/// `meanwhile` has its way.
fn while_saves_wait(server: &Server, meanwhile: impl FnOnce()) {
    let lock = File::options()
        .write(true)
        .open(server.path("users.json.lock"))
        .unwrap();
    lock.lock().unwrap();
    meanwhile();
    lock.unlock().unwrap();
}

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

/// Lets what was sent come as far as the save. If it does not, the test sees less, and passes.
fn let_it_wait() {
    thread::sleep(Duration::from_millis(700));
}

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

    /// What an act may change, as the file has it.
    fn in_file(&self, server: &Server) -> Value {
        let account = server.users()["users"][&self.name].take();
        let fields = ["password", "recovery_codes", "totp", "devices", "disabled"];
        let fields = fields.map(|field| account[field].clone());
        json!(fields)
    }
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
fn stops_every_act(server: &Server, what: &str, meanwhile: impl Fn(&Owner), expected: [&str; 2]) {
    let owners = ACTS.map(|(path, _)| {
        let act = path.rsplit('/').next().unwrap();
        Owner::new(server, format!("{what}-{act}"))
    });
    let mut after = Vec::new();

    let mut sent = Vec::new();
    while_saves_wait(server, || {
        sent.extend(owners.iter().zip(ACTS).map(|(owner, act)| owner.act(act)));
        let_it_wait();
        owners.iter().for_each(&meanwhile);
        after.extend(owners.iter().map(|owner| owner.in_file(server)));
    });

    for (((path, asks), sent), (owner, after)) in
        ACTS.iter().zip(sent).zip(owners.iter().zip(after))
    {
        let answer = sent.join().unwrap().0.json()["code"].take();
        assert_eq!(answer, expected[usize::from(*asks)], "{what}: {path}");
        let now = owner.in_file(server);
        // The program takes up what the edit ends.
        for field in [0, 4] {
            assert_eq!(now[field], after[field], "{what}: {path}");
        }
        if now[1] != after[1] {
            assert_eq!(now[1], json!([]), "{what}: {path}");
        }
    }
}

#[test]
fn an_act_is_refused_if_what_allowed_it_ends_before_its_save() {
    of_one_machine!("the lock of users.json is held");
    let server = Server::start_with(&["--registrations-per-hour", "0"]);
    let by_hand = |edit: fn(&mut Value)| {
        let server = &server;
        move |owner: &Owner| server.edit_account(&owner.name, edit)
    };
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
        |owner| {
            let visitor = owner.visitor.reading(Accept::Json);
            visitor.post("/logout", &[]).expect("logged_out");
        },
        login,
    );
    stops_every_act(
        &server,
        "gone",
        |owner| {
            let mut users = server.users();
            users["users"].as_object_mut().unwrap().remove(&owner.name);
            fs::write(server.path("users.json"), users.to_string()).unwrap();
        },
        login,
    );
}

#[test]
fn a_thief_with_the_old_password_is_too_late_once_the_new_one_is_saved() {
    of_one_machine!("the lock of users.json is held");
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

        let mut sent = Vec::new();
        while_saves_wait(&server, || {
            sent.push(send(&alice, "/account/password", &form));
            let_it_wait();
            sent.push(send(&alice, path, &stolen));
            let_it_wait();
        });
        let mut sent = sent.into_iter().map(|sent| sent.join().unwrap());
        let (answer, alice) = sent.next().unwrap();
        answer.expect("password_changed");
        let (answer, _) = sent.next().unwrap();
        answer.expect("wrong_password");

        let account = alice.get("/account").json();
        assert_eq!(account["recovery_codes_left"], 10, "{path}");
    }
}

#[test]
fn a_log_in_is_refused_if_what_it_rests_on_ends_before_its_save() {
    of_one_machine!("the lock of users.json is held");
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let codes = alice.new_recovery_codes();
    let login = [("username", "alice"), ("password", PASSWORD)];
    let begun = || {
        let visitor = Visitor::program(&server);
        visitor.post("/login", &login).expect("code_required");
        visitor
    };
    let late = |meanwhile: &dyn Fn(&Visitor)| {
        let visitor = begun();
        let mut sent = None;
        while_saves_wait(&server, || {
            sent = Some(send(&visitor, "/secret_key", &[("secret", &codes[0])]));
            let_it_wait();
            meanwhile(&visitor);
        });
        let (answer, visitor) = sent.unwrap().join().unwrap();
        answer.expect("no_pending_login");
        assert!(!visitor.is_logged_in());
    };

    late(&|same| {
        same.post("/logout", &[]).expect("logged_out");
    });
    // What was not done has cost nothing, and left nothing behind.
    assert_eq!(alice.get("/account").json()["recovery_codes_left"], 10);
    assert_eq!(sessions(&alice), 1);
    late(&|_| {
        server.edit_account("alice", |account| account["disabled"] = true.into());
    });
    server.edit_account("alice", |account| account["disabled"] = false.into());
    let taken_up = "took up a changed users file";
    wait_for("the edit", || {
        (server.log().matches(taken_up).count() == 2).then_some(())
    });
    begun()
        .post("/secret_key", &[("secret", &codes[0])])
        .expect("login_complete");
}
