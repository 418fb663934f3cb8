//! Taking turns with all processes that save the same file: an advisory lock.
//!
//! It is on a file of its own beside the real one: the file itself is a new one after every save,
//! and on NFS a directory cannot be locked. It is never removed, since a process might be waiting
//! on it.

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::fs::OFlags;

/// How long a save waits for another process to finish its own, before the change is refused. A
/// save takes a tenth of a second at most; one that takes this long belongs to a stopped process,
/// or to an operator's script.
const PATIENCE: Duration = Duration::from_secs(5);

/// Keeps other processes from saving until it is dropped.
pub(super) struct Lock {
    file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing does it too, unless closing fails. If both do, the log will say who holds it.
        let _ = self.file.unlock();
    }
}

/// This process's place in the line for one lock.
pub(super) struct Turn {
    /// A thread that still waits after a save gave up on it: the next save need not go to the end
    /// of the line.
    waiting: Option<Arc<Waiting>>,
    /// [`PATIENCE`], but for tests.
    patience: Duration,
}

impl Turn {
    pub(super) fn new() -> Self {
        Self {
            waiting: None,
            patience: PATIENCE,
        }
    }

    /// Waits for the lock on the file at this path, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// If another process keeps it for longer than [`PATIENCE`], or the system refuses. A lock that
    /// comes later, and nobody waits for, is let go at once.
    pub(super) fn take(&mut self, path: &Path) -> io::Result<Lock> {
        let waiting = match self.waiting.take().filter(|waiting| waiting.is_joined()) {
            Some(waiting) => waiting,
            None => {
                let file = open(path)?;
                if file.try_lock().is_ok() {
                    return Ok(Lock { file });
                }
                Waiting::begin(file)?
            }
        };
        match waiting.await_for(self.patience) {
            Some(lock) => lock,
            None => {
                self.waiting = Some(waiting);
                Err(io::Error::other("another process holds its lock"))
            }
        }
    }
}

/// A thread that waits for a lock, since std cannot wait for one with a limit. Woken by the kernel,
/// it gets its turn where asking again and again would starve.
struct Waiting {
    state: Mutex<State>,
    come: Condvar,
}

struct State {
    /// Whether somebody waits for the thread.
    wanted: bool,
    /// Whether the thread has had its turn.
    over: bool,
    lock: Option<io::Result<Lock>>,
}

impl Waiting {
    fn begin(file: File) -> io::Result<Arc<Self>> {
        let waiting = Arc::new(Self {
            state: Mutex::new(State {
                wanted: true,
                over: false,
                lock: None,
            }),
            come: Condvar::new(),
        });
        let its = Arc::clone(&waiting);
        thread::Builder::new()
            .name("store lock".to_owned())
            .spawn(move || {
                let locked = file.lock().map(|()| Lock { file });
                let mut state = its.state();
                state.over = true;
                if state.wanted {
                    state.lock = Some(locked);
                    its.come.notify_one();
                }
            })?;
        Ok(waiting)
    }

    /// Waits on, if the thread still does.
    fn is_joined(&self) -> bool {
        let mut state = self.state();
        state.wanted = !state.over;
        state.wanted
    }

    /// The lock, or none if it has not come by then and is not wanted any more.
    fn await_for(&self, patience: Duration) -> Option<io::Result<Lock>> {
        let (mut state, _) = self
            .come
            .wait_timeout_while(self.state(), patience, |state| state.lock.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        state.wanted = false;
        state.lock.take()
    }

    /// Nothing is done under this lock that could panic half way.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens the file the lock is on, making it if it is not there.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match made {
        Ok(file) => {
            // The umask may have taken some of that away, and the next one could not open it.
            file.set_permissions(Permissions::from_mode(0o600))?;
            Ok(file)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            OpenOptions::new()
                .write(true)
                // Opening a pipe would wait for somebody to read from it.
                .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
                .open(path)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use tempfile::TempDir;

    use super::*;

    fn place() -> (TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        (directory, path)
    }

    fn impatient() -> Turn {
        Turn {
            waiting: None,
            patience: Duration::ZERO,
        }
    }

    #[test]
    fn only_one_at_a_time_has_the_lock() {
        let (_directory, path) = place();
        let mut other = impatient();

        let lock = Turn::new().take(&path).unwrap();
        assert!(other.take(&path).is_err());
        assert!(other.take(&path).is_err());

        drop(lock);
        other.patience = PATIENCE;
        assert!(other.take(&path).is_ok());
    }

    #[test]
    fn a_lock_that_comes_too_late_is_let_go_at_once() {
        let (_directory, path) = place();
        let mut late = impatient();
        let lock = Turn::new().take(&path).unwrap();
        assert!(late.take(&path).is_err());

        drop(lock);

        // It is whoever's who asks, before it came to the one who gave up and does nothing, and
        // after.
        assert!(Turn::new().take(&path).is_ok());
        let waiting = Arc::clone(late.waiting.as_ref().unwrap());
        while !waiting.state().over {
            thread::yield_now();
        }
        assert!(Turn::new().take(&path).is_ok());
        late.patience = PATIENCE;
        assert!(late.take(&path).is_ok());
    }
}
