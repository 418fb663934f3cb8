//! `users.json` in other hands than the program's: edited, broken, taken away, shared.

use std::fs::{self, File};
use std::path::Path;
use std::thread;

use serde_json::{Value, json};

use crate::files::HASH;
use crate::harness::three_forms::refused;
use crate::harness::{Authenticator, PASSWORD, Server, Setup, Visitor, read, wait_for};

fn names(object: &Value) -> Vec<&str> {
    let object = object.as_object().unwrap();
    object.keys().map(String::as_str).collect()
}

#[test]
fn a_hand_edit_is_taken_up_and_kept_by_the_next_save() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let (bob, _) = Visitor::with_account(&server, "bob");
    let mut users = server.users();
    let mut edited =
        json!({ "note": { "kept by": ["me"] }, "users": {}, "version": 1, "last": null });
    users["users"]["alice"]["pager"] = "555 0100".into();
    users["users"]["alice"]["groups"] = json!(["users", "admins"]);
    users["users"]["bob"]["disabled"] = true.into();
    edited["users"]["bob"] = users["users"]["bob"].take();
    edited["users"]["alice"] = users["users"]["alice"].take();

    fs::write(server.path("users.json"), edited.to_string()).unwrap();

    wait_for("alice to be an admin", || {
        let groups = alice.get("/account").json()["groups"].take();
        (groups == json!(["users", "admins"])).then_some(())
    });
    assert!(!bob.is_logged_in());
    bob.post("/login", &[("username", "bob"), ("password", PASSWORD)])
        .expect("wrong_credentials");

    Visitor::program(&server).register("carol");
    let saved = server.users();
    let expected = ["note", "users", "version", "last", "confirmations"];
    assert_eq!(names(&saved), expected);
    assert_eq!(names(&saved["users"]), ["bob", "alice", "carol"]);
    assert_eq!(saved["note"], edited["note"]);
    // The seal says what was written last, the groups among it.
    let (mut now, mut then) = (
        saved["users"]["alice"].clone(),
        edited["users"]["alice"].clone(),
    );
    assert_ne!(now["seal"].take(), then["seal"].take());
    assert_eq!(now, then);
    for field in ["email", "password", "created", "totp", "disabled"] {
        assert_eq!(saved["users"]["bob"][field], edited["users"]["bob"][field]);
    }
}

#[test]
fn a_password_changed_by_hand_ends_the_sessions_begun_under_the_old_one() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let (bob, _) = Visitor::with_account(&server, "bob");

    server.edit_account("alice", |account| account["password"] = HASH.into());

    wait_for("alice to be logged out", || {
        (!alice.is_logged_in()).then_some(())
    });
    assert!(bob.is_logged_in());
}

#[test]
fn an_edit_is_not_lost_to_a_change_that_comes_right_after_it() {
    let server = Server::start();
    let visitor = Visitor::program(&server);
    Visitor::with_account(&server, "alice");
    visitor
        .post("/login", &[("username", "alice"), ("password", PASSWORD)])
        .expect("code_required");
    let mut users = server.users();
    let before = users["users"]["alice"].clone();
    users["users"]["alice"]["groups"] = json!(["admins"]);

    // A wrong code is counted in the file, and nothing takes less time.
    fs::write(server.path("users.json"), users.to_string()).unwrap();
    visitor
        .post("/secret_key", &[("secret", "12345678")])
        .expect("wrong_code");

    let saved = server.users()["users"]["alice"].take();
    assert_eq!(saved["groups"], json!(["admins"]));
    assert_ne!(names(&saved), names(&before));
}

/// A server whose users file is no good any more, and a visitor in the middle of a login.
struct Broken {
    server: Server,
    alice: Visitor,
    authenticator: Authenticator,
    waiting: Visitor,
}

impl Broken {
    fn by(damage: impl FnOnce(&Path)) -> Self {
        let server = Server::start();
        let (alice, authenticator) = Visitor::with_account(&server, "alice");
        damage(&server.path("users.json"));
        server.wait_for_log("is saved until the file is mended");
        let waiting = Visitor::program(&server);
        Self {
            server,
            alice,
            authenticator,
            waiting,
        }
    }

    /// Asks for everything that needs no save, and for changes; returns the code that was refused.
    fn serves_and_refuses_changes(&self) -> String {
        let password = ("current_password", PASSWORD);
        assert!(self.alice.is_logged_in());
        let login = [("username", "alice"), ("password", PASSWORD)];
        self.waiting.post("/login", &login).expect("code_required");
        let stranger = Visitor::program(&self.server);
        stranger
            .post(
                "/login",
                &[("username", "alice"), ("password", "wrong horses")],
            )
            .expect("wrong_credentials");
        stranger
            .post("/forgot_password", &[("username", "alice")])
            .expect("new_password_sent");

        let code = self.authenticator.code();
        let form = [
            ("username", "bob"),
            ("email", "bob@example.com"),
            ("password", PASSWORD),
        ];
        for answer in [
            stranger.post("/register", &form),
            self.waiting.post("/secret_key", &[("secret", &code)]),
            self.alice
                .post("/account/recovery_codes", &[password, ("secret", &code)]),
        ] {
            assert_eq!(answer.status, 503);
            answer.expect("not_saved");
        }
        assert_eq!(fs::read_dir(self.server.path("outbox")).unwrap().count(), 0);
        code
    }

    /// After it is mended: what was refused works, and nothing of it had been kept.
    fn goes_on(&self, code: &str) {
        self.waiting
            .post("/secret_key", &[("secret", code)])
            .expect("login_complete");
        Visitor::program(&self.server).register("bob");
        assert_eq!(names(&self.server.users()["users"]), ["alice", "bob"]);
        self.server.wait_for_log("the users file is good again");
        assert!(self.waiting.is_logged_in());
    }

