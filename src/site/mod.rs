//! Everything that is opened before the first visitor comes and closed after the last one has gone:
//! files, threads and what the handlers work with. `front` gets two functions from here, one that
//! answers requests and one that refuses what is none.

mod app;
mod check;
#[cfg(feature = "postgres")]
mod database;
mod files;
mod logo;
mod problem;
mod script_page;
mod smtp;
mod watched;

use std::env;
use std::net::{SocketAddr, TcpListener};
use std::path;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::access::Reach;
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::front::tls::Tls;
use crate::front::{Refuse, Room};
use crate::handlers::{self, App};
use crate::http::{Request, Response};
use crate::log::{self, Lines};
use crate::mail::Outbox;
use crate::metrics;
use crate::metrics::server::{self, Text};
use crate::reply::Outcome;
use crate::server::Service;
pub use crate::site::check::{Finding, Standing, check};
#[cfg(feature = "postgres")]
pub use crate::site::database::{for_command as database_for_command, url as database_url};
use crate::site::files::Files;
pub use crate::site::problem::Problem;
use crate::site::watched::Watched;

/// What `target` says in the JSON log of events that are about the program as a whole.
const PROGRAM: &str = "auth_user";

/// What a site is opened with.
pub struct Given<'a> {
    pub config: &'a Config,
    /// Where the front listens.
    pub address: SocketAddr,
    pub room: Room,
    pub clock: &'a Arc<Clock>,
    /// Standard output.
    pub out: &'a Lines,
}

/// A site that is open.
pub struct Site {
    app: Arc<App>,
    outbox: Arc<Outbox>,
    tls: Option<Arc<Tls>>,
}

impl Site {
    /// Opens everything. Mail may be sent from now on.
    ///
    /// # Errors
    ///
    /// What cannot be opened, and what to do about it.
    pub fn open(given: &Given<'_>) -> Result<Self, Problem> {
        let public_url = public_url(given)?;
        let files = Files::open(given, &public_url)?;
        tell_if_nobody_can_come(given.config, &public_url, files.store.is_empty());
        let host = host(&public_url);
        if let Ok(elsewhere) = files.store.with_passkeys_elsewhere(&host) {
            warn_of_passkeys(given.config, &host, elsewhere);
        }
        let (outbox, tls) = (Arc::clone(&files.outbox), files.tls.clone());
        let app = Arc::new(app::open(given, &public_url, files)?);
        let counted = Arc::clone(&outbox);
        let watched = app.health.watch(move || counted.count());
        watched.map_err(Problem::no_threads)?;
        Ok(Self { app, outbox, tls })
    }

    /// What the metrics show; `connections` says how many are open.
    pub fn metrics(
        &self,
        clock: Arc<Clock>,
        connections: impl Fn() -> usize + Send + Sync + 'static,
    ) -> Text {
        let watched = Watched {
            app: Arc::clone(&self.app),
            outbox: Arc::clone(&self.outbox),
            tls: self.tls.clone(),
            clock,
        };
        Box::new(move || watched.text(connections()))
    }

    /// The site's address: scheme, host and port.
    pub fn origin(&self) -> &str {
        &self.app.public_url
    }

    /// `None` for plain HTTP.
    pub fn tls(&self) -> Option<Arc<Tls>> {
        self.tls.clone()
    }

    /// What answers requests.
    pub fn service(&self) -> Arc<Service> {
        let (answering, failing) = (Arc::clone(&self.app), Arc::clone(&self.app));
        Arc::new(Service {
            answer: Box::new(move |request| {
                counted(request, handlers::answer(&answering, request))
            }),
            failed: Box::new(move |request| {
                let path = Some(request.path.as_str());
                counted(
                    request,
                    handlers::refuse(&failing, Outcome::Internal, None, path),
                )
            }),
        })
    }

    /// What answers bytes that are not a request.
    pub fn refuser(&self) -> Refuse {
        let app = Arc::clone(&self.app);
        Box::new(move |refusal, accept, target| {
            let outcome = Outcome::Rejected(refusal);
            let code = outcome.code();
            (handlers::refuse(&app, outcome, accept, target), code)
        })
    }

