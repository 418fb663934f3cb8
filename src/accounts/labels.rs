//! What owners call what is theirs: passkeys and access tokens.
//!
//! Unlike usernames these are free text in any script, and shown in lists beside each other and
//! beside what the site says of them, so none may turn the order of what stands around it.

/// Longest label, in characters.
pub const MAX_LABEL: usize = 64;

/// Whether something can be called this: one line, without controls, those of direction included
/// (Unicode Standard Annex 9, section 2). Joiners stay, which scripts and emoji are written with.
pub fn is_label(text: &str) -> bool {
    let fits = (1..=MAX_LABEL).contains(&text.chars().count());
    fits && !text.chars().any(|c| c.is_control() || turns(c))
}

/// Whether this character turns the direction of others, or marks one.
fn turns(c: char) -> bool {
    matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_one_line_of_64_characters() {
        for label in ["x", " ", "Chrome on Linux", &"ü".repeat(64)] {
            assert!(is_label(label), "{label}");
        }
        for label in ["", "a\nb", "a\u{7f}", "\u{85}", &"x".repeat(65)] {
            assert!(!is_label(label), "{label}");
        }
    }

    #[test]
    fn a_label_turns_nothing_around_it_and_is_written_as_its_script_is() {
        let turning = ['\u{61c}', '\u{200e}', '\u{200f}'].into_iter();
        let turning = turning.chain('\u{202a}'..='\u{202e}');
        for c in turning.chain('\u{2066}'..='\u{2069}') {
            assert!(!is_label(&format!("a{c}b")), "U+{:04X}", u32::from(c));
        }
        let joined = ["می\u{200c}خواهم", "क्\u{200d}ष", "👩\u{200d}💻"];
        for label in joined.into_iter().chain(["טלפון", "هاتف", "📱"]) {
            assert!(is_label(label), "{label}");
        }
    }
}
