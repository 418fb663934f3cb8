//! Accounts and sessions as rows, and back.

use serde_json::Value;
use tokio_postgres::Row;
use zeroize::Zeroizing;

use crate::accounts::session::Session;
use crate::accounts::{Account, names};
use crate::clock::Timestamp;
use crate::store::postgres::marks::{Marks, seconds};
use crate::store::postgres::seal::{Place, Seal};
use crate::store::whole::{self, Written};

/// A row that cannot be what this program has written.
#[derive(Debug)]
pub(super) struct Damaged {
    /// Names the row for the log.
    pub(super) which: String,
    pub(super) reason: String,
}

/// The columns of an account, in the order that [`AccountRow::read`] expects.
pub(super) const ACCOUNT: &str = "account.id, account.username, account.body, account.totp";

/// The columns of a session, in the order that [`read_session`] expects.
pub(super) const SESSION: &str = "session.id, session.last_seen, session.body";

/// An account as the columns have it.
///
/// No `Debug`: it is an account.
pub(super) struct AccountRow {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) email: Option<String>,
    pub(super) username: String,
    pub(super) body: String,
    /// The key of the second factor, sealed.
    pub(super) totp: Option<Vec<u8>>,
    /// [`Account::unclaimed_since`], in seconds since 1970.
    pub(super) unclaimed: Option<i64>,
}

impl AccountRow {
    /// # Errors
    ///
    /// If it cannot be written as JSON.
    pub(super) fn of(account: &Account, seal: &Seal) -> serde_json::Result<Self> {
        let id = account.id.clone().unwrap_or_default();
        let mut body = serde_json::to_value(account)?;
        if let Some(body) = body.as_object_mut() {
            body.insert("id".to_owned(), id.as_str().into());
        }
        let totp = secret(&mut body).map(|secret| {
            let secret = Zeroizing::new(secret);
            seal.close(secret.as_bytes(), of_totp(id.as_str()))
        });
        let body = serde_json::to_string(&body)?;
        Ok(Self::with(id.as_str(), account, body, totp))
    }

    fn with(id: &str, account: &Account, body: String, totp: Option<Vec<u8>>) -> Self {
        let lower = |text: &str| names::key(text).into_owned();
        Self {
            id: id.to_owned(),
            name: lower(&account.username),
            email: account.email.as_deref().map(lower),
            username: account.username.clone(),
            body,
            totp,
            unclaimed: account.unclaimed_since().map(seconds),
        }
    }

    /// The row of an account that is written as `text`, which stays as it is: also without an id,
    /// and with the seal of a file.
    ///
    /// # Errors
    ///
    /// If it is not such an account.
    pub(super) fn of_written(written: &Written, seal: &Seal) -> Result<(Self, Marks), String> {
        let said = |error: serde_json::Error| error.to_string();
        let account = account_of(&written.id, &written.username, &written.text)?;
        let mut body: Value = serde_json::from_str(&written.text).map_err(said)?;
        let totp = body.pointer_mut("/totp/secret").map(Value::take);
        let totp = totp.and_then(|secret| {
            let secret = Zeroizing::new(secret.as_str()?.to_owned());
            Some(seal.close(secret.as_bytes(), of_totp(&written.id)))
        });
        whole::mark_unsealed(&mut body);
        let body = serde_json::to_string(&body).map_err(said)?;
        let row = Self::with(&written.id, &account, body, totp);
        Ok((row, Marks::of(&account)))
    }

    /// The account as it is written, of the columns of [`ACCOUNT`].
    ///
    /// # Errors
    ///
    /// As [`AccountRow::read`].
    pub(super) fn written(row: &Row, seal: &Seal) -> Result<Written, Damaged> {
        let column = |n: usize| row.try_get::<_, String>(n);
        let (Ok(id), Ok(username), Ok(body)) = (column(0), column(1), column(2)) else {
            return Err(damaged("account", "?", "a column is missing"));
        };
        let totp: Option<Vec<u8>> = row.try_get(3).unwrap_or_default();
        let text = || -> Result<String, String> {
            let said = |error: serde_json::Error| error.to_string();
            let mut value = unsealed(&id, &body, totp.as_deref(), seal)?;
            let text = Zeroizing::new(serde_json::to_string(&value).map_err(said)?);
            let account = account_of(&id, &username, &text)?;
            whole::seal(&mut value, &account);
            serde_json::to_string(&value).map_err(said)
        };
        let text = text().map_err(|reason| damaged("account", &id, &reason))?;
        Ok(Written { username, id, text })
    }

    /// Reads the columns of [`ACCOUNT`] from the one numbered `first` on.
    ///
    /// # Errors
    ///
    /// If they are no account, or the key of the second factor is not sealed to this one.
    pub(super) fn read(row: &Row, first: usize, seal: &Seal) -> Result<Account, Damaged> {
        let column = |n: usize| row.try_get::<_, String>(first + n);
        let (Ok(id), Ok(username), Ok(body)) = (column(0), column(1), column(2)) else {
            return Err(damaged("account", "?", "a column is missing"));
        };
        let totp: Option<Vec<u8>> = row.try_get(first + 3).unwrap_or_default();
        account(&id, username, &body, totp.as_deref(), seal)
            .map_err(|reason| damaged("account", &id, &reason))
    }
}

pub(super) fn damaged(table: &str, row: &str, reason: &str) -> Damaged {
    Damaged {
        which: format!("{table} {row}"),
        reason: reason.to_owned(),
    }
}

