//! Mail: the outbox, a directory with one file per mail, and the thread that empties it over SMTP.
//!
//! A mail is on disk before [`Outbox::post`] returns, and whoever posts one never waits for a mail
//! server. Without SMTP, the files are left to the operator. A file leaves the directory when the
//! mail server has accepted it; one that cannot be sent is renamed to `.failed`. Operators may add
//! and delete files at any time. No log line holds a body, a password or the SMTP credentials.

use std::ffi::OsStr;
use std::fmt::{self, Display};
use std::io::{self, Error, ErrorKind, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rand::TryRng as _;
use rand::rngs::SysRng;
use tracing::{info, warn};

use crate::clock::Clock;
use crate::durable::{self, Failure, directory_of};
use crate::folder::Folder;
use crate::log;
use crate::metrics;
use crate::owner;
use crate::rights;

mod courier;
mod letter;
mod notices;
mod passkeys;
mod round;
mod smtp;
mod smtp_url;
mod texts;

pub use letter::Sender;
pub use notices::{Edit, Notice};
pub use smtp_url::{SmtpUrl, SmtpUrlError};
pub use texts::Mail;

use courier::{Courier, Schedule};

/// The directory of waiting mail. It may be shared with other processes.
///
/// No `Debug`: it holds the SMTP password.
pub struct Outbox {
    dir: PathBuf,
    from: Sender,
    courier: Option<Courier>,
    /// Whether this process looks after the directory: takes rights away and clears drafts up. A
    /// command only adds to it.
    is_keeper: bool,
    /// How many mails wait, as far as that is known.
    waiting: AtomicUsize,
}

impl Outbox {
    /// Opens the outbox, making the directory if there is none, and starts sending what waits in
    /// it if `delivery` names a mail server.
    ///
    /// It may send at once, so call it at the end of the start, when nothing else can fail.
    pub fn open(
        dir: PathBuf,
        from: Sender,
        delivery: Option<SmtpUrl>,
    ) -> Result<Self, StartupProblem> {
        Self::open_with(dir, from, delivery.map(|url| (url, Schedule::patient())))
    }

    fn open_with(
        dir: PathBuf,
        from: Sender,
        delivery: Option<(SmtpUrl, Schedule)>,
    ) -> Result<Self, StartupProblem> {
        let problem = |cause| StartupProblem::new(&dir, cause);
        let folder = open_or_make(&dir).map_err(problem)?;
        close_to_others(&folder).map_err(problem)?;
        remove_drafts(&folder).map_err(problem)?;
        let waiting = AtomicUsize::new(waiting(&folder).map_err(problem)?);

        let courier = delivery
            .map(|(url, schedule)| Courier::start(dir.clone(), url, schedule))
            .transpose()
            .map_err(problem)?;
        Ok(Self {
            dir,
            from,
            courier,
            is_keeper: true,
            waiting,
        })
    }

    /// The outbox of a server that runs elsewhere, if any, for a command to add mails to. Makes the
    /// directory if there is none, and gives whether it did.
    ///
    /// # Errors
    ///
    /// As [`Outbox::open`]; also if the directory is a link and root runs the command.
    pub fn of_command(dir: PathBuf, from: Sender) -> Result<(Self, bool), StartupProblem> {
        let is_new = dir.symlink_metadata().is_err();
        open_or_make(&dir).map_err(|cause| StartupProblem::new(&dir, cause))?;
        let outbox = Self {
            dir,
            from,
            courier: None,
            is_keeper: false,
            waiting: AtomicUsize::new(0),
        };
        Ok((outbox, is_new))
    }

    /// Removes an outbox that was made for mails which are not sent after all.
    pub fn unmake(self) {
        // Only an empty one goes: somebody else may have found a use for it.
        if let (Ok(parent), Some(name)) =
            (Folder::open(directory_of(&self.dir)), self.dir.file_name())
        {
            let _ = parent.remove_folder(name);
        }
    }

    /// Puts a mail on disk and returns its path. This waits for the disk, never for a mail server.
    ///
    /// # Errors
    ///
    /// Those of [`Outbox::draft`] and [`Outbox::send`]. Then nothing was posted.
    pub fn post(&self, mail: &Mail) -> io::Result<PathBuf> {
        self.send(self.draft(mail)?)
    }

    /// Writes a mail to disk without posting it, so that the change it tells of can be saved before
    /// anybody reads it. A draft that is dropped is removed.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the recipient is not an address mail can be sent to, `QuotaExceeded` if
    /// [`MAX_WAITING`] mails wait, or [`MAX_OTHERS`] for anything but a new password, and any error
    /// of the disk.
    pub fn draft(&self, mail: &Mail) -> io::Result<Draft> {
        self.written(mail).inspect_err(|_| metrics::mail_failed())
    }

    fn written(&self, mail: &Mail) -> io::Result<Draft> {
        // An operator may have removed the directory with everything in it.
        let folder = open_or_make(&self.dir)?;
        // Or they may have let others look into it since the last mail.
        if self.is_keeper {
            close_to_others(&folder)?;
        }
        let room = if mail.reserved {
            MAX_WAITING
        } else {
            MAX_OTHERS
        };
        if waiting(&folder)? >= room {
            return Err(Error::new(ErrorKind::QuotaExceeded, "the outbox is full"));
        }

        let id = random_id()?;
        let text = letter::compose(&self.from, mail, &id)?;
        let name = format!(".{id}{DRAFT}");
        let draft = durable::Draft::create_in(&folder, name.as_ref(), 0o600)?;
        // In a sorted listing the oldest comes first.
        let path = self.dir.join(format!("{:010}-{id}.eml", mail.at.wall));
        owner::hand_to_owner_of(&folder, draft.file())?;
        Ok(Draft { draft, path, text })
    }

    /// Turns a draft into a mail that waits to be sent, and returns its path.
    ///
    /// # Errors
    ///
    /// Any error of the disk; then nothing was posted. It is not an error if the file is in place
    /// but might not survive a power cut.
    pub fn send(&self, draft: Draft) -> io::Result<PathBuf> {
        self.posted(draft).inspect_err(|_| metrics::mail_failed())
    }

    fn posted(&self, draft: Draft) -> io::Result<PathBuf> {
        let Draft { draft, path, text } = draft;
        draft.file().write_all(&text)?;
        draft.sync()?;
        match draft.put(&path) {
            Ok(_) => {}
            Err(Failure::Before(error)) => return Err(error),
            Err(Failure::After(error)) => {
                warn!(file = log::path(&path), %error, "a mail might not survive a power cut");
            }
        }

        self.waiting.fetch_add(1, Ordering::Relaxed);
        match &self.courier {
            Some(courier) => courier.wake(),
            None => info!(file = log::path(&path), "a mail waits to be sent by hand"),
        }
        Ok(path)
    }

    /// How many mails wait, as far as that is known without asking the disk.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Counts the mails that wait. Operators may add and delete some at any time.
    pub fn count(&self) {
        // Nothing waits in an outbox that is not there; what cannot be read is not known anew.
        match Folder::open(&self.dir).and_then(|folder| waiting(&folder)) {
            Ok(count) => self.waiting.store(count, Ordering::Relaxed),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.waiting.store(0, Ordering::Relaxed);
            }
            Err(_) => {}
        }
    }

    /// Stops sending after the mail that is being sent. Waits for that no longer than `patience`,
    /// and never longer than a few seconds. What was not sent stays in the directory for the next
    /// start.
    pub fn stop(&self, patience: Duration) {
        self.stop_within(patience.min(STOP_WAIT));
    }

    /// Whether the thread ended in time; true if there is none.
    fn stop_within(&self, patience: Duration) -> bool {
        match &self.courier {
            Some(courier) => courier.stop(patience),
            None => true,
        }
    }
}

