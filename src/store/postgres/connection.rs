//! One connection to the database, for a thread that may wait: every call has a limit that is kept
//! here, whatever becomes of the server. A connection that has missed one is not used again, since
//! its answer may still come.
//!
//! Nothing is ever cancelled at the server: a change that waits for a standby there would become
//! visible without having reached it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::{self, Runtime};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::config::{ChannelBinding, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

use crate::store::postgres::failure::{Cause, Failure};
use crate::store::postgres::reach::{Reached, reach};
use crate::store::postgres::tls::Trust;
use crate::store::postgres::url::{Guard, Host, Url};
use crate::store::postgres::watched::Watched;

/// What is told to the server once for each connection. It gives up a little before its clients do,
/// so that silence means that it is away. PgBouncer takes no such thing at the
/// beginning of one. The tables are those of the first schema alone, whatever else is in the path.
const SETTINGS: &str = "
    SET statement_timeout TO '1800ms';
    SET lock_timeout TO '1500ms';
    SET idle_in_transaction_session_timeout TO '10s';
    SELECT set_config('search_path', quote_ident(current_schema()), false)
        WHERE current_schema() IS NOT NULL;
    SHOW transaction_read_only";

/// Whether a host is needed that takes writes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum For {
    Reading,
    Writing,
}

/// A connection that is open.
///
/// No `Debug`: it knows the password.
pub(super) struct Connection {
    /// `None` only while it is being dropped.
    runtime: Option<Runtime>,
    client: Client,
    /// Ends with the connection.
    carrier: JoinHandle<Result<(), tokio_postgres::Error>>,
    is_lost: bool,
    /// Whether that was because an answer did not come.
    is_silent: bool,
    pub(super) asks_md5: bool,
}

/// Why none of the hosts would do: each with its reason.
pub(super) struct NoHost(pub(super) Vec<(Host, Failure)>);

impl Connection {
    /// Connects to the first host that will do, and is done by `end`.
    pub(super) fn open(
        url: &Url,
        trust: Option<&Trust>,
        purpose: For,
        end: Instant,
    ) -> Result<Self, NoHost> {
        let mut failures = Vec::new();
        for host in &url.hosts {
            let left = end.saturating_duration_since(Instant::now());
            let limit = url.connect_timeout.min(left);
            match Self::to(url, host, trust, purpose, limit) {
                Ok(connection) => return Ok(connection),
                Err(failure) => failures.push((host.clone(), failure)),
            }
        }
        Err(NoHost(failures))
    }

