//! Which part of a store a question or a change is about. Files are in memory as a whole; a database
//! is asked for what is named here, and locks no more than that.

use crate::accounts::names;
use crate::accounts::passkey::CredentialId;
use crate::accounts::token::Digest;
use crate::clock::Timestamp;

/// Keys that find all that the rules look at.
#[derive(Clone, Default)]
pub(crate) struct About {
    pub(super) is_everything: bool,
    /// [`names::key`] of usernames.
    pub(super) names: Vec<String>,
    /// [`names::key`] of addresses.
    pub(super) emails: Vec<String>,
    /// Of links. With each comes what the link leads to.
    pub(super) tokens: Vec<Digest>,
    /// By what invitations can be ended.
    pub(super) shorts: Vec<String>,
    /// What waits under this id at this moment.
    pub(super) pending: Option<(Digest, Timestamp)>,
    /// What opens accounts without their names, as in [`of_passkey`] and [`of_token`].
    pub(super) credentials: Vec<String>,
    /// Of accounts.
    pub(super) ids: Vec<String>,
    /// Only accounts and their sessions, and no links or former names.
    pub(super) is_plain: bool,
}

impl About {
    /// All there is.
    pub(crate) fn everything() -> Self {
        Self {
            is_everything: true,
            ..Self::default()
        }
    }

    /// An account by name or address, with its sessions, links and former name.
    pub(crate) fn account(name: &str) -> Self {
        Self::default().and(name)
    }

    /// What this link leads to.
    pub(super) fn link(token: Digest) -> Self {
        Self {
            tokens: vec![token],
            ..Self::default()
        }
    }

    /// Another account too, by name or address; or none, if nobody has that.
    pub(crate) fn and(mut self, name: &str) -> Self {
        match name.contains('@') {
            _ if cannot_be_kept(name) => {}
            true => {
                let email = names::ascii_domain(name);
                self.emails.push(names::key(&email).into_owned());
            }
            false => self.names.push(names::key(name).into_owned()),
        }
        self
    }

    /// The owner of this address too, if there is one.
    pub(crate) fn and_owner(self, email: Option<&str>) -> Self {
        match email {
            Some(email) => self.and(email),
            None => self,
        }
    }

    /// The invitation with this id too.
    pub(crate) fn and_short(mut self, id: &str) -> Self {
        if !cannot_be_kept(id) {
            self.shorts.push(id.to_owned());
        }
        self
    }

    /// What waits under this id too.
    pub(super) fn and_pending(self, id: Digest, now: Timestamp) -> Self {
        Self {
            pending: Some((id, now)),
            ..self
        }
    }

    /// The owner of this passkey too, if there is one.
    pub(super) fn and_passkey(mut self, id: &CredentialId) -> Self {
        self.credentials.push(of_passkey(id));
        self
    }

    /// The owner of the access token with this hash too, if there is one.
    pub(super) fn and_token(mut self, hash: Digest) -> Self {
        self.credentials.push(of_token(hash));
        self
    }

    /// The accounts with these ids.
    #[cfg(feature = "postgres")]
    pub(super) fn ids(ids: Vec<String>) -> Self {
        Self {
            ids,
            ..Self::default()
        }
    }

    /// Without links and former names, which cost questions of their own.
    pub(super) fn plain(self) -> Self {
        Self {
            is_plain: true,
            ..self
        }
    }
}

/// Whether nothing can have this name: PostgreSQL takes no text with a NUL in it, and would refuse the
/// question.
fn cannot_be_kept(name: &str) -> bool {
    name.contains('\0')
}

/// A passkey as a key.
pub(super) fn of_passkey(id: &CredentialId) -> String {
    format!("passkey {}", id.text())
}

/// An access token as a key.
pub(super) fn of_token(hash: Digest) -> String {
    format!("token {}", hash.text())
}
