//! What browsers are told to ask an authenticator for: the W3C's dictionaries for JSON (Level 3,
//! 5.1.8 and 5.1.9), to the letter.

use serde::Serialize;

use super::key::ALGORITHMS;
use super::{CredentialId, Handle, Passkey, RelyingParty, challenge};
use crate::accounts::Account;

/// Milliseconds to wait for an authenticator: as long as the challenge may be answered.
const TIMEOUT: u64 = challenge::LIFETIME.as_secs() * 1000;

/// `PublicKeyCredentialCreationOptionsJSON`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CreationOptions<'a> {
    challenge: String,
    rp: Party<'a>,
    user: User<'a>,
    pub_key_cred_params: [Parameters; 3],
    timeout: u64,
    exclude_credentials: Vec<Descriptor<'a>>,
    authenticator_selection: Selection,
    attestation: &'static str,
}

/// `PublicKeyCredentialRequestOptionsJSON`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestOptions<'a> {
    challenge: String,
    rp_id: &'a str,
    timeout: u64,
    user_verification: &'static str,
    /// Left out for a passkey alone, which says itself whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    allow_credentials: Option<Vec<Descriptor<'a>>>,
}

#[derive(Serialize)]
struct Party<'a> {
    id: &'a str,
    name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct User<'a> {
    id: &'a Handle,
    name: &'a str,
    display_name: &'a str,
}

#[derive(Serialize)]
struct Parameters {
    r#type: &'static str,
    alg: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Selection {
    resident_key: &'static str,
    user_verification: &'static str,
}

#[derive(Serialize)]
struct Descriptor<'a> {
    r#type: &'static str,
    id: &'a CredentialId,
    transports: &'a [String],
}

const PUBLIC_KEY: &str = "public-key";

impl RelyingParty {
    /// What makes a passkey for this account, which has this handle. `preferred` throughout: keys
    /// without a PIN are good after a password, and what they can do is seen when they are used.
    pub fn creation_options<'a>(
        &'a self,
        account: &'a Account,
        handle: &'a Handle,
        challenge: String,
    ) -> CreationOptions<'a> {
        CreationOptions {
            challenge,
            rp: Party {
                id: &self.id,
                name: &self.name,
            },
            user: User {
                id: handle,
                name: &account.username,
                display_name: &account.username,
            },
            pub_key_cred_params: ALGORITHMS.map(|alg| Parameters {
                r#type: PUBLIC_KEY,
                alg,
            }),
            timeout: TIMEOUT,
            exclude_credentials: account.passkeys_for(self).map(descriptor).collect(),
            authenticator_selection: Selection {
                resident_key: "preferred",
                user_verification: "preferred",
            },
            attestation: "none",
        }
    }

    /// What asks for a passkey of anybody.
    pub fn options_alone(&self, challenge: String) -> RequestOptions<'_> {
        RequestOptions {
            challenge,
            rp_id: &self.id,
            timeout: TIMEOUT,
            user_verification: "required",
            allow_credentials: None,
        }
    }

    /// What asks for a passkey of this account, whose password was right. `None` if it has none for
    /// this host.
    pub fn options_after_password<'a>(
        &'a self,
        account: &'a Account,
        challenge: String,
    ) -> Option<RequestOptions<'a>> {
        let known: Vec<_> = account.passkeys_for(self).map(descriptor).collect();
        (!known.is_empty()).then_some(RequestOptions {
            challenge,
            rp_id: &self.id,
            timeout: TIMEOUT,
            user_verification: "discouraged",
            allow_credentials: Some(known),
        })
    }
}

fn descriptor(passkey: &Passkey) -> Descriptor<'_> {
    Descriptor {
        r#type: PUBLIC_KEY,
        id: &passkey.id,
        transports: &passkey.transports,
    }
}
