//! Where attempts wait whose turn depends on how other attempts turn out.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::gate::Busy;

/// The longest wait: enough for the other attempts to get their turn and be hashed.
const LONGEST: Duration = Duration::from_secs(25);

/// The attempts that wait, a bounded number.
pub struct Results {
    state: Mutex<State>,
    arrived: Condvar,
    max_waiting: usize,
}

#[derive(Default)]
struct State {
    arrivals: u64,
    waiting: usize,
}

impl Results {
    /// At most `max_waiting` attempts wait at once.
    pub fn new(max_waiting: usize) -> Self {
        Self {
            state: Mutex::default(),
            arrived: Condvar::new(),
            max_waiting,
        }
    }

    /// Tells those who wait that another attempt has been decided.
    pub fn arrived(&self) {
        self.state().arrivals += 1;
        self.arrived.notify_all();
    }

    /// Calls `ask` at once, and again whenever an attempt has been decided, until it gives an
    /// answer; also every `again`, where others are decided of which nothing is heard here.
    ///
    /// # Errors
    ///
    /// [`Busy`] if too many wait already, or the wait has lasted too long.
    pub fn wait_for<T>(
        &self,
        again: Option<Duration>,
        mut ask: impl FnMut() -> Option<T>,
    ) -> Result<T, Busy> {
        let mut seen = self.state().arrivals;
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        let begun = Instant::now();
        let _place = self.take_place()?;
        loop {
            let left = LONGEST.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Err(Busy::until(Duration::ZERO));
            }
            let pause = again.map_or(left, |again| again.min(left));
            let (state, _) = self
                .arrived
                .wait_timeout_while(self.state(), pause, |state| state.arrivals == seen)
                .unwrap_or_else(PoisonError::into_inner);
            // Noted before asking: a result that arrives during `ask` must not be missed.
            seen = state.arrivals;
            drop(state);
            if let Some(answer) = ask() {
                return Ok(answer);
            }
        }
    }

    /// Takes one of the places for those who wait, which is given back when dropped.
    fn take_place(&self) -> Result<Place<'_>, Busy> {
        let mut state = self.state();
        if state.waiting >= self.max_waiting {
            return Err(Busy::until(Duration::ZERO));
        }
        state.waiting += 1;
        Ok(Place(self))
    }

    /// Nothing can panic while this lock is held.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Place<'a>(&'a Results);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.state().waiting -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn who_waits_asks_again_when_a_result_arrives() {
        let (results, decided) = (Results::new(1), AtomicBool::new(false));
        let asked = AtomicBool::new(false);
        let answer = thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                results.wait_for(None, || {
                    asked.store(true, Ordering::SeqCst);
                    decided.load(Ordering::SeqCst).then_some(7)
                })
            });
            while !asked.load(Ordering::SeqCst) {
                thread::yield_now();
            }
            decided.store(true, Ordering::SeqCst);
            results.arrived();
            waiting.join().unwrap()
        });
        assert_eq!(answer.unwrap(), 7);
    }

    #[test]
    fn who_waits_for_others_asks_again_though_nobody_tells() {
        let (results, mut asked) = (Results::new(1), 0);
        let answer = results.wait_for(Some(Duration::from_millis(1)), || {
            asked += 1;
            (asked == 3).then_some(7)
        });
        assert_eq!(answer.unwrap(), 7);
    }

    #[test]
    fn who_finds_too_many_waiting_is_told_so() {
        let results = Results::new(0);
        assert!(results.wait_for(None, || None::<()>).is_err());
        assert!(results.wait_for(None, || Some(())).is_ok());
    }
}
