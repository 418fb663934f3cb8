//! How applications may read a path, and which paths they read differently.
//!
//! What browsers ask for is plain: it is decoded once, and all that is left open is whether case
//! matters and where a name ends. Whoever sends disguised dots, slashes or parameters hopes for an
//! application that decodes them; no rule could say what that application finds.

use unicode_normalization::UnicodeNormalization as _;

/// How often a path is decoded to see what is in it. Nobody encodes nine times by mistake.
const MAX_DECODING: usize = 8;

type Why = &'static str;

const BACKSLASH: Why = "It holds a backslash, which is a slash to some.";
const CONTROL: Why = "It holds a control character.";
const DEEP: Why = "It is encoded again and again.";
const DOTS: Why = "It holds a segment of dots, which leads out of where it stands.";
const EMPTY: Why = "It holds an empty segment, which some leave out.";
const ENCODED: Why = "It holds a dot, a slash, a backslash or a semicolon in encoded form.";
const NOT_UTF8: Why = "It is not UTF-8.";
const PARAMETER: Why = "It holds a semicolon, at which some end a name.";
const UNICODE: Why = "It holds %u, which only some decode.";

/// Why the path, without its query, can be read in more than one way.
pub fn two_readings(path: &str) -> Option<Why> {
    look(path).err()
}

fn look(path: &str) -> Result<(), Why> {
    if path.contains('\\') {
        return Err(BACKSLASH);
    }
    if path.contains(';') {
        return Err(PARAMETER);
    }
    if path.contains("%u") || path.contains("%U") {
        return Err(UNICODE);
    }
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        if segment.is_empty() && segments.peek().is_some() {
            return Err(EMPTY);
        }
    }
    no_dots(path)?;

    let mut bytes = path.as_bytes().to_vec();
    for level in 0..MAX_DECODING {
        let Some(decoded) = decode(&bytes, level > 0)? else {
            return if level == 0 { plain(&bytes) } else { Ok(()) };
        };
        if level == 0 {
            plain(&decoded)?;
        }
        no_dots(&String::from_utf8_lossy(&decoded))?;
        bytes = decoded;
    }
    decode(&bytes, true)?.map_or(Ok(()), |_| Err(DEEP))
}

/// Refuses segments that are dots to an application that drops blanks around a name, or what
/// follows a colon.
fn no_dots(path: &str) -> Result<(), Why> {
    let is_dots = |segment: &str| {
        let name = segment.split(':').next().unwrap_or_default();
        let mut letters = name.chars().filter(|c| !c.is_whitespace());
        let first = [letters.next(), letters.next(), letters.next()];
        matches!(first, [Some('.'), None | Some('.'), None])
    };
    match path.split('/').any(is_dots) {
        true => Err(DOTS),
        false => Ok(()),
    }
}

fn plain(decoded: &[u8]) -> Result<(), Why> {
    let text = str::from_utf8(decoded).map_err(|_| NOT_UTF8)?;
    if text.chars().any(char::is_control) {
        return Err(CONTROL);
    }
    Ok(())
}

/// The bytes decoded once, `%u0061` included if `unicode` is set; `None` if there is nothing to
/// decode.
///
/// # Errors
///
/// If a decoded character would have a meaning of its own in a path.
fn decode(bytes: &[u8], unicode: bool) -> Result<Option<Vec<u8>>, Why> {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, behind)) = rest.split_first() {
        // Two digits stand for a byte, four for a character.
        let found = match behind {
            _ if first != b'%' => None,
            [b'u' | b'U', tail @ ..] if unicode => escaped(tail, 4),
            tail => escaped(tail, 2),
        };
        let Some((code, tail)) = found else {
            decoded.push(first);
            rest = behind;
            continue;
        };
        match code {
            0x2e | 0x2f | 0x5c | 0x3b => return Err(ENCODED),
            0..0x20 | 0x7f => return Err(CONTROL),
            _ => {}
        }
        match u8::try_from(code) {
            Ok(byte) if tail.len() + 2 == behind.len() => decoded.push(byte),
            _ => {
                let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                decoded.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        rest = tail;
    }
    // Every escape is longer than what it stands for.
    Ok((decoded.len() < bytes.len()).then_some(decoded))
}

/// The number in the first `digits` hex digits, and what follows them.
fn escaped(text: &[u8], digits: usize) -> Option<(u32, &[u8])> {
    let (number, behind) = text.split_at_checked(digits)?;
    let all_hex = number.iter().all(u8::is_ascii_hexdigit);
    let number = str::from_utf8(number).ok().filter(|_| all_hex)?;
    Some((u32::from_str_radix(number, 16).ok()?, behind))
}

/// The path with the letters, digits, hyphens, underscores and tildes that somebody encoded written as
/// they are, which is the same path to everybody (RFC 3986, section 6.2.2.2).
pub fn unescaped(path: &str) -> String {
    let mut plain = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        let (before, escape) = rest.split_at(at);
        plain.push_str(before);
        let byte =
            escaped(&escape.as_bytes()[1..], 2).and_then(|(code, _)| u8::try_from(code).ok());
        let needless = byte.filter(|b| b.is_ascii_alphanumeric() || b"-_~".contains(b));
        rest = match needless {
            Some(byte) => {
                plain.push(char::from(byte));
                &escape[3..]
            }
            None => {
                plain.push('%');
                &escape[1..]
            }
        };
    }
    plain + rest
}

