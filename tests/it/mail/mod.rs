//! Mail: what is sent, to whom, how, and how much of it.

use std::path::Path;

use crate::harness::{CONFIRMATION, Visitor, place};

mod delivery;
mod limits;
mod notices;
mod tls;

pub(crate) fn forgot(visitor: &Visitor, name: &str) {
    visitor
        .post("/forgot_password", &[("username", name)])
        .expect("new_password_sent");
}

/// The mails that wait, but for those that ask to confirm an address.
fn waiting(dir: &Path) -> Vec<String> {
    let mut mails = place::mails(dir);
    mails.retain(|mail| !mail.contains(CONFIRMATION));
    mails
}
