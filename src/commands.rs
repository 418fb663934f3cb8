//! What the program does beside serving: print a proxy's configuration, examine a deployment.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::clock::Clock;
use crate::config::{self, Command, Doctor, ProxyConfig};
use crate::doctor::{self, Verdict};
use crate::log::complain;
use crate::proxy_config::File;

/// Does what does not serve. The exit code is 0 if all is well, 2 for a wrong call, which a file
/// that cannot be read is too, and else 1.
pub fn carry_out(command: &Command) -> ExitCode {
    match command {
        Command::ProxyConfig(wanted) => match wanted.files() {
            Ok(files) => match hand_out(wanted, &files) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    let hint =
                        "give a folder you may write to with --dir, or none to have it printed";
                    complain(
                        &format!("cannot write the configuration: {error}"),
                        Some(hint),
                    );
                    ExitCode::FAILURE
                }
            },
            Err(why) => misused(&why, config::PROXY_CONFIG_EXAMPLE),
        },
        Command::Doctor(asked) => call_doctor(asked),
    }
}

/// A wrong call: what is wrong with it, and a right one.
fn misused(why: &str, example: &str) -> ExitCode {
    complain(why, Some(example));
    ExitCode::from(2)
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
            complain(
                &format!("cannot reach {}: {error}", patient.host),
                Some("see whether the name is right, or say where it is with --connect ADDR:PORT"),
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

/// A file of a line or a few certificates.
fn read_small(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("cannot read {path:?}: {error}"))
}

/// Prints a configuration, each file after its name if there are several, or writes it.
fn hand_out(wanted: &ProxyConfig, files: &[File]) -> io::Result<()> {
    if let Some(dir) = &wanted.dir {
        if !dir.is_dir() {
            fs::create_dir_all(dir)?;
            fs::set_permissions(dir, Permissions::from_mode(0o700))?;
        }
        return files
            .iter()
            .try_for_each(|file| write_own(&dir.join(&file.name), &file.text));
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

/// Writes a file for its owner alone, whatever the umask: whoever may change a proxy's
/// configuration may pass the check.
fn write_own(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(text.as_bytes())
}
