//! All of a store, read at one moment and written to an empty database.
//!
//! A database that is being copied to is marked, from before the first row until everything was
//! compared: nodes and commands refuse one that has the mark.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::accounts::names;
use crate::accounts::session::Session;
use crate::clock::{Clock, Timestamp};
use crate::store::Whole;
use crate::store::postgres::client::Client;
use crate::store::postgres::connection::Connection;
use crate::store::postgres::event_rows::{self, EventRow};
use crate::store::postgres::failure::Failure;
use crate::store::postgres::mail_rows::{of_text, whole};
use crate::store::postgres::marks::{self, Marks, seconds};
use crate::store::postgres::open::{
    KEEP_CHECK, KNOWN, OF_CHECK, Opened, REACHED, REACHED_BY_COMMAND,
};
use crate::store::postgres::refusal::Refusal;
use crate::store::postgres::rows::{self, ACCOUNT, AccountRow, Damaged, read_session};
use crate::store::postgres::schema::TABLES;
use crate::store::postgres::seal::Seal;
use crate::store::postgres::slice::{CONFIRMS, INVITES};
use crate::store::postgres::url::Url;
use crate::store::postgres::write::Link;
use crate::store::whole::{Written, new_tops, size_of_text};

mod lines;

pub use lines::EventLines;

/// How long one statement may take, and its answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Rows that are read or written at once.
const AT_ONCE: usize = 2_000;

/// Nobody waits for a copy, and it may think for long between two statements.
const SETTINGS: &str = "SET statement_timeout TO '55s'; SET lock_timeout TO '10s';
    SET idle_in_transaction_session_timeout TO 0";

/// The events in their order.
const EVENTS: &str = "SELECT line FROM event ORDER BY place";

/// What is in the way of a copy, if there is any; the other tables follow from these.
const FULL: [&str; 6] = ["account", "session", "link", "former", "mail", "event"];

/// A mail that waits, as a file would have it.
///
/// No `Debug`: the text may hold a password.
#[derive(Clone, PartialEq)]
pub struct KeptMail {
    /// Without the ending of its file.
    pub name: String,
    /// When it was written, in seconds since 1970.
    pub at: u64,
    pub text: Vec<u8>,
}

/// How long hosts are looked for before there is no copy.
#[derive(Clone, Copy)]
pub enum Patience {
    /// As at a start.
    Long,
    /// As by a command of operators.
    Short,
}

impl Patience {
    fn reached(self) -> Duration {
        match self {
            Self::Long => REACHED,
            Self::Short => REACHED_BY_COMMAND,
        }
    }
}

/// A database that is copied from, or to.
pub struct Side {
    connection: Connection,
    seal: Arc<Seal>,
}

impl Side {
    /// A store to copy from.
    ///
    /// # Errors
    ///
    /// If a node could not serve from it.
    pub fn from(url: &Url, key: &Path, clock: &Clock, patience: Patience) -> Result<Self, Refusal> {
        let reached = patience.reached();
        Self::new(Opened::look_from_copy(url, key, clock, reached)?, reached)
    }

    /// A database to copy to, of which nothing is changed yet.
    ///
    /// # Errors
    ///
    /// If it cannot be used, or is not empty.
    pub fn to(url: &Url, key: &Path, clock: &Clock, patience: Patience) -> Result<Self, Refusal> {
        let reached = patience.reached();
        let mut side = Self::new(Opened::look_for_copy(url, key, clock, reached)?, reached)?;
        match side.call(async |client| full_table(client).await)? {
            None => Ok(side),
            Some(table) => Err(is_full(&table)),
        }
    }

    fn new(opened: Opened, reached: Duration) -> Result<Self, Refusal> {
        let connection = opened.pool.open(Instant::now() + reached)?;
        let mut side = Self {
            connection,
            seal: Arc::new(opened.seal),
        };
        side.run(SETTINGS)?;
        Ok(side)
    }

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

