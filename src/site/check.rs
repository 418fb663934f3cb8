//! What a start would find, without a start: each thing is judged by the code that judges it then,
//! and what that would log is listed.

use std::path::Path;
use std::sync::Arc;

use crate::clock::Clock;
use crate::config::Config;
#[cfg(feature = "postgres")]
use crate::config::Database;
use crate::durable::directory_of;
use crate::front::Room;
use crate::front::tls::{self, Tls};
use crate::log::{self, Level};
use crate::mail;
#[cfg(feature = "postgres")]
use crate::site::database;
use crate::site::{
    Problem, host, local_url, logo, reach, smtp, tell_if_nobody_can_come, warn, warn_of_passkeys,
};
use crate::store::{self, Rules};

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Standing {
    Ok,
    /// A start would serve, and log this.
    Warning,
    /// A start would end with this.
    Wrong,
}

/// Something that was looked at.
#[derive(Debug, PartialEq)]
pub struct Finding {
    pub standing: Standing,
    pub message: String,
    pub hint: Option<String>,
}

impl Finding {
    fn ok(message: impl Into<String>) -> Self {
        Self {
            standing: Standing::Ok,
            message: message.into(),
            hint: None,
        }
    }

    /// What a start would end with.
    pub fn wrong(what: String, hint: String) -> Self {
        Self {
            standing: Standing::Wrong,
            message: what,
            hint: Some(hint),
        }
    }
}

/// Looks at everything that a start looks at, except whether the port is free, and changes nothing.
/// `is_misused` says whether wrong flags and variables were left out.
pub fn check(config: &Config, is_misused: bool) -> Vec<Finding> {
    let mut found = Findings::default();
    found.hear(|| warn(config));
    if !is_misused {
        found
            .0
            .push(Finding::ok("flags and variables are understood"));
    }
    found.look(|| Room::claim().map(|room| Finding::ok(has_room(room))));
    if let Some(url) = &config.smtp {
        found.look(|| smtp::url(url).map(|_| Finding::ok("the mail server's URL is one")));
    }
    let clock = Arc::new(Clock::start());
    let directory = directory_of(&config.users);
    if directory.is_dir() {
        found.look(|| look_at_rules(config, directory, &clock));
    }
    found.look_at_store(config, &clock);
    if config.tls {
        found.look(|| look_at_pair(config, clock.now().wall));
    }
    if directory.is_dir() {
        found.look(|| {
            let logo = logo::read(directory);
            let shown = logo.map_or("no logo is shown", |_| "a logo is shown");
            Ok::<_, Problem>(Finding::ok(shown))
        });
    }
    found.0
}

fn has_room(room: Room) -> String {
    format!("there is room for {} connections", room.connections)
}

fn look_at_rules(
    config: &Config,
    directory: &Path,
    clock: &Arc<Clock>,
) -> Result<Finding, Problem> {
    let site = match &config.public_url {
        Some(url) => url.clone(),
        None => local_url(config.listen.port())?,
    };
    let found = Rules::look(directory, clock, &reach(config, &site))?;
    Ok(Finding::ok(match found {
        true => "access.toml is understood",
        false => "there is no access.toml: everybody who is logged in may enter",
    }))
}

fn look_at_pair(config: &Config, wall: u64) -> Result<Finding, Problem> {
    let local = local_url(config.listen.port())?;
    let files = tls::Files {
        certificate: config.cert.clone(),
        key: config.key.clone(),
        host: host(config.public_url.as_ref().unwrap_or(&local)),
        allow_open_key: config.compat,
    };
    Ok(Finding::ok(Tls::look(&files, wall)?))
}

/// Says what a start does of the accounts.
fn tell_of_accounts(config: &Config, is_empty: bool, elsewhere: impl FnOnce(&str) -> usize) {
    let local = || local_url(config.listen.port()).ok();
    if let Some(site) = config.public_url.clone().or_else(local) {
        tell_if_nobody_can_come(config, &site, is_empty);
        let host = host(&site);
        warn_of_passkeys(config, &host, elsewhere(&host));
    }
}

#[cfg(feature = "postgres")]
fn look_at_database(
    config: &Config,
    database: &Database,
    clock: &Clock,
) -> Result<Finding, Problem> {
    let looked = database::look(database, clock)?;
    database::warn_of_files(directory_of(&config.users), &config.users);
    database::warn_of_mail(config);
    // A start, too, says nothing of accounts that cannot be read just then.
    let is_empty = looked.is_empty().unwrap_or(false);
    tell_of_accounts(config, is_empty, |host| {
        looked.with_passkeys_elsewhere(host).unwrap_or(0)
    });
    Ok(Finding::ok("the database can be used"))
}

/// What was found so far.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    /// Looks at one thing, and lists what a start would log of it.
    fn look<E: Into<Problem>>(&mut self, look: impl FnOnce() -> Result<Finding, E>) {
        let looked = self.hear(look);
        self.0.push(looked.unwrap_or_else(|error| {
            let (what, hint) = error.into().said();
            Finding::wrong(what, hint)
        }));
    }

    fn hear<R>(&mut self, look: impl FnOnce() -> R) -> R {
        let (looked, heard) = log::heard(look);
        self.0
            .extend(heard.into_iter().map(|(level, message)| Finding {
                standing: match level {
                    Level::ERROR | Level::WARN => Standing::Warning,
                    _ => Standing::Ok,
                },
                message,
                hint: None,
            }));
        looked
    }

    fn look_at_store(&mut self, config: &Config, clock: &Arc<Clock>) {
        #[cfg(feature = "postgres")]
        if let Some(database) = &config.database {
            self.look(|| look_at_database(config, database, clock));
            return;
        }
        let looked = self.hear(|| {
            let looked = store::look(&config.users, clock);
            if looked.wrong.is_empty() {
                let accounts = looked.accounts.clone().unwrap_or_default();
                tell_of_accounts(config, accounts.is_empty(), |host| {
                    accounts.with_passkeys_elsewhere(host)
                });
            }
            looked
        });
        let file = config.users.display();
        if let Some(accounts) = looked.accounts.map(|accounts| accounts.len()) {
            self.0
                .push(Finding::ok(format!("{file} has {accounts} accounts")));
        } else if looked.wrong.is_empty() {
            self.0.push(Finding::ok(format!("{file} will be made")));
        }
        if let Some(sessions) = looked.sessions {
            self.0.push(Finding::ok(format!(
                "sessions.json has {sessions} sessions"
            )));
        }
        self.0.extend(looked.wrong.into_iter().map(|error| {
            let (what, hint) = Problem::from(error).said();
            Finding::wrong(what, hint)
        }));
        let directory = directory_of(&config.users);
        if directory.is_dir() {
            self.look(|| {
                mail::look(&directory.join("outbox"))
                    .map(|()| Finding::ok("outbox/ can be opened, or made"))
            });
        }
    }
}
