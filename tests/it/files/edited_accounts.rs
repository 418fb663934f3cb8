//! What an operator changes in `users.json` by hand ends what rested on it: while the server runs,
//! and while it does not.

use std::fs;

use serde_json::{Value, json};

use crate::files::HASH;
use crate::harness::{
    Accept, Authenticator, NEW_LOGIN, PASSWORD, Server, Setup, Visitor, wait_for,
};

/// Alice, who is logged in, has a mailed password and ten recovery codes, and is in the middle of a
/// login elsewhere.
struct Alice {
    setup: Setup,
    server: Option<Server>,
    visitor: Visitor,
    authenticator: Authenticator,
    waiting: Visitor,
}

/// How the edit is made.
#[derive(Clone, Copy, Debug, PartialEq)]
enum When {
    Running,
    Stopped,
}

impl Alice {
    fn new() -> Self {
        let setup = Setup::new();
        let server = setup.start();
        let (visitor, authenticator) = Visitor::with_account(&server, "alice");
        Visitor::program(&server).register("bob");
        Visitor::program(&server).mailed_password(&server, "alice");
        let waiting = Visitor::program(&server);
        waiting
            .post("/login", &[("username", "alice"), ("password", PASSWORD)])
            .expect("code_required");
        let account = server.users()["users"]["alice"].take();
        for field in ["devices", "recovery_codes", "mailed_passwords", "seal"] {
            assert!(!account[field].is_null(), "{field}");
        }
        Self {
            setup,
            server: Some(server),
            visitor,
            authenticator,
            waiting,
        }
    }

    fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    /// Has the whole file edited, and waits until what that ends is gone from it.
    fn edited(&mut self, when: When, edit: impl FnOnce(&mut Value)) {
        let mut users = self.server().users();
        if when == When::Stopped {
            self.server = None;
        }
        edit(&mut users);
        let path = self.setup.dir().join("users.json");
        let text = serde_json::to_vec_pretty(&users).unwrap();
        fs::write(self.setup.dir().join("edited"), &text).unwrap();
        fs::rename(self.setup.dir().join("edited"), &path).unwrap();
        if when == When::Stopped {
            let server = self.setup.start();
            self.visitor = self.visitor.at(&server);
            self.waiting = self.waiting.at(&server);
            self.server = Some(server);
        }
        wait_for("the edit to be taken up and written", || {
            (fs::read(&path).unwrap() != text).then_some(())
        });
    }

    fn account(&self) -> Value {
        self.server().users()["users"]["alice"].take()
    }

    /// Which of what alice had are left.
    fn left(&self) -> Vec<&'static str> {
        let account = self.account();
        let some = |field: &str| account.get(field).is_some_and(|list| *list != json!([]));
        let waits = self.waiting.post("/secret_key", &[("secret", "000000")]);
        let left = [
            ("session", self.visitor.is_logged_in()),
            ("login", waits.json()["code"] != "no_pending_login"),
            ("browsers", some("devices")),
            ("mailed", some("mailed_passwords")),
            ("codes", some("recovery_codes")),
        ];
        left.into_iter()
            .filter(|(_, left)| *left)
            .map(|(what, _)| what)
            .collect()
    }

    /// The subjects and receivers of the mails in the outbox, sorted, without those that tell of a
    /// login.
    fn mails(&self) -> Vec<String> {
        let field = |mail: &str, name: &str| {
            let line = mail.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap().trim().to_owned()
        };
        let mut mails: Vec<String> = fs::read_dir(self.setup.dir().join("outbox"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|e| e == "eml"))
            .map(|path| fs::read_to_string(path).unwrap())
            .filter(|mail| !mail.contains(NEW_LOGIN))
            .map(|mail| format!("{}: {}", field(&mail, "To:"), field(&mail, "Subject:")))
            .collect();
        mails.sort();
        mails
    }

    fn has_mail(&self, wanted: &[&str]) {
        wait_for("the notices", || (self.mails() == wanted).then_some(()));
    }
}

