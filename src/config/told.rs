//! How flags and variables come together, and how a wrong one is refused: a line that names what
//! was given, and one with an example.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::ffi::{OsStr, OsString};

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, ValueEnum as _};

use crate::deployment::Proxy;

/// How much of a value an error repeats, in characters.
const SHOWN: usize = 100;

/// A valid value for each flag, for the hint about a wrong one. Of the commands' own flags, only
/// those that the example of a whole call does not show.
pub(super) const EXAMPLES: [(&str, &str); 37] = [
    ("--listen", "127.0.0.1:8000"),
    ("--users", "/var/lib/auth_user/users.json"),
    (
        "--store",
        "postgres://auth_user:password@db.example.com/auth",
    ),
    ("--store-file", "/run/secrets/store"),
    ("--store-key", "/etc/auth_user/store.key"),
    ("--cert", "/etc/ssl/login/fullchain.pem"),
    ("--key", "/etc/ssl/login/privkey.pem"),
    ("--no-tls", "true"),
    ("--public-url", "https://login.example.com"),
    ("--cookie-domain", "example.com"),
    ("--trusted-proxy", "127.0.0.1,10.0.0.0/8"),
    ("--smtp", "smtps://user:password@mail.example.com:465"),
    ("--smtp-file", "/run/secrets/smtp"),
    ("--mail-from", "login@example.com"),
    ("--issuer", "Example"),
    ("--session-idle", "1h"),
    ("--session-max", "24h"),
    ("--remember", "30d"),
    ("--registration", "closed"),
    ("--registrations-per-hour", "60"),
    ("--events-kept", "90d"),
    ("--compat", "true"),
    ("--metrics", "9100"),
    ("--log", "json"),
    ("--upstream-port", "9000"),
    ("--connect", "203.0.113.7:443"),
    ("--ca", "/etc/ssl/house.pem"),
    ("--cookie-file", "session.txt"),
    ("--add-group", "staff"),
    ("--email", "alice@example.com"),
    ("--group", "admins"),
    ("--groups", "admins,staff"),
    ("--remove-group", "staff"),
    ("--rename", "alice-smith"),
    ("--user", "alice"),
    ("--since", "7d"),
    ("--valid", "7d"),
];

/// The hint for a wrong call of `proxy-config` for this proxy.
pub(super) fn proxy_config_example(proxy: Proxy) -> String {
    format!("for instance auth_user proxy-config {proxy} --app app.example.com=127.0.0.1:9000")
}

/// The hint for a wrong call of `doctor`.
pub const DOCTOR_EXAMPLE: &str = "for instance auth_user doctor https://app.example.com";

/// The hint for a wrong call of `user add`.
const USER_ADD_EXAMPLE: &str =
    "for instance auth_user user add alice --email alice@example.com --groups staff";

/// The hint for a wrong call of `user set`.
const USER_SET_EXAMPLE: &str = "for instance auth_user user set alice --add-group staff";

/// The hint for a wrong call of `invite`.
const INVITE_EXAMPLE: &str = "for instance auth_user invite --email alice@example.com";

/// The hint for a wrong call of another command about accounts.
const USER_EXAMPLE: &str = "for instance auth_user user list, or auth_user user --help";

/// The hint for a wrong call of `events`.
const EVENTS_EXAMPLE: &str = "for instance auth_user events --user alice --since 7d";

/// The hint for a wrong call of `backup` or `restore`.
const BACKUP_EXAMPLE: &str = "for instance auth_user backup monday.tar, or auth_user --users \
                              new/users.json restore monday.tar";

/// The hint for a wrong call of `store`.
pub(super) const STORE_EXAMPLE: &str =
    "for instance auth_user store migrate postgres://auth_user@db.example.com/auth";

/// Why there is no configuration.
#[derive(Debug)]
pub enum Refused {
    /// Help or version was asked for: print this on standard output.
    Asked(String),
    /// A flag, a variable or a value is wrong: a line that says what, and one that says what to do.
    Wrong { what: String, hint: String },
}

/// What was given, and which settings came from variables.
pub(super) struct Told {
    pub(super) matches: ArgMatches,
    /// Maps a flag, with its dashes, to the variable that its value came from.
    variables: BTreeMap<String, String>,
}