    /// Closes what may have something left to save, each within the time that is `left`. False if
    /// something was lost.
    pub fn close(&self, left: impl Fn() -> Duration) -> bool {
        let written = self.app.errands.close(left());
        if !written {
            tracing::error!(target: PROGRAM, "some mails could not be written before the end");
        }
        self.outbox.stop(left());
        let saved = self.app.store.close(left());
        if !saved {
            tracing::error!(target: PROGRAM, "some changes could not be saved before the end");
        }
        // Last, since all of these may have something to tell.
        let noted = self.app.events.close(left());
        if !noted {
            tracing::error!(target: PROGRAM, "some events could not be written before the end");
        }
        // A database that is away is said to be so already, and an operator who ends the program then
        // is not to be told that it failed: what was answered as done is committed.
        written && saved && noted || self.app.store.is_away()
    }
}

/// Opens the port where metrics are shown, and says in the log where that is.
///
/// # Errors
///
/// If the port is taken, or this program may not use it.
pub fn open_metrics(address: SocketAddr) -> Result<TcpListener, Problem> {
    let (listener, address) = server::listen(address).map_err(|error| {
        Problem::new(
            format_args!("cannot show metrics at {address}: {error}"),
            "give another address with --metrics, or leave it out",
        )
    })?;
    tracing::info!(target: PROGRAM, "metrics are at http://{address}/metrics");
    Ok(listener)
}

/// Counts an answer before it is sent.
fn counted(request: &Request, response: Response) -> Response {
    let route = handlers::route_of(&request.path).unwrap_or(metrics::OTHER);
    metrics::request(request.method, route, response.status);
    response
}

/// Says what is to be done before anybody can log in.
fn tell_if_nobody_can_come(config: &Config, public_url: &Url, is_empty: bool) {
    if !config.registration.is_open() && is_empty {
        let (before, place) = for_command_line(config);
        tracing::info!(
            target: PROGRAM,
            "there is no account yet: make the first administrator by {before}auth_user user add \
             NAME --email ADDRESS --groups admins {place} --public-url {}",
            public_url.origin().ascii_serialization()
        );
    }
}

/// What a command is told of where the accounts are: what stands before it, and its flags.
fn for_command_line(config: &Config) -> (String, String) {
    #[cfg(feature = "postgres")]
    if let Some(database) = &config.database {
        return database::for_command_line(database);
    }
    // Whoever copies the line is in another folder.
    let users = path::absolute(&config.users).unwrap_or_else(|_| config.users.clone());
    (String::new(), format!("--users {}", log::path(&users)))
}

/// Says how many accounts have passkeys that are for another host than the site's. The original
/// script knows no passkeys.
fn warn_of_passkeys(config: &Config, host: &str, elsewhere: usize) {
    if elsewhere > 0 && !config.compat {
        tracing::warn!(
            target: PROGRAM,
            "{elsewhere} accounts have passkeys for another host than {host}; they log in by code."
        );
    }
}

/// Says in the log which settings will not do what they were given for.
pub fn warn(config: &Config) {
    for name in config::unknown_variables(env::vars_os()) {
        tracing::warn!(target: PROGRAM, name, "this environment variable means nothing to auth_user");
    }
    if config.compat {
        tracing::warn!(
            target: PROGRAM,
            "compatibility mode prints keys and shows new passwords to whoever asks: \
             use it only for tests and programs on this machine"
        );
    }
    for warning in &config.warnings {
        tracing::warn!(target: PROGRAM, "{warning}");
    }
    for notice in &config.notices {
        tracing::info!(target: PROGRAM, "{notice}");
    }
}

/// Where the site is found: on this machine, if the operator does not say.
fn public_url(given: &Given<'_>) -> Result<Url, Problem> {
    if let Some(url) = &given.config.public_url {
        return Ok(url.clone());
    }
    local_url(given.address.port())
}

/// The address on this machine.
fn local_url(port: u16) -> Result<Url, Problem> {
    let url = format!("https://localhost:{port}");
    Url::parse(&url).map_err(|error| Problem::new(error, "give its address with --public-url"))
}

/// Where visitors are asked about.
fn reach(config: &Config, public_url: &Url) -> Reach {
    Reach {
        own: host(public_url),
        domain: config.cookie_domain.clone(),
    }
}

fn host(url: &Url) -> String {
    url.host_str().unwrap_or("localhost").to_owned()
}
