//! Challenges of passkeys on all nodes: one key for all, sealed, and a row for each that was
//! answered.
//!
//! # Time
//!
//! Nodes judge challenges by the latest moment that any of them has seen, which is kept whenever
//! rows are swept. So nothing that was forgotten counts again after clocks have been set back, and
//! none has to wait for its clock to come up to there.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_postgres::types::{ToSql, Type};
use zeroize::Zeroizing;

use crate::accounts::passkey::{Challenge, LIFETIME, Refused, millis};
use crate::accounts::token::DigestKey;
use crate::store::challenges::Holder;
use crate::store::error::Unavailable;
use crate::store::postgres::client::Client;
use crate::store::postgres::connection::Connection;
use crate::store::postgres::database::Database;
use crate::store::postgres::refusal::Refusal;
use crate::store::postgres::seal::{Place, Seal};

/// The key, and what time it is by it.
///
/// No `Debug`: it has the key.
pub(super) struct Challenges {
    key: Arc<DigestKey>,
    /// The latest moment seen here, in milliseconds since 1970.
    seen: AtomicU64,
    /// The latest moment that was kept, and when that was read.
    kept: Mutex<(u64, Instant)>,
}

/// Where the key is.
const OF_KEY: Place<'_> = Place {
    table: "meta",
    row: b"",
    field: "challenge_key",
};

/// Leaves a key where there is none, and gives the one that is there then, and the latest moment.
pub(super) const KEEP: &str =
    "UPDATE meta SET challenge_key = coalesce(challenge_key, $1) RETURNING challenge_key, latest";

/// Gives the key that is there, or would be, and the latest moment.
pub(super) const SEE: &str = "SELECT coalesce(challenge_key, $1), latest FROM meta";

/// Gives whether this one has the challenge, and whether it is too old to be remembered. Done twice
/// it does the same, since an answer may be lost.
const HOLD: &str = "WITH taken AS (
    INSERT INTO answered (challenge, asked, holder)
    SELECT $1, $2, $3 FROM meta WHERE $2 >= latest - $4
    ON CONFLICT DO NOTHING RETURNING true)
SELECT EXISTS (SELECT FROM taken)
    OR EXISTS (SELECT FROM answered WHERE challenge = $1 AND holder = $3),
    $2 < latest - $4 FROM meta";

const LET_GO: &str = "DELETE FROM answered WHERE challenge = $1 AND holder = $2";

/// Keeps the latest moment, and gives it.
const NOTE: &str = "UPDATE meta SET latest = greatest(latest, $1) RETURNING latest";

/// Forgets what is too old to be answered again. After [`NOTE`]: from then on nobody takes it.
const FORGET: &str = "DELETE FROM answered WHERE asked < $1";

impl Challenges {
    /// Reads the key by one of [`KEEP`] and [`SEE`].
    ///
    /// # Errors
    ///
    /// If the database does not say, or has a key that was not sealed with this one.
    pub(super) fn read(
        connection: &mut Connection,
        patience: Duration,
        seal: &Seal,
        keep: &str,
    ) -> Result<Self, Refusal> {
        let fresh = seal.close(DigestKey::new().bytes(), OF_KEY);
        let read = connection.call(patience, async |client| {
            let fresh = [(&fresh as &(dyn ToSql + Sync), Type::BYTEA)];
            let row = client.query_one(keep, &fresh).await?;
            Ok((row.try_get::<_, Vec<u8>>(0)?, row.try_get::<_, i64>(1)?))
        });
        let (sealed, latest) = read.map_err(|failure| Refusal::of(&failure))?;
        let key = seal.open(&sealed, OF_KEY);
        let key = key.and_then(|key| Some(Zeroizing::new(key.as_slice().try_into().ok()?)));
        let key = key.ok_or_else(|| {
            Refusal::new(
                "cannot open the store: the key of its challenges is damaged",
                "make room for another: UPDATE meta SET challenge_key = NULL",
            )
        })?;
        let latest = u64::try_from(latest).unwrap_or(0);
        Ok(Self {
            key: Arc::new(DigestKey::of(*key)),
            seen: AtomicU64::new(latest),
            kept: Mutex::new((latest, Instant::now())),
        })
    }

