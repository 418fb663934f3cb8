//! The commands of operators: they work on the files of a server and read a few of its flags.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::Resettable;
use clap::{CommandFactory as _, FromArgMatches as _, ValueEnum as _};

use crate::accounts::registration::Registration;
use crate::accounts::session::Limits;
use crate::config::commands::Command;
#[cfg(feature = "postgres")]
use crate::config::{Database, Place};
use crate::config::{
    EVENTS_KEPT, Flags, REMEMBER, Refused, SESSION_IDLE, SESSION_MAX, Told, Who, database,
    duration, events_kept, origin, remember, told,
};
use crate::mail::Sender;
#[cfg(feature = "postgres")]
use crate::store::postgres::Url;

/// The flag of the server that every command reads.
const USERS: &str = "users";

/// Those that some commands read, and judge only then.
const SHOWN: [&str; 6] = [
    "events_kept",
    "mail_from",
    "public_url",
    "store",
    "store_file",
    "store_key",
];

/// Those that few commands read, or of which they see only whether they were told.
const SEEN: [&str; 8] = [
    "cert",
    "key",
    "registration",
    "remember",
    "session_idle",
    "session_max",
    "smtp",
    "smtp_file",
];

/// What a command knows of the server whose files it works on.
pub struct OfServer {
    /// The accounts file.
    pub users: PathBuf,
    told: told::Told,
}

/// A flag of the server as a command has it.
pub enum Flag<T> {
    Told(T),
    /// Not told; this is what stands for it.
    Assumed(T),
}

impl OfServer {
    pub(super) fn new(users: PathBuf, told: told::Told) -> Self {
        Self { users, told }
    }

    /// How visitors reach the server, without a final slash.
    ///
    /// # Errors
    ///
    /// If what was told is no URL of a site.
    pub fn public_url(&self) -> Result<Flag<String>, Refused> {
        let told = self.told("public_url", "--public-url", origin)?;
        Ok(match told {
            Some(url) => Flag::Told(url.origin().ascii_serialization()),
            None => Flag::Assumed("https://localhost:8000".to_owned()),
        })
    }

    /// The sender of mails.
    ///
    /// # Errors
    ///
    /// If what was told is no sender.
    pub fn mail_from(&self) -> Result<Flag<Sender>, Refused> {
        let assumed = "auth_user@localhost";
        Ok(
            match self.told("mail_from", "--mail-from", Sender::parse)? {
                Some(sender) => Flag::Told(sender),
                None => Flag::Assumed(
                    Sender::parse(assumed).map_err(|why| self.told.refuse("--mail-from", &why))?,
                ),
            },
        )
    }

    /// How long events are kept; zero: none are written.
    ///
    /// # Errors
    ///
    /// If what was told is no such time.
    pub fn events_kept(&self) -> Result<Duration, Refused> {
        let kept = self.told("events_kept", "--events-kept", events_kept)?;
        let assumed = || events_kept(EVENTS_KEPT);
        kept.map_or_else(assumed, Ok)
            .map_err(|why| self.told.refuse("--events-kept", &why))
    }

    /// Who may make accounts, if that was told.
    ///
    /// # Errors
    ///
    /// If what was told is none of the words.
    pub fn registration(&self) -> Result<Option<Registration>, Refused> {
        let who = |text: &str| Who::from_str(text, true);
        let who = self.told("registration", "--registration", who)?;
        Ok(who.map(Into::into))
    }

    /// How long sessions last.
    ///
    /// # Errors
    ///
    /// If what was told is no such time.
    pub fn session_limits(&self) -> Result<Limits, Refused> {
        let limit = |id, flag, parse: fn(&str) -> Result<Duration, String>, assumed| {
            let told = self.told(id, flag, parse)?;
            let told = told.map_or_else(|| parse(assumed), Ok);
            told.map_err(|why| self.told.refuse(flag, &why))
        };
        Ok(Limits {
            idle: limit("session_idle", "--session-idle", duration, SESSION_IDLE)?,
            max: limit("session_max", "--session-max", duration, SESSION_MAX)?,
            remember: limit("remember", "--remember", remember, REMEMBER)?,
        })
    }

    /// Whether a mail server was told, to which a running server sends what is in the outbox.
    pub fn sends_mail(&self) -> bool {
        let given = told::innermost(&self.told.matches);
        ["smtp", "smtp_file"]
            .iter()
            .any(|id| given.get_one::<OsString>(id).is_some())
    }

    /// The certificate and its key, if somebody told where they are.
    pub fn pair(&self) -> [Option<&Path>; 2] {
        let given = told::innermost(&self.told.matches);
        ["cert", "key"].map(|id| given.get_one::<OsString>(id).map(Path::new))
    }

    /// Whether a database was told, on which accounts would be in place of files.
    pub fn is_on_database(&self) -> bool {
        let given = told::innermost(&self.told.matches);
        ["store", "store_file"]
            .iter()
            .any(|id| given.get_one::<OsString>(id).is_some())
    }

