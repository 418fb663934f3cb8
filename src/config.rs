//! What the program was told: flags, environment, defaults. Opens no file and asks no clock.

use std::ffi::{OsStr, OsString};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::process;
use std::time::Duration;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, ValueEnum};
use ipnet::IpNet;
use url::{Host, Url};

use crate::accounts::registration::Registration;
use crate::accounts::session::Limits;
use crate::log::Format;
use crate::mail::{Sender, SmtpUrl};

mod advice;
mod checked;
mod commands;
mod database;
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
pub use self::operators::{Flag, OfServer};
pub use self::people::{Add, Invite, List, Named, Remove, Set, User};
pub use self::told::{DOCTOR_EXAMPLE, Refused, clean};
pub use self::words::man_page;

/// A small login server: registration, login with a second factor, recovery, over TLS.
///
/// With no flags it serves https://localhost:8000 from the current directory.
#[derive(Parser)]
#[command(name = "auth_user", version, disable_help_subcommand = true)]
struct Flags {
    #[command(subcommand)]
    command: Option<Command>,

    /// Where to listen; port 0 takes a free one [default: 0.0.0.0:8000]
    #[arg(long, env = "AUTH_LISTEN", value_name = "ADDR:PORT", value_parser = address)]
    listen: Option<SocketAddr>,

    /// The accounts; sessions.json and outbox/ live beside it
    #[arg(
        long,
        env = "AUTH_USERS",
        value_name = "PATH",
        default_value = "users.json"
    )]
    users: PathBuf,

    /// A database in place of the files: postgres://user:pass@host/dbname; whoever lists processes
    /// sees a password here, and not one in the file of AUTH_STORE_FILE
    #[arg(
        long,
        env = "AUTH_STORE",
        value_name = "URL",
        conflicts_with = "store_file",
        hide_env_values = true
    )]
    store: Option<String>,

    /// A file that holds what --store would say
    #[arg(
        long,
        env = "AUTH_STORE_FILE",
        value_name = "PATH",
        conflicts_with = "store"
    )]
    store_file: Option<PathBuf>,

    /// The key that seals secrets in the database
    #[arg(long, env = "AUTH_STORE_KEY", value_name = "PATH")]
    store_key: Option<PathBuf>,

    /// The certificate, PEM, chain first
    #[arg(
        long,
        env = "AUTH_CERT",
        value_name = "PATH",
        default_value = "server.crt"
    )]
    cert: PathBuf,

    /// Its key, PEM: PKCS#8, PKCS#1 or SEC1
    #[arg(
        long,
        env = "AUTH_KEY",
        value_name = "PATH",
        default_value = "server.key"
    )]
    key: PathBuf,

    /// Plain HTTP, for a proxy that ends TLS; on loopback unless --trusted-proxy is given
    #[arg(long, env = "AUTH_NO_TLS")]
    no_tls: bool,

    /// How visitors reach this server [default: https://localhost:PORT]
    #[arg(long, env = "AUTH_PUBLIC_URL", value_name = "URL", value_parser = origin)]
    public_url: Option<Url>,

    /// Share the session with the sub-domains of this domain
    #[arg(long, env = "AUTH_COOKIE_DOMAIN", value_name = "DOMAIN", value_parser = domain)]
    cookie_domain: Option<String>,

    /// Peers whose X-Forwarded-* fields are believed; may be repeated
    #[arg(
        long = "trusted-proxy",
        env = "AUTH_TRUSTED_PROXIES",
        value_name = "CIDR",
        value_parser = networks
    )]
    trusted_proxies: Vec<Networks>,

    /// smtps://user:pass@host:465, or smtp://host:587 with STARTTLS
    #[arg(
        long,
        env = "AUTH_SMTP",
        value_name = "URL",
        conflicts_with = "smtp_file",
        hide_env_values = true
    )]
    smtp: Option<String>,

    /// A file that holds what --smtp would say, out of sight of others on this machine
    #[arg(
        long,
        env = "AUTH_SMTP_FILE",
        value_name = "PATH",
        conflicts_with = "smtp"
    )]
    smtp_file: Option<PathBuf>,

    // No doc comment: rustdoc would take the address for a tag.
    #[arg(
        long,
        help = "The sender of mails, or \"Name <address>\"",
        env = "AUTH_MAIL_FROM",
        value_name = "ADDRESS",
        default_value = "auth_user@localhost",
        value_parser = Sender::parse
    )]
    mail_from: Sender,

    /// The name the authenticator app shows [default: host of the public URL]
    #[arg(long, env = "AUTH_ISSUER", value_name = "NAME", value_parser = issuer)]
    issuer: Option<String>,

    /// How long a session lasts unused
    #[arg(
        long,
        env = "AUTH_SESSION_IDLE",
        value_name = "DURATION",
        default_value = SESSION_IDLE,
        value_parser = duration
    )]
    session_idle: Duration,

    /// How long a session lasts at most
    #[arg(
        long,
        env = "AUTH_SESSION_MAX",
        value_name = "DURATION",
        default_value = SESSION_MAX,
        value_parser = duration
    )]
    session_max: Duration,

    /// How long "Stay logged in" lasts; 0 shows no such box
    #[arg(
        long,
        env = "AUTH_REMEMBER",
        value_name = "DURATION",
        default_value = REMEMBER,
        value_parser = remember
    )]
    remember: Duration,

    /// Who may make accounts: strangers, people with an invitation, nobody [default: open; invited
    /// with --cookie-domain]
    #[arg(long, env = "AUTH_REGISTRATION", ignore_case = true)]
    registration: Option<Who>,

    /// New accounts per address and hour; 0 is no limit
    #[arg(
        long,
        env = "AUTH_REGISTRATIONS_PER_HOUR",
        value_name = "N",
        default_value_t = 60
    )]
    registrations_per_hour: u32,

    /// How long events.jsonl keeps what happened to accounts; 0 writes nothing
    #[arg(
        long,
        env = "AUTH_EVENTS_KEPT",
        value_name = "DURATION",
        default_value = EVENTS_KEPT,
        value_parser = events_kept
    )]
    events_kept: Duration,

    /// Answer to the letter as the Python script auth_user.py does
    #[arg(long, env = "AUTH_COMPAT")]
    compat: bool,

    /// Where to show metrics, over plain HTTP at /metrics; on 127.0.0.1 unless an address is given
    #[arg(long, env = "AUTH_METRICS", value_name = "[ADDR:]PORT", value_parser = metrics)]
    metrics: Option<SocketAddr>,

    /// How the log is written, on standard error
    #[arg(long, env = "AUTH_LOG", default_value = "text", ignore_case = true)]
    log: LogFormat,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Who {
    Open,
    Invited,
    Closed,
}

