//! Whose a new file is: root works on files that a server reads which runs as another user.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{self as unix, MetadataExt as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::durable::directory_of;
use crate::folder::Links;

/// Whether this process is a command that root runs.
static IS_ROOTS_COMMAND: AtomicBool = AtomicBool::new(false);

/// Says that this process is a command, and no server. It may be root's, in a folder of somebody
/// who would like it to read or write elsewhere. The whole process is one or the other, so this is
/// said once, at its start, and holds for all commands, whatever they will do.
pub fn begin_command() {
    IS_ROOTS_COMMAND.store(is_root(), Ordering::Relaxed);
}

/// Whether links in the folder of the accounts are followed: a server, or whoever works on files of
/// their own, goes where its operator has it go.
pub fn links() -> Links {
    match IS_ROOTS_COMMAND.load(Ordering::Relaxed) {
        true => Links::Refused,
        false => Links::Followed,
    }
}

fn is_root() -> bool {
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
    let is_same = |found: &Metadata| (found.dev(), found.ino()) == (made.dev(), made.ino());
    // A link is not followed: its target may be anybody's.
    let replaced = fs::symlink_metadata(target).ok();
    let model = match replaced.filter(|found| found.is_file() && !is_same(found)) {
        Some(replaced) => replaced,
        None => fs::metadata(directory_of(target))?,
    };
    give(file, &model)
}

/// Gives a file or folder that root has just made to the owner and group of another, most often
/// the folder that it is in.
///
/// # Errors
///
/// As [`hand_over`].
pub fn give(file: &File, model: &Metadata) -> io::Result<()> {
    let made = file.metadata()?;
    if !is_root() || (model.uid(), model.gid()) == (made.uid(), made.gid()) {
        return Ok(());
    }
    unix::fchown(file, Some(model.uid()), Some(model.gid()))
}