fn account(
    id: &str,
    username: String,
    body: &str,
    totp: Option<&[u8]>,
    seal: &Seal,
) -> Result<Account, String> {
    if totp.is_none() {
        return account_of(id, &username, body);
    }
    let value = unsealed(id, body, totp, seal)?;
    // As text once more: fields that are not ours keep their numbers digit by digit.
    let text = serde_json::to_string(&value).map_err(|error| error.to_string())?;
    account_of(id, &username, &Zeroizing::new(text))
}

/// The account that is written as this text.
fn account_of(id: &str, username: &str, text: &str) -> Result<Account, String> {
    let said = |error: serde_json::Error| error.to_string();
    let mut account: Account = serde_json::from_str(text).map_err(said)?;
    if let Some(email) = &mut account.email {
        *email = names::parse_email(email).ok_or("its e-mail is not an address")?;
    }
    username.clone_into(&mut account.username);
    // One that came from a file may be written without it.
    account.id = serde_json::from_value(id.into()).map_err(said)?;
    account.take_up_mailed_password();
    account.seal = None;
    Ok(account)
}

/// An account's JSON with the key of its second factor, which is sealed to that account.
fn unsealed(id: &str, body: &str, totp: Option<&[u8]>, seal: &Seal) -> Result<Value, String> {
    let mut value: Value = serde_json::from_str(body).map_err(|error| error.to_string())?;
    if let Some(sealed) = totp {
        let opened = seal.open(sealed, of_totp(id));
        let opened = opened.ok_or("the key of its second factor is not sealed to it")?;
        let secret = String::from_utf8(opened.to_vec()).map_err(|_| "its key is no text")?;
        let place = value.get_mut("totp").and_then(Value::as_object_mut);
        let place = place.ok_or("it has the key of a second factor, and none")?;
        place.insert("secret".to_owned(), secret.into());
    }
    Ok(value)
}

/// Takes the key of the second factor out of an account's JSON.
fn secret(body: &mut Value) -> Option<String> {
    let totp = body.get_mut("totp")?.as_object_mut()?;
    match totp.shift_remove("secret")? {
        Value::String(secret) => Some(secret),
        _ => None,
    }
}

/// Where the key of an account's second factor belongs.
fn of_totp(id: &str) -> Place<'_> {
    Place {
        table: "account",
        row: id.as_bytes(),
        field: "totp",
    }
}

/// Reads the columns of [`SESSION`] from the one numbered `first` on.
///
/// # Errors
///
/// If they are no session.
pub(super) fn read_session(row: &Row, first: usize) -> Result<Session, Damaged> {
    let read = || -> Result<Session, String> {
        let said = |error: tokio_postgres::Error| error.to_string();
        let last_seen: i64 = row.try_get(first + 1).map_err(said)?;
        let body: &str = row.try_get(first + 2).map_err(said)?;
        let session: Session = serde_json::from_str(body).map_err(|error| error.to_string())?;
        session.seen(Timestamp(u64::try_from(last_seen).unwrap_or(0)));
        Ok(session)
    };
    read().map_err(|reason| {
        let id: String = row.try_get(first).unwrap_or_default();
        damaged("session", &id, &reason)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::postgres::seal::KEY;

    fn seal(key: u8) -> Seal {
        Seal::new(&Zeroizing::new([key; KEY]))
    }

    /// An account with a second factor and fields that are not ours.
    fn written() -> (Value, AccountRow) {
        let hash = format!("$pbkdf2-sha256$i=1,l=32$c2FsdA${}", "A".repeat(43));
        let text = format!(
            r#"{{"room": {{"number": 1.10, "\u0000": [22222222222222222222222222222222, -0.0]}},
                "email": "alice@example.com", "email_proven": false,
                "id": "alice000000000000000000000", "password": "{hash}", "groups": [],
                "totp": {{"secret": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", "last_step": 7, "old": 1e3}},
                "recovery_codes": [], "disabled": false}}"#
        );
        let account: Account = serde_json::from_str(&text).unwrap();
        let account = Account {
            username: "Alice".to_owned(),
            ..account
        };
        let row = AccountRow::of(&account, &seal(1)).unwrap();
        (serde_json::from_str(&text).unwrap(), row)
    }

    fn read(row: &AccountRow, id: &str, key: u8) -> Result<Account, String> {
        let username = row.username.clone();
        account(id, username, &row.body, row.totp.as_deref(), &seal(key))
    }

    #[test]
    fn an_account_comes_back_with_every_digit_of_what_is_not_ours() {
        let (before, row) = written();

        let after = read(&row, &row.id, 1).ok().unwrap();

        assert_eq!(
            (row.name.as_str(), after.username.as_str()),
            ("alice", "Alice")
        );
        assert_eq!(serde_json::to_value(&after).unwrap(), before);
        assert!(
            row.body.contains("1.10") && row.body.contains("\\u0000"),
            "{}",
            row.body
        );
    }

    #[test]
    fn the_key_of_a_second_factor_is_sealed_to_its_account() {
        let (_, row) = written();

        assert!(!row.body.contains("JBSWY3DP"), "{}", row.body);
        assert!(row.totp.is_some());
        assert!(read(&row, "bob00000000000000000000000", 1).is_err());
        assert!(read(&row, &row.id, 2).is_err());
        let unsealed = AccountRow {
            totp: None,
            ..written().1
        };
        assert!(read(&unsealed, &unsealed.id, 1).is_err());
    }

    #[test]
    fn a_body_that_is_no_account_is_damaged() {
        let (_, row) = written();
        let odd = AccountRow {
            body: json!({ "totp": [] }).to_string(),
            ..row
        };

        assert!(read(&odd, &odd.id, 1).is_err());
    }
}
