//! All accounts, sessions and links as the text that they are written as, with nothing lost: the
//! order of accounts, fields that are not ours, and the spelling of their numbers. For copies.

use std::io::{self, Write};
use std::path::Path;

use indexmap::IndexMap;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::accounts::Account;
use crate::accounts::edits::Seal;
use crate::store::error::{Damage, OpenError};
use crate::store::flat_file::FlatFile;
use crate::store::json::{self, VERSION};
use crate::store::opening::unreadable;
use crate::store::{sessions_json, users_json};

/// The fields of `users.json` that are kept apart from its other ones.
const USERS: &str = "users";
const FORMER: &str = "former";
const CONFIRMATIONS: &str = "confirmations";
const INVITATIONS: &str = "invitations";

/// The field of `sessions.json` with the sessions.
const SESSIONS: &str = "sessions";

/// The field of an account with its seal.
const SEAL: &str = "seal";

/// Everything that the two files have.
///
/// No `Debug`: it has everybody's keys.
pub struct Whole {
    /// The fields of `users.json`, with null for what is kept apart.
    pub(super) top: Map<String, Value>,
    pub(super) accounts: Vec<Written>,
    pub(super) former: Map<String, Value>,
    pub(super) confirmations: Map<String, Value>,
    pub(super) invitations: Map<String, Value>,
    /// The fields of `sessions.json`, as above; `None` if there is no such file.
    pub(super) sessions_top: Option<Map<String, Value>>,
    /// Each session as JSON.
    pub(super) sessions: Vec<String>,
}

/// An account as it is written.
pub(super) struct Written {
    pub(super) username: String,
    /// Its own, or the one that it is given since it has none.
    pub(super) id: String,
    /// As JSON.
    pub(super) text: String,
}

impl Written {
    /// In bytes.
    pub(super) fn size(&self) -> u64 {
        size_of_text(&self.text)
    }
}

pub(super) fn size_of_text(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}

/// The fields of a file, in order and as they are spelled.
type Fields = IndexMap<String, Box<RawValue>>;

impl Whole {
    /// What is in the accounts file at `users`, and in the file of `sessions`, if there is one.
    ///
    /// # Errors
    ///
    /// If a server could not start on them just as they are.
    pub fn read(users: &Path, sessions: &Path) -> Result<Self, OpenError> {
        let missing = || unreadable(users, Damage::new("there is no such file"));
        let read = |path: &Path| -> Result<Option<Vec<u8>>, Damage> {
            let file = FlatFile::of_command(path)?;
            match file.look()? {
                Some(_) => Ok(Some(file.read()?.bytes)),
                None => Ok(None),
            }
        };
        let bytes = read(users).map_err(|damage| unreadable(users, damage))?;
        let mut whole = Self::of(users, &bytes.ok_or_else(missing)?)?;
        if let Some(bytes) = read(sessions).map_err(|damage| no_sessions(sessions, damage))? {
            whole.take_sessions(sessions, &bytes)?;
        }
        Ok(whole)
    }

    /// What is in these bytes, which are those of the accounts file at `users`, or are to be; no
    /// sessions yet.
    ///
    /// # Errors
    ///
    /// If a server could not start on them.
    pub fn of(users: &Path, bytes: &[u8]) -> Result<Self, OpenError> {
        of_users(bytes).map_err(|damage| unreadable(users, damage))
    }

    /// Takes in the sessions in these bytes, which are those of the file at `path`, or are to be.
    ///
    /// # Errors
    ///
    /// If a server could not start on them.
    pub fn take_sessions(&mut self, path: &Path, bytes: &[u8]) -> Result<(), OpenError> {
        let taken = self.take(bytes);
        taken.map_err(|damage| no_sessions(path, damage))
    }

    /// How many accounts, sessions and invitations there are.
    pub fn counts(&self) -> [usize; 3] {
        [
            self.accounts.len(),
            self.sessions.len(),
            self.invitations.len(),
        ]
    }

    /// How many bytes its accounts and sessions have, for people who wait for them.
    pub fn size(&self) -> u64 {
        let accounts: u64 = self.accounts.iter().map(Written::size).sum();
        accounts
            + self
                .sessions
                .iter()
                .map(|text| size_of_text(text))
                .sum::<u64>()
    }

    /// Whether both are equal as JSON, with their accounts and sessions in the same order.
    pub fn is_same(&self, other: &Self) -> bool {
        let accounts = self.accounts.iter().zip(&other.accounts);
        let mut accounts =
            accounts.map(|(a, b)| a.username == b.username && same(&a.text, &b.text));
        let mut sessions = self.sessions.iter().zip(&other.sessions);
        self.counts() == other.counts()
            && self.fields() == other.fields()
            && self.former == other.former
            && self.confirmations == other.confirmations
            && self.invitations == other.invitations
            && self.sessions_top == other.sessions_top
            && accounts.all(|is_same| is_same)
            && sessions.all(|(a, b)| same(a, b))
    }

