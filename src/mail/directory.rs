//! The outbox as a directory, with one file per mail. It may be shared with other processes.

use std::ffi::OsStr;
use std::fmt::{self, Display};
use std::io::{self, Error, ErrorKind, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::warn;

use crate::clock::Clock;
use crate::durable::{self, Failure, directory_of};
use crate::folder::Folder;
use crate::log;
use crate::mail::MAX_OTHERS;
use crate::owner;
use crate::rights;

/// The directory of waiting mail.
pub(super) struct Directory {
    pub(super) path: PathBuf,
    /// Whether this process looks after the directory: takes rights away and clears drafts up. A
    /// command only adds to it.
    is_keeper: bool,
}

/// A mail that is on disk but not posted yet. One that is dropped is removed.
pub(super) struct Draft {
    draft: durable::Draft,
    path: PathBuf,
}

impl Directory {
    /// Opens the directory, making it if there is none, and looks after it; gives how many mails wait
    /// there.
    ///
    /// # Errors
    ///
    /// Whatever the disk says, and if it is no directory.
    pub(super) fn keep(path: PathBuf) -> io::Result<(Self, usize)> {
        let folder = open_or_make(&path)?;
        close_to_others(&folder)?;
        remove_drafts(&folder)?;
        let waiting = waiting(&folder)?;
        let is_keeper = true;
        Ok((Self { path, is_keeper }, waiting))
    }

    /// A directory that somebody else looks after, to add to. It is made if there is none; gives
    /// whether it was.
    ///
    /// # Errors
    ///
    /// As [`Directory::keep`]; also if it is a link and root runs the command.
    pub(super) fn add_to(path: PathBuf) -> io::Result<(Self, bool)> {
        let is_new = path.symlink_metadata().is_err();
        open_or_make(&path)?;
        let is_keeper = false;
        Ok((Self { path, is_keeper }, is_new))
    }

    /// Removes it, if nothing is in it.
    pub(super) fn unmake(&self) {
        // Only an empty one goes: somebody else may have found a use for it.
        if let (Ok(parent), Some(name)) = (
            Folder::open(directory_of(&self.path)),
            self.path.file_name(),
        ) {
            let _ = parent.remove_folder(name);
        }
    }

    /// Begins a mail of this name if fewer than `room` wait.
    ///
    /// # Errors
    ///
    /// `QuotaExceeded` if there is no room, and any error of the disk.
    pub(super) fn draft(&self, name: &str, room: usize) -> io::Result<Draft> {
        // An operator may have removed the directory with everything in it.
        let folder = open_or_make(&self.path)?;
        // Or they may have let others look into it since the last mail.
        if self.is_keeper {
            close_to_others(&folder)?;
        }
        if waiting(&folder)? >= room {
            return Err(super::is_full());
        }
        let draft = durable::Draft::create_in(&folder, format!(".{name}{DRAFT}").as_ref(), 0o600)?;
        owner::hand_to_owner_of(&folder, draft.file())?;
        let path = self.path.join(format!("{name}.eml"));
        Ok(Draft { draft, path })
    }

    /// How many mails wait; `None` if that cannot be found out.
    pub(super) fn count(&self) -> Option<usize> {
        match Folder::open(&self.path).and_then(|folder| waiting(&folder)) {
            Ok(count) => Some(count),
            // Nothing waits in an outbox that is not there.
            Err(error) if error.kind() == ErrorKind::NotFound => Some(0),
            Err(_) => None,
        }
    }
}

impl Draft {
    /// Writes the text, and gives the file its name; gives its path.
    ///
    /// # Errors
    ///
    /// Any error of the disk; then nothing was posted. It is not an error if the file is in place
    /// but might not survive a power cut.
    pub(super) fn put(self, text: &[u8]) -> io::Result<PathBuf> {
        let Self { draft, path } = self;
        draft.file().write_all(text)?;
        draft.sync()?;
        match draft.put(&path) {
            Ok(_) => {}
            Err(Failure::Before(error)) => return Err(error),
            Err(Failure::After(error)) => {
                warn!(file = log::path(&path), %error, "a mail might not survive a power cut");
            }
        }
        Ok(path)
    }
}

/// Looks whether the outbox at `dir` could be opened, and says in the log if others can get at it.
/// One that is not there yet is made at start. Changes nothing.
///
/// # Errors
///
/// The directory cannot be made, is none, or cannot be used.
pub fn look(dir: &Path) -> Result<(), StartupProblem> {
    let problem = |cause| StartupProblem::new(dir, cause);
    match dir.metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound && !dir.is_symlink() => Ok(()),
        Err(error) => Err(problem(error)),
        Ok(found) if !found.is_dir() => Err(problem(no_directory())),
        Ok(_) => {
            let folder = Folder::open(dir).map_err(problem)?;
            rights::tell(folder.handle(), dir);
            folder.names().map(drop).map_err(problem)
        }
    }
}

