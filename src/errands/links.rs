//! Links mailed to addresses that somebody gave: to prove the one an account has, or to change it.

use std::sync::Arc;

use crate::accounts::Account;
use crate::accounts::confirmations;
use crate::accounts::token::{self, Digest};
use crate::clock::Moment;
use crate::errands::limits::{Counted, Mailing, Room};
use crate::errands::{NO_ADDRESS, Runner, not_written};
use crate::mail::Mail;
use crate::network::Network;

impl Runner {
    /// Mails a link that proves the address of this account, unless it is proven.
    pub(super) fn confirmation(&mut self, username: &str, asker: Network, asked_at: Moment) {
        let Ok(found) = self.store.account(username) else {
            return not_written("-", &"the accounts cannot be read");
        };
        let Some(account) = found.filter(|account| !account.email_proven) else {
            return;
        };
        let Some(email) = &account.email else {
            return log(&account, NO_ADDRESS);
        };
        let whose = Counted::new(&account.username, email);
        let mailing = Mailing::Confirmation(asker, whose);
        if let Some(room) = self.room(&account, mailing, asked_at) {
            let is_mailed = self.link(&account, None, asked_at);
            self.shares.settle(&room, is_mailed);
        }
    }

    /// Whether one more may be mailed; says why, if not.
    fn room(&mut self, account: &Account, mailing: Mailing, asked_at: Moment) -> Option<Room> {
        let room = self.shares.room(mailing, asked_at.steady);
        if matches!(room, Ok(None)) {
            log(account, "too_many");
        }
        if room.is_err() {
            let why = "what was mailed before cannot be counted";
            not_written(&account.username, &why);
        }
        room.ok().flatten()
    }

    /// Mails a link that gives this account another address; or, if that belongs to somebody, tells
    /// its owner. Whoever it belongs to, the limits are looked at first and count the same: what is
    /// left of them must not tell who has an account.
    pub(super) fn change_of_address(
        &mut self,
        account: &Arc<Account>,
        email: &str,
        asker: Network,
        asked_at: Moment,
    ) {
        let Ok(owner) = self.store.account(email) else {
            return not_written("-", &"the accounts cannot be read");
        };
        let mailing = Mailing::Change(asker, Counted::new(&account.username, email));
        let Some(room) = self.room(account, mailing, asked_at) else {
            return;
        };
        let is_mailed = match owner {
            None => self.link(account, Some(email), asked_at),
            Some(owner) if owner.id != account.id => self.tell_owner(account, &owner, asked_at),
            Some(own) if !own.email_proven => self.link(&own, None, asked_at),
            Some(_) => {
                log(account, "proven_already");
                false
            }
        };
        self.shares.settle(&room, is_mailed);
    }

    /// Opens a link and mails it: to prove the address of this account, or to change it `to`
    /// another. False if that could not be done; then it is not open either.
    fn link(&self, account: &Arc<Account>, to: Option<&str>, asked_at: Moment) -> bool {
        let token = token::link();
        let (hours, site) = (confirmations::LIFETIME.as_secs() / 3600, &self.site);
        let mail = match to {
            None => Mail::confirmation(account, &token, asked_at, hours, site),
            Some(to) => {
                let then = Account {
                    email: Some(to.to_owned()),
                    ..Account::clone(account)
                };
                Mail::change_of_address(&then, &token, asked_at, hours, site)
            }
        };
        let Some(mail) = mail else {
            log(account, NO_ADDRESS);
            return false;
        };
        let draft = match self.outbox.draft(&mail) {
            Ok(draft) => draft,
            Err(error) => {
                not_written(&account.username, &error);
                return false;
            }
        };
        let (digest, now) = (Digest::of(&token), asked_at.timestamp());
        match self.store.expect_confirmation(account, to, digest, now) {
            Ok(true) => {}
            Ok(false) => {
                log(account, "overtaken");
                return false;
            }
            Err(_) => {
                log(account, "not_saved");
                return false;
            }
        }
        if let Err(error) = self.outbox.send(draft) {
            // A link that nobody was sent does no harm if this fails too.
            let _ = self.store.close_confirmation(digest);
            not_written(&account.username, &error);
            return false;
        }
        log(account, "written");
        true
    }

    /// Tells the owner of an address that somebody wants it. False if that could not be written.
    fn tell_owner(&self, account: &Account, owner: &Account, asked_at: Moment) -> bool {
        let Some(mail) = Mail::address_wanted(owner, asked_at) else {
            return false;
        };
        match self.outbox.post(&mail) {
            Ok(_) => {
                log(account, "taken");
                true
            }
            Err(error) => {
                not_written(&account.username, &error);
                false
            }
        }
    }
}

fn log(account: &Account, result: &str) {
    let user = &account.username;
    tracing::info!(event = "confirmation", user, result);
}