    fn to(
        url: &Url,
        host: &Host,
        trust: Option<&Trust>,
        purpose: For,
        limit: Duration,
    ) -> Result<Self, Failure> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(1)
            .build()?;
        let asks_md5 = Arc::new(AtomicBool::new(false));
        let connecting = async {
            let (client, carrier) = log_in(url, host, trust, &asks_md5).await?;
            let takes_writes = set_up(&client).await?;
            let wants_writes = purpose == For::Writing || url.wants_writes;
            match takes_writes || !wants_writes {
                true => Ok((client, carrier)),
                false => Err(Failure::read_only()),
            }
        };
        let connected = runtime.block_on(async { timeout(limit, connecting).await });
        match connected.unwrap_or_else(|_| Err(Failure::late())) {
            Ok((client, carrier)) => Ok(Self {
                runtime: Some(runtime),
                client,
                carrier,
                is_lost: false,
                is_silent: false,
                asks_md5: asks_md5.load(Ordering::Relaxed),
            }),
            Err(failure) => {
                // Not waited for: a name may be looked up there for long.
                runtime.shutdown_background();
                Err(failure)
            }
        }
    }

    /// Has something done within `limit`.
    ///
    /// # Errors
    ///
    /// If it was refused, or the connection is lost, now or before. If it was lost now, nobody knows
    /// whether the last of it was done.
    pub(super) fn call<R>(
        &mut self,
        limit: Duration,
        work: impl AsyncFnOnce(&mut Client) -> Result<R, tokio_postgres::Error>,
    ) -> Result<R, Failure> {
        let runtime = self.runtime.as_ref().filter(|_| !self.is_lost);
        let Some(runtime) = runtime else {
            return Err(Failure::new("the connection is lost", Cause::Lost));
        };
        let (client, carrier) = (&mut self.client, &mut self.carrier);
        let is_silent = &mut self.is_silent;
        let done = runtime.block_on(async {
            let done = timeout(limit, work(client)).await;
            match done {
                Err(_) => {
                    *is_silent = true;
                    Err(Failure::late())
                }
                Ok(Ok(done)) => Ok(done),
                // Why it was closed is what the carrier was told.
                Ok(Err(error)) if error.is_closed() => Err(match carrier.await {
                    Ok(Err(told)) => Failure::from(told),
                    _ => Failure::from(error),
                }),
                Ok(Err(error)) => Err(Failure::from(error)),
            }
        });
        self.is_lost = done.is_err() && self.is_over(&done);
        done
    }

    /// Whether it was lost because an answer did not come.
    pub(super) fn is_silent(&self) -> bool {
        self.is_silent
    }

    /// Whether it can be used no more.
    pub(super) fn is_lost(&self) -> bool {
        self.is_lost
    }

    fn is_over<R>(&self, done: &Result<R, Failure>) -> bool {
        let is_lost = matches!(done, Err(failure) if failure.cause == Cause::Lost);
        is_lost || self.client.is_closed()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl NoHost {
    /// Whether some host would do if nothing were to be written.
    pub(super) fn would_be_read(&self) -> bool {
        let mut failures = self.0.iter();
        failures.any(|(_, failure)| failure.cause == Cause::ReadOnly)
    }

    /// Whether it is only that the database has no more connections to give.
    pub(super) fn is_full(&self) -> bool {
        let mut failures = self.0.iter();
        failures.any(|(_, failure)| failure.is(&SqlState::TOO_MANY_CONNECTIONS))
    }

    /// Each host with its reason.
    pub(super) fn reasons(&self) -> String {
        let reasons = self
            .0
            .iter()
            .map(|(host, failure)| format!("{host}: {failure}"));
        reasons.collect::<Vec<_>>().join("; ")
    }
}

/// Connects and logs in to one host.
async fn log_in(
    url: &Url,
    host: &Host,
    trust: Option<&Trust>,
    asks_md5: &Arc<AtomicBool>,
) -> Result<(Client, JoinHandle<Result<(), tokio_postgres::Error>>), Failure> {
    let Reached(bytes) = reach(host, url.guard).await?;
    let mut config = Config::new();
    config.application_name(&url.application_name);
    if let Some(user) = &url.user {
        config.user(user);
    }
    if let Some(password) = &url.password {
        config.password(password.as_bytes());
    }
    if let Some(dbname) = &url.dbname {
        config.dbname(dbname);
    }
    if url.requires_binding {
        config.channel_binding(ChannelBinding::Require);
    }
    match trust.filter(|_| url.guard == Guard::Tls) {
        Some(trust) => {
            let way = trust.way_to(host.name(), asks_md5)?;
            config.ssl_mode(SslMode::Require);
            let (client, connection) = config.connect_raw(bytes, way).await?;
            Ok((client, tokio::spawn(connection)))
        }
        None if url.guard == Guard::Nothing => {
            config.ssl_mode(SslMode::Disable);
            let watched = Watched::new(bytes, false, asks_md5);
            let (client, connection) = config.connect_raw(watched, NoTls).await?;
            Ok((client, tokio::spawn(connection)))
        }
        None => Err(Failure::new("no certificate is trusted", Cause::Mistrust)),
    }
}

/// Sets a connection up; gives whether it takes writes.
async fn set_up(client: &Client) -> Result<bool, tokio_postgres::Error> {
    let answers = client.simple_query(SETTINGS).await?;
    let last = answers.iter().rev().find_map(|answer| match answer {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    Ok(last == Some("off"))
}
