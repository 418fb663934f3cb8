//! Where passwords are hashed: as many threads as there are cores, of a lower priority, behind a
//! short queue in which those come first who have failed least.
//!
//! A hash costs tens of milliseconds of a core. Without the gate a burst of logins takes the
//! machine from everybody who only wants a page; without an order in the queue a crowd that guesses
//! takes it from everybody who knows a password.

use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::accounts::throttle::Standing;
use crate::accounts::throttle::limits::BLOCK;
use crate::origin::Origin;

/// The queue is full: try again in a moment.
#[derive(Debug)]
pub struct Busy;

/// How far hashing steps back behind everything else (nice(2)). Pages still go first, and where
/// others keep all cores busy a hash gets a quarter of one. At 19 it would get a hundredth, and a
/// login take longer than anybody waits.
const NICENESS: i32 = 5;

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
    /// [`Busy`] if the queue is full of those with a claim at least as good; also if one with a
    /// better claim took the place while it waited.
    pub fn run<R: Send + 'static>(
        &self,
        origin: Origin,
        standing: Standing,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, Busy> {
        let (sender, receiver) = sync_channel(1);
        let job: Job = Box::new(move || {
            // Nobody waits any more only if the request's thread is gone.
            let _ = sender.send(work());
        });
        let mut queue = self.shared.queue();
        queue.push(origin, standing, job, self.max_waiting)?;
        drop(queue);
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
    let _ = rustix::process::setpriority_process(None, NICENESS);
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

/// Waiting jobs, best claim first.
#[derive(Default)]
struct Queue {
    waiting: BTreeMap<Claim, (Origin, Job)>,
    /// The latest turn anybody has had.
    turn: usize,
    arrivals: u64,
}

/// A place in the queue; the lesser goes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    standing: Standing,
    /// One later for each job of the same origin that waits already, and for each [`BLOCK`] of the
    /// same /48, so that origins take turns.
    turn: usize,
    arrival: u64,
}

impl Queue {
    /// In a full queue the worst claim gives way to a better one; the job that is dropped tells its
    /// owner so.
    fn push(
        &mut self,
        origin: Origin,
        standing: Standing,
        job: Job,
        max_waiting: usize,
    ) -> Result<(), Busy> {
        let turn = self.turn + 1 + self.turns_taken(origin);
        if self.waiting.len() >= max_waiting {
            let worst = self.waiting.last_entry().ok_or(Busy)?;
            if (standing, turn) >= (worst.key().standing, worst.key().turn) {
                return Err(Busy);
            }
            drop(worst.remove());
        }
        let claim = Claim {
            standing,
            turn,
            arrival: self.arrivals,
        };
        self.arrivals += 1;
        self.waiting.insert(claim, (origin, job));
        Ok(())
    }

    /// How many turns go to those of the same origin who wait already: who has a /48 of IPv6 to
    /// themselves must not be 65,536 newcomers.
    fn turns_taken(&self, origin: Origin) -> usize {
        let owners = || self.waiting.values().map(|(owner, _)| *owner);
        let same = owners().filter(|owner| *owner == origin).count();
        let in_block = origin.block().map_or(0, |block| {
            owners()
                .filter(|owner| owner.block() == Some(block))
                .count()
        });
        same.max(in_block / BLOCK as usize)
    }

