//! What accounts are found by beside their names, in columns and tables of its own, so that no
//! question goes through all of them: their passkeys and access tokens, whether anybody has ever
//! logged in, and from where.

use std::collections::HashSet;

use serde_json::Value;
use tokio_postgres::types::{ToSql, Type};

use crate::accounts::Account;
use crate::accounts::unclaimed::{AT_ONCE, stays};
use crate::clock::Timestamp;
use crate::network::Network;
use crate::store::about::{About, of_passkey, of_token};
use crate::store::error::{NotSaved, Unavailable};
use crate::store::postgres::client::Client;
use crate::store::postgres::database::Database;
use crate::store::postgres::slice::texts;

/// Time by which the end of a network's time may be behind, so that not every login writes a row
/// that many share.
const BEHIND: i64 = 12 * 3600;

/// Most networks that a node goes by: those that were logged in from last.
const MOST_NETWORKS: i64 = 200_000;

/// What an account is found by, as columns.
#[derive(Clone, PartialEq)]
pub(super) struct Marks {
    id: String,
    credentials: Vec<Credential>,
    /// Each with the time from when to when it is regular.
    networks: Vec<(String, i64, i64)>,
}

#[derive(Clone, PartialEq)]
struct Credential {
    key: String,
    host: Option<String>,
    goes: Option<i64>,
}

impl Marks {
    pub(super) fn of(account: &Account) -> Self {
        let passkeys = account.passkeys.iter().map(|passkey| Credential {
            key: of_passkey(&passkey.id),
            host: Some(passkey.rp.clone()),
            goes: None,
        });
        let tokens = account.tokens.iter().map(|token| Credential {
            key: of_token(token.hash),
            host: None,
            goes: Some(seconds(token.goes())),
        });
        let networks = account.spans();
        let networks = networks
            .map(|(network, since, until)| (network.to_string(), seconds(since), seconds(until)));
        let id = account.id.as_ref();
        Self {
            id: id.map(|id| id.as_str().to_owned()).unwrap_or_default(),
            credentials: passkeys.chain(tokens).collect(),
            networks: networks.collect(),
        }
    }

    /// What of them is not as it was; `None` if nothing is to be written.
    pub(super) fn since(mut self, before: Option<&Self>) -> Option<Written> {
        let was = before
            .map(|before| &before.networks[..])
            .unwrap_or_default();
        self.networks.retain(|network| !was.contains(network));
        let is_same = match before {
            Some(before) => before.credentials == self.credentials,
            None => self.credentials.is_empty(),
        };
        let is_anything = !is_same || !self.networks.is_empty();
        is_anything.then_some(Written {
            marks: self,
            credentials: !is_same,
        })
    }
}

/// What is to be written.
pub(super) struct Written {
    marks: Marks,
    /// Whether the credentials are others.
    credentials: bool,
}

impl Written {
    /// Writes it, within the transaction of its account.
    pub(super) async fn write(&self, client: &Client) -> Result<(), tokio_postgres::Error> {
        if self.credentials {
            self.write_credentials(client).await?;
        }
        for (network, since, until) in &self.marks.networks {
            // A row that will do is not even locked: others log in from there at the same time.
            let insert = "INSERT INTO regular (network, since, until)
                SELECT $1, $2, $3 WHERE NOT EXISTS (SELECT FROM regular
                    WHERE network = $1 AND since <= $2 AND until >= $3 - $4)
                ON CONFLICT (network) DO UPDATE SET
                    since = least(regular.since, excluded.since),
                    until = greatest(regular.until, excluded.until)";
            let columns: [(&(dyn ToSql + Sync), Type); 4] = [
                (network, Type::TEXT),
                (since, Type::INT8),
                (until, Type::INT8),
                (&BEHIND, Type::INT8),
            ];
            client.execute(insert, &columns).await?;
        }
        Ok(())
    }

