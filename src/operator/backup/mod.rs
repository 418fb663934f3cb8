//! Backups: what a server knows at one moment in one tar, and a folder made of it again.

use std::fmt::Display;
use std::path::Path;

use crate::operator::Refused;
use crate::store::{NotSaved, OpenError};

mod archive;
#[cfg(feature = "postgres")]
mod database;
mod folder;
mod gathered;
mod made;
mod names;
#[cfg(feature = "postgres")]
mod own;
mod restored;
#[cfg(test)]
mod tests;

#[cfg(feature = "postgres")]
pub use database::restore_database;
#[cfg(feature = "postgres")]
pub use made::backup_database;
pub use made::{Asked, Made, backup};
pub use restored::{Restored, restore};

/// Hears how many bytes of how many are done.
pub type Told<'a> = &'a mut dyn FnMut(u64, u64);

/// Why there is no backup, or nothing was restored. No file is made then.
pub struct NotDone {
    /// For programs, as in [`Refused::said`].
    pub code: &'static str,
    pub what: String,
    pub hint: Option<String>,
}

impl NotDone {
    /// What is there cannot be used.
    fn no_file(what: impl Display, hint: impl Display) -> Self {
        Self {
            code: "no_file",
            what: what.to_string(),
            hint: Some(hint.to_string()),
        }
    }

    /// What is to be made cannot be.
    fn not_saved(what: impl Display, hint: impl Display) -> Self {
        Self {
            code: "not_saved",
            ..Self::no_file(what, hint)
        }
    }
}

impl From<OpenError> for NotDone {
    fn from(error: OpenError) -> Self {
        Self::no_file(&error, error.hint())
    }
}

impl From<NotSaved> for NotDone {
    fn from(error: NotSaved) -> Self {
        let what = error.to_string();
        let refused = Refused::NotSaved(error);
        Self::not_saved(what, refused.hint().unwrap_or_default())
    }
}

/// Whether a tar holds a backup that could be restored. For bytes without a file, as in fuzzing.
///
/// # Errors
///
/// What an operator would be told about it.
pub fn judge(tar: &[u8]) -> Result<(), String> {
    let inside = archive::read(tar, &mut |_| ()).map_err(|bad| bad.to_string())?;
    crate::store::judge_accounts(Path::new(names::USERS), &inside.users)
        .map(drop)
        .map_err(|error| error.to_string())
}
