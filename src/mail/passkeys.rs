//! The mails about passkeys.

use crate::mail::texts::headed;

pub(super) fn added(name: &str, when: &str, site: &str) -> (&'static str, String) {
    let head = headed("A passkey was added to your account", when, name);
    let text = format!(
        "{head}Whoever has it can log in.\n\
         \n\
         If this was you, there is nothing to do.\n\
         \n\
         If it was not you, somebody knows your password and had a code of yours.\n\
         Remove that passkey, change your password, then make new recovery codes\n\
         and set up a new authenticator; and tell the people who run the site:\n\
         \n\
         {site}/account\n"
    );
    ("A passkey was added", text)
}

pub(super) fn removed(name: &str, when: &str, site: &str) -> (&'static str, String) {
    let head = headed("A passkey of your account was removed", when, name);
    let text = format!(
        "{head}It no longer logs in. Remove it from your device too, or that will go on\n\
         offering it.\n\
         \n\
         If it was not you, somebody knows your password and was logged in to your\n\
         account. Change your password, and tell the people who run the site:\n\
         \n\
         {site}/account\n"
    );
    ("A passkey was removed", text)
}

pub(super) fn copied(name: &str, when: &str, site: &str) -> (&'static str, String) {
    let head = headed("A passkey of your account was refused", when, name);
    let text = format!(
        "{head}It counts how often it is used, and has counted less than before. Somebody\n\
         may have a copy of it; or the device was put back to an earlier state.\n\
         \n\
         If it was not you, or you do not know why, remove that passkey and make\n\
         another:\n\
         \n\
         {site}/account\n"
    );
    ("A passkey may have been copied", text)
}
