//! What is kept on disk, or in the database: accounts and rules, the certificate, mails, events.

use std::io;
use std::sync::Arc;

use url::Url;

use crate::config::Config;
use crate::durable::directory_of;
use crate::events::Events;
use crate::front::tls::{self, Tls};
#[cfg(feature = "postgres")]
use crate::host;
use crate::mail::{Outbox, SmtpUrl};
#[cfg(feature = "postgres")]
use crate::site::database;
use crate::site::{Given, Problem, host as host_of, reach, smtp};
#[cfg(feature = "postgres")]
use crate::store::postgres::{EventRows, MailRows};
use crate::store::{Rules, Store};

/// What is kept.
pub(super) struct Files {
    pub(super) rules: Rules,
    pub(super) store: Arc<Store>,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) events: Arc<Events>,
}

impl Files {
    pub(super) fn open(given: &Given<'_>, public_url: &Url) -> Result<Self, Problem> {
        let (config, clock) = (given.config, given.clock);
        let delivery = config.smtp.as_ref().map(smtp::url).transpose()?;
        let reach = reach(config, public_url);
        let rules = Rules::open(directory_of(&config.users), clock, reach)?;
        let limits = config.session_limits;
        #[cfg(feature = "postgres")]
        let store = match &config.database {
            Some(database) => database::open(database, limits, clock)?,
            None => Store::open(&config.users, limits, Arc::clone(clock))?,
        };
        #[cfg(not(feature = "postgres"))]
        let store = Store::open(&config.users, limits, Arc::clone(clock))?;
        let tls = config
            .tls
            .then(|| open_tls(given, public_url))
            .transpose()?;
        #[cfg(feature = "postgres")]
        if config.database.is_some() {
            database::warn_of_files(directory_of(&config.users), &config.users);
        }
        let events = open_events(given, &store).map_err(Problem::no_threads)?;
        // Last, since the outbox may send at once.
        let outbox = open_outbox(config, &store, delivery)?;
        Ok(Self {
            rules,
            store: Arc::new(store),
            tls,
            outbox: Arc::new(outbox),
            events: Arc::new(events),
        })
    }
}

/// Beside the accounts, or in the same database.
#[cfg_attr(
    not(feature = "postgres"),
    expect(unused_variables, reason = "there is no database")
)]
fn open_events(given: &Given<'_>, store: &Store) -> io::Result<Events> {
    let (config, clock) = (given.config, Arc::clone(given.clock));
    #[cfg(feature = "postgres")]
    if let Some(database) = store.database() {
        let node = format!("{}:{}", host::own(), given.address.port());
        return Events::in_database(EventRows::of(database), node, config.events_kept, clock);
    }
    Events::open(&config.users, config.events_kept, clock)
}

/// Beside the accounts, or in the same database.
#[cfg_attr(
    not(feature = "postgres"),
    expect(unused_variables, reason = "there is no database")
)]
fn open_outbox(
    config: &Config,
    store: &Store,
    delivery: Option<SmtpUrl>,
) -> Result<Outbox, Problem> {
    let from = config.mail_from.clone();
    #[cfg(feature = "postgres")]
    if let Some(database) = store.database() {
        database::warn_of_mail(config);
        let outbox = Outbox::in_database(MailRows::of(database), from, delivery);
        return outbox.map_err(Problem::no_threads);
    }
    let directory = directory_of(&config.users).join("outbox");
    Ok(Outbox::open(directory, from, delivery)?)
}

fn open_tls(given: &Given<'_>, public_url: &Url) -> Result<Arc<Tls>, Problem> {
    let config = given.config;
    let files = tls::Files {
        certificate: config.cert.clone(),
        key: config.key.clone(),
        host: host_of(public_url),
        allow_open_key: config.compat,
    };
    Ok(Arc::new(Tls::open(files, given.clock.now().wall)?))
}
