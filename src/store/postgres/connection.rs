//! One connection to the database, for a thread that may wait: every call has a limit that is kept
//! here, whatever becomes of the server. A connection that has missed one is not used again, since
//! its answer may still come.
//!
//! Nothing is ever cancelled at the server: a change that waits for a standby there would become
//! visible without having reached it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::config::{ChannelBinding, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Config, NoTls, SimpleQueryMessage};

use crate::store::postgres::client::Client;
use crate::store::postgres::failure::{Cause, Failure};
use crate::store::postgres::reach::{Reached, reach};
use crate::store::postgres::shared::left;
use crate::store::postgres::tls::Trust;
use crate::store::postgres::url::{Guard, Host, Url};
use crate::store::postgres::watched::Watched;

/// What is told to the server once for each connection. It gives up a little before its clients do,
/// so that silence means that it is away. PgBouncer takes no such thing at the
/// beginning of one. A statement is planned once, not for each of the keys it is asked about. The
/// tables are those of the first schema alone, whatever else is in the path.
const SETTINGS: &str = "
    SET statement_timeout TO '1800ms';
    SET lock_timeout TO '1500ms';
    SET idle_in_transaction_session_timeout TO '10s';
    SET plan_cache_mode TO force_generic_plan;
    SELECT set_config('search_path', quote_ident(current_schema()), false)
        WHERE current_schema() IS NOT NULL";

/// A server that is silent for longer is away: it would have said by then that it gives up.
pub(super) const GIVES_UP: Duration = Duration::from_millis(1_800);

/// How often it is looked whether the host was left while an answer is waited for.
const LOOK: Duration = Duration::from_millis(50);

/// A connection that is open.
///
/// No `Debug`: it knows the password.
pub(super) struct Connection {
    /// `None` only while it is being dropped.
    runtime: Option<Runtime>,
    client: Client,
    carrier: Carrier,
    /// `None` as long as it can be used.
    loss: Option<Loss>,
    /// Whether it is of no use once the host takes no writes.
    wants_writes: bool,
    /// The place of its host in the URL.
    pub(super) host: usize,
    /// Whether its host was left for another meanwhile.
    is_left: Arc<AtomicBool>,
    /// Whether the host took writes when it was last asked.
    pub(super) takes_writes: bool,
    pub(super) asks_md5: bool,
}

/// How a connection was lost.
enum Loss {
    /// It has ended, or its host takes no writes.
    Ended,
    /// An answer did not come.
    Silent {
        /// Whether it had had time to come: whoever had waited for the connection in line may have had
        /// hardly any left.
        had_time: bool,
    },
}

impl Connection {
    /// `runtime` is the one that it was made on.
    pub(super) fn new(runtime: Runtime, login: Login, wants_writes: bool) -> Self {
        Self {
            runtime: Some(runtime),
            client: login.client,
            carrier: login.carrier,
            loss: None,
            wants_writes,
            host: login.host,
            is_left: Arc::default(),
            takes_writes: login.takes_writes,
            asks_md5: login.asks_md5,
        }
    }

    /// From now on calls are given up once this is true.
    pub(super) fn heed(&mut self, is_left: Arc<AtomicBool>) {
        self.is_left = is_left;
    }

    /// Has something done within `limit`.
    ///
    /// # Errors
    ///
    /// If it was refused, or the connection is lost or given up, now or before. If it was lost now,
    /// nobody knows whether the last of it was done.
    pub(super) fn call<R>(
        &mut self,
        limit: Duration,
        work: impl AsyncFnOnce(&Client) -> Result<R, tokio_postgres::Error>,
    ) -> Result<R, Failure> {
        let runtime = self.runtime.as_ref().filter(|_| self.loss.is_none());
        let Some(runtime) = runtime else {
            return Err(Failure::new("the connection is lost", Cause::Lost));
        };
        self.client.hear();
        let (client, carrier) = (&self.client, &mut self.carrier);
        let is_left = &self.is_left;
        let done = runtime.block_on(async {
            // Not on the stack, which is small where visitors are served: what a change keeps while
            // it waits is large.
            let prepared_and_done = Box::pin(async {
                client.prepare_due().await?;
                work(client).await
            });
            match within(limit, is_left, prepared_and_done).await {
                None => Err(Failure::late()),
                Some(Ok(done)) => Ok(done),
                // Why it was closed is what the carrier was told.
                Some(Err(error)) if error.is_closed() => Err(match carrier.await {
                    Ok(Err(told)) => Failure::from(told),
                    _ => Failure::from(error),
                }),
                Some(Err(error)) => Err(Failure::from(error)),
            }
        });
        let done = done.map_err(
            |failure| match failure.is(&SqlState::READ_ONLY_SQL_TRANSACTION) {
                true if self.wants_writes => Failure::read_only(),
                _ => failure,
            },
        );
        self.loss = done
            .as_ref()
            .err()
            .and_then(|failure| self.loss_by(failure));
        done
    }

