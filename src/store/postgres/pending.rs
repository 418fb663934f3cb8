//! What is pending, as rows: a login waits for its next step at whichever node that comes to.

use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};
use zeroize::Zeroizing;

use crate::accounts::names;
use crate::accounts::pending::{
    Begun, Effect, LIFETIME, MAX_PENDING, MAX_WRONG_CODES, PendingLogin, PendingMove, Stage,
};
use crate::accounts::token::Digest;
use crate::accounts::totp::Secret;
use crate::clock::Timestamp;
use crate::store::postgres::client::Client;
use crate::store::postgres::marks::seconds;
use crate::store::postgres::rows::{Damaged, damaged};
use crate::store::postgres::seal::{Place, Seal};

/// What waits for what.
const CODE: i16 = 1;
const CHOICE: i16 = 2;
const MOVE: i16 = 3;

/// Forgets what waits no more: some seconds late, for the clocks of the nodes may differ by that.
/// The oldest make room where there are too many, so that nobody can fill the table.
pub(super) fn sweep() -> String {
    let late = LIFETIME.as_secs() + 10;
    format!(
        "DELETE FROM pending WHERE wrong >= {MAX_WRONG_CODES}
        OR begun < extract(epoch FROM clock_timestamp()) - {late}
        OR id IN (SELECT id FROM pending ORDER BY begun DESC OFFSET {MAX_PENDING})"
    )
}

/// What waits under an id. A change of it has locked its account before, and so needs no other lock.
pub(super) async fn read(
    client: &Client,
    (id, now): (Digest, Timestamp),
    seal: &Seal,
) -> Result<Result<Option<Stage>, Damaged>, tokio_postgres::Error> {
    let query = format!(
        "SELECT stage, body, key FROM pending
        WHERE id = $1 AND begun > $2 AND wrong < {MAX_WRONG_CODES}"
    );
    let (text, since) = (
        id.text(),
        seconds(now) - seconds(Timestamp(LIFETIME.as_secs())),
    );
    let asked: [(&(dyn ToSql + Sync), Type); 2] = [(&text, Type::TEXT), (&since, Type::INT8)];
    let row = client.query_opt(&query, &asked).await?;
    let stage = row.map(|row| stage(&row, &text, seal)).transpose();
    Ok(stage.map_err(|reason| damaged("pending", &id.short(), &reason)))
}

fn stage(row: &Row, id: &str, seal: &Seal) -> Result<Stage, String> {
    let said = |error: tokio_postgres::Error| error.to_string();
    let unread = |error: serde_json::Error| error.to_string();
    let kind: i16 = row.try_get(0).map_err(said)?;
    let body: &str = row.try_get(1).map_err(said)?;
    let key: Option<Vec<u8>> = row.try_get(2).map_err(said)?;
    let key = key.map(|sealed| open_key(&sealed, id, seal)).transpose()?;
    Ok(match kind {
        CODE => {
            let login: PendingLogin = serde_json::from_str(body).map_err(unread)?;
            Stage::Code(login.to_enrol(key))
        }
        CHOICE => Stage::Choice(serde_json::from_str(body).map_err(unread)?),
        MOVE => Stage::Move(PendingMove {
            username: serde_json::from_str(body).map_err(unread)?,
            secret: key.ok_or("it has no key")?,
        }),
        other => return Err(format!("it waits for something unknown ({other})")),
    })
}

fn open_key(sealed: &[u8], id: &str, seal: &Seal) -> Result<Secret, String> {
    let opened = seal.open(sealed, of_key(id));
    let opened = opened.ok_or("its key is not sealed to it")?;
    let text = std::str::from_utf8(&opened).ok().and_then(Secret::parse);
    Ok(text.ok_or("its key is none")?)
}

/// Where the key of a second factor that is being set up belongs.
fn of_key(id: &str) -> Place<'_> {
    Place {
        table: "pending",
        row: id.as_bytes(),
        field: "key",
    }
}

/// What becomes of what is pending, as statements.
///
/// No `Debug`: it may have a key in it.
pub(super) struct Changes {
    ended: Option<String>,
    wrong: Option<String>,
    /// A name in lower case.
    forgotten: Option<String>,
    begun: Option<NewRow>,
}

struct NewRow {
    id: String,
    kind: i16,
    name: String,
    begun: i64,
    body: String,
    key: Option<Vec<u8>>,
}

impl Changes {
    /// # Errors
    ///
    /// If something cannot be written as JSON.
    pub(super) fn of(effect: &Effect, seal: &Seal) -> serde_json::Result<Self> {
        let Effect {
            ends,
            was_wrong,
            forgets,
            begins,
        } = effect;
        let name = forgets.as_deref().map(names::key);
        let begun = begins.as_ref().map(|begun| NewRow::of(begun, seal));
        Ok(Self {
            ended: ends.map(|id| id.text()),
            wrong: was_wrong.map(|id| id.text()),
            forgotten: name.map(std::borrow::Cow::into_owned),
            begun: begun.transpose()?,
        })
    }

    /// Whether nothing is to be written.
    pub(super) fn are_none(&self) -> bool {
        let by_id = self.ended.is_none() && self.wrong.is_none();
        by_id && self.forgotten.is_none() && self.begun.is_none()
    }

    /// Writes all of it, within a transaction.
    pub(super) async fn write(&self, client: &Client) -> Result<(), tokio_postgres::Error> {
        let one = async |statement, key: &Option<String>| match key {
            Some(key) => client.execute(statement, &[(key, Type::TEXT)]).await,
            None => Ok(0),
        };
        one(
            "UPDATE pending SET wrong = wrong + 1 WHERE id = $1",
            &self.wrong,
        )
        .await?;
        one("DELETE FROM pending WHERE id = $1", &self.ended).await?;
        one("DELETE FROM pending WHERE name = $1", &self.forgotten).await?;
        if let Some(row) = &self.begun {
            row.insert(client).await?;
        }
        Ok(())
    }
}

impl NewRow {
    fn of(Begun { id, stage, at }: &Begun, seal: &Seal) -> serde_json::Result<Self> {
        let (kind, body, key) = match stage {
            Stage::Code(login) => (
                CODE,
                serde_json::to_string(login)?,
                login.enrolling.as_ref(),
            ),
            Stage::Choice(choice) => (CHOICE, serde_json::to_string(choice)?, None),
            Stage::Move(moving) => {
                let body = serde_json::to_string(&moving.username)?;
                (MOVE, body, Some(&moving.secret))
            }
        };
        let id = id.text();
        let key = key.map(|key| {
            let key = Zeroizing::new(key.base32());
            seal.close(key.as_bytes(), of_key(&id))
        });
        Ok(Self {
            kind,
            name: names::key(stage.username()).into_owned(),
            begun: seconds(*at),
            body,
            key,
            id,
        })
    }

    async fn insert(&self, client: &Client) -> Result<(), tokio_postgres::Error> {
        let insert = "INSERT INTO pending (id, stage, name, begun, body, key)
            VALUES ($1, $2, $3, $4, $5, $6)
            ON CONFLICT (id) DO UPDATE SET stage = excluded.stage, name = excluded.name,
            wrong = 0, begun = excluded.begun, body = excluded.body, key = excluded.key";
        let columns: [(&(dyn ToSql + Sync), Type); 6] = [
            (&self.id, Type::TEXT),
            (&self.kind, Type::INT2),
            (&self.name, Type::TEXT),
            (&self.begun, Type::INT8),
            (&self.body, Type::TEXT),
            (&self.key, Type::BYTEA),
        ];
        client.execute(insert, &columns).await?;
        Ok(())
    }
}
