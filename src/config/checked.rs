//! Flags and variables judged one by one, so that all that is wrong with them is known and not only
//! the first. Each is judged as at start, in the words of start.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, CommandFactory as _};

use crate::config::commands::CHECK;
use crate::config::told::{innermost, whole_call, without_variables, wrong};
use crate::config::{Config, Flags, Refused, Told};

/// Most mistakes in a call that are listed.
const MOST_MISTAKES: usize = 100;

/// What a start would run with.
pub struct Checked {
    /// Without what is wrong.
    pub config: Box<Config>,
    /// What is wrong, and what to do.
    pub wrong: Vec<(String, String)>,
    pub json: bool,
}

/// Whether the first word that is neither a flag nor its value is the command's, whatever else is
/// wrong.
pub(super) fn is_meant(arguments: &[OsString]) -> bool {
    let server = Flags::command();
    let mut is_value = false;
    for argument in arguments.iter().skip(1) {
        let text = argument.to_string_lossy();
        if !is_value && !text.starts_with('-') {
            return text == CHECK;
        }
        is_value = !is_value && takes_next(&server, &text);
    }
    false
}

/// Whether the value of this flag is the next argument.
fn takes_next(server: &Command, flag: &str) -> bool {
    let long = flag.strip_prefix("--");
    let mut all = server.get_arguments();
    long.and_then(|long| all.find(|arg| arg.get_long() == Some(long)))
        .is_some_and(|arg| arg.get_action().takes_values())
}

/// Reads the call.
///
/// # Errors
///
/// If help was asked for, or too little is right.
pub(super) fn read(
    arguments: Vec<OsString>,
    variable: &impl Fn(&str) -> Option<OsString>,
) -> Result<Told, Refused> {
    let mut wrong = Vec::new();
    let matches = split(arguments, &mut wrong)?;
    let inner = innermost(&matches);
    let is_given =
        |arg: &Arg| inner.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine);
    let server = Flags::command();
    let mut good = Vec::new();
    // Whether a database or its key is wrong.
    let mut is_homeless = false;
    for arg in server.get_arguments() {
        let given = if is_given(arg) {
            flags(arg, inner)
        } else {
            let overruled = server.get_arg_conflicts_with(arg).into_iter().any(is_given);
            variable_of(arg, variable)
                .filter(|_| !overruled)
                .into_iter()
                .collect()
        };
        let with = companion(arg);
        for setting in given {
            let alone = [Some(&setting), with.as_ref()];
            match start(&alone.into_iter().flatten().collect::<Vec<_>>()) {
                Ok(_) => good.push((arg.get_id().clone(), setting)),
                Err(why) => {
                    note(why, &mut wrong)?;
                    is_homeless |= with.is_some();
                }
            }
        }
    }
    // Its absence is no second mistake.
    good.retain(|(id, _)| !(is_homeless && id == "store_key"));
    let good = good.into_iter().map(|(_, setting)| setting).collect();
    Ok(Told::Check(Checked {
        config: together(good, &mut wrong)?,
        wrong,
        json: inner.get_flag("json"),
    }))
}

/// What a flag is never without, so that it can be judged by itself.
fn companion(arg: &Arg) -> Option<Setting> {
    let with = match arg.get_id().as_str() {
        "store" | "store_file" => "--store-key=key",
        "store_key" => "--store=postgres://localhost",
        _ => return None,
    };
    Some(Setting::Flag(with.into()))
}

/// A flag or a variable with its value.
enum Setting {
    Flag(OsString),
    Variable(String, OsString),
}

/// The flags of the server on both sides of the word, all of them taken and none judged.
fn lenient() -> Command {
    let command = Flags::command().mut_args(|flag| {
        let flag = flag.global(true).default_value(Resettable::Reset);
        match flag.get_action().takes_values() {
            true => flag.value_parser(clap::value_parser!(OsString)),
            false => flag,
        }
    });
    without_variables(command)
}

