//! Access tokens, as an operator may write them into users.json.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::harness::from_now;

/// A token of this letter, which is nobody's until it is given to somebody.
pub(crate) fn secret(letter: char) -> String {
    format!("au_{}", String::from(letter).repeat(32))
}

/// A token as users.json has it, good for an hour.
pub(crate) fn kept(secret: &str, hosts: &[&str]) -> Value {
    json!({
        "id": &secret[3..15],
        "hash": URL_SAFE_NO_PAD.encode(Sha256::digest(secret)),
        "name": "phone",
        "hosts": hosts,
        "created": from_now(-60),
        "expires": from_now(3600),
        "used": null,
    })
}

/// The value of `Authorization` with a name and a password.
pub(crate) fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}
