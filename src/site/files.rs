//! What is kept on disk: accounts and rules, the certificate, mails.

use std::sync::Arc;

use url::Url;

use crate::durable::directory_of;
use crate::events::Events;
use crate::front::tls::{self, Tls};
use crate::mail::Outbox;
use crate::site::{Given, Problem, host, reach, smtp};
use crate::store::{Rules, Store};

/// What is kept on disk.
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
        let directory = directory_of(&config.users);
        let rules = Rules::open(directory, clock, reach(config, public_url))?;
        let limits = config.session_limits;
        let store = Store::open(&config.users, limits, Arc::clone(clock))?;
        let tls = config
            .tls
            .then(|| open_tls(given, public_url))
            .transpose()?;
        let events = Events::open(&config.users, config.events_kept, Arc::clone(clock));
        let events = events.map_err(Problem::no_threads)?;
        // Last, since the outbox may send at once.
        let from = config.mail_from.clone();
        let outbox = Outbox::open(directory.join("outbox"), from, delivery)?;
        Ok(Self {
            rules,
            store: Arc::new(store),
            tls,
            outbox: Arc::new(outbox),
            events: Arc::new(events),
        })
    }
}

fn open_tls(given: &Given<'_>, public_url: &Url) -> Result<Arc<Tls>, Problem> {
    let config = given.config;
    let files = tls::Files {
        certificate: config.cert.clone(),
        key: config.key.clone(),
        host: host(public_url),
        allow_open_key: config.compat,
    };
    Ok(Arc::new(Tls::open(files, given.clock.now().wall)?))
}
