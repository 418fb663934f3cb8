//! What a change has made of its part of the store, as statements.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::future;
use serde_json::{Map, Value};
use tokio_postgres::types::{ToSql, Type};

use crate::accounts::former::MOST_OF_STRANGERS;
use crate::accounts::session::Session;
use crate::accounts::token::Digest;
use crate::accounts::{Account, Accounts, names};
use crate::store::draft::{Draft, KeptMail};
use crate::store::postgres::client::Client;
use crate::store::postgres::links::{self, Link};
use crate::store::postgres::mail_rows;
use crate::store::postgres::marks::{self, Marks, Written};
use crate::store::postgres::pending;
use crate::store::postgres::rows::AccountRow;
use crate::store::postgres::seal::Seal;
use crate::store::postgres::sessions;
use crate::store::postgres::slice::{CONFIRMS, INVITES, texts};

/// Most accounts that are added by one statement.
const AT_ONCE: usize = 500;

/// Everything that a change has made another, in the order in which it is written.
///
/// No `Debug`: it has accounts in it.
pub(super) struct Changes {
    /// Ids.
    gone: Vec<String>,
    changed: Vec<AccountRow>,
    new: Vec<AccountRow>,
    /// What accounts are found by.
    marks: Vec<Written>,
    /// Ids of sessions, of whatever account.
    ended: Vec<Digest>,
    begun: Vec<Arc<Session>>,
    closed: Vec<String>,
    opened: Vec<Link>,
    mails: Vec<KeptMail>,
    /// Names that are free again.
    freed: Vec<String>,
    held: Vec<Held>,
    pending: pending::Changes,
    /// Names in lower case of the accounts that are gone or another.
    touched: Vec<String>,
}

/// What is not as it was: sessions by id, and accounts by name in lower case.
pub(super) struct Touched {
    pub(super) ids: Vec<Digest>,
    pub(super) names: Vec<String>,
}

struct Held {
    name: String,
    since: String,
    /// Whether a stranger had made the account: of such names not so many are held.
    is_strangers: bool,
}

impl Changes {
    /// # Errors
    ///
    /// If something cannot be written as JSON.
    pub(super) fn of(draft: &Draft, seal: &Seal) -> serde_json::Result<Self> {
        let (before, after) = (&draft.base.accounts, &draft.accounts);
        let was: HashMap<_, _> = before
            .iter()
            .map(|account| (&account.id, account))
            .collect();
        let is: HashSet<_> = after.iter().map(|account| &account.id).collect();
        let (mut changed, mut new, mut marks) = (Vec::new(), Vec::new(), Vec::new());
        for account in after.iter() {
            let before = was.get(&account.id);
            match before {
                Some(same) if Arc::ptr_eq(same, account) => continue,
                Some(_) => changed.push(AccountRow::of(account, seal)?),
                None => new.push(AccountRow::of(account, seal)?),
            }
            let before = before.map(|before| Marks::of(before));
            marks.extend(Marks::of(account).since(before.as_ref()));
        }
        let is_same = |account: &&Arc<Account>| {
            let found = after.find(&account.username);
            found.is_some_and(|found| Arc::ptr_eq(found, account))
        };
        let touched = before.iter().filter(|account| !is_same(account));
        let touched = touched.map(|account| names::key(&account.username).into_owned());
        let touched = touched.collect();
        let gone = before.iter().filter(|account| !is.contains(&account.id));
        let gone = gone.filter_map(|account| account.id.as_ref());
        let gone = gone.map(|id| id.as_str().to_owned()).collect();
        let (ended, begun) = ended_and_begun(draft);
        let (mut closed, mut opened) = (Vec::new(), Vec::new());
        for kind in [CONFIRMS, INVITES] {
            let (was, is) = (links::of(before, kind)?, links::of(after, kind)?);
            closed.extend(was.keys().filter(|token| !is.contains_key(*token)).cloned());
            let other = is
                .iter()
                .filter(|(token, body)| was.get(*token) != Some(*body));
            let other = other.map(|(token, body)| Link::of(token, kind, body));
            opened.extend(other.collect::<serde_json::Result<Vec<_>>>()?);
        }
        let (freed, held) = former(before, after)?;
        Ok(Self {
            gone,
            changed,
            new,
            marks,
            ended,
            begun,
            closed,
            opened,
            mails: draft.mails.clone(),
            freed,
            held,
            pending: pending::Changes::of(&draft.pending, seal)?,
            touched,
        })
    }

