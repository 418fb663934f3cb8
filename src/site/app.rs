//! What the handlers work with.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use url::Url;

use crate::accounts::access_token::Uses;
use crate::accounts::passkey::RelyingParty;
use crate::accounts::regulars::Regulars;
use crate::config::{Config, default_issuer};
use crate::cookies::Cookies;
use crate::durable::directory_of;
use crate::errands::Errands;
use crate::front::tls::Tls;
use crate::gate::{self, Gate};
use crate::handlers::{App, Journal, Passkeys, Script, SentTwice};
use crate::health::Health;
use crate::pages;
use crate::redirect::Targets;
use crate::reply::Presenter;
use crate::results::Results;
use crate::site::files::Files;
use crate::site::{Given, Problem, host, logo, script_page};

pub(super) fn open(given: &Given<'_>, public_url: &Url, files: Files) -> Result<App, Problem> {
    let (config, clock, room) = (given.config, given.clock, given.room);
    let health = Health::new(
        Arc::clone(&files.store),
        config.users.clone(),
        Arc::clone(clock),
    );
    let origin = public_url.origin().ascii_serialization();
    let issuer = config.issuer.clone();
    let issuer = issuer.unwrap_or_else(|| default_issuer(&host(public_url)));
    let store = Arc::clone(&files.store);
    let events = Arc::clone(&files.events);
    let token_uses = Arc::new(Uses::default());
    let errands = Errands::open(
        (store, Arc::clone(&token_uses)),
        files.outbox,
        events,
        origin.clone(),
        Arc::clone(clock),
    );
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let waiting = gate::MOST_WAITING.min(room.connections / 2);
    let steady = Arc::clone(clock);
    let sent_twice = SentTwice::open(move || steady.now().steady);
    let script = || Script::new(script_page::template(), given.out.clone());
    // The original script knows no passkeys.
    let party = RelyingParty::new(public_url, &issuer).filter(|_| !config.compat);
    Ok(App {
        throttle: files.store.counts(config.registrations_per_hour),
        store: files.store,
        health: Arc::new(health),
        access: files.rules,
        gate: Gate::open(cores, waiting).map_err(Problem::no_threads)?,
        regulars: Regulars::default(),
        results: Results::new(room.connections / 4),
        token_uses,
        errands: errands.map_err(Problem::no_threads)?,
        events: files.events,
        journal: Journal::default(),
        presenter: presenter(config, &issuer, files.tls),
        cookies: Cookies::new(config.cookie_domain.as_deref()),
        targets: Targets::new(public_url.clone(), config.cookie_domain.clone()),
        public_url: origin,
        issuer,
        session_limits: config.session_limits,
        registration: config.registration,
        sent_twice: sent_twice.map_err(Problem::no_threads)?,
        passkeys: party.map(Passkeys::new),
        script: config.compat.then(script),
    })
}

fn presenter(config: &Config, issuer: &str, tls: Option<Arc<Tls>>) -> Presenter {
    let site = pages::Site {
        issuer: issuer.to_owned(),
        logo: logo::read(directory_of(&config.users)),
        registration_open: config.registration.is_open(),
        // The original script has no such box.
        remember: match config.compat {
            true => Duration::ZERO,
            false => config.session_limits.remember,
        },
    };
    // A browser told to insist on TLS would not let its user accept a certificate made here.
    let hsts = move || tls.as_ref().is_some_and(|tls| !tls.is_made_here());
    Presenter::new(site, config.cookie_domain.as_deref(), hsts, config.compat)
}
