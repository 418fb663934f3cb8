//! `users.json`: the accounts as text that people read and edit.
//!
//! What the program does not know is kept: fields at the top, fields of an account (in
//! [`Account::other`]), and the order of accounts.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

use serde::Serialize;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::accounts::confirmations::Confirmations;
use crate::accounts::edits::{Edited, Seal, Unsealed};
use crate::accounts::former::Former;
use crate::accounts::invitations::Invitations;
use crate::accounts::{Account, Accounts, Taken, names};
use crate::clock::Timestamp;
use crate::store::document::Content;
use crate::store::error::Damage;
use crate::store::json::{self, Top, VERSION};
use crate::store::near_misses::{self, Slip};

/// What is kept of the file besides the accounts.
pub(super) struct UsersJson {
    /// The fields at the top in their order, with null for what the accounts have.
    top: Map<String, Value>,
    /// The version of the file.
    version: u64,
    /// That of the file when it is next written.
    next_version: u64,
    /// Each account as it was last written: of 100,000 accounts a save changes a few, and rendering
    /// all of them takes longer than the disk does.
    rendered: Vec<Rendered>,
    former: Beside<Former>,
    confirmations: Beside<Confirmations>,
    invitations: Beside<Invitations>,
    /// What was odd in the file when it was read, for the log.
    oddities: Vec<String>,
    /// The accounts that did not have their seal.
    unsealed: Vec<Unsealed>,
    /// The seals to write of accounts whose edits are somebody else's to tell; of all others, that
    /// of the account as it is.
    kept_seals: HashMap<String, Option<String>>,
}

impl Default for UsersJson {
    /// What a new file has.
    fn default() -> Self {
        let top = [
            (FIELD.to_owned(), VERSION.into()),
            (USERS.to_owned(), Value::Null),
        ];
        Self {
            top: Map::from_iter(top),
            version: VERSION,
            next_version: VERSION,
            rendered: Vec::new(),
            former: Beside::default(),
            confirmations: Beside::default(),
            invitations: Beside::default(),
            oddities: Vec::new(),
            unsealed: Vec::new(),
            kept_seals: HashMap::new(),
        }
    }
}

/// An account as text.
struct Rendered {
    of: Arc<Account>,
    text: Box<[u8]>,
    /// Whether a file with it is of [`SECOND`].
    is_of_second: bool,
}

/// The text of a field beside the accounts as it was last written: most saves leave it as it is.
struct Beside<T>(Option<(Arc<T>, Box<[u8]>)>);

impl<T> Default for Beside<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Serialize> Beside<T> {
    fn text(&mut self, now: &Arc<T>) -> io::Result<&[u8]> {
        let same = self.0.take().filter(|(of, _)| Arc::ptr_eq(of, now));
        let rendered = match same {
            Some(same) => same,
            None => (
                Arc::clone(now),
                json::pretty(now.as_ref(), "  ")?.into_boxed_slice(),
            ),
        };
        Ok(&self.0.insert(rendered).1)
    }
}

/// The version from which on accounts may be what 0.1.0 could not read: see
/// [`Account::is_of_second`]. A file without such accounts is of the first version.
const SECOND: u64 = 2;

/// What is added to the name of the file for its copy before it is of [`SECOND`].
const BEFORE_SECOND: &str = ".v1";

/// The field with the version.
const FIELD: &str = "version";

/// The field with the accounts.
const USERS: &str = "users";

/// The field with the names that somebody had before.
const FORMER: &str = "former";

/// The field with the open confirmations of addresses.
const CONFIRMATIONS: &str = "confirmations";

/// The field with the open invitations.
const INVITATIONS: &str = "invitations";

/// Reads the file.
///
/// # Errors
///
/// If it is not what this program could have written, give or take spaces and unknown fields.
pub(super) fn parse(bytes: &[u8]) -> Result<(Accounts, UsersJson), Damage> {
    let fault = RefCell::default();
    let read = || {
        let seed = Users { fault: &fault };
        let top = Top {
            field: USERS,
            seed,
            latest: SECOND,
        };
        json::parse(bytes, top)
    };
    let mut found = read();
    let at_fault = fault.borrow().is_some();
    if at_fault {
        // Read once more, to stop at the account and not behind it.
        found = read();
    }
    let ((mut accounts, unsealed), mut top) = found.map_err(|damage| with_slip(damage, bytes))?;
    if let Some(former) = take(&mut top, FORMER)? {
        accounts.set_former(former);
    }
    if let Some(confirmations) = take(&mut top, CONFIRMATIONS)? {
        accounts.set_confirmations(confirmations);
    }
    if let Some(invitations) = take(&mut top, INVITATIONS)? {
        accounts.set_invitations(invitations);
    }
    let oddities = near_misses::said_of_file(bytes, &accounts, top.keys());
    let version = top.get(FIELD).and_then(Value::as_u64).unwrap_or(VERSION);
    let format = UsersJson {
        top,
        version,
        next_version: version,
        oddities,
        unsealed,
        ..UsersJson::default()
    };
    Ok((accounts, format))
}

