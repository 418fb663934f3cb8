//! What is read of a database that is copied from.

use std::sync::Arc;

use serde_json::{Map, Value};
use tokio_postgres::Row;

use super::{AT_ONCE, EVENTS, EventLines, KeptMail, Side, column, damaged};
use crate::accounts::session::Session;
use crate::clock::Timestamp;
use crate::store::Whole;
use crate::store::postgres::mail_rows::of_text;
use crate::store::postgres::refusal::Refusal;
use crate::store::postgres::rows::{self, ACCOUNT, AccountRow, Damaged, read_session};
use crate::store::postgres::slice::CONFIRMS;
use crate::store::whole::new_tops;

impl Side {
    /// Begins to read: all that is read from here on is of this moment.
    ///
    /// # Errors
    ///
    /// If the database does not answer, as everything below.
    pub fn begin_reading(&mut self) -> Result<(), Refusal> {
        self.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    }

    pub fn end_reading(&mut self) -> Result<(), Refusal> {
        self.run("COMMIT")
    }

    /// Accounts, sessions and links.
    ///
    /// # Errors
    ///
    /// Also if one of them is damaged.
    pub fn whole(&mut self) -> Result<Whole, Refusal> {
        let mut tops = self.tops()?;
        let seal = Arc::clone(&self.seal);
        let mut accounts = Vec::new();
        let of_accounts = format!("SELECT {ACCOUNT} FROM account ORDER BY place");
        self.each(&of_accounts, |row| {
            accounts.push(AccountRow::written(row, &seal)?);
            Ok(())
        })?;
        let mut sessions = Vec::new();
        let of_sessions = "SELECT id, last_seen, body FROM session ORDER BY place";
        self.each(of_sessions, |row| {
            sessions.push(session_text(row)?);
            Ok(())
        })?;
        let mut links = [Map::new(), Map::new()];
        self.each("SELECT token, kind, body FROM link ORDER BY place", |row| {
            let [confirmations, invitations] = &mut links;
            let links = match column(row, 1, "link")? {
                CONFIRMS => confirmations,
                _ => invitations,
            };
            let body = serde_json::from_str(column(row, 2, "link")?);
            let body = body.map_err(|error| rows::damaged("link", "?", &error.to_string()))?;
            links.insert(column(row, 0, "link")?, body);
            Ok(())
        })?;
        let mut former = Map::new();
        self.each("SELECT name, since FROM former ORDER BY place", |row| {
            let since: String = column(row, 1, "former")?;
            former.insert(column(row, 0, "former")?, since.into());
            Ok(())
        })?;
        let [confirmations, invitations] = links;
        let sessions_top = tops[1].take();
        let [new_users, new_sessions] = new_tops();
        Ok(Whole {
            top: tops[0].take().unwrap_or(new_users),
            accounts,
            former,
            confirmations,
            invitations,
            sessions_top: sessions_top.or((!sessions.is_empty()).then_some(new_sessions)),
            sessions,
        })
    }

    /// The fields of `users.json` and `sessions.json` beside those that are rows.
    fn tops(&mut self) -> Result<[Option<Map<String, Value>>; 2], Refusal> {
        let query = "SELECT users_top, sessions_top FROM meta";
        let row = self.call(async |client| client.query_one(query, &[]).await)?;
        let top = |n: usize| -> Result<Option<Map<String, Value>>, Damaged> {
            let text: Option<&str> = column(&row, n, "meta")?;
            let parsed = text.map(serde_json::from_str).transpose();
            parsed.map_err(|error| rows::damaged("meta", "", &error.to_string()))
        };
        Ok([top(0).map_err(damaged)?, top(1).map_err(damaged)?])
    }

    /// The mails that wait.
    ///
    /// # Errors
    ///
    /// Also if one of them is damaged.
    pub fn mails(&mut self) -> Result<Vec<KeptMail>, Refusal> {
        let seal = Arc::clone(&self.seal);
        let mut mails = Vec::new();
        let query = "SELECT id, at, text FROM mail WHERE NOT is_aside ORDER BY id";
        self.each(query, |row| {
            let name: String = column(row, 0, "mail")?;
            let at: i64 = column(row, 1, "mail")?;
            let sealed: &[u8] = column(row, 2, "mail")?;
            let text = seal.open(sealed, of_text(&name));
            let text =
                text.ok_or_else(|| rows::damaged("mail", &name, "it is not sealed to it"))?;
            mails.push(KeptMail {
                text: text.to_vec(),
                at: u64::try_from(at).unwrap_or(0),
                name,
            });
            Ok(())
        })?;
        Ok(mails)
    }

    /// Shows each event as its line.
    pub fn events(&mut self, see: &mut dyn FnMut(&str)) -> Result<(), Refusal> {
        self.each(EVENTS, |row| {
            see(column(row, 0, "event")?);
            Ok(())
        })
    }

    /// How many bytes the events have as lines.
    ///
    /// # Errors
    ///
    /// If the database does not answer, as below.
    pub fn size_of_events(&mut self) -> Result<u64, Refusal> {
        let query = "SELECT coalesce(sum(octet_length(convert_to(line, 'UTF8')) + 1), 0)::bigint
            FROM event";
        let bytes: i64 = self.call(async |client| {
            let sum = client.query_one(query, &[]).await?;
            sum.try_get(0)
        })?;
        Ok(u64::try_from(bytes).unwrap_or(0))
    }

    /// The events as the bytes of their file, within a transaction.
    pub fn into_event_lines(self) -> Result<EventLines, Refusal> {
        EventLines::begin(self)
    }

    /// Shows each row that a query gives, some at a time, within a transaction.
    fn each(
        &mut self,
        query: &str,
        mut see: impl FnMut(&Row) -> Result<(), Damaged>,
    ) -> Result<(), Refusal> {
        self.begin_rows(query)?;
        loop {
            let some = self.next_rows()?;
            if some.is_empty() {
                return self.run("CLOSE all_of");
            }
            some.iter().try_for_each(&mut see).map_err(damaged)?;
        }
    }

    pub(super) fn begin_rows(&mut self, query: &str) -> Result<(), Refusal> {
        self.run(&format!("DECLARE all_of NO SCROLL CURSOR FOR {query}"))
    }

    /// The next rows of what was begun; none at its end.
    pub(super) fn next_rows(&mut self) -> Result<Vec<Row>, Refusal> {
        let fetch = format!("FETCH {AT_ONCE} FROM all_of");
        self.call(async |client| client.query(&fetch, &[]).await)
    }
}

/// A session as it is written, with when it was last used.
fn session_text(row: &Row) -> Result<String, Damaged> {
    let body: &str = column(row, 2, "session")?;
    let written: Result<Session, _> = serde_json::from_str(body);
    let session = read_session(row, 0)?;
    if written.is_ok_and(|written| written.last_seen() == session.last_seen()) {
        return Ok(body.to_owned());
    }
    let wrong = |error: serde_json::Error| rows::damaged("session", "?", &error.to_string());
    let mut value: Value = serde_json::from_str(body).map_err(wrong)?;
    if let Some(fields) = value.as_object_mut() {
        let seen: Timestamp = session.last_seen();
        fields.insert("last_seen".to_owned(), seen.to_string().into());
    }
    serde_json::to_string(&value).map_err(wrong)
}
