//! The URL of a database: where it is, who asks, and how the way there is guarded.
//!
//! Nothing here repeats a value of the URL in an error: a password that is not written as a URL
//! wants it ends up in any part of it.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

mod parts;
#[cfg(test)]
mod tests;

use parts::{Parts, decoded};

/// The port of a host that is given none.
const USUAL_PORT: u16 = 5432;

/// How long one host may take to answer, if the URL does not say: failover to the next must be
/// quicker than visitors lose patience.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The longest that a host can be given; what waits for a connection has limits of its own.
const LONGEST_TIMEOUT: u64 = 86_400;

/// Where a database is and how to connect to it.
///
/// No `Debug`: it may hold a password.
#[derive(Clone)]
pub struct Url {
    pub(super) hosts: Vec<Host>,
    pub(super) user: Option<String>,
    pub(super) password: Option<Zeroizing<String>>,
    pub(super) dbname: Option<String>,
    pub(super) guard: Guard,
    /// A file of certificates that are trusted instead of the system's authorities.
    pub(super) root: Option<PathBuf>,
    pub(super) requires_binding: bool,
    /// Whether a host that takes no writes is passed over.
    pub(super) wants_writes: bool,
    /// For one host.
    pub(super) connect_timeout: Duration,
    pub(super) application_name: String,
    shown: String,
}

/// One of the places where the database may be.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Host {
    /// A name or an address, without brackets.
    Tcp(String, u16),
    /// A socket, in this folder.
    Socket(PathBuf, u16),
}

/// What guards the way to the database.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Guard {
    /// It does not leave this machine.
    Nothing,
    /// TLS, with chain and name checked.
    Tls,
}

impl Url {
    /// # Errors
    ///
    /// What is wrong, without any part of the URL that may be a password.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts = Parts::of(text)?;
        let mut given = Given::read(&parts)?;
        let hosts = hosts(&parts, given.take("host"), given.take("port"))?;
        let user = one_of("the user", parts.user, given.take("user"))?;
        let password = one_of("the password", parts.password, given.take("password"))?;
        let dbname = one_of("the database", parts.path, given.take("dbname"))?;
        let requires_binding = given.chosen(
            "channel_binding",
            &[("prefer", false), ("require", true)],
            false,
        )?;
        let attributes = [("any", false), ("read-write", true)];
        let wants_writes = given.chosen("target_session_attrs", &attributes, false)?;
        let timeout = given.take("connect_timeout").map(seconds).transpose()?;
        let root = given.take("sslrootcert").filter(|root| root != "system");
        let modes = [
            ("disable", Some(Guard::Nothing)),
            ("require", Some(Guard::Tls)),
            ("verify-ca", Some(Guard::Tls)),
            ("verify-full", Some(Guard::Tls)),
        ];
        let mode = given.chosen("sslmode", &modes, None)?;
        Ok(Self {
            guard: guard(mode, &hosts, requires_binding)?,
            hosts,
            user,
            password: password.map(Zeroizing::new),
            dbname,
            root: root.map(PathBuf::from),
            requires_binding,
            wants_writes,
            connect_timeout: timeout.unwrap_or(CONNECT_TIMEOUT),
            application_name: given
                .take("application_name")
                .unwrap_or_else(|| "auth_user".to_owned()),
            shown: parts.without_password(),
        })
    }

    /// The URL without its password, as the operator wrote it.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// The same for a command that the operator copies into a shell.
    pub(super) fn for_shells(&self) -> String {
        match self
            .shown
            .contains(['&', '\'', ' ', ';', '$', '`', '(', ')', '*'])
        {
            true => format!("'{}'", self.shown.replace('\'', "%27")),
            false => self.shown.clone(),
        }
    }

    /// Whether any byte of the way there is to be encrypted.
    pub(super) fn needs_tls(&self) -> bool {
        self.guard == Guard::Tls
    }
}

impl Host {
    /// Whether what is sent there stays on this machine.
    pub(super) fn is_local(&self) -> bool {
        match self {
            Self::Socket(..) => true,
            Self::Tcp(name, _) => {
                let is_loopback = |address: IpAddr| address.to_canonical().is_loopback();
                name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(is_loopback)
            }
        }
    }

    /// The name that a certificate must be for. No server has TLS on a socket.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Socket(..) => "localhost",
            Self::Tcp(name, _) => name,
        }
    }

    /// The path of a socket, as servers name theirs.
    pub(super) fn socket(folder: &Path, port: u16) -> PathBuf {
        folder.join(format!(".s.PGSQL.{port}"))
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(name, port) if name.contains(':') => write!(f, "[{name}]:{port}"),
            Self::Tcp(name, port) => write!(f, "{name}:{port}"),
            Self::Socket(folder, port) => Self::socket(folder, *port).display().fmt(f),
        }
    }
}

/// The parameters that a URL may have.
const PARAMETERS: [&str; 11] = [
    "host",
    "port",
    "user",
    "password",
    "dbname",
    "sslmode",
    "sslrootcert",
    "channel_binding",
    "target_session_attrs",
    "connect_timeout",
    "application_name",
];

