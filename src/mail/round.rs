//! Rounds through the outbox: which mails are tried, when they are tried again, and when no more.
//!
//! # Once
//!
//! A file is removed after the server's last reply. Only if that reply is lost, or a power cut
//! comes between the reply and the removal, is a mail sent twice; its Message-ID stays the same, so
//! a receiver can tell. Processes that share an outbox take turns under a lock.
//!
//! # Fairness
//!
//! A failing mail waits for its own next try and the others go on. A failing server is left alone
//! as a whole, and no mail is blamed for that, but a mail that gets too old in the meantime is set
//! aside.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::{error, info, warn};

use crate::clock::Clock;
use crate::durable::{self, sync_directory_of};
use crate::log;
use crate::mail::courier::{Bell, Round, Schedule};
use crate::mail::directory::has_ending;
use crate::mail::letter;
use crate::mail::server::{Next, Server, TOO_LATE, Tries};
use crate::mail::smtp::{Connection, SmtpError};
use crate::mail::smtp_url::SmtpUrl;

/// What is remembered between rounds. A restart forgets all this, and so tries every mail at once.
pub(super) struct Rounds {
    dir: PathBuf,
    /// By file name; only of files that are there.
    mails: HashMap<OsString, State>,
    server: Server,
}

enum State {
    /// Accepted, but the file could not be removed: it must not be sent again.
    Accepted,
    Waiting(Tries),
}

impl Round for Rounds {
    fn go(&mut self, bell: &Bell) -> Duration {
        match self.turn(bell) {
            Ok(wait) => wait,
            // Nothing waits in an outbox that is not there; the next mail makes the directory.
            Err(error) if error.kind() == ErrorKind::NotFound => LOOK_EVERY,
            Err(error) => {
                error!(dir = log::path(&self.dir), %error, "cannot look through the outbox");
                LOOK_EVERY
            }
        }
    }

    fn hurry(&mut self) {
        self.server.hurry();
    }
}

impl Rounds {
    pub(super) fn new(dir: PathBuf, url: SmtpUrl, schedule: Schedule, clock: Clock) -> Self {
        Self {
            dir,
            mails: HashMap::new(),
            server: Server::new(url, schedule, clock),
        }
    }

    fn turn(&mut self, bell: &Bell) -> io::Result<Duration> {
        // The lock is on the directory itself and is released with this handle.
        let turn = File::open(&self.dir)?;
        match turn.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(TURN_WAIT),
            Err(TryLockError::Error(error)) => return Err(error),
        }

