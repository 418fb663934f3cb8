//! Mail: the outbox, a directory with one file per mail, and the thread that empties it over SMTP.
//!
//! A mail is on disk before [`Outbox::post`] returns, and whoever posts one never waits for a mail
//! server. Without SMTP, the files are left to the operator. A file leaves the directory when the
//! mail server has accepted it; one that cannot be sent is renamed to `.failed`. Operators may add
//! and delete files at any time. No log line holds a body, a password or the SMTP credentials.

use std::fmt::{self, Display};
use std::fs::{self, Permissions};
use std::io::{self, Error, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rand::TryRng as _;
use rand::rngs::SysRng;
use tracing::{info, warn};

use crate::clock::Clock;
use crate::durable::{self, Failure, sync_directory_of};
use crate::log;
use crate::owner::{self, Folder};
use crate::rights;

mod courier;
mod letter;
mod notices;
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
    /// The folder, if root holds it for a command: it is not led elsewhere.
    held: Option<Folder>,
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

    /// As [`Outbox::open`], for a command, which sends nothing itself and which root may run in a
    /// folder of somebody else. Also gives whether the outbox was made for it.
    ///
    /// # Errors
    ///
    /// As [`Outbox::open`], and if it is a link and this is root.
    pub fn of_command(dir: PathBuf, from: Sender) -> Result<(Self, bool), StartupProblem> {
        let problem = |cause| StartupProblem::new(&dir, cause);
        let is_new = fs::symlink_metadata(&dir).is_err();
        if is_new {
            make_directory(&dir).map_err(problem)?;
        }
        let held = Folder::within(&dir).map_err(problem)?;
        let outbox = Self::open_with(held.path().to_owned(), from, None)?;
        let held = Some(held);
        Ok((Self { held, ..outbox }, is_new))
    }

    /// Removes an outbox that was made for mails which are not sent after all.
    pub fn unmake(self) {
        // Only an empty one goes: somebody else may have found a use for it.
        let dir = match &self.held {
            Some(held) => fs::canonicalize(held.path()).ok(),
            None => None,
        };
        let _ = fs::remove_dir(dir.as_deref().unwrap_or(&self.dir));
    }

    fn open_with(
        dir: PathBuf,
        from: Sender,
        delivery: Option<(SmtpUrl, Schedule)>,
    ) -> Result<Self, StartupProblem> {
        let problem = |cause| StartupProblem::new(&dir, cause);
        make_directory(&dir).map_err(problem)?;
        close_to_others(&dir).map_err(problem)?;
        remove_drafts(&dir).map_err(problem)?;

        let courier = delivery
            .map(|(url, schedule)| Courier::start(dir.clone(), url, schedule))
            .transpose()
            .map_err(problem)?;
        Ok(Self {
            dir,
            from,
            courier,
            held: None,
        })
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
        // An operator may have removed the directory with everything in it.
        make_directory(&self.dir)?;
        // Or they may have let others look into it since the last mail.
        close_to_others(&self.dir)?;
        let room = if mail.reserved {
            MAX_WAITING
        } else {
            MAX_OTHERS
        };
        if waiting(&self.dir)? >= room {
            return Err(Error::new(ErrorKind::QuotaExceeded, "the outbox is full"));
        }

        let id = random_id()?;
        let text = letter::compose(&self.from, mail, &id)?;
        let draft = durable::Draft::create(self.dir.join(format!(".{id}{DRAFT}")), 0o600)?;
        // In a sorted listing the oldest comes first.
        let path = self.dir.join(format!("{:010}-{id}.eml", mail.at.wall));
        owner::hand_over(draft.file(), &path)?;
        Ok(Draft { draft, path, text })
    }

    /// Turns a draft into a mail that waits to be sent, and returns its path.
    ///
    /// # Errors
    ///
    /// Any error of the disk; then nothing was posted. It is not an error if the file is in place
    /// but might not survive a power cut.
    pub fn send(&self, draft: Draft) -> io::Result<PathBuf> {
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

        match &self.courier {
            Some(courier) => courier.wake(),
            None => info!(file = log::path(&path), "a mail waits to be sent by hand"),
        }
        Ok(path)
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
    match fs::metadata(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound && !dir.is_symlink() => Ok(()),
        Err(error) => Err(problem(error)),
        Ok(found) if !found.is_dir() => Err(problem(no_directory())),
        Ok(_) => {
            rights::tell(&fs::File::open(dir).map_err(problem)?, dir);
            fs::read_dir(dir).map(drop).map_err(problem)
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

/// Makes the directory, for the owner alone, whatever the umask. An existing one is left as it is.
fn make_directory(dir: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => {
            fs::set_permissions(dir, Permissions::from_mode(0o700))?;
            owner::hand_over(&fs::File::open(dir)?, dir)?;
            sync_directory_of(dir)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => match dir.is_dir() {
            true => Ok(()),
            false => Err(no_directory()),
        },
        Err(error) => Err(error),
    }
}

/// Mails hold passwords, so the directory and the files in it are for the owner alone.
fn close_to_others(dir: &Path) -> io::Result<()> {
    rights::close(&fs::File::open(dir)?, dir);
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        // Skips links, which could lead elsewhere, and pipes, which could keep us waiting. A file
        // that is gone, or that cannot be looked at, is skipped too.
        let open = fs::symlink_metadata(&path)
            .is_ok_and(|metadata| metadata.is_file() && rights::are_open(&metadata));
        if open && let Ok(file) = fs::File::open(&path) {
            rights::close(&file, &path);
        }
    }
    Ok(())
}

/// Removes drafts that a killed process left behind.
fn remove_drafts(dir: &Path) -> io::Result<()> {
    let now = Clock::start().now().wall;
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if !has_ending(&path, DRAFT) {
            continue;
        }
        let Ok(made) = fs::symlink_metadata(&path) else {
            continue;
        };
        let made = u64::try_from(made.mtime()).unwrap_or(0);
        if now.saturating_sub(made) >= DRAFT_AGE.as_secs() {
            // Another process may have removed it first; a draft that stays does no harm.
            let _ = fs::remove_file(&path);
        }
    }
    Ok(())
}

/// How many more mails the outbox at `dir` takes, besides new passwords.
///
/// # Errors
///
/// If it cannot be read.
pub fn room(dir: &Path) -> io::Result<usize> {
    match waiting(dir) {
        Ok(waiting) => Ok(MAX_OTHERS.saturating_sub(waiting)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(MAX_OTHERS),
        Err(error) => Err(error),
    }
}

fn waiting(dir: &Path) -> io::Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir(dir)? {
        count += usize::from(has_ending(&entry?.path(), ".eml"));
    }
    Ok(count)
}

fn has_ending(path: &Path, ending: &str) -> bool {
    path.file_name()
        .is_some_and(|name| name.as_encoded_bytes().ends_with(ending.as_bytes()))
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