    /// Marks the database, and removes what an earlier copy has left.
    ///
    /// # Errors
    ///
    /// Also if it is not empty any more.
    pub fn begin_writing(&mut self) -> Result<(), Refusal> {
        let check = self.seal.close(KNOWN, OF_CHECK);
        let full = self.call(async |client| {
            let marked = client.in_transaction("BEGIN", async |client| mark(client, &check).await);
            marked.await
        })?;
        full.map_or(Ok(()), |table| Err(is_full(&table)))
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
                self.call(async |client| add_links(client, some).await)?;
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
        self.call(async |client| add_accounts(client, &rows, &marks).await)
    }

    fn write_sessions(&mut self, texts: &[String]) -> Result<(), Refusal> {
        let parsed = texts.iter().map(|text| serde_json::from_str(text));
        let sessions: Result<Vec<Session>, serde_json::Error> = parsed.collect();
        let sessions =
            sessions.map_err(|error| damaged(rows::damaged("session", "?", &error.to_string())))?;
        self.call(async |client| add_sessions(client, &sessions, texts).await)
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

    fn begin_rows(&mut self, query: &str) -> Result<(), Refusal> {
        self.run(&format!("DECLARE all_of NO SCROLL CURSOR FOR {query}"))
    }

    /// The next rows of what was begun; none at its end.
    fn next_rows(&mut self) -> Result<Vec<Row>, Refusal> {
        let fetch = format!("FETCH {AT_ONCE} FROM all_of");
        self.call(async |client| client.query(&fetch, &[]).await)
    }

    fn run(&mut self, statement: &str) -> Result<(), Refusal> {
        self.call(async |client| client.batch_execute(statement).await)
    }

    fn call<R>(
        &mut self,
        work: impl AsyncFnOnce(&Client) -> Result<R, tokio_postgres::Error>,
    ) -> Result<R, Refusal> {
        let called = self.connection.call(PATIENCE, work);
        called.map_err(|failure: Failure| Refusal::of(&failure))
    }
}

/// A table with something in it that is in the way, unless it was left by a copy.
async fn full_table(client: &Client) -> Result<Option<String>, tokio_postgres::Error> {
    let unfinished = client.query_one("SELECT is_unfinished FROM meta", &[]);
    if unfinished.await?.try_get(0)? {
        return Ok(None);
    }
    for table in FULL {
        let query = format!("SELECT EXISTS (SELECT FROM {table})");
        let found = client.query_one(&query, &[]).await?;
        if found.try_get(0)? {
            return Ok(Some(table.to_owned()));
        }
    }
    Ok(None)
}

fn is_full(table: &str) -> Refusal {
    Refusal::new(
        format!("cannot fill the database: its table {table} is not empty"),
        "name a database with nothing in it but the tables that auth_user store migrate makes",
    )
}

fn damaged(Damaged { which, reason }: Damaged) -> Refusal {
    Refusal::new(
        format!("cannot use what is to be copied: {which} is damaged: {reason}"),
        "mend it, or remove it, and try again",
    )
}

fn column<'a, T: tokio_postgres::types::FromSql<'a>>(
    row: &'a Row,
    n: usize,
    table: &str,
) -> Result<T, Damaged> {
    row.try_get(n)
        .map_err(|error| rows::damaged(table, "?", &error.to_string()))
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

/// Marks the database as one that is being filled; gives the table that is in the way, if there is
/// one.
async fn mark(client: &Client, check: &Vec<u8>) -> Result<Option<String>, tokio_postgres::Error> {
    // Who else begins a copy waits here.
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

async fn add_accounts(
    client: &Client,
    rows: &[AccountRow],
    marks: &[Marks],
) -> Result<(), tokio_postgres::Error> {
    let texts = |of: fn(&AccountRow) -> &str| rows.iter().map(of).collect::<Vec<&str>>();
    let ids = texts(|row| &row.id);
    let lower = texts(|row| &row.name);
    let emails: Vec<Option<&str>> = rows.iter().map(|row| row.email.as_deref()).collect();
    let usernames = texts(|row| &row.username);
    let bodies = texts(|row| &row.body);
    let keys: Vec<Option<&[u8]>> = rows.iter().map(|row| row.totp.as_deref()).collect();
    let unclaimed: Vec<Option<i64>> = rows.iter().map(|row| row.unclaimed).collect();
    let insert = "INSERT INTO account (id, name, email, username, body, totp, unclaimed)
        SELECT id, name, email, username, body, totp, unclaimed
        FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[],
            $7::bigint[])
            WITH ORDINALITY new(id, name, email, username, body, totp, unclaimed, n)
        ORDER BY n";
    let columns: [(&(dyn ToSql + Sync), Type); 7] = [
        (&ids, Type::TEXT_ARRAY),
        (&lower, Type::TEXT_ARRAY),
        (&emails, Type::TEXT_ARRAY),
        (&usernames, Type::TEXT_ARRAY),
        (&bodies, Type::TEXT_ARRAY),
        (&keys, Type::BYTEA_ARRAY),
        (&unclaimed, Type::INT8_ARRAY),
    ];
    client.execute(insert, &columns).await?;
    marks::add_all(client, marks).await
}

async fn add_sessions(
    client: &Client,
    sessions: &[Session],
    texts: &[String],
) -> Result<(), tokio_postgres::Error> {
    let ids: Vec<String> = sessions.iter().map(|session| session.id.text()).collect();
    let lower = sessions.iter().map(|session| names::key(&session.username));
    let lower: Vec<String> = lower.map(std::borrow::Cow::into_owned).collect();
    let times = |of: fn(&Session) -> i64| sessions.iter().map(of).collect::<Vec<i64>>();
    let created = times(|session| seconds(session.created));
    let seen = times(|session| seconds(session.last_seen()));
    let remembered = sessions
        .iter()
        .map(|session| session.remembered.map(seconds));
    let remembered: Vec<Option<i64>> = remembered.collect();
    let insert = "INSERT INTO session (id, name, created, last_seen, remembered, body)
        SELECT id, name, created, last_seen, remembered, body
        FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[])
            WITH ORDINALITY new(id, name, created, last_seen, remembered, body, n)
        ORDER BY n";
    let columns: [(&(dyn ToSql + Sync), Type); 6] = [
        (&ids, Type::TEXT_ARRAY),
        (&lower, Type::TEXT_ARRAY),
        (&created, Type::INT8_ARRAY),
        (&seen, Type::INT8_ARRAY),
        (&remembered, Type::INT8_ARRAY),
        (&texts, Type::TEXT_ARRAY),
    ];
    client.execute(insert, &columns).await.map(drop)
}

async fn add_links(client: &Client, links: &[Link]) -> Result<(), tokio_postgres::Error> {
    let tokens: Vec<&str> = links.iter().map(|link| link.token.as_str()).collect();
    let kinds: Vec<i16> = links.iter().map(|link| link.kind).collect();
    let maybe = |of: fn(&Link) -> Option<&str>| links.iter().map(of).collect::<Vec<_>>();
    let accounts = maybe(|link| link.account.as_deref());
    let emails = maybe(|link| link.email.as_deref());
    let shorts = maybe(|link| link.short.as_deref());
    let bodies: Vec<&str> = links.iter().map(|link| link.body.as_str()).collect();
    let insert = "INSERT INTO link (token, kind, account, email, short, body)
        SELECT token, kind, account, email, short, body
        FROM unnest($1::text[], $2::smallint[], $3::text[], $4::text[], $5::text[], $6::text[])
            WITH ORDINALITY new(token, kind, account, email, short, body, n)
        ORDER BY n";
    let columns: [(&(dyn ToSql + Sync), Type); 6] = [
        (&tokens, Type::TEXT_ARRAY),
        (&kinds, Type::INT2_ARRAY),
        (&accounts, Type::TEXT_ARRAY),
        (&emails, Type::TEXT_ARRAY),
        (&shorts, Type::TEXT_ARRAY),
        (&bodies, Type::TEXT_ARRAY),
    ];
    client.execute(insert, &columns).await.map(drop)
}
