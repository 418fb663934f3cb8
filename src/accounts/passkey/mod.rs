//! Passkeys: Web Authentication, Level 3, as a site needs it that asks for no attestation.
//!
//! Pure as everything about accounts: an answer of a browser is judged by what it is compared with,
//! and each check of the standard that applies is one line, with its number. [`RelyingParty::make`]
//! judges a new passkey, [`RelyingParty::check`] one in use; [`Challenges`] asks and knows again
//! what it asked, [`options`] is what browsers are told, and [`Passkey`] is what is kept.

use url::{Host, Url};

mod account;
pub mod base64url;
mod cbor;
mod challenge;
mod client;
mod data;
mod kept;
mod key;
mod making;
pub mod options;
mod using;

pub use account::NotAdded;
pub use challenge::{Answered, Challenge, Challenges, LIFETIME, Purpose, millis};
pub use kept::{CredentialId, Handle, Passkey, transports};
pub use key::PublicKey;
pub use making::{Made, Making};
pub use using::{Answer, Step, Used};

/// Most passkeys of an account.
pub const MAX_PASSKEYS: usize = 10;

/// Most bytes of the client data of an answer.
pub const MAX_CLIENT: usize = 4096;

/// Most bytes of an answer's authenticator data.
pub const MAX_DATA: usize = 1024;

/// Most bytes of a signature: that of the longest RSA key.
pub const MAX_SIGNATURE: usize = 1024;

/// Most bytes of the id of a credential (Level 3, 4).
pub const MAX_ID: usize = 1023;

/// Most bytes of a user handle (Level 3, 5.4.3).
pub const MAX_USER: usize = 64;

/// Most bytes of an attestation object.
pub const MAX_ATTESTATION: usize = 16_384;

/// Why an answer is not taken. For tests and the log: whoever sent it is told nothing of it but
/// [`Refused::Expired`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Not in the form that the standard gives it.
    Unreadable,
    /// For the other ceremony.
    Type,
    /// Not what was asked, or asked for something else, or answered already.
    Challenge,
    /// Asked here, and too long ago.
    Expired,
    /// Given to another site.
    Origin,
    /// Given to a page in a frame.
    Frame,
    /// Of a passkey for another site.
    RpId,
    /// Nobody touched the authenticator.
    NotPresent,
    /// The authenticator did not check who that was.
    NotVerified,
    /// Copied, though it cannot be; or it could be before and cannot be now, or the reverse.
    Backup,
    /// For a key of an algorithm that was not asked for.
    Algorithm,
    /// Not a key.
    Key,
    /// Without an id, or with one that is too long.
    Id,
    /// Not a passkey of this account for this host.
    Unknown,
    /// Of another account, or of nobody.
    User,
    /// Signed by another key, or something else was signed.
    Signature,
    /// The counter did not grow: there may be two of it.
    Copied,
}

/// Refuses for this reason what is not so.
fn ensure(is_so: bool, refused: Refused) -> Result<(), Refused> {
    if is_so { Ok(()) } else { Err(refused) }
}

/// The site, as browsers name it to authenticators.
#[derive(Clone)]
pub struct RelyingParty {
    id: String,
    origin: String,
    name: String,
}

impl RelyingParty {
    /// The site with this public URL, called `name`. `None` where its host is an address: that can
    /// have no passkeys.
    pub fn new(public: &Url, name: &str) -> Option<Self> {
        let Some(Host::Domain(host)) = public.host() else {
            return None;
        };
        Some(Self {
            id: host.to_owned(),
            origin: public.origin().ascii_serialization(),
            name: name.to_owned(),
        })
    }

    /// The RP ID: the host.
    pub fn id(&self) -> &str {
        &self.id
    }
}

#[cfg(test)]
mod tests;
