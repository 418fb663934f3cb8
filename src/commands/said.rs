//! What the commands about accounts say: of what was done, and of why it was not.

use std::io::{self, Write as _};

use serde_json::{Value, json};

use crate::commands::Failure;
use crate::config::{self, Flag, OfServer};
use crate::log::complain;
use crate::operator::{Done, Posting, Refused};
use crate::terminal;

impl Failure {
    /// A refusal in words, and with `json` as a document on standard output too.
    pub(super) fn refused(
        code: &str,
        message: &str,
        what: String,
        hint: Option<&str>,
        json: bool,
    ) -> Self {
        if json {
            print_json(&json!({ "code": code, "message": message }));
        }
        let hint = hint.map(str::to_owned);
        Self::Failed { what, hint }
    }

    /// `act` is what cannot be done, as in "add alice".
    pub(super) fn of(why: &Refused, act: &str, json: bool) -> Self {
        let (code, message) = why.said();
        let what = match why {
            Refused::NoFile(error) => error.to_string(),
            Refused::NotSaved(error) => error.to_string(),
            Refused::NoOutbox(problem) => problem.to_string(),
            Refused::NoMail(error) => format!("cannot {act}: the mail cannot be written: {error}"),
            Refused::NoEvents(cause) => format!("cannot {act}: {cause}"),
            _ => format!("cannot {act}: {message}"),
        };
        Self::refused(code, &message, what, why.hint(), json)
    }
}

/// Prints a document on one line. If nobody reads it, the exit status counts.
pub(super) fn print_json(document: &Value) {
    let text = terminal::printable_json(&document.to_string());
    let _ = writeln!(io::stdout().lock(), "{text}");
}

/// Prints what was done, as a document if `json`. If nobody reads it, the exit status counts.
pub(super) fn print(text: &str, document: &Value, json: bool) {
    if json {
        print_json(document);
    } else {
        let _ = io::stdout().lock().write_all(text.as_bytes());
    }
}

/// Says on standard error what else there is to know of what was done, and gives what it gave.
pub(super) fn tell_besides<R>(done: Done<R>, server: &OfServer) -> R {
    if let Some(cause) = &done.untold {
        complain(&format!("this is not in events.jsonl: {cause}"), None);
    }
    if let Some(made) = &done.made {
        complain(&format!("made {}", made.display()), None);
    }
    for mail in &done.mails {
        match mail {
            Ok(Some(mail)) if !server.sends_mail() => {
                complain(&format!("the mail waits in {}", mail.display()), None);
            }
            Ok(None) if !server.sends_mail() => complain("the mail waits in the database", None),
            Ok(_) => {}
            Err(cause) => complain(&format!("the mail cannot be written: {cause}"), None),
        }
    }
    done.gave
}

/// What mails need to know of the server, with what had to be assumed.
pub(super) struct Assumed {
    pub(super) posting: Posting,
    of_link: Option<String>,
    of_mail: Option<String>,
}

impl Assumed {
    /// Says what was assumed; once all is done, since a refusal is one line and a hint.
    pub(super) fn warn(&self) {
        self.warn_of(true);
    }

    /// Says what was assumed of the link, and of the mail too if there is one.
    pub(super) fn warn_of(&self, is_mailed: bool) {
        let of_mail = self.of_mail.iter().filter(|_| is_mailed);
        for warning in self.of_link.iter().chain(of_mail) {
            complain(&format!("warning: {warning}"), None);
        }
    }
}

/// What a mail with a link needs to know of the server.
///
/// # Errors
///
/// If what was told cannot be that.
pub(super) fn posting(server: &OfServer) -> Result<Assumed, config::Refused> {
    let (site, from) = (server.public_url()?, server.mail_from()?);
    let (mut of_link, mut of_mail) = (None, None);
    let site = match site {
        Flag::Told(site) => site,
        Flag::Assumed(site) => {
            of_link = Some(format!(
                "no --public-url was given, so the link begins with {site}"
            ));
            site
        }
    };
    let from = match from {
        Flag::Told(from) => from,
        Flag::Assumed(from) => {
            let from_whom = "no --mail-from was given, so the mail comes from auth_user@localhost";
            of_mail = Some(from_whom.to_owned());
            from
        }
    };
    Ok(Assumed {
        posting: Posting { site, from },
        of_link,
        of_mail,
    })
}
