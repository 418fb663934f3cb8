//! Whose a new file is: root works on files that a server reads which runs as another user.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{self as unix, MetadataExt as _};
use std::path::Path;

use crate::durable::directory_of;

/// Whether this is root, who may write anywhere and must not be led astray.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Gives a file that root has just made, with all rights still its own, to the owner and group of
/// the file that it is to replace at `target`, or of the folder if none is there. Does nothing for
/// anybody else, whose files are their own.
///
/// # Errors
///
/// If the owner cannot be found out or made the owner.
pub fn hand_over(file: &File, target: &Path) -> io::Result<()> {
    if !is_root() {
        return Ok(());
    }
    let made = file.metadata()?;
    let is_same = |found: &fs::Metadata| (found.dev(), found.ino()) == (made.dev(), made.ino());
    // A link is not followed: its target may be anybody's.
    let replaced = fs::symlink_metadata(target).ok();
    let model = match replaced.filter(|found| found.is_file() && !is_same(found)) {
        Some(replaced) => replaced,
        None => fs::metadata(directory_of(target))?,
    };
    if (model.uid(), model.gid()) == (made.uid(), made.gid()) {
        return Ok(());
    }
    unix::fchown(file, Some(model.uid()), Some(model.gid()))
}