    fn pop(&mut self) -> Option<Job> {
        let (claim, (_, job)) = self.waiting.pop_first()?;
        self.turn = self.turn.max(claim.turn);
        Some(job)
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
    fn queue(max: usize, pushes: &[(u32, Standing)]) -> (Vec<bool>, Vec<u32>) {
        let (sender, receiver) = channel();
        let mut queue = Queue::default();
        let taken = pushes
            .iter()
            .map(|(n, standing)| {
                let (sender, n) = (sender.clone(), *n);
                let job = Box::new(move || sender.send(n).unwrap());
                queue.push(origin(n), *standing, job, max).is_ok()
            })
            .collect();
        while let Some(job) = queue.pop() {
            job();
        }
        drop(sender);
        (taken, receiver.iter().collect())
    }

    fn strangers(pushes: &[u32]) -> Vec<(u32, Standing)> {
        let stranger = Standing::Stranger { failures: 0 };
        pushes.iter().map(|n| (*n, stranger)).collect()
    }

    #[test]
    fn addresses_take_turns() {
        let (_, ran) = queue(9, &strangers(&[1, 1, 1, 1, 2, 3, 2]));
        assert_eq!(ran, [1, 2, 3, 1, 2, 1, 1]);
    }

    #[test]
    fn who_has_waited_for_his_turn_is_not_overtaken_for_ever() {
        let mut queue = Queue::default();
        let (sender, receiver) = channel();
        let push = |queue: &mut Queue, n: u32| {
            let sender = sender.clone();
            let job = Box::new(move || sender.send(n).unwrap());
            let stranger = Standing::Stranger { failures: 0 };
            queue.push(origin(n), stranger, job, 9).unwrap();
        };
        for _ in 0..3 {
            push(&mut queue, 1);
        }
        // One comes for each that goes.
        for newcomer in 2..9 {
            queue.pop().unwrap()();
            push(&mut queue, newcomer);
        }

        let ran: Vec<u32> = receiver.try_iter().collect();
        assert_eq!(ran, [1, 1, 2, 1, 3, 4, 5]);
    }

    #[test]
    fn a_full_queue_refuses_the_one_who_filled_it() {
        let (taken, ran) = queue(3, &strangers(&[1, 1, 1, 1]));
        assert_eq!(taken, [true, true, true, false]);
        assert_eq!(ran, [1, 1, 1]);
    }

    #[test]
    fn a_full_queue_makes_room_for_a_newcomer() {
        let (taken, ran) = queue(3, &strangers(&[1, 1, 1, 2]));
        assert_eq!(taken, [true; 4]);
        assert_eq!(ran, [1, 2, 1]);
    }

    #[test]
    fn who_has_failed_before_waits_for_who_has_not_and_makes_room() {
        let guesser = |n: u32| {
            (
                n,
                Standing::Stranger {
                    failures: n as usize,
                },
            )
        };
        let crowd = [guesser(3), guesser(1), guesser(2)];
        let honest = (9, Standing::Stranger { failures: 0 });
        let known = (8, Standing::Known);

        let (taken, ran) = queue(3, &[&crowd[..], &[honest, known, guesser(4)][..]].concat());

        assert_eq!(taken, [true, true, true, true, true, false]);
        assert_eq!(ran, [8, 9, 1]);
    }

    #[test]
    fn a_block_of_ipv6_that_fills_the_queue_makes_room_for_a_newcomer() {
        let mut queue = Queue::default();
        let (sender, receiver) = channel();
        let mut push = |address: String| {
            let sender = sender.clone();
            let origin = Origin::of(address.parse().unwrap());
            let job = Box::new(move || sender.send(address).unwrap());
            let stranger = Standing::Stranger { failures: 0 };
            queue.push(origin, stranger, job, 32).is_ok()
        };

        let block: Vec<bool> = (0..99)
            .map(|n| push(format!("2001:db8:1:{n:x}::1")))
            .collect();
        let newcomers = ["192.0.2.1", "2001:db8:2::1"];
        let others = newcomers.map(|address| push(address.to_owned()));

        assert_eq!(block.iter().filter(|taken| **taken).count(), 32);
        assert_eq!(others, [true; 2]);
        while let Some(job) = queue.pop() {
            job();
        }
        let ran: Vec<String> = receiver.try_iter().collect();
        assert_eq!(ran[10..12], newcomers);
    }

    #[test]
    fn a_job_gives_its_result_back() {
        let gate = Gate::open(2, 4).unwrap();
        assert_eq!(gate.run(origin(1), Standing::Known, || 6 * 7).unwrap(), 42);
    }

    #[test]
    fn a_panicking_job_fails_alone() {
        let gate = Gate::open(1, 4).unwrap();
        let panic = || -> u8 { panic!("on purpose") };
        assert!(gate.run(origin(1), Standing::Known, panic).is_err());
        assert_eq!(gate.run(origin(1), Standing::Known, || 1).unwrap(), 1);
    }
}