    /// Asks the host whether it takes writes.
    ///
    /// # Errors
    ///
    /// If there is no answer.
    pub(super) fn ask_whether_it_takes_writes(&mut self, limit: Duration) -> Result<(), Failure> {
        self.takes_writes = self.call(limit, async |client| takes_writes(client).await)?;
        Ok(())
    }

    /// Whether it was lost because an answer did not come.
    pub(super) fn is_silent(&self) -> bool {
        matches!(self.loss, Some(Loss::Silent { .. }))
    }

    /// Whether it was lost because an answer did not come that had had time to.
    pub(super) fn is_of_one_away(&self) -> bool {
        matches!(self.loss, Some(Loss::Silent { had_time: true }))
    }

    /// Whether it can be used no more.
    pub(super) fn is_lost(&self) -> bool {
        self.loss.is_some()
    }

    /// How it is lost by what has just failed, if it is.
    fn loss_by(&self, failure: &Failure) -> Option<Loss> {
        match failure.cause {
            Cause::Late => Some(Loss::Silent {
                had_time: self.client.silence() >= GIVES_UP,
            }),
            Cause::Lost | Cause::ReadOnly => Some(Loss::Ended),
            _ => self.client.is_closed().then_some(Loss::Ended),
        }
    }
}

/// Waits for what is being done, no longer than `limit`, and not long once the host is left.
async fn within<R>(
    limit: Duration,
    is_left: &AtomicBool,
    mut work: Pin<Box<impl Future<Output = R>>>,
) -> Option<R> {
    let end = Instant::now() + limit;
    loop {
        match timeout(LOOK.min(left(end)), &mut work).await {
            Ok(done) => return Some(done),
            Err(_) if left(end).is_zero() || is_left.load(Ordering::Relaxed) => return None,
            Err(_) => {}
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A connection that one host has taken, on a runtime that it does not know.
pub(super) struct Login {
    client: Client,
    carrier: Carrier,
    asks_md5: bool,
    /// The place of the host in the URL.
    host: usize,
    pub(super) takes_writes: bool,
}

/// What carries the bytes; ends with the connection.
type Carrier = JoinHandle<Result<(), tokio_postgres::Error>>;

impl Login {
    /// Connects to the host at this place, and logs in, and sets up what is to hold for the connection.
    pub(super) async fn to(url: &Url, host: usize, trust: Option<&Trust>) -> Result<Self, Failure> {
        let asks_md5 = Arc::new(AtomicBool::new(false));
        let (client, carrier) = log_in(url, &url.hosts[host], trust, &asks_md5).await?;
        let client = Client::of(client);
        let takes_writes = set_up(&client).await?;
        Ok(Self {
            client,
            carrier,
            asks_md5: asks_md5.load(Ordering::Relaxed),
            host,
            takes_writes,
        })
    }
}

/// Connects and logs in to one host.
async fn log_in(
    url: &Url,
    host: &Host,
    trust: Option<&Trust>,
    asks_md5: &Arc<AtomicBool>,
) -> Result<(tokio_postgres::Client, Carrier), Failure> {
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
    client.batch_execute(SETTINGS).await?;
    takes_writes(client).await
}

async fn takes_writes(client: &Client) -> Result<bool, tokio_postgres::Error> {
    let answers = client.simple_query("SHOW transaction_read_only").await?;
    let answer = answers.iter().find_map(|answer| match answer {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    Ok(answer == Some("off"))
}
