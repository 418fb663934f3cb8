//! Whether the files can be saved at all: found out at start, and not by the first visitor.
//!
//! Everything a save does is tried on scratch files, and on the real ones only what is sure to
//! change nothing. Nothing is left behind.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
use rustix::thread::CapabilitySet;

use crate::accounts::token;
use crate::durable::{self, directory_of};
use crate::store::flat_file::{real_path, sibling};
use crate::store::lock;

/// What a save could not do, to which file, and why.
#[derive(Debug)]
pub(super) struct Unfit {
    /// As in "cannot replace".
    pub(super) verb: &'static str,
    pub(super) path: PathBuf,
    pub(super) reason: String,
    pub(super) hint: &'static str,
}

const FOLDER: &str = "each save puts a new file in place of the old: mount or hand over the whole \
                      folder, not the file alone, and let the user it runs as write there";

const LOCK: &str = "let the user it runs as write to that file, or remove it";

const NO_LOCKS: &str = "put the folder on a file system that has locks, such as a local disk; if \
                        it is mounted, see to its options";

const ROOM: &str =
    "make room in its folder: a save puts a new file there before it removes the old";

const IN_THE_WAY: &str = "remove it: new versions are written there before they replace the file";

fn unfit(verb: &'static str, path: &Path, reason: String, hint: &'static str) -> Unfit {
    Unfit {
        verb,
        path: path.to_owned(),
        reason,
        hint,
    }
}

/// Tries what a save of this file will do, whether it is there yet or not.
pub(super) fn try_out(path: &Path) -> Result<(), Unfit> {
    judge(path, in_folder, replacing)
}

/// As [`try_out`], as far as that can be known without a file that has a name for a moment, or any
/// other trace.
pub(super) fn look(path: &Path) -> Result<(), Unfit> {
    judge(path, in_folder_without_trace, replacing_without_trace)
}

/// Room that a change may need besides what the file has now: that of an account.
const ONE_ACCOUNT: u64 = 1024;

/// Finds out whether there is room for a new version of this file, and leaves no trace.
pub(super) fn find_room(path: &Path) -> Result<(), Unfit> {
    let find = || {
        let target = real_path(path)?;
        let size = fs::metadata(&target).map_or(0, |file| file.len());
        durable::find_room(directory_of(&target), size.saturating_add(ONE_ACCOUNT))
    };
    find().map_err(|error: io::Error| unfit("save", path, error.to_string(), ROOM))
}

fn judge(
    path: &Path,
    in_folder: fn(&Path) -> Result<(), Failed>,
    replacing: fn(&Path) -> io::Result<()>,
) -> Result<(), Unfit> {
    // If this is a link, a save replaces the file that it leads to.
    let target = match real_path(path) {
        Ok(target) => target,
        Err(error) => return Err(unfit("find", path, error.to_string(), FOLDER)),
    };
    if is_mounted(&target) {
        let reason =
            "it is mounted by itself, and nothing can take the place of a mount".to_owned();
        return Err(unfit("replace", path, reason, FOLDER));
    }
    let draft = sibling(&target, ".new");
    if draft.is_dir() && !draft.is_symlink() {
        let reason = "there is a folder of that name".to_owned();
        return Err(unfit("write", &draft, reason, IN_THE_WAY));
    }
    let lock = sibling(&target, ".lock");
    if lock.exists()
        && let Err(error) = lock::open(&lock, false)
    {
        return Err(unfit("lock", &lock, error.to_string(), LOCK));
    }
    let folder = directory_of(&target);
    in_folder(&target).map_err(|failed| match failed {
        Failed::Locking(error) => unfit("lock files in", folder, error.to_string(), NO_LOCKS),
        Failed::Writing(error) => {
            let reason = format!("no file in its folder can be: {error}");
            unfit("replace", path, reason, FOLDER)
        }
    })?;
    replacing(&target).map_err(|error| unfit("replace", path, error.to_string(), FOLDER))
}

enum Failed {
    Locking(io::Error),
    Writing(io::Error),
}

