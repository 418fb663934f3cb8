//! The time by which the front measures its deadlines.

use std::sync::Arc;
use std::time::Instant;

/// A clock that only runs forward, the same for all that share it. Only tests have another than the
/// system's.
#[derive(Clone)]
pub struct Timer(Arc<dyn Fn() -> Instant + Send + Sync>);

impl Timer {
    /// A timer that gives what `now` gives.
    pub fn new(now: impl Fn() -> Instant + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The current moment.
    pub fn now(&self) -> Instant {
        (self.0)()
    }
}

impl Default for Timer {
    /// The system's.
    fn default() -> Self {
        Self::new(Instant::now)
    }
}