    /// What is not as it was.
    pub(super) fn touched(&self) -> Touched {
        let begun = self.begun.iter().map(|session| session.id);
        Touched {
            ids: begun.chain(self.ended.iter().copied()).collect(),
            names: self.touched.clone(),
        }
    }

    /// Whether nothing is to be written.
    pub(super) fn are_none(&self) -> bool {
        self.gone.is_empty()
            && self.changed.is_empty()
            && self.new.is_empty()
            && self.ended.is_empty()
            && self.begun.is_empty()
            && self.closed.is_empty()
            && self.opened.is_empty()
            && self.mails.is_empty()
            && self.freed.is_empty()
            && self.held.is_empty()
            && self.pending.are_none()
    }

    /// Writes all of it, within a transaction. All of it is on its way at once, in this order, for
    /// as far as one statement does not need the answer to another.
    pub(super) async fn write(
        &self,
        client: &Client,
        seal: &Seal,
    ) -> Result<(), tokio_postgres::Error> {
        let accounts = self.write_accounts(client);
        let sessions = self.write_sessions(client);
        let (links, former) = (self.write_links(client), self.write_former(client));
        let pending = self.pending.write(client);
        future::try_join5(accounts, sessions, links, former, pending).await?;
        for mail in &self.mails {
            mail_rows::insert(client, mail, seal).await?;
        }
        Ok(())
    }

    async fn write_accounts(&self, client: &Client) -> Result<(), tokio_postgres::Error> {
        remove(client, "DELETE FROM account WHERE id = ANY($1)", &self.gone).await?;
        marks::remove(client, &self.gone).await?;
        let update = "UPDATE account SET name = $2, email = $3, username = $4, body = $5,
            totp = $6, unclaimed = $7, revision = revision + 1 WHERE id = $1";
        for row in &self.changed {
            let columns: [(&(dyn ToSql + Sync), Type); 7] = [
                (&row.id, Type::TEXT),
                (&row.name, Type::TEXT),
                (&row.email, Type::TEXT),
                (&row.username, Type::TEXT),
                (&row.body, Type::TEXT),
                (&row.totp, Type::BYTEA),
                (&row.unclaimed, Type::INT8),
            ];
            client.execute(update, &columns).await?;
        }
        for some in self.new.chunks(AT_ONCE) {
            insert_accounts(client, some).await?;
        }
        for written in &self.marks {
            written.write(client).await?;
        }
        Ok(())
    }

    async fn write_sessions(&self, client: &Client) -> Result<(), tokio_postgres::Error> {
        let ended: Vec<String> = self.ended.iter().map(Digest::text).collect();
        remove(client, "DELETE FROM session WHERE id = ANY($1)", &ended).await?;
        if !self.begun.is_empty() {
            let body = |session: &Session| serde_json::to_string(session).unwrap_or_default();
            let bodies: Vec<String> = self.begun.iter().map(|session| body(session)).collect();
            let begun = self.begun.iter().map(AsRef::as_ref).zip(&bodies);
            sessions::insert(client, &begun.collect::<Vec<_>>()).await?;
        }
        Ok(())
    }

    async fn write_links(&self, client: &Client) -> Result<(), tokio_postgres::Error> {
        remove(
            client,
            "DELETE FROM link WHERE token = ANY($1)",
            &self.closed,
        )
        .await?;
        if !self.opened.is_empty() {
            links::insert(client, &self.opened).await?;
        }
        if self.opened.iter().any(|link| link.kind == CONFIRMS) {
            links::make_room(client).await?;
        }
        Ok(())
    }

