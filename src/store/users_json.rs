//! `users.json`: the accounts as text that people read and edit.
//!
//! What the program does not know of is kept: fields at the top, fields of an account (those in
//! [`Account::other`]), and the order of accounts.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::accounts::{Account, Accounts, Taken, names};
use crate::store::error::Damage;
use crate::store::json::{self, Top, VERSION};

/// What is kept of the file beside the accounts.
pub(super) struct UsersJson {
    /// The fields at the top in their order, null in place of the accounts.
    top: Map<String, Value>,
    /// The text of each account as it was last written: of 100,000 accounts a save changes a few,
    /// and rendering all of them takes longer than the disk does.
    rendered: Vec<(Arc<Account>, Box<[u8]>)>,
}

impl Default for UsersJson {
    /// What a new file has.
    fn default() -> Self {
        let top = [
            ("version".to_owned(), VERSION.into()),
            (USERS.to_owned(), Value::Null),
        ];
        Self {
            top: Map::from_iter(top),
            rendered: Vec::new(),
        }
    }
}

/// The field with the accounts.
const USERS: &str = "users";

/// Reads the file.
///
/// # Errors
///
/// If it is not what this program could have written, give or take spaces and unknown fields.
pub(super) fn parse(bytes: &[u8]) -> Result<(Accounts, UsersJson), Damage> {
    let top = Top {
        field: USERS,
        seed: Users,
    };
    let (accounts, top) = json::parse(bytes, top)?;
    let rendered = Vec::new();
    Ok((accounts, UsersJson { top, rendered }))
}

impl UsersJson {
    pub(super) fn write(&mut self, accounts: &Accounts, out: &mut dyn Write) -> io::Result<()> {
        self.render(accounts)?;
        for (n, (name, value)) in self.top.iter().enumerate() {
            out.write_all(if n == 0 { b"{\n  " } else { b",\n  " })?;
            serde_json::to_writer(&mut *out, name)?;
            out.write_all(b": ")?;
            if name == USERS {
                self.write_users(out)?;
            } else {
                out.write_all(&json::pretty(value, "  ")?)?;
            }
        }
        out.write_all(b"\n}\n")
    }

    fn write_users(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.rendered.is_empty() {
            return out.write_all(b"{}");
        }
        for (n, (_, text)) in self.rendered.iter().enumerate() {
            out.write_all(if n == 0 { b"{\n    " } else { b",\n    " })?;
            out.write_all(text)?;
        }
        out.write_all(b"\n  }")
    }

    /// Brings `rendered` up to the accounts, which are mostly the same ones in the same order.
    fn render(&mut self, accounts: &Accounts) -> io::Result<()> {
        let mut before = std::mem::take(&mut self.rendered).into_iter().peekable();
        self.rendered.reserve(accounts.len());
        for account in accounts.iter() {
            // Those whose turn has passed are removed ones.
            while before
                .next_if(|(old, _)| old.username != account.username)
                .is_some()
            {}
            let text = match before.next() {
                Some((old, text)) if Arc::ptr_eq(&old, account) => text,
                _ => render(account)?,
            };
            self.rendered.push((Arc::clone(account), text));
        }
        Ok(())
    }
}

fn render(account: &Account) -> io::Result<Box<[u8]>> {
    let mut text = serde_json::to_vec(&account.username)?;
    text.extend_from_slice(b": ");
    text.append(&mut json::pretty(account, "    ")?);
    Ok(text.into())
}

/// Reads the object of accounts.
struct Users;

impl<'de> DeserializeSeed<'de> for Users {
    type Value = Accounts;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Accounts, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Users {
    type Value = Accounts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of accounts by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Accounts, A::Error> {
        let mut accounts = Accounts::default();
        while let Some(username) = map.next_key::<String>()? {
            if !names::is_username(&username) {
                return Err(de::Error::custom(format_args!(
                    "{username:?} is not a username"
                )));
            }
            // Before its value, so that the error points at the name.
            if accounts.find(&username).is_some() {
                return Err(de::Error::custom(format_args!(
                    "there are two accounts named {username:?}, give or take upper case"
                )));
            }
            let mut account: Account = map.next_value()?;
            account.email = names::parse_email(&account.email).ok_or_else(|| {
                de::Error::custom(format_args!("the e-mail of {username:?} is not an address"))
            })?;
            account.username = username;
            add(&mut accounts, account)?;
        }
        Ok(accounts)
    }
}

fn add<E: de::Error>(accounts: &mut Accounts, account: Account) -> Result<(), E> {
    let username = account.username.clone();
    accounts.add(account).map_err(|taken| {
        let what = match taken {
            Taken::Email => "e-mail",
            Taken::Username => "name",
        };
        E::custom(format_args!(
            "the {what} of {username:?} is another account's too"
        ))
    })
}
