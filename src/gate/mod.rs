//! Where passwords are hashed: as many threads as there are cores, at a lower priority, behind a
//! line in which nobody waits too long. Those who are known come first, then those who have failed
//! least.
//!
//! A hash costs tens of milliseconds of a core. Without the gate, a burst of logins takes the
//! machine from everybody who only wants a page; without an order in the line, a crowd that guesses
//! takes it from everybody who knows a password. Where several hashes wait, a free thread computes
//! them side by side, which takes little longer than one.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::accounts::password::{self, Key, LANES, Work};
use crate::accounts::throttle::Standing;
use crate::network::Network;

mod line;

use line::Line;

/// There is no room to wait.
#[derive(Debug)]
pub struct Busy {
    /// After how long there may be room.
    pub retry_after: Duration,
}

impl Busy {
    /// Busy for the time `left`, or for a second if that is longer: `Retry-After` counts in whole
    /// seconds.
    pub fn until(left: Duration) -> Self {
        Self {
            retry_after: left.max(Duration::from_secs(1)),
        }
    }
}

/// The most connections that may wait in the line, where there are at least twice as many: the
/// others are for requests that need no hash.
pub const MOST_WAITING: usize = 512;

/// How far hashing steps back behind everything else (nice(2)). Pages still go first, and where
/// others keep all cores busy a hash gets a quarter of one. At 19 it would get a hundredth, and a
/// login would take longer than anybody waits.
const NICENESS: i32 = 5;

/// A fixed number of hashing threads, which live as long as the process, and the line in front of
/// them.
pub struct Gate {
    shared: Arc<Shared>,
}

/// Computes several at once; gives the keys in the same order.
type Derive = fn(&[Work]) -> Vec<Key>;

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    opened: Instant,
    derive: Derive,
}

struct State {
    line: Line<Job>,
    /// Threads that have nothing to do.
    idle: usize,
}

/// A computation, and where its result is awaited.
type Job = (Work, SyncSender<Key>);

impl Gate {
    /// Starts `threads` threads; at most `most` computations wait for them.
    ///
    /// # Errors
    ///
    /// If the system has no thread left.
    pub fn open(threads: usize, most: usize) -> io::Result<Self> {
        Self::open_with(threads, most, password::derive)
    }

    fn open_with(threads: usize, most: usize, derive: Derive) -> io::Result<Self> {
        let opened = Instant::now();
        let rounds = password::try_out();
        let line = Line::new(threads, most, (rounds, opened.elapsed()));
        let shared = Arc::new(Shared {
            state: Mutex::new(State { line, idle: 0 }),
            wake: Condvar::new(),
            opened,
            derive,
        });
        for number in 0..threads {
            let shared = Arc::clone(&shared);
            thread::Builder::new()
                .name(format!("hash-{number}"))
                .spawn(move || shared.work())?;
        }
        Ok(Self { shared })
    }

    /// Has a hashing thread compute this, and waits for the result.
    ///
    /// # Errors
    ///
    /// [`Busy`] at once, if it would wait too long.
    pub fn derive(&self, network: Network, standing: Standing, work: Work) -> Result<Key, Busy> {
        let (sender, receiver) = sync_channel(1);
        let (shared, rounds) = (&self.shared, work.rounds());
        let now = shared.opened.elapsed();
        let mut state = shared.state();
        state
            .line
            .push(now, (network, standing), rounds, (work, sender))?;
        drop(state);
        shared.wake.notify_one();
        // A panic drops the senders of all that were computed together.
        receiver.recv().map_err(|_| Busy::until(Duration::ZERO))
    }

    /// Whether nobody waits, which is the time for work that is not urgent.
    pub fn is_quiet(&self) -> bool {
        self.shared.state().line.len() == 0
    }
}

impl Shared {
    /// Nothing can panic while this lock is held: the line only moves jobs.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a hashing thread does.
    fn work(&self) {
        // Where the system does not allow this, the gate still bounds the number of threads.
        let _ = rustix::process::setpriority_process(None, NICENESS);
        loop {
            let (works, waiting): (Vec<_>, Vec<_>) = self.next().into_iter().unzip();
            let rounds = works.iter().map(|work| u64::from(work.rounds())).sum();
            let started = Instant::now();
            let keys = catch_unwind(AssertUnwindSafe(|| (self.derive)(&works)));
            let mut state = self.state();
            state.line.done(rounds);
            // Only full batches are measured: fewer at once cost more each, and then nobody waits.
            if keys.is_ok() && works.len() == LANES {
                state.line.measured(rounds, started.elapsed());
            }
            drop(state);
            let Ok(keys) = keys else {
                tracing::error!(event = "panic", "a hashing thread panicked and goes on");
                continue;
            };
            for (key, sender) in keys.into_iter().zip(waiting) {
                // This fails only if the request's thread is gone.
                let _ = sender.send(key);
            }
        }
    }

    /// Waits for jobs, and leaves idle threads their share: two threads finish two jobs sooner than
    /// one does.
    fn next(&self) -> Vec<Job> {
        let mut state = self.state();
        state.idle += 1;
        while state.line.len() == 0 {
            state = self
                .wake
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let share = state.line.len().div_ceil(state.idle);
        state.idle -= 1;
        state.line.take(share.min(LANES))
    }
}

#[cfg(test)]
mod tests;
