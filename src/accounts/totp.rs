//! The second factor: time-based one-time codes (RFC 6238) with SHA-1, six digits, 30 seconds,
//! which is what every authenticator app supports.

use std::borrow::Cow;

use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use subtle::ConstantTimeEq as _;
use totp_lite::{Sha1, totp_custom};
use url::form_urlencoded;
use zeroize::Zeroizing;

use crate::accounts::token;

/// Seconds a code lasts (RFC 6238, section 5.2).
pub const STEP: u64 = 30;

/// Digits of a code.
pub const DIGITS: u32 = 6;

/// The key an authenticator app and the server share.
///
/// No `Debug`: whoever has it can make codes.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// A fresh key of 160 bits (RFC 4226, section 4, R6).
    pub fn new() -> Self {
        Self(Zeroizing::new(token::random::<20>().to_vec()))
    }

    /// Reads base32 (RFC 4648, section 6) as apps and people write it: in either case, ignoring
    /// spaces, hyphens and padding. `None` if it is something else, or empty.
    pub fn parse(text: &str) -> Option<Self> {
        let text: Zeroizing<String> = Zeroizing::new(
            text.chars()
                .filter(|c| !matches!(c, ' ' | '-' | '='))
                .map(|c| c.to_ascii_uppercase())
                .collect(),
        );
        let bytes = BASE32_NOPAD.decode(text.as_bytes()).ok()?;
        (!bytes.is_empty()).then(|| Self(Zeroizing::new(bytes)))
    }

    /// The key in base32 without padding, as it is typed into an app.
    pub fn base32(&self) -> String {
        BASE32_NOPAD.encode(&self.0)
    }

    /// The key as a URI for the QR code (the Key URI Format of authenticator apps).
    pub fn otpauth(&self, issuer: &str, username: &str) -> String {
        // `+` for a space is right in forms only; apps want `%20`.
        let encode =
            |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let issuer = encode(issuer).replace('+', "%20");
        let username = encode(username).replace('+', "%20");
        format!(
            "otpauth://totp/{issuer}:{username}?secret={}&issuer={issuer}",
            self.base32()
        )
    }

    /// Finds the step `code` is right for, looking one step to either side of `now` (seconds since
    /// 1970) for a slow reader or a drifting phone, but only after `last_step`.
    ///
    /// The caller keeps the step and passes it in next time; otherwise a code that somebody saw
    /// over a shoulder would work a second time.
    pub fn accept(&self, code: &str, now: u64, last_step: u64) -> Option<u64> {
        let current = now / STEP;
        (current.saturating_sub(1)..=current.saturating_add(1))
            .filter(|step| *step > last_step)
            .find(|step| bool::from(self.code(*step).as_bytes().ct_eq(code.as_bytes())))
    }

    fn code(&self, step: u64) -> Zeroizing<String> {
        Zeroizing::new(totp_custom::<Sha1>(1, DIGITS, &self.0, step))
    }
}

/// Whether this may be a code: six digits. Anything else is looked at as a recovery code.
pub fn is_code(text: &str) -> bool {
    text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Default for Secret {
    fn default() -> Self {
        Self::new()
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.base32())
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("totp secret is not base32"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rfc_secret() -> Secret {
        Secret::parse("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap()
    }

    /// RFC 6238, appendix B, the last six of its eight digits.
    #[test]
    fn codes_are_those_of_the_rfc() {
        for (time, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(
                rfc_secret().accept(code, time, 0),
                Some(time / STEP),
                "{time}"
            );
        }
    }

    /// RFC 4226, appendix D: counters 0 to 9.
    #[test]
    fn counters_are_those_of_the_rfc() {
        let codes = [
            "755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583",
            "399871", "520489",
        ];
        for (counter, code) in codes.iter().enumerate() {
            assert_eq!(rfc_secret().code(counter as u64).as_str(), *code);
        }
    }

    #[test]
    fn a_code_of_the_last_accepted_step_or_before_is_refused() {
        assert_eq!(rfc_secret().accept("287082", 59, 1), None);
        assert_eq!(rfc_secret().accept("287082", 59, 7), None);
    }

    #[test]
    fn the_uri_is_percent_encoded() {
        assert_eq!(
            rfc_secret().otpauth("Müller & Co", "al+ice"),
            "otpauth://totp/M%C3%BCller%20%26%20Co:al%2Bice\
             ?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=M%C3%BCller%20%26%20Co"
        );
    }

    #[test]
    fn only_six_ascii_digits_are_a_code() {
        assert!(is_code("012345"));
        for text in ["", "12345", "1234567", "12345a", "１２３４５６", " 12345"] {
            assert!(!is_code(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_code_is_good_for_its_step_and_the_neighbours_only(step in 2_u64..1 << 40, off in -5_i64..=5) {
            let secret = rfc_secret();
            let code = secret.code(step);
            // By chance, a code may be that of another step nearby too.
            let others = step - 2..=step + 2;
            prop_assume!(others.filter(|other| secret.code(*other) == code).count() == 1);
            let now = step.saturating_add_signed(off) * STEP;
            let accepted = secret.accept(&code, now, 0);
            if off.abs() <= 1 {
                prop_assert_eq!(accepted, Some(step));
            } else if off.abs() == 2 {
                prop_assert_eq!(accepted, None);
            }
        }

        #[test]
        fn no_time_and_no_text_breaks_the_check(text: String, now: u64, last: u64) {
            let _ = rfc_secret().accept(&text, now, last);
        }

        #[test]
        fn a_key_is_read_as_it_was_written(bytes in proptest::collection::vec(any::<u8>(), 1..40)) {
            let secret = Secret(Zeroizing::new(bytes));
            prop_assert!(Secret::parse(&secret.base32()).is_some_and(|read| read.0 == secret.0));
        }
    }
}
