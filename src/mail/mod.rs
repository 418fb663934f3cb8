//! Mail: the outbox, and the thread that empties it over SMTP. The outbox is a directory with one
//! file per mail, or a table of the database that accounts are in, with one row per mail.
//!
//! A mail is kept before [`Outbox::post`] returns, and whoever posts one never waits for a mail
//! server. Without SMTP, the files are left to the operator, and the rows to another node. A mail
//! leaves the outbox when the mail server has accepted it; one that cannot be sent is set aside.
//! Operators may add and delete files at any time. No log line holds a body, a password or the SMTP
//! credentials.

use std::io::{self, Error, ErrorKind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rand::TryRng as _;
use rand::rngs::SysRng;
use tracing::info;
use zeroize::Zeroizing;

use crate::clock::Clock;
use crate::log;
use crate::metrics;
use crate::store::KeptMail;
#[cfg(feature = "postgres")]
use crate::store::postgres::MailRows;

mod courier;
mod directory;
mod letter;
mod notices;
mod passkeys;
mod round;
#[cfg(feature = "postgres")]
mod rows;
mod server;
mod smtp;
mod smtp_url;
mod texts;

pub use directory::{StartupProblem, look, room};
pub use letter::Sender;
pub use notices::{Edit, Notice};
pub use smtp_url::{SmtpUrl, SmtpUrlError};
pub use texts::Mail;

use courier::{Courier, Schedule};
use directory::Directory;
use round::Rounds;
#[cfg(feature = "postgres")]
use rows::{RowRounds, Rows};

/// Mail that waits. It may be shared with other processes.
///
/// No `Debug`: it holds the SMTP password.
pub struct Outbox {
    kept: Kept,
    from: Sender,
    courier: Option<Courier>,
    /// How many mails wait, as far as that is known.
    waiting: AtomicUsize,
}

/// Writes a mail out as it is kept.
///
/// # Errors
///
/// `InvalidInput` if the recipient is not an address mail can be sent to.
pub(crate) fn letter(from: &Sender, mail: &Mail) -> io::Result<KeptMail> {
    let id = random_id()?;
    let text = letter::compose(from, mail, &id)?;
    Ok(KeptMail {
        // In a sorted listing the oldest comes first.
        name: format!("{:010}-{id}", mail.at.wall),
        at: mail.at.wall,
        text: Zeroizing::new(text),
    })
}

/// Where mail waits.
enum Kept {
    Files(Directory),
    #[cfg(feature = "postgres")]
    Rows(Rows),
}

impl Outbox {
    /// Opens the outbox at `dir`, making the directory if there is none, and starts sending what
    /// waits in it if `delivery` names a mail server.
    ///
    /// It may send at once, so call it at the end of the start, when nothing else can fail.
    ///
    /// # Errors
    ///
    /// If it cannot be used.
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
        let (directory, waiting) = Directory::keep(dir.clone()).map_err(problem)?;
        let courier = delivery
            .map(|(url, schedule)| {
                Courier::start(Rounds::new(dir.clone(), url, schedule, Clock::start()))
            })
            .transpose()
            .map_err(problem)?;
        Ok(Self {
            kept: Kept::Files(directory),
            from,
            courier,
            waiting: AtomicUsize::new(waiting),
        })
    }

    /// The outbox in a database, and starts sending what waits in it, for all nodes, if `delivery`
    /// names a mail server.
    ///
    /// # Errors
    ///
    /// If the system has no thread to give.
    #[cfg(feature = "postgres")]
    pub fn in_database(
        rows: MailRows,
        from: Sender,
        delivery: Option<SmtpUrl>,
    ) -> io::Result<Self> {
        Self::in_database_with(rows, from, delivery.map(|url| (url, Schedule::patient())))
    }

    #[cfg(feature = "postgres")]
    fn in_database_with(
        rows: MailRows,
        from: Sender,
        delivery: Option<(SmtpUrl, Schedule)>,
    ) -> io::Result<Self> {
        let courier = delivery
            .map(|(url, schedule)| {
                Courier::start(RowRounds::new(rows.clone(), url, schedule, Clock::start()))
            })
            .transpose()?;
        Ok(Self {
            kept: Kept::Rows(Rows::new(rows)),
            from,
            courier,
            waiting: AtomicUsize::new(0),
        })
    }

    /// The outbox of a server that runs elsewhere, if any, for a command to add mails to. Makes the
    /// directory if there is none, and gives whether it did.
    ///
    /// # Errors
    ///
    /// As [`Outbox::open`]; also if the directory is a link and root runs the command.
    pub fn of_command(dir: PathBuf, from: Sender) -> Result<(Self, bool), StartupProblem> {
        let (directory, is_new) =
            Directory::add_to(dir.clone()).map_err(|cause| StartupProblem::new(&dir, cause))?;
        let outbox = Self {
            kept: Kept::Files(directory),
            from,
            courier: None,
            waiting: AtomicUsize::new(0),
        };
        Ok((outbox, is_new))
    }

    /// Removes an outbox that was made for mails which are not sent after all.
    pub fn unmake(self) {
        match self.kept {
            Kept::Files(directory) => directory.unmake(),
            #[cfg(feature = "postgres")]
            Kept::Rows(_) => {}
        }
    }

    /// Keeps a mail to be sent, and returns its path; `None` if it is in a database. This waits for
    /// the disk, never for a mail server.
    ///
    /// # Errors
    ///
    /// Those of [`Outbox::draft`] and [`Outbox::send`]. Then nothing was posted.
    pub fn post(&self, mail: &Mail) -> io::Result<Option<PathBuf>> {
        self.send(self.draft(mail)?)
    }

    /// Writes a mail without posting it, so that the change it tells of can be saved before anybody
    /// reads it. A draft that is dropped is removed.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the recipient is not an address mail can be sent to, `QuotaExceeded` if
    /// [`MAX_WAITING`] mails wait, or [`MAX_OTHERS`] for anything but a new password, and any error
    /// of the disk or the database.
    pub fn draft(&self, mail: &Mail) -> io::Result<Draft> {
        self.written(mail).inspect_err(|_| metrics::mail_failed())
    }

    fn written(&self, mail: &Mail) -> io::Result<Draft> {
        let room = match mail.reserved {
            true => MAX_WAITING,
            false => MAX_OTHERS,
        };
        let KeptMail { name, text, .. } = letter(&self.from, mail)?;
        let begun = match &self.kept {
            Kept::Files(directory) => Begun::File(directory.draft(&name, room)?),
            #[cfg(feature = "postgres")]
            Kept::Rows(rows) => Begun::Row(rows.draft(name, mail.at.wall, room)?),
        };
        Ok(Draft { begun, text })
    }

    /// Turns a draft into a mail that waits to be sent, and returns its path; `None` if it is in a
    /// database.
    ///
    /// # Errors
    ///
    /// Any error of the disk or the database; then nothing was posted. It is not an error if a file
    /// is in place but might not survive a power cut.
    pub fn send(&self, draft: Draft) -> io::Result<Option<PathBuf>> {
        self.posted(draft).inspect_err(|_| metrics::mail_failed())
    }

    fn posted(&self, draft: Draft) -> io::Result<Option<PathBuf>> {
        let Draft { begun, text } = draft;
        let path = match begun {
            Begun::File(draft) => Some(draft.put(&text)?),
            #[cfg(feature = "postgres")]
            Begun::Row(draft) => {
                draft.put(&text)?;
                None
            }
        };
        self.waiting.fetch_add(1, Ordering::Relaxed);
        match (&self.courier, &path) {
            (Some(courier), _) => courier.wake(),
            (None, Some(path)) => {
                info!(file = log::path(path), "a mail waits to be sent by hand");
            }
            (None, None) => info!("a mail waits to be sent by another node"),
        }
        Ok(path)
    }

    /// How many mails wait, as far as that is known without asking the disk or the database.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Counts the mails that wait. Operators may add and delete files at any time, and other nodes
    /// rows.
    pub fn count(&self) {
        let counted = match &self.kept {
            Kept::Files(directory) => directory.count(),
            #[cfg(feature = "postgres")]
            Kept::Rows(rows) => rows.count(),
        };
        // What cannot be read is not known anew.
        if let Some(count) = counted {
            self.waiting.store(count, Ordering::Relaxed);
        }
    }

    /// Stops sending after the mail that is being sent. Waits for that no longer than `patience`,
    /// and never longer than a few seconds. What was not sent stays for the next start.
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

/// A mail that is written but not posted yet.
///
/// No `Debug`: the text may hold a password.
pub struct Draft {
    begun: Begun,
    text: Zeroizing<Vec<u8>>,
}

/// Where the mail will be.
enum Begun {
    File(directory::Draft),
    #[cfg(feature = "postgres")]
    Row(rows::Draft),
}

fn is_full() -> Error {
    Error::new(ErrorKind::QuotaExceeded, "the outbox is full")
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

#[cfg(test)]
mod tests;
