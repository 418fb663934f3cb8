//! What the program was told: flags, environment, defaults. Opens no file and asks no clock.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Parser, ValueEnum};
use ipnet::IpNet;
use url::{Host, Url};

use crate::accounts::session::Limits;
use crate::mail::{Sender, SmtpUrl};

mod commands;

pub use self::commands::{Command, Doctor, ProxyConfig};

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
    #[arg(long, env = "AUTH_NO_TLS", value_parser = BoolishValueParser::new())]
    no_tls: bool,

    /// How visitors reach it [default: https://localhost:PORT]
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
        value_delimiter = ',',
        value_parser = network
    )]
    trusted_proxies: Vec<IpNet>,

    /// smtps://user:pass@host:465, or smtp://host:587 with STARTTLS
    #[arg(long, env = "AUTH_SMTP", value_name = "URL", hide_env_values = true)]
    smtp: Option<String>,

    /// A file that holds what --smtp would say
    #[arg(
        long,
        env = "AUTH_SMTP_FILE",
        value_name = "PATH",
        conflicts_with = "smtp",
        hide = true
    )]
    smtp_file: Option<PathBuf>,

    /// The sender of mails
    #[arg(
        long,
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
        default_value = "1h",
        value_parser = duration
    )]
    session_idle: Duration,

    /// How long a session lasts at most
    #[arg(
        long,
        env = "AUTH_SESSION_MAX",
        value_name = "DURATION",
        default_value = "24h",
        value_parser = duration
    )]
    session_max: Duration,

    /// Whether strangers may make accounts
    #[arg(long, env = "AUTH_REGISTRATION", default_value = "open")]
    registration: Registration,

    /// New accounts per address and hour; 0 is no limit
    #[arg(
        long,
        env = "AUTH_REGISTRATIONS_PER_HOUR",
        value_name = "N",
        default_value_t = 60
    )]
    registrations_per_hour: u32,

    /// Answer to the letter as the Python script auth_user.py does
    #[arg(long, env = "AUTH_COMPAT", value_parser = BoolishValueParser::new())]
    compat: bool,

    /// How the log is written, on standard error
    #[arg(long, env = "AUTH_LOG", default_value = "text")]
    log: LogFormat,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Registration {
    Open,
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

/// What the program runs with.
///
/// No `Debug`: `smtp` may hold a password.
pub struct Config {
    pub listen: SocketAddr,
    pub users: PathBuf,
    pub cert: PathBuf,
    pub key: PathBuf,
    pub tls: bool,
    /// None means `https://localhost:PORT`, once the port is known.
    pub public_url: Option<Url>,
    pub cookie_domain: Option<String>,
    pub trusted_proxies: Vec<IpNet>,
    pub smtp: Option<Smtp>,
    pub mail_from: Sender,
    pub issuer: Option<String>,
    pub session_limits: Limits,
    pub registration_open: bool,
    pub registrations_per_hour: u32,
    pub compat: bool,
    pub log: LogFormat,
}

/// Where the mail server's URL is.
pub enum Smtp {
    File(PathBuf),
    Url(SmtpUrl),
}

/// What the program was told to do.
pub enum Told {
    Serve(Box<Config>),
    Do(Box<Command>),
}

impl Told {
    /// Reads the command line (program name first) and the environment behind it.
    ///
    /// # Errors
    ///
    /// [`Refused`]; nothing has been done yet.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, Refused> {
        let mut flags = Flags::try_parse_from(arguments).map_err(refused)?;
        match flags.command.take() {
            Some(command) => Ok(Self::Do(Box::new(command))),
            None => Config::from_flags(flags).map(|config| Self::Serve(Box::new(config))),
        }
    }
}

/// Why there is no configuration.
#[derive(Debug)]
pub enum Refused {
    /// Help or version was asked for: print this on standard output.
    Asked(String),
    /// A flag or value is wrong: one line for the operator.
    Wrong(String),
}

impl Config {
    fn from_flags(flags: Flags) -> Result<Self, Refused> {
        let proxied = !flags.trusted_proxies.is_empty();
        let local = (flags.no_tls || flags.compat) && !proxied;
        let any = if local {
            Ipv4Addr::LOCALHOST
        } else {
            Ipv4Addr::UNSPECIFIED
        };
        let default = if flags.no_tls {
            Ipv4Addr::LOCALHOST
        } else {
            any
        };
        let listen = flags
            .listen
            .unwrap_or(SocketAddr::new(IpAddr::V4(default), 8000));
        if flags.no_tls && !listen.ip().to_canonical().is_loopback() && !proxied {
            return Err(Refused::Wrong(format!(
                "--no-tls on {listen} would send passwords in the clear: \
                 listen on 127.0.0.1, or name your proxy with --trusted-proxy"
            )));
        }
        // Not a parser of the library's, whose messages repeat the value: it may hold a password.
        let smtp = match (flags.smtp_file, flags.smtp) {
            (Some(path), _) => Some(Smtp::File(path)),
            (None, Some(url)) => {
                let wrong = |error| Refused::Wrong(format!("invalid value for --smtp: {error}"));
                Some(Smtp::Url(SmtpUrl::parse(&url).map_err(wrong)?))
            }
            (None, None) => None,
        };
        Ok(Self {
            listen,
            users: flags.users,
            cert: flags.cert,
            key: flags.key,
            tls: !flags.no_tls,
            public_url: flags.public_url,
            cookie_domain: flags.cookie_domain,
            trusted_proxies: flags.trusted_proxies,
            smtp,
            mail_from: flags.mail_from,
            issuer: flags.issuer,
            session_limits: Limits {
                idle: flags.session_idle,
                max: flags.session_max,
            },
            registration_open: flags.registration == Registration::Open,
            registrations_per_hour: flags.registrations_per_hour,
            compat: flags.compat,
            log: flags.log,
        })
    }
}

