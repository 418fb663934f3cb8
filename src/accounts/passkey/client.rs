//! What the browser says a passkey was asked for (Level 3, 5.8.1): the first thing that is judged,
//! and the only part of an answer in JSON.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use super::Refused;

/// The client data. Members that it does not name are passed over, as the standard asks; one that
/// is there twice is not.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Client {
    r#type: String,
    challenge: String,
    origin: String,
    #[serde(default)]
    cross_origin: bool,
    /// Whether it is there, whatever it is.
    #[serde(default, deserialize_with = "is_there")]
    top_origin: bool,
}

fn is_there<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

impl Client {
    /// Reads it, with or without a byte order mark.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Refused> {
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        // An array would be taken for the members in their order.
        if text.trim_ascii_start().first() != Some(&b'{') {
            return Err(Refused::Unreadable);
        }
        serde_json::from_slice(text).map_err(|_| Refused::Unreadable)
    }

    pub(super) fn is_for(&self, ceremony: &str) -> bool {
        self.r#type == ceremony
    }

    pub(super) fn challenge(&self) -> Result<Vec<u8>, Refused> {
        let decoded = URL_SAFE_NO_PAD.decode(&self.challenge);
        decoded.map_err(|_| Refused::Challenge)
    }

    /// To the letter: browsers write an origin in one way only.
    pub(super) fn is_from(&self, origin: &str) -> bool {
        self.origin == origin
    }

    /// Whether the page was in a frame on a page of another origin.
    pub(super) fn is_framed(&self) -> bool {
        self.cross_origin || self.top_origin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_is_no_client_data() {
        let members = r#""webauthn.get", "c2FsdA", "https://auth.example.com""#;
        for text in [format!("[{members}]"), format!(" [{members}, false]")] {
            assert!(Client::read(text.as_bytes()).is_err(), "{text}");
        }
        let object =
            br#" {"type": "webauthn.get", "challenge": "c2FsdA", "origin": "https://a.b"}"#;
        assert!(Client::read(object).is_ok());
    }
}
