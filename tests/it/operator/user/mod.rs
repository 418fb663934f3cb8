//! `auth_user user`: accounts listed and made, whether a server runs or not.

use serde_json::Value;

use crate::harness::{PASSWORD, Setup};
use crate::operator::{Said, run};

mod listed;
mod made;
mod refused;

/// `user add NAME` with an address of that name and a password that is sent.
pub(crate) fn add(setup: &Setup, name: &str, more: &[&str]) -> Said {
    let email = format!("{name}@example.com");
    let mut words = vec!["user", "add", name, "--email", &email, "--password-stdin"];
    words.extend(more);
    run(setup, &words, format!("{PASSWORD}\n").as_bytes())
}

pub(super) fn list(setup: &Setup, more: &[&str]) -> Said {
    let mut words = vec!["user", "list"];
    words.extend(more);
    run(setup, &words, b"")
}

pub(super) fn parsed(said: &Said) -> Value {
    serde_json::from_str(&said.1).unwrap_or_else(|_| panic!("{said:?}"))
}
