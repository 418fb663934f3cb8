//! What the store says when something is wrong: to the operator at start, to the log later.
//!
//! Nothing here repeats a value from a file: it may be a key that somebody put in the wrong place.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::store::fit::Unfit;

/// Why the server cannot start on these files. Names the file, and line and column if they are
/// known; the files are untouched.
#[derive(Debug)]
pub struct OpenError {
    /// As in "cannot read".
    verb: &'static str,
    path: PathBuf,
    damage: Damage,
    hint: &'static str,
}

/// Why a change was not saved. For the log, not for a visitor.
#[derive(Clone, Debug)]
pub struct NotSaved {
    said: Arc<str>,
    kind: Kind,
}

/// How a reason begins that a database gave.
#[cfg(feature = "postgres")]
const IN_DATABASE: &str = "cannot save in the database";

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// Nothing of the change is kept.
    Refused,
    /// The same, and it may be otherwise in a moment.
    Busy,
    /// No change can be saved until an operator mends the file.
    Unreadable,
    /// It may have been saved, or may still be.
    Unknown,
}

/// Nothing can be read for the moment.
#[derive(Clone, Copy, Debug)]
pub struct Unavailable;

/// What is wrong with a file's content.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Damage {
    pub(super) reason: String,
    /// Line and column, both from 1.
    pub(super) place: Option<(usize, usize)>,
}

impl OpenError {
    /// `hint` says what to do, unless the trouble is that this process may not read the file.
    pub(super) fn new(path: &Path, damage: Damage, hint: &'static str) -> Self {
        // Checked without opening the file: a pipe would keep us waiting.
        let denied = rustix::fs::access(path, rustix::fs::Access::READ_OK)
            .is_err_and(|error| error == rustix::io::Errno::ACCESS);
        let hint = if denied {
            "let the user this runs as read it, with chown or chmod"
        } else {
            hint
        };
        Self {
            verb: "read",
            path: path.to_owned(),
            damage,
            hint,
        }
    }

    /// Nothing is wrong with the file, but there is no thread to look after it.
    pub(super) fn no_thread(path: &Path, error: &io::Error) -> Self {
        Self {
            verb: "start a thread for",
            path: path.to_owned(),
            damage: Damage::new(error.to_string()),
            hint: "raise the limit on processes or memory, for instance with ulimit -u and ulimit -v",
        }
    }

    /// One sentence on what to do about the error.
    pub fn hint(&self) -> &str {
        self.hint
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {:?}: {}", self.verb, self.path, self.damage)
    }
}

impl Error for OpenError {}

impl From<Unfit> for OpenError {
    fn from(unfit: Unfit) -> Self {
        Self {
            verb: unfit.verb,
            path: unfit.path,
            damage: Damage::new(unfit.reason),
            hint: unfit.hint,
        }
    }
}

impl NotSaved {
    pub(super) fn new(path: &Path, reason: &dyn fmt::Display) -> Self {
        Self {
            said: format!("cannot save {path:?}: {reason}").into(),
            kind: Kind::Refused,
        }
    }

    /// The refusal to copy a file, whose lock cannot be had.
    pub(super) fn not_held(path: &Path, reason: &dyn fmt::Display) -> Self {
        Self {
            said: format!("cannot lock {path:?}: {reason}").into(),
            kind: Kind::Refused,
        }
    }

    /// The refusal while the file cannot be read.
    pub(super) fn unreadable(path: &Path, reason: &dyn fmt::Display) -> Self {
        Self {
            kind: Kind::Unreadable,
            ..Self::new(path, reason)
        }
    }

    /// For a change that a database refused.
    #[cfg(feature = "postgres")]
    pub(super) fn in_database(reason: &dyn fmt::Display) -> Self {
        Self {
            said: format!("{IN_DATABASE}: {reason}").into(),
            kind: Kind::Refused,
        }
    }

    /// For a change that a database could not be asked for, or that was in the way of others for too
    /// long.
    #[cfg(feature = "postgres")]
    pub(super) fn busy_database(reason: &dyn fmt::Display) -> Self {
        Self {
            kind: Kind::Busy,
            ..Self::in_database(reason)
        }
    }

    /// For a change whose answer was lost, and nobody knows what became of it.
    #[cfg(feature = "postgres")]
    pub(super) fn unknown_in_database(reason: &dyn fmt::Display) -> Self {
        Self {
            kind: Kind::Unknown,
            ..Self::in_database(reason)
        }
    }

    /// For a lost answer, which files never cause.
    #[cfg(test)]
    pub(super) fn unknown() -> Self {
        Self {
            kind: Kind::Unknown,
            ..Self::new(Path::new("memory"), &"the answer was lost")
        }
    }

    /// Whether the change may have been saved after all; else nothing of it is kept.
    pub fn is_unknown(&self) -> bool {
        self.kind == Kind::Unknown
    }

    /// Whether a database has said so, or could not be asked.
    #[cfg(feature = "postgres")]
    pub fn is_of_database(&self) -> bool {
        self.said.starts_with(IN_DATABASE)
    }

    /// Whether a database has said so, or could not be asked.
    #[cfg(not(feature = "postgres"))]
    pub fn is_of_database(&self) -> bool {
        false
    }

    /// Whether nothing of the change is kept, and the next may be.
    pub fn is_busy(&self) -> bool {
        self.kind == Kind::Busy
    }

    /// Whether no change can be saved until an operator mends the file.
    pub fn is_unreadable(&self) -> bool {
        self.kind == Kind::Unreadable
    }
}

impl fmt::Display for NotSaved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said)
    }
}

impl Error for NotSaved {}

impl Damage {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            place: None,
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((line, column)) = self.place {
            write!(f, "line {line}, column {column}: ")?;
        }
        f.write_str(&self.reason)
    }
}

impl From<io::Error> for Damage {
    fn from(error: io::Error) -> Self {
        Self::new(error.to_string())
    }
}

impl From<serde_json::Error> for Damage {
    fn from(error: serde_json::Error) -> Self {
        let message = error.to_string();
        let reason = match message.rsplit_once(" at line ") {
            Some((reason, _)) => reason,
            None => &message,
        };
        Self {
            reason: without_value(reason),
            place: (error.line() > 0).then(|| (error.line(), error.column().max(1))),
        }
    }
}

/// Removes the value from "invalid type: string "…", expected …", and leaves its type.
fn without_value(reason: &str) -> String {
    let Some((found, expected)) = reason
        .starts_with("invalid ")
        .then(|| reason.rsplit_once(", expected "))
        .flatten()
    else {
        return reason.to_owned();
    };
    let kind = found.split(['"', '`']).next().unwrap_or_default();
    format!("{}, expected {expected}", kind.trim_end())
}
