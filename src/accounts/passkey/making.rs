//! Whether a new passkey is taken (Level 3, 7.1).

use sha2::{Digest as _, Sha256};

use super::client::Client;
use super::data::{Data, attested};
use super::kept::CredentialId;
use super::key::PublicKey;
use super::{Refused, RelyingParty, ensure};

/// What a browser answers to `navigator.credentials.create`.
#[derive(Clone, Copy)]
pub struct Making<'a> {
    /// `clientDataJSON`.
    pub client: &'a [u8],
    /// `attestationObject`.
    pub attestation: &'a [u8],
}

/// A new passkey that holds, and is known to nobody yet.
pub struct Made<C> {
    /// The challenge it answers, to be used up.
    pub challenge: C,
    /// Its id.
    pub id: CredentialId,
    /// What checks its signatures.
    pub key: PublicKey,
    /// Its signature counter.
    pub count: u32,
    /// Whether the authenticator checked who made it.
    pub verified: bool,
    /// Whether its key may be copied to the owner's other devices.
    pub synced: bool,
}

impl RelyingParty {
    /// Judges a new passkey. The numbers are those of the steps in Level 3, 7.1: before 5 it is the
    /// page's script that acts, 12 and 21 to 24 are about attestation, of which none is asked for,
    /// 18 and 19 are free to every site, the outputs of extensions (28) need only be well-formed,
    /// and 26, 27 and 29 are what keeps it ([`Accounts::add_passkey`]).
    ///
    /// # Errors
    ///
    /// The first check that it does not pass.
    ///
    /// [`Accounts::add_passkey`]: crate::accounts::Accounts::add_passkey
    pub fn make<C>(
        &self,
        answer: Making<'_>,
        is_asked: impl FnOnce(&[u8]) -> Result<C, Refused>,
    ) -> Result<Made<C>, Refused> {
        let client = Client::read(answer.client)?; // 5, 6
        ensure(client.is_for("webauthn.create"), Refused::Type)?; // 7
        let challenge = is_asked(&client.challenge()?)?; // 8
        ensure(client.is_from(&self.origin), Refused::Origin)?; // 9
        ensure(!client.is_framed(), Refused::Frame)?; // 10, 11
        let data = Data::read(attested(answer.attestation)?)?; // 13
        ensure(self.is_meant_by(&data), Refused::RpId)?; // 14
        ensure(data.is_present(), Refused::NotPresent)?; // 15; 16 does not apply
        ensure(data.is_synced() || !data.is_backed_up(), Refused::Backup)?; // 17
        let (id, key) = data.credential.ok_or(Refused::Unreadable)?;
        let key = PublicKey::read(key)?; // 20
        ensure(key.is_sound(), Refused::Key)?;
        let id = CredentialId::new(id).ok_or(Refused::Id)?; // 25
        Ok(Made {
            challenge,
            id,
            key,
            count: data.count,
            verified: data.is_verified(),
            synced: data.is_synced(),
        })
    }

    /// Whether it is for this site that an authenticator answered.
    pub(super) fn is_meant_by(&self, data: &Data<'_>) -> bool {
        Sha256::digest(&self.id).as_slice() == data.rp_id_hash
    }
}
