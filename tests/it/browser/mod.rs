//! The product in a real browser.

mod accessibility;
mod attacks;
mod closed_registration;
mod double_clicks;
mod fetched_unasked;
mod interruptions;
mod life_of_an_account;
mod log_out;
mod origin;
mod passkeys;
mod person;
mod shown_literally;
mod stranger;
mod tokens;
mod typed_unseen;
mod walk;
mod way_back;
