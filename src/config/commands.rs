//! The commands and their flags: everything the program does besides serving.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use url::Url;

use crate::access::Access;
use crate::accounts::names;
use crate::config::people::{Invite, User};
use crate::config::told::proxy_config_example;
use crate::config::words::Shell;
use crate::config::{address, domain, origin};
use crate::deployment::Proxy;
use crate::deployment::doctor::Patient;
use crate::deployment::proxy_config::{self, Application, Wanted};
use crate::operator::import::Format;

#[derive(Subcommand)]
pub enum Command {
    /// Print a proxy's configuration that protects an application
    ProxyConfig(ProxyConfig),
    /// Attack your own deployment through its proxy, and say what to change
    Doctor(Doctor),
    /// List, make, change and remove accounts, whether a server is running or not
    #[command(
        subcommand,
        arg_required_else_help = false,
        disable_help_subcommand = true
    )]
    User(User),
    /// Show what happened to accounts, oldest first
    Events(EventsAsked),
    /// Make a link by which somebody makes an account, or end one
    Invite(Invite),
    /// Take over accounts with their passwords from the file of another program
    Import(Import),
    /// Say what a start with these flags would say, all of it, and change nothing
    Check(Check),
    /// Copy accounts, sessions, waiting mail, events and settings, of one moment, into one tar
    Backup(Backup),
    /// Make the folder of a server of such a tar, or fill an empty database
    Restore(Restore),
    /// Print a script that has a shell complete flags, commands, choices and paths
    Completions(Completions),
    /// Print this program's manual page, in roff
    Man,
    /// Make what a store on a database needs
    #[command(
        subcommand,
        arg_required_else_help = false,
        disable_help_subcommand = true
    )]
    Store(OfStore),
}

/// The word of the command that takes all flags of the server.
pub(super) const CHECK: &str = "check";

impl Command {
    /// Whether it works on the server's files, and takes the server's flags on both sides of its
    /// words.
    pub(super) fn is_of_operators(name: &str) -> bool {
        matches!(
            name,
            "user" | "events" | "import" | "invite" | "backup" | "restore" | "store"
        )
    }
}

/// Prints an event a line, with tabs between time, event, user, who did it, address, browser and
/// result; `-` for what is empty.
#[derive(Args)]
pub struct EventsAsked {
    /// Only those of this account, also from before it was renamed
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,

    /// Only those of the last days, as in 7d, or from a date or time on, as in 2026-11-22
    #[arg(long, value_name = "SINCE", value_parser = since)]
    pub since: Option<Since>,

    /// Go on with each new event, until stopped
    #[arg(long)]
    pub follow: bool,

    /// Print the lines of the file, JSON
    #[arg(long)]
    pub json: bool,
}

/// From when on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Since {
    /// So long before now.
    Ago(Duration),
    /// Time since 1970.
    At(Duration),
}

fn since(text: &str) -> Result<Since, String> {
    let text = text.trim();
    if let Ok(duration) = humantime::parse_duration(text) {
        return Ok(Since::Ago(duration));
    }
    let moment = OffsetDateTime::parse(text, &Rfc3339)
        .or_else(|_| OffsetDateTime::parse(&format!("{text}T00:00:00Z"), &Rfc3339))
        .map_err(|_| "neither a duration such as 7d nor a date or time in RFC 3339".to_owned())?;
    let since = moment.unix_timestamp_nanos() / 1_000_000;
    Ok(Since::At(Duration::from_millis(
        u64::try_from(since).unwrap_or(0),
    )))
}

/// Takes over accounts, all of a file or none. An account that exists is never changed.
#[derive(Args)]
pub struct Import {
    /// Whose file it is
    pub format: Format,

    /// The file, or - for standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Say what would be done, and change nothing
    #[arg(long)]
    pub dry_run: bool,

    // No doc comment: rustdoc would take the address for a tag.
    #[arg(
        long,
        help = "Those without an address get NAME@DOMAIN, not proven",
        value_name = "DOMAIN",
        value_parser = mail_domain
    )]
    pub email_domain: Option<String>,

    /// A name that is an address becomes its local part
    #[arg(long)]
    pub local_names: bool,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Takes all flags and variables of the server, which may be running. The exit status is that with
