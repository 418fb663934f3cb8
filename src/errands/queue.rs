//! Errands that wait for their thread, and the end of that thread.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::errands::Errand;

/// Most errands of one kind that wait: room for a burst of requests, and no more than a disk works
/// off in seconds. One kind never keeps the other out.
const MAX_WAITING: usize = 128;

/// What waits to be done.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    errands: VecDeque<Errand>,
    closed: bool,
    ended: bool,
}

impl Queue {
    pub(super) fn add(&self, errand: Errand) {
        let mut waiting = self.lock();
        let alike = |other: &&Errand| other.is_notice() == errand.is_notice();
        if waiting.closed || waiting.errands.iter().filter(alike).count() >= MAX_WAITING {
            drop(waiting);
            tracing::error!(
                event = "mail",
                result = "dropped",
                "too many mails wait to be written"
            );
            return;
        }
        waiting.errands.push_back(errand);
        drop(waiting);
        self.changed.notify_all();
    }

    /// The next errand, if there is one within `patience`.
    pub(super) fn next(&self, patience: Duration) -> Option<Errand> {
        let (mut waiting, _) = self
            .changed
            .wait_timeout_while(self.lock(), patience, |waiting| {
                waiting.errands.is_empty() && !waiting.closed
            })
            .unwrap_or_else(PoisonError::into_inner);
        waiting.errands.pop_front()
    }

    /// Whether nothing waits and nothing more will come.
    pub(super) fn is_over(&self) -> bool {
        let waiting = self.lock();
        waiting.closed && waiting.errands.is_empty()
    }

    pub(super) fn close(&self, patience: Duration) -> bool {
        let mut waiting = self.lock();
        waiting.closed = true;
        self.changed.notify_all();
        let (waiting, _) = self
            .changed
            .wait_timeout_while(waiting, patience, |waiting| !waiting.ended)
            .unwrap_or_else(PoisonError::into_inner);
        waiting.ended
    }

    /// Each change is complete in itself, so a panic cannot leave one half done.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes that the thread has ended, even if it panicked.
pub(super) struct EndSignal(pub(super) Arc<Queue>);

impl Drop for EndSignal {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.changed.notify_all();
    }
}
