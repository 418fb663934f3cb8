//! `auth_user user show`, `user set`, and the acts: what is done to one account.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;

use crate::accounts::listed::{FIELDS, Listed, in_full};
use crate::accounts::session::{Limits, Session};
use crate::as_typed;
use crate::commands::Failure;
use crate::commands::events::row;
use crate::commands::opened::Opened;
use crate::commands::said::{posting, print, tell_besides};
use crate::config::{Named, OfServer, Remove, Set};
use crate::log::complain;
use crate::operator::{self, Asked, Refused, Shown};
use crate::terminal::{self, Echo, printable};

/// `user show`.
pub(super) fn show(asked: &Named, server: &OfServer) -> Result<(), Failure> {
    let limits = server.session_limits()?;
    let name = as_typed::name(&asked.name);
    let opened = Opened::of(server)?;
    let shown = operator::show(opened.source(), &name, limits)
        .map_err(|why| Failure::of(&why, &format!("show {}", *name), asked.json))?;
    print(&as_text(&shown, limits), &shown.told(limits), asked.json);
    Ok(())
}

/// A line for each field, each session and each event.
fn as_text(shown: &Shown, limits: Limits) -> String {
    let fields = Listed::from(shown.account.as_ref()).fields();
    let fields = FIELDS.iter().zip(fields);
    let fields = fields.map(|(name, field)| format!("{name}: {field}\n"));
    let session = |session: &Arc<Session>| {
        let stays = match session.stays_until(limits) {
            Some(_) => "stays",
            None => "-",
        };
        let [address, agent] = [&session.address, &session.agent].map(|text| match text.as_str() {
            "" => "-".to_owned(),
            text => printable(text),
        });
        let (created, last_seen) = (session.created, session.last_seen());
        format!("session:\t{created}\t{last_seen}\t{address}\t{agent}\t{stays}\n")
    };
    let sessions = shown.sessions.iter().map(session);
    let events = shown.events.iter();
    let events = events.map(|seen| format!("event:\t{}\n", row(seen)));
    fields.chain(sessions).chain(events).collect()
}

/// `user set`.
pub(super) fn set(asked: &Set, server: &OfServer) -> Result<(), Failure> {
    let name = as_typed::name(&asked.name);
    let posting = match asked.email.is_some() || asked.rename.is_some() {
        true => Some(posting(server)?),
        false => None,
    };
    let opened = Opened::of(server)?;
    let place = opened.place(server, posting.as_ref())?;
    let done = operator::set(&place, &name, &asked.setting())
        .map_err(|why| Failure::of(&why, &format!("change {}", *name), asked.json))?;
    if let Some(assumed) = posting.filter(|_| !done.mails.is_empty()) {
        assumed.warn();
    }
    let account = tell_besides(done, server);
    if asked.email.is_some() && account.password.is_none() {
        complain(
            "warning: they have not chosen a password yet, and a link mailed to another address has \
             ended",
            Some(&format!(
                "auth_user user new-password {} mails them the next way in",
                account.username
            )),
        );
    }
    let mut document = in_full(&account, &[], operator::NO_LIMITS);
    if let Some(document) = document.as_object_mut() {
        document.remove("sessions");
    }
    document["code"] = "account_changed".into();
    document["message"] = "Done.".into();
    print("Done.\n", &document, asked.json);
    Ok(())
}

/// `user disable` and the like; `word` is what the operator called it.
pub(super) fn act(word: &str, act: Asked, asked: &Named, server: &OfServer) -> Result<(), Failure> {
    let name = as_typed::name(&asked.name);
    let posting = match act.is_mailed() {
        true => Some(posting(server)?),
        false => None,
    };
    let opened = Opened::of(server)?;
    let place = opened.place(server, posting.as_ref())?;
    let refused = |why: Refused| Failure::of(&why, &format!("{word} {}", *name), asked.json);
    let done = operator::act(&place, &name, act).map_err(refused)?;
    if let Some(assumed) = posting.filter(|_| !done.mails.is_empty()) {
        assumed.warn();
    }
    let outcome = tell_besides(done, server);
    let text = format!("{}\n", outcome.message());
    print(&text, &outcome.json(), asked.json);
    Ok(())
}

/// `user remove`: asks first, where somebody can be asked.
pub(super) fn remove(asked: &Remove, server: &OfServer) -> Result<(), Failure> {
    let name = as_typed::name(&asked.named.name);
    let removing = format!("remove {}", *name);
    if !asked.yes {
        if !io::stdin().is_terminal() {
            let what = format!("cannot {removing} unasked: standard input is no terminal");
            return Err(Failure::misused(what, "say it with --yes"));
        }
        let question = format!("Remove the account {}? [y/N]", printable(&name));
        let answer = terminal::ask(&question, Echo::Shown).unwrap_or_default();
        let answer = answer.trim().to_ascii_lowercase();
        if !matches!(answer.as_str(), "y" | "yes") {
            return Err(Failure::Failed {
                what: format!("cannot {removing}: the answer was not yes"),
                hint: Some("nothing was changed".to_owned()),
            });
        }
    }
    act("remove", Asked::Remove, &asked.named, server)
}
