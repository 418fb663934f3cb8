//! `sessions.json`: who is logged in, so that a restart logs nobody out. It has cookies as digests
//! only, and the key that the challenges of passkeys are known by. Fields that this program does not
//! know are kept.

use std::io::{self, Write};
use std::marker::PhantomData;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::accounts::session::{Session, Sessions};
use crate::accounts::token::DigestKey;
use crate::store::document::Content;
use crate::store::error::Damage;
use crate::store::json::{self, Top, VERSION};

/// The field with the sessions.
const SESSIONS: &str = "sessions";

/// The field with the key of the challenges. Programs that know none keep it.
const CHALLENGE_KEY: &str = "challenge_key";

/// What is kept of the file besides the sessions: the fields at the top in their order, with null
/// for what the sessions have.
pub(super) struct SessionsJson(Map<String, Value>);

impl Default for SessionsJson {
    /// What a new file has.
    fn default() -> Self {
        let top = [
            ("version".to_owned(), VERSION.into()),
            (SESSIONS.to_owned(), Value::Null),
        ];
        Self(Map::from_iter(top))
    }
}

pub(super) fn parse(bytes: &[u8]) -> Result<(Sessions, SessionsJson), Damage> {
    let top = Top {
        field: SESSIONS,
        seed: PhantomData::<Vec<Session>>,
        latest: VERSION,
    };
    let (sessions, mut top) = json::parse(bytes, top)?;
    let mut sessions: Sessions = sessions.into_iter().collect();
    // One that cannot be read is not missed: whoever needs it makes another.
    let key = top.get_mut(CHALLENGE_KEY).map(Value::take);
    let key = key.and_then(|key| DigestKey::read(key.as_str()?));
    if let Some(key) = key {
        sessions.keep_challenge_key(key.into());
    }
    Ok((sessions, SessionsJson(top)))
}

impl Content for Sessions {
    type Format = SessionsJson;

    type Edited = ();

    const NAME: &'static str = "sessions file";

    const REPLACED_WHEN_DAMAGED: bool = true;

    fn parse(bytes: &[u8]) -> Result<(Self, SessionsJson), Damage> {
        parse(bytes)
    }

    fn write(&self, format: &mut SessionsJson, out: &mut dyn Write) -> io::Result<()> {
        format.write(self, out)
    }

    /// The sum of the times of last use: each of them only ever grows, so the sum shows any change.
    fn touches(&self) -> u64 {
        self.iter()
            .fold(0, |sum, session| sum.wrapping_add(session.last_seen().0))
    }

    /// Keeps a last use that was noted since the file was written.
    fn inherit(&self, before: &Self) {
        for session in before.iter() {
            if let Some(read) = self.find(session.id) {
                read.seen(session.last_seen());
            }
        }
    }
}

impl SessionsJson {
    pub(super) fn write(&self, sessions: &Sessions, out: &mut dyn Write) -> io::Result<()> {
        let file = File {
            top: &self.0,
            key: sessions.challenge_key().map(|key| key.text()),
            sessions: sessions.iter().map(AsRef::as_ref).collect(),
        };
        serde_json::to_writer_pretty(&mut *out, &file)?;
        out.write_all(b"\n")
    }
}

/// The file as it is written.
struct File<'a> {
    top: &'a Map<String, Value>,
    key: Option<Zeroizing<String>>,
    sessions: Vec<&'a Session>,
}

impl Serialize for File<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.top.len()))?;
        let key = self.key.as_ref().map(|key| key.as_str());
        for (name, value) in self.top {
            match name.as_str() {
                SESSIONS => map.serialize_entry(name, &self.sessions)?,
                CHALLENGE_KEY => map.serialize_entry(name, &key)?,
                _ => map.serialize_entry(name, value)?,
            }
        }
        if key.is_some() && !self.top.contains_key(CHALLENGE_KEY) {
            map.serialize_entry(CHALLENGE_KEY, &key)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_and_their_order_survive() {
        let digest = "A".repeat(43);
        let text = format!(
            r#"{{
  "challenge_key": "{digest}",
  "note": [
    1.50
  ],
  "sessions": [
    {{
      "id": "{digest}",
      "username": "alice",
      "created": "2026-11-22T12:00:00Z",
      "password_id": "{digest}",
      "generation": 3,
      "last_seen": "2026-11-22T12:00:00Z",
      "address": "127.0.0.1",
      "agent": "curl",
      "room": {{
        "number": 22222222222222222222222222222222222222221
      }}
    }}
  ],
  "version": 1,
  "last": null
}}
"#
        );

        let (sessions, format) = parse(text.as_bytes()).unwrap();
        let mut written = Vec::new();
        format.write(&sessions, &mut written).unwrap();

        assert_eq!(String::from_utf8(written).unwrap(), text);
    }

    #[test]
    fn a_key_of_challenges_that_cannot_be_read_costs_nobody_their_session() {
        for key in ["null", "1", "\"\"", "\"AAAA\"", "\"*\""] {
            let text = format!(r#"{{"version": 1, "challenge_key": {key}, "sessions": []}}"#);
            let (mut sessions, format) = parse(text.as_bytes()).unwrap();
            assert!(sessions.challenge_key().is_none(), "{key}");

            sessions.keep_challenge_key(DigestKey::of([0; 32]).into());
            let mut written = Vec::new();
            format.write(&sessions, &mut written).unwrap();

            let (sessions, _) = parse(&written).unwrap();
            assert!(
                sessions.challenge_key().unwrap().bytes() == &[0; 32],
                "{key}"
            );
        }
    }
}
