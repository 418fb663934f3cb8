//! What the program was told: flags, environment, defaults. Opens no file and asks no clock.

use std::ffi::{OsStr, OsString};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process;
use std::time::Duration;

use clap::{CommandFactory as _, FromArgMatches as _};
use ipnet::IpNet;
use url::Url;

use crate::accounts::registration::Registration;
use crate::accounts::session::Limits;
use crate::log::Format;
use crate::mail::{Sender, SmtpUrl};

mod advice;
mod checked;
mod commands;
mod database;
mod flags;
mod operators;
mod people;
mod told;
mod words;

pub use self::checked::Checked;
pub use self::commands::{
    Backup, Command, Completions, Doctor, EventsAsked, Import, OfStore, ProxyConfig, Restore, Since,
};
#[cfg(feature = "postgres")]
pub use self::database::{Database, Place};
use self::flags::{
    EVENTS_KEPT, Flags, LogFormat, MAX_ISSUER, REMEMBER, SESSION_IDLE, SESSION_MAX, Who, address,
    domain, duration, events_kept, origin, remember,
};
pub use self::operators::{Flag, OfServer};
pub use self::people::{Add, Invite, List, Named, Remove, Set, User};
pub use self::told::{DOCTOR_EXAMPLE, Refused, clean};
pub use self::words::man_page;

/// What the program runs with.
///
/// No `Debug`: `smtp` may hold a password.
pub struct Config {
    pub listen: SocketAddr,
    pub users: PathBuf,
    /// In place of the files beside `users`.
    #[cfg(feature = "postgres")]
    pub database: Option<Database>,
    pub cert: PathBuf,
    pub key: PathBuf,
    pub tls: bool,
    /// `None` means `https://localhost:PORT`, once the port is known.
    pub public_url: Option<Url>,
    pub cookie_domain: Option<String>,
    pub trusted_proxies: Vec<IpNet>,
    pub smtp: Option<Smtp>,
    pub mail_from: Sender,
    pub issuer: Option<String>,
    pub session_limits: Limits,
    pub registration: Registration,
    pub registrations_per_hour: u32,
    /// Zero: none are written.
    pub events_kept: Duration,
    pub compat: bool,
    /// Where metrics are shown, if anywhere.
    pub metrics: Option<SocketAddr>,
    /// How many sockets this process was handed, to be served in place of `listen`.
    pub handed: usize,
    pub log: Format,
    /// What follows from the settings and may surprise, one line each.
    pub notices: Vec<String>,
    /// Which settings will not work as they stand, one line each.
    pub warnings: Vec<String>,
}

/// Where the mail server's URL is.
pub enum Smtp {
    File(PathBuf),
    Url(SmtpUrl),
}

/// What the program was told to do.
pub enum Told {
    Serve(Box<Config>),
    /// Something besides serving; some commands work on the files of a server.
    Do(Box<Command>, OfServer),
    /// Looking at what serving would look at.
    Check(Checked),
}

impl Told {
    /// Reads the command line, program name first, and the environment for what it does not set.
    ///
    /// # Errors
    ///
    /// [`Refused`]; nothing has been done yet.
    pub fn read(
        arguments: impl IntoIterator<Item = OsString>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, Refused> {
        let arguments: Vec<OsString> = arguments.into_iter().collect();
        if checked::is_meant(&arguments) {
            return checked::read(arguments, &variable);
        }
        if operators::are_meant(&arguments) {
            return operators::read(arguments, variable);
        }
        let handed = handed(&variable);
        let told = told::Told::read(&Flags::command(), arguments, variable)?;
        // Nothing is missing in what was just parsed.
        let flags = Flags::from_arg_matches(&told.matches);
        let mut flags = flags.map_err(|error| told.refuse("", &error.kind()))?;
        match flags.command.take() {
            Some(command) => Ok(Self::Do(
                Box::new(command),
                OfServer::new(flags.users, told),
            )),
            None => Config::put_together(flags, &told, handed)
                .map(|config| Self::Serve(Box::new(config))),
        }
    }
}

impl Config {
    fn put_together(flags: Flags, told: &told::Told, handed: usize) -> Result<Self, Refused> {
        let trusted_proxies: Vec<IpNet> = flags
            .trusted_proxies
            .iter()
            .flat_map(|networks| networks.0.iter().copied())
            .collect();
        let proxied = !trusted_proxies.is_empty();
        let listen = listen(&flags, proxied);
        let is_clear = flags.no_tls && !proxied && !is_local(listen);
        if is_clear && handed == 0 {
            return Err(in_the_clear(listen, told));
        }
        let smtp = smtp(flags.smtp_file, flags.smtp, told)?;
        let database = database::read(flags.store, flags.store_file, flags.store_key, told)?;
        if database.is_some() && flags.compat {
            return Err(database::shown_to_all(told));
        }
        // There, an account opens other people's applications.
        let by_default = match flags.cookie_domain {
            Some(_) => Registration::Invited,
            None => Registration::Open,
        };
        let registration = flags.registration.map_or(by_default, Into::into);
        let mut config = Self {
            listen,
            users: flags.users,
            #[cfg(feature = "postgres")]
            database,
            cert: flags.cert,
            key: flags.key,
            tls: !flags.no_tls,
            public_url: flags.public_url,
            cookie_domain: flags.cookie_domain,
            trusted_proxies,
            smtp,
            mail_from: flags.mail_from,
            issuer: flags.issuer,
            session_limits: Limits {
                idle: flags.session_idle,
                max: flags.session_max,
                remember: flags.remember,
            },
            registration,
            registrations_per_hour: flags.registrations_per_hour,
            events_kept: flags.events_kept,
            compat: flags.compat,
            metrics: flags.metrics,
            handed,
            log: match flags.log {
                LogFormat::Text => Format::Text,
                LogFormat::Json => Format::Json,
            },
            notices: Vec::new(),
            warnings: Vec::new(),
        };
        if flags.registration.is_none() {
            config.notices.extend(advice::invited(&config, told));
        }
        config.warnings = advice::half_done(&config, told);
        Ok(config)
    }

