//! The mails about access tokens.

use crate::clock::Timestamp;
use crate::mail::texts::{headed, one_line};

/// One was made, with this name, for these hosts, until then.
pub(super) fn made(
    (name, hosts, expires): (&str, &[String], Timestamp),
    when: &str,
    site: &str,
) -> (&'static str, String) {
    let hosts: String = hosts
        .iter()
        .map(|host| format!("- {}\n", one_line(host)))
        .collect();
    let head = headed("An access token was made for your account", when, name);
    let text = format!(
        "{head}It is good until {expires}, for:\n\
         \n\
         {hosts}\
         \n\
         If this was you, there is nothing to do.\n\
         \n\
         If it was not you, somebody knows your password and had a code of yours.\n\
         Log in, remove the token, change your password, and make new recovery\n\
         codes:\n\
         \n\
         {site}/account\n"
    );
    ("An access token was made", text)
}

/// One of this name was removed.
pub(super) fn removed(name: &str, when: &str, site: &str) -> (&'static str, String) {
    let head = headed("An access token of your account was removed", when, name);
    let text = format!(
        "{head}The program that has it no longer gets in.\n\
         \n\
         If this was you, there is nothing to do.\n\
         \n\
         If it was not you, somebody knows your password and was logged in to your\n\
         account. Log in and change your password:\n\
         \n\
         {site}/account\n"
    );
    ("An access token was removed", text)
}