/// which a start would end, 0 if it would serve.
#[derive(Args)]
pub struct Check {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Copies what lies in the folder of --users, whether a server is running or not. Certificate and
/// key go with it if they lie there. With --store, accounts, sessions, mail and events are those of
/// the database.
#[derive(Args)]
pub struct Backup {
    /// The tar to make, where none is yet, or - for standard output
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Fills the folder of --users, which must be empty, or missing and is made then. With --store, it
/// fills the database, which must be empty but for what store migrate makes, and that folder only
/// gets rules, logo and certificate, where none of them is yet.
#[derive(Args)]
pub struct Restore {
    /// The tar that a backup has made
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What can be done to a store as a whole.
#[derive(Subcommand)]
pub enum OfStore {
    /// Make the key that seals secrets in a database, once for all nodes
    Key {
        /// The file to make, where none is yet
        #[arg(value_name = "PATH")]
        path: PathBuf,

        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Make the tables of a database, or bring them up to this version
    ///
    /// Whoever lists processes reads a password in an argument: AUTH_STORE_FILE names a file that
    /// holds the URL instead.
    Migrate {
        /// The database [default: what --store says]
        #[arg(value_name = "URL")]
        url: Option<String>,

        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Copy accounts, sessions, links, waiting mail and events, of one moment, to where none are
    ///
    /// Each place is the URL of a database, or the path of users.json or of its folder. --store-key
    /// names the key of the databases. Whoever lists processes reads a password in an argument: leave
    /// it out of the URL, and let the server know this user otherwise.
    Copy {
        /// What to copy; it may be in use
        #[arg(value_name = "FROM")]
        from: String,

        /// A database that is migrated and empty, or a path where no such files are
        #[arg(value_name = "TO")]
        to: String,

        /// The key of TO, if it is another than that of FROM
        #[arg(long, value_name = "PATH")]
        to_key: Option<PathBuf>,

        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Prints the script on standard output, to be put where the shell looks for such scripts.
#[derive(Args)]
pub struct Completions {
    /// Which shell
    #[arg(ignore_case = true)]
    pub shell: Shell,
}

fn mail_domain(text: &str) -> Result<String, String> {
    let address = names::parse_email(&format!("a@{text}"));
    let domain = address.and_then(|address| Some(address.strip_prefix("a@")?.to_owned()));
    domain.ok_or_else(|| "not a domain of e-mail addresses".to_owned())
}

/// Sends a few harmless requests to the host named and to nobody else. The exit status is 0 if
/// nothing failed, 1 if something did, and 2 if this was called wrongly.
#[derive(Args)]
pub struct Doctor {
    /// The application as its visitors reach it
    #[arg(value_name = "URL", value_parser = origin)]
    url: Url,

    /// The login as its visitors reach it [default: where the application's / leads]
    #[arg(long, env = "AUTH_PUBLIC_URL", value_name = "URL", value_parser = origin)]
    public_url: Option<Url>,

    /// Certificates to trust besides those of this machine, PEM: of an authority, or the proxy's
    /// own
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,

    /// A file with the value of the session cookie of a test account that may enter [default: asks
    /// for a name, a password and a code, if standard input is a terminal]
    #[arg(long, value_name = "FILE")]
    pub cookie_file: Option<PathBuf>,

    /// A file with the value of a session that has been logged out
    #[arg(long, value_name = "FILE")]
    pub old_cookie_file: Option<PathBuf>,

    /// A file with an access token of a test account that may enter
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,

    /// The accounts, beside which the rules of access.toml are, if they are here
    #[arg(
        long,
        env = "AUTH_USERS",
        value_name = "PATH",
        default_value = "users.json"
    )]
    pub users: PathBuf,

    /// The port the application listens on, where strangers must not reach it
    #[arg(long, value_name = "PORT", value_parser = port)]
    upstream_port: Option<u16>,

    /// Where to connect, instead of where the host's name leads
    #[arg(long, value_name = "ADDR:PORT", value_parser = reachable)]
    connect: Option<SocketAddr>,

    /// Strangers may make themselves an account: do not call that a fault
    #[arg(long)]
    open_registration: bool,
}

fn port(text: &str) -> Result<u16, String> {
    let port = text.parse().ok().filter(|port| *port > 0);
    port.ok_or_else(|| "not a port from 1 to 65535".to_owned())
}

/// An address to connect to: port 0 only makes sense for listening.
fn reachable(text: &str) -> Result<SocketAddr, String> {
    let address = address(text)?;
    port(&address.port().to_string()).map(|_| address)
}

impl Doctor {
    /// The deployment to examine, without the files, which the caller reads.
    ///
    /// # Errors
    ///
    /// Why the URL is not one of an application, in one line.
    pub fn patient(&self) -> Result<Patient, String> {
        if self.url.scheme() != "https" {
            return Err("the doctor looks at https only".to_owned());
        }
        Ok(Patient {
            host: self.url.host_str().unwrap_or_default().to_owned(),
            port: self.url.port_or_known_default().unwrap_or(443),
            public_url: self.public_url.clone(),
            connect: self.connect,
            trusted: None,
            cookie: None,
            old_cookie: None,
            token: None,
            access: Ok(Access::default()),
            upstream_port: self.upstream_port,
            open_registration: self.open_registration,
        })
    }
}

/// Prints a complete configuration: one login for applications that have none of their own.
#[derive(Args)]
pub struct ProxyConfig {
    /// Which proxy
    #[arg(ignore_case = true)]
    pub proxy: Proxy,

    /// The host of an application and where it listens; repeat it for more of them
    #[arg(long = "app", value_name = "HOST=ADDR:PORT", value_parser = app, required = true)]
    apps: Vec<App>,

    /// Where the application listens, if its --app does not say
    #[arg(long, value_name = "ADDR:PORT", value_parser = proxy_config::upstream)]
    upstream: Option<String>,

    /// How visitors reach the login [default: auth.DOMAIN of the session's, by https]
    #[arg(long, env = "AUTH_PUBLIC_URL", value_name = "URL", value_parser = origin)]
    public_url: Option<Url>,

    /// The domain the session is shared in [default: the one above the first application]
    #[arg(long, env = "AUTH_COOKIE_DOMAIN", value_name = "DOMAIN", value_parser = domain)]
    cookie_domain: Option<String>,

    /// Where auth_user listens [default: 127.0.0.1:8000]
    #[arg(long, env = "AUTH_LISTEN", value_name = "ADDR:PORT", value_parser = address)]
    listen: Option<SocketAddr>,

    /// The proxy's certificate, PEM, chain first; for HAProxy with the key
    #[arg(long, value_name = "PATH", value_parser = proxy_config::path)]
    cert: Option<String>,

    /// Its key, PEM [default: in the same file]
    #[arg(long, value_name = "PATH", value_parser = proxy_config::path, requires = "cert")]
    key: Option<String>,

    /// Write the files here instead of printing them
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// An application as `--app` names it.
#[derive(Clone)]
struct App {
    host: String,
    upstream: Option<String>,
}

fn app(text: &str) -> Result<App, String> {
    let (host, upstream) = match text.split_once('=') {
        Some((host, upstream)) => (host, Some(proxy_config::upstream(upstream)?)),
        None => (text, None),
    };
    let host = proxy_config::host(host)?;
    Ok(App { host, upstream })
}

impl ProxyConfig {
    /// What to print; `ipv6` says whether this machine has IPv6.
    ///
    /// # Errors
    ///
    /// Why these values do not go together, in one line.
    pub fn wanted(&self, ipv6: bool) -> Result<Wanted, String> {
        let applications = self.applications()?;
        let domain = self.domain()?;
        let public_url = match &self.public_url {
            Some(url) => url.clone(),
            None => origin(&format!("https://auth.{domain}"))?,
        };
        let local = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8000);
        let key = self.key.clone().or_else(|| self.cert.clone());
        Ok(Wanted {
            applications,
            public_url,
            cookie_domain: domain,
            auth: self.listen.unwrap_or(local),
            certificate: self.cert.clone().zip(key),
            ipv6,
        })
    }

    /// What a right call looks like, for the same proxy.
    pub fn example(&self) -> String {
        proxy_config_example(self.proxy)
    }

    fn applications(&self) -> Result<Vec<Application>, String> {
        let alone = self.apps.len() == 1;
        let listens = |app: &App| match (&app.upstream, &self.upstream) {
            (Some(upstream), None) => Ok(upstream.clone()),
            (None, Some(upstream)) if alone => Ok(upstream.clone()),
            (Some(_), Some(_)) => Err(format!(
                "where {} listens is said twice: leave out --upstream",
                app.host
            )),
            (None, _) => Err(format!(
                "where does {host} listen? Say it as --app {host}=ADDR:PORT",
                host = app.host
            )),
        };
        let application = |app: &App| {
            Ok(Application {
                host: app.host.clone(),
                upstream: listens(app)?,
            })
        };
        self.apps.iter().map(application).collect()
    }

    /// The domain given, or the one directly above the first application, if a session can be
    /// shared in it.
    fn domain(&self) -> Result<String, String> {
        if let Some(domain) = &self.cookie_domain {
            return Ok(domain.clone());
        }
        let first = self.apps.first().map_or("", |app| app.host.as_str());
        let above = first.split_once('.').map_or("", |(_, above)| above);
        domain(above).map_err(|why| {
            format!("the domain above {first}, {above}, is {why}; give one with --cookie-domain")
        })
    }
}
