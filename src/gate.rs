//! Where passwords are hashed: as many threads as there are cores, of the lowest priority, behind a
//! short queue that is shared fairly between addresses.
//!
//! A hash costs tens of milliseconds of a core. Without the gate a burst of logins takes the
//! machine from everybody who only wants a page.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::accounts::throttle::Origin;

/// The queue is full: try again in a moment.
#[derive(Debug)]
pub struct Busy;

/// A queue before a fixed number of hashing threads, which live as long as the process.
pub struct Gate {
    shared: Arc<Shared>,
    max_waiting: usize,
}

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
}

impl Gate {
    /// Starts `threads` threads; at most `max_waiting` jobs wait for them.
    ///
    /// # Errors
    ///
    /// If the system has no thread left.
    pub fn open(threads: usize, max_waiting: usize) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        for number in 0..threads {
            let shared = Arc::clone(&shared);
            thread::Builder::new()
                .name(format!("hash-{number}"))
                .spawn(move || work(&shared))?;
        }
        Ok(Self {
            shared,
            max_waiting,
        })
    }

    /// Runs `work` on a hashing thread and waits for what it gives.
    ///
    /// # Errors
    ///
    /// [`Busy`] if the queue is full and its places are taken fairly; also if one with a better
    /// claim took the place while it waited.
    pub fn run<R: Send + 'static>(
        &self,
        origin: Origin,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, Busy> {
        let (sender, receiver) = sync_channel(1);
        let job: Job = Box::new(move || {
            // Nobody waits any more only if the request's thread is gone.
            let _ = sender.send(work());
        });
        self.shared.queue().push(origin, job, self.max_waiting)?;
        self.shared.wake.notify_one();
        // A job that is dropped unrun, or panics, drops its sender.
        receiver.recv().map_err(|_| Busy)
    }
}

impl Shared {
    /// A panic cannot happen while it is held: the queue only moves jobs.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn work(shared: &Shared) {
    // Where the system does not allow it the gate still bounds the threads.
    let _ = rustix::process::setpriority_process(None, 19);
    loop {
        let mut queue = shared.queue();
        let job = loop {
            match queue.pop() {
                Some(job) => break job,
                None => {
                    queue = shared
                        .wake
                        .wait(queue)
                        .unwrap_or_else(PoisonError::into_inner);
                }
            }
        };
        drop(queue);
        if catch_unwind(AssertUnwindSafe(job)).is_err() {
            tracing::error!(event = "panic", "a hashing thread panicked and goes on");
        }
    }
}

/// Waiting jobs, one line for each address; the lines take turns.
#[derive(Default)]
struct Queue {
    lines: VecDeque<(Origin, VecDeque<Job>)>,
    waiting: usize,
}

impl Queue {
    /// In a full queue the longest line gives up its last place to a line that has not had its
    /// share; the job dropped tells its owner so.
    fn push(&mut self, origin: Origin, job: Job, max_waiting: usize) -> Result<(), Busy> {
        if self.waiting >= max_waiting {
            let own = self.line(origin).map_or(0, |line| line.len());
            let (_, longest) = self
                .lines
                .iter_mut()
                .max_by_key(|(_, line)| line.len())
                .ok_or(Busy)?;
            if longest.len() <= own + 1 {
                return Err(Busy);
            }
            longest.pop_back();
            self.waiting -= 1;
        }
        match self.line(origin) {
            Some(line) => line.push_back(job),
            None => self.lines.push_back((origin, VecDeque::from([job]))),
        }
        self.waiting += 1;
        Ok(())
    }

    fn pop(&mut self) -> Option<Job> {
        let (origin, mut line) = self.lines.pop_front()?;
        let job = line.pop_front()?;
        self.waiting -= 1;
        if !line.is_empty() {
            self.lines.push_back((origin, line));
        }
        Some(job)
    }

    fn line(&mut self, origin: Origin) -> Option<&mut VecDeque<Job>> {
        self.lines
            .iter_mut()
            .find(|(owner, _)| *owner == origin)
            .map(|(_, line)| line)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::mpsc::channel;

    use super::*;

    fn origin(n: u32) -> Origin {
        Origin::of(IpAddr::V4(Ipv4Addr::from(n)))
    }

    /// Fills a queue with jobs that note who they belong to.
    fn queue(max: usize, pushes: &[u32]) -> (Vec<bool>, Vec<u32>) {
        let (sender, receiver) = channel();
        let mut queue = Queue::default();
        let taken = pushes
            .iter()
            .map(|n| {
                let (sender, n) = (sender.clone(), *n);
                queue
                    .push(origin(n), Box::new(move || sender.send(n).unwrap()), max)
                    .is_ok()
            })
            .collect();
        while let Some(job) = queue.pop() {
            job();
        }
        assert_eq!(queue.waiting, 0);
        drop(sender);
        (taken, receiver.iter().collect())
    }

    #[test]
    fn addresses_take_turns() {
        assert_eq!(queue(9, &[1, 1, 1, 1, 2, 3, 2]).1, [1, 2, 3, 1, 2, 1, 1]);
    }

    #[test]
    fn a_full_queue_refuses_the_one_who_filled_it() {
        let (taken, ran) = queue(3, &[1, 1, 1, 1]);
        assert_eq!(taken, [true, true, true, false]);
        assert_eq!(ran, [1, 1, 1]);
    }

    #[test]
    fn a_full_queue_makes_room_for_a_newcomer() {
        let (taken, ran) = queue(3, &[1, 1, 1, 2]);
        assert_eq!(taken, [true; 4]);
        assert_eq!(ran, [1, 2, 1]);
    }

    #[test]
    fn a_job_gives_its_result_back() {
        let gate = Gate::open(2, 4).unwrap();
        assert_eq!(gate.run(origin(1), || 6 * 7).unwrap(), 42);
    }

    #[test]
    fn a_panicking_job_fails_alone() {
        let gate = Gate::open(1, 4).unwrap();
        assert!(
            gate.run(origin(1), || -> u8 { panic!("on purpose") })
                .is_err()
        );
        assert_eq!(gate.run(origin(1), || 1).unwrap(), 1);
    }
}