/// The `AUTH_*` variables among `names` that mean nothing to the program: typing errors, mostly.
pub fn unknown_variables(names: impl Iterator<Item = OsString>) -> Vec<String> {
    use clap::CommandFactory as _;
    let command = Flags::command();
    let known: Vec<&std::ffi::OsStr> = command
        .get_arguments()
        .filter_map(clap::Arg::get_env)
        .collect();
    names
        .filter(|name| !known.contains(&name.as_os_str()))
        .filter_map(|name| name.into_string().ok())
        .filter(|name| name.starts_with("AUTH_"))
        .collect()
}

/// The library's first line says what is wrong; the rest repeats the usage.
fn refused(error: clap::Error) -> Refused {
    let text = error.render().to_string();
    if !error.use_stderr() {
        return Refused::Asked(text);
    }
    // What is missing, or would do instead, stands in the lines below the first.
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.is_empty())
        .collect();
    Refused::Wrong(format!(
        "{} (see auth_user --help)",
        lines.join(" ").trim_start_matches("error: ")
    ))
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.to_socket_addrs()
        .ok()
        .and_then(|mut addresses| addresses.next())
        .ok_or_else(|| "not of the form ADDR:PORT".to_owned())
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
        _ => Err("not a domain such as example.com".to_owned()),
    }
}

fn network(text: &str) -> Result<IpNet, String> {
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| "not a network such as 10.0.0.0/8".to_owned())
}

fn issuer(text: &str) -> Result<String, String> {
    let fits = (1..=64).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    // A colon would end the issuer in the key's URI.
    if fits && !text.contains(':') {
        Ok(text.to_owned())
    } else {
        Err("not 1 to 64 characters without a colon".to_owned())
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if duration < Duration::from_secs(1) {
        return Err("shorter than a second".to_owned());
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn read(arguments: &[&str]) -> Result<Config, Refused> {
        let arguments = ["auth_user"].iter().chain(arguments);
        match Told::read(arguments.map(OsString::from))? {
            Told::Serve(config) => Ok(*config),
            Told::Do(_) => panic!("a command was read"),
        }
    }

    fn wrong(arguments: &[&str]) -> String {
        match read(arguments) {
            Err(Refused::Wrong(line)) => line,
            _ => panic!("{arguments:?} was taken"),
        }
    }

    #[test]
    fn the_flags_are_sound() {
        Flags::command().debug_assert();
    }

    #[test]
    fn the_default_address_depends_on_who_can_listen_in() {
        let listen = |arguments: &[&str]| read(arguments).ok().unwrap().listen.to_string();
        assert_eq!(listen(&[]), "0.0.0.0:8000");
        assert_eq!(listen(&["--no-tls"]), "127.0.0.1:8000");
        assert_eq!(listen(&["--compat"]), "127.0.0.1:8000");
        assert_eq!(
            listen(&["--compat", "--trusted-proxy", "10.0.0.1"]),
            "0.0.0.0:8000"
        );
        assert_eq!(listen(&["--compat", "--listen", "0.0.0.0:1"]), "0.0.0.0:1");
    }

    #[test]
    fn passwords_do_not_cross_a_network_in_the_clear() {
        assert!(wrong(&["--no-tls", "--listen", "0.0.0.0:8000"]).contains("--trusted-proxy"));
        let proxied = [
            "--no-tls",
            "--listen",
            "0.0.0.0:8000",
            "--trusted-proxy",
            "10.0.0.0/8",
        ];
        assert!(read(&proxied).is_ok());
    }

    #[test]
    fn the_line_says_what_is_missing_and_what_would_do() {
        assert!(wrong(&["doctor"]).contains("<URL>"));
        assert!(wrong(&["--log", "xml"]).contains("text, json"));
    }

    #[test]
    fn what_is_wrong_is_said_in_one_line() {
        for arguments in [
            &["--frobnicate"][..],
            &["--listen", "nowhere"],
            &["--public-url", "ftp://x"],
            &["--public-url", "https://a@b"],
            &["--public-url", "https://a/b"],
            &["--cookie-domain", "com"],
            &["--cookie-domain", "127.0.0.1"],
            &["--trusted-proxy", "10.0.0.0/33"],
            &["--session-idle", "soon"],
            &["--session-max", "0s"],
            &["--registration", "maybe"],
            &["--registrations-per-hour", "many"],
            &["--log", "xml"],
            &["--issuer", "a:b"],
            &["--mail-from", "nobody"],
            &["--smtp", "smtps://user:hunter2@"],
            &["stray"],
        ] {
            let line = wrong(arguments);
            assert_eq!(line.lines().count(), 1, "{line}");
            assert!(!line.contains("hunter2"), "{line}");
            assert!(
                line.contains(arguments[0].trim_start_matches('-')),
                "{line}"
            );
        }
    }

    #[test]
    fn a_mistyped_variable_is_noticed() {
        let names = ["AUTH_LISTEN", "AUTH_LISTN", "PATH", "AUTH_SMTP_FILE"].map(OsString::from);
        assert_eq!(unknown_variables(names.into_iter()), ["AUTH_LISTN"]);
    }
}