/// The parameters that are given, decoded.
struct Given(Vec<(&'static str, String)>);

impl Given {
    fn read(parts: &Parts<'_>) -> Result<Self, String> {
        let mut given: Vec<(&'static str, String)> = Vec::new();
        for (name, value) in &parts.parameters {
            let name = decoded(name)?;
            let Some(known) = PARAMETERS.into_iter().find(|known| *known == name) else {
                return Err(unknown(&name));
            };
            if given.iter().any(|(before, _)| *before == known) {
                return Err(format!("{known} is said twice"));
            }
            let value = decoded(value)?;
            // As if it were not there, as other programs take it.
            if !value.is_empty() {
                given.push((known, value));
            }
        }
        Ok(Self(given))
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(known, _)| *known == name)?;
        Some(self.0.swap_remove(at).1)
    }

    /// What one of the words stands for that this parameter may have.
    fn chosen<T: Copy>(&mut self, name: &str, words: &[(&str, T)], absent: T) -> Result<T, String> {
        let Some(given) = self.take(name) else {
            return Ok(absent);
        };
        let chosen = words.iter().find(|(word, _)| *word == given);
        chosen.map(|(_, meant)| *meant).ok_or_else(|| {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            format!("{name} is not one of {}", words.join(", "))
        })
    }
}

/// The refusal of a parameter, which is named if it looks like one.
fn unknown(name: &str) -> String {
    let is_word = |c: char| c.is_ascii_lowercase() || c == '_';
    match !name.is_empty() && name.len() <= 32 && name.chars().all(is_word) {
        true => format!("the parameter {name} is not known here"),
        false => "a parameter is not known here".to_owned(),
    }
}

/// What is said in the body of the URL or as a parameter, and not in both.
fn one_of(
    what: &str,
    body: Option<&str>,
    parameter: Option<String>,
) -> Result<Option<String>, String> {
    match (body.filter(|body| !body.is_empty()), parameter) {
        (Some(_), Some(_)) => Err(format!("{what} is said twice")),
        (Some(body), None) => decoded(body).map(Some),
        (None, parameter) => Ok(parameter),
    }
}

/// The hosts with their ports: as many ports as hosts, or one for all.
fn hosts(
    parts: &Parts<'_>,
    names: Option<String>,
    ports: Option<String>,
) -> Result<Vec<Host>, String> {
    let in_body: Vec<(String, Option<&str>)> = parts.hosts()?;
    let is_named = in_body.iter().any(|(name, _)| !name.is_empty());
    let list = |text: &str| -> Vec<String> { text.split(',').map(str::to_owned).collect() };
    let (in_body, own_ports): (Vec<String>, Vec<Option<&str>>) = in_body.into_iter().unzip();
    let names = match (is_named, names) {
        (true, Some(_)) => return Err("the host is said twice".to_owned()),
        (true, None) => in_body,
        (false, Some(names)) => list(&names),
        (false, None) => return Err("there is no host".to_owned()),
    };
    let has_own = own_ports.iter().any(Option::is_some);
    let ports: Vec<String> = match ports {
        Some(_) if has_own => return Err("the port is said twice".to_owned()),
        Some(ports) => list(&ports),
        None => {
            let own = own_ports.iter().map(|port| port.unwrap_or_default());
            own.map(str::to_owned).collect()
        }
    };
    if ports.len() != 1 && ports.len() != names.len() {
        return Err("there are not as many ports as hosts".to_owned());
    }
    let port_of = |at: usize| ports.get(at).or(ports.first()).map(String::as_str);
    let pairs = names.iter().enumerate();
    pairs
        .map(|(at, name)| host(name, port_of(at).unwrap_or_default()))
        .collect()
}

fn host(name: &str, port: &str) -> Result<Host, String> {
    let port = match port {
        "" => USUAL_PORT,
        port => {
            let port = port.parse().ok().filter(|port| *port > 0);
            port.ok_or("a port is not a number from 1 to 65535")?
        }
    };
    if name.starts_with('/') {
        return Ok(Host::Socket(PathBuf::from(name), port));
    }
    let bare = name
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let name = bare.unwrap_or(name);
    let is_odd = |c: char| c.is_whitespace() || c.is_control() || "/\\[]@".contains(c);
    if name.is_empty() || name.contains(is_odd) {
        return Err(
            "a host is neither a name, nor an address, nor the path of a folder".to_owned(),
        );
    }
    if name.contains(':') && name.parse::<IpAddr>().is_err() {
        return Err("a host has more than one port".to_owned());
    }
    Ok(Host::Tcp(name.to_owned(), port))
}

/// What guards the way to these hosts: TLS, unless it stays on this machine.
fn guard(mode: Option<Guard>, hosts: &[Host], requires_binding: bool) -> Result<Guard, String> {
    let are_local = hosts.iter().all(Host::is_local);
    match mode {
        Some(Guard::Nothing) if !are_local => {
            Err("sslmode=disable is for this machine alone".to_owned())
        }
        Some(Guard::Nothing) if requires_binding => {
            Err("channel_binding=require needs TLS, and sslmode=disable has none".to_owned())
        }
        Some(guard) => Ok(guard),
        None if are_local && !requires_binding => Ok(Guard::Nothing),
        None => Ok(Guard::Tls),
    }
}

fn seconds(text: String) -> Result<Duration, String> {
    let seconds = text
        .parse()
        .ok()
        .filter(|n| (1..=LONGEST_TIMEOUT).contains(n));
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| "connect_timeout is not a number of seconds from 1 on".to_owned())
}