/// The names in a path, in the form in which the most lenient application compares them.
#[derive(Clone)]
pub struct Reading(Vec<String>);

/// What a path without two readings may still mean: as it is, decoded once, or more often. The last
/// one has nothing left to decode.
pub fn readings(path: &str) -> Vec<Reading> {
    let mut bytes = path.as_bytes().to_vec();
    let mut found = vec![Reading::of(path)];
    for level in 0..MAX_DECODING {
        let Ok(Some(decoded)) = decode(&bytes, level > 0) else {
            break;
        };
        let text = String::from_utf8_lossy(&decoded);
        // Where they are decoded too early, these characters end the path.
        if let Some((path, _)) = text.split_once(['?', '#']) {
            found.push(Reading::of(path));
        }
        found.push(Reading::of(&text));
        bytes = decoded;
    }
    found
}

impl Reading {
    fn of(path: &str) -> Self {
        let names = path.split('/').map(key);
        Self(names.filter(|name| !name.is_empty()).collect())
    }

    /// How many names there are.
    pub fn depth(&self) -> usize {
        self.0.len()
    }

    /// Whether this leads to the same thing as `other`, or below it. The last name of `other` also
    /// covers names with an ending, `admin.json`, and every name covers what file systems keep
    /// beside a file, `admin::$DATA`.
    pub fn is_under(&self, other: &Self) -> bool {
        let last = other.0.len().saturating_sub(1);
        self.0.len() >= other.0.len()
            && other
                .0
                .iter()
                .zip(&self.0)
                .enumerate()
                .all(|(at, (name, mine))| {
                    mine.strip_prefix(name.as_str()).is_some_and(|ending| {
                        let begins = |ends: fn(char) -> bool| ending.starts_with(ends);
                        ending.is_empty()
                            || begins(|c| c == ':')
                            || (at == last && begins(|c| c == '.' || c.is_whitespace()))
                    })
                })
    }
}

/// Whether a path is `prefix` or below it, compared letter by letter except for the case of hex
/// digits. `/administration` is not below `/admin`.
pub fn is_under(path: &str, prefix: &str) -> bool {
    let same = path.len() >= prefix.len() && same_letters(&path.as_bytes()[..prefix.len()], prefix);
    same && matches!(path.as_bytes().get(prefix.len()), None | Some(b'/'))
}

fn same_letters(path: &[u8], prefix: &str) -> bool {
    let mut hex = 0_u8;
    path.iter().zip(prefix.bytes()).all(|(&one, other)| {
        let in_escape = hex > 0;
        hex = if one == b'%' {
            2
        } else {
            hex.saturating_sub(1)
        };
        one == other || in_escape && one.eq_ignore_ascii_case(&other)
    })
}

/// A name without what does not matter: differences of case and of composition, blanks around it,
/// and dots at its end, which some file systems drop.
fn key(name: &str) -> String {
    let composed: String = name.nfc().collect();
    let name = composed
        .trim_start_matches(char::is_whitespace)
        .trim_end_matches(|c: char| c == '.' || c.is_whitespace());
    let upper = name.chars().flat_map(char::to_uppercase).nfc();
    upper.flat_map(fold).nfc().collect()
}

/// The full case folding of an upper-case letter, which is its lower case except for these two.
fn fold(upper: char) -> impl Iterator<Item = char> {
    let (first, second) = match upper {
        // Its lower case would be an i with a dot on its dot.
        'İ' => (Some('i'), None),
        'ẞ' => (Some('s'), Some('s')),
        _ => (None, None),
    };
    let others = first.is_none().then(|| upper.to_lowercase());
    first
        .into_iter()
        .chain(second)
        .chain(others.into_iter().flatten())
}
