//! What operators change by hand, as events.

use crate::accounts::edits::Edited;
use crate::events::{Event, Events, Kind, OPERATOR};

/// Notes what an operator changed of an account in the file.
pub(super) fn note(events: &Events, edited: &Edited) {
    let account = &edited.account;
    for word in edited.what.split(' ') {
        let kind = match word {
            "added" => Kind::AccountAdded,
            "disabled" => Kind::AccountDisabled,
            "email" => Kind::EmailChanged,
            "enabled" => Kind::AccountEnabled,
            "groups" => Kind::GroupsChanged,
            "name" => Kind::AccountRenamed,
            "password" => Kind::PasswordChanged,
            "totp" if account.totp.is_none() => Kind::SecondFactorReset,
            "totp" => Kind::AuthenticatorChanged,
            // It came back as it was, which is no event of its own.
            _ => continue,
        };
        let event = Event::of(kind).about(account).by(OPERATOR);
        let event = match (kind, &edited.name_before) {
            (Kind::AccountRenamed, Some(before)) => event.was(before),
            (Kind::GroupsChanged | Kind::AccountAdded, _) => event.groups(&account.groups),
            _ => event,
        };
        events.note(event);
    }
}
