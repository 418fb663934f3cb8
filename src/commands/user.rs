//! `auth_user user list` and `user add`.

use std::io::{self, IsTerminal as _, Write as _};

use serde_json::json;
use zeroize::Zeroizing;

use crate::clock::Clock;
use crate::commands::Failure;
use crate::commands::opened::Opened;
use crate::commands::said::{posting, print, print_json, tell_besides};
use crate::config::{Add, List, OfServer};
use crate::operator::{self, NewAccount};
use crate::terminal::{self, Echo, NotALine};

/// `user list`.
pub(super) fn list(asked: &List, server: &OfServer) -> Result<(), Failure> {
    let opened = Opened::of(server)?;
    let accounts = opened.source().everybody();
    let accounts = accounts.map_err(|why| Failure::of(&why, "list the accounts", asked.json))?;
    let people = accounts.listed(asked.group.as_deref());
    if asked.json {
        let total = people.len();
        let invitations = accounts.listed_invitations(Clock::start().now().timestamp());
        print_json(&json!({ "people": people, "total": total, "invitations": invitations }));
        return Ok(());
    }
    let mut text = String::new();
    for person in &people {
        text.push_str(&person.fields().join("\t"));
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
    let assumed = match password {
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
    let opened = Opened::of(server)?;
    let place = opened.place(server, assumed.as_ref())?;
    let done = operator::add(&place, &new).map_err(|why| Failure::of(&why, &act, asked.json))?;
    if let Some(assumed) = &assumed {
        assumed.warn();
    }
    let invited = tell_besides(done, server);
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
    print(&text, &document, asked.json);
    Ok(())
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