/// Finds the flags among the words. What is none is noted and left out.
fn split(
    mut arguments: Vec<OsString>,
    wrongs: &mut Vec<(String, String)>,
) -> Result<ArgMatches, Refused> {
    let call = whole_call(&arguments);
    loop {
        let error = match lenient().try_get_matches_from(&arguments) {
            Ok(matches) => return Ok(matches),
            Err(error) => error,
        };
        if !error.use_stderr() {
            return Err(Refused::Asked(error.render().to_string()));
        }
        let refused = wrong(&error, None, &call);
        let at = culprit(&error, &arguments).filter(|_| wrongs.len() < MOST_MISTAKES);
        let Some(at) = at else { return Err(refused) };
        note(refused, wrongs)?;
        let flag = arguments.remove(at);
        let next = arguments.get(at).map(|next| next.to_string_lossy());
        let has_value = next.is_some_and(|next| !next.starts_with('-') && next != CHECK);
        if has_value && takes_next(&Flags::command(), &flag.to_string_lossy()) {
            arguments.remove(at);
        }
    }
}

/// Which of the arguments the library complains about; the last, if there are more of its kind.
fn culprit(error: &clap::Error, arguments: &[OsString]) -> Option<usize> {
    let Some(ContextValue::String(named)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let named = named.split([' ', '=']).next().unwrap_or_default();
    let is_meant = |argument: &OsString| {
        let text = argument.to_string_lossy();
        text.split('=').next() == Some(named)
    };
    arguments
        .iter()
        .skip(1)
        .rposition(is_meant)
        .map(|at| at + 1)
}

/// What was given for a flag, as arguments.
fn flags(arg: &Arg, matches: &ArgMatches) -> Vec<Setting> {
    let flag = format!("--{}", arg.get_long().unwrap_or_default());
    if !arg.get_action().takes_values() {
        return vec![Setting::Flag(flag.into())];
    }
    let values = matches.get_raw(arg.get_id().as_str()).into_iter().flatten();
    let as_argument = |value: &OsStr| {
        let mut argument = OsString::from(&flag);
        argument.push("=");
        argument.push(value);
        Setting::Flag(argument)
    };
    values.map(as_argument).collect()
}

fn variable_of(arg: &Arg, variable: &impl Fn(&str) -> Option<OsString>) -> Option<Setting> {
    let name = arg.get_env().and_then(OsStr::to_str)?;
    variable(name).map(|value| Setting::Variable(name.to_owned(), value))
}

/// What a start with these settings and no others would run with.
fn start(settings: &[&Setting]) -> Result<Box<Config>, Refused> {
    let flags = settings.iter().filter_map(|setting| match setting {
        Setting::Flag(flag) => Some(flag.clone()),
        Setting::Variable(..) => None,
    });
    let arguments = [OsString::from("auth_user")].into_iter().chain(flags);
    let variable = |wanted: &str| {
        settings.iter().find_map(|setting| match setting {
            Setting::Variable(name, value) if name == wanted => Some(value.clone()),
            _ => None,
        })
    };
    match Told::read(arguments, variable)? {
        Told::Serve(config) => Ok(config),
        // No argument here is a command's word.
        Told::Do(..) | Told::Check(_) => Err(Refused::Asked(String::new())),
    }
}

/// What a start with these settings would run with, each of which is right by itself. Some that do
/// not go with the others are noted and left out.
fn together(
    good: Vec<Setting>,
    wrongs: &mut Vec<(String, String)>,
) -> Result<Box<Config>, Refused> {
    let mut left_out = BTreeSet::new();
    loop {
        let without = |more: Option<usize>| -> Vec<&Setting> {
            let all = good.iter().enumerate();
            all.filter(|(at, _)| !left_out.contains(at) && Some(*at) != more)
                .map(|(_, setting)| setting)
                .collect()
        };
        let why = match start(&without(None)) {
            Ok(config) => return Ok(config),
            Err(why) => why,
        };
        note(why, wrongs)?;
        // One whose absence helps, or else the last.
        let rest = || (0..good.len()).rev().filter(|at| !left_out.contains(at));
        let helps = rest().find(|at| start(&without(Some(*at))).is_ok());
        let Some(at) = helps.or_else(|| rest().next()) else {
            return start(&[]);
        };
        left_out.insert(at);
    }
}

fn note(refused: Refused, wrongs: &mut Vec<(String, String)>) -> Result<(), Refused> {
    match refused {
        Refused::Wrong { what, hint } => wrongs.push((what, hint)),
        asked @ Refused::Asked(_) => return Err(asked),
    }
    Ok(())
}
