//! The part of the store that a question or a change is about, as if it were all of it: the rules
//! are the same as on files, and look at nothing else.
//!
//! Accounts are locked first and in the order of their ids, then links: whoever changes the same
//! waits, and nobody waits for one another.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::{self, FutureExt as _};
use serde_json::{Map, Value};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::accounts::session::Sessions;
use crate::accounts::{Account, Accounts, names};
use crate::store::about::About;
use crate::store::draft::Base;
use crate::store::postgres::client::Client;
use crate::store::postgres::rows::{self, ACCOUNT, AccountRow, Damaged, SESSION, read_session};
use crate::store::postgres::seal::Seal;

/// Whether what is read is to be changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Lock {
    /// Nobody else changes it before the transaction ends.
    Held,
    Not,
}

impl Lock {
    fn clause(self) -> &'static str {
        match self {
            Self::Held => " FOR UPDATE",
            Self::Not => "",
        }
    }
}

/// What proves or changes an address, and what invites.
pub(super) const CONFIRMS: i16 = 1;
pub(super) const INVITES: i16 = 2;

/// Reads the part that is asked for.
pub(super) async fn read(
    client: &Client,
    about: &About,
    seal: &Seal,
    lock: Lock,
) -> Result<Result<Base, Damaged>, tokio_postgres::Error> {
    if about.is_everything {
        return everything(client, seal, lock).await;
    }
    let wanted = Wanted::of(client, about).await?;
    let accounts = wanted.accounts(client, lock).await?;
    let accounts = match read_accounts(&accounts, seal) {
        Ok(accounts) => accounts,
        Err(damaged) => return Ok(Err(damaged)),
    };
    let none = || future::ready(Ok(Vec::new()));
    let (links, former) = match about.is_plain {
        true => (none().left_future(), none().right_future()),
        false => {
            let links = wanted.links(client, &accounts, lock);
            (links.right_future(), wanted.former(client).left_future())
        }
    };
    let sessions = wanted.sessions(client, &accounts);
    let (sessions, links, former) = future::try_join3(sessions, links, former).await?;
    let beside = Beside { links, former };
    Ok(together(accounts, &sessions, beside))
}

async fn everything(
    client: &Client,
    seal: &Seal,
    lock: Lock,
) -> Result<Result<Base, Damaged>, tokio_postgres::Error> {
    if lock == Lock::Held {
        let tables = "LOCK TABLE account, link, former IN EXCLUSIVE MODE";
        client.batch_execute(tables).await?;
    }
    let all = async |columns: &str, table: &str| {
        let query = format!("SELECT {columns} FROM {table} ORDER BY place");
        client.query(&query, &[]).await
    };
    let accounts = all(ACCOUNT, "account").await?;
    let accounts = match read_accounts(&accounts, seal) {
        Ok(accounts) => accounts,
        Err(damaged) => return Ok(Err(damaged)),
    };
    let sessions = all(SESSION, "session").await?;
    let beside = Beside {
        links: all("token, kind, body", "link").await?,
        former: all("name, since", "former").await?,
    };
    Ok(together(accounts, &sessions, beside))
}

fn read_accounts(rows: &[Row], seal: &Seal) -> Result<Vec<Account>, Damaged> {
    let rows = rows.iter();
    rows.map(|row| AccountRow::read(row, 0, seal)).collect()
}

/// What is kept beside accounts and sessions.
struct Beside {
    links: Vec<Row>,
    former: Vec<Row>,
}

/// The rows as the rules know them.
fn together(accounts: Vec<Account>, sessions: &[Row], beside: Beside) -> Result<Base, Damaged> {
    let mut all = Accounts::default();
    for account in accounts {
        let id = account.id.clone();
        all.add(account).map_err(|taken| Damaged {
            which: format!("account {}", id.unwrap_or_default()),
            reason: format!("what it has is another's: {taken:?}"),
        })?;
    }
    let of_kind = |wanted: i16| -> Result<Map<String, Value>, Damaged> {
        let rows = beside
            .links
            .iter()
            .filter(|row| row.try_get(1).ok() == Some(wanted));
        rows.map(|row| {
            let (token, body) = (text(row, 0, "link")?, text(row, 2, "link")?);
            let body = serde_json::from_str(&body).map_err(|error| unread("link", &error))?;
            Ok((token, body))
        })
        .collect()
    };
    let confirmations = Value::Object(of_kind(CONFIRMS)?);
    all.set_confirmations(parsed(confirmations, "link")?);
    all.set_invitations(parsed(Value::Object(of_kind(INVITES)?), "link")?);
    let former: Result<Map<String, Value>, Damaged> = beside
        .former
        .iter()
        .map(|row| Ok((text(row, 0, "former")?, text(row, 1, "former")?.into())))
        .collect();
    all.set_former(parsed(Value::Object(former?), "former")?);
    let sessions: Result<Sessions, Damaged> =
        sessions.iter().map(|row| read_session(row, 0)).collect();
    Ok(Base {
        accounts: Arc::new(all),
        sessions: Arc::new(sessions?),
    })
}

