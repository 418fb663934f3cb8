//! `auth_user user`: accounts listed and made.

use std::io::{self, IsTerminal as _, Write as _};

use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::clock::Clock;
use crate::commands::Failure;
use crate::config::{Add, Flag, List, OfServer};
use crate::log::complain;
use crate::operator::{self, NewAccount, Posting, Refused};
use crate::terminal::{self, Echo, NotALine};

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
            Refused::NoFile(error) | Refused::Unfit(error) => error.to_string(),
            Refused::NotSaved(error) => error.to_string(),
            Refused::NoOutbox(problem) => problem.to_string(),
            Refused::NoMail(error) => format!("cannot {act}: the mail cannot be written: {error}"),
            Refused::NoEvents(cause) => format!("cannot {act}: {cause}"),
            Refused::Taken(_) | Refused::Password(_) | Refused::IsAddress(_) => {
                format!("cannot {act}: {message}")
            }
        };
        Self::refused(code, &message, what, why.hint(), json)
    }
}

/// Prints a document on one line. If nobody reads it, the exit status counts.
pub(super) fn print_json(document: &Value) {
    let text = terminal::printable_json(&document.to_string());
    let _ = writeln!(io::stdout().lock(), "{text}");
}

/// `user list`.
pub(super) fn list(asked: &List, server: &OfServer) -> Result<(), Failure> {
    let accounts = operator::accounts(&server.users)
        .map_err(|why| Failure::of(&why, "list the accounts", asked.json))?;
    let people = accounts.listed(asked.group.as_deref());
    if asked.json {
        let total = people.len();
        let invitations = accounts.listed_invitations(Clock::start().now().timestamp());
        print_json(&json!({ "people": people, "total": total, "invitations": invitations }));
        return Ok(());
    }
    let mut text = String::new();
    for person in &people {
        let fields = person.fields().map(|field| terminal::printable(&field));
        text.push_str(&fields.join("\t"));
        text.push('\n');
    }
    // If nobody reads it, nothing is lost.
    let _ = io::stdout().lock().write_all(text.as_bytes());
    Ok(())
}

/// `user add`.
pub(super) fn add(asked: &Add, server: &OfServer) -> Result<(), Failure> {
    let act = format!("add {}", asked.username);
    let password = match asked.password_stdin {
        true => Some(new_password(asked, &act)?),
        false => None,
    };
    let posting = match password {
        Some(_) => None,
        None => Some(posting(server)?),
    };
    let groups = &asked.groups.0;
    let new = NewAccount {
        username: &asked.username,
        email: &asked.email,
        groups,
        password: password.as_deref().map(String::as_str),
        valid: asked.valid.0,
    };
    let done = operator::add(&server.users, server.events_kept()?, &new, posting.as_ref())
        .map_err(|why| Failure::of(&why, &act, asked.json))?;
    if let Some(cause) = &done.untold {
        complain(&format!("this is not in events.jsonl: {cause}"), None);
    }
    if let Some(made) = &done.made {
        complain(&format!("made {}", made.display()), None);
    }
    let invited = done.invited.as_ref();
    if let Some(mail) = invited.and_then(|invited| invited.mail.as_ref())
        && !server.sends_mail()
    {
        complain(&format!("the mail waits in {}", mail.display()), None);
    }
    let message = "Account added.";
    let mut document = json!({
        "code": "account_added",
        "message": message,
        "username": asked.username,
        "email": asked.email,
        "groups": groups,
    });
    let mut text = format!("{message}\n");
    if let Some(invited) = invited {
        document["link"] = json!(invited.link.as_str());
        document["expires"] = json!(invited.expires);
        text.push_str(&format!("{}\n", invited.link.as_str()));
    }
    if asked.json {
        print_json(&document);
    } else {
        let _ = io::stdout().lock().write_all(text.as_bytes());
    }
    Ok(())
}

/// What a mail with a link needs to know of the server. What was not told is assumed, and said.
pub(super) fn posting(server: &OfServer) -> Result<Posting, Failure> {
    let (site, from) = (server.public_url()?, server.mail_from()?);
    let warn = |what: &str| complain(&format!("warning: {what}"), None);
    let site = match site {
        Flag::Told(site) => site,
        Flag::Assumed(site) => {
            warn(&format!(
                "no --public-url was given, so the link begins with {site}"
            ));
            site
        }
    };
    let from = match from {
        Flag::Told(from) => from,
        Flag::Assumed(from) => {
            warn("no --mail-from was given, so the mail comes from auth_user@localhost");
            from
        }
    };
    Ok(Posting { site, from })
}

/// The password for a new account: typed twice at a terminal, or the first line of what was sent.
fn new_password(asked: &Add, act: &str) -> Result<Zeroizing<String>, Failure> {
    let refused = |message: &str, hint| {
        let what = format!("cannot {act}: {message}");
        Failure::refused("bad_field", message, what, Some(hint), asked.json)
    };
    if !io::stdin().is_terminal() {
        let read = terminal::only_line();
        let line = read
            .map_err(|error| refused(&format!("Standard input cannot be read: {error}."), SENT))?;
        return line.map_err(|why| {
            let message = match why {
                NotALine::Nothing => "Standard input holds no password.",
                NotALine::More => "Standard input holds more than one line.",
                NotALine::Long => "The field password is too long: it may have 256 characters.",
                NotALine::NotText => "The password is not UTF-8.",
            };
            refused(message, SENT)
        });
    }
    let ask = |question| {
        let typed = terminal::ask(question, Echo::Hidden).map(Zeroizing::new);
        typed.map_err(|error| {
            let message = format!("The terminal cannot be read: {error}.");
            refused(&message, SENT)
        })
    };
    let password = ask("Password:")?;
    if ask("Once more:")? != password {
        let message = "The passwords differ.";
        return Err(refused(message, "nothing was changed: try again"));
    }
    Ok(password)
}

/// How a password is sent.
const SENT: &str = "send the password alone, as the first line of standard input";
