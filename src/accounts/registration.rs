//! Who may make an account, and which names nobody may take by themselves.

use crate::accounts::names;

/// Who may make accounts without an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    /// Everybody.
    Open,
    /// People with an invitation.
    Invited,
    /// Nobody.
    Closed,
}

impl Registration {
    /// Whether strangers may make accounts.
    pub fn is_open(self) -> bool {
        self == Self::Open
    }
}

/// Names that applications and mail servers give a meaning to (many after RFC 2142). Only an
/// operator gives them.
const RESERVED: &[&str] = &[
    "abuse",
    "admin",
    "administrator",
    "anonymous",
    "api",
    "everyone",
    "guest",
    "hostmaster",
    "info",
    "invitations",
    "invite",
    "me",
    "nobody",
    "noreply",
    "postmaster",
    "root",
    "security",
    "self",
    "support",
    "system",
    "test",
    "webmaster",
    "www",
];

/// Whether this is one of the names that only an operator gives.
pub fn is_reserved(username: &str) -> bool {
    RESERVED.contains(&names::key(username).as_ref())
}

#[cfg(test)]
mod tests {
    use super::is_reserved;

    #[test]
    fn names_that_mean_something_to_applications_are_reserved_in_every_case() {
        for name in ["admin", "Admin", "ROOT", "me", "NoReply", "invitations"] {
            assert!(is_reserved(name), "{name}");
        }
        for name in ["alice", "admin1", "administrators", "testa", "m"] {
            assert!(!is_reserved(name), "{name}");
        }
    }
}