    /// Judges where the sockets listen that this process was handed.
    ///
    /// # Errors
    ///
    /// If passwords would be sent in the clear.
    pub fn judge(&self, handed: &[SocketAddr]) -> Result<(), Refused> {
        let is_clear = !self.tls && self.trusted_proxies.is_empty();
        let open = handed.iter().find(|address| !is_local(**address));
        let Some(address) = open.filter(|_| is_clear) else {
            return Ok(());
        };
        Err(Refused::Wrong {
            what: format!(
                "plain HTTP on the socket at {address}, which was handed over, would send \
                 passwords in the clear"
            ),
            hint: "have that socket listen on this machine only, or name your proxy, \
                   --trusted-proxy 10.0.0.1"
                .to_owned(),
        })
    }
}

/// How many sockets whoever started this very process has handed it (sd_listen_fds(3)).
fn handed(variable: &impl Fn(&str) -> Option<OsString>) -> usize {
    let number = |name| variable(name)?.to_str()?.parse::<u32>().ok();
    match number("LISTEN_PID") {
        Some(pid) if pid == process::id() => number("LISTEN_FDS")
            .and_then(|count| usize::try_from(count).ok())
            .unwrap_or(0),
        _ => 0,
    }
}

/// Whether only this machine can reach the address.
fn is_local(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// The address that was given, or the one that fits what else was.
fn listen(flags: &Flags, proxied: bool) -> SocketAddr {
    let default = if flags.no_tls || (flags.compat && !proxied) {
        Ipv4Addr::LOCALHOST
    } else {
        Ipv4Addr::UNSPECIFIED
    };
    let default = SocketAddr::new(IpAddr::V4(default), 8000);
    flags.listen.unwrap_or(default)
}

fn smtp(
    file: Option<PathBuf>,
    url: Option<String>,
    told: &told::Told,
) -> Result<Option<Smtp>, Refused> {
    // Not parsed by the library, whose messages repeat the value: it may hold a password.
    let parse = |url: String| SmtpUrl::parse(&url).map_err(|error| told.refuse("--smtp", &error));
    match file {
        Some(path) => Ok(Some(Smtp::File(path))),
        None => Ok(url.map(parse).transpose()?.map(Smtp::Url)),
    }
}

fn in_the_clear(listen: SocketAddr, told: &told::Told) -> Refused {
    let no_tls = told.name("--no-tls");
    let (local, proxy) = match no_tls {
        "--no-tls" => ("--listen 127.0.0.1:8000", "--trusted-proxy 10.0.0.1"),
        _ => (
            "AUTH_LISTEN=127.0.0.1:8000",
            "AUTH_TRUSTED_PROXIES=10.0.0.1",
        ),
    };
    Refused::Wrong {
        what: format!(
            "{no_tls} with {} would send passwords in the clear",
            told.with("--listen", &listen.to_string())
        ),
        hint: format!("listen on this machine only, {local}, or name your proxy, {proxy}"),
    }
}

/// The name that authenticator apps show for a site that was given none: its host, changed to obey
/// the rules for given names.
pub fn default_issuer(host: &str) -> String {
    // An IPv6 address as people write it where colons mean something else.
    let label = host.trim_matches(['[', ']']).replace(':', "-");
    label.chars().take(MAX_ISSUER).collect()
}

/// The `AUTH_*` variables among these that mean nothing to the program: typing errors, mostly. An
/// empty variable counts as not set.
pub fn unknown_variables(variables: impl Iterator<Item = (OsString, OsString)>) -> Vec<String> {
    let command = Flags::command();
    let known: Vec<&OsStr> = command
        .get_arguments()
        .filter_map(clap::Arg::get_env)
        .collect();
    variables
        .filter(|(name, value)| !known.contains(&name.as_os_str()) && !value.is_empty())
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| name.starts_with("AUTH_"))
        .collect()
}

#[cfg(test)]
mod tests;
