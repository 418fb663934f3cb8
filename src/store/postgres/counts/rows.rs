//! The rows of the counts, and how they are asked for.

use std::time::Duration;

use tokio_postgres::types::{ToSql, Type};

use crate::accounts::throttle::{Key, Part};
use crate::network::Network;
use crate::store::postgres::client::Client;

/// Makes the rows that are not there.
pub(super) const MAKE: &str = "INSERT INTO throttle (kind, key)
    SELECT * FROM unnest($1::smallint[], $2::text[]) ON CONFLICT DO NOTHING";

pub(super) const LOCK: &str = "SELECT kind, key, body FROM throttle
    WHERE (kind, key) IN (SELECT * FROM unnest($1::smallint[], $2::text[]))
    ORDER BY kind, key FOR UPDATE";

pub(super) const LOOK: &str = "SELECT kind, key, body FROM throttle
    WHERE (kind, key) IN (SELECT * FROM unnest($1::smallint[], $2::text[]))";

/// In microseconds since 1970.
pub(super) const NOW: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";

pub(super) const WRITE: &str = "UPDATE throttle
    SET body = new.body, until = new.until, heavy = new.heavy
    FROM unnest($1::smallint[], $2::text[], $3::text[], $4::bigint[], $5::boolean[])
        new(kind, key, body, until, heavy)
    WHERE throttle.kind = new.kind AND throttle.key = new.key";

pub(super) const CLEAR: &str = "DELETE FROM throttle WHERE (kind, key) IN (
    SELECT kind, key FROM throttle
    WHERE (kind IN (1, 2) AND key >= $1 AND key < $2) OR (kind = $3 AND key = $4)
    ORDER BY kind, key FOR UPDATE)";

/// The kinds of rows that are named in statements.
pub(super) const ACCOUNT: i16 = 3;
pub(super) const BROWSER: i16 = 4;

/// How many kinds of rows there are.
pub(super) const KINDS: i16 = 18;

/// The kind and the key of a row.
pub(super) fn column(key: Key) -> (i16, String) {
    match key {
        Key::FromNetwork(account, origin) => (1, format!("{} {origin}", account.text())),
        Key::FromBlock(account, block) => (2, format!("{} {block}", account.text())),
        Key::Account(account) => (ACCOUNT, account.text()),
        Key::Browser(browser) => (BROWSER, browser.text()),
        Key::Network(origin) => (5, origin.to_string()),
        Key::Block(block) => (6, block.to_string()),
        Key::Members(origin) => (7, origin.to_string()),
        Key::BlockMembers(block) => (8, block.to_string()),
        Key::Recoveries(origin) => (9, origin.to_string()),
        Key::BlockRecoveries(block) => (10, block.to_string()),
        Key::Registrations(origin) => (11, origin.to_string()),
        Key::BlockRegistrations(block) => (12, block.to_string()),
        Key::Invited(invitation) => (13, invitation.text()),
        Key::WrongToken(token, origin) => (14, format!("{} {origin}", token.text())),
        Key::Mailed(of) => (15, of.text()),
        Key::Unproven(of) => (16, of.text()),
        Key::UnprovenFrom(origin) => (17, origin.to_string()),
        Key::UnprovenInAll => (KINDS, String::new()),
    }
}

/// Keys as parameters.
pub(super) struct Columns {
    pub(super) kinds: Vec<i16>,
    pub(super) keys: Vec<String>,
}

impl Columns {
    pub(super) fn of(keys: &[Key]) -> Self {
        let (kinds, keys) = keys.iter().map(|key| column(*key)).unzip();
        Self { kinds, keys }
    }

    pub(super) fn sort(&mut self) {
        let kinds = self.kinds.drain(..);
        let mut both: Vec<_> = kinds.zip(self.keys.drain(..)).collect();
        both.sort();
        (self.kinds, self.keys) = both.into_iter().unzip();
    }
}

/// The rows that raise the limit of a network and of its /48.
pub(super) fn members_of(origin: Option<Network>) -> Vec<Key> {
    let network = origin.map(Key::Members);
    let block = origin.and_then(Network::block).map(Key::BlockMembers);
    network.into_iter().chain(block).collect()
}

/// Writes what has come of the rows.
pub(super) async fn write(
    client: &Client,
    keys: &[Key],
    part: &mut Part,
) -> Result<(), tokio_postgres::Error> {
    let kept = keys.iter().filter_map(|key| Some((*key, part.kept(*key)?)));
    let (keys, kept): (Vec<Key>, Vec<_>) = kept.unzip();
    let columns = Columns::of(&keys);
    let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
    let untils: Vec<i64> = kept.iter().map(|row| micros(row.until)).collect();
    let heavy: Vec<bool> = kept.iter().map(|row| row.is_heavy).collect();
    let bodies: Vec<String> = kept.into_iter().map(|row| row.body).collect();
    let asked: [(&(dyn ToSql + Sync), Type); 5] = [
        (&columns.kinds, Type::INT2_ARRAY),
        (&columns.keys, Type::TEXT_ARRAY),
        (&bodies, Type::TEXT_ARRAY),
        (&untils, Type::INT8_ARRAY),
        (&heavy, Type::BOOL_ARRAY),
    ];
    client.execute(WRITE, &asked).await?;
    Ok(())
}