/// Takes a field's value out of the top of the file.
fn take<T: DeserializeOwned>(
    top: &mut Map<String, Value>,
    field: &str,
) -> Result<Option<T>, Damage> {
    let Some(value) = top.get_mut(field) else {
        return Ok(None);
    };
    let read = serde_json::from_value(value.take());
    read.map(Some)
        .map_err(|error| Damage::new(format!("{field:?}: {error}")))
}

/// If a field is missing, names the one that may be meant for it.
fn with_slip(mut damage: Damage, bytes: &[u8]) -> Damage {
    let field = damage.reason.strip_prefix("missing field `");
    let field = field.and_then(|rest| rest.strip_suffix('`'));
    if let (Some(field), Some(place)) = (field, damage.place) {
        let (slips, _) = near_misses::in_text(bytes);
        let is_meant = |slip: &&Slip| slip.meant == Some(field) && slip.place.0 <= place.0;
        if let Some(slip) = slips.iter().rfind(is_meant) {
            damage.reason = format!("{}; {slip}", damage.reason);
        }
    }
    damage
}

impl Content for Accounts {
    type Format = UsersJson;

    type Edited = Edited;

    const NAME: &'static str = "users file";

    const REPLACED_WHEN_DAMAGED: bool = false;

    fn parse(bytes: &[u8]) -> Result<(Self, UsersJson), Damage> {
        parse(bytes)
    }

    fn oddities(format: &mut UsersJson) -> Vec<String> {
        format.take_oddities()
    }

    fn settle(
        &mut self,
        format: &mut UsersJson,
        before: Option<(&Self, Timestamp)>,
    ) -> (Vec<Edited>, bool) {
        let revision = Self::revision(self);
        let unsealed = format.take_unsealed();
        // The next save seals the accounts that are not sealed yet.
        let owes = !unsealed.is_empty();
        let mut edited = Self::settle(self, unsealed, before);
        if let Some((before, at)) = before {
            let removed = self.hold_left(before, at);
            edited.extend(removed.iter().map(Edited::removed));
        }
        for user in self.give_ids(before.map(|(before, _)| before)) {
            tracing::warn!(
                user,
                "this account had the id of another, or its handle, and was given its own"
            );
        }
        (edited, owes || Self::revision(self) != revision)
    }

    fn prepare(&self, format: &mut UsersJson) -> io::Result<Option<&'static str>> {
        format.prepare(self)
    }

    fn saved(format: &mut UsersJson) {
        format.saved();
    }

    fn write(&self, format: &mut UsersJson, out: &mut dyn Write) -> io::Result<()> {
        format.write(self, out)
    }
}

impl UsersJson {
    /// Takes out what was odd in the file when it was read, for the log.
    pub(super) fn take_oddities(&mut self) -> Vec<String> {
        std::mem::take(&mut self.oddities)
    }

    /// Takes out the accounts that did not have their seal when the file was read.
    pub(super) fn take_unsealed(&mut self) -> Vec<Unsealed> {
        std::mem::take(&mut self.unsealed)
    }

    /// Has these accounts written with these seals.
    pub(super) fn keep_seals(&mut self, seals: HashMap<String, Option<String>>) {
        self.kept_seals = seals;
    }

    /// Renders what has changed, and raises the version where 0.1.0 could not read the file any more:
    /// gives under what name the file before that is to be kept then. The version is never lowered
    /// again: whoever went back to 0.1.0 would have a file that is sometimes read.
    pub(super) fn prepare(&mut self, accounts: &Accounts) -> io::Result<Option<&'static str>> {
        self.render(accounts)?;
        let is_of_second = || self.rendered.iter().any(|account| account.is_of_second);
        self.next_version = match self.version {
            VERSION if is_of_second() => SECOND,
            version => version,
        };
        Ok((self.next_version > self.version).then_some(BEFORE_SECOND))
    }

    /// Notes that the file is as it was last written.
    pub(super) fn saved(&mut self) {
        self.version = self.next_version;
    }

    /// Writes the accounts for which it has been prepared.
    pub(super) fn write(&mut self, accounts: &Accounts, out: &mut dyn Write) -> io::Result<()> {
        let (former, confirmations) = (accounts.former(), accounts.confirmations());
        let invitations = accounts.invitations();
        // Each with whether it is left out of a file that does not have it.
        let beside = [
            (FORMER, self.former.text(former)?, former.is_empty()),
            (
                CONFIRMATIONS,
                self.confirmations.text(confirmations)?,
                confirmations.is_empty(),
            ),
            (
                INVITATIONS,
                self.invitations.text(invitations)?,
                invitations.is_empty(),
            ),
        ];
        for (n, (name, value)) in self.top.iter().enumerate() {
            out.write_all(if n == 0 { b"{\n  " } else { b",\n  " })?;
            serde_json::to_writer(&mut *out, name)?;
            out.write_all(b": ")?;
            match beside.iter().find(|(field, ..)| field == name) {
                Some((_, text, _)) => out.write_all(text)?,
                None if name == USERS => write_users(&self.rendered, out)?,
                None if name == FIELD => write!(out, "{}", self.next_version)?,
                None => out.write_all(&json::pretty(value, "  ")?)?,
            }
        }
        for (name, text, is_left_out) in beside {
            if !is_left_out && !self.top.contains_key(name) {
                write!(out, ",\n  {name:?}: ")?;
                out.write_all(text)?;
            }
        }
        out.write_all(b"\n}\n")
    }

    /// Brings `rendered` up to date with the accounts, which are mostly the same in the same order.
    fn render(&mut self, accounts: &Accounts) -> io::Result<()> {
        let mut before = std::mem::take(&mut self.rendered).into_iter().peekable();
        self.rendered.reserve(accounts.len());
        for account in accounts.iter() {
            // For nearly all accounts it is enough to compare pointers, without touching their
            // memory, little of which is in the processor's cache.
            if let Some(same) = before.next_if(|old| Arc::ptr_eq(&old.of, account)) {
                self.rendered.push(same);
                continue;
            }
            // Accounts whose turn has passed have been removed.
            while before
                .next_if(|old| old.of.username != account.username)
                .is_some()
            {}
            self.rendered.push(match before.next() {
                Some(old) if Arc::ptr_eq(&old.of, account) => old,
                _ => Rendered {
                    of: Arc::clone(account),
                    text: render(account, self.kept_seals.get(&account.username).cloned())?,
                    is_of_second: account.is_of_second(),
                },
            });
        }
        Ok(())
    }
}

