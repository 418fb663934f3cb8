//! What administrators see of all accounts and do to them, and that nobody else finds anything.

use serde_json::{Value, json};

use crate::harness::{Answer, Authenticator, PASSWORD, Server, Visitor, wait_for};

mod acts;
mod confirm_first;
mod invitations;
mod list;
mod mails;
mod one;
mod races;
mod strangers;

/// Puts an account into these groups, as an operator with an editor does, and waits until it is.
fn put_into(server: &Server, visitor: &Visitor, name: &str, groups: &[&str]) {
    server.edit_account(name, |account| account["groups"] = json!(groups));
    wait_for("the groups", || {
        let now = visitor.get("/account").json()["groups"].clone();
        (now == json!(groups)).then_some(())
    });
}

/// An administrator with this name, who reads JSON.
fn administrator(server: &Server, name: &str) -> (Visitor, Authenticator) {
    let (visitor, authenticator) = Visitor::with_account(server, name);
    put_into(server, &visitor, name, &["users", "admins"]);
    (visitor, authenticator)
}

/// What the list says of one person.
fn listed(visitor: &Visitor, name: &str) -> Value {
    let list = visitor.get("/people").json();
    let people = list["people"].as_array().unwrap().iter();
    let mut named = people.filter(|one| one["username"] == name);
    named.next().cloned().unwrap_or(Value::Null)
}

/// An act with no fields.
fn act(visitor: &Visitor, path: &str) -> Answer {
    visitor.post(path, &[])
}

/// A login of an account that was made without a browser, as far as its code.
fn code_of_login(visitor: &Visitor, name: &str) -> String {
    let answer = visitor.post("/login", &[("username", name), ("password", PASSWORD)]);
    answer.json()["code"].as_str().unwrap().to_owned()
}