        let mut files = self.look()?;
        self.mails
            .retain(|name, _| files.iter().any(|file| file.file_name() == Some(name)));
        // A mail that breaks the server must not be the first that the server sees each time.
        files.sort_by_key(|path| self.failures(path));
        self.send_due(&files, bell);
        trim_set_aside(&self.dir)?;
        Ok(self.next_due())
    }

    /// The waiting mails, the oldest of ours first.
    fn look(&self) -> io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            if has_ending(&path, ".eml") {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }

    fn failures(&self, path: &Path) -> u32 {
        match self.mails.get(name(path)) {
            Some(State::Waiting(tries)) => tries.failures,
            Some(State::Accepted) | None => 0,
        }
    }

    fn send_due(&mut self, files: &[PathBuf], bell: &Bell) {
        let mut connection = None;
        for path in files {
            let now = self.server.now().steady;
            if bell.is_stopping() || self.server.is_left_alone() {
                break;
            }
            if self.is_due(path, now) && matches!(self.try_one(path, &mut connection), Next::Break)
            {
                self.set_old_aside(files);
                break;
            }
        }
        if let Some(connection) = connection {
            connection.close();
        }
    }

    fn is_due(&mut self, path: &Path, now: Duration) -> bool {
        match self.mails.get(name(path)) {
            Some(State::Accepted) => {
                self.remove(path);
                false
            }
            Some(State::Waiting(tries)) => tries.due <= now,
            None => true,
        }
    }

    fn try_one(&mut self, path: &Path, connection: &mut Option<Connection>) -> Next {
        let letter = match letter::read(path) {
            Ok(letter) => letter,
            // An operator deleted it.
            Err(error) if error.kind() == ErrorKind::NotFound => return Next::Go,
            Err(error) => {
                self.set_aside(path, &error.to_string());
                return Next::Go;
            }
        };
        match self.server.send(&letter, connection) {
            Some(sent) => self.note(path, sent),
            None => Next::Break,
        }
    }

    /// What becomes of a mail that was sent, or was not.
    fn note(&mut self, path: &Path, sent: Result<(), SmtpError>) -> Next {
        match sent {
            Ok(()) => {
                self.remove(path);
                Next::Go
            }
            Err(SmtpError::Permanent(reason)) => {
                self.set_aside(path, &reason);
                Next::Go
            }
            Err(SmtpError::Later(reason)) => {
                self.put_off(path, &reason);
                Next::Go
            }
            Err(SmtpError::Broken(reason)) => {
                // It may be this mail that breaks the server, so it counts against both.
                self.put_off(path, &reason);
                self.server.failed(&reason);
                Next::Break
            }
        }
    }

    fn put_off(&mut self, path: &Path, reason: &str) {
        if self.is_too_old(path) {
            self.set_aside(path, reason);
            return;
        }
        warn!(
            file = log::path(path),
            reason, "a mail was put off and is tried again later"
        );
        self.wait_longer(path);
    }

    fn wait_longer(&mut self, path: &Path) {
        let tries = self.server.after_failure(self.failures(path));
        self.mails
            .insert(name(path).to_owned(), State::Waiting(tries));
    }

    fn set_old_aside(&mut self, files: &[PathBuf]) {
        for path in files {
            let accepted = matches!(self.mails.get(name(path)), Some(State::Accepted));
            if !accepted && self.is_too_old(path) {
                self.set_aside(path, TOO_LATE);
            }
        }
    }

    /// Judged by when the file was last written, so that a restart does not give a mail another
    /// day.
    fn is_too_old(&self, path: &Path) -> bool {
        fs::symlink_metadata(path).is_ok_and(|metadata| {
            let made = u64::try_from(metadata.mtime()).unwrap_or(0);
            let age = self.server.now().wall.saturating_sub(made);
            self.server.is_too_old(Duration::from_secs(age))
        })
    }

    fn remove(&mut self, path: &Path) {
        match fs::remove_file(path).and_then(|()| sync_directory_of(path)) {
            Ok(()) => info!(file = log::path(path), "a mail was sent"),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                error!(file = log::path(path), %error, "a mail was sent but its file cannot be removed");
                self.mails.insert(name(path).to_owned(), State::Accepted);
            }
        }
    }

    fn set_aside(&mut self, path: &Path, reason: &str) {
        let mut aside = path.as_os_str().to_owned();
        aside.push(SET_ASIDE);
        match durable::rename(path, Path::new(&aside)).map_err(io::Error::from) {
            Ok(()) => error!(
                file = log::path(Path::new(&aside)),
                reason, "a mail cannot be sent and was set aside"
            ),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                error!(file = log::path(path), reason, %error, "a mail cannot be sent, nor set aside");
                self.wait_longer(path);
            }
        }
    }

    /// The time until the first mail or the server is due, but never so long that a mail that an
    /// operator drops in would go unnoticed.
    fn next_due(&self) -> Duration {
        let now = self.server.now().steady;
        self.mails
            .values()
            .filter_map(|state| match state {
                State::Accepted => None,
                State::Waiting(tries) => Some(tries.due),
            })
            .chain(self.server.is_failing().then_some(self.server.due()))
            .map(|due| due.max(self.server.due()).saturating_sub(now))
            .min()
            .unwrap_or(LOOK_EVERY)
            .clamp(SHORTEST_WAIT, LOOK_EVERY)
    }
}

/// Removes the oldest mails set aside beyond [`MAX_SET_ASIDE`], since strangers can cause them.
fn trim_set_aside(dir: &Path) -> io::Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if has_ending(&path, SET_ASIDE) {
            files.push(path);
        }
    }
    files.sort();
    let surplus = files.len().saturating_sub(MAX_SET_ASIDE);
    for path in files.iter().take(surplus) {
        warn!(
            file = log::path(path),
            "too many mails are set aside; the oldest is removed"
        );
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn name(path: &Path) -> &OsStr {
    path.file_name().unwrap_or_default()
}

/// Added to the name of a mail that cannot be sent; if an operator removes it, the mail is tried
/// again.
const SET_ASIDE: &str = ".failed";

/// As many as may wait to be sent.
pub(super) const MAX_SET_ASIDE: usize = crate::mail::MAX_WAITING;

/// How long a mail that an operator drops in may go unnoticed.
const LOOK_EVERY: Duration = Duration::from_secs(4);

/// How long to wait while another process has its turn, which lasts about as long as one mail.
const TURN_WAIT: Duration = Duration::from_secs(1);

/// Keeps a round that has nothing to do from being followed by the next at once.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);
