//! Which of the hosts is taken: the first that will do, in the order of the URL from where one
//! begins. One that keeps silent does not keep the others from being asked, or a machine that has lost
//! its power would take the whole time there is.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use futures_util::future::select_all;
use tokio::runtime;
use tokio::time::timeout;
use tokio_postgres::error::SqlState;

use crate::store::postgres::connection::{Connection, Login};
use crate::store::postgres::failure::{Cause, Failure};
use crate::store::postgres::shared::left;
use crate::store::postgres::tls::Trust;
use crate::store::postgres::url::{Host, Url};

/// How long a host is waited for before the next is asked beside it; and how often those that have
/// said no are asked again while one is silent: a standby may become the one that takes writes.
const BESIDE: Duration = Duration::from_millis(250);

/// What is wanted of a host.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum For {
    /// That it can be read, and takes writes if any does.
    Reading,
    /// That it takes writes.
    Writing,
}

/// Why none of the hosts would do: each with its reason.
pub(super) struct NoHost(pub(super) Vec<(Host, Failure)>);

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

    /// Whether some host has not answered.
    pub(super) fn is_late(&self) -> bool {
        let mut failures = self.0.iter();
        failures.any(|(_, failure)| failure.cause == Cause::Late)
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

impl Connection {
    /// Connects to a host that will do, and is done by `end`. The one at the place `first` in the URL
    /// is asked first.
    pub(super) fn open(
        url: &Url,
        trust: Option<&Trust>,
        purpose: For,
        first: usize,
        end: Instant,
    ) -> Result<Self, NoHost> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            // Each may be looking a name up.
            .max_blocking_threads(url.hosts.len().max(1))
            .build();
        let runtime = runtime.map_err(|error| {
            let hosts = url.hosts.iter().cloned();
            NoHost(hosts.zip([Failure::from(error)]).collect())
        })?;
        let wants_writes = purpose == For::Writing || url.wants_writes;
        let search = Search {
            url,
            trust,
            wants_writes,
            said: vec![None; url.hosts.len()],
            asked: Vec::new(),
            readable: None,
        };
        match runtime.block_on(search.run(first, end)) {
            Ok(login) => Ok(Self::new(runtime, login, url.wants_writes)),
            Err(none) => {
                // Not waited for: a name may be looked up there for long.
                runtime.shutdown_background();
                Err(none)
            }
        }
    }
}

/// A host by its place in the URL, and what has come of asking it.
type Answer = (usize, Result<Login, Failure>);

struct Search<'a> {
    url: &'a Url,
    trust: Option<&'a Trust>,
    wants_writes: bool,
    /// What each host has said last, if it was no.
    said: Vec<Option<Failure>>,
    /// Those that have not answered yet.
    asked: Vec<Pin<Box<dyn Future<Output = Answer> + 'a>>>,
    /// One that would do if no other takes writes.
    readable: Option<Login>,
}

impl<'a> Search<'a> {
    async fn run(mut self, first: usize, end: Instant) -> Result<Login, NoHost> {
        let mut next: VecDeque<usize> = (0..self.url.hosts.len()).collect();
        next.rotate_left(first);
        let mut refused = Vec::new();
        while !left(end).is_zero() {
            if let Some(at) = next.pop_front() {
                self.asked.push(Box::pin(ask(self.url, self.trust, at)));
            }
            match self.answer(BESIDE.min(left(end))).await {
                Some((_, Ok(login))) if login.takes_writes => return Ok(login),
                Some((_, Ok(login))) if !self.wants_writes => {
                    self.readable.get_or_insert(login);
                }
                Some((at, answer)) => {
                    let failure = answer.err().unwrap_or_else(Failure::read_only);
                    self.said[at] = Some(failure);
                    refused.push(at);
                }
                None if next.is_empty() && self.readable.is_some() => break,
                None if next.is_empty() => next.extend(refused.drain(..)),
                None => {}
            }
            if self.asked.is_empty() && next.is_empty() {
                break;
            }
        }
        let said = self.said.into_iter();
        let said = said.map(|failure| failure.unwrap_or_else(Failure::late));
        let hosts = self.url.hosts.iter().cloned();
        self.readable
            .ok_or_else(|| NoHost(hosts.zip(said).collect()))
    }

    /// The next answer, if one comes in time.
    async fn answer(&mut self, limit: Duration) -> Option<Answer> {
        let first = timeout(limit, select_all(&mut self.asked)).await;
        let (answer, place) = first.map(|(answer, place, _)| (answer, place)).ok()?;
        drop(self.asked.swap_remove(place));
        Some(answer)
    }
}

/// Asks one host, for no longer than it is given.
async fn ask(url: &Url, trust: Option<&Trust>, at: usize) -> Answer {
    let asked = timeout(url.connect_timeout, Login::to(url, at, trust)).await;
    (at, asked.unwrap_or_else(|_| Err(Failure::late())))
}
