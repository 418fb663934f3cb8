//! Whether a database can be used as it is, asked before anything is done with it.

use std::path::Path;
use std::time::{Duration, Instant};

use tokio_postgres::types::{ToSql, Type};

use crate::clock::{Clock, Timestamp};
use crate::store::postgres::challenges::{self, Challenges};
use crate::store::postgres::client::Client;
use crate::store::postgres::connection::Connection;
use crate::store::postgres::hosts::For;
use crate::store::postgres::pool::Pool;
use crate::store::postgres::refusal::Refusal;
use crate::store::postgres::schema::{self, TABLES};
use crate::store::postgres::seal::{Place, Seal};
use crate::store::postgres::tls::Trust;
use crate::store::postgres::url::Url;

/// How long hosts are looked for. With the questions that come then, a start has said within ten
/// seconds why it fails.
pub(super) const REACHED: Duration = Duration::from_secs(8);

/// The same, for a command: it has said within five seconds why it cannot do anything.
pub(super) const REACHED_BY_COMMAND: Duration = Duration::from_secs(3);

/// How long all the questions of a start may take together.
const QUESTIONS: Duration = Duration::from_millis(1_500);

/// How far the clocks of a node and of the database may be apart: codes and waits are judged by
/// nodes, and compared over all of them.
const APART: Duration = Duration::from_secs(5);

/// What the key is tried on.
pub(super) const KNOWN: &[u8] = b"auth_user";

/// What everything but making the schema needs.
const RIGHTS: [&str; 4] = ["SELECT", "INSERT", "UPDATE", "DELETE"];

/// A database that can be used.
///
/// No `Debug`: it has the key.
pub struct Opened {
    pub(super) pool: Pool,
    pub(super) seal: Seal,
    pub(super) challenges: Challenges,
    /// Whether the server takes the password as an MD5, which is easily guessed from.
    pub asks_md5: bool,
}

impl Opened {
    /// Looks at everything that must be right, and leaves the check of the key and the key of the
    /// challenges where there are none.
    ///
    /// # Errors
    ///
    /// What is not right. Nothing is changed then.
    pub fn open(url: &Url, key: &Path, clock: &Clock) -> Result<Self, Refusal> {
        Self::judge(url, key, clock, KEEPING)
    }

    /// As [`Opened::open`], and gives up sooner where no host answers.
    ///
    /// # Errors
    ///
    /// What is not right. Nothing is changed then.
    pub fn open_by_command(url: &Url, key: &Path, clock: &Clock) -> Result<Self, Refusal> {
        let reached = REACHED_BY_COMMAND;
        Self::judge(url, key, clock, Manner { reached, ..KEEPING })
    }

    /// As [`Opened::open`], and changes nothing.
    ///
    /// # Errors
    ///
    /// What is not right.
    pub fn look(url: &Url, key: &Path, clock: &Clock) -> Result<Self, Refusal> {
        Self::judge(url, key, clock, SEEING)
    }

    /// As [`Opened::look`], and looks for hosts as long as `reached` says.
    ///
    /// # Errors
    ///
    /// What is not right.
    pub(super) fn look_from_copy(
        url: &Url,
        key: &Path,
        clock: &Clock,
        reached: Duration,
    ) -> Result<Self, Refusal> {
        Self::judge(url, key, clock, Manner { reached, ..SEEING })
    }

    /// As [`Opened::look_from_copy`], also where a copy was not finished.
    ///
    /// # Errors
    ///
    /// What is not right.
    pub(super) fn look_for_copy(
        url: &Url,
        key: &Path,
        clock: &Clock,
        reached: Duration,
    ) -> Result<Self, Refusal> {
        let manner = Manner {
            reached,
            unfinished: Unfinished::Taken,
            ..SEEING
        };
        Self::judge(url, key, clock, manner)
    }

    fn judge(url: &Url, key: &Path, clock: &Clock, manner: Manner) -> Result<Self, Refusal> {
        let Manner {
            statements: [check, ask],
            reached,
            unfinished,
        } = manner;
        let seal = Seal::read(key)?;
        let trust = trust(url)?;
        let mut connection = connect_within(reached, url, trust.as_ref())?;
        let found = connection.call(QUESTIONS, look);
        let found = found.map_err(|failure| Refusal::of(&failure))?;
        schema::judge(found.version, url)?;
        if let Some((right, table)) = found.missing {
            return Err(Refusal::new(
                format!("cannot use the store: the user may not {right} in its table {table}"),
                "grant SELECT, INSERT, UPDATE and DELETE on all of its tables",
            ));
        }
        if found.is_unfinished && unfinished == Unfinished::Refused {
            return Err(Refusal::new(
                "cannot use the store: a copy to it was not finished",
                "run auth_user store copy to it, or auth_user restore, again, which begins anew",
            ));
        }
        judge_clock(found.now, clock)?;
        let known = seal.close(KNOWN, OF_CHECK);
        let kept = connection.call(QUESTIONS, async |client| {
            let known = [(&known as &(dyn ToSql + Sync), Type::BYTEA)];
            let kept = client.query_one(check, &known).await?;
            kept.try_get::<_, Option<Vec<u8>>>(0)
        });
        let kept = kept.map_err(|failure| Refusal::of(&failure))?;
        if kept.is_some_and(|kept| seal.open(&kept, OF_CHECK).is_none()) {
            return Err(Refusal::new(
                format!(
                    "cannot open the store: the key in {key:?} is not the one its secrets are \
                     sealed with"
                ),
                "name the key that was given first, with --store-key",
            ));
        }
        // Only once the key is known to be the one: what it seals is for all nodes.
        let challenges = Challenges::read(&mut connection, QUESTIONS, &seal, ask)?;
        Ok(Self {
            pool: Pool::new(url.clone(), trust),
            seal,
            challenges,
            asks_md5: connection.asks_md5,
        })
    }
}

