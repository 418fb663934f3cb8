//! Whose a new file is: root works on files that a server reads which runs as another user.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{self as unix, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::OFlags;

use crate::durable::directory_of;
use crate::folder::{self, Links};

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

/// Gives what root has just made in a folder to the owner and group of that.
///
/// # Errors
///
/// As [`hand_over`].
pub fn hand_to_owner_of(folder: &folder::Folder, made: &File) -> io::Result<()> {
    if !is_root() {
        return Ok(());
    }
    let model = folder.handle().metadata()?;
    unix::fchown(made, Some(model.uid()), Some(model.gid()))
}

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

/// A folder of somebody else that root works in: it stays the same one, whatever its owner puts in
/// its place meanwhile. For anybody else it is just its path.
pub struct Folder {
    path: PathBuf,
    /// Held open, so that the path leads to it.
    _held: Option<File>,
}

impl Folder {
    /// Holds the folder at this path, which may be led to by links: whoever named it has chosen it.
    ///
    /// # Errors
    ///
    /// If it cannot be opened.
    pub fn named(path: &Path) -> io::Result<Self> {
        Self::open(path, OFlags::empty())
    }

    /// Holds a folder that lies in another one.
    ///
    /// # Errors
    ///
    /// If it cannot be opened, or is a link.
    pub fn within(path: &Path) -> io::Result<Self> {
        Self::open(path, OFlags::NOFOLLOW)
    }

    fn open(path: &Path, flags: OFlags) -> io::Result<Self> {
        let as_named = |held| Self {
            path: path.to_owned(),
            _held: held,
        };
        if !is_root() {
            return Ok(as_named(None));
        }
        let flags = OFlags::DIRECTORY | flags;
        let held = OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits().cast_signed())
            .open(path)?;
        // The way to the very folder that is open; where there is no /proc, its name must do.
        let fixed = PathBuf::from(format!("/proc/self/fd/{}", held.as_raw_fd()));
        if !fixed.is_dir() {
            return Ok(as_named(Some(held)));
        }
        Ok(Self {
            path: fixed,
            _held: Some(held),
        })
    }

    /// The way to it, as long as this lives.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