    /// Writes `users.json`.
    ///
    /// # Errors
    ///
    /// Whatever the disk says.
    pub fn write_users(&self, out: &mut dyn Write) -> io::Result<()> {
        let beside = self.beside();
        for (n, (name, value)) in self.fields().iter().enumerate() {
            out.write_all(if n == 0 { b"{\n  " } else { b",\n  " })?;
            serde_json::to_writer(&mut *out, name)?;
            out.write_all(b": ")?;
            match beside.iter().find(|(field, _)| field == name) {
                Some((_, map)) => out.write_all(&json::pretty(map, "  ")?)?,
                None if name == USERS => self.write_accounts(out)?,
                None => out.write_all(&json::pretty(value, "  ")?)?,
            }
        }
        out.write_all(b"\n}\n")
    }

    /// The fields of `users.json` as they are written: also those that nobody had written when the
    /// others were, and that are needed since.
    fn fields(&self) -> Map<String, Value> {
        let mut fields = self.top.clone();
        for (name, map) in self.beside() {
            if !map.is_empty() {
                fields.entry(name).or_insert(Value::Null);
            }
        }
        fields
    }

    fn beside(&self) -> [(&'static str, &Map<String, Value>); 3] {
        [
            (FORMER, &self.former),
            (CONFIRMATIONS, &self.confirmations),
            (INVITATIONS, &self.invitations),
        ]
    }

    fn write_accounts(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.accounts.is_empty() {
            return out.write_all(b"{}");
        }
        for (n, account) in self.accounts.iter().enumerate() {
            out.write_all(if n == 0 { b"{\n    " } else { b",\n    " })?;
            serde_json::to_writer(&mut *out, &account.username)?;
            out.write_all(b": ")?;
            let value: Value = serde_json::from_str(&account.text)?;
            out.write_all(&json::pretty(&value, "    ")?)?;
        }
        out.write_all(b"\n  }")
    }

    /// `sessions.json`; `None` if there is to be none.
    ///
    /// # Errors
    ///
    /// None that a session which was read could cause.
    pub fn sessions_json(&self) -> io::Result<Option<Vec<u8>>> {
        let Some(top) = &self.sessions_top else {
            return Ok(None);
        };
        let parsed = self.sessions.iter().map(|text| serde_json::from_str(text));
        let parsed: Vec<Value> = parsed.collect::<Result<_, _>>()?;
        let mut top = top.clone();
        top.insert(SESSIONS.to_owned(), parsed.into());
        let mut text = json::pretty(&top, "")?;
        text.push(b'\n');
        Ok(Some(text))
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Damage> {
        sessions_json::parse(bytes)?;
        let fields: Fields = serde_json::from_slice(bytes)?;
        if let Some(sessions) = fields.get(SESSIONS) {
            let sessions: Vec<Box<RawValue>> = serde_json::from_str(sessions.get())?;
            let texts = sessions.iter().map(|session| compact(session));
            self.sessions = texts.collect::<Result<_, _>>()?;
        }
        self.sessions_top = Some(top(&fields, &[SESSIONS])?);
        Ok(())
    }
}

fn no_sessions(path: &Path, damage: Damage) -> OpenError {
    let hint = "mend it, or move it away: then everybody has to log in again";
    OpenError::new(path, damage, hint)
}

/// What `users.json` has.
fn of_users(bytes: &[u8]) -> Result<Whole, Damage> {
    let (mut accounts, _) = users_json::parse(bytes)?;
    let renewed = accounts.give_ids(None);
    let fields: Fields = serde_json::from_slice(bytes)?;
    let field = |name: &str| fields.get(name).map_or("{}", |field| field.get());
    let texts: Fields = serde_json::from_str(field(USERS))?;
    let written = accounts.iter().map(|account| {
        let username = account.username.clone();
        let raw = texts.get(&username).map_or("{}", |raw| raw.get());
        let mut value: Value = serde_json::from_str(raw)?;
        if renewed.contains(&username) {
            take_own(&mut value, account)?;
        }
        Ok(Written {
            text: serde_json::to_string(&value)?,
            id: account.id.clone().unwrap_or_default().as_str().to_owned(),
            username,
        })
    });
    let beside = |name| serde_json::from_str(field(name));
    Ok(Whole {
        accounts: written.collect::<Result<_, serde_json::Error>>()?,
        former: beside(FORMER)?,
        confirmations: beside(CONFIRMATIONS)?,
        invitations: beside(INVITATIONS)?,
        top: top(&fields, &[USERS, FORMER, CONFIRMATIONS, INVITATIONS])?,
        sessions_top: None,
        sessions: Vec::new(),
    })
}

/// Gives an account what must be its own, in place of another's.
fn take_own(value: &mut Value, account: &Account) -> Result<(), serde_json::Error> {
    let own = serde_json::to_value(account)?;
    for field in ["id", "handle"] {
        if let (Some(own), Some(fields)) = (own.get(field), value.as_object_mut()) {
            fields.insert(field.to_owned(), own.clone());
        }
    }
    Ok(())
}

fn top(fields: &Fields, apart: &[&str]) -> Result<Map<String, Value>, serde_json::Error> {
    let value = |name: &String, raw: &RawValue| match apart.contains(&name.as_str()) {
        true => Ok(Value::Null),
        false => serde_json::from_str(raw.get()),
    };
    let fields = fields.iter();
    fields
        .map(|(name, raw)| Ok((name.clone(), value(name, raw)?)))
        .collect()
}

fn new_top(content: &str) -> Map<String, Value> {
    Map::from_iter([
        ("version".to_owned(), VERSION.into()),
        (content.to_owned(), Value::Null),
    ])
}

/// The fields of `users.json` and `sessions.json` that nobody has written yet.
pub(super) fn new_tops() -> [Map<String, Value>; 2] {
    [new_top(USERS), new_top(SESSIONS)]
}

fn compact(raw: &RawValue) -> Result<String, serde_json::Error> {
    let value: Value = serde_json::from_str(raw.get())?;
    serde_json::to_string(&value)
}

fn same(one: &str, other: &str) -> bool {
    let value = |text| serde_json::from_str::<Value>(text).ok();
    one == other || value(one) == value(other)
}

/// Marks an account's JSON that has no seal, since a row without one is of an account that is as
/// this program has left it.
pub(super) fn mark_unsealed(account: &mut Value) {
    if let Some(fields) = account.as_object_mut()
        && !fields.contains_key(SEAL)
    {
        fields.insert(SEAL.to_owned(), false.into());
    }
}

/// Undoes [`mark_unsealed`], and seals an account that this program has written.
pub(super) fn seal(value: &mut Value, account: &Account) {
    let Some(fields) = value.as_object_mut() else {
        return;
    };
    match fields.get(SEAL) {
        Some(Value::Bool(false)) => {
            fields.shift_remove(SEAL);
        }
        Some(_) => {}
        None => {
            let seal = Seal::of(account).text();
            fields.insert(SEAL.to_owned(), seal.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{
  "note": {"\u0000": [1.10, -0.0, 1e3, 222222222222222222222222222222]},
  "users": {
    "carol": {"room": 1.10, "password": "$pbkdf2-sha256$i=1,l=32$c2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "email": "carol@example.com"},
    "Alice": {"email": "alice@example.com", "id": "alice000000000000000000000", "password": "$pbkdf2-sha256$i=1,l=32$c2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "seal": "odd", "x": {"y": [{"z": null}]}}
  },
  "former": {"bob": "2026-11-22T12:00:00Z"},
  "version": 1
}"#;

    #[test]
    fn what_is_read_is_written_again_as_the_same_json() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("users.json");
        std::fs::write(&path, TEXT).unwrap();

        let whole = Whole::read(&path, &place.path().join("sessions.json")).unwrap();
        let mut written = Vec::new();
        whole.write_users(&mut written).unwrap();

        let value = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
        assert_eq!(value(&written), value(TEXT.as_bytes()));
        let text = String::from_utf8(written).unwrap();
        assert!(text.find("carol") < text.find("Alice"), "{text}");
        assert!(text.contains("222222222222222222222222222222"), "{text}");
        assert_eq!(whole.counts(), [2, 0, 0]);
        assert_eq!(whole.sessions_json().unwrap(), None);
    }

    #[test]
    fn a_difference_of_one_digit_or_of_the_order_is_seen() {
        let whole = |text: &str| of_users(text.as_bytes()).ok().unwrap();
        let before = whole(TEXT);

        assert!(before.is_same(&whole(TEXT)));
        assert!(!before.is_same(&whole(&TEXT.replace("\"room\": 1.10", "\"room\": 1.1"))));
        assert!(!before.is_same(&whole(&TEXT.replace("[1.10", "[1.1"))));
        assert!(!before.is_same(&whole(&TEXT.replace("bob", "rob"))));
        let mut swapped = whole(TEXT);
        swapped.accounts.swap(0, 1);
        assert!(!before.is_same(&swapped));
    }

    #[test]
    fn a_row_without_a_seal_is_sealed_and_a_file_without_one_stays_so() {
        let (accounts, _) = users_json::parse(TEXT.as_bytes()).ok().unwrap();
        let carol = accounts.find("carol").unwrap();
        let mut unsealed = serde_json::json!({ "a": 1 });
        mark_unsealed(&mut unsealed);
        seal(&mut unsealed, carol);
        let mut of_a_node = serde_json::json!({ "a": 1 });
        seal(&mut of_a_node, carol);

        assert_eq!(unsealed, serde_json::json!({ "a": 1 }));
        let wanted = serde_json::json!({ "a": 1, "seal": Seal::of(carol).text() });
        assert_eq!(of_a_node, wanted);
    }
}
