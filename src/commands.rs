//! What the program does beside serving: print a proxy's configuration, examine a deployment.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::clock::Clock;
use crate::config::{Command, Doctor, ProxyConfig};
use crate::doctor::{self, Verdict};
use crate::proxy_config::File;

/// Does what does not serve. Its exit codes are those of serving.
pub fn carry_out(command: &Command) -> ExitCode {
    match command {
        Command::ProxyConfig(wanted) => match wanted.files() {
            Ok(files) => match hand_out(wanted, &files) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    complain(&format!("cannot write the configuration: {error}"));
                    ExitCode::FAILURE
                }
            },
            Err(why) => {
                complain(&why);
                ExitCode::from(2)
            }
        },
        Command::Doctor(asked) => call_doctor(asked),
    }
}

fn call_doctor(asked: &Doctor) -> ExitCode {
    let misused = |why: String| {
        complain(&why);
        ExitCode::from(2)
    };
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
            patient.roots = ca.map(String::into_bytes);
            patient.cookie = cookie.as_deref().map(doctor::cookie);
            patient.old_cookie = old.as_deref().map(doctor::cookie);
        }
        Err(why) => return misused(why),
    }
    let now = || Clock::start().now().wall;
    let findings = match doctor::examine(&patient, now) {
        Ok(findings) => findings,
        Err(error) => {
            complain(&format!("cannot reach {}: {error}", patient.host));
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

/// A file of a line or a few certificates.
fn read_small(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("cannot read {path:?}: {error}"))
}

/// Prints a configuration, each file after its name if there are several, or writes it.
fn hand_out(wanted: &ProxyConfig, files: &[File]) -> io::Result<()> {
    if let Some(dir) = &wanted.dir {
        fs::create_dir_all(dir)?;
        return files
            .iter()
            .try_for_each(|file| fs::write(dir.join(&file.name), &file.text));
    }
    let mut out = io::stdout().lock();
    for file in files {
        if files.len() > 1 {
            writeln!(out, "# file: {}", file.name)?;
        }
        out.write_all(file.text.as_bytes())?;
    }
    out.flush()
}

/// One line for the operator. Standard error may be closed; then nobody can be told.
pub fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "auth_user: {line}");
}
