//! What lies in a backup, by name: so much and no more.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

use crate::pages::LOGO_FILES;

/// The accounts, as a backup calls them.
pub(super) const USERS: &str = "users.json";

/// The accounts as an earlier version had them.
pub(super) const EARLIER: &str = "users.json.v1";

pub(super) const SESSIONS: &str = "sessions.json";
pub(super) const EVENTS: &str = "events.jsonl";
pub(super) const CERTIFICATE: &str = "server.crt";
pub(super) const KEY: &str = "server.key";
pub(super) const RULES: &str = "access.toml";

/// The folder of mails that wait.
pub(super) const OUTBOX: &str = "outbox";

/// Most bytes of a file.
pub(super) const MOST_BYTES: u64 = 1 << 30;

/// Most files: the outbox takes a thousand mails, and operators may add some.
pub(super) const MOST_FILES: usize = 100_000;

/// The name of something in a backup.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Name {
    /// A file at the top.
    Top(&'static str),
    /// A file in the outbox.
    Mail(OsString),
}

impl Name {
    /// What a tar calls by these bytes; `None` if no backup has that.
    pub(super) fn of(path: &[u8]) -> Option<Self> {
        let path = path.strip_prefix(b"./").unwrap_or(path);
        if let Some(mail) = path.strip_prefix(b"outbox/") {
            let mail = OsString::from_vec(mail.to_vec());
            return is_mail(&mail).then_some(Self::Mail(mail));
        }
        let fixed = [USERS, SESSIONS, EVENTS, RULES, EARLIER, CERTIFICATE, KEY];
        let mut all = fixed.into_iter().chain(LOGO_FILES.map(|(name, _)| name));
        all.find(|name| name.as_bytes() == path).map(Self::Top)
    }

    /// Whether these bytes are the name of a folder that a backup has files in.
    pub(super) fn is_folder(path: &[u8]) -> bool {
        let path = path.strip_prefix(b"./").unwrap_or(path);
        matches!(path, b"" | b"." | b"outbox" | b"outbox/")
    }

    /// As a tar has it.
    pub(super) fn in_tar(&self) -> OsString {
        match self {
            Self::Top(name) => OsString::from(name),
            Self::Mail(name) => Path::new(OUTBOX).join(name).into_os_string(),
        }
    }

    /// As it is called in its folder, where the accounts file has this name.
    pub(super) fn in_folder(&self, users: &OsStr) -> OsString {
        match self {
            Self::Top(USERS) => users.to_owned(),
            Self::Top(EARLIER) => {
                let mut name = users.to_owned();
                name.push(".v1");
                name
            }
            Self::Top(name) => OsString::from(name),
            Self::Mail(name) => name.clone(),
        }
    }
}

/// Whether a file of this name in the outbox is a mail.
pub(super) fn is_mail(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name.ends_with(b".eml") && !name.contains(&b'/') && !name.contains(&0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_has_these_names_and_no_others() {
        for name in [
            "users.json",
            "./users.json",
            "sessions.json",
            "events.jsonl",
            "access.toml",
            "logo.svg",
            "logo.png",
            "users.json.v1",
            "server.crt",
            "server.key",
            "outbox/a.eml",
            "./outbox/..eml",
        ] {
            let plain = name.trim_start_matches("./");
            let found = Name::of(name.as_bytes()).map(|name| name.in_tar());
            assert_eq!(found, Some(OsString::from(plain)));
        }
        for name in [
            "",
            ".",
            "/users.json",
            "../users.json",
            "././users.json",
            "users.json/",
            "users.json\0",
            "Users.json",
            "logo.gif",
            "outbox/",
            "outbox/a",
            "outbox/../users.eml",
            "outbox//a.eml",
            "outbox/b/a.eml",
            "/outbox/a.eml",
            "sub/outbox/a.eml",
            "mail/a.eml",
            "passwd",
        ] {
            assert_eq!(Name::of(name.as_bytes()), None, "{name}");
        }
    }
}
