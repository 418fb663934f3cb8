//! What each address of the site answers, and what holds for all of them.

mod account;
mod as_typed;
mod authz;
mod compat;
mod enumeration;
mod guessing;
mod life;
pub(crate) mod names_and_addresses;
mod out_of_order;
mod outcomes;
mod pages;
mod rules;
mod sent_twice;
mod unasked;
