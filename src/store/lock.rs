//! Taking turns with all processes that save the same file: an advisory lock.
//!
//! The lock is on a file of its own beside the real one: the real file is a new one after every
//! save, and on NFS a directory cannot be locked. The lock's file is never removed, since a process
//! might be waiting for it.

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::fs::OFlags;

use crate::owner;

/// Keeps other processes from saving until it is dropped.
pub(super) struct Lock {
    file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file unlocks too. If both fail, the log will say that the lock is held.
        let _ = self.file.unlock();
    }
}

/// This process's place in the line for one lock.
#[derive(Default)]
pub(super) struct Turn {
    /// A thread that waits for the lock.
    waiting: Option<Arc<Waiting>>,
}

impl Turn {
    /// Waits for the lock on the file at this path, which is made if it is not there. `None` if the
    /// lock has not come after `patience`; the wait then goes on, so that whoever asks again keeps
    /// their place in the line. If `is_wary`, a link at the path is refused.
    ///
    /// # Errors
    ///
    /// If the system refuses.
    pub(super) fn take(
        &mut self,
        path: &Path,
        patience: Duration,
        is_wary: bool,
    ) -> io::Result<Option<Lock>> {
        let waiting = match self.waiting.take().filter(|waiting| waiting.is_joined()) {
            Some(waiting) => waiting,
            None => {
                let file = open(path, is_wary)?;
                if file.try_lock().is_ok() {
                    return Ok(Some(Lock { file }));
                }
                Waiting::begin(file)?
            }
        };
        let come = waiting.await_for(patience).transpose();
        if matches!(come, Ok(None)) {
            self.waiting = Some(waiting);
        }
        come
    }

    /// Gives up the place in the line. A lock that still comes is let go at once.
    pub(super) fn give_up(&mut self) {
        if let Some(waiting) = &self.waiting {
            waiting.give_up();
        }
    }
}

/// A thread that waits for a lock, since std cannot wait for one with a time limit. The kernel
/// wakes it in its turn, while asking again and again might never succeed.
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

    /// Joins the wait again, if the thread still waits or has the lock.
    fn is_joined(&self) -> bool {
        let mut state = self.state();
        state.wanted = !state.over || state.lock.is_some();
        state.wanted
    }

    /// The lock; `None` if it has not come by then.
    fn await_for(&self, patience: Duration) -> Option<io::Result<Lock>> {
        let (mut state, _) = self
            .come
            .wait_timeout_while(self.state(), patience, |state| state.lock.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        state.lock.take()
    }

    fn give_up(&self) {
        let mut state = self.state();
        state.wanted = false;
        state.lock = None;
    }

    /// Nothing that could panic half way is done under this mutex.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens the lock's file, making it if it is not there. If `is_wary`, it is refused if it is a link.
pub(super) fn open(path: &Path, is_wary: bool) -> io::Result<File> {
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match made {
        Ok(file) => {
            // The umask may have taken away some of these rights, and nobody could open it again.
            file.set_permissions(Permissions::from_mode(0o600))?;
            owner::hand_over(&file, path)?;
            Ok(file)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let follow = match is_wary {
                true => OFlags::NOFOLLOW,
                false => OFlags::empty(),
            };
            let file = OpenOptions::new()
                .write(true)
                // Opening a pipe would wait for somebody to read from it.
                .custom_flags((OFlags::NONBLOCK | follow).bits().cast_signed())
                .open(path);
            match file {
                Ok(file) if is_wary && !file.metadata()?.is_file() => {
                    Err(io::Error::other("its lock is not a regular file"))
                }
                Err(_) if is_wary && path.is_symlink() => Err(io::Error::other(
                    "its lock is a link, which root does not follow",
                )),
                opened => opened,
            }
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

    const LONG: Duration = Duration::from_secs(20);

    fn take(turn: &mut Turn, path: &Path, patience: Duration) -> Option<Lock> {
        turn.take(path, patience, false).unwrap()
    }

    #[test]
    fn only_one_at_a_time_has_the_lock() {
        let (_directory, path) = place();
        let mut other = Turn::default();

        let lock = take(&mut Turn::default(), &path, LONG).unwrap();
        assert!(take(&mut other, &path, Duration::ZERO).is_none());
        assert!(take(&mut other, &path, Duration::ZERO).is_none());

        drop(lock);
        assert!(take(&mut other, &path, LONG).is_some());
    }

    #[test]
    fn one_who_asks_again_has_kept_their_place_in_the_line() {
        let (_directory, path) = place();
        let mut first = Turn::default();
        let lock = take(&mut Turn::default(), &path, LONG).unwrap();
        assert!(take(&mut first, &path, Duration::ZERO).is_none());

        drop(lock);
        let waiting = Arc::clone(first.waiting.as_ref().unwrap());
        while !waiting.state().over {
            thread::yield_now();
        }

        let mut second = Turn::default();
        assert!(take(&mut second, &path, Duration::ZERO).is_none());
        drop(take(&mut first, &path, Duration::ZERO).unwrap());
        assert!(take(&mut second, &path, LONG).is_some());
    }

    #[test]
    fn a_lock_that_comes_when_it_is_not_wanted_any_more_is_let_go_at_once() {
        let (_directory, path) = place();
        let mut late = Turn::default();
        let lock = take(&mut Turn::default(), &path, LONG).unwrap();
        assert!(take(&mut late, &path, Duration::ZERO).is_none());
        late.give_up();

        drop(lock);

        // Whoever asks gets the lock, both before and after it has come to the turn that gave up.
        assert!(take(&mut Turn::default(), &path, LONG).is_some());
        let waiting = Arc::clone(late.waiting.as_ref().unwrap());
        while !waiting.state().over {
            thread::yield_now();
        }
        assert!(take(&mut Turn::default(), &path, LONG).is_some());
        assert!(take(&mut late, &path, LONG).is_some());
    }
}
