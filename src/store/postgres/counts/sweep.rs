//! What the table of counts needs no more.

use tokio_postgres::types::{ToSql, Type};

use super::rows::KINDS;
use crate::store::postgres::client::Client;

/// The most rows of a kind: some megabytes, and far more than can be filled at the rate of hashing.
const MAX_ROWS: i64 = 100_000;

/// Goes over what makes no difference any more. Of rows that are too many the lightest make room, so
/// that nobody can fill the table. What somebody holds at this moment stays until the next time.
pub(in crate::store::postgres) async fn sweep(
    client: &Client,
) -> Result<(), tokio_postgres::Error> {
    let over = "DELETE FROM throttle WHERE (kind, key) IN (SELECT kind, key FROM throttle
        WHERE kind = $1 AND until < (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
        FOR UPDATE SKIP LOCKED)";
    let too_many = "DELETE FROM throttle WHERE (kind, key) IN (SELECT kind, key FROM throttle
        WHERE (kind, key) IN (SELECT kind, key FROM throttle WHERE kind = $1
            ORDER BY heavy DESC, until DESC OFFSET $2) FOR UPDATE SKIP LOCKED)";
    for kind in 1..=KINDS {
        client.execute(over, &[(&kind, Type::INT2)]).await?;
        let asked: [(&(dyn ToSql + Sync), Type); 2] =
            [(&kind, Type::INT2), (&MAX_ROWS, Type::INT8)];
        client.execute(too_many, &asked).await?;
    }
    Ok(())
}
