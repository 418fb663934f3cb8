//! What both files have in common: JSON with a version, in UTF-8, read strictly.

use std::fmt;
use std::str;

use serde::de::{self, DeserializeSeed, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::ser::PrettyFormatter;
use serde_json::{Map, Number, Serializer, Value};

use crate::store::error::Damage;

/// The first version of the files.
pub(super) const VERSION: u64 = 1;

/// The object at the top of a file: one field with the content, the version, and any other fields.
pub(super) struct Top<S> {
    /// The field with the content.
    pub(super) field: &'static str,
    /// How the content is read.
    pub(super) seed: S,
    /// The last version that is known.
    pub(super) latest: u64,
}

/// Reads a file: gives its content, and all its fields in order, with null for the content.
pub(super) fn parse<'de, S: DeserializeSeed<'de>>(
    bytes: &'de [u8],
    top: Top<S>,
) -> Result<(S::Value, Map<String, Value>), Damage> {
    let (text, latest) = (text(bytes)?, top.latest);
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let parsed = deserializer
        .deserialize_map(top)
        .and_then(|parsed| deserializer.end().map(|()| parsed));
    // What else is wrong with a file of a later version is not for this one to say.
    parsed.map_err(|error| later(text, latest).unwrap_or_else(|| error.into()))
}

/// What is said of a version after its number.
const LATER: &str = concat!(
    " is of a later auth_user (this is ",
    env!("CARGO_PKG_VERSION"),
    ")"
);

/// What is wrong with a file of a later version, if it is one.
fn later(text: &str, latest: u64) -> Option<Damage> {
    #[derive(Deserialize)]
    struct Numbered {
        version: Number,
    }
    let Numbered { version } = serde_json::from_str(text).ok()?;
    let is_known = |version| (VERSION..=latest).contains(&version);
    let is_later = is_whole(&version) && !version.as_u64().is_some_and(is_known);
    is_later.then(|| Damage::new(format!("version {version}{LATER}")))
}

/// Whether a file is only too new for this program.
pub(super) fn is_later(damage: &Damage) -> bool {
    damage.reason.ends_with(LATER)
}

/// Whether this is a whole number from 1 on, however large.
fn is_whole(number: &Number) -> bool {
    let digits = number.as_str();
    !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Writes with two spaces per level; every line but the first starts with `indent`.
pub(super) fn pretty(value: &impl Serialize, indent: &str) -> serde_json::Result<Vec<u8>> {
    let mut flat = Vec::with_capacity(512);
    value.serialize(&mut Serializer::with_formatter(
        &mut flat,
        PrettyFormatter::with_indent(b"  "),
    ))?;
    // A line break within a string is written as `\n`, so all of these are the formatter's.
    let mut text = Vec::with_capacity(flat.len() * 3 / 2);
    for (n, line) in flat.split(|byte| *byte == b'\n').enumerate() {
        if n > 0 {
            text.push(b'\n');
            text.extend_from_slice(indent.as_bytes());
        }
        text.extend_from_slice(line);
    }
    Ok(text)
}

/// A file's bytes as text, if they are text.
pub(super) fn text(bytes: &[u8]) -> Result<&str, Damage> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(Damage::new("is empty"));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(Damage::new("is in UTF-16, not in UTF-8"));
    }
    if bytes.starts_with(b"\xef\xbb\xbf") {
        return Err(Damage::new("starts with a byte order mark"));
    }
    str::from_utf8(bytes).map_err(|error| {
        let good = &bytes[..error.valid_up_to()];
        Damage {
            reason: "is not in UTF-8".to_owned(),
            place: Some(place(good)),
        }
    })
}

/// Line and column, in bytes from 1, of what follows these bytes.
pub(super) fn place(before: &[u8]) -> (usize, usize) {
    let line_start = before.iter().rposition(|byte| *byte == b'\n');
    (
        before.iter().filter(|byte| **byte == b'\n').count() + 1,
        before.len() - line_start.map_or(0, |at| at + 1) + 1,
    )
}

/// Line and column of a place in a text, both from 1, in characters as an editor counts them.
pub(super) fn place_in(text: &[u8], at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.rsplit(|byte| *byte == b'\n').next();
    let line = String::from_utf8_lossy(line.unwrap_or_default());
    (place(before).0, line.chars().count() + 1)
}

impl<'de, S: DeserializeSeed<'de>> Visitor<'de> for Top<S> {
    type Value = (S::Value, Map<String, Value>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with \"version\" and {:?}", self.field)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut others = Map::new();
        let mut content = None;
        let mut seed = Some(self.seed);
        while let Some(name) = map.next_key::<String>()? {
            if others.contains_key(&name) {
                return Err(repeated(&name));
            }
            let value = if name == self.field {
                // Taken once only: a repeated field has been refused above.
                content = match seed.take() {
                    Some(seed) => Some(map.next_value_seed(seed)?),
                    None => return Err(repeated(&name)),
                };
                Value::Null
            } else {
                map.next_value()?
            };
            let is_known = || (VERSION..=self.latest).any(|known| value == known);
            if name == "version" && !is_known() {
                return Err(de::Error::custom("version is not 1"));
            }
            others.insert(name, value);
        }
        if !others.contains_key("version") {
            return Err(de::Error::missing_field("version"));
        }
        let content = content.ok_or_else(|| de::Error::missing_field(self.field))?;
        Ok((content, others))
    }
}

fn repeated<E: de::Error>(name: &str) -> E {
    E::custom(format_args!("{name:?} is there twice"))
}
