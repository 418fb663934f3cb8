//! Files that are there whole or not at all, whatever is killed or unplugged: written beside their
//! place, synced, renamed into it, and the new name synced too.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, CWD, FallocateFlags, Mode, OFlags, access, fallocate, openat, statvfs};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::geteuid;

use crate::folder::Folder;

/// A file that is not in its place yet. If it is dropped before, it is removed.
///
/// No `Debug`: keys and passwords are written to it.
pub struct Draft {
    file: File,
    scrap: Scrap,
    /// `File::sync_all`; tests put a failing disk in its place.
    pub sync: fn(&File) -> io::Result<()>,
}

/// The place of a draft. The file there is removed when this is dropped, unless it was left.
struct Scrap {
    folder: Folder,
    name: OsString,
    is_left: bool,
}

impl Drop for Scrap {
    fn drop(&mut self) {
        // Nothing is there once the draft is in its place. One that cannot be removed is not in the
        // way for long: the next draft or the next start takes care of it.
        if !self.is_left {
            let _ = self.folder.remove(&self.name);
        }
    }
}

/// Why a file was not put in its place, and on which side of the rename.
pub enum Failure {
    /// The old file is still there, untouched.
    Before(io::Error),
    /// The new file is there, and may or may not survive a power cut.
    After(io::Error),
}

impl Draft {
    /// Begins a draft at this path, where nothing may be yet, in the folder of its final place. It
    /// gets exactly this mode, whatever the umask.
    ///
    /// # Errors
    ///
    /// Whatever the disk says.
    pub fn create(path: PathBuf, mode: u32) -> io::Result<Self> {
        Self::create_in(&Folder::open(directory_of(&path))?, name_of(&path)?, mode)
    }

    /// As [`Draft::create`], in a folder that is open.
    ///
    /// # Errors
    ///
    /// Whatever the disk says.
    pub fn create_in(folder: &Folder, name: &OsStr, mode: u32) -> io::Result<Self> {
        Ok(Self {
            file: folder.create(name, OFlags::WRONLY, mode)?,
            scrap: Scrap {
                folder: folder.clone(),
                name: name.to_owned(),
                is_left: false,
            },
            sync: File::sync_all,
        })
    }

    /// As [`Draft::create`], but replaces what a killed process left, or somebody else's link.
    ///
    /// # Errors
    ///
    /// Whatever the disk says.
    pub fn create_anew(path: PathBuf, mode: u32) -> io::Result<Self> {
        // If it cannot be removed, the next call says so.
        let _ = fs::remove_file(&path);
        Self::create(path, mode)
    }

    /// The file, to be written to.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Where it is as long as it is a draft.
    pub fn path(&self) -> PathBuf {
        self.scrap.folder.path().join(&self.scrap.name)
    }

    /// The folder that it is in.
    pub fn folder(&self) -> &Folder {
        &self.scrap.folder
    }

    /// Makes what was written survive a power cut, so that its name cannot end up on an empty file.
    ///
    /// # Errors
    ///
    /// Whatever the disk says.
    pub fn sync(&self) -> io::Result<()> {
        (self.sync)(&self.file)
    }

    /// Leaves the draft where it is, to be renamed later, perhaps by another process; gives its
    /// path.
    pub fn leave(mut self) -> PathBuf {
        self.scrap.is_left = true;
        self.path()
    }

    /// Puts what was synced in place of whatever is at `target`, in the same folder.
    ///
    /// # Errors
    ///
    /// The [`Failure`] says whether the new file is in place all the same.
    pub fn put(self, target: &Path) -> Result<File, Failure> {
        let Scrap { folder, name, .. } = &self.scrap;
        put(Folder::rename, folder, (name, target), self.sync)?;
        Ok(self.file)
    }

    /// As [`Draft::put`], but replaces nothing.
    ///
    /// # Errors
    ///
    /// As [`Draft::put`]; `AlreadyExists`, if there is a file of that name.
    pub fn put_anew(self, target: &Path) -> Result<File, Failure> {
        let Scrap { folder, name, .. } = &self.scrap;
        put(Folder::rename_anew, folder, (name, target), self.sync)?;
        Ok(self.file)
    }
}

/// Renames a file within its folder, for good.
///
/// # Errors
///
/// The [`Failure`] says whether the file has its new name all the same.
pub fn rename(from: &Path, to: &Path) -> Result<(), Failure> {
    // Opened first, since this must not fail for want of a descriptor once the file is renamed.
    let folder = Folder::open(directory_of(to)).map_err(Failure::Before)?;
    let name = name_of(from).map_err(Failure::Before)?;
    put(Folder::rename, &folder, (name, to), File::sync_all)
}

fn put(
    rename: fn(&Folder, &OsStr, &OsStr) -> io::Result<()>,
    folder: &Folder,
    (from, to): (&OsStr, &Path),
    sync: fn(&File) -> io::Result<()>,
) -> Result<(), Failure> {
    let to = name_of(to).map_err(Failure::Before)?;
    rename(folder, from, to).map_err(Failure::Before)?;
    sync(folder.handle()).map_err(Failure::After)
}

/// The last part of a path.
///
/// # Errors
///
/// If it has none, and so is that of a folder.
pub fn name_of(path: &Path) -> io::Result<&OsStr> {
    path.file_name()
        .ok_or_else(|| io::ErrorKind::IsADirectory.into())
}

