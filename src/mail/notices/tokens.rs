//! The mails about access tokens.

use crate::clock::Timestamp;
use crate::mail::texts::one_line;

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
    let text = format!(
        "An access token was made for your account\n\
         on {when}.\n\
         \n\
         Name: {name}\n\
         Good until: {expires}\n\
         Good for:\n\
         {hosts}\
         \n\
         If this was you, there is nothing to do.\n\
         \n\
         If it was not you, somebody knows your password and had a code of yours.\n\
         Log in, remove the token, change your password, and make new recovery\n\
         codes:\n\
         \n\
         {site}/account\n",
        name = one_line(name),
    );
    ("An access token was made", text)
}

/// One of this name was removed.
pub(super) fn removed(name: &str, when: &str, site: &str) -> (&'static str, String) {
    let text = format!(
        "An access token of your account was removed\n\
         on {when}.\n\
         The program that has it no longer gets in.\n\
         \n\
         Name: {name}\n\
         \n\
         If this was you, there is nothing to do.\n\
         \n\
         If it was not you, somebody knows your password and was logged in to your\n\
         account. Log in and change your password:\n\
         \n\
         {site}/account\n",
        name = one_line(name),
    );
    ("An access token was removed", text)
}
