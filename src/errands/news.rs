//! What the store has to tell about the accounts: people are mailed, and it is noted as what
//! happened.

use crate::accounts::edits::Edited;
use crate::accounts::{Account, Accounts};
use crate::clock::Moment;
use crate::errands::{Errand, Errands};
use crate::events::{Event, Events, Kind, OPERATOR};
use crate::mail::{Edit, Mail, Notice};
use crate::store::Told;

impl Errands {
    /// Mails people what the store has to tell about the accounts.
    pub(super) fn pass_on(&self, told: Told, at: Moment) {
        let edited = match told {
            Told::Edited(edited) => edited,
            Told::Unreadable {
                accounts,
                file,
                reason,
            } => return self.accounts_unreadable(&accounts, &file, &reason, at),
        };
        note(&self.events, &edited);
        let account = &edited.account;
        if edited.totp {
            let edit = match account.totp {
                Some(_) => Edit::AuthenticatorChanged,
                None => Edit::AuthenticatorRemoved,
            };
            self.notify(account, &Notice::Edited(edit), at);
        }
        if edited.password {
            self.notify(account, &Notice::Edited(Edit::Password), at);
        }
        if let Some(email) = edited.email_before {
            let before = Account {
                email: Some(email),
                ..Account::clone(account)
            };
            let notice = Notice::Edited(Edit::Email(account.email.clone()));
            self.notify(&before, &notice, at);
        }
    }

    /// Tells the administrators that `file` cannot be read. To be called once, when that begins.
    ///
    /// `accounts` are those of its last good state, and `reason` quotes nothing from it.
    pub fn accounts_unreadable(&self, accounts: &Accounts, file: &str, reason: &str, at: Moment) {
        let administrators = accounts.iter();
        let administrators = administrators.filter(|account| account.is_administrator());
        for account in administrators {
            let Some(mail) = Mail::accounts_unreadable(account, file, reason, at) else {
                continue;
            };
            self.queue.add(Errand::Notice {
                mail,
                at,
                user: account.username.clone(),
                what: "accounts_unreadable",
                counted: None,
                event: None,
            });
        }
    }
}

/// Notes what an operator changed of an account in the file.
fn note(events: &Events, edited: &Edited) {
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
            "removed" => Kind::AccountRemoved,
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
