//! Accounts that nobody can save for a while, as when another process saves them: what waits for that
//! looks once more at what allowed it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use serde_json::Value;

#[cfg(feature = "databases")]
use crate::harness::nodes::{self, Rows};
use crate::harness::{place, read};

/// How long what has been sent is given to come as far as its save. If it does not, a test sees less,
/// and passes.
pub(super) const LET_WAIT: Duration = Duration::from_millis(700);

/// Goes on when it is dropped.
pub(crate) enum Held {
    /// Whose lock is held, and where.
    File { _lock: File, dir: PathBuf },
    #[cfg(feature = "databases")]
    Rows(Rows),
}

impl Held {
    pub(crate) fn of(dir: &Path) -> Self {
        #[cfg(feature = "databases")]
        if let Some(rows) = nodes::hold(dir) {
            return Self::Rows(rows);
        }
        let lock = dir.join("users.json.lock");
        let lock = File::options().write(true).open(lock).unwrap();
        lock.lock().unwrap();
        Self::File {
            _lock: lock,
            dir: dir.to_owned(),
        }
    }

    /// Lets what has been sent come as far as its save: so many in all.
    pub(crate) fn let_wait(&mut self, number: usize) {
        match self {
            Self::File { .. } => thread::sleep(LET_WAIT),
            #[cfg(feature = "databases")]
            Self::Rows(rows) => rows.let_wait(number),
        }
        let _ = number;
    }

    /// An account as it is kept, without the key of its second factor; null if there is none.
    pub(crate) fn account(&mut self, name: &str) -> Value {
        match self {
            Self::File { dir, .. } => {
                let mut users: Value = serde_json::from_str(&read(dir, "users.json")).unwrap();
                users["users"][name].take()
            }
            #[cfg(feature = "databases")]
            Self::Rows(rows) => rows.account(name),
        }
    }

    /// Changes an account as an operator with an editor would.
    pub(crate) fn edit(&mut self, name: &str, edit: impl FnOnce(&mut Value)) {
        match self {
            Self::File { dir, .. } => {
                place::edit(dir, "users.json", |users| edit(&mut users["users"][name]));
            }
            #[cfg(feature = "databases")]
            Self::Rows(rows) => rows.edit(name, edit),
        }
    }

    /// Takes an account out, as an operator with an editor would.
    pub(crate) fn remove(&mut self, name: &str) {
        match self {
            Self::File { dir, .. } => {
                let mut users: Value = serde_json::from_str(&read(dir, "users.json")).unwrap();
                users["users"].as_object_mut().unwrap().remove(name);
                fs::write(dir.join("users.json"), users.to_string()).unwrap();
            }
            #[cfg(feature = "databases")]
            Self::Rows(rows) => rows.remove(name),
        }
    }
}
