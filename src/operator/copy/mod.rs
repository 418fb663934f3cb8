//! Copies of everything: from files to a database, back, and from one of either kind to another.
//!
//! What is copied is of one moment. It is written to where nothing is yet, read back and compared;
//! until that is done nobody takes what is there for the whole.

use std::fmt::Display;
use std::hash::{DefaultHasher, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};

use crate::clock::Clock;
use crate::events;
use crate::operator::backup::{NotDone, Told};
use crate::store::Whole;
use crate::store::postgres::{KeptMail, Patience, Refusal, Side, Url};

mod files;

pub(super) use files::{MOST_OF_MAIL, kept_mail};
use files::{Source, Target};

/// Events that are written at once.
const AT_ONCE: usize = 2_000;

/// A store to copy from, or to.
pub enum Place {
    /// The accounts file.
    Files(PathBuf),
    Database(Access),
}

/// What opens a database.
///
/// No `Debug`: the URL may have a password.
pub struct Access {
    pub url: Url,
    /// The file with the key that seals its secrets.
    pub key: PathBuf,
}

impl Access {
    /// The database to copy from.
    ///
    /// # Errors
    ///
    /// If it cannot be used.
    pub(super) fn from(&self, clock: &Clock, patience: Patience) -> Result<Side, Refusal> {
        Side::from(&self.url, &self.key, clock, patience)
    }

    /// The database to copy to, of which nothing is changed yet.
    ///
    /// # Errors
    ///
    /// If it cannot be used, or is not empty.
    pub(super) fn to(&self, clock: &Clock, patience: Patience) -> Result<Side, Refusal> {
        Side::to(&self.url, &self.key, clock, patience)
    }
}

/// How many of each were copied.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Copied {
    pub accounts: usize,
    pub sessions: usize,
    pub invitations: usize,
    pub mails: usize,
    pub events: usize,
}

/// What was copied, and what could not be.
pub struct Done {
    pub copied: Copied,
    /// What lies in the outbox and is no mail that can be sent.
    pub left_out: Vec<String>,
    /// What was made, if it is files.
    pub path: Option<PathBuf>,
}

/// Copies all that is in one place to another.
///
/// # Errors
///
/// [`NotDone`]. If the place to copy to was not fit, it is as it was.
pub fn copy(from: &Place, to: &Place, told: Told<'_>) -> Result<Done, NotDone> {
    let clock = Clock::start();
    let mut to = To::open(to, &clock)?;
    let mut from = From::open(from, &clock)?;
    let all = from.read()?;
    let total = all.size() + from.size_of_events()?;
    let mut done = 0;
    let mut told = |more| {
        done += more;
        told(done.min(total), total);
    };
    to.begin()?;
    let events = to.fill(&all, &mut |see| from.events(see), &mut told)?;
    to.finish()?;
    let [accounts, sessions, invitations] = all.whole.counts();
    Ok(Done {
        copied: Copied {
            accounts,
            sessions,
            invitations,
            mails: all.mails.len(),
            events,
        },
        left_out: from.left_out(),
        path: to.path(),
    })
}

/// What is copied at once. Events may be many, and follow one by one.
pub(super) struct All {
    pub(super) whole: Whole,
    pub(super) mails: Vec<KeptMail>,
}

impl All {
    /// All that a database has, within a transaction.
    ///
    /// # Errors
    ///
    /// If some of it cannot be read.
    pub(super) fn of(side: &mut Side) -> Result<Self, NotDone> {
        Ok(Self {
            whole: side.whole()?,
            mails: side.mails()?,
        })
    }

    fn is_same(&self, other: &Self) -> bool {
        self.mails == other.mails && self.whole.is_same(&other.whole)
    }

    fn size(&self) -> u64 {
        let mails = self.mails.iter().map(|mail| size(&mail.text));
        self.whole.size() + mails.sum::<u64>()
    }
}

