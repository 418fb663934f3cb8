//! Files to copy from, and to copy to.

use std::ffi::{OsStr, OsString};
use std::io::{self, BufWriter, Read as _, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use crate::accounts::token;
use crate::durable::{Draft, directory_of};
use crate::events;
use crate::folder::{Folder, Links};
use crate::operator::backup::NotDone;
use crate::operator::copy::{All, no_file, not_saved, size};
use crate::owner;
use crate::store::postgres::KeptMail;
use crate::store::{self, UNFINISHED, Whole};

const SESSIONS: &str = "sessions.json";
const OUTBOX: &str = "outbox";
const EVENTS: &str = "events.jsonl";

/// The ending of a mail that waits.
const MAIL: &str = ".eml";

/// How long others may be saving before there is no copy.
const PATIENCE: Duration = Duration::from_secs(10);

/// Most bytes of a mail; no courier sends a larger one.
pub(in crate::operator) const MOST_OF_MAIL: u64 = 1 << 20;

/// Longest name of a mail that is kept, in bytes. With its ending it fits into a backup.
const MOST_OF_NAME: usize = 96;

/// Files that are copied.
pub(super) struct Source {
    users: PathBuf,
    /// What lies in the outbox and is no mail that can be sent.
    pub(super) left_out: Vec<String>,
}

impl Source {
    pub(super) fn new(users: &Path) -> Self {
        Self {
            users: users.to_owned(),
            left_out: Vec::new(),
        }
    }

    /// Accounts, sessions and mails while nobody saves.
    pub(super) fn read(&mut self) -> Result<All, NotDone> {
        store::check_directory(&self.users)?;
        let sessions = self.users.with_file_name(SESSIONS);
        // Else a lock would be made for it.
        if self.users.symlink_metadata().is_err() {
            return Ok(Whole::read(&self.users, &sessions).map(|whole| All {
                whole,
                mails: Vec::new(),
            })?);
        }
        let hold = store::hold(&self.users, PATIENCE)?;
        let whole = Whole::read(&self.users, &sessions)?;
        let mails = mails(&self.users, &mut self.left_out);
        drop(hold);
        let mails = mails.map_err(|error| no_file(&self.users.with_file_name(OUTBOX), &error))?;
        Ok(All { whole, mails })
    }

    /// About: they may grow.
    pub(super) fn size_of_events(&self) -> u64 {
        let found = events::beside(&self.users).symlink_metadata();
        found.map_or(0, |found| found.len())
    }

    pub(super) fn events(&self, see: &mut dyn FnMut(&str)) -> Result<(), NotDone> {
        each_event(&self.users, see)
    }
}

fn each_event(users: &Path, see: &mut dyn FnMut(&str)) -> Result<(), NotDone> {
    let mut read = || -> io::Result<()> {
        match events::at_a_moment(users)? {
            Some((file, length)) => events::each_line(&file, length, see),
            None => Ok(()),
        }
    };
    let read = read();
    read.map_err(|error| no_file(&events::beside(users), &error))
}

/// The mails in the outbox beside the accounts, the oldest first.
fn mails(users: &Path, left_out: &mut Vec<String>) -> io::Result<Vec<KeptMail>> {
    let parent = Folder::open(directory_of(users))?;
    let outbox = match parent.enter(OsStr::new(OUTBOX), owner::links()) {
        Ok(outbox) => outbox,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = outbox.names()?;
    names.sort();
    let mut mails = Vec::new();
    for name in names {
        let Some(stem) = name.as_encoded_bytes().strip_suffix(MAIL.as_bytes()) else {
            continue;
        };
        match mail(&outbox, &name, stem) {
            Ok(Some(mail)) => mails.push(mail),
            // Sent at this moment.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Ok(None) | Err(_) => left_out.push(Path::new(OUTBOX).join(name).display().to_string()),
        }
    }
    mails.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(mails)
}

/// A mail; `None` if it is too large to be sent.
fn mail(outbox: &Folder, name: &OsStr, stem: &[u8]) -> io::Result<Option<KeptMail>> {
    let file = outbox.read(name)?;
    let found = file.metadata()?;
    let mut text = Vec::new();
    file.take(MOST_OF_MAIL + 1).read_to_end(&mut text)?;
    let at = u64::try_from(found.mtime()).unwrap_or(0);
    Ok(kept_mail(stem, at, text))
}

/// A mail of a file that is called so but for its ending; `None` if it is too large to be sent.
pub(in crate::operator) fn kept_mail(stem: &[u8], at: u64, text: Vec<u8>) -> Option<KeptMail> {
    if size(&text) > MOST_OF_MAIL {
        return None;
    }
    let is_plain = |stem: &[u8]| {
        let letter = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        !stem.is_empty() && stem.len() <= MOST_OF_NAME && stem.iter().all(letter)
    };
    let name = match str::from_utf8(stem) {
        Ok(name) if is_plain(stem) => name.to_owned(),
        // One that an operator has put there gets a name like the others'.
        _ => format!("{at:010}-{:032x}", u128::from_ne_bytes(token::random())),
    };
    Some(KeptMail { name, at, text })
}

/// Files that are made.
pub(in crate::operator) struct Target {
    /// The accounts file.
    pub(super) users: PathBuf,
    /// The accounts, not in their place yet.
    accounts: Option<Draft>,
    /// The events, not in their place yet.
    events: Option<Draft>,
}

impl Target {
    /// Nothing is made yet.
    ///
    /// # Errors
    ///
    /// If one of the files is there, or they could not be made.
    pub(super) fn new(users: &Path) -> Result<Self, NotDone> {
        let target = Self {
            users: users.to_owned(),
            accounts: None,
            events: None,
        };
        let directory = directory_of(users);
        if !directory.is_dir() && !directory_of(directory).is_dir() {
            let what = format!("cannot copy to {users:?}: there is no such folder");
            return Err(not_saved(what, "make it first, or name another"));
        }
        if store::is_unfinished(users) {
            return Ok(target);
        }
        let beside = [SESSIONS, OUTBOX, EVENTS].map(|name| users.with_file_name(name));
        let mut there = std::iter::once(users.to_owned()).chain(beside);
        match there.find(|path| path.symlink_metadata().is_ok()) {
            None => Ok(target),
            Some(there) => {
                let what = format!("cannot copy to {users:?}: {there:?} is there already");
                Err(not_saved(
                    what,
                    "name a folder in which none of these files is",
                ))
            }
        }
    }

    /// Puts a mark in the place of the accounts, and removes what an earlier copy has left.
    pub(super) fn begin(&mut self) -> Result<(), NotDone> {
        let begun = || -> io::Result<()> {
            let directory = directory_of(&self.users);
            if !directory.is_dir() {
                let parent = Folder::open(directory_of(directory))?;
                let made = parent.make(directory.file_name().unwrap_or_default())?;
                owner::hand_to_owner_of(&parent, made.handle())?;
            }
            if store::is_unfinished(&self.users) {
                return clear(directory);
            }
            let draft = self.draft()?;
            draft.file().write_all(UNFINISHED)?;
            draft.sync()?;
            Ok(draft.put_anew(&self.users).map(drop)?)
        };
        begun().map_err(|error| self.unmade(&error))
    }

    /// A file that is not in its place yet.
    fn draft(&self) -> io::Result<Draft> {
        let folder = Folder::open(directory_of(&self.users))?;
        draft_in(&folder)
    }

    pub(super) fn write(&mut self, all: &All) -> Result<(), NotDone> {
        let written = self.write_all(all);
        written.map_err(|error| self.unmade(&error))
    }

    fn write_all(&mut self, all: &All) -> io::Result<()> {
        if let Some(sessions) = all.whole.sessions_json()? {
            let draft = self.draft()?;
            draft.file().write_all(&sessions)?;
            draft.sync()?;
            draft.put_anew(&self.users.with_file_name(SESSIONS))?;
        }
        if !all.mails.is_empty() {
            let parent = Folder::open(directory_of(&self.users))?;
            let outbox = parent.make(OsStr::new(OUTBOX))?;
            owner::hand_to_owner_of(&parent, outbox.handle())?;
            for mail in &all.mails {
                write_mail(&outbox, mail)?;
            }
        }
        let draft = self.draft()?;
        let mut out = BufWriter::new(draft.file());
        all.whole.write_users(&mut out)?;
        out.into_inner()?;
        draft.sync()?;
        self.accounts = Some(draft);
        Ok(())
    }

    pub(super) fn write_events(&mut self, lines: &[String]) -> Result<(), NotDone> {
        let mut written = || -> io::Result<()> {
            if lines.is_empty() {
                return Ok(());
            }
            let draft = match self.events.take() {
                Some(draft) => draft,
                None => self.draft()?,
            };
            let mut text = lines.join("\n");
            text.push('\n');
            let mut file = self.events.insert(draft).file();
            file.write_all(text.as_bytes())
        };
        let written = written();
        written.map_err(|error| self.unmade(&error))
    }

    pub(super) fn end_of_events(&mut self) -> Result<(), NotDone> {
        let Some(draft) = self.events.take() else {
            return Ok(());
        };
        let put = || -> io::Result<()> {
            draft.sync()?;
            Ok(draft.put_anew(&events::beside(&self.users)).map(drop)?)
        };
        put().map_err(|error| self.unmade(&error))
    }

    /// Reads everything anew, and shows the events.
    pub(super) fn read_back(&self, see: &mut dyn FnMut(&str)) -> Result<All, NotDone> {
        let accounts = self.accounts.as_ref().ok_or(io::ErrorKind::NotFound.into());
        let accounts = accounts.map_err(|error| self.unmade(&error))?;
        let sessions = self.users.with_file_name(SESSIONS);
        let whole = Whole::read(&accounts.path(), &sessions)?;
        let mails = mails(&self.users, &mut Vec::new());
        let mails = mails.map_err(|error| no_file(&self.users.with_file_name(OUTBOX), &error))?;
        each_event(&self.users, see)?;
        Ok(All { whole, mails })
    }

    /// Puts the accounts in the place of the mark.
    pub(super) fn finish(&mut self) -> Result<(), NotDone> {
        let Some(draft) = self.accounts.take() else {
            return Ok(());
        };
        let put = draft.put(&self.users).map(drop).map_err(io::Error::from);
        put.map_err(|error| self.unmade(&error))
    }

    fn unmade(&self, error: &io::Error) -> NotDone {
        not_saved(
            format_args!("cannot copy to {:?}: {error}", self.users),
            "see to the disk and the rights of that folder, and run auth_user store copy again, \
             which begins anew",
        )
    }
}

/// How drafts begin that are left by a copy that was killed.
const DRAFT: &str = ".copy.";

fn draft_in(folder: &Folder) -> io::Result<Draft> {
    let name = format!("{DRAFT}{:016x}", u64::from_ne_bytes(token::random()));
    let draft = Draft::create_in(folder, name.as_ref(), 0o600)?;
    owner::hand_to_owner_of(folder, draft.file())?;
    Ok(draft)
}

fn write_mail(outbox: &Folder, mail: &KeptMail) -> io::Result<()> {
    let draft = draft_in(outbox)?;
    draft.file().write_all(&mail.text)?;
    // By that it is known how old it is.
    let at = UNIX_EPOCH + Duration::from_secs(mail.at);
    draft.file().set_modified(at)?;
    draft.sync()?;
    draft.put_anew(Path::new(&format!("{}{MAIL}", mail.name)))?;
    Ok(())
}

/// Removes what a copy has left that was broken off, but for the mark.
fn clear(directory: &Path) -> io::Result<()> {
    let folder = Folder::open(directory)?;
    let is_draft = |name: &OsString| name.as_encoded_bytes().starts_with(DRAFT.as_bytes());
    match folder.enter(OsStr::new(OUTBOX), Links::Refused) {
        Ok(outbox) => {
            let is_mail = |name: &OsString| name.as_encoded_bytes().ends_with(MAIL.as_bytes());
            for name in outbox
                .names()?
                .iter()
                .filter(|name| is_draft(name) || is_mail(name))
            {
                outbox.remove(name)?;
            }
            folder.remove_folder(OsStr::new(OUTBOX))?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    for name in folder.names()? {
        if is_draft(&name) || name == SESSIONS || name == EVENTS {
            folder.remove(&name)?;
        }
    }
    Ok(())
}
