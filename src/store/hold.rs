//! A moment in which nobody saves, for whoever copies the files.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::store::document::held;
use crate::store::error::NotSaved;
use crate::store::flat_file::FlatFile;
use crate::store::lock::Lock;

/// Keeps all processes from saving accounts and sessions until it is dropped.
pub struct Hold {
    _accounts: Lock,
    _sessions: Lock,
}

/// Waits until nobody saves the accounts at `users` or the sessions beside them.
///
/// # Errors
///
/// If another process holds a lock for longer than `patience`, or the system refuses.
pub fn hold(users: &Path, patience: Duration) -> Result<Hold, NotSaved> {
    let end = Instant::now() + patience;
    let take = |path: &Path| {
        let not_held = |error: &dyn std::fmt::Display| NotSaved::not_held(path, error);
        let left = end.saturating_duration_since(Instant::now());
        let lock = FlatFile::new(path).lock(left);
        lock.map_err(|error| not_held(&error))?
            .ok_or_else(|| not_held(&held()))
    };
    // In the order in which a save takes them, so that none waits for the other.
    Ok(Hold {
        _accounts: take(users)?,
        _sessions: take(&users.with_file_name("sessions.json"))?,
    })
}