/// Makes a scratch file, locks it, puts it in place of another, and removes it.
fn in_folder(target: &Path) -> Result<(), Failed> {
    let directory = File::open(directory_of(target)).map_err(Failed::Writing)?;
    let (draft, replaced) = (Scrap::beside(target), Scrap::beside(target));
    let file = draft.make_file();
    match (file, replaced.make_file()) {
        (Ok(file), Ok(_)) => {
            file.lock().map_err(Failed::Locking)?;
            let written = file
                .sync_all()
                .and_then(|()| fs::rename(&draft.0, &replaced.0))
                .and_then(|()| directory.sync_all());
            written.or_else(unless_full).map_err(Failed::Writing)
        }
        (Err(error), _) | (_, Err(error)) => unless_full(error).map_err(Failed::Writing),
    }
}

fn in_folder_without_trace(target: &Path) -> Result<(), Failed> {
    match durable::probe(directory_of(target)) {
        Ok(locked) => locked.map_err(Failed::Locking),
        Err(error) => unless_full(error).map_err(Failed::Writing),
    }
}

/// Forgives a full disk: it may have room tomorrow, and visitors who are logged in can be served.
fn unless_full(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Ok(()),
        _ => Err(error),
    }
}

/// Whether the file itself, if it is there, may be replaced: it may be marked as immutable, or be
/// another user's in a folder like `/tmp`.
///
/// A directory is renamed to the file's name, which never works. But the system says why not, and
/// checks whether both are directories only after everything that would forbid us to rename.
fn replacing(target: &Path) -> io::Result<()> {
    if !target.is_file() {
        return Ok(());
    }
    let directory = Scrap::beside(target);
    if let Err(error) = fs::create_dir(&directory.0) {
        return unless_full(error);
    }
    match fs::rename(&directory.0, target) {
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(()),
        Err(error) => Err(error),
        // The file was removed at this very moment: nothing may take its place.
        Ok(()) => fs::remove_dir(target),
    }
}

/// The two reasons known for which a file that is there cannot be replaced in a folder in which
/// files can be made.
fn replacing_without_trace(target: &Path) -> io::Result<()> {
    let Ok(file) = fs::symlink_metadata(target) else {
        return Ok(());
    };
    let folder = fs::metadata(directory_of(target))?;
    let own = rustix::process::geteuid().as_raw();
    let may_anyway = rustix::thread::capabilities(None)
        .is_ok_and(|sets| sets.effective.contains(CapabilitySet::FOWNER));
    let is_ours = may_anyway || file.uid() == own || folder.uid() == own;
    let is_sticky = folder.mode() & 0o1000 != 0;
    let fixed = StatxAttributes::IMMUTABLE | StatxAttributes::APPEND;
    let is_fixed = statx(CWD, target, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::TYPE)
        .is_ok_and(|found| found.stx_attributes.intersects(fixed));
    match is_fixed || (is_sticky && !is_ours) {
        true => Err(rustix::io::Errno::PERM.into()),
        false => Ok(()),
    }
}

/// Whether this very file is a mount point, as containers make of single files. It can then be
/// written to, but nothing can replace it.
fn is_mounted(path: &Path) -> bool {
    let found = statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::TYPE);
    let root = StatxAttributes::MOUNT_ROOT;
    match found {
        Ok(found) if found.stx_attributes_mask.contains(root) => {
            found.stx_attributes.contains(root)
        }
        // Before Linux 5.8. A mount from the same file system is not noticed then.
        _ => {
            let device = |path: &Path| fs::symlink_metadata(path).map(|found| found.dev()).ok();
            let (own, folder) = (device(path), device(directory_of(path)));
            own.is_some() && folder.is_some() && own != folder
        }
    }
}

/// The name of a scratch file beside the real one, removed when this is dropped.
struct Scrap(PathBuf);

impl Scrap {
    /// The name is random, since another process may be trying at the same time.
    fn beside(target: &Path) -> Self {
        let random = u64::from_le_bytes(token::random());
        Self(sibling(target, &format!(".try-{random:016x}")))
    }

    fn make_file(&self) -> io::Result<File> {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&self.0)
    }
}

impl Drop for Scrap {
    fn drop(&mut self) {
        // It is a file, a directory, or renamed and gone.
        let _ = fs::remove_file(&self.0).or_else(|_| fs::remove_dir(&self.0));
    }
}