impl Told {
    /// Reads the flags, and the variables for those that were not given. An empty variable counts
    /// as not set.
    ///
    /// # Errors
    ///
    /// [`Refused`].
    pub(super) fn read(
        command: &Command,
        mut arguments: Vec<OsString>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, Refused> {
        let call = whole_call(&arguments);
        let bare = without_variables(command.clone());
        let parse = |arguments: &[OsString]| bare.clone().try_get_matches_from(arguments);
        let mut matches = parse(&arguments).map_err(|error| {
            if error.use_stderr() {
                return wrong(&error, None, &call);
            }
            // Help names the variables too.
            let asked = command.clone().try_get_matches_from(&arguments).err();
            Refused::Asked(asked.unwrap_or(error).render().to_string())
        })?;

        let end = arguments.iter().position(|argument| argument == "--");
        let end = end.unwrap_or(arguments.len());
        let mut variables = BTreeMap::new();
        for (flag, name, argument) in from_variables(command, &matches, &variable)? {
            arguments.insert(end, argument);
            matches = parse(&arguments).map_err(|error| match error.kind() {
                ErrorKind::ArgumentConflict => both(&error, &name, &flag, &variables),
                _ => wrong(&error, Some(&name), &call),
            })?;
            variables.insert(flag, name);
        }
        Ok(Self { matches, variables })
    }

    /// What the operator calls a setting: the variable, if its value came from there.
    pub(super) fn name<'a>(&'a self, flag: &'a str) -> &'a str {
        self.variables.get(flag).map_or(flag, String::as_str)
    }

    /// As `name`, with a value as the operator would write it.
    pub(super) fn with(&self, flag: &str, value: &str) -> String {
        match self.variables.get(flag) {
            Some(name) => format!("{name}={value}"),
            None => format!("{flag} {value}"),
        }
    }

    /// Refuses a value that does not parse, or does not go with the others; `why` must not repeat a
    /// secret.
    pub(super) fn refuse(&self, flag: &str, why: &dyn std::fmt::Display) -> Refused {
        let name = self.name(flag);
        Refused::Wrong {
            what: format!("invalid value for {name}: {why}"),
            hint: hint(flag, self.variables.get(flag).map(String::as_str)).unwrap_or_default(),
        }
    }

    /// Whether somebody gave this, as a flag or a variable.
    pub(super) fn is_given(&self, id: &str) -> bool {
        self.matches.value_source(id) == Some(ValueSource::CommandLine)
    }
}

/// Cleans a value as compose files, env files and Kubernetes pass it: removes blanks and line
/// breaks around it, and one pair of quotes.
pub fn clean(raw: &str) -> &str {
    let blank = |c: char| c.is_whitespace() || c == '\u{feff}';
    let text = raw.trim_matches(blank);
    for quote in ['"', '\''] {
        let inner = text
            .strip_prefix(quote)
            .and_then(|rest| rest.strip_suffix(quote));
        if let Some(inner) = inner.filter(|inner| !inner.contains(quote)) {
            return inner.trim_matches(blank);
        }
    }
    text
}

pub(super) fn without_variables(command: Command) -> Command {
    command
        .mut_args(|arg| arg.env(Resettable::Reset))
        .mut_subcommands(without_variables)
}

/// For each variable that counts: the flag, the variable, and the argument that says the same.
fn from_variables(
    command: &Command,
    matches: &ArgMatches,
    variable: &impl Fn(&str) -> Option<OsString>,
) -> Result<Vec<(String, String, OsString)>, Refused> {
    // Flags of the server that a command reads as well.
    let is_shared = |arg: &&Arg| arg.is_global_set();
    let shared = command.get_arguments().filter(is_shared);
    let shared = shared.map(|arg| (command, arg));
    let named = named_by(command, matches);
    let own = named.get_arguments().map(|arg| (named, arg));
    let is_named = matches.subcommand().is_some();
    let matches = innermost(matches);
    let by_flag =
        |arg: &Arg| matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine);
    let mut arguments = Vec::new();
    for (command, arg) in shared.filter(|_| is_named).chain(own) {
        let (Some(long), Some(name)) = (arg.get_long(), arg.get_env().and_then(OsStr::to_str))
        else {
            continue;
        };
        let overruled = command.get_arg_conflicts_with(arg).into_iter().any(by_flag);
        let raw = variable(name).filter(|_| !by_flag(arg) && !overruled);
        let Some(value) = raw.as_deref().and_then(cleaned) else {
            continue;
        };
        let flag = format!("--{long}");
        let mut argument = OsString::from(&flag);
        if matches!(arg.get_action(), ArgAction::SetTrue) {
            match is_yes(&value) {
                Some(true) => {}
                Some(false) => continue,
                None => return Err(neither_yes_nor_no(name, &value)),
            }
        } else {
            argument.push("=");
            argument.push(value);
        }
        arguments.push((flag, name.to_owned(), argument));
    }
    Ok(arguments)
}

/// What was given to the innermost command that was named.
pub(super) fn innermost(matches: &ArgMatches) -> &ArgMatches {
    match matches.subcommand() {
        Some((_, inner)) => innermost(inner),
        None => matches,
    }
}

/// The innermost command that was named.
fn named_by<'a>(command: &'a Command, matches: &ArgMatches) -> &'a Command {
    let named = matches
        .subcommand()
        .and_then(|(name, inner)| Some((command.find_subcommand(name)?, inner)));
    match named {
        Some((command, inner)) => named_by(command, inner),
        None => command,
    }
}

/// The cleaned value; `None` if nothing is left.
fn cleaned(raw: &OsStr) -> Option<OsString> {
    let value = match raw.to_str() {
        Some(text) => OsString::from(clean(text)),
        // A path, perhaps; everything else is refused by its parser.
        None => raw.to_owned(),
    };
    (!value.is_empty()).then_some(value)
}

