//! Mail: what is sent, to whom, how, and how much of it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::Visitor;

mod delivery;
mod limits;
mod notices;
mod tls;

/// The mails that wait in the outbox.
fn waiting(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join("outbox")).unwrap();
    entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "eml"))
        .collect()
}

pub(crate) fn forgot(visitor: &Visitor, name: &str) {
    visitor
        .post("/forgot_password", &[("username", name)])
        .expect("new_password_sent");
}
