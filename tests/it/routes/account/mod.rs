//! What somebody who is logged in sees of the account and does with it.

use crate::harness::Visitor;

mod authenticator;
mod end_of_account;
mod events;
mod races;
mod recovery_codes;
mod sessions_and_browsers;
mod tokens;
mod told;

const NEW: &str = "eight tame cows";

fn sessions(visitor: &Visitor) -> usize {
    let account = visitor.get("/account").json();
    account["sessions"].as_array().unwrap().len()
}
