//! Whether changes could be saved, found out before anybody tries one.
//!
//! A thread of its own looks at the disk from time to time, and leaves nothing there. Whoever asks
//! is told what it found, and waits for no lock and no disk.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::clock::Clock;
use crate::store::{self, Store};

/// The pause between two looks at the disk: a fault and its end are to be known within 5 seconds.
const PAUSE: Duration = Duration::from_secs(2);

/// How long a look may take before the disk counts as one that hangs.
const SLOW: Duration = Duration::from_secs(2);

/// Why changes cannot be saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The database does not answer, takes no writes, or has no connection to give.
    Database,
    /// The accounts cannot be read: an operator has to mend their file.
    UsersFile,
    /// The next save would fail: no room, no right to write, or a disk that does not answer.
    Disk,
}

impl Fault {
    /// The word for whoever watches.
    pub fn word(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::UsersFile => "users_file",
            Self::Disk => "disk",
        }
    }
}

/// What is known.
pub struct Health {
    store: Arc<Store>,
    users: PathBuf,
    clock: Arc<Clock>,
    /// What the last look found.
    is_unfit: AtomicBool,
    /// When the look that goes on began, in milliseconds on the steady clock; 0 between two looks.
    looks_since: AtomicU64,
}

impl Health {
    /// Looks for the first time, and waits for that.
    pub fn new(store: Arc<Store>, users: PathBuf, clock: Arc<Clock>) -> Self {
        let health = Self {
            store,
            users,
            clock,
            is_unfit: AtomicBool::new(false),
            looks_since: AtomicU64::new(0),
        };
        health.look();
        health
    }

    /// Starts the thread that looks, which goes on until the process ends. What is counted `beside`
    /// is counted after each look.
    ///
    /// # Errors
    ///
    /// If the system has no thread to give.
    pub fn watch(self: &Arc<Self>, beside: impl Fn() + Send + 'static) -> io::Result<()> {
        let health = Arc::clone(self);
        thread::Builder::new()
            .name("health".to_owned())
            .spawn(move || {
                loop {
                    thread::sleep(PAUSE);
                    health.look();
                    beside();
                }
            })
            .map(drop)
    }

    /// What is wrong, the first if there is more. Waits for nothing.
    pub fn fault(&self) -> Option<Fault> {
        if !self.store.could_change() {
            return Some(Fault::Database);
        }
        if self.store.is_unreadable() {
            return Some(Fault::UsersFile);
        }
        let is_unfit = self.is_unfit.load(Ordering::Relaxed) || self.hangs();
        is_unfit.then_some(Fault::Disk)
    }

    /// Whether the look that goes on takes too long.
    fn hangs(&self) -> bool {
        let since = self.looks_since.load(Ordering::Relaxed);
        since > 0 && self.milliseconds().saturating_sub(since) > millis(SLOW)
    }

    fn look(&self) {
        // The store itself knows how a database stands, and nothing is written to the folder then.
        if !self.store.is_on_disk() {
            return;
        }
        self.looks_since
            .store(self.milliseconds(), Ordering::Relaxed);
        let could_save = store::could_save(&self.users);
        self.looks_since.store(0, Ordering::Relaxed);
        let was_unfit = self.is_unfit.swap(could_save.is_err(), Ordering::Relaxed);
        match could_save {
            Err(why) if !was_unfit => {
                tracing::error!(reason = %why, hint = why.hint(), "the next change could not be saved");
            }
            Ok(()) if was_unfit => tracing::info!("changes could be saved again"),
            _ => {}
        }
    }

    fn milliseconds(&self) -> u64 {
        millis(self.clock.now().steady)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