    fn log_lines(&self, with: &str) -> usize {
        self.server.log().matches(with).count()
    }
}

#[test]
fn a_broken_edit_is_left_alone_while_the_last_good_state_serves() {
    let broken = Broken::by(|users| {
        let text = fs::read_to_string(users).unwrap();
        fs::write(users, text.replace("\"alice\": {", "\"alice\" {")).unwrap();
    });
    let text = read(broken.server.dir.path(), "users.json");

    let code = broken.serves_and_refuses_changes();

    assert_eq!(read(broken.server.dir.path(), "users.json"), text);
    let told = "cannot read \"users.json\": line 4, column 13: expected `:`";
    assert_eq!(broken.log_lines(told), 1);

    let mended = text.replace("\"alice\" {", "\"alice\": {");
    fs::write(broken.server.path("users.json"), mended).unwrap();
    broken.goes_on(&code);
}

#[test]
fn a_users_file_that_was_moved_away_is_not_made_anew() {
    let broken = Broken::by(|users| {
        fs::rename(users, users.with_file_name("moved.json")).unwrap();
    });

    let code = broken.serves_and_refuses_changes();

    assert!(!broken.server.path("users.json").exists());
    assert_eq!(broken.log_lines("cannot read \"users.json\": is gone"), 1);

    fs::rename(
        broken.server.path("moved.json"),
        broken.server.path("users.json"),
    )
    .unwrap();
    broken.goes_on(&code);
}

#[test]
fn a_logout_works_while_the_users_file_is_broken() {
    let broken = Broken::by(|users| fs::write(users, "{").unwrap());

    broken.alice.post("/logout", &[]).expect("logged_out");

    assert!(!broken.alice.is_logged_in());
}

/// Adds to alice's groups as a script of the operator would, which takes its turn under the lock.
fn edit_groups(dir: &Path, group: &str) {
    let lock = File::options()
        .write(true)
        .open(dir.join("users.json.lock"))
        .unwrap();
    lock.lock().unwrap();
    let mut users: Value = serde_json::from_str(&read(dir, "users.json")).unwrap();
    let groups = users["users"]["alice"]["groups"].as_array_mut().unwrap();
    groups.push(group.into());
    fs::write(dir.join("edited"), users.to_string()).unwrap();
    fs::rename(dir.join("edited"), dir.join("users.json")).unwrap();
}

#[test]
fn two_servers_and_an_editor_lose_nothing_of_each_other() {
    let setup = Setup::new().with(&["--registrations-per-hour", "0"]);
    let path = setup.dir().join("users.json");
    let shared = [
        "--registrations-per-hour",
        "0",
        "--users",
        path.to_str().unwrap(),
    ];
    let servers = [setup.start(), Server::start_with(&shared)];
    Visitor::program(&servers[0]).register("alice");

    let mut winners = thread::scope(|scope| {
        let workers = [0, 1, 2, 3].map(|worker| {
            let visitor = Visitor::program(&servers[worker % 2]);
            scope.spawn(move || {
                for n in 0..5 {
                    visitor.register(&format!("user{worker}.{n}"));
                }
                let form = [
                    ("username", "wanted"),
                    ("email", "wanted@example.com"),
                    ("password", PASSWORD),
                ];
                visitor.post("/register", &form).status
            })
        });
        for edit in 0..5 {
            wait_for("some registrations", || {
                let users = serde_json::from_str::<Value>(&read(setup.dir(), "users.json"));
                (users.unwrap()["users"].as_object()?.len() > edit * 4).then_some(())
            });
            edit_groups(setup.dir(), &format!("group{edit}"));
        }
        workers.map(|worker| worker.join().unwrap())
    });

    winners.sort();
    assert_eq!(winners, [201, 409, 409, 409]);
    drop(servers);
    let server = setup.start();
    let users = server.users();
    let groups = json!(["users", "group0", "group1", "group2", "group3", "group4"]);
    assert_eq!(users["users"]["alice"]["groups"], groups);
    assert_eq!(users["users"].as_object().unwrap().len(), 22);
    for worker in 0..4 {
        for n in 0..5 {
            let name = format!("user{worker}.{n}");
            assert!(users["users"][&name].is_object(), "{name} is lost");
        }
    }
}

#[test]
fn a_missing_users_file_means_no_accounts_and_is_made_by_the_first() {
    let server = Server::start();
    assert!(!server.path("users.json").exists());

    Visitor::program(&server).register("alice");

    assert_eq!(names(&server.users()["users"]), ["alice"]);
}

#[test]
fn what_cannot_be_saved_is_told_in_three_forms() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let before = fs::read(server.path("users.json")).unwrap();
    fs::write(server.path("users.json"), "{ \"users\": oops").unwrap();
    let row = (
        503,
        "not_saved",
        "The change could not be saved. Nothing was changed.",
    );

    refused(&Visitor::program(&server), row, |visitor| {
        let fields = [
            ("username", "bob"),
            ("email", "bob@example.com"),
            ("password", PASSWORD),
        ];
        visitor.post("/register", &fields)
    });
    refused(&alice, row, |visitor| {
        let form = [("current_password", PASSWORD), ("secret", "123456")];
        visitor.post("/account/recovery_codes", &form)
    });

    assert!(alice.is_logged_in(), "what was there last goes on");
    assert_eq!(
        fs::read(server.path("users.json")).unwrap(),
        b"{ \"users\": oops"
    );
    fs::write(server.path("users.json"), before).unwrap();
    Visitor::program(&server).register("bob");
}
