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
use crate::operator::backup::NotDone;
use crate::store::Whole;
use crate::store::postgres::{KeptMail, Refusal, Side, Url};

mod files;

use files::{Source, Target};

/// Events that are written at once.
const AT_ONCE: usize = 2_000;

/// A store to copy from, or to.
pub enum Place<'a> {
    /// The accounts file.
    Files(PathBuf),
    Database {
        url: Url,
        /// The file with the key that seals its secrets.
        key: &'a Path,
    },
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
pub fn copy(from: &Place<'_>, to: &Place<'_>) -> Result<Done, NotDone> {
    let clock = Clock::start();
    let mut to = To::open(to, &clock)?;
    let mut from = From::open(from, &clock)?;
    let all = from.read()?;
    to.begin()?;
    to.write(&all)?;
    let mut events = Sum::default();
    let mut some = Vec::with_capacity(AT_ONCE);
    let mut failed = None;
    from.events(&mut |line| {
        if failed.is_some() {
            return;
        }
        events.add(line);
        some.push(line.to_owned());
        if some.len() == AT_ONCE {
            failed = to.write_events(&some).err();
            some.clear();
        }
    })?;
    failed.map_or(Ok(()), Err)?;
    to.write_events(&some)?;
    to.end_of_events()?;
    if !to.holds(&all, &events)? {
        return Err(differs());
    }
    to.finish()?;
    let [accounts, sessions, invitations] = all.whole.counts();
    Ok(Done {
        copied: Copied {
            accounts,
            sessions,
            invitations,
            mails: all.mails.len(),
            events: events.count,
        },
        left_out: from.left_out(),
        path: to.path(),
    })
}

/// What is copied at once. Events may be many, and follow one by one.
struct All {
    whole: Whole,
    mails: Vec<KeptMail>,
}

impl All {
    fn is_same(&self, other: &Self) -> bool {
        self.mails == other.mails && self.whole.is_same(&other.whole)
    }
}

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
    fn open(place: &Place<'_>, clock: &Clock) -> Result<Self, NotDone> {
        Ok(match place {
            Place::Files(users) => Self::Files(Source::new(users)),
            Place::Database { url, key } => Self::Database(Side::from(url, key, clock)?),
        })
    }

    fn read(&mut self) -> Result<All, NotDone> {
        match self {
            Self::Files(source) => source.read(),
            Self::Database(side) => {
                side.begin_reading()?;
                Ok(read(side)?)
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

    fn left_out(self) -> Vec<String> {
        match self {
            Self::Files(source) => source.left_out,
            Self::Database(_) => Vec::new(),
        }
    }
}

fn read(side: &mut Side) -> Result<All, Refusal> {
    Ok(All {
        whole: side.whole()?,
        mails: side.mails()?,
    })
}

/// Where it goes.
enum To {
    Files(Target),
    Database(Side),
}

impl To {
    /// Changes nothing yet.
    fn open(place: &Place<'_>, clock: &Clock) -> Result<Self, NotDone> {
        Ok(match place {
            Place::Files(users) => Self::Files(Target::new(users)?),
            Place::Database { url, key } => Self::Database(Side::to(url, key, clock)?),
        })
    }

    /// Marks the place as one that is not whole.
    fn begin(&mut self) -> Result<(), NotDone> {
        match self {
            Self::Files(target) => target.begin(),
            Self::Database(side) => Ok(side.begin_writing()?),
        }
    }

    fn write(&mut self, all: &All) -> Result<(), NotDone> {
        match self {
            Self::Files(target) => target.write(all),
            Self::Database(side) => {
                side.write(&all.whole)?;
                Ok(side.write_mails(&all.mails)?)
            }
        }
    }

    fn write_events(&mut self, lines: &[String]) -> Result<(), NotDone> {
        match self {
            Self::Files(target) => target.write_events(lines),
            Self::Database(side) => {
                let rows = lines.iter().filter_map(|line| events::row_of(line));
                let rows: Vec<_> = rows.collect();
                Ok(side.write_events(&rows)?)
            }
        }
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
                let read = read(side)?;
                side.events(&mut see)?;
                side.end_reading()?;
                read
            }
        };
        Ok(all.is_same(&read) && events.is_same(&found))
    }

    /// Lets nodes have it.
    fn finish(&mut self) -> Result<(), NotDone> {
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
    let what = "what was read back is not what was copied: another program writes there too";
    not_saved(
        what,
        "stop what else runs there, and run auth_user store copy again, which begins anew",
    )
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
