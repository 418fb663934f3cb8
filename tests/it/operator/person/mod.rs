//! `auth_user user show`, `set`, `disable` and the like, where no server runs.

use serde_json::{Value, json};

use crate::harness::{Setup, place};
use crate::operator::user::add;
use crate::operator::{Said, run};

mod done;
mod refused;
mod shown;

/// `user` with these words and nothing to read.
pub(super) fn user(setup: &Setup, words: &[&str]) -> Said {
    run(setup, &[&["user"], words].concat(), b"")
}

/// A folder with `alice` and `bob` in it, and where mails come from told.
pub(super) fn two() -> Setup {
    let setup = Setup::bare()
        .env("AUTH_PUBLIC_URL", "https://login.example.com")
        .env("AUTH_MAIL_FROM", "login@example.com");
    assert_eq!(add(&setup, "alice", &[]).0, 0);
    assert_eq!(add(&setup, "bob", &["--groups", "staff"]).0, 0);
    setup
}

pub(super) fn users(setup: &Setup) -> Value {
    serde_json::from_str(&place::kept(setup.dir(), "users.json")).unwrap()
}

/// Changes an account in the file as an editor would.
pub(super) fn edit(setup: &Setup, name: &str, edit: impl FnOnce(&mut Value)) {
    place::edit(setup.dir(), "users.json", |users| {
        edit(&mut users["users"][name]);
    });
}

/// What happened, by whom and with what result: `EVENT USER`, in order.
pub(super) fn happened(setup: &Setup) -> Vec<String> {
    let text = place::kept(setup.dir(), "events.jsonl");
    let lines = text.lines().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            (&line["by"], &line["result"], &line["address"]),
            (&json!("the operator"), &json!("ok"), &Value::Null)
        );
        let text = |name: &str| line[name].as_str().unwrap().to_owned();
        format!("{} {}", text("event"), text("user"))
    });
    lines.collect()
}

/// The mails that wait.
pub(super) fn mails(setup: &Setup) -> Vec<String> {
    place::mails(setup.dir())
}
