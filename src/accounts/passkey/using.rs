//! Whether somebody has a passkey that is kept (Level 3, 7.2).

use sha2::{Digest as _, Sha256};

use super::client::Client;
use super::data::Data;
use super::kept::{CredentialId, Passkey};
use super::{Refused, RelyingParty, ensure};
use crate::accounts::Account;

/// What a browser answers to `navigator.credentials.get`.
#[derive(Clone, Copy)]
pub struct Answer<'a> {
    /// `rawId`.
    pub id: &'a [u8],
    /// `clientDataJSON`.
    pub client: &'a [u8],
    /// `authenticatorData`.
    pub data: &'a [u8],
    /// `signature`.
    pub signature: &'a [u8],
    /// `userHandle`, if the authenticator said whose it is.
    pub user: Option<&'a [u8]>,
}

/// What a passkey is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Both factors at once: it says whose it is, and has checked who is there.
    Alone,
    /// The second one; whose it must be is known.
    AfterPassword,
}

/// A passkey that somebody has shown to have.
pub struct Used<C> {
    /// The challenge it answers, to be used up.
    pub challenge: C,
    pub(super) id: CredentialId,
    pub(super) step: Step,
    pub(super) count: u32,
    pub(super) verified: bool,
}

impl<C> Used<C> {
    /// Which passkey it was.
    pub fn id(&self) -> &CredentialId {
        &self.id
    }
}

impl RelyingParty {
    /// Judges the use of a passkey of this account: after a password the one that is logging in,
    /// alone the one that has a passkey of this id, if any has. The numbers are those of the steps
    /// in Level 3, 7.2: before 5 it is the page's script that acts, the outputs of extensions (23)
    /// need only be well-formed, and 24 is [`Account::use_passkey`].
    ///
    /// # Errors
    ///
    /// The first check that it does not pass; [`Refused::Copied`] only if it passes all others.
    pub fn check<C>(
        &self,
        account: Option<&Account>,
        step: Step,
        answer: Answer<'_>,
        is_asked: impl FnOnce(&[u8]) -> Result<C, Refused>,
    ) -> Result<Used<C>, Refused> {
        let client = Client::read(answer.client);
        let challenge = client
            .as_ref()
            .map_err(|why| *why)
            .and_then(|client| is_asked(&client.challenge()?));
        // Said of every page of ours that is too old, or it would tell which passkeys there are.
        if matches!(challenge, Err(Refused::Expired)) {
            return Err(Refused::Expired);
        }
        let id = CredentialId::new(answer.id).ok_or(Refused::Unknown)?;
        let account = account.ok_or(Refused::Unknown)?;
        let kept = account.passkeys_for(self).find(|kept| kept.id == id);
        let kept = kept.ok_or(Refused::Unknown)?; // 5, 6
        ensure(is_user(account, step, answer.user), Refused::User)?; // 6
        let client = client?; // 8, 9
        ensure(client.is_for("webauthn.get"), Refused::Type)?; // 10
        let challenge = challenge?; // 11
        ensure(client.is_from(&self.origin), Refused::Origin)?; // 12
        ensure(!client.is_framed(), Refused::Frame)?; // 13, 14
        let data = Data::read(answer.data)?;
        ensure(data.credential.is_none(), Refused::Unreadable)?;
        ensure(self.is_meant_by(&data), Refused::RpId)?; // 15
        ensure(data.is_present(), Refused::NotPresent)?; // 16
        let may_be_anybody = step == Step::AfterPassword;
        ensure(data.is_verified() || may_be_anybody, Refused::NotVerified)?; // 17
        ensure(data.is_synced() || !data.is_backed_up(), Refused::Backup)?; // 18
        ensure(data.is_synced() == kept.synced, Refused::Backup)?; // 19
        let signed = [answer.data, &Sha256::digest(answer.client)].concat(); // 20
        ensure(
            kept.key.has_signed(&signed, answer.signature),
            Refused::Signature,
        )?; // 21
        ensure(kept.is_ahead(data.count), Refused::Copied)?; // 22
        Ok(Used {
            challenge,
            id,
            step,
            count: data.count,
            verified: data.is_verified(),
        })
    }
}

/// Whether the authenticator said that it is this account's. After a password it need not. No
/// handle is empty: that says nothing (Level 3, 5.4.3).
fn is_user(account: &Account, step: Step, said: Option<&[u8]>) -> bool {
    match (said.filter(|said| !said.is_empty()), &account.handle) {
        (Some(said), Some(handle)) => handle.is(said),
        (Some(_), None) => false,
        (None, _) => step == Step::AfterPassword,
    }
}

impl Passkey {
    /// Whether its counter is as far as it must be now. Synced passkeys count nothing: theirs is
    /// always zero.
    pub(super) fn is_ahead(&self, count: u32) -> bool {
        count > self.count || (count == 0 && self.count == 0)
    }
}
