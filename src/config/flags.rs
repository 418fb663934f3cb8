//! The flags of the server: their variables, what is assumed, and how their values are read.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use ipnet::IpNet;
use url::{Host, Url};

use crate::accounts::registration::Registration;
use crate::config::commands::Command;
use crate::mail::Sender;

/// A small login server: registration, login with a second factor, recovery, over TLS.
///
/// With no flags it serves https://localhost:8000 from the current directory.
#[derive(Parser)]
#[command(name = "auth_user", version, disable_help_subcommand = true)]
pub(super) struct Flags {
    #[command(subcommand)]
    pub(super) command: Option<Command>,

    /// Where to listen; port 0 takes a free one [default: 0.0.0.0:8000]
    #[arg(long, env = "AUTH_LISTEN", value_name = "ADDR:PORT", value_parser = address)]
    pub(super) listen: Option<SocketAddr>,

    /// The accounts; sessions.json and outbox/ live beside it
    #[arg(
        long,
        env = "AUTH_USERS",
        value_name = "PATH",
        default_value = "users.json"
    )]
    pub(super) users: PathBuf,

    /// A database in place of the files: postgres://user:pass@host/dbname; whoever lists processes
    /// sees a password here, and not one in the file of AUTH_STORE_FILE
    #[arg(
        long,
        env = "AUTH_STORE",
        value_name = "URL",
        conflicts_with = "store_file",
        hide_env_values = true
    )]
    pub(super) store: Option<String>,

    /// A file that holds what --store would say
    #[arg(
        long,
        env = "AUTH_STORE_FILE",
        value_name = "PATH",
        conflicts_with = "store"
    )]
    pub(super) store_file: Option<PathBuf>,

    /// The key that seals secrets in the database
    #[arg(long, env = "AUTH_STORE_KEY", value_name = "PATH")]
    pub(super) store_key: Option<PathBuf>,

    /// The certificate, PEM, chain first
    #[arg(
        long,
        env = "AUTH_CERT",
        value_name = "PATH",
        default_value = "server.crt"
    )]
    pub(super) cert: PathBuf,

    /// Its key, PEM: PKCS#8, PKCS#1 or SEC1
    #[arg(
        long,
        env = "AUTH_KEY",
        value_name = "PATH",
        default_value = "server.key"
    )]
    pub(super) key: PathBuf,

    /// Plain HTTP, for a proxy that ends TLS; on loopback unless --trusted-proxy is given
    #[arg(long, env = "AUTH_NO_TLS")]
    pub(super) no_tls: bool,

    /// How visitors reach this server [default: https://localhost:PORT]
    #[arg(long, env = "AUTH_PUBLIC_URL", value_name = "URL", value_parser = origin)]
    pub(super) public_url: Option<Url>,

    /// Share the session with the sub-domains of this domain
    #[arg(long, env = "AUTH_COOKIE_DOMAIN", value_name = "DOMAIN", value_parser = domain)]
    pub(super) cookie_domain: Option<String>,

    /// Peers whose X-Forwarded-* fields are believed; may be repeated
    #[arg(
        long = "trusted-proxy",
        env = "AUTH_TRUSTED_PROXIES",
        value_name = "CIDR",
        value_parser = networks
    )]
    pub(super) trusted_proxies: Vec<Networks>,

    /// smtps://user:pass@host:465, or smtp://host:587 with STARTTLS
    #[arg(
        long,
        env = "AUTH_SMTP",
        value_name = "URL",
        conflicts_with = "smtp_file",
        hide_env_values = true
    )]
    pub(super) smtp: Option<String>,

    /// A file that holds what --smtp would say, out of sight of others on this machine
    #[arg(
        long,
        env = "AUTH_SMTP_FILE",
        value_name = "PATH",
        conflicts_with = "smtp"
    )]
    pub(super) smtp_file: Option<PathBuf>,

    // No doc comment: rustdoc would take the address for a tag.
    #[arg(
        long,
        help = "The sender of mails, or \"Name <address>\"",
        env = "AUTH_MAIL_FROM",
        value_name = "ADDRESS",
        default_value = "auth_user@localhost",
        value_parser = Sender::parse
    )]
    pub(super) mail_from: Sender,

    /// The name the authenticator app shows [default: host of the public URL]
    #[arg(long, env = "AUTH_ISSUER", value_name = "NAME", value_parser = issuer)]
    pub(super) issuer: Option<String>,

    /// How long a session lasts unused
    #[arg(
        long,
        env = "AUTH_SESSION_IDLE",
        value_name = "DURATION",
        default_value = SESSION_IDLE,
        value_parser = duration
    )]
    pub(super) session_idle: Duration,

    /// How long a session lasts at most
    #[arg(
        long,
        env = "AUTH_SESSION_MAX",
        value_name = "DURATION",
        default_value = SESSION_MAX,
        value_parser = duration
    )]
    pub(super) session_max: Duration,

    /// How long "Stay logged in" lasts; 0 shows no such box
    #[arg(
        long,
        env = "AUTH_REMEMBER",
        value_name = "DURATION",
        default_value = REMEMBER,
        value_parser = remember
    )]
    pub(super) remember: Duration,

    /// Who may make accounts: strangers, people with an invitation, nobody [default: open; invited
    /// with --cookie-domain]
    #[arg(long, env = "AUTH_REGISTRATION", ignore_case = true)]
    pub(super) registration: Option<Who>,

    /// New accounts per address and hour; 0 is no limit
    #[arg(
        long,
        env = "AUTH_REGISTRATIONS_PER_HOUR",
        value_name = "N",
        default_value_t = 60
    )]
    pub(super) registrations_per_hour: u32,

    /// How long events.jsonl keeps what happened to accounts; 0 writes nothing
    #[arg(
        long,
        env = "AUTH_EVENTS_KEPT",
        value_name = "DURATION",
        default_value = EVENTS_KEPT,
        value_parser = events_kept
    )]
    pub(super) events_kept: Duration,

    /// Answer to the letter as the Python script auth_user.py does
    #[arg(long, env = "AUTH_COMPAT")]
    pub(super) compat: bool,

    /// Where to show metrics, over plain HTTP at /metrics; on 127.0.0.1 unless an address is given
    #[arg(long, env = "AUTH_METRICS", value_name = "[ADDR:]PORT", value_parser = metrics)]
    pub(super) metrics: Option<SocketAddr>,

    /// How the log is written, on standard error
    #[arg(long, env = "AUTH_LOG", default_value = "text", ignore_case = true)]
    pub(super) log: LogFormat,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub(super) enum Who {
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
pub(super) enum LogFormat {
    Text,
    Json,
}

pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.to_socket_addrs()
        .ok()
        .and_then(|mut addresses| addresses.next())
        .ok_or_else(|| "not of the form ADDR:PORT".to_owned())
}

