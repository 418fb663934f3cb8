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

use crate::accounts::password::{self, Key, LANES, ROUNDS, Work};
use crate::accounts::throttle::Standing;
use crate::memory;
use crate::metrics;
use crate::network::Network;

mod line;

use line::{Line, Size};

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

/// How much memory a computation may take, in bytes, before only one such is at work at a time.
/// Hashes of other programs may ask for a hundred times as much.
const LARGE: usize = 1 << 20;

/// How many rounds it may take before the same holds: those of eight of ours by themselves. Hashes of
/// other programs may take ten seconds, and a few of these would hold all threads.
const LONG: u32 = 8 * ROUNDS * LANES as u32;

/// A fixed number of hashing threads, which live as long as the process, and the line in front of
/// them.
pub struct Gate {
    shared: Arc<Shared>,
}

/// Rounds of one computation that take a millisecond or two.
const TRIED_OUT: u32 = 6_000;

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

/// A computation, and who waits for it.
type Job = (Work, Waiting);

struct Waiting {
    since: Instant,
    result: SyncSender<Key>,
}

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
        let mut line = Line::new(threads, most, (rounds, opened.elapsed()));
        let started = Instant::now();
        password::spend(TRIED_OUT);
        line.measured_alone(TRIED_OUT.into(), started.elapsed());
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
        let (shared, size) = (&self.shared, size(&work));
        let now = shared.opened.elapsed();
        let waiting = Waiting {
            since: Instant::now(),
            result: sender,
        };
        let mut state = shared.state();
        state
            .line
            .push(now, (network, standing), size, (work, waiting))?;
        drop(state);
        shared.wake.notify_one();
        // A panic drops the senders of all that were computed together, as does want of memory.
        receiver.recv().map_err(|_| Busy::until(Duration::ZERO))
    }

    /// Whether nobody waits, which is the time for work that is not urgent.
    pub fn is_quiet(&self) -> bool {
        self.waiting() == 0
    }

    /// How many computations wait.
    pub fn waiting(&self) -> usize {
        self.shared.state().line.len()
    }
}

/// Has the metrics show how long those waited who were served together, from this moment on.
fn note_times(waiting: &[Waiting], started: Instant) {
    let took = started.elapsed();
    for one in waiting {
        metrics::hash_waited(started.saturating_duration_since(one.since));
        metrics::hash_took(took);
    }
}

fn size(work: &Work) -> Size {
    Size {
        rounds: work.rounds(),
        is_alone: work.is_alone(),
        is_dear: work.memory() > LARGE || work.rounds() > LONG,
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
            let sizes = || works.iter().map(size);
            let rounds = sizes().map(|size| u64::from(size.rounds)).sum();
            let is_alone = sizes().any(|size| size.is_alone);
            let is_dear = sizes().any(|size| size.is_dear);
            let started = Instant::now();
            let keys = catch_unwind(AssertUnwindSafe(|| match works.as_slice() {
                [work] if is_alone => self.derive_alone(work),
                _ => (self.derive)(&works),
            }));
            note_times(&waiting, started);
            let mut state = self.state();
            state.line.done(rounds, is_dear);
            if keys.is_ok() && !is_alone {
                match works.len() {
                    // Only full batches say what the wait is: fewer at once cost more each, and
                    // then nobody waits.
                    LANES => state.line.measured(rounds, started.elapsed()),
                    1 => state.line.measured_alone(rounds, started.elapsed()),
                    _ => {}
                }
            }
            drop(state);
            let Ok(keys) = keys else {
                tracing::error!(event = "panic", "a hashing thread panicked and goes on");
                continue;
            };
            if is_dear {
                // The next one may begin, and all other threads may be asleep.
                self.wake.notify_one();
            }
            for (key, waiting) in keys.into_iter().zip(waiting) {
                // This fails only if the request's thread is gone.
                let _ = waiting.result.send(key);
            }
        }
    }

    /// Computes what cannot be computed beside others, and goes on until one of ours would be done:
    /// so what is done sooner looks like ours, and like a name that nobody has. No key if there is
    /// no memory for it.
    fn derive_alone(&self, work: &Work) -> Vec<Key> {
        if work.memory() > LARGE && memory::allow(work.memory()).is_err() {
            tracing::warn!(
                event = "no_memory",
                bytes = work.memory(),
                "there is no memory to check a password that another program has hashed"
            );
            return Vec::new();
        }
        let started = Instant::now();
        let keys = (self.derive)(std::slice::from_ref(work));
        let left = self.state().line.left(ROUNDS, started.elapsed());
        if left > 0 {
            password::spend(left);
        }
        keys
    }

    /// Waits for jobs, and leaves idle threads their share: two threads finish two jobs sooner than
    /// one does.
    fn next(&self) -> Vec<Job> {
        let mut state = self.state();
        state.idle += 1;
        loop {
            let share = state.line.len().div_ceil(state.idle);
            let taken = state.line.take(share.min(LANES));
            if !taken.is_empty() {
                state.idle -= 1;
                return taken;
            }
            state = self
                .wake
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests;
