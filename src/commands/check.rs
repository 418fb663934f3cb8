//! `auth_user check`: what it prints.

use std::io::{self, Write as _};
use std::process::ExitCode;

use serde_json::{Value, json};

use super::said::print_json;
use crate::config::Checked;
use crate::site::{self, Finding, Standing};
use crate::terminal::printable;

/// Looks at what a start would look at, and lists it. The exit code is that of a start.
pub fn check(checked: Checked) -> ExitCode {
    let is_misused = !checked.wrong.is_empty();
    let wrong = checked.wrong.into_iter();
    let mut findings: Vec<Finding> = wrong
        .map(|(what, hint)| Finding::wrong(what, hint))
        .collect();
    findings.extend(site::check(&checked.config, is_misused));
    let is_ok = findings
        .iter()
        .all(|found| found.standing != Standing::Wrong);
    if checked.json {
        let listed: Vec<Value> = findings.iter().map(document).collect();
        print_json(&json!({ "ok": is_ok, "findings": listed }));
    } else {
        let text: String = findings.iter().map(line).collect();
        // If nobody reads it, the exit status counts.
        let _ = io::stdout().lock().write_all(text.as_bytes());
    }
    match (is_misused, is_ok) {
        // Wrong flags end a start before anything else is looked at.
        (true, _) => ExitCode::from(2),
        (false, false) => ExitCode::FAILURE,
        (false, true) => ExitCode::SUCCESS,
    }
}

fn level(found: &Finding) -> &'static str {
    match found.standing {
        Standing::Ok => "ok",
        Standing::Warning => "warning",
        Standing::Wrong => "wrong",
    }
}

fn document(found: &Finding) -> Value {
    json!({ "level": level(found), "message": found.message, "hint": found.hint })
}

fn line(found: &Finding) -> String {
    let message = printable(&found.message);
    let hint = found.hint.as_deref();
    let hint = hint.map_or_else(String::new, |hint| format!(" — {}", printable(hint)));
    format!("{}: {message}{hint}\n", level(found))
}
