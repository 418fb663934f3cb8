//! Sessions apart from accounts: those that begin, which are as they were, which are over, how many
//! there are.

use std::time::Duration;

use tokio_postgres::types::{ToSql, Type};

use crate::accounts::names;
use crate::accounts::session::{Limits, Session};
use crate::accounts::token::Digest;
use crate::clock::Timestamp;
use crate::store::postgres::client::Client;
use crate::store::postgres::marks;
use crate::store::postgres::recent::Version;
use crate::store::postgres::slice::texts;

/// For each of these sessions that there is, what its account is now, and when it was last used.
pub(super) async fn versions(
    client: &Client,
    ids: &[Digest],
) -> Result<Vec<Option<(Version, Timestamp)>>, tokio_postgres::Error> {
    let asked: Vec<String> = ids.iter().map(Digest::text).collect();
    let query = "SELECT asked.number, account.id, account.revision, session.last_seen
        FROM unnest($1::text[]) WITH ORDINALITY asked(id, number)
        JOIN session USING (id) JOIN account USING (name)";
    let mut found = vec![None; ids.len()];
    for row in client.query(query, &[texts(&asked)]).await? {
        // They are numbered from 1.
        let place = usize::try_from(row.try_get::<_, i64>(0)? - 1).unwrap_or(usize::MAX);
        if let Some(found) = found.get_mut(place) {
            let version = Version {
                account: row.try_get(1)?,
                revision: row.try_get(2)?,
            };
            let last_seen = u64::try_from(row.try_get::<_, i64>(3)?).unwrap_or(0);
            *found = Some((version, Timestamp(last_seen)));
        }
    }
    Ok(found)
}

/// Adds sessions in this order, each with its body; one that is there already is this one from now on.
pub(super) async fn insert(
    client: &Client,
    new: &[(&Session, &String)],
) -> Result<(), tokio_postgres::Error> {
    let insert = "INSERT INTO session (id, name, created, last_seen, remembered, body)
        SELECT id, name, created, last_seen, remembered, body
        FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[])
            WITH ORDINALITY new(id, name, created, last_seen, remembered, body, nth)
        ORDER BY nth
        ON CONFLICT (id) DO UPDATE SET name = excluded.name, created = excluded.created,
        last_seen = excluded.last_seen, remembered = excluded.remembered, body = excluded.body";
    let sessions = || new.iter().map(|(session, _)| *session);
    let ids: Vec<String> = sessions().map(|session| session.id.text()).collect();
    let names: Vec<_> = sessions()
        .map(|session| names::key(&session.username))
        .collect();
    let times = |of: fn(&Session) -> i64| sessions().map(of).collect::<Vec<i64>>();
    let created = times(|session| marks::seconds(session.created));
    let seen = times(|session| marks::seconds(session.last_seen()));
    let remembered = sessions().map(|session| session.remembered.map(marks::seconds));
    let remembered: Vec<Option<i64>> = remembered.collect();
    let bodies: Vec<&String> = new.iter().map(|(_, body)| *body).collect();
    let columns: [(&(dyn ToSql + Sync), Type); 6] = [
        (&ids, Type::TEXT_ARRAY),
        (&names, Type::TEXT_ARRAY),
        (&created, Type::INT8_ARRAY),
        (&seen, Type::INT8_ARRAY),
        (&remembered, Type::INT8_ARRAY),
        (&bodies, Type::TEXT_ARRAY),
    ];
    client.execute(insert, &columns).await.map(drop)
}

/// Saves last uses; one that another node has seen later stays.
pub(super) async fn save_uses(
    client: &Client,
    uses: &[(Digest, u64)],
) -> Result<u64, tokio_postgres::Error> {
    let ids: Vec<String> = uses.iter().map(|(id, _)| id.text()).collect();
    let seen = |(_, seen): &(Digest, u64)| i64::try_from(*seen).unwrap_or(i64::MAX);
    let seen: Vec<i64> = uses.iter().map(seen).collect();
    let statement = "UPDATE session SET last_seen = greatest(session.last_seen, used.seen)
        FROM unnest($1::text[], $2::bigint[]) used(id, seen) WHERE session.id = used.id";
    let asked: [(&(dyn ToSql + Sync), Type); 2] = [texts(&ids), (&seen, Type::INT8_ARRAY)];
    client.execute(statement, &asked).await
}

/// Ends the sessions that are over by the `limits`, and those of no account. When one was last used
/// may be known here by `late` too late.
pub(super) async fn end_those_over(
    client: &Client,
    limits: Limits,
    late: Duration,
    now: Duration,
) -> Result<u64, tokio_postgres::Error> {
    let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    let before = |limit: Duration| seconds(now).saturating_sub(seconds(limit));
    let (is_remembered, remember) = match limits.remember.is_zero() {
        true => (false, i64::MIN),
        false => (true, before(limits.remember)),
    };
    let (begun, used) = (before(limits.max), before(limits.idle.saturating_add(late)));
    // Those of no account may be of one that is just being made.
    let orphaned = before(ORPHANED);
    let statement = "DELETE FROM session WHERE
        CASE WHEN remembered IS NOT NULL AND $1 THEN remembered <= $2
            ELSE created <= $3 OR last_seen <= $4 END
        OR (created <= $5 AND NOT EXISTS (SELECT FROM account WHERE account.name = session.name))";
    let asked: [(&(dyn ToSql + Sync), Type); 5] = [
        (&is_remembered, Type::BOOL),
        (&remember, Type::INT8),
        (&begun, Type::INT8),
        (&used, Type::INT8),
        (&orphaned, Type::INT8),
    ];
    client.execute(statement, &asked).await
}

/// How many accounts and sessions there are.
pub(super) async fn count(client: &Client) -> Result<(usize, usize), tokio_postgres::Error> {
    let query = "SELECT (SELECT count(*) FROM account), (SELECT count(*) FROM session)";
    let row = client.query_one(query, &[]).await?;
    let number = |column| -> Result<usize, tokio_postgres::Error> {
        Ok(usize::try_from(row.try_get::<_, i64>(column)?).unwrap_or(0))
    };
    Ok((number(0)?, number(1)?))
}

/// How long a session may be there before its account.
const ORPHANED: Duration = Duration::from_secs(60);