fn no_directory() -> Error {
    Error::new(ErrorKind::NotADirectory, "it is not a directory")
}

/// Why the outbox could not be opened, for the operator.
#[derive(Debug)]
pub struct StartupProblem {
    dir: PathBuf,
    cause: Error,
}

impl StartupProblem {
    pub(super) fn new(dir: &Path, cause: Error) -> Self {
        Self {
            dir: dir.to_owned(),
            cause,
        }
    }

    /// What the operator can do about it.
    pub fn hint(&self) -> &'static str {
        "it lies beside the users file; make it a directory this program may write to"
    }
}

impl Display for StartupProblem {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "cannot open the outbox {:?}: {}", self.dir, self.cause)
    }
}

/// Opens the directory, and makes it if there is none, for the owner alone. An existing one is left
/// as it is.
pub(super) fn open_or_make(dir: &Path) -> io::Result<Folder> {
    let parent = Folder::open(directory_of(dir))?;
    let name = dir.file_name().unwrap_or_default();
    match parent.make(name) {
        Ok(made) => {
            owner::hand_to_owner_of(&parent, made.handle())?;
            parent.handle().sync_all()?;
            Ok(made)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            parent.enter(name, owner::links())
        }
        Err(error) => Err(error),
    }
}

/// Mails hold passwords, so the directory and the files in it are for the owner alone.
fn close_to_others(folder: &Folder) -> io::Result<()> {
    rights::close(folder.handle(), folder.path());
    for name in folder.names()? {
        // Skips links, which could lead elsewhere, and pipes, which could keep us waiting. A file
        // that is gone, or that cannot be looked at, is skipped too.
        let is_open = folder
            .look(&name)
            .is_ok_and(|found| found.st_mode & 0o077 != 0);
        if is_open
            && let Ok(file) = folder.read(&name)
            // One that has another name too may not be a mail.
            && file.metadata().is_ok_and(|found| found.nlink() == 1)
        {
            rights::close(&file, &folder.path().join(&name));
        }
    }
    Ok(())
}

/// Removes drafts that a killed process left behind.
fn remove_drafts(folder: &Folder) -> io::Result<()> {
    let now = Clock::start().now().wall;
    for name in folder.names()? {
        if !has_ending(&name, DRAFT) {
            continue;
        }
        let Ok(made) = folder.look(&name) else {
            continue;
        };
        let made = u64::try_from(made.st_mtime).unwrap_or(0);
        if now.saturating_sub(made) >= DRAFT_AGE.as_secs() {
            // Another process may have removed it first; a draft that stays does no harm.
            let _ = folder.remove(&name);
        }
    }
    Ok(())
}

/// How many more mails the outbox at `dir` takes, besides new passwords.
///
/// # Errors
///
/// If it cannot be read, or is a link and root runs a command.
pub fn room(dir: &Path) -> Result<usize, StartupProblem> {
    let count = || -> io::Result<usize> {
        let parent = Folder::open(directory_of(dir))?;
        match parent.enter(dir.file_name().unwrap_or_default(), owner::links()) {
            Ok(folder) => waiting(&folder),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    };
    let waiting = count().map_err(|cause| StartupProblem::new(dir, cause))?;
    Ok(MAX_OTHERS.saturating_sub(waiting))
}

fn waiting(folder: &Folder) -> io::Result<usize> {
    let names = folder.names()?;
    Ok(names.iter().filter(|name| has_ending(name, ".eml")).count())
}

pub(super) fn has_ending(file: impl AsRef<OsStr>, ending: &str) -> bool {
    let name = file.as_ref().as_encoded_bytes();
    name.ends_with(ending.as_bytes())
}

/// The ending of a file that is being written; not `.eml`, so nobody takes it for a mail.
const DRAFT: &str = ".draft";

/// No writer needs that long, so an older draft is not one that another process is writing.
const DRAFT_AGE: Duration = Duration::from_secs(10 * 60);
