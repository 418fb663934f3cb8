//! Accounts from the files of other programs, with their passwords: all of a file, or none of it.
//!
//! A file a format reads what stands there; this one judges it and saves it.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ValueEnum;
use zeroize::Zeroizing;

use crate::accounts::invitations;
use crate::accounts::kept::Created;
use crate::accounts::names;
use crate::accounts::password::PasswordHash;
use crate::accounts::{Account, Accounts, Taken, groups};
use crate::as_typed;
use crate::clock::{Clock, Timestamp};
use crate::mail;
use crate::operator::{END, NO_LIMITS, Posting, Refused, outbox_of};
use crate::reply::Outcome;
use crate::store::{self, Store};

mod authelia;
mod csv;
mod django;
mod htpasswd;
mod source;
#[cfg(test)]
mod tests;
mod yaml;

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

/// What was done.
pub struct Done {
    pub imported: Vec<Imported>,
    /// The file that was made, if there was none.
    pub made: Option<PathBuf>,
    /// How many mails with links could not be written in the end.
    pub unmailed: usize,
}

/// A file that can be taken whole.
pub struct Judged<'a> {
    users: &'a Path,
    wanted: &'a Wanted<'a>,
    accounts: Vec<Account>,
    pub imported: Vec<Imported>,
    is_new: bool,
    clock: Arc<Clock>,
}

/// Where the mails with links wait.
pub fn outbox(users: &Path) -> PathBuf {
    store::full_path(&outbox_of(users))
}

/// Reads a file and judges all of it; changes nothing.
///
/// # Errors
///
/// [`NotImported`].
pub fn judge<'a>(users: &'a Path, wanted: &'a Wanted<'a>) -> Result<Judged<'a>, NotImported> {
    let known = store::read_accounts(users);
    let known = known.map_err(|error| NotImported::Refused(Refused::NoFile(error)))?;
    let is_new = known.is_none();
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

    let clock = Arc::new(Clock::start());
    let total = found.len();
    let now = clock.now().timestamp();
    let (accounts, imported) = judge_all(found, &known.unwrap_or_default(), wanted, now)
        .map_err(|bad| refusal(bad, total, wanted))?;
    let judged = Judged {
        users,
        wanted,
        accounts,
        imported,
        is_new,
        clock,
    };
    judged.check_room()?;
    Ok(judged)
}

impl Judged<'_> {
    /// How many get a link to choose a password by.
    pub fn invited(&self) -> usize {
        let accounts = self.accounts.iter();
        accounts
            .filter(|account| account.password.is_none())
            .count()
    }

    fn check_room(&self) -> Result<(), NotImported> {
        let invited = self.invited();
        if invited == 0 {
            return Ok(());
        }
        let room = mail::room(&outbox_of(self.users))
            .map_err(|error| NotImported::Refused(Refused::NoMail(error)))?;
        if invited <= room {
            return Ok(());
        }
        let file = self.wanted.file.display();
        Err(NotImported::Unread {
            what: format!("cannot import {file}: {invited} entries have no hash and are invited"),
            hint: format!("the outbox takes {room} mails now: import it in parts"),
        })
    }

    /// Imports all of it in one save, and mails the links; `posting` if there are any.
    ///
    /// # Errors
    ///
    /// [`NotImported`]; nothing is changed then.
    pub fn save(mut self, posting: Option<&Posting>) -> Result<Done, NotImported> {
        if self.accounts.is_empty() {
            return Ok(Done {
                imported: self.imported,
                made: None,
                unmailed: 0,
            });
        }
        let now = self.clock.now();
        let store = Store::open(self.users, NO_LIMITS, Arc::clone(&self.clock))
            .map_err(|error| NotImported::Refused(Refused::Unfit(error)))?;
        let outbox = posting.map(|posting| posting.outbox(self.users));
        let outbox = outbox.transpose().map_err(NotImported::Refused)?;
        let (mut new, mut drafts) = (Vec::new(), Vec::new());
        let total = self.accounts.len();
        for (account, imported) in self.accounts.into_iter().zip(&mut self.imported) {
            let mut invitation = None;
            if let (Some(posting), Some(outbox), None) = (posting, &outbox, &account.password) {
                let of = (&account, invitations::USUAL_LIFETIME);
                let prepared = posting.prepare(outbox, of, now);
                let prepared = prepared.map_err(NotImported::Refused)?;
                imported.link = Some(prepared.link);
                invitation = Some(prepared.invitation);
                drafts.push(prepared.draft);
            }
            new.push((account, invitation));
        }
        let added = store.add_all(new, now.timestamp());
        store.close(END);
        let added = added.map_err(|error| NotImported::Refused(Refused::NotSaved(error)))?;
        // Somebody may have taken a name since the file was judged.
        added.map_err(|(at, taken)| {
            let Imported { line, username, .. } = &self.imported[at];
            let bad = vec![Bad::new(*line, username, is_taken(taken))];
            refusal(bad, total, self.wanted)
        })?;
        let sent = |draft| {
            outbox
                .as_ref()
                .is_some_and(|outbox| outbox.send(draft).is_ok())
        };
        let unmailed = drafts.into_iter().map(sent).filter(|sent| !sent).count();
        Ok(Done {
            imported: self.imported,
            made: self.is_new.then(|| store::full_path(self.users)),
            unmailed,
        })
    }
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

