//! The mails about passkeys.

use crate::mail::texts::one_line;

pub(super) fn added(name: &str, when: &str, site: &str) -> (&'static str, String) {
    let text = format!(
        "A passkey was added to your account\n\
         on {when}:\n\
         \n\
         {name}\n\
         \n\
         Whoever has it can log in.\n\
         \n\
         If this was you, there is nothing to do.\n\
         \n\
         If it was not you, somebody knows your password and had a code of yours.\n\
         Remove that passkey, change your password, then make new recovery codes\n\
         and set up a new authenticator; and tell the people who run the site:\n\
         \n\
         {site}/account\n",
        name = one_line(name),
    );
    ("A passkey was added", text)
}

pub(super) fn removed(name: &str, when: &str, site: &str) -> (&'static str, String) {
    let text = format!(
        "A passkey of your account was removed\n\
         on {when}:\n\
         \n\
         {name}\n\
         \n\
         It no longer logs in. Remove it from your device too, or that will go on\n\
         offering it.\n\
         \n\
         If it was not you, somebody knows your password and was logged in to your\n\
         account. Change your password, and tell the people who run the site:\n\
         \n\
         {site}/account\n",
        name = one_line(name),
    );
    ("A passkey was removed", text)
}

pub(super) fn copied(name: &str, when: &str, site: &str) -> (&'static str, String) {
    let text = format!(
        "A passkey of your account was refused\n\
         on {when}:\n\
         \n\
         {name}\n\
         \n\
         It counts how often it is used, and has counted less than before. Somebody\n\
         may have a copy of it; or the device was put back to an earlier state.\n\
         \n\
         If it was not you, or you do not know why, remove that passkey and make\n\
         another:\n\
         \n\
         {site}/account\n",
        name = one_line(name),
    );
    ("A passkey may have been copied", text)
}
