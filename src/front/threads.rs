//! The threads in which connections live. A thread that has nothing left to do waits a moment for
//! the next connection: starting a thread costs as much as answering a request.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::memory;

/// In bytes: deep enough for a handshake, a handler and a log line; most of it is never touched.
const STACK: usize = 256 * 1024;
/// The most threads that wait for a connection. They keep memory that handshakes have used.
const MOST_WAITING: usize = 64;
/// How long a thread waits.
const PATIENCE: Duration = Duration::from_secs(1);

type Job = Box<dyn FnOnce() + Send>;

/// Threads for connections that are new, or have rested.
#[derive(Default)]
pub struct Threads {
    state: Mutex<State>,
    handed: Condvar,
}

#[derive(Default)]
struct State {
    /// Threads that wait.
    waiting: usize,
    /// What they have been handed but not taken up yet; never more jobs than threads that wait.
    jobs: Vec<Job>,
}

impl Threads {
    /// Runs `job` in a thread that waits, or in a new one.
    ///
    /// # Errors
    ///
    /// If the system has no thread to give.
    pub fn run(self: &Arc<Self>, job: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let mut state = self.lock();
        if state.jobs.len() < state.waiting {
            state.jobs.push(Box::new(job));
            drop(state);
            self.handed.notify_one();
            return Ok(());
        }
        drop(state);
        let threads = Arc::clone(self);
        start(move || {
            job();
            while let Some(job) = threads.next() {
                job();
            }
        })
    }

    /// Waits for a job. `None` if enough threads wait already, or no job has come for a while.
    fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        if state.waiting >= MOST_WAITING {
            return None;
        }
        state.waiting += 1;
        let (mut state, _) = self
            .handed
            .wait_timeout_while(state, PATIENCE, |state| state.jobs.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        // Under the same lock as taking the job, so that nobody is promised a thread that ends.
        state.waiting -= 1;
        state.jobs.pop()
    }

    /// Nothing done under this lock can panic half way.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn start(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    memory::allow_thread(STACK)?;
    thread::Builder::new()
        .name("connection".to_owned())
        .stack_size(STACK)
        .spawn(work)
        .map(drop)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread::ThreadId;

    use super::*;

    /// Runs one job to its end and says in which thread.
    fn thread_of(threads: &Arc<Threads>) -> ThreadId {
        let (sender, receiver) = mpsc::channel();
        let job = move || sender.send(thread::current().id()).unwrap();
        threads.run(job).unwrap();
        receiver.recv().unwrap()
    }

    fn wait_until(threads: &Threads, waiting: usize) {
        while threads.lock().waiting != waiting {
            thread::yield_now();
        }
    }

    #[test]
    fn a_thread_whose_job_is_done_takes_the_next() {
        let threads = Arc::new(Threads::default());
        let first = thread_of(&threads);
        wait_until(&threads, 1);
        assert_eq!(thread_of(&threads), first);
    }

    #[test]
    fn jobs_that_last_have_a_thread_each_and_few_threads_wait_afterwards() {
        let threads = Arc::new(Threads::default());
        let (started, arrivals) = mpsc::channel();
        let releases: Vec<mpsc::Sender<()>> = (0..MOST_WAITING + 4)
            .map(|_| {
                let (release, released) = mpsc::channel::<()>();
                let started = started.clone();
                let job = move || {
                    started.send(()).unwrap();
                    let _ = released.recv();
                };
                threads.run(job).unwrap();
                release
            })
            .collect();
        for _ in &releases {
            arrivals.recv().unwrap();
        }
        drop(releases);
        // Each thread holds a share, so this waits until only as many are left as may wait.
        while Arc::strong_count(&threads) > 1 + MOST_WAITING {
            thread::yield_now();
        }
        wait_until(&threads, MOST_WAITING);
    }

    #[test]
    fn a_thread_without_a_job_ends() {
        let threads = Arc::new(Threads::default());
        thread_of(&threads);
        wait_until(&threads, 1);
        while Arc::strong_count(&threads) > 1 {
            thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(threads.lock().waiting, 0);
    }

    #[test]
    fn a_job_that_panics_takes_nothing_with_it() {
        let threads = Arc::new(Threads::default());
        threads.run(|| panic!("as asked")).unwrap();
        thread_of(&threads);
        wait_until(&threads, 1);
        assert_eq!(threads.lock().jobs.len(), 0);
    }
}
