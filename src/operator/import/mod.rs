//! Accounts from the files of other programs, with their passwords: all of a file, or none of it.
//!
//! A file a format reads what stands there; this one judges it and saves it.

use std::path::Path;

use clap::ValueEnum;
use zeroize::Zeroizing;

use crate::accounts::Account;
use crate::accounts::invitations;
use crate::accounts::names;
use crate::clock::{Clock, Moment, Timestamp};
use crate::events::{Event, Kind, OPERATOR};
use crate::operator::add::Prepared;
use crate::operator::work::{self, Place};
use crate::operator::{Refused, Source};
use crate::store::About;

mod authelia;
mod csv;
mod django;
mod htpasswd;
mod rules;
mod source;
#[cfg(test)]
mod tests;
mod yaml;

use rules::{is_taken, judge_all};

/// Whose file it is.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub enum Format {
    /// A table with a heading: username, email, groups, password_hash, disabled
    Csv,
    /// Apache's and nginx's passwords, NAME:HASH
    Htpasswd,
    /// Authelia's users_database.yml
    Authelia,
    /// What Django's manage.py dumpdata auth prints
    Django,
}

/// What is asked for.
pub struct Wanted<'a> {
    pub format: Format,
    /// The file, or `-` for standard input.
    pub file: &'a Path,
    /// Those without an address get NAME@DOMAIN.
    pub email_domain: Option<&'a str>,
    /// A name that is an address becomes its local part.
    pub local_names: bool,
}

/// An account as a file has it, not judged yet.
#[derive(Default)]
struct Entry {
    /// Where it begins in the file, from 1.
    line: u64,
    username: String,
    email: Option<String>,
    /// Whether the address counts as proven, because an operator wrote it.
    is_vouched_for: bool,
    groups: Vec<String>,
    hash: Option<String>,
    disabled: bool,
    created: Option<Timestamp>,
}

/// An entry that was or would be imported.
pub struct Imported {
    pub line: u64,
    pub username: String,
    pub is_admin: bool,
    /// The link by which its owner chooses a password, if none came along.
    pub link: Option<Zeroizing<String>>,
}

/// An entry that cannot be taken.
pub struct Bad {
    pub line: u64,
    pub username: String,
    pub why: String,
}

impl Bad {
    fn new(line: u64, username: &str, why: impl Into<String>) -> Self {
        let (username, why) = (username.to_owned(), why.into());
        Self {
            line,
            username,
            why,
        }
    }
}

/// What the reader of a format finds: each entry, or why it is none.
type Found = Vec<Result<Entry, Bad>>;

/// A file that is not of the format at all.
struct NotOfFormat {
    what: String,
    hint: String,
}

impl NotOfFormat {
    fn new(what: impl Into<String>, hint: &str) -> Self {
        let (what, hint) = (what.into(), hint.to_owned());
        Self { what, hint }
    }
}

/// Why nothing was imported.
pub enum NotImported {
    /// The accounts that are there cannot be read or saved.
    Refused(Refused),
    /// The file cannot be read, or is not of the format.
    Unread { what: String, hint: String },
    /// Some of so many entries cannot be taken.
    Bad {
        bad: Vec<Bad>,
        total: usize,
        hint: &'static str,
    },
}

/// A file that can be taken whole.
pub struct Judged<'a> {
    source: Source<'a>,
    wanted: &'a Wanted<'a>,
    accounts: Vec<Account>,
    pub imported: Vec<Imported>,
}

/// Reads a file and judges all of it; changes nothing.
///
/// # Errors
///
/// [`NotImported`].
pub fn judge<'a>(source: Source<'a>, wanted: &'a Wanted<'a>) -> Result<Judged<'a>, NotImported> {
    let known = source.everybody().map_err(NotImported::Refused)?;
    let text = source::read(wanted.file).map_err(|(what, hint)| NotImported::Unread {
        what,
        hint: hint.to_owned(),
    })?;
    let read = match wanted.format {
        Format::Csv => csv::read(&text),
        Format::Htpasswd => Ok(htpasswd::read(&text)),
        Format::Authelia => authelia::read(&text),
        Format::Django => django::read(&text),
    };
    let found = read.map_err(|NotOfFormat { what, hint }| {
        let what = format!("cannot import {}: {what}", wanted.file.display());
        NotImported::Unread { what, hint }
    })?;

    let total = found.len();
    let now = Clock::start().now().timestamp();
    let (accounts, imported) =
        judge_all(found, &known, wanted, now).map_err(|bad| refusal(bad, total, wanted))?;
    let judged = Judged {
        source,
        wanted,
        accounts,
        imported,
    };
    judged.check_room()?;
    Ok(judged)
}