    async fn write_credentials(&self, client: &Client) -> Result<(), tokio_postgres::Error> {
        let id = [(&self.marks.id as &(dyn ToSql + Sync), Type::TEXT)];
        let remove = "DELETE FROM credential WHERE account = $1";
        client.execute(remove, &id).await?;
        for credential in &self.marks.credentials {
            let insert = "INSERT INTO credential (key, account, host, goes)
                VALUES ($1, $2, $3, $4)";
            let columns: [(&(dyn ToSql + Sync), Type); 4] = [
                (&credential.key, Type::TEXT),
                (&self.marks.id, Type::TEXT),
                (&credential.host, Type::TEXT),
                (&credential.goes, Type::INT8),
            ];
            client.execute(insert, &columns).await?;
        }
        Ok(())
    }
}

/// Writes all of it for accounts that nothing is written of yet.
pub(super) async fn add_all(client: &Client, all: &[Marks]) -> Result<(), tokio_postgres::Error> {
    let credentials = all.iter().flat_map(|marks| {
        let of_one = marks.credentials.iter();
        of_one.map(|credential| (marks.id.as_str(), credential))
    });
    let (ids, credentials): (Vec<&str>, Vec<&Credential>) = credentials.unzip();
    let keys: Vec<&str> = credentials.iter().map(|one| one.key.as_str()).collect();
    let hosts: Vec<Option<&str>> = credentials.iter().map(|one| one.host.as_deref()).collect();
    let goes: Vec<Option<i64>> = credentials.iter().map(|one| one.goes).collect();
    let insert = "INSERT INTO credential (key, account, host, goes)
        SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[])";
    let columns: [(&(dyn ToSql + Sync), Type); 4] = [
        (&keys, Type::TEXT_ARRAY),
        (&ids, Type::TEXT_ARRAY),
        (&hosts, Type::TEXT_ARRAY),
        (&goes, Type::INT8_ARRAY),
    ];
    client.execute(insert, &columns).await?;
    let networks: Vec<_> = all.iter().flat_map(|marks| &marks.networks).collect();
    let names: Vec<&str> = networks.iter().map(|(name, ..)| name.as_str()).collect();
    let since: Vec<i64> = networks.iter().map(|(_, since, _)| *since).collect();
    let until: Vec<i64> = networks.iter().map(|(.., until)| *until).collect();
    let insert = "INSERT INTO regular (network, since, until)
        SELECT network, min(since), max(until)
        FROM unnest($1::text[], $2::bigint[], $3::bigint[]) new(network, since, until)
        GROUP BY network
        ON CONFLICT (network) DO UPDATE SET
            since = least(regular.since, excluded.since),
            until = greatest(regular.until, excluded.until)";
    let columns: [(&(dyn ToSql + Sync), Type); 3] = [
        (&names, Type::TEXT_ARRAY),
        (&since, Type::INT8_ARRAY),
        (&until, Type::INT8_ARRAY),
    ];
    client.execute(insert, &columns).await.map(drop)
}

/// Removes what accounts that are gone were found by.
pub(super) async fn remove(
    client: &Client,
    ids: &Vec<String>,
) -> Result<(), tokio_postgres::Error> {
    if ids.is_empty() {
        return Ok(());
    }
    let remove = "DELETE FROM credential WHERE account = ANY($1)";
    client.execute(remove, &[texts(ids)]).await.map(drop)
}

/// A moment as a column.
pub(super) fn seconds(moment: Timestamp) -> i64 {
    i64::try_from(moment.0).unwrap_or(i64::MAX)
}

/// Most ids that are asked for at once, as a parameter.
const MOST: (&(dyn ToSql + Sync), Type) = (&(AT_ONCE as i64), Type::INT8);

impl Database {
    /// As [`Accounts::with_passkeys_elsewhere`](crate::accounts::Accounts::with_passkeys_elsewhere).
    ///
    /// # Errors
    ///
    /// If it cannot be read now.
    pub(crate) fn with_passkeys_elsewhere(&self, host: &str) -> Result<usize, Unavailable> {
        let host = host.to_owned();
        let count = self.shared().ask(async |client| {
            let query = "SELECT count(DISTINCT account) FROM credential WHERE host <> $1";
            let row = client.query_one(query, &[(&host, Type::TEXT)]).await?;
            row.try_get::<_, i64>(0).map(Ok)
        })?;
        Ok(usize::try_from(count).unwrap_or(0))
    }

