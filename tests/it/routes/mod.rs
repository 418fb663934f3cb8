//! What each address of the site answers, and what holds for all of them.

use crate::harness::Visitor;

mod account;
mod address;
mod as_typed;
mod authz;
mod code;
mod compat;
mod confirm;
mod cookies;
mod cross_site;
mod enumeration;
mod fields;
mod foreign_hashes;
mod forgot_password;
mod guessing;
mod headers;
mod invitations;
mod login;
mod logout;
pub(crate) mod names_and_addresses;
mod out_of_order;
mod pages;
mod passkeys;
mod paths_and_methods;
mod people;
mod register;
mod sent_twice;
mod stay_logged_in;
mod way_back;
mod without_address;

/// Both steps of a login, the second with a recovery code.
#[track_caller]
fn log_in(visitor: &Visitor, name: &str, password: &str, recovery_code: &str) {
    visitor
        .post("/login", &[("username", name), ("password", password)])
        .expect("code_required");
    visitor
        .post("/secret_key", &[("secret", recovery_code)])
        .expect("login_complete");
}

#[track_caller]
fn first_step(visitor: &Visitor, password: &str, code: &str) {
    visitor
        .post("/login", &[("username", "alice"), ("password", password)])
        .expect(code);
}