    async fn write_former(&self, client: &Client) -> Result<(), tokio_postgres::Error> {
        remove(
            client,
            "DELETE FROM former WHERE name = ANY($1)",
            &self.freed,
        )
        .await?;
        for held in &self.held {
            let most = match held.is_strangers {
                true => i64::try_from(MOST_OF_STRANGERS).unwrap_or(i64::MAX),
                false => i64::MAX,
            };
            let insert = "INSERT INTO former (name, since)
                SELECT $1, $2 WHERE (SELECT count(*) FROM former) < $3
                ON CONFLICT (name) DO UPDATE SET since = excluded.since";
            let columns: [(&(dyn ToSql + Sync), Type); 3] = [
                (&held.name, Type::TEXT),
                (&held.since, Type::TEXT),
                (&most, Type::INT8),
            ];
            client.execute(insert, &columns).await?;
        }
        Ok(())
    }
}

/// Adds accounts in this order.
pub(super) async fn insert_accounts(
    client: &Client,
    new: &[AccountRow],
) -> Result<(), tokio_postgres::Error> {
    let insert = "INSERT INTO account (id, name, email, username, body, totp, unclaimed)
        SELECT id, name, email, username, body, totp, unclaimed
        FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[],
            $7::bigint[]) WITH ORDINALITY
            AS new(id, name, email, username, body, totp, unclaimed, nth)
        ORDER BY nth";
    let ids: Vec<&str> = new.iter().map(|row| row.id.as_str()).collect();
    let names: Vec<&str> = new.iter().map(|row| row.name.as_str()).collect();
    let emails: Vec<Option<&str>> = new.iter().map(|row| row.email.as_deref()).collect();
    let usernames: Vec<&str> = new.iter().map(|row| row.username.as_str()).collect();
    let bodies: Vec<&str> = new.iter().map(|row| row.body.as_str()).collect();
    let keys: Vec<Option<&[u8]>> = new.iter().map(|row| row.totp.as_deref()).collect();
    let unclaimed: Vec<Option<i64>> = new.iter().map(|row| row.unclaimed).collect();
    let columns: [(&(dyn ToSql + Sync), Type); 7] = [
        (&ids, Type::TEXT_ARRAY),
        (&names, Type::TEXT_ARRAY),
        (&emails, Type::TEXT_ARRAY),
        (&usernames, Type::TEXT_ARRAY),
        (&bodies, Type::TEXT_ARRAY),
        (&keys, Type::BYTEA_ARRAY),
        (&unclaimed, Type::INT8_ARRAY),
    ];
    client.execute(insert, &columns).await.map(drop)
}

async fn remove(
    client: &Client,
    statement: &str,
    keys: &Vec<String>,
) -> Result<(), tokio_postgres::Error> {
    if !keys.is_empty() {
        client.execute(statement, &[texts(keys)]).await?;
    }
    Ok(())
}

/// Sessions that end, also those that are not of this part of the store, and those that begin.
fn ended_and_begun(draft: &Draft) -> (Vec<Digest>, Vec<Arc<Session>>) {
    let (before, after) = (&draft.base.sessions, &draft.sessions);
    let gone = before
        .iter()
        .filter(|session| after.find(session.id).is_none());
    let gone = gone.map(|session| session.id);
    let ended: HashSet<Digest> = gone.chain(draft.asked_ends.iter().copied()).collect();
    let is_begun = |session: &&Arc<Session>| {
        let was = before.find(session.id);
        ended.contains(&session.id) || !was.is_some_and(|was| Arc::ptr_eq(was, session))
    };
    let begun = after.iter().filter(is_begun).cloned().collect();
    (ended.into_iter().collect(), begun)
}

/// The names that are free again, and those that are held anew.
fn former(before: &Accounts, after: &Accounts) -> serde_json::Result<(Vec<String>, Vec<Held>)> {
    let all = |accounts: &Accounts| -> serde_json::Result<Map<String, Value>> {
        serde_json::from_value(serde_json::to_value(accounts.former().as_ref())?)
    };
    let (was, is) = (all(before)?, all(after)?);
    let freed = was.keys().filter(|name| !is.contains_key(*name)).cloned();
    let other = is
        .iter()
        .filter(|(name, since)| was.get(*name) != Some(*since));
    let held = other.map(|(name, since)| Held {
        is_strangers: before
            .find(name)
            .is_some_and(|account: &Arc<Account>| account.registered),
        name: name.clone(),
        since: since.as_str().unwrap_or_default().to_owned(),
    });
    Ok((freed.collect(), held.collect()))
}
