//! A store in memory, for tests: what passes both with it and with the files relies on the
//! interface alone.
//!
//! It is as unkind as the interface allows: every change is made twice and counts once, and reading
//! fails where a test says so.

use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::store::draft::{Base, Draft};
use crate::store::error::{NotSaved, Unavailable};

pub(in crate::store) struct Memory {
    kept: Mutex<Base>,
    /// Nothing can be read or changed.
    pub(in crate::store) away: AtomicBool,
    /// Changes are made, but the answers are lost.
    pub(in crate::store) silent: AtomicBool,
}

impl Default for Memory {
    fn default() -> Self {
        let kept = Base {
            accounts: Arc::default(),
            sessions: Arc::default(),
        };
        Self {
            kept: Mutex::new(kept),
            away: AtomicBool::new(false),
            silent: AtomicBool::new(false),
        }
    }
}

impl Memory {
    pub(in crate::store) fn read(&self) -> Result<Base, Unavailable> {
        match self.away.load(Ordering::Relaxed) {
            true => Err(Unavailable),
            false => Ok(self.kept().clone()),
        }
    }

    pub(in crate::store) fn update<R>(
        &self,
        change: impl Fn(&mut Draft) -> R,
    ) -> Result<R, NotSaved> {
        let not_saved = |why: &str| NotSaved::new(Path::new("memory"), &why);
        if self.away.load(Ordering::Relaxed) {
            return Err(not_saved("away"));
        }
        let mut kept = self.kept();
        let made = panic::catch_unwind(AssertUnwindSafe(|| {
            change(&mut Draft::of(kept.clone()));
            let mut draft = Draft::of(kept.clone());
            (change(&mut draft), draft)
        }));
        let (result, draft) = made.map_err(|_| not_saved("the change panicked"))?;
        *kept = Base {
            accounts: draft.accounts,
            sessions: draft.sessions,
        };
        match self.silent.load(Ordering::Relaxed) {
            true => Err(NotSaved::unknown()),
            false => Ok(result),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Base> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
