//! Closes files and directories that are for their owner alone but are found open to others.

use std::fs::{File, Metadata, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use crate::log;

/// Whether the group or others have any rights.
pub fn are_open(metadata: &Metadata) -> bool {
    metadata.mode() & 0o077 != 0
}

/// Says in the log if the group or others have rights, as [`close`] does where it cannot take them
/// away.
pub fn tell(file: &File, path: &Path) {
    let Ok(metadata) = file.metadata() else {
        return;
    };
    if are_open(&metadata) {
        tracing::warn!(
            file = log::path(path),
            was = was(&metadata),
            "others can get at it; take the rights away: chmod {:04o}",
            closed(&metadata)
        );
    }
}

/// The mode without the rights of the group and of others.
fn closed(metadata: &Metadata) -> u32 {
    if metadata.is_dir() { 0o700 } else { 0o600 }
}

fn was(metadata: &Metadata) -> String {
    format!("{:04o}", metadata.mode() & 0o7777)
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
    let mode = closed(&metadata);
    let file_name = log::path(path);
    let was = was(&metadata);
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
