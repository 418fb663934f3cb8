//! The thread that sends the mails that wait in the outbox, one after the other.

use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

const AFTER_A_PANIC: Duration = Duration::from_secs(60);

/// How long a mail waits between tries, and when it is given up.
pub(super) struct Schedule {
    /// The wait after this many failures in a row, counted from 1.
    pub(super) pause: Box<dyn Fn(u32) -> Duration + Send>,
    /// How old a mail may get; after that its next failure is its last.
    pub(super) give_up: Duration,
}

impl Schedule {
    /// Waits 10 s, 30 s, then a minute and twice as long each time, up to half an hour, for a day.
    pub(super) fn patient() -> Self {
        Self {
            pause: Box::new(|failures| match failures {
                0 | 1 => Duration::from_secs(10),
                2 => Duration::from_secs(30),
                3..=7 => Duration::from_secs(60 << (failures - 3)),
                _ => Duration::from_secs(30 * 60),
            }),
            give_up: Duration::from_secs(24 * 60 * 60),
        }
    }
}

/// What the thread does again and again.
pub(super) trait Round {
    /// Sends what is due, and says how long to wait before the next round.
    fn go(&mut self, bell: &Bell) -> Duration;

    /// Lets a new mail try a failing server soon.
    fn hurry(&mut self);
}

/// The handle of the thread. When it is dropped, the thread ends after the mail it is sending.
pub(super) struct Courier {
    bell: Arc<Bell>,
}

impl Courier {
    pub(super) fn start(mut rounds: impl Round + Send + 'static) -> io::Result<Self> {
        let bell = Arc::new(Bell::default());
        let ended = EndSignal(Arc::clone(&bell));
        thread::Builder::new()
            .name("mail".to_owned())
            .spawn(move || {
                loop {
                    // The thread must outlive a panic: nobody would start another one.
                    let round = panic::catch_unwind(AssertUnwindSafe(|| rounds.go(&ended.0)));
                    let wait = round.unwrap_or(AFTER_A_PANIC);
                    match ended.0.wait(wait) {
                        Ring::None => {}
                        Ring::Posted => rounds.hurry(),
                        Ring::Stop => break,
                    }
                }
            })?;
        Ok(Self { bell })
    }

    pub(super) fn wake(&self) {
        self.bell.ring(|state| state.posted = true);
    }

    /// Whether the thread ended within `patience`.
    pub(super) fn stop(&self, patience: Duration) -> bool {
        self.bell.ring(|state| state.stop = true);
        let state = self.bell.lock();
        let (state, _) = self
            .bell
            .changed
            .wait_timeout_while(state, patience, |state| !state.ended)
            .unwrap_or_else(PoisonError::into_inner);
        state.ended
    }
}

impl Drop for Courier {
    fn drop(&mut self) {
        self.bell.ring(|state| state.stop = true);
    }
}

/// What the thread and the rest of the program tell each other.
#[derive(Default)]
pub(super) struct Bell {
    state: Mutex<BellState>,
    changed: Condvar,
}

#[derive(Default)]
struct BellState {
    posted: bool,
    stop: bool,
    ended: bool,
}

/// Why a wait ended.
enum Ring {
    None,
    Posted,
    Stop,
}

impl Bell {
    pub(super) fn is_stopping(&self) -> bool {
        self.lock().stop
    }

    fn ring(&self, change: impl FnOnce(&mut BellState)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    fn wait(&self, longest: Duration) -> Ring {
        let (mut state, _) = self
            .changed
            .wait_timeout_while(self.lock(), longest, |state| !state.posted && !state.stop)
            .unwrap_or_else(PoisonError::into_inner);
        if state.stop {
            Ring::Stop
        } else if std::mem::take(&mut state.posted) {
            Ring::Posted
        } else {
            Ring::None
        }
    }

    /// A panic cannot leave three flags half changed.
    fn lock(&self) -> MutexGuard<'_, BellState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells that the thread has ended, even if it panicked.
struct EndSignal(Arc<Bell>);

impl Drop for EndSignal {
    fn drop(&mut self) {
        self.0.ring(|state| state.ended = true);
    }
}
