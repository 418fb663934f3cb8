//! The mail server's URL, which may be in a file, out of sight of whoever lists processes.

use std::fs;

use crate::config::{self, Smtp};
use crate::mail::SmtpUrl;
use crate::site::Problem;

const HINT: &str = "AUTH_SMTP_FILE names a file with one line such as smtps://host:465";

pub(super) fn url(smtp: &Smtp) -> Result<SmtpUrl, Problem> {
    match smtp {
        Smtp::Url(url) => Ok(url.clone()),
        Smtp::File(path) => {
            let text = fs::read_to_string(path).map_err(|error| {
                Problem::new(format_args!("cannot read {path:?}: {error}"), HINT)
            })?;
            SmtpUrl::parse(config::clean(&text))
                .map_err(|error| Problem::new(format_args!("cannot use {path:?}: {error}"), HINT))
        }
    }
}
