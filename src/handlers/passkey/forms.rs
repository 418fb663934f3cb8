//! The forms that carry what an authenticator has said, and those of the account page.
//!
//! Bytes come as base64url. What is no such text is a field that is wrong; what it stands for is
//! judged by `accounts::passkey`.

use crate::accounts::passkey::{
    Answer, CredentialId, MAX_ATTESTATION, MAX_CLIENT, MAX_DATA, MAX_ID, MAX_SIGNATURE, MAX_USER,
    Making, base64url, transports,
};
use crate::accounts::password::Password;
use crate::form::{Form, FormError};
use crate::handlers::App;
use crate::handlers::forms::{is_ticked, label_field, password_field, rd_of};
use crate::http::Request;
use crate::reply::Refusal;

/// The use of a passkey, as a browser tells it.
pub(super) struct Shown {
    pub(super) id: Vec<u8>,
    client: Vec<u8>,
    data: Vec<u8>,
    signature: Vec<u8>,
    user: Option<Vec<u8>>,
}

impl Shown {
    /// `POST /secret_key/passkey`.
    pub(super) fn parse(request: &Request) -> Result<Self, Refusal> {
        Ok(Self::read(&Form::of_body(request)?)?)
    }

    fn read(form: &Form<'_>) -> Result<Self, FormError> {
        Ok(Self {
            client: bytes(form, "client", MAX_CLIENT)?,
            data: bytes(form, "data", MAX_DATA)?,
            signature: bytes(form, "signature", MAX_SIGNATURE)?,
            id: bytes(form, "id", MAX_ID)?,
            user: optional_bytes(form, "user", MAX_USER)?,
        })
    }

    pub(super) fn answer(&self) -> Answer<'_> {
        Answer {
            id: &self.id,
            client: &self.client,
            data: &self.data,
            signature: &self.signature,
            user: self.user.as_deref(),
        }
    }
}

/// `POST /login/passkey`.
pub(super) struct Alone {
    pub(super) shown: Shown,
    pub(super) rd: String,
    /// Whether the visitor chose to stay logged in.
    pub(super) remember: bool,
}

impl Alone {
    pub(super) fn parse(app: &App, request: &Request) -> Result<Self, Refusal> {
        let form = &Form::of_body(request)?;
        Ok(Self {
            shown: Shown::read(form)?,
            rd: rd_of(app, request, form)?,
            remember: is_ticked(form, "remember")?,
        })
    }
}

/// `POST /account/passkeys/confirm`.
pub(super) struct Confirm {
    client: Vec<u8>,
    attestation: Vec<u8>,
    pub(super) transports: Vec<String>,
    /// What its owner calls it, if they say.
    pub(super) name: Option<String>,
}

impl Confirm {
    pub(super) fn parse(request: &Request) -> Result<Self, Refusal> {
        let form = &Form::of_body(request)?;
        let ways = form.optional("transports", usize::MAX)?.unwrap_or_default();
        let no_words = FormError::Field("transports", "is not words with blanks between");
        Ok(Self {
            client: bytes(form, "client", MAX_CLIENT)?,
            attestation: bytes(form, "attestation", MAX_ATTESTATION)?,
            transports: transports(&ways).ok_or(no_words)?,
            name: label_field(form, "name")?,
        })
    }

    pub(super) fn making(&self) -> Making<'_> {
        Making {
            client: &self.client,
            attestation: &self.attestation,
        }
    }
}

/// `POST /account/passkeys/remove`.
pub(super) struct Remove {
    pub(super) id: CredentialId,
    pub(super) current: Password,
}

impl Remove {
    pub(super) fn parse(request: &Request) -> Result<Self, Refusal> {
        let form = &Form::of_body(request)?;
        let id = bytes(form, "passkey", MAX_ID)?;
        Ok(Self {
            id: CredentialId::new(&id).ok_or(FormError::Field("passkey", "is missing"))?,
            current: password_field(form, "current_password")?,
        })
    }
}

fn bytes(form: &Form<'_>, field: &'static str, most: usize) -> Result<Vec<u8>, FormError> {
    let sent = optional_bytes(form, field, most)?;
    sent.ok_or(FormError::Field(field, "is missing"))
}

/// Bytes that may be missing, which is the same as none.
fn optional_bytes(
    form: &Form<'_>,
    field: &'static str,
    most: usize,
) -> Result<Option<Vec<u8>>, FormError> {
    let text = form.optional(field, usize::MAX)?.unwrap_or_default();
    let bytes = base64url::decode(&text, usize::MAX);
    let bytes = bytes.ok_or(FormError::Field(field, "is not base64url"))?;
    match bytes.len() {
        0 => Ok(None),
        length if length > most => Err(FormError::TooLong(field, most, "bytes")),
        _ => Ok(Some(bytes)),
    }
}
