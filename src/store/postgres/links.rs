//! Links that were mailed or handed out: to confirm an address by, and invitations.

use serde_json::{Map, Value};
use tokio_postgres::types::{ToSql, Type};

use crate::accounts::confirmations::MAX_OPEN;
use crate::accounts::token::Digest;
use crate::accounts::{Accounts, names};
use crate::store::postgres::client::Client;
use crate::store::postgres::slice::{CONFIRMS, INVITES};

/// A link as a row.
pub(super) struct Link {
    pub(super) token: String,
    pub(super) kind: i16,
    pub(super) account: Option<String>,
    pub(super) email: Option<String>,
    pub(super) short: Option<String>,
    pub(super) body: String,
}

impl Link {
    pub(super) fn of(token: &str, kind: i16, body: &Value) -> serde_json::Result<Self> {
        let field = |name: &str| body.get(name).and_then(Value::as_str);
        let (email, short) = match kind {
            INVITES => {
                let digest: Digest = serde_json::from_value(token.into())?;
                let email = field("email").map(|email| names::key(email).into_owned());
                (email, Some(digest.short()))
            }
            _ => (None, None),
        };
        Ok(Self {
            token: token.to_owned(),
            kind,
            account: field("account").map(str::to_owned),
            email,
            short,
            body: serde_json::to_string(body)?,
        })
    }
}

/// The links of a kind, by token.
pub(super) fn of(accounts: &Accounts, kind: i16) -> serde_json::Result<Map<String, Value>> {
    let all = match kind {
        CONFIRMS => serde_json::to_value(accounts.confirmations().as_ref())?,
        _ => serde_json::to_value(accounts.invitations().as_ref())?,
    };
    serde_json::from_value(all)
}

/// Adds links in this order; one that is there already is this one from now on.
pub(super) async fn insert(client: &Client, links: &[Link]) -> Result<(), tokio_postgres::Error> {
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
            WITH ORDINALITY new(token, kind, account, email, short, body, nth)
        ORDER BY nth
        ON CONFLICT (token) DO UPDATE SET kind = excluded.kind, account = excluded.account,
        email = excluded.email, short = excluded.short, body = excluded.body";
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

/// Removes the oldest links to confirm by, so that nobody can fill the table.
pub(super) async fn make_room(client: &Client) -> Result<(), tokio_postgres::Error> {
    let bound = "DELETE FROM link WHERE kind = $1 AND place <= (SELECT place FROM link
        WHERE kind = $1 ORDER BY place DESC OFFSET $2 LIMIT 1)";
    let most = i64::try_from(MAX_OPEN).unwrap_or(i64::MAX);
    let asked: [(&(dyn ToSql + Sync), Type); 2] = [(&CONFIRMS, Type::INT2), (&most, Type::INT8)];
    client.execute(bound, &asked).await.map(drop)
}