fn text(row: &Row, column: usize, table: &str) -> Result<String, Damaged> {
    row.try_get(column).map_err(|error| unread(table, &error))
}

fn parsed<T: serde::de::DeserializeOwned>(value: Value, table: &str) -> Result<T, Damaged> {
    serde_json::from_value(value).map_err(|error| unread(table, &error))
}

fn unread(table: &str, error: &dyn std::fmt::Display) -> Damaged {
    rows::damaged(table, "?", &error.to_string())
}

/// Keys in the form in which they are asked for.
struct Wanted {
    names: Vec<String>,
    emails: Vec<String>,
    /// Ids of accounts.
    ids: Vec<String>,
    tokens: Vec<String>,
    shorts: Vec<String>,
}

impl Wanted {
    /// What is asked for, and what the links in it lead to: their accounts, whoever made them, and
    /// who has the addresses in them. Nothing is locked yet.
    async fn of(client: &Client, about: &About) -> Result<Self, tokio_postgres::Error> {
        let mut wanted = Self {
            names: about.names.clone(),
            emails: about.emails.clone(),
            ids: about.ids.clone(),
            tokens: about.tokens.iter().map(|token| token.text()).collect(),
            shorts: about.shorts.clone(),
        };
        if !about.credentials.is_empty() {
            let query = "SELECT account FROM credential WHERE key = ANY($1)";
            let asked = [texts(&about.credentials)];
            for row in client.query(query, &asked).await? {
                wanted.ids.push(row.try_get(0)?);
            }
        }
        if wanted.tokens.is_empty() && wanted.shorts.is_empty() {
            return Ok(wanted);
        }
        let query = "SELECT body FROM link WHERE token = ANY($1) OR short = ANY($2)";
        let asked = [texts(&wanted.tokens), texts(&wanted.shorts)];
        for row in client.query(query, &asked).await? {
            let body: Value = serde_json::from_str(row.try_get(0)?).unwrap_or_default();
            let field = |name: &str| body.get(name).and_then(Value::as_str);
            wanted.ids.extend(field("account").map(str::to_owned));
            wanted
                .names
                .extend(field("by").map(|name| names::key(name).into_owned()));
            for address in [field("email"), field("to")].into_iter().flatten() {
                wanted.emails.push(names::key(address).into_owned());
            }
        }
        Ok(wanted)
    }

    async fn accounts(
        &self,
        client: &Client,
        lock: Lock,
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        let query = format!(
            "SELECT {ACCOUNT} FROM account
            WHERE name = ANY($1) OR email = ANY($2) OR id = ANY($3) ORDER BY id{}",
            lock.clause()
        );
        let asked = [texts(&self.names), texts(&self.emails), texts(&self.ids)];
        client.query(&query, &asked).await
    }

    /// Those of the accounts found, and of names that nobody has.
    async fn sessions(
        &self,
        client: &Client,
        accounts: &[Account],
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        let found = accounts.iter().map(|account| names::key(&account.username));
        let found = found.map(std::borrow::Cow::into_owned);
        let names: BTreeSet<String> = found.chain(self.names.iter().cloned()).collect();
        let names: Vec<String> = names.into_iter().collect();
        let query = format!("SELECT {SESSION} FROM session WHERE name = ANY($1) ORDER BY place");
        client.query(&query, &[texts(&names)]).await
    }

    /// The links asked for, those of the accounts found, and invitations to the addresses.
    async fn links(
        &self,
        client: &Client,
        accounts: &[Account],
        lock: Lock,
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        let ids = accounts.iter().filter_map(|account| account.id.as_ref());
        let ids: Vec<String> = ids.map(|id| id.as_str().to_owned()).collect();
        let query = format!(
            "SELECT token, kind, body FROM link WHERE token = ANY($1) OR short = ANY($2)
            OR account = ANY($3) OR email = ANY($4) ORDER BY token{}",
            lock.clause()
        );
        let asked = [
            texts(&self.tokens),
            texts(&self.shorts),
            texts(&ids),
            texts(&self.emails),
        ];
        client.query(&query, &asked).await
    }

    async fn former(&self, client: &Client) -> Result<Vec<Row>, tokio_postgres::Error> {
        let query = "SELECT name, since FROM former WHERE name = ANY($1) ORDER BY place";
        client.query(query, &[texts(&self.names)]).await
    }
}

/// Texts as a parameter.
pub(super) fn texts(texts: &Vec<String>) -> (&(dyn ToSql + Sync), Type) {
    (texts, Type::TEXT_ARRAY)
}
