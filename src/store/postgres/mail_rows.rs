//! Mail as rows, for all nodes: each takes one for itself before it sends it.
//!
//! All times are the database's, but for when a mail was written.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};
use zeroize::Zeroizing;

use crate::accounts::token;
use crate::store::draft::KeptMail;
use crate::store::error::Unavailable;
use crate::store::postgres::client::Client;
use crate::store::postgres::seal::{Place, Seal};
use crate::store::postgres::shared::Shared;

/// How long a mail is held for a node that has taken it, and was not heard of since.
pub(crate) const HOLD: Duration = match cfg!(test) {
    false => Duration::from_secs(60),
    // Tests have no minute.
    true => Duration::from_secs(4),
};

/// The rows of mail.
#[derive(Clone)]
pub struct MailRows {
    shared: Arc<Shared>,
    /// Who takes mails here: another in each process.
    by: [u8; 16],
}

/// A mail that this node may send, and no other.
///
/// No `Debug`: the text may hold a password.
pub(crate) struct TakenMail {
    pub(crate) name: String,
    /// `None` if it is not sealed to this row, as when somebody has moved it.
    pub(crate) text: Option<Zeroizing<Vec<u8>>>,
    /// How often it was put off.
    pub(crate) failures: u32,
    /// Since it was written.
    pub(crate) age: Duration,
}