    /// Where the URL of the database is, if one was told; the key need not be.
    ///
    /// # Errors
    ///
    /// If what was told is no such URL.
    #[cfg(feature = "postgres")]
    pub fn database(&self) -> Result<Option<Place>, Refused> {
        let given = told::innermost(&self.told.matches);
        if let Some(file) = given.get_one::<OsString>("store_file") {
            return Ok(Some(Place::File(file.into())));
        }
        let url = self.told("store", "--store", Url::parse)?;
        Ok(url.map(|url| Place::Url(Box::new(url))))
    }

    /// The file with the key that seals secrets in a database, if one was told.
    #[cfg(feature = "postgres")]
    pub fn store_key(&self) -> Option<&Path> {
        let given = told::innermost(&self.told.matches);
        given.get_one::<OsString>("store_key").map(Path::new)
    }

    /// The database that accounts are in, if one was told.
    ///
    /// # Errors
    ///
    /// If the URL is none, or a database was told without its key, or the key without it.
    #[cfg(feature = "postgres")]
    pub fn store(&self) -> Result<Option<Database>, Refused> {
        let given = told::innermost(&self.told.matches);
        let path = |id| given.get_one::<OsString>(id).map(PathBuf::from);
        let url = self.told("store", "--store", |url| Ok::<_, String>(url.to_owned()))?;
        database::read(url, path("store_file"), path("store_key"), &self.told)
    }

    /// The URL of a database that is an argument of a command.
    ///
    /// # Errors
    ///
    /// If it is none.
    #[cfg(feature = "postgres")]
    pub fn url(text: &str) -> Result<Place, Refused> {
        let url = Url::parse(text).map_err(|why| Refused::Wrong {
            what: format!("invalid value for URL: {why}"),
            hint: told::STORE_EXAMPLE.to_owned(),
        });
        Ok(Place::Url(Box::new(url?)))
    }

    fn told<T, E: std::fmt::Display>(
        &self,
        id: &str,
        flag: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Option<T>, Refused> {
        let given = told::innermost(&self.told.matches).get_one::<OsString>(id);
        let Some(given) = given else { return Ok(None) };
        let text = given.to_str();
        let text = text.ok_or_else(|| self.told.refuse(flag, &"it is not UTF-8"))?;
        parse(text)
            .map(Some)
            .map_err(|why| self.told.refuse(flag, &why))
    }
}

/// Whether every command of operators shows this flag of the server.
pub(super) fn shows(flag: &clap::Arg) -> bool {
    let id = flag.get_id().as_str();
    id == USERS || SHOWN.contains(&id)
}

/// The flags for these commands: those of the server stand on both sides of the command's words, and
/// only --users is judged at once.
fn flags() -> clap::Command {
    Flags::command().mut_args(|flag| {
        let flag = flag.global(true);
        let id = flag.get_id().as_str();
        if id == USERS {
            return flag;
        }
        let flag = match id {
            _ if SHOWN.contains(&id) => flag,
            _ if SEEN.contains(&id) => flag.hide(true),
            // Taken and left unread.
            _ => flag.hide(true).env(Resettable::Reset),
        };
        let flag = flag.default_value(Resettable::Reset);
        match flag.get_action().takes_values() {
            true => flag.value_parser(clap::value_parser!(OsString)),
            false => flag,
        }
    })
}

/// Whether the command that these arguments name is one of those on the server's files.
pub(super) fn are_meant(arguments: &[OsString]) -> bool {
    is_named(arguments, Command::is_of_operators)
}

fn is_named(arguments: &[OsString], is_meant: impl FnOnce(&str) -> bool) -> bool {
    let named = flags()
        .ignore_errors(true)
        // Else a call for help would name no command.
        .disable_help_flag(true)
        .disable_version_flag(true)
        .try_get_matches_from(arguments);
    let named = named.ok();
    let name = named.as_ref().and_then(|matches| matches.subcommand_name());
    name.is_some_and(is_meant)
}

/// Reads the call of such a command.
///
/// # Errors
///
/// [`Refused`]; nothing has been done yet.
pub(super) fn read(
    arguments: Vec<OsString>,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<Told, Refused> {
    if is_named(&arguments, |name| name == "store") {
        database::is_possible()?;
    }
    let told = told::Told::read(&flags(), arguments, variable)?;
    // Nothing is missing in what was just parsed.
    let command = Command::from_arg_matches(&told.matches);
    let command = command.map_err(|error| told.refuse("", &error.kind()))?;
    let users = told::innermost(&told.matches).get_one::<PathBuf>(USERS);
    let users = users.cloned().unwrap_or_default();
    let server = OfServer::new(users, told);
    if server.is_on_database() {
        database::is_possible()?;
    }
    Ok(Told::Do(Box::new(command), server))
}
