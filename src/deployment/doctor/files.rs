//! The files that the operator names: certificates to trust, sessions and a token to examine with,
//! and the rules beside the accounts.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::access::Access;
use crate::accounts::access_token;
use crate::deployment::doctor::{NotExamined, Patient};

/// The files that were named.
pub struct Files<'a> {
    pub ca: Option<&'a Path>,
    pub cookie: Option<&'a Path>,
    pub old_cookie: Option<&'a Path>,
    pub token: Option<&'a Path>,
    /// The accounts, beside which the rules are.
    pub users: &'a Path,
}

const CA_HINT: &str = "give the path of a file with certificates in PEM";
const COOKIE_HINT: &str =
    "give the path of a file with the value of the cookie __Secure-session in it";

const TOKEN_HINT: &str = "give the path of a file with an access token in it, as au_…";

impl Patient {
    /// Takes in the files that were named.
    ///
    /// # Errors
    ///
    /// If one of them cannot be used.
    pub fn read(&mut self, files: &Files<'_>) -> Result<(), NotExamined> {
        self.trusted = read_small("--ca", files.ca, CA_HINT)?.map(String::into_bytes);
        self.cookie = read_cookie("--cookie-file", files.cookie)?;
        self.old_cookie = read_cookie("--old-cookie-file", files.old_cookie)?;
        self.token = read_token("--token-file", files.token)?;
        self.access = rules(files.users);
        Ok(())
    }
}

fn read_cookie(flag: &str, path: Option<&Path>) -> Result<Option<String>, NotExamined> {
    let cookie = read_small(flag, path, COOKIE_HINT)?.map(|text| cookie(&text));
    match (cookie, path) {
        (Some(cookie), Some(path)) if cookie.is_empty() => {
            let what = format!("{path:?}, named by {flag}, has no cookie in it");
            Err(NotExamined::unusable(what, COOKIE_HINT))
        }
        (cookie, _) => Ok(cookie),
    }
}

/// The rules beside the accounts; none if there is no such file.
///
/// # Errors
///
/// Why they cannot be read, though they are there.
fn rules(users: &Path) -> Result<Access, String> {
    let path = users.with_file_name("access.toml");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Access::default()),
        Err(error) => return Err(format!("{path:?} cannot be read: {error}")),
    };
    Access::parse(&text).map_err(|bad| match bad.at {
        Some(at) => {
            let line = text.get(..at).unwrap_or_default().matches('\n').count() + 1;
            format!("{path:?}, line {line}: {}", bad.reason)
        }
        None => format!("{path:?}: {}", bad.reason),
    })
}

fn read_token(flag: &str, path: Option<&Path>) -> Result<Option<String>, NotExamined> {
    let token = read_small(flag, path, TOKEN_HINT)?.map(|text| text.trim().to_owned());
    match (token, path) {
        (Some(token), Some(path)) if !access_token::has_shape(&token) => {
            let what = format!("{path:?}, named by {flag}, has no access token in it");
            Err(NotExamined::unusable(what, TOKEN_HINT))
        }
        (token, _) => Ok(token),
    }
}

/// The value of a session cookie from the text of a file, which may have the cookie's name before
/// it.
fn cookie(text: &str) -> String {
    let text = text.trim();
    let value = text.strip_prefix("__Secure-session=").unwrap_or(text);
    value.chars().filter(char::is_ascii_graphic).collect()
}

/// The text of a small file, if this flag names one.
fn read_small(flag: &str, path: Option<&Path>, hint: &str) -> Result<Option<String>, NotExamined> {
    let Some(path) = path else { return Ok(None) };
    let read = fs::read_to_string(path);
    read.map(Some).map_err(|error| {
        let what = format!("cannot read {path:?}, named by {flag}: {error}");
        NotExamined::unusable(what, hint)
    })
}