/// Takes the first that is due and that nobody holds; one that fails again and again comes last. Who
/// comes at the same time takes the next.
const TAKE: &str = "UPDATE mail SET taken_by = $1,
        taken_until = clock_timestamp() + make_interval(secs => $2)
    WHERE id = (SELECT id FROM mail WHERE NOT is_aside AND due <= clock_timestamp()
        AND (taken_until IS NULL OR taken_until < clock_timestamp())
        ORDER BY failures, id LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING id, text, failures, floor(extract(epoch FROM clock_timestamp()))::bigint - at";

/// Adds one if there is room; one that is there already stays.
const POST: &str = "INSERT INTO mail (id, at, text)
    SELECT $1, $2, $3 WHERE (SELECT count(*) FROM mail WHERE NOT is_aside) < $4
    ON CONFLICT (id) DO UPDATE SET at = excluded.at";

impl MailRows {
    pub(crate) fn of(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
            by: token::random(),
        }
    }

    /// Adds a mail if fewer than `room` wait; false if there is no room.
    pub(crate) fn post(
        &self,
        name: &str,
        at: u64,
        text: &[u8],
        room: usize,
    ) -> Result<bool, Unavailable> {
        let sealed = self.shared.seal.close(text, of_text(name));
        let at = whole(at);
        let room = i64::try_from(room).unwrap_or(i64::MAX);
        let columns: [(&(dyn ToSql + Sync), Type); 4] = [
            (&name, Type::TEXT),
            (&at, Type::INT8),
            (&sealed, Type::BYTEA),
            (&room, Type::INT8),
        ];
        Ok(self.execute(POST, &columns)? > 0)
    }

    /// How many wait.
    pub(crate) fn count(&self) -> Result<usize, Unavailable> {
        let query = "SELECT count(*) FROM mail WHERE NOT is_aside";
        self.shared.ask(async |client| {
            let counted: i64 = client.query_one(query, &[]).await?.try_get(0)?;
            Ok(Ok(usize::try_from(counted).unwrap_or(0)))
        })
    }

    /// Takes a mail that is due; `None` if there is none.
    pub(crate) fn take(&self) -> Result<Option<TakenMail>, Unavailable> {
        let hold = HOLD.as_secs_f64();
        self.shared.ask(async |client| {
            let by = self.by.as_slice();
            let asked: [(&(dyn ToSql + Sync), Type); 2] =
                [(&by, Type::BYTEA), (&hold, Type::FLOAT8)];
            let row = client.query_opt(TAKE, &asked).await?;
            Ok(Ok(row.map(|row| self.taken(&row)).transpose()?))
        })
    }

    fn taken(&self, row: &Row) -> Result<TakenMail, tokio_postgres::Error> {
        let name: String = row.try_get(0)?;
        let sealed: &[u8] = row.try_get(1)?;
        let failures: i32 = row.try_get(2)?;
        let age: i64 = row.try_get(3)?;
        Ok(TakenMail {
            text: self.shared.seal.open(sealed, of_text(&name)),
            name,
            failures: u32::try_from(failures).unwrap_or(0),
            age: Duration::from_secs(u64::try_from(age).unwrap_or(0)),
        })
    }

    /// Goes on holding a mail that was taken here.
    pub(crate) fn renew(&self, name: &str) -> Result<(), Unavailable> {
        let hold = "UPDATE mail SET taken_until = clock_timestamp() + make_interval(secs => $3)
            WHERE id = $1 AND taken_by = $2";
        self.of_taken(hold, name, Some(HOLD))
    }

    /// Leaves a mail that was taken here to whoever comes next.
    pub(crate) fn let_go(&self, name: &str) -> Result<(), Unavailable> {
        let free = "UPDATE mail SET taken_by = NULL, taken_until = NULL
            WHERE id = $1 AND taken_by = $2";
        self.of_taken(free, name, None)
    }

    /// Leaves a mail that was taken here alone for a while, after a failure.
    pub(crate) fn put_off(&self, name: &str, pause: Duration) -> Result<(), Unavailable> {
        let put_off = "UPDATE mail SET taken_by = NULL, taken_until = NULL,
            failures = failures + 1, due = clock_timestamp() + make_interval(secs => $3)
            WHERE id = $1 AND taken_by = $2";
        self.of_taken(put_off, name, Some(pause))
    }

    /// Sets aside a mail that was taken here: it is not tried again.
    pub(crate) fn set_aside(&self, name: &str) -> Result<(), Unavailable> {
        let aside = "UPDATE mail SET taken_by = NULL, taken_until = NULL, is_aside = true
            WHERE id = $1 AND taken_by = $2";
        self.of_taken(aside, name, None)
    }

    /// Removes a mail that was taken here.
    pub(crate) fn remove(&self, name: &str) -> Result<(), Unavailable> {
        self.of_taken(
            "DELETE FROM mail WHERE id = $1 AND taken_by = $2",
            name,
            None,
        )
    }

    /// Does something to a mail, unless another node has taken it meanwhile.
    fn of_taken(
        &self,
        statement: &str,
        name: &str,
        seconds: Option<Duration>,
    ) -> Result<(), Unavailable> {
        let by = self.by.as_slice();
        let seconds = seconds.map(|seconds| seconds.as_secs_f64());
        let mut asked: Vec<(&(dyn ToSql + Sync), Type)> =
            vec![(&name, Type::TEXT), (&by, Type::BYTEA)];
        asked.extend(
            seconds
                .iter()
                .map(|s| (s as &(dyn ToSql + Sync), Type::FLOAT8)),
        );
        self.execute(statement, &asked).map(drop)
    }

    /// Sets aside those that are so old and that nobody holds; gives their names.
    pub(crate) fn set_old_aside(&self, age: Duration) -> Result<Vec<String>, Unavailable> {
        let aside = "UPDATE mail SET is_aside = true WHERE NOT is_aside
            AND at <= extract(epoch FROM clock_timestamp()) - $1
            AND (taken_until IS NULL OR taken_until < clock_timestamp()) RETURNING id";
        self.names(aside, whole(age.as_secs()))
    }

    /// Removes the oldest of those that are set aside, beyond the `most` that stay; gives their
    /// names.
    pub(crate) fn trim_set_aside(&self, most: usize) -> Result<Vec<String>, Unavailable> {
        let trim = "DELETE FROM mail WHERE is_aside AND id <= (SELECT id FROM mail
            WHERE is_aside ORDER BY id DESC OFFSET $1 LIMIT 1) RETURNING id";
        self.names(trim, i64::try_from(most).unwrap_or(i64::MAX))
    }

    fn names(&self, statement: &str, number: i64) -> Result<Vec<String>, Unavailable> {
        self.shared.ask(async |client| {
            let rows = client.query(statement, &[(&number, Type::INT8)]).await?;
            let names = rows.into_iter().map(|row| row.try_get(0));
            Ok(Ok(names.collect::<Result<_, _>>()?))
        })
    }

    fn execute(
        &self,
        statement: &str,
        columns: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<u64, Unavailable> {
        self.shared
            .ask(async |client| Ok(Ok(client.execute(statement, columns).await?)))
    }
}

/// Adds a mail, within the transaction of the change that it tells of.
pub(super) async fn insert(
    client: &Client,
    mail: &KeptMail,
    seal: &Seal,
) -> Result<(), tokio_postgres::Error> {
    let (at, sealed) = (whole(mail.at), seal.close(&mail.text, of_text(&mail.name)));
    let columns: [(&(dyn ToSql + Sync), Type); 3] = [
        (&mail.name, Type::TEXT),
        (&at, Type::INT8),
        (&sealed, Type::BYTEA),
    ];
    let insert = "INSERT INTO mail (id, at, text) VALUES ($1, $2, $3)";
    client.execute(insert, &columns).await.map(drop)
}

/// Where the text of a mail belongs.
pub(super) fn of_text(name: &str) -> Place<'_> {
    Place {
        table: "mail",
        row: name.as_bytes(),
        field: "text",
    }
}

pub(super) fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
