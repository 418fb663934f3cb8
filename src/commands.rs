//! What the program does beside serving: print a proxy's configuration, examine a deployment.

mod configuration;

use std::fs;
use std::io::{self, IsTerminal as _, Write as _};
use std::net::{Ipv6Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::clock::Clock;
use crate::config::{self, Command, Doctor, ProxyConfig};
use crate::doctor::{self, Question, Verdict};
use crate::log::complain;
use crate::proxy_config;
use crate::terminal::{self, Echo};

/// Does what does not serve. The exit code is 0 if all is well, 2 for a wrong call, which a file
/// that cannot be read is too, and else 1.
pub fn carry_out(command: &Command) -> ExitCode {
    match command {
        Command::ProxyConfig(asked) => print_configuration(asked),
        Command::Doctor(asked) => call_doctor(asked),
    }
}

/// A wrong call: what is wrong with it, and a right one.
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
            return misused(&why, config::PROXY_CONFIG_EXAMPLE);
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
    let misused = |why: String| misused(&why, config::DOCTOR_EXAMPLE);
    let mut patient = match asked.patient() {
        Ok(patient) => patient,
        Err(why) => return misused(why),
    };
    let read = |path: &Option<PathBuf>| path.as_ref().map(|path| read_small(path)).transpose();
    let files = read(&asked.ca).and_then(|ca| {
        let cookie = read(&asked.cookie_file)?;
        Ok((ca, cookie, read(&asked.old_cookie_file)?))
    });
    match files {
        Ok((ca, cookie, old)) => {
            patient.trusted = ca.map(String::into_bytes);
            patient.cookie = cookie.as_deref().map(doctor::cookie);
            patient.old_cookie = old.as_deref().map(doctor::cookie);
        }
        Err(why) => return misused(why),
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
        Err(error) => {
            complain(
                &format!("cannot reach {}: {error}", patient.host),
                Some(
                    "see whether the name is right; --connect ADDR:PORT says where it is, --ca FILE \
                     which certificate to trust",
                ),
            );
            return ExitCode::FAILURE;
        }
    };
    let mut out = io::stdout().lock();
    for finding in &findings {
        // With nobody to read it, the exit status still counts.
        let _ = writeln!(out, "{finding}");
    }
    if findings.iter().any(|found| found.verdict == Verdict::Fail) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// Asks at the terminal what the doctor logs in with.
fn ask(question: Question) -> io::Result<String> {
    match question {
        Question::Name => terminal::ask("Name:", Echo::Shown),
        Question::Password => terminal::ask("Password:", Echo::Hidden),
        Question::Code => terminal::ask("Code:", Echo::Shown),
    }
}

/// A file of a line or a few certificates.
fn read_small(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("cannot read {path:?}: {error}"))
}