/// How a database is judged.
#[derive(Clone, Copy)]
struct Manner {
    /// They give the check of the key and the key of the challenges that count, if there are any, and
    /// are given some that could.
    statements: [&'static str; 2],
    /// How long hosts are looked for.
    reached: Duration,
    unfinished: Unfinished,
}

/// The first leaves in the database what all need.
const KEEPING: Manner = Manner {
    statements: [KEEP_CHECK, challenges::KEEP],
    reached: REACHED,
    unfinished: Unfinished::Refused,
};

/// Nothing is left there.
const SEEING: Manner = Manner {
    statements: [SEE_CHECK, challenges::SEE],
    ..KEEPING
};

/// What becomes of a database that a copy was begun to, and not finished.
#[derive(Clone, Copy, PartialEq)]
enum Unfinished {
    Refused,
    Taken,
}

/// Where the check of the key is.
pub(super) const OF_CHECK: Place<'_> = Place {
    table: "meta",
    row: b"",
    field: "key_check",
};

/// Leaves a check where there is none, and gives the one that is there then.
pub(super) const KEEP_CHECK: &str =
    "UPDATE meta SET key_check = coalesce(key_check, $1) RETURNING key_check";

/// Gives the one that is there.
const SEE_CHECK: &str = "SELECT key_check FROM meta WHERE $1::bytea IS NOT NULL";

/// What a start asks for.
struct Found {
    version: Option<i32>,
    /// A right that is missing, and the table.
    missing: Option<(String, String)>,
    /// Whether a copy to it was begun, and not finished.
    is_unfinished: bool,
    /// Seconds since 1970 at the database.
    now: i64,
}

async fn look(client: &Client) -> Result<Found, tokio_postgres::Error> {
    let version = schema::version(client).await?;
    let rights = "SELECT r.granted, t.name FROM unnest(string_to_array($1, ' ')) t(name)
        CROSS JOIN unnest(string_to_array($2, ' ')) r(granted)
        WHERE NOT has_table_privilege(t.name, r.granted) LIMIT 1";
    let (tables, granted) = (TABLES.join(" "), RIGHTS.join(" "));
    let is_ours = version.is_some_and(|version| version >= schema::VERSION);
    let missing = match is_ours {
        true => {
            let asked = [(&tables as &_, Type::TEXT), (&granted as &_, Type::TEXT)];
            client.query_opt(rights, &asked).await?
        }
        false => None,
    };
    let missing = missing.map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
    // What is refused for its version need not have it.
    let is_known = version.is_some_and(|version| version <= schema::VERSION + 1);
    let is_unfinished = match is_ours && is_known && missing.is_none() {
        true => {
            let found = client.query_one("SELECT is_unfinished FROM meta", &[]);
            found.await?.try_get(0)?
        }
        false => false,
    };
    let now = "SELECT floor(extract(epoch FROM clock_timestamp()))::bigint";
    let now = client.query_one(now, &[]).await?.try_get(0)?;
    Ok(Found {
        version,
        missing: missing.transpose()?,
        is_unfinished,
        now,
    })
}

fn judge_clock(at_database: i64, clock: &Clock) -> Result<(), Refusal> {
    let here = clock.now().wall;
    let there = u64::try_from(at_database).unwrap_or(0);
    if here.abs_diff(there) <= APART.as_secs() {
        return Ok(());
    }
    Err(Refusal::new(
        format!(
            "cannot use the store: the clock here says {}, the database's {}",
            Timestamp(here),
            Timestamp(there)
        ),
        "set both clocks, and keep them right, for instance by NTP",
    ))
}

/// Connects to a host that takes writes.
///
/// # Errors
///
/// Why none of them will do.
pub(super) fn connect(url: &Url, trust: Option<&Trust>) -> Result<Connection, Refusal> {
    connect_within(REACHED, url, trust)
}

fn connect_within(
    limit: Duration,
    url: &Url,
    trust: Option<&Trust>,
) -> Result<Connection, Refusal> {
    let end = Instant::now() + limit;
    Ok(Connection::open(url, trust, For::Writing, 0, end)?)
}

/// Whose certificates are trusted, if it matters.
///
/// # Errors
///
/// If the file of certificates is none.
pub(super) fn trust(url: &Url) -> Result<Option<Trust>, Refusal> {
    if url.root.is_none() && !url.needs_tls() {
        return Ok(None);
    }
    let root = url.root.as_deref();
    Trust::new(root).map(Some).map_err(|error| match root {
        Some(root) => Refusal::new(
            format!("cannot use the certificates {root:?}: {error}"),
            "name a PEM file with certificates as sslrootcert, or leave that out",
        ),
        None => Refusal::new(
            format!("cannot use the certificates of this machine: {error}"),
            "install the package ca-certificates, or name a PEM file as sslrootcert",
        ),
    })
}
