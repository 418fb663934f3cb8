//! What the program does besides serving: print a proxy's configuration, examine a deployment.

mod configuration;

use std::fs;
use std::io::{self, IsTerminal as _, Write as _};
use std::net::{Ipv6Addr, UdpSocket};
use std::path::PathBuf;
use std::process::ExitCode;

use crate::clock::Clock;
use crate::config::{self, Command, Doctor, ProxyConfig};
use crate::doctor::{self, Patient, Question, Verdict};
use crate::log::complain;
use crate::proxy_config;
use crate::terminal::{self, Echo};

/// Carries out a command. The exit code is 0 if all is well, 2 if the call is wrong or names a file
/// that cannot be read, and 1 otherwise.
pub fn carry_out(command: &Command) -> ExitCode {
    match command {
        Command::ProxyConfig(asked) => print_configuration(asked),
        Command::Doctor(asked) => call_doctor(asked),
    }
}

/// Complains about a wrong call and shows a right one.
fn misused(why: &str, example: &str) -> ExitCode {
    complain(why, Some(example));
    ExitCode::from(2)
}

fn print_configuration(asked: &ProxyConfig) -> ExitCode {
    let wanted = asked.wanted(has_ipv6());
    let made = wanted.and_then(|wanted| {
        let files = proxy_config::files(asked.proxy(), &wanted)?;
        Ok((files, wanted.applications))
    });
    let (files, applications) = match made {
        Ok(made) => made,
        Err(why) => {
            return misused(&why, &asked.example());
        }
    };
    let done = match &asked.dir {
        Some(dir) => configuration::write(dir, &files, &applications),
        None => configuration::print(&files),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            complain(&why, None);
            ExitCode::FAILURE
        }
    }
}

/// Whether a proxy on this machine can listen on IPv6.
fn has_ipv6() -> bool {
    UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok()
}

fn call_doctor(asked: &Doctor) -> ExitCode {
    let mut patient = match asked.patient() {
        Ok(patient) => patient,
        Err(why) => return misused(&why, config::DOCTOR_EXAMPLE),
    };
    if let Err(missing) = read_files(asked, &mut patient) {
        return misused(&missing.what, missing.hint);
    }
    let now = || Clock::start().now().wall;
    let mut asked_here = ask;
    let ask: Option<doctor::Ask<'_>> = if io::stdin().is_terminal() {
        Some(&mut asked_here)
    } else {
        None
    };
    let findings = match doctor::examine(&patient, ask, now) {
        Ok(findings) => findings,
        Err(why) => {
            complain(&why.what, Some(&why.hint));
            return ExitCode::from(if why.is_wrong_call { 2 } else { 1 });
        }
    };
    let mut out = io::stdout().lock();
    for finding in &findings {
        // Even if nobody can read the report, the exit status counts.
        let _ = writeln!(out, "{finding}");
    }
    if findings.iter().any(|found| found.verdict == Verdict::Fail) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// Asks at the terminal for what the doctor logs in with.
fn ask(question: Question) -> io::Result<String> {
    match question {
        Question::Name => terminal::ask("Name:", Echo::Shown),
        Question::Password => terminal::ask("Password:", Echo::Hidden),
        Question::Code => terminal::ask("Code:", Echo::Shown),
    }
}

/// A file that the operator named but that cannot be used.
struct Missing {
    what: String,
    hint: &'static str,
}

const COOKIE_HINT: &str =
    "give the path of a file with the value of the cookie __Secure-session in it";

fn read_files(asked: &Doctor, patient: &mut Patient) -> Result<(), Missing> {
    let ca = "give the path of a file with certificates in PEM";
    patient.trusted = read_small("--ca", asked.ca.as_ref(), ca)?.map(String::into_bytes);
    patient.cookie = read_cookie("--cookie-file", asked.cookie_file.as_ref())?;
    patient.old_cookie = read_cookie("--old-cookie-file", asked.old_cookie_file.as_ref())?;
    Ok(())
}

fn read_cookie(flag: &str, path: Option<&PathBuf>) -> Result<Option<String>, Missing> {
    let cookie = read_small(flag, path, COOKIE_HINT)?.map(|text| doctor::cookie(&text));
    match (cookie, path) {
        (Some(cookie), Some(path)) if cookie.is_empty() => Err(Missing {
            what: format!("{path:?}, named by {flag}, has no cookie in it"),
            hint: COOKIE_HINT,
        }),
        (cookie, _) => Ok(cookie),
    }
}

/// The text of a small file, if this flag names one.
fn read_small(
    flag: &str,
    path: Option<&PathBuf>,
    hint: &'static str,
) -> Result<Option<String>, Missing> {
    let Some(path) = path else { return Ok(None) };
    let read = fs::read_to_string(path);
    read.map(Some).map_err(|error| Missing {
        what: format!("cannot read {path:?}, named by {flag}: {error}"),
        hint,
    })
}
