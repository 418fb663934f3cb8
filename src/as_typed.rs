//! Cleans up what people typed without noticing: blanks, marks and digits of other scripts, from
//! keyboards, apps and clipboards. There is one function for each kind of value in which none of
//! these can be meant; whether a value is missing or too long is judged on the result.
//!
//! Any other password is taken as it is: everything in it may have been meant.

use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory, WhiteSpace};
use icu_properties::{CodePointMapData, CodePointSetData};
use zeroize::Zeroizing;

/// A username, or an e-mail address in its place.
pub fn name(typed: &str) -> Zeroizing<String> {
    around(typed)
}

/// An e-mail address.
pub fn email(typed: &str) -> Zeroizing<String> {
    around(typed)
}

/// A password from a mail, which people copy with what stands around it.
pub fn mailed_password(typed: &str) -> Zeroizing<String> {
    around(typed)
}

/// A code of an authenticator, or a recovery code instead: without blanks and dashes, in lower
/// case, with ASCII digits.
pub fn code(typed: &str) -> Zeroizing<String> {
    let kept = typed.chars().filter(|c| !is_unseen(*c) && !is_dash(*c));
    let read = kept.flat_map(|c| digit(c).unwrap_or(c).to_lowercase());
    Zeroizing::new(read.collect())
}

/// Removes blanks and invisible marks at both ends. Inside a value they stay, and make it a
/// different one.
fn around(typed: &str) -> Zeroizing<String> {
    Zeroizing::new(typed.trim_matches(is_unseen).to_owned())
}

/// Blanks, and characters that show nothing. U+FFFC stands for an object that was copied along.
fn is_unseen(c: char) -> bool {
    CodePointSetData::new::<WhiteSpace>().contains(c)
        || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
        || category(c) == GeneralCategory::Format
        || c == '\u{fffc}'
}

/// Hyphens and dashes, and the minus sign.
fn is_dash(c: char) -> bool {
    category(c) == GeneralCategory::DashPunctuation || c == '\u{2212}'
}

/// The ASCII digit that a decimal digit of any script stands for. Each script has its ten in a row,
/// from zero to nine (The Unicode Standard, section 4.6); where scripts adjoin, such rows follow
/// each other.
fn digit(c: char) -> Option<char> {
    if !is_decimal(u32::from(c)) {
        return None;
    }
    let before = (0..u32::from(c))
        .rev()
        .take_while(|other| is_decimal(*other));
    let value = u32::try_from(before.count()).ok()? % 10;
    char::from_digit(value, 10)
}

fn is_decimal(code_point: u32) -> bool {
    let categories = CodePointMapData::<GeneralCategory>::new();
    categories.get32(code_point) == GeneralCategory::DecimalNumber
}

fn category(c: char) -> GeneralCategory {
    CodePointMapData::<GeneralCategory>::new().get(c)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What keyboards, mail programs and clipboards are known to add: blanks of every width, a line
    /// break, marks of direction and of no width, a byte order mark, what stands for a picture.
    const ADDED: [&str; 12] = [
        " ",
        "\t\r\n",
        "\u{a0}",
        "\u{202f}",
        "\u{3000}",
        "\u{200b}",
        "\u{200e}\u{202c}",
        "\u{2060}",
        "\u{feff}",
        "\u{ad}",
        "\u{fffc}",
        "\u{fe0f}\u{e0020}",
    ];

    #[test]
    fn what_nobody_sees_around_a_value_is_none_of_it() {
        for added in ADDED {
            for typed in [
                format!("maria{added}"),
                format!("{added}{added}maria{added}"),
            ] {
                for read in [name, email, mailed_password, code] {
                    assert_eq!(*read(&typed), "maria", "{typed:?}");
                }
            }
            assert_eq!(*name(added), "");
            assert_eq!(*name(&format!("ma{added}ria")), format!("ma{added}ria"));
        }
    }

    #[test]
    fn a_code_is_read_however_it_is_grouped_and_in_the_digits_of_any_script() {
        for typed in [
            "123456",
            "123 456",
            "123-456",
            " 1 2 3\u{2009}4-5\u{2011}6\n",
            "123\u{2013}456",
            "123\u{2014}456",
            "123\u{2212}456",
            "12\u{200b}34\u{feff}56",
            "\u{661}\u{662}\u{663}\u{664}\u{665}\u{666}",
            "\u{967}\u{968}\u{969}\u{96a}\u{96b}\u{96c}",
            "\u{ff11}\u{ff12}\u{ff13}\u{ff14}\u{ff15}\u{ff16}",
            "\u{1d7cf}\u{1d7da}\u{1d7e5}\u{1d7f0}\u{1d7fb}\u{1d7fc}",
            "\u{202d}\u{6f1}\u{6f2}\u{6f3}\u{202c} 456",
        ] {
            assert_eq!(*code(typed), "123456", "{typed:?}");
        }
        assert_eq!(
            *code(" ABCD\u{2010}efgh ijkl\u{2014}2345 "),
            "abcdefghijkl2345"
        );
        // These are neither decimal digits nor marks that are removed.
        for typed in [
            "12345\u{b2}",
            "12345\u{2465}",
            "123_456",
            "123.456",
            "123+456",
        ] {
            assert_eq!(*code(typed), typed);
        }
    }

    #[test]
    fn every_decimal_digit_has_its_value() {
        let mut runs = 0;
        for c in (0..=0x0010_ffff).filter_map(char::from_u32) {
            let value = digit(c);
            assert_eq!(value.is_some(), c.is_numeric() && is_decimal(c.into()));
            if value == Some('0') {
                runs += 1;
                let next = (0..10).filter_map(|n| char::from_u32(u32::from(c) + n));
                let digits: String = next.filter_map(digit).collect();
                assert_eq!(digits, "0123456789");
            }
        }
        assert!(runs > 60);
    }

    proptest! {
        #[test]
        fn reading_again_changes_nothing(typed: String) {
            prop_assert_eq!(code(&code(&typed)), code(&typed));
            prop_assert_eq!(name(&name(&typed)), name(&typed));
        }
    }
}
