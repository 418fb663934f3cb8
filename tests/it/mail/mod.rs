//! Mail: what is sent, to whom, how, and how much of it.

use crate::harness::Visitor;

mod delivery;
mod limits;
mod notices;
mod tls;

pub(crate) fn forgot(visitor: &Visitor, name: &str) {
    visitor
        .post("/forgot_password", &[("username", name)])
        .expect("new_password_sent");
}