/// A port alone is one of this machine's own.
pub(super) fn metrics(text: &str) -> Result<SocketAddr, String> {
    let port = text.strip_prefix(':').unwrap_or(text);
    match port.parse() {
        Ok(port) => Ok(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)),
        Err(_) => address(text).map_err(|_| "not of the form PORT or ADDR:PORT".to_owned()),
    }
}

pub(super) fn origin(text: &str) -> Result<Url, String> {
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

pub(super) fn domain(text: &str) -> Result<String, String> {
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
pub(super) struct Networks(pub(super) Vec<IpNet>);

/// Separated by commas, blanks or both; a comma at the end is allowed.
pub(super) fn networks(text: &str) -> Result<Networks, String> {
    text.split(|c: char| c == ',' || c.is_whitespace())
        .filter(|network| !network.is_empty())
        .map(network)
        .collect::<Result<_, _>>()
        .map(Networks)
}

pub(super) fn network(text: &str) -> Result<IpNet, String> {
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| format!("{text:?} is not a network such as 10.0.0.0/8"))
}

/// In characters: what an authenticator app has room for.
pub(super) const MAX_ISSUER: usize = 64;

pub(super) fn issuer(text: &str) -> Result<String, String> {
    let fits =
        (1..=MAX_ISSUER).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    // A colon would end the issuer in the key's URI.
    if fits && !text.contains(':') {
        Ok(text.to_owned())
    } else {
        Err("not 1 to 64 characters without a colon or control characters".to_owned())
    }
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if duration < Duration::from_secs(1) {
        return Err("shorter than a second".to_owned());
    }
    Ok(duration)
}

/// How long browsers keep a cookie at most (RFC 6265bis, section 5.5).
pub(super) const LONGEST_COOKIE: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// Zero, or how long a cookie is to last.
pub(super) fn remember(text: &str) -> Result<Duration, String> {
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
pub(super) const SESSION_IDLE: &str = "1h";
pub(super) const SESSION_MAX: &str = "24h";
pub(super) const REMEMBER: &str = "30d";

/// How long events are kept, if nobody says.
pub(super) const EVENTS_KEPT: &str = "90d";

/// Zero, or how long events are kept.
pub(super) fn events_kept(text: &str) -> Result<Duration, String> {
    match text.trim() {
        "0" => Ok(Duration::ZERO),
        text => duration(text),
    }
}
