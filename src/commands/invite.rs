//! `auth_user invite`: links by which people make accounts.

use crate::accounts::registration::Registration;
use crate::as_typed;
use crate::commands::Failure;
use crate::commands::opened::Opened;
use crate::commands::said::{posting, print, tell_besides};
use crate::config::{Invite, OfServer};
use crate::operator::{self, NewInvitation, Refused};
use crate::reply::Outcome;

/// `invite`, and `invite --end`.
pub(super) fn invite(asked: &Invite, server: &OfServer) -> Result<(), Failure> {
    let opened = Opened::of(server)?;
    if let Some(id) = &asked.end {
        return end(id, asked, (server, &opened));
    }
    let refused = |why: Refused| Failure::of(&why, "invite anybody", asked.json);
    let assumed = posting(server)?;
    let place = opened.place(server, Some(&assumed))?;
    if server.registration()? == Some(Registration::Closed) {
        return Err(refused(Refused::RegistrationClosed));
    }
    let new = NewInvitation {
        email: asked.email.as_deref(),
        groups: &asked.groups.0,
        valid: asked.valid.0,
    };
    let done = operator::invite(&place, &new, &assumed.posting).map_err(refused)?;
    assumed.warn_of(asked.email.is_some());
    let made = tell_besides(done, server);
    let text = format!("{}\n", made.link);
    print(&text, &Outcome::Invited(made).json(), asked.json);
    Ok(())
}

fn end(id: &str, asked: &Invite, (server, opened): (&OfServer, &Opened)) -> Result<(), Failure> {
    let place = opened.place(server, None)?;
    let done = operator::end(&place, &as_typed::name(id));
    let done = done.map_err(|why| Failure::of(&why, "end that invitation", asked.json))?;
    let outcome = tell_besides(done, server);
    let text = format!("{}\n", outcome.message());
    print(&text, &outcome.json(), asked.json);
    Ok(())
}