fn is_yes(value: &OsStr) -> Option<bool> {
    match value.to_str()?.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "y" | "on" | "t" => Some(true),
        "0" | "false" | "no" | "n" | "off" | "f" => Some(false),
        _ => None,
    }
}

fn neither_yes_nor_no(name: &str, value: &OsStr) -> Refused {
    let value = shown(&value.to_string_lossy());
    Refused::Wrong {
        what: format!("invalid value {value} for {name}: neither true nor false"),
        hint: format!("for instance {name}=true"),
    }
}

/// The library's refusal in two lines. `variable` is where the value came from, if not a flag.
/// `call` is an example of a right call.
pub(super) fn wrong(error: &clap::Error, variable: Option<&str>, call: &str) -> Refused {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let arg = text(ContextKind::InvalidArg).unwrap_or_default();
    let flag = arg.split([' ', '=', '[']).next().unwrap_or_default();
    let what = match (error.kind(), text(ContextKind::InvalidValue)) {
        (ErrorKind::ValueValidation | ErrorKind::InvalidValue, Some(value)) => {
            let name = variable.unwrap_or(flag);
            let why = why(error);
            format!("invalid value {} for {name}: {why}", shown(value))
        }
        _ => in_one_line(error, variable.zip(Some(flag))),
    };
    let hint = match text(ContextKind::SuggestedArg) {
        Some(similar) => format!("did you mean {similar}? auth_user --help lists all flags"),
        None => hint(flag, variable).unwrap_or_else(|| call.to_owned()),
    };
    Refused::Wrong { what, hint }
}

/// Refuses two settings that exclude each other, the second of them a variable.
fn both(
    error: &clap::Error,
    name: &str,
    flag: &str,
    variables: &BTreeMap<String, String>,
) -> Refused {
    let other = [ContextKind::InvalidArg, ContextKind::PriorArg]
        .into_iter()
        .filter_map(|kind| match error.get(kind) {
            Some(ContextValue::String(text)) => text.split(' ').next(),
            _ => None,
        })
        .find(|other| *other != flag)
        .unwrap_or_default();
    let other = variables.get(other).map_or(other, String::as_str);
    Refused::Wrong {
        what: format!("{other} and {name} cannot both be given"),
        hint: "leave one of them out".to_owned(),
    }
}

fn why(error: &clap::Error) -> String {
    if let Some(source) = error.source() {
        return source.to_string();
    }
    match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(valid)) if !valid.is_empty() => {
            format!("not one of {}", valid.join(", "))
        }
        _ => "not one of the allowed values".to_owned(),
    }
}

/// The library's error in one line. Its first line says what is wrong, the lines below that what is
/// missing or would do instead; the rest repeats the usage.
fn in_one_line(error: &clap::Error, renamed: Option<(&str, &str)>) -> String {
    let text = error.render().to_string();
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.is_empty())
        .collect();
    let line = lines.join(" ");
    let line = line.trim_start_matches("error: ");
    match renamed {
        Some((name, flag)) if !flag.is_empty() => line.replace(flag, name),
        _ => line.to_owned(),
    }
}

/// A value for an error to repeat, quoted and cut: it may hold anything.
fn shown(value: &str) -> String {
    let cut: String = value.chars().take(SHOWN).collect();
    format!("{cut:?}")
}

/// A right value for a flag, written as the wrong one was; `None` if there is no example.
fn hint(flag: &str, variable: Option<&str>) -> Option<String> {
    let (_, value) = EXAMPLES.iter().find(|(known, _)| *known == flag)?;
    Some(match (*value, variable) {
        (value, Some(name)) => format!("for instance {name}={value}"),
        ("true", None) => format!("write {flag} alone, or leave it out"),
        (value, None) => format!("for instance {flag} {value}"),
    })
}

/// An example of a right call: of the command, and for the proxy, that were named.
pub(super) fn whole_call(arguments: &[OsString]) -> String {
    let named = |name: &str| {
        let mut words = arguments.iter().skip(1).filter_map(|word| word.to_str());
        words.any(|word| word.eq_ignore_ascii_case(name))
    };
    if named("proxy-config") {
        let mut proxies = Proxy::value_variants().iter();
        let proxy = proxies.find(|proxy| named(&proxy.to_string()));
        proxy_config_example(proxy.copied().unwrap_or(Proxy::Caddy))
    } else if named("completions") {
        "for instance auth_user completions bash".to_owned()
    } else if named("doctor") {
        DOCTOR_EXAMPLE.to_owned()
    } else if named("user") && named("add") {
        USER_ADD_EXAMPLE.to_owned()
    } else if named("user") && named("set") {
        USER_SET_EXAMPLE.to_owned()
    } else if named("invite") {
        INVITE_EXAMPLE.to_owned()
    } else if named("user") {
        USER_EXAMPLE.to_owned()
    } else if named("events") {
        EVENTS_EXAMPLE.to_owned()
    } else if named("backup") || named("restore") {
        BACKUP_EXAMPLE.to_owned()
    } else if named("store") {
        STORE_EXAMPLE.to_owned()
    } else {
        "auth_user --help lists all flags and commands".to_owned()
    }
}
