//! Closes files and directories that are for their owner alone but are found open to others.

use std::fs::{File, Metadata, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use crate::log;

/// Whether the group or others have any rights.
pub fn are_open(metadata: &Metadata) -> bool {
    metadata.mode() & 0o077 != 0
}

/// Takes the rights of the group and of others away from an open file or directory, if they have
/// any, and says so in the log. `path` is its name in the log.
pub fn close(file: &File, path: &Path) {
    let Ok(metadata) = file.metadata() else {
        return;
    };
    if !are_open(&metadata) {
        return;
    }
    let mode = if metadata.is_dir() { 0o700 } else { 0o600 };
    let file_name = log::path(path);
    let was = format!("{:04o}", metadata.mode() & 0o7777);
    let now = format!("{mode:04o}");
    match file.set_permissions(Permissions::from_mode(mode)) {
        Ok(()) => tracing::warn!(
            file = file_name,
            was,
            now,
            "others could get at it, and cannot now"
        ),
        Err(error) => tracing::warn!(
            file = file_name,
            was,
            %error,
            "others can get at it; take the rights away: chmod {now}"
        ),
    }
}