/// Makes a new or a removed name in the directory of `path` survive a power cut.
///
/// # Errors
///
/// Whatever the disk says.
pub fn sync_directory_of(path: &Path) -> io::Result<()> {
    File::open(directory_of(path))?.sync_all()
}

/// Finds out whether files can be made in this directory and locked there, and leaves no trace: the
/// one that is made has no name. The second error is that of the lock.
///
/// # Errors
///
/// Whatever the system says.
pub fn probe(directory: &Path) -> io::Result<io::Result<()>> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    match openat(CWD, directory, flags, Mode::from(0o600)) {
        Ok(file) => Ok(File::from(file).lock()),
        // Not every file system has such files.
        Err(Errno::OPNOTSUPP | Errno::ISDIR) => {
            access(directory, Access::WRITE_OK | Access::EXEC_OK)?;
            Ok(Ok(()))
        }
        Err(error) => Err(error.into()),
    }
}

/// Finds out whether a new file in this directory could hold so many bytes, and leaves no trace. Where
/// the file system cannot keep room for a file without a name, its free blocks are counted, and
/// nobody's quota is.
///
/// # Errors
///
/// `StorageFull` or `QuotaExceeded` if there is no room, `FileTooLarge` if the process may not write
/// so much, and otherwise whatever the system says.
pub fn find_room(directory: &Path, bytes: u64) -> io::Result<()> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    match openat(CWD, directory, flags, Mode::from(0o600)) {
        Ok(file) => {
            let kept = || fallocate(&file, FallocateFlags::empty(), 0, bytes);
            match retry_on_intr(kept) {
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => count_free(directory, bytes),
                kept => Ok(kept?),
            }
        }
        Err(Errno::OPNOTSUPP | Errno::ISDIR) => {
            access(directory, Access::WRITE_OK | Access::EXEC_OK)?;
            count_free(directory, bytes)
        }
        Err(error) => Err(error.into()),
    }
}

fn count_free(directory: &Path, bytes: u64) -> io::Result<()> {
    let found = statvfs(directory)?;
    // What is kept back is kept for root.
    let (blocks, files) = match geteuid().is_root() {
        true => (found.f_bfree, found.f_ffree),
        false => (found.f_bavail, found.f_favail),
    };
    // Some file systems make files as they need them, and say that there are none.
    let has_files = found.f_files == 0 || files > 0;
    match has_files && blocks.saturating_mul(found.f_frsize) >= bytes {
        true => Ok(()),
        false => Err(Errno::NOSPC.into()),
    }
}

/// The directory a file is in; the current one for a bare name.
pub fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        Some(_) => Path::new("."),
        None => path,
    }
}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Before(error) | Failure::After(error) => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use super::*;

    fn put_text(directory: &Path, text: &str) -> Result<File, Failure> {
        let draft = Draft::create_anew(directory.join("draft"), 0o600).map_err(Failure::Before)?;
        draft.file().write_all(text.as_bytes()).unwrap();
        draft.sync().map_err(Failure::Before)?;
        draft.put(&directory.join("file"))
    }

    #[test]
    fn a_draft_takes_the_place_of_a_file_and_leaves_none_behind() {
        let directory = tempfile::tempdir().unwrap();
        for text in ["one", "two"] {
            assert!(put_text(directory.path(), text).is_ok());
            let file = directory.path().join("file");
            assert_eq!(fs::read_to_string(&file).unwrap(), text);
            assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
            assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn a_draft_that_is_dropped_is_gone_and_the_file_untouched() {
        let directory = tempfile::tempdir().unwrap();
        assert!(put_text(directory.path(), "one").is_ok());

        let draft = Draft::create(directory.path().join("draft"), 0o600).unwrap();
        draft.file().write_all(b"two").unwrap();
        drop(draft);

        let file = directory.path().join("file");
        assert_eq!(fs::read_to_string(file).unwrap(), "one");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_draft_that_replaces_nothing_is_refused_by_a_file_and_by_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        let put = || {
            let draft = Draft::create(directory.path().join("draft"), 0o600).unwrap();
            draft.put_anew(&file).map_err(io::Error::from)
        };
        assert!(put().is_ok());

        fs::write(&file, "one").unwrap();
        assert_eq!(put().unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&file).unwrap(), "one");

        fs::remove_file(&file).unwrap();
        symlink("nowhere", &file).unwrap();
        assert_eq!(put().unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn neither_a_left_draft_nor_a_link_is_written_to() {
        let directory = tempfile::tempdir().unwrap();
        let precious = directory.path().join("precious");
        fs::write(&precious, "precious").unwrap();
        symlink(&precious, directory.path().join("draft")).unwrap();

        assert!(Draft::create(directory.path().join("draft"), 0o600).is_err());
        assert!(put_text(directory.path(), "one").is_ok());

        assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
    }

    #[test]
    fn a_name_that_cannot_be_synced_is_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let mut draft = Draft::create(directory.path().join("draft"), 0o600).unwrap();
        draft.sync = |_| Err(io::Error::other("bad sector"));
        assert!(draft.sync().is_err());
        let file = directory.path().join("file");
        assert!(matches!(draft.put(&file), Err(Failure::After(_))));
        assert!(file.exists());
    }

    #[test]
    fn room_is_found_or_not_and_nothing_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let tight = u64::try_from(i64::MAX).unwrap();
        for find in [find_room, count_free] {
            assert!(find(directory.path(), 4096).is_ok());
            assert!(find(directory.path(), tight).is_err());
        }
        assert!(find_room(&directory.path().join("nowhere"), 1).is_err());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