fn is_taken(taken: Taken) -> String {
    let outcome = match taken {
        Taken::Username => Outcome::UserExists,
        Taken::Email => Outcome::EmailExists,
    };
    outcome.message().into_owned()
}

/// Makes an account of each entry, or says of each bad one why it cannot be taken.
fn judge_all(
    found: Found,
    known: &Accounts,
    wanted: &Wanted<'_>,
    now: Timestamp,
) -> Result<(Vec<Account>, Vec<Imported>), Vec<Bad>> {
    let merged = if wanted.local_names {
        merged_names(&found)
    } else {
        HashSet::new()
    };
    let (mut accounts, mut imported, mut bad) = (Vec::new(), Vec::new(), Vec::new());
    let mut seen = Seen::default();
    for entry in found {
        let judged = entry.and_then(|entry| {
            let (line, said) = (entry.line, entry.username.clone());
            let judged = account(entry, wanted, now).and_then(|account| {
                if merged.contains(names::key(&account.username).as_ref()) {
                    return Err("--local-names makes this the name of another entry too".to_owned());
                }
                seen.judge(line, &account, known).map(|()| account)
            });
            let judged = judged.map_err(|why| Bad::new(line, &said, why))?;
            Ok((line, judged))
        });
        match judged {
            Ok((line, account)) => {
                imported.push(Imported {
                    line,
                    username: account.username.clone(),
                    is_admin: account.groups.iter().any(|group| group == "admins"),
                    link: None,
                });
                accounts.push(account);
            }
            Err(why) => bad.push(why),
        }
    }
    if bad.is_empty() {
        Ok((accounts, imported))
    } else {
        Err(bad)
    }
}

/// The local parts that stand for more than one name, compared as names are.
fn merged_names(found: &Found) -> HashSet<String> {
    let mut whole: HashMap<String, HashSet<String>> = HashMap::new();
    for entry in found.iter().flatten() {
        let name = names::key(entry.username.trim()).into_owned();
        let local = local_part(&name).to_owned();
        whole.entry(local).or_default().insert(name);
    }
    let merged = whole.into_iter().filter(|(_, whole)| whole.len() > 1);
    merged.map(|(local, _)| local).collect()
}

fn local_part(name: &str) -> &str {
    name.rsplit_once('@').map_or(name, |(local, _)| local)
}

/// The names and addresses of the entries so far, each with its line.
#[derive(Default)]
struct Seen {
    names: HashMap<String, u64>,
    addresses: HashMap<String, u64>,
}

impl Seen {
    /// Why an account has what is another's already, in the file or here.
    fn judge(&mut self, line: u64, account: &Account, known: &Accounts) -> Result<(), String> {
        let name = names::key(&account.username).into_owned();
        let address = account.email.as_deref().map(names::key);
        if let Some(taken) = known.taken(&account.username, account.email.as_deref()) {
            return Err(is_taken(taken));
        }
        if let Some(first) = self.names.get(&name) {
            return Err(format!("this name is in line {first} already"));
        }
        if let Some(address) = address {
            if let Some(first) = self.addresses.get(address.as_ref()) {
                return Err(format!("its address is in line {first} already"));
            }
            self.addresses.insert(address.into_owned(), line);
        }
        self.names.insert(name, line);
        Ok(())
    }
}

/// The account that an entry is, by the rules for accounts that operators make.
fn account(entry: Entry, wanted: &Wanted<'_>, now: Timestamp) -> Result<Account, String> {
    let username = username(&entry.username, wanted.local_names)?;
    let written = entry.email.as_deref().map(|email| email.trim().to_owned());
    let mut written = written.filter(|email| !email.is_empty());
    let is_vouched_for = entry.is_vouched_for && written.is_some();
    if written.is_none() && entry.username.contains('@') {
        written = Some(entry.username.clone());
    }
    let made_up = || Some(format!("{username}@{}", wanted.email_domain?));
    let email = match written.or_else(made_up) {
        None => None,
        Some(email) => Some(
            names::parse_email(&as_typed::email(&email))
                .ok_or_else(|| format!("{email} is not an e-mail address"))?,
        ),
    };
    let names = entry.groups.iter().map(String::as_str);
    let groups = groups::of_names(names).map_err(|odd| odd.to_string())?;
    let hash = entry.hash.filter(|hash| !hash.is_empty());
    let hash = match (&hash, &email) {
        (Some(hash), _) => Some(PasswordHash::parse(hash)?),
        (None, None) => return Err("it has neither a password hash nor an address".to_owned()),
        // A link is mailed.
        (None, Some(_)) => None,
    };
    let mut account = Account::made_by_operator(&username, "", groups, hash, now);
    account.email = email;
    account.email_proven = is_vouched_for;
    account.disabled = entry.disabled;
    account.created = Created::At(entry.created.unwrap_or(now));
    Ok(account)
}

fn username(written: &str, local_names: bool) -> Result<String, String> {
    let name = as_typed::name(written);
    let name = if local_names {
        local_part(&name)
    } else {
        &name
    };
    if names::is_username(name) {
        return Ok(name.to_owned());
    }
    Err(match names::parse_email(name) {
        Some(_) => "an address is not a name".to_owned(),
        None => "not a name: 1 to 64 letters, digits and . _ - +, the first a letter or digit"
            .to_owned(),
    })
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
