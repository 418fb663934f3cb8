//! What the files hold that this program does not understand. It is kept unchanged: somebody put it
//! there.

use std::fmt;
use std::ops::{Deref, DerefMut};

use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::clock::Timestamp;

/// The fields of an object that this program does not know, in their order; flattened into the
/// object.
#[derive(Clone, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Unknown(Map<String, Value>);

impl Deref for Unknown {
    type Target = Map<String, Value>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Unknown {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl<'de> Deserialize<'de> for Unknown {
    /// Refuses a field that is there twice: plain reading would silently keep the last.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Unknown;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unknown, A::Error> {
                let mut fields = Map::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if fields.contains_key(&name) {
                        return Err(de::Error::custom(format_args!("{name:?} is there twice")));
                    }
                    fields.insert(name, value);
                }
                Ok(Unknown(fields))
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

/// When an account was made, as far as the file says. An operator who makes one may leave it out.
#[derive(Clone, Default)]
pub enum Created {
    /// The file does not say.
    #[default]
    Unsaid,
    /// The moment, to the second.
    At(Timestamp),
    /// `null`, or something that cannot be read as a time; written as it was found.
    Unread(Value),
}

impl Created {
    /// The moment, if it is known.
    pub fn at(&self) -> Option<Timestamp> {
        match self {
            Self::At(moment) => Some(*moment),
            Self::Unsaid | Self::Unread(_) => None,
        }
    }

    /// Whether the field holds what 0.1.0 could not read: it took any time, but nothing else.
    pub fn is_no_time(&self) -> bool {
        let is_time = |value: &Value| {
            let text = value.as_str();
            text.is_some_and(|text| OffsetDateTime::parse(text, &Rfc3339).is_ok())
        };
        matches!(self, Self::Unread(value) if !value.is_null() && !is_time(value))
    }

    /// Whether the file does not say; the field is then left out.
    pub fn is_unsaid(&self) -> bool {
        matches!(self, Self::Unsaid)
    }

    /// Whether the field holds something other than `null` that cannot be read as a time.
    pub fn is_unreadable(&self) -> bool {
        matches!(self, Self::Unread(value) if !value.is_null())
    }
}

impl Serialize for Created {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Unsaid => serializer.serialize_unit(),
            Self::At(moment) => moment.serialize(serializer),
            Self::Unread(value) => value.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Created {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let moment = value
            .as_str()
            .and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok())
            // A time before 1970 cannot be shown.
            .and_then(|moment| u64::try_from(moment.unix_timestamp()).ok());
        Ok(moment.map_or(Self::Unread(value), |seconds| Self::At(Timestamp(seconds))))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_moment_that_cannot_be_read_is_no_moment_and_stays() {
        let now = json!("2026-11-22T12:00:00Z");
        let read = |value: &Value| serde_json::from_value::<Created>(value.clone()).unwrap();
        assert_eq!(read(&now).at(), Some(Timestamp(1_795_348_800)));
        for (value, unreadable) in [
            (Value::Null, false),
            (json!(""), true),
            (json!("2026-11-22"), true),
            (json!("yesterday"), true),
            (json!("22.11.2026 12:00"), true),
            (json!("2026-13-40T99:00:00Z"), true),
            (json!("1969-12-31T23:59:59Z"), true),
            (json!(1_795_348_800), true),
            (json!(true), true),
            (json!({ "seconds": [1, 2] }), true),
        ] {
            let created = read(&value);
            assert_eq!(created.at(), None, "{value}");
            assert_eq!(created.is_unreadable(), unreadable, "{value}");
            assert_eq!(serde_json::to_value(&created).unwrap(), value);
        }
    }
}