fn size(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// What shows each event to somebody.
pub(super) type Shows<'a> = &'a mut dyn FnMut(&mut dyn FnMut(&str)) -> Result<(), NotDone>;

/// What events are, in short.
#[derive(Default)]
struct Sum {
    count: usize,
    hash: DefaultHasher,
}

impl Sum {
    fn add(&mut self, line: &str) {
        self.count += 1;
        self.hash.write(line.as_bytes());
        self.hash.write_u8(b'\n');
    }

    fn is_same(&self, other: &Self) -> bool {
        (self.count, self.hash.finish()) == (other.count, other.hash.finish())
    }
}

/// Where it comes from.
enum From {
    Files(Source),
    Database(Side),
}

impl From {
    fn open(place: &Place, clock: &Clock) -> Result<Self, NotDone> {
        Ok(match place {
            Place::Files(users) => Self::Files(Source::new(users)),
            Place::Database(access) => Self::Database(access.from(clock, Patience::Long)?),
        })
    }

    fn read(&mut self) -> Result<All, NotDone> {
        match self {
            Self::Files(source) => source.read(),
            Self::Database(side) => {
                side.begin_reading()?;
                All::of(side)
            }
        }
    }

    /// Shows the events of the same moment.
    fn events(&mut self, see: &mut dyn FnMut(&str)) -> Result<(), NotDone> {
        match self {
            Self::Files(source) => source.events(see),
            Self::Database(side) => {
                side.events(see)?;
                Ok(side.end_reading()?)
            }
        }
    }

    /// How many bytes they have.
    fn size_of_events(&mut self) -> Result<u64, NotDone> {
        match self {
            Self::Files(source) => Ok(source.size_of_events()),
            Self::Database(side) => Ok(side.size_of_events()?),
        }
    }

    fn left_out(self) -> Vec<String> {
        match self {
            Self::Files(source) => source.left_out,
            Self::Database(_) => Vec::new(),
        }
    }
}

/// Where it goes.
pub(super) enum To {
    Files(Target),
    Database(Side),
}

impl To {
    /// Changes nothing yet.
    fn open(place: &Place, clock: &Clock) -> Result<Self, NotDone> {
        Ok(match place {
            Place::Files(users) => Self::Files(Target::new(users)?),
            Place::Database(access) => Self::Database(access.to(clock, Patience::Long)?),
        })
    }

    /// Marks the place as one that is not whole.
    pub(super) fn begin(&mut self) -> Result<(), NotDone> {
        match self {
            Self::Files(target) => target.begin(),
            Self::Database(side) => Ok(side.begin_writing()?),
        }
    }

    /// Writes all of it, and the events that are shown; tells how many bytes more are there, and
    /// gives how many events there were. All is read back then.
    ///
    /// # Errors
    ///
    /// Also if what is read back is something else.
    pub(super) fn fill(
        &mut self,
        all: &All,
        show: Shows<'_>,
        told: &mut dyn FnMut(u64),
    ) -> Result<usize, NotDone> {
        self.write(all, told)?;
        let mut events = Sum::default();
        let mut some = Vec::with_capacity(AT_ONCE);
        let mut failed = None;
        show(&mut |line| {
            if failed.is_some() {
                return;
            }
            events.add(line);
            some.push(line.to_owned());
            if some.len() == AT_ONCE {
                failed = self.write_events(&some, told).err();
                some.clear();
            }
        })?;
        failed.map_or(Ok(()), Err)?;
        self.write_events(&some, told)?;
        self.end_of_events()?;
        match self.holds(all, &events)? {
            true => Ok(events.count),
            false => Err(differs()),
        }
    }

    fn write(&mut self, all: &All, told: &mut dyn FnMut(u64)) -> Result<(), NotDone> {
        match self {
            Self::Files(target) => {
                target.write(all)?;
                told(all.size());
            }
            Self::Database(side) => {
                side.write(&all.whole, told)?;
                side.write_mails(&all.mails)?;
                told(all.mails.iter().map(|mail| size(&mail.text)).sum());
            }
        }
        Ok(())
    }

    fn write_events(&mut self, lines: &[String], told: &mut dyn FnMut(u64)) -> Result<(), NotDone> {
        match self {
            Self::Files(target) => target.write_events(lines)?,
            Self::Database(side) => {
                let rows = lines.iter().filter_map(|line| events::row_of(line));
                let rows: Vec<_> = rows.collect();
                side.write_events(&rows)?;
            }
        }
        told(lines.iter().map(|line| size(line.as_bytes()) + 1).sum());
        Ok(())
    }

    fn end_of_events(&mut self) -> Result<(), NotDone> {
        match self {
            Self::Files(target) => target.end_of_events(),
            Self::Database(_) => Ok(()),
        }
    }

    /// Whether all of it is there, read anew.
    fn holds(&mut self, all: &All, events: &Sum) -> Result<bool, NotDone> {
        let mut found = Sum::default();
        let mut see = |line: &str| found.add(line);
        let read = match self {
            Self::Files(target) => target.read_back(&mut see)?,
            Self::Database(side) => {
                side.begin_reading()?;
                let read = All::of(side)?;
                side.events(&mut see)?;
                side.end_reading()?;
                read
            }
        };
        Ok(all.is_same(&read) && events.is_same(&found))
    }

    /// Lets nodes have it.
    pub(super) fn finish(&mut self) -> Result<(), NotDone> {
        match self {
            Self::Files(target) => target.finish(),
            Self::Database(side) => Ok(side.finish()?),
        }
    }

    fn path(self) -> Option<PathBuf> {
        match self {
            Self::Files(target) => Some(target.users),
            Self::Database(_) => None,
        }
    }
}

fn differs() -> NotDone {
    let what = "cannot copy: what was read back is not what was copied, since another program writes \
                there too";
    let hint = "stop what else runs there, and try again, which begins anew";
    not_saved(what, hint)
}

fn not_saved(what: impl Display, hint: impl Display) -> NotDone {
    NotDone {
        code: "not_saved",
        what: what.to_string(),
        hint: Some(hint.to_string()),
    }
}

fn no_file(path: &Path, error: &io::Error) -> NotDone {
    NotDone {
        code: "no_file",
        what: format!("cannot read {path:?}: {error}"),
        hint: Some("let the user this runs as read it, with chown or chmod".to_owned()),
    }
}

impl std::convert::From<Refusal> for NotDone {
    fn from(refusal: Refusal) -> Self {
        not_saved(&refusal, refusal.hint())
    }
}