    /// Whether there is no account.
    ///
    /// # Errors
    ///
    /// If that cannot be read now.
    pub(crate) fn is_empty(&self) -> Result<bool, Unavailable> {
        self.shared().ask(async |client| {
            let query = "SELECT NOT EXISTS (SELECT FROM account)";
            let row = client.query_one(query, &[]).await?;
            row.try_get(0).map(Ok)
        })
    }

    /// As [`Accounts::regular_networks`](crate::accounts::Accounts::regular_networks).
    ///
    /// # Errors
    ///
    /// If they cannot be read now.
    pub(in crate::store) fn regular_networks(
        &self,
        now: Timestamp,
    ) -> Result<HashSet<Network>, Unavailable> {
        let now = seconds(now);
        self.shared().ask(async |client| {
            let query = "SELECT network FROM regular WHERE since <= $1 AND until > $1
                ORDER BY until DESC LIMIT $2";
            let asked: [(&(dyn ToSql + Sync), Type); 2] =
                [(&now, Type::INT8), (&MOST_NETWORKS, Type::INT8)];
            let rows = client.query(query, &asked).await?;
            // One that somebody else has written there counts for nothing.
            let network = |text: String| serde_json::from_value(Value::String(text)).ok();
            let networks = rows.iter().filter_map(|row| network(row.try_get(0).ok()?));
            Ok(Ok(networks.collect()))
        })
    }

    /// Removes accounts that nobody ever logged in to and that have stayed long enough, some at a
    /// time, and gives their names.
    ///
    /// # Errors
    ///
    /// If they cannot be read, or the change could not be saved.
    pub(in crate::store) fn remove_unclaimed(
        &self,
        now: Timestamp,
    ) -> Result<Vec<String>, NotSaved> {
        let counted = self.shared().ask(async |client| {
            let query = "SELECT count(*) FROM account WHERE unclaimed IS NOT NULL";
            let row = client.query_one(query, &[]).await?;
            row.try_get::<_, i64>(0).map(Ok)
        });
        let counted = usize::try_from(counted.map_err(not_read)?).unwrap_or(usize::MAX);
        let stays = stays(counted);
        let before = seconds(Timestamp(now.0.saturating_sub(stays.as_secs())));
        let query = "SELECT id FROM account WHERE unclaimed <= $1 ORDER BY unclaimed LIMIT $2";
        let ids = self.ids(query, &[(&before, Type::INT8), MOST])?;
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        self.update(&About::ids(ids), |draft| {
            draft.remove_unclaimed_for(stays, now)
        })
    }

    /// Removes access tokens that expired long ago.
    ///
    /// # Errors
    ///
    /// If they cannot be read, or the change could not be saved.
    pub(in crate::store) fn drop_past_tokens(&self, now: Timestamp) -> Result<(), NotSaved> {
        let query = "SELECT DISTINCT account FROM credential WHERE goes <= $1 AND account > $3
            ORDER BY account LIMIT $2";
        let (until, mut done) = (seconds(now), String::new());
        // One that is there again, of an account that is not, is passed by.
        loop {
            let ids = self.ids(query, &[(&until, Type::INT8), MOST, (&done, Type::TEXT)])?;
            let Some(last) = ids.last().cloned() else {
                return Ok(());
            };
            self.update(&About::ids(ids), |draft| draft.drop_past_tokens(now))?;
            done = last;
        }
    }

    /// The ids that a query gives.
    fn ids(
        &self,
        query: &str,
        asked: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<String>, NotSaved> {
        let ids = self.shared().ask(async |client| {
            let rows = client.query(query, asked).await?;
            let ids: Result<_, _> = rows.iter().map(|row| row.try_get(0)).collect();
            ids.map(Ok)
        });
        ids.map_err(not_read)
    }
}

fn not_read(_: Unavailable) -> NotSaved {
    NotSaved::busy_database(&"it cannot be read")
}