impl Judged<'_> {
    /// How many get a link to choose a password by.
    pub fn invited(&self) -> usize {
        let accounts = self.accounts.iter();
        accounts.filter(|account| is_invited(account)).count()
    }

    fn check_room(&self) -> Result<(), NotImported> {
        let invited = self.invited();
        if invited == 0 {
            return Ok(());
        }
        let room = self.source.room_for_mails();
        let room = room.map_err(NotImported::Refused)?;
        if invited <= room {
            return Ok(());
        }
        let file = self.wanted.file.display();
        Err(NotImported::Unread {
            what: format!("cannot import {file}: {invited} entries have no hash and are invited"),
            hint: format!("the outbox takes {room} mails now: import it in parts"),
        })
    }

    /// Imports all of it in one save, and mails the links; `place` has a posting if there are any.
    ///
    /// # Errors
    ///
    /// [`NotImported`]; nothing is changed then.
    pub fn save(self, place: &Place<'_>) -> Result<work::Done<Vec<Imported>>, NotImported> {
        if self.accounts.is_empty() {
            return Ok(work::Done::nothing(self.imported));
        }
        let total = self.accounts.len();
        let (mut imported, mut bad) = (self.imported, None);
        let done = place.change(About::everything, |draft, post, now| {
            let (mut new, mut mails) = (Vec::with_capacity(total), Vec::new());
            let mut events = Vec::with_capacity(total);
            for (account, imported) in self.accounts.iter().zip(&mut imported) {
                let event = Event::of(Kind::AccountImported).about(account).by(OPERATOR);
                events.push(event.groups(&account.groups));
                let prepared = prepare(place, account, now);
                let invitation = prepared.map(|prepared| {
                    imported.link = Some(prepared.link);
                    mails.push(prepared.mail);
                    prepared.invitation
                });
                new.push((account.clone(), invitation));
            }
            let added = draft.add_all(&new, now.timestamp());
            added.map_err(|(at, taken)| {
                // Somebody has taken a name since the file was judged.
                bad = Some((at, taken));
                Refused::Taken(taken)
            })?;
            for mail in mails {
                post.draft(|_| Some(mail))?;
            }
            Ok(((), events))
        });
        match (done, bad) {
            (Ok(done), _) => Ok(done.giving(imported)),
            (Err(_), Some((at, taken))) => {
                let Imported { line, username, .. } = &imported[at];
                let bad = vec![Bad::new(*line, username, is_taken(taken))];
                Err(refusal(bad, total, self.wanted))
            }
            (Err(why), None) => Err(NotImported::Refused(why)),
        }
    }
}

/// Whether somebody is to choose a password. Who may not log in is not asked to.
fn is_invited(account: &Account) -> bool {
    account.password.is_none() && !account.disabled
}

/// The link of an account that has no password, and its mail.
fn prepare(place: &Place<'_>, account: &Account, now: Moment) -> Option<Prepared> {
    let posting = place.posting.filter(|_| is_invited(account))?;
    Some(posting.prepare((account, invitations::USUAL_LIFETIME), now))
}

fn refusal(bad: Vec<Bad>, total: usize, wanted: &Wanted<'_>) -> NotImported {
    let is_address = |bad: &Bad| names::parse_email(&bad.username).is_some();
    let hint = match bad.iter().any(is_address) && !wanted.local_names {
        true => {
            "with --local-names, a name that is an address becomes its local part, and people can \
             still log in by their address"
        }
        false => "mend these lines and try again; nothing was changed",
    };
    NotImported::Bad { bad, total, hint }
}

/// The line of what stands at this place in a text, from 1.
fn line_at(text: &str, at: usize) -> u64 {
    let before = text.as_bytes().get(..at).unwrap_or_default();
    before
        .iter()
        .map(|byte| u64::from(*byte == b'\n'))
        .sum::<u64>()
        + 1
}