    /// The latest moment that anybody is known to have seen, where it is this one here.
    fn moment(&self, now: Duration) -> Duration {
        let (kept, read) = *self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let moment = now.max(Duration::from_millis(kept).saturating_add(read.elapsed()));
        self.seen.fetch_max(millis(moment), Ordering::Relaxed);
        moment
    }

    /// Tells other nodes of the time here, hears of theirs, and forgets what is too old.
    pub(super) async fn sweep(&self, client: &Client) -> Result<(), tokio_postgres::Error> {
        let seen = i64::try_from(self.seen.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
        let noted = [(&seen as &(dyn ToSql + Sync), Type::INT8)];
        let latest: i64 = client.query_one(NOTE, &noted).await?.try_get(0)?;
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) =
            (u64::try_from(latest).unwrap_or(0), Instant::now());
        let oldest = latest.saturating_sub(lifetime());
        let oldest = [(&oldest as &(dyn ToSql + Sync), Type::INT8)];
        client.execute(FORGET, &oldest).await.map(drop)
    }
}

impl Database {
    /// What challenges are known by.
    pub(in crate::store) fn challenge_key(&self) -> &Arc<DigestKey> {
        &self.shared().challenges.key
    }

    /// The moment by which challenges are judged.
    pub(in crate::store) fn moment_of_challenges(&self, now: Duration) -> Duration {
        self.shared().challenges.moment(now)
    }

    /// Keeps all others from using this challenge.
    ///
    /// # Errors
    ///
    /// If the database does not answer; the inner error, if it was used, or another holds it.
    pub(in crate::store) fn hold_challenge(
        &self,
        challenge: &Challenge,
        holder: &Holder,
    ) -> Result<Result<(), Refused>, Unavailable> {
        let (bytes, holder) = (challenge.bytes(), &holder[..]);
        let asked = i64::try_from(challenge.asked()).unwrap_or(i64::MAX);
        let lifetime = lifetime();
        let (is_held, is_old) = self.shared().ask(async |client| {
            let hold: [(&(dyn ToSql + Sync), Type); 4] = [
                (&bytes, Type::BYTEA),
                (&asked, Type::INT8),
                (&holder, Type::BYTEA),
                (&lifetime, Type::INT8),
            ];
            let row = client.query_one(HOLD, &hold).await?;
            Ok(Ok((row.try_get(0)?, row.try_get(1)?)))
        })?;
        Ok(match (is_held, is_old) {
            (true, _) => Ok(()),
            (false, true) => Err(Refused::Expired),
            (false, false) => Err(Refused::Challenge),
        })
    }

    /// As [`Challenges::sweep`].
    #[cfg(all(test, feature = "databases"))]
    pub(in crate::store) fn sweep_challenges(&self) -> Result<(), Unavailable> {
        self.shared()
            .ask(async |client| Ok(Ok(self.shared().challenges.sweep(client).await?)))
    }

    /// The answer of who held it was not taken. If the database cannot be told so, the challenge
    /// stays used up, and whoever was refused needs a fresh page.
    pub(in crate::store) fn let_go_of_challenge(&self, challenge: &Challenge, holder: &Holder) {
        let (bytes, holder) = (challenge.bytes(), &holder[..]);
        let _ = self.shared().ask(async |client| {
            let held: [(&(dyn ToSql + Sync), Type); 2] =
                [(&bytes, Type::BYTEA), (&holder, Type::BYTEA)];
            client.execute(LET_GO, &held).await.map(Ok)
        });
    }
}

fn lifetime() -> i64 {
    i64::try_from(millis(LIFETIME)).unwrap_or(i64::MAX)
}
