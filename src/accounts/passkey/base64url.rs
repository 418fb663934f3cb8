//! Bytes as base64url (RFC 4648, section 5), in files, forms and JSON.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serializer, de};

/// Takes padding, which some browsers' extensions and programs write.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Writes bytes, without padding.
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads at most `most` bytes, with padding or without; `None` if this is something else.
pub fn decode(text: &str, most: usize) -> Option<Vec<u8>> {
    let bytes = LENIENT.decode(text).ok()?;
    (bytes.len() <= most).then_some(bytes)
}

/// Writes bytes into a file.
pub(super) fn serialize<S: Serializer>(bytes: impl AsRef<[u8]>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&encode(bytes))
}

/// Reads what `parse` makes of bytes in a file; `what` says what was expected.
pub(super) fn deserialize<'de, D: Deserializer<'de>, T>(
    from: D,
    what: &str,
    parse: impl FnOnce(Vec<u8>) -> Option<T>,
) -> Result<T, D::Error> {
    let text = Cow::<str>::deserialize(from)?;
    decode(&text, usize::MAX)
        .and_then(parse)
        .ok_or_else(|| de::Error::custom(format_args!("not {what} in base64url")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_taken_and_nothing_else() {
        for (text, bytes) in [
            ("", &[][..]),
            ("-_8", &[0xfb, 0xff]),
            ("-_8=", &[0xfb, 0xff]),
            ("AA", &[0]),
            ("AA==", &[0]),
            ("AAAA", &[0; 3]),
        ] {
            assert_eq!(decode(text, 3).as_deref(), Some(bytes), "{text}");
        }
        for text in [
            "+/8", "A", "AA===", "=", " AA", "AA ", "AB", "A-=", "AAAAAA",
        ] {
            assert_eq!(decode(text, 3), None, "{text}");
        }
    }
}