struct Case {
    edit: fn(&mut Value),
    left: &'static [&'static str],
    mails: &'static [&'static str],
}

const CASES: [Case; 6] = [
    Case {
        edit: |alice| alice["disabled"] = true.into(),
        left: &["mailed", "codes"],
        mails: &[],
    },
    Case {
        edit: |alice| drop(alice.as_object_mut().unwrap().remove("totp")),
        left: &["mailed"],
        mails: &["alice@example.com: Your authenticator was removed"],
    },
    Case {
        edit: |alice| alice["totp"] = json!({ "secret": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ" }),
        left: &["mailed"],
        mails: &["alice@example.com: Your authenticator was changed"],
    },
    Case {
        edit: |alice| alice["password"] = HASH.into(),
        left: &["codes"],
        mails: &["alice@example.com: Your password was changed"],
    },
    Case {
        edit: |alice| alice["email"] = "new@example.com".into(),
        left: &["session", "login", "browsers", "codes"],
        mails: &["alice@example.com: Your e-mail address was changed"],
    },
    Case {
        edit: |alice| {
            alice["email"] = "new@example.com".into();
            alice["password"] = HASH.into();
        },
        left: &["codes"],
        mails: &[
            "alice@example.com: Your e-mail address was changed",
            "new@example.com: Your password was changed",
        ],
    },
];

fn an_edit_ends_what_rested_on_it(when: When) {
    for (n, case) in CASES.iter().enumerate() {
        let mut alice = Alice::new();
        alice.edited(when, |users| (case.edit)(&mut users["users"]["alice"]));
        let mut left = case.left.to_vec();
        if when == When::Stopped {
            // Logins under way never outlive the server.
            left.retain(|what| *what != "login");
        }

        alice.has_mail(case.mails);
        assert_eq!(alice.left(), left, "{n} {when:?}");
        if !left.contains(&"session") {
            // Not only dead: whatever comes back, it is not there any more.
            wait_for("the session to leave its file", || {
                let text = fs::read_to_string(alice.server().path("sessions.json")).unwrap();
                (!text.contains("\"alice\"")).then_some(())
            });
        }

        // Once: neither another save nor a restart sees the edit again.
        Visitor::program(alice.server()).register("carol");
        drop(alice.server.take());
        let server = alice.setup.start();
        Visitor::program(&server).register("dave");
        alice.has_mail(case.mails);
    }
}

#[test]
fn an_edit_while_the_server_runs_ends_what_rested_on_it() {
    an_edit_ends_what_rested_on_it(When::Running);
}

#[test]
fn an_edit_while_the_server_is_stopped_ends_what_rested_on_it() {
    an_edit_ends_what_rested_on_it(When::Stopped);
}

#[test]
fn what_has_ended_does_not_come_back_with_what_was_changed_back() {
    for (when, field, value) in [
        (When::Running, "disabled", json!(true)),
        (When::Stopped, "disabled", json!(true)),
        (When::Running, "totp", Value::Null),
        (When::Running, "password", json!(HASH)),
    ] {
        let mut alice = Alice::new();
        let before = alice.account();
        alice.edited(when, |users| match &value {
            Value::Null => {
                let alice = users["users"]["alice"].as_object_mut().unwrap();
                drop(alice.remove(field));
            }
            value => users["users"]["alice"][field] = value.clone(),
        });
        alice.edited(when, |users| {
            users["users"]["alice"][field] = before[field].clone();
        });

        let left = alice.left();
        for gone in ["session", "login", "browsers"] {
            assert!(!left.contains(&gone), "{gone}: {field} {when:?}");
        }
    }
}

#[test]
fn an_account_that_was_renamed_or_left_begins_anew() {
    for when in [When::Running, When::Stopped] {
        let rename = |from: &'static str, to: &'static str| {
            move |users: &mut Value| {
                let users = users["users"].as_object_mut().unwrap();
                let account = users.remove(from).unwrap();
                users.insert(to.to_owned(), account);
            }
        };
        let mut alice = Alice::new();
        alice.edited(when, rename("alice", "alicia"));
        let alicia = alice.server().users()["users"]["alicia"].take();
        assert_eq!(alicia.get("devices"), None);
        assert_eq!(alicia.get("mailed_passwords"), None);
        assert_eq!(alicia["recovery_codes"].as_array().unwrap().len(), 10);
        alice.edited(when, rename("alicia", "alice"));
        assert_eq!(alice.left(), ["codes"], "{when:?}");
        alice.has_mail(&[]);
    }

    let mut alice = Alice::new();
    // One that was made this very second might be another server's new one. An edit counts as what
    // was before only when what it ends has been written.
    alice.edited(When::Running, |users| {
        let account = &mut users["users"]["alice"];
        account["created"] = "2026-01-01T00:00:00Z".into();
        account["groups"] = json!(["old"]);
    });
    let users = alice.server().users();
    let without = json!({ "version": 1, "users": { "bob": users["users"]["bob"] } }).to_string();
    wait_for("alice to be gone", || {
        let now = alice.server().users();
        if now["users"]["alice"].is_object() {
            // Again, where a save after an answer was quicker.
            fs::write(alice.server().path("users.json"), &without).unwrap();
        }
        // From then on all of it has been drawn.
        let is_held = now["former"]["alice"].is_string();
        (is_held && !alice.visitor.is_logged_in()).then_some(())
    });
    let block = users["users"]["alice"].clone();
    alice.edited(When::Running, |users| users["users"]["alice"] = block);
    assert_eq!(alice.left(), ["codes"]);
    alice.has_mail(&[]);
}

#[test]
fn a_log_in_with_a_mailed_password_ends_with_the_address_it_was_mailed_to() {
    for (field, value) in [("email", "new@example.com"), ("password", HASH)] {
        let mut alice = Alice::new();
        let mailed = Visitor::program(alice.server());
        let password = mailed.mailed_password(alice.server(), "alice");
        mailed
            .post("/login", &[("username", "alice"), ("password", &password)])
            .expect("code_required");

        alice.edited(When::Running, |users| {
            users["users"]["alice"][field] = value.into();
        });

        let code = alice.authenticator.code();
        mailed
            .post("/secret_key", &[("secret", &code)])
            .expect("no_pending_login");
    }
}

#[test]
fn the_log_says_of_each_edit_whose_account_and_what() {
    type Edit = fn(&mut Value);
    let added: Edit = |users| {
        users["new"] = json!({ "email": "new@example.com", "password": HASH });
    };
    let renamed: Edit = |users| {
        let account = users["bob"].take();
        users.as_object_mut().unwrap().remove("bob");
        users["robert"] = account;
    };
    let copied: Edit = |users| {
        users["copy"] = users["alice"].clone();
        users["copy"]["email"] = json!("copy@example.com");
    };
    let mut alice = Alice::new();
    for (edit, said) in [
        (added, r#"user="new" changed="added""#),
        (
            |users| users["new"]["groups"] = json!(["a"]),
            r#"user="new" changed="groups""#,
        ),
        (
            |users| users["new"]["groups"] = json!([]),
            r#"user="new" changed="groups""#,
        ),
        (
            |users| users["new"]["disabled"] = json!(true),
            r#"user="new" changed="disabled""#,
        ),
        (
            |users| users["new"]["disabled"] = json!(false),
            r#"user="new" changed="enabled""#,
        ),
        (
            |users| {
                users["new"]["groups"] = json!(["a"]);
                users["new"]["password"] = json!(HASH.replace("000,", "001,"));
            },
            r#"user="new" changed="password groups""#,
        ),
        (renamed, r#"user="robert" was="bob" changed="name""#),
        (copied, r#"user="copy" changed="added""#),
    ] as [(Edit, &str); 8]
    {
        let log = || alice.server().log();
        let lines = |log: &str| log.matches("edited_by_hand").count();
        let before = lines(&log());
        let mut users = alice.server().users();
        edit(&mut users["users"]);
        let text = serde_json::to_vec_pretty(&users).unwrap();
        fs::write(alice.server().path("edited"), text).unwrap();
        let path = alice.server().path("users.json");
        fs::rename(alice.server().path("edited"), path).unwrap();

        wait_for("the edit to be logged", || {
            (lines(&log()) > before).then_some(())
        });

        let log = log();
        assert_eq!(lines(&log), before + 1, "{said}\n{log}");
        let line = log
            .lines()
            .rev()
            .find(|line| line.contains("edited_by_hand"));
        assert!(line.unwrap().contains(said), "{said}\n{log}");
    }
    // Nor is what was said before news after a restart.
    let lines = |alice: &Alice| alice.server().log().matches("edited_by_hand").count();
    let before = lines(&alice);
    alice.server = None;
    alice.server = Some(alice.setup.start());
    assert_eq!(lines(&alice), before);
}

#[test]
fn what_a_second_server_changes_is_no_edit() {
    let alice = Alice::new();
    let path = alice.setup.dir().join("users.json");
    let second = Server::start_with(&["--users", path.to_str().unwrap()]);
    let there = alice.visitor.at(&second);
    there.change_password("seven tame zebras");
    let (carol, _) = Visitor::with_account(&second, "carol");

    wait_for("the first server to know", || {
        carol.at(alice.server()).is_logged_in().then_some(())
    });
    assert!(there.at(alice.server()).is_logged_in());
    let account = alice.account();
    assert!(account["devices"].is_array());
    Visitor::program(alice.server()).register("dave");
    assert!(there.is_logged_in() && carol.is_logged_in());
    assert!(!alice.server().log().contains("edited_by_hand"));
}

#[test]
fn an_unreadable_accounts_file_is_said_wherever_it_matters() {
    let alice = Alice::new();
    let server = alice.server();
    let health = || {
        let answer = Visitor::program(server).get("/healthz");
        (answer.status, answer.body)
    };
    server.edit_account("alice", |account| account["groups"] = json!(["admins"]));
    wait_for("alice to be an administrator", || {
        let groups = alice.visitor.get("/account").json()["groups"].take();
        (groups == json!(["admins"])).then_some(())
    });
    assert_eq!(health(), (200, "ok".to_owned()));
    let good = fs::read_to_string(server.path("users.json")).unwrap();
    let told = "alice@example.com: The accounts file cannot be read";

    for (fault, mails) in [("{", vec![told]), ("[]", vec![told, told])] {
        // The same fault, whatever it looks like in between.
        for text in [fault, &good[..50]] {
            let logged = || server.log().matches("until the file is mended").count();
            let before = logged();
            fs::write(server.path("users.json"), text).unwrap();
            wait_for("the fault to be seen", || (logged() > before).then_some(()));
            assert_eq!(health(), (503, "users_file".to_owned()));
        }
        alice.has_mail(&mails);
        let answer = Visitor::program(server).get("/healthz");
        assert!(answer.header("retry-after").is_some());
        assert!(alice.visitor.is_logged_in());
        let login = [("username", "alice"), ("password", PASSWORD)];
        let waiting = Visitor::program(server);
        waiting.post("/login", &login).expect("code_required");
        let code = [("secret", "000000")];
        let refused = waiting.post("/secret_key", &code);
        assert_eq!(refused.status, 503);
        refused.expect("not_saved");
        let page = waiting.reading(Accept::Page).post("/secret_key", &code);
        assert_eq!(page.status, 503);
        let said = "Nobody can log in until the operator of this site mends a file";
        assert!(page.body.contains(said), "{}", page.body);

        fs::write(server.path("users.json"), &good).unwrap();
        wait_for("the file to be mended", || {
            (health() == (200, "ok".to_owned())).then_some(())
        });
    }
}
