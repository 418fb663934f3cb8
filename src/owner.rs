//! Whose a new file is: root works on files that a server reads which runs as another user.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::fs::{self as unix, MetadataExt as _};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::FileType;

use crate::folder::{Folder, Links};

/// Whether this process is a command, and no server.
static IS_COMMAND: AtomicBool = AtomicBool::new(false);

/// Says that this process is a command. The whole process is one or not, so this is said once, at
/// its start, and holds for all commands, whatever they will do.
pub fn begin_command() {
    IS_COMMAND.store(true, Ordering::Relaxed);
}

/// Whether this process is a command: it has an operator who waits for it, and another process may
/// be the server.
pub fn is_command() -> bool {
    IS_COMMAND.load(Ordering::Relaxed)
}

/// Whether links in the folder of the accounts are followed: a server, or whoever works on files of
/// their own, goes where its operator has it go. A command that root runs may be in a folder of
/// somebody who would like it to read or write elsewhere.
pub fn links() -> Links {
    match is_command() && is_root() {
        true => Links::Refused,
        false => Links::Followed,
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Gives a file that root has just made in a folder, with all rights still its own, to the owner and
/// group of the file that it is to replace as `target` there, or of the folder if none is. Does
/// nothing for anybody else, whose files are their own.
///
/// # Errors
///
/// If the owner cannot be found out or made the owner.
pub fn hand_over(file: &File, folder: &Folder, target: &OsStr) -> io::Result<()> {
    if !is_root() {
        return Ok(());
    }
    let made = file.metadata()?;
    // A link is not followed: its target may be anybody's.
    let replaced = folder.look(target).ok().filter(|found| {
        let is_file = FileType::from_raw_mode(found.st_mode) == FileType::RegularFile;
        is_file && (found.st_dev, found.st_ino) != (made.dev(), made.ino())
    });
    let to = match replaced {
        Some(replaced) => (replaced.st_uid, replaced.st_gid),
        None => of_folder(folder)?,
    };
    give(file, to)
}

/// As [`hand_over`], for what replaces nothing.
///
/// # Errors
///
/// As [`hand_over`].
pub fn hand_to_owner_of(folder: &Folder, file: &File) -> io::Result<()> {
    match is_root() {
        true => give(file, of_folder(folder)?),
        false => Ok(()),
    }
}

fn of_folder(folder: &Folder) -> io::Result<(u32, u32)> {
    let folder = folder.handle().metadata()?;
    Ok((folder.uid(), folder.gid()))
}

fn give(file: &File, (user, group): (u32, u32)) -> io::Result<()> {
    let made = file.metadata()?;
    if (user, group) == (made.uid(), made.gid()) {
        return Ok(());
    }
    unix::fchown(file, Some(user), Some(group))
}
