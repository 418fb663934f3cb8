//! What is written to a database that is copied to.

use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};

use super::{AT_ONCE, KeptMail, PATIENCE, Side, damaged, full_table, is_full};
use crate::accounts::session::Session;
use crate::store::Whole;
use crate::store::postgres::client::Client;
use crate::store::postgres::event_rows::{self, EventRow};
use crate::store::postgres::links::{self, Link};
use crate::store::postgres::mail_rows::{of_text, whole};
use crate::store::postgres::marks;
use crate::store::postgres::open::{KEEP_CHECK, KNOWN, OF_CHECK};
use crate::store::postgres::refusal::Refusal;
use crate::store::postgres::rows::{self, AccountRow};
use crate::store::postgres::schema::TABLES;
use crate::store::postgres::sessions;
use crate::store::postgres::slice::{CONFIRMS, INVITES};
use crate::store::postgres::write::insert_accounts;
use crate::store::whole::{Written, size_of_text};

/// Taken by who fills the tables of a schema, until their connection ends. The number is that of no
/// other program that is known to take one.
const FILLING: &str = "SELECT pg_advisory_lock(1635087464, hashtext(current_schema()))::text";

/// How long somebody else may hold it; of one who was killed the database may not know at once.
const LOCKED: [&str; 2] = ["SET lock_timeout TO '2s'", "SET lock_timeout TO '10s'"];

impl Side {
    /// Marks the database, and removes what an earlier copy has left.
    ///
    /// # Errors
    ///
    /// Also if somebody else fills it, or it is not empty any more.
    pub fn begin_writing(&mut self) -> Result<(), Refusal> {
        self.lock()?;
        let check = self.seal.close(KNOWN, OF_CHECK);
        let full = self.call(async |client| {
            client
                .in_transaction("BEGIN", async |client| mark(client, &check).await)
                .await
        })?;
        full.map_or(Ok(()), |table| Err(is_full(&table)))
    }

    /// Keeps others from filling it until this connection ends.
    fn lock(&mut self) -> Result<(), Refusal> {
        let [short, usual] = LOCKED;
        self.run(short)?;
        let locked = self
            .connection
            .call(PATIENCE, async |client| client.batch_execute(FILLING).await);
        locked.map_err(|failure| match failure.is(&SqlState::LOCK_NOT_AVAILABLE) {
            true => Refusal::new(
                "cannot fill the database: somebody else is filling it",
                "wait until that has ended, and look what it says",
            ),
            false => Refusal::of(&failure),
        })?;
        self.run(usual)
    }

    /// Writes accounts, sessions and links, and tells how many bytes more are there.
    pub fn write(&mut self, whole: &Whole, told: &mut dyn FnMut(u64)) -> Result<(), Refusal> {
        for some in whole.accounts.chunks(AT_ONCE) {
            self.write_accounts(some)?;
            told(some.iter().map(Written::size).sum());
        }
        for some in whole.sessions.chunks(AT_ONCE) {
            self.write_sessions(some)?;
            told(some.iter().map(|text| size_of_text(text)).sum());
        }
        for (kind, links) in [
            (CONFIRMS, &whole.confirmations),
            (INVITES, &whole.invitations),
        ] {
            let links = links
                .iter()
                .map(|(token, body)| Link::of(token, kind, body));
            let links: Vec<Link> = links
                .collect::<Result<_, _>>()
                .map_err(|error| damaged(rows::damaged("link", "?", &error.to_string())))?;
            for some in links.chunks(AT_ONCE) {
                self.call(async |client| links::insert(client, some).await)?;
            }
        }
        let names: Vec<&str> = whole.former.keys().map(String::as_str).collect();
        let since = whole
            .former
            .values()
            .map(|since| since.as_str().unwrap_or_default());
        let since: Vec<&str> = since.collect();
        let tops = [Some(&whole.top), whole.sessions_top.as_ref()];
        let [users, sessions] =
            tops.map(|top| top.map(|top| serde_json::to_string(top).unwrap_or_default()));
        self.call(async |client| {
            let insert = "INSERT INTO former (name, since)
                SELECT name, since FROM unnest($1::text[], $2::text[])
                    WITH ORDINALITY new(name, since, n) ORDER BY n";
            let columns: [(&(dyn ToSql + Sync), Type); 2] =
                [(&names, Type::TEXT_ARRAY), (&since, Type::TEXT_ARRAY)];
            client.execute(insert, &columns).await?;
            let update = "UPDATE meta SET users_top = $1, sessions_top = $2";
            let columns: [(&(dyn ToSql + Sync), Type); 2] =
                [(&users, Type::TEXT), (&sessions, Type::TEXT)];
            client.execute(update, &columns).await
        })?;
        Ok(())
    }

