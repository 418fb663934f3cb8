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

/// Most mails of a backup that is made.
pub(super) const MOST_MAILS: usize = MOST_FILES / 2;

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

    /// Whether it is what each node has for itself where accounts are in a database.
    #[cfg(feature = "postgres")]
    pub(super) fn is_of_node(&self) -> bool {
        matches!(self, Self::Top(name) if ![USERS, SESSIONS, EVENTS, EARLIER].contains(name))
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

/// Most bytes of a name in a folder, in a plain tar.
const MOST_NAME: usize = 100;

/// Whether a file of this name in the outbox is a mail, and one that a backup has. Operators may put
/// mails there by names of their own; what would write to a terminal is none.
pub(super) fn is_mail(name: &OsStr) -> bool {
    let is_plain = |name: &str| !name.contains(|c: char| c == '/' || c.is_control());
    has_mails_ending(name) && name.len() <= MOST_NAME && name.to_str().is_some_and(is_plain)
}

/// Whether the name ends as those of mails do.
pub(super) fn has_mails_ending(name: &OsStr) -> bool {
    name.as_bytes().ends_with(b".eml")
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
            "outbox/\x1b.eml",
            "outbox/\n.eml",
            "outbox/\0.eml",
            "outbox/b/a.eml",
            "/outbox/a.eml",
            "sub/outbox/a.eml",
            "mail/a.eml",
            "passwd",
        ] {
            assert_eq!(Name::of(name.as_bytes()), None, "{name}");
        }
        assert_eq!(Name::of(b"outbox/\xff.eml"), None);
        let longest = format!("outbox/{:x>100}", ".eml");
        assert!(Name::of(longest.as_bytes()).is_some());
        let longer = format!("outbox/{:x>101}", ".eml");
        assert_eq!(Name::of(longer.as_bytes()), None);
    }
}