/// A mail that is on disk but not posted yet.
///
/// No `Debug`: the text may hold a password.
pub struct Draft {
    draft: durable::Draft,
    path: PathBuf,
    text: Vec<u8>,
}

/// Looks whether the outbox at `dir` could be opened, and says in the log if others can get at it.
/// One that is not there yet is made at start. Changes nothing.
///
/// # Errors
///
/// As [`Outbox::open`].
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
    fn new(dir: &Path, cause: Error) -> Self {
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
fn open_or_make(dir: &Path) -> io::Result<Folder> {
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

fn has_ending(file: impl AsRef<OsStr>, ending: &str) -> bool {
    let name = file.as_ref().as_encoded_bytes();
    name.ends_with(ending.as_bytes())
}

fn random_id() -> io::Result<String> {
    let mut bytes = [0; 16];
    SysRng.try_fill_bytes(&mut bytes).map_err(Error::other)?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)))
}

/// Mails that may wait: days of them for a small site, and a few megabytes. Threads that post at
/// the same time may each exceed it by one.
pub const MAX_WAITING: usize = 1_000;

/// When this many wait, only new passwords are taken, so that an endless stream of other mail
/// leaves room for people who are locked out.
pub const MAX_OTHERS: usize = 750;

/// Supervisors wait about ten seconds before they kill, and requests in flight need part of that.
const STOP_WAIT: Duration = Duration::from_secs(5);

/// The ending of a file that is being written; not `.eml`, so nobody takes it for a mail.
const DRAFT: &str = ".draft";

/// No writer needs that long, so an older draft is not one that another process is writing.
const DRAFT_AGE: Duration = Duration::from_secs(10 * 60);

#[cfg(test)]
mod tests;