fn write_users(rendered: &[Rendered], out: &mut dyn Write) -> io::Result<()> {
    if rendered.is_empty() {
        return out.write_all(b"{}");
    }
    for (n, account) in rendered.iter().enumerate() {
        out.write_all(if n == 0 { b"{\n    " } else { b",\n    " })?;
        out.write_all(&account.text)?;
    }
    out.write_all(b"\n  }")
}

fn render(account: &Account, seal: Option<Option<String>>) -> io::Result<Box<[u8]>> {
    let mut text = serde_json::to_vec(&account.username)?;
    text.extend_from_slice(b": ");
    let sealed = Account {
        seal: seal.unwrap_or_else(|| Some(Seal::of(account).text())),
        ..account.clone()
    };
    text.append(&mut json::pretty(&sealed, "    ")?);
    Ok(text.into())
}

/// Reads the object of accounts.
struct Users<'a> {
    /// The account that breaks a rule together with others, and how. That is known only after the
    /// account has been read, where the next line may have begun.
    fault: &'a RefCell<Option<(String, String)>>,
}

impl<'de> DeserializeSeed<'de> for Users<'_> {
    type Value = (Accounts, Vec<Unsealed>);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Users<'_> {
    type Value = (Accounts, Vec<Unsealed>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of accounts by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut accounts = Accounts::default();
        let mut unsealed = Vec::new();
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
            if let Some((at_fault, reason)) = &*self.fault.borrow()
                && *at_fault == username
            {
                return Err(de::Error::custom(reason));
            }
            let account: Account = map.next_value()?;
            match add(&mut accounts, &username, account) {
                Ok(found) => unsealed.extend(found),
                Err(reason) => {
                    let error = de::Error::custom(&reason);
                    self.fault.replace(Some((username, reason)));
                    return Err(error);
                }
            }
        }
        Ok((accounts, unsealed))
    }
}

/// Adds an account; gives it back as [`Unsealed`] if it does not have its seal.
fn add(
    accounts: &mut Accounts,
    username: &str,
    mut account: Account,
) -> Result<Option<Unsealed>, String> {
    if let Some(email) = &mut account.email {
        *email = names::parse_email(email)
            .ok_or_else(|| format!("the e-mail of {username:?} is not an address"))?;
    }
    username.clone_into(&mut account.username);
    if let Some(passkey) = accounts.taken_passkey(&account) {
        let id = passkey.text();
        return Err(format!(
            "the passkey {id:?} of {username:?} is there twice, or another account's too"
        ));
    }
    if let Some(token) = accounts.taken_token(&account) {
        let id = &token.id;
        return Err(format!(
            "the access token {id:?} of {username:?} is there twice, or another account's too"
        ));
    }
    account.take_up_mailed_password();
    let seal = account.seal.take();
    let is_sealed = seal.as_ref() == Some(&Seal::of(&account).text());
    let unsealed = (!is_sealed).then(|| Unsealed {
        username: username.to_owned(),
        seal: seal.as_deref().and_then(Seal::parse),
    });
    let added = accounts.add(account).map(|()| unsealed);
    added.map_err(|taken| {
        let what = match taken {
            Taken::Email => "e-mail",
            Taken::Username => "name",
        };
        format!("the {what} of {username:?} is another account's too")
    })
}

#[cfg(test)]
mod tests;