impl From<Who> for Registration {
    fn from(who: Who) -> Self {
        match who {
            Who::Open => Self::Open,
            Who::Invited => Self::Invited,
            Who::Closed => Self::Closed,
        }
    }
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

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

fn address(text: &str) -> Result<SocketAddr, String> {
    text.to_socket_addrs()
        .ok()
        .and_then(|mut addresses| addresses.next())
        .ok_or_else(|| "not of the form ADDR:PORT".to_owned())
}

/// A port alone is one of this machine's own.
fn metrics(text: &str) -> Result<SocketAddr, String> {
    let port = text.strip_prefix(':').unwrap_or(text);
    match port.parse() {
        Ok(port) => Ok(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)),
        Err(_) => address(text).map_err(|_| "not of the form PORT or ADDR:PORT".to_owned()),
    }
}

fn origin(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    let bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("not an https URL".to_owned());
    }
    if !bare || !url.username().is_empty() || url.password().is_some() {
        return Err("more than scheme, host and port".to_owned());
    }
    Ok(url)
}

fn domain(text: &str) -> Result<String, String> {
    match Host::parse(text.trim_start_matches('.')) {
        Ok(Host::Domain(domain)) if domain.contains('.') && !domain.ends_with('.') => Ok(domain),
        Ok(Host::Domain(domain)) if !domain.contains('.') => Err(
            "a single label, for which browsers keep no cookie: take a domain such as example.com, \
             or at home one such as house.home.arpa"
                .to_owned(),
        ),
        _ => Err("not a domain such as example.com".to_owned()),
    }
}

/// The networks in one flag or variable.
#[derive(Clone)]
struct Networks(Vec<IpNet>);

/// Separated by commas, blanks or both; a comma at the end is allowed.
fn networks(text: &str) -> Result<Networks, String> {
    text.split(|c: char| c == ',' || c.is_whitespace())
        .filter(|network| !network.is_empty())
        .map(network)
        .collect::<Result<_, _>>()
        .map(Networks)
}

fn network(text: &str) -> Result<IpNet, String> {
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| format!("{text:?} is not a network such as 10.0.0.0/8"))
}

/// In characters: what an authenticator app has room for.
const MAX_ISSUER: usize = 64;

fn issuer(text: &str) -> Result<String, String> {
    let fits =
        (1..=MAX_ISSUER).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    // A colon would end the issuer in the key's URI.
    if fits && !text.contains(':') {
        Ok(text.to_owned())
    } else {
        Err("not 1 to 64 characters without a colon or control characters".to_owned())
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if duration < Duration::from_secs(1) {
        return Err("shorter than a second".to_owned());
    }
    Ok(duration)
}

/// How long browsers keep a cookie at most (RFC 6265bis, section 5.5).
const LONGEST_COOKIE: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// Zero, or how long a cookie is to last.
fn remember(text: &str) -> Result<Duration, String> {
    if text.trim() == "0" {
        return Ok(Duration::ZERO);
    }
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if duration > LONGEST_COOKIE {
        return Err("browsers keep no cookie for longer than 400 days".to_owned());
    }
    Ok(duration)
}

/// How long sessions last, if nobody says.
const SESSION_IDLE: &str = "1h";
const SESSION_MAX: &str = "24h";
const REMEMBER: &str = "30d";

/// How long events are kept, if nobody says.
const EVENTS_KEPT: &str = "90d";

/// Zero, or how long events are kept.
fn events_kept(text: &str) -> Result<Duration, String> {
    match text.trim() {
        "0" => Ok(Duration::ZERO),
        text => duration(text),
    }
}

#[cfg(test)]
mod tests;