    fn write_accounts(&mut self, accounts: &[Written]) -> Result<(), Refusal> {
        let (mut rows, mut marks) = (Vec::new(), Vec::new());
        for account in accounts {
            let row = AccountRow::of_written(account, &self.seal);
            let (row, of_row) = row
                .map_err(|reason| damaged(rows::damaged("account", &account.username, &reason)))?;
            rows.push(row);
            marks.push(of_row);
        }
        self.call(async |client| {
            insert_accounts(client, &rows).await?;
            marks::add_all(client, &marks).await
        })
    }

    fn write_sessions(&mut self, texts: &[String]) -> Result<(), Refusal> {
        let parsed = texts.iter().map(|text| serde_json::from_str(text));
        let sessions: Result<Vec<Session>, serde_json::Error> = parsed.collect();
        let sessions =
            sessions.map_err(|error| damaged(rows::damaged("session", "?", &error.to_string())))?;
        let written: Vec<_> = sessions.iter().zip(texts).collect();
        self.call(async |client| sessions::insert(client, &written).await)
    }

    /// Writes mails, each due at once.
    pub fn write_mails(&mut self, mails: &[KeptMail]) -> Result<(), Refusal> {
        for mail in mails {
            let sealed = self.seal.close(&mail.text, of_text(&mail.name));
            let (name, at) = (&mail.name, whole(mail.at));
            self.call(async |client| {
                let insert = "INSERT INTO mail (id, at, text) VALUES ($1, $2, $3)";
                let columns: [(&(dyn ToSql + Sync), Type); 3] = [
                    (name, Type::TEXT),
                    (&at, Type::INT8),
                    (&sealed, Type::BYTEA),
                ];
                client.execute(insert, &columns).await
            })?;
        }
        Ok(())
    }

    /// Writes events.
    pub(crate) fn write_events(&mut self, events: &[EventRow]) -> Result<(), Refusal> {
        self.call(async |client| event_rows::insert(client, events).await)
    }

    /// Takes the mark away.
    pub fn finish(&mut self) -> Result<(), Refusal> {
        self.run("UPDATE meta SET is_unfinished = false")
    }
}

/// Marks the database as one that is being filled; gives the table that is in the way, if there is
/// one.
async fn mark(client: &Client, check: &Vec<u8>) -> Result<Option<String>, tokio_postgres::Error> {
    let locked = "SELECT is_unfinished FROM meta FOR UPDATE";
    let locked = client.query_one(locked, &[]).await?;
    if locked.try_get::<_, bool>(0)? {
        for table in TABLES.iter().filter(|table| **table != "meta") {
            client
                .batch_execute(&format!("DELETE FROM {table}"))
                .await?;
        }
    } else if let Some(table) = full_table(client).await? {
        return Ok(Some(table));
    }
    let mark = "UPDATE meta SET is_unfinished = true, users_top = NULL, sessions_top = NULL";
    client.batch_execute(mark).await?;
    client
        .query_one(KEEP_CHECK, &[(check, Type::BYTEA)])
        .await?;
    Ok(None)
}
