//! A folder by its handle. Whoever owns it may put links into it and swap what lies there at any
//! moment, and root, who works in it, must follow none of them.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Permissions};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Dir, Mode, OFlags, fstat, mkdirat, openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;

/// An open folder.
pub(super) struct Folder(OwnedFd);

/// What has a name in a folder.
pub(super) enum Found {
    File(File),
    /// A link, a folder, a pipe or a device, none of which is opened; or the second name of a file
    /// of somebody else than the folder's owner, which whoever owns the folder may have given it.
    Other,
    Nothing,
}

impl Folder {
    /// Opens a folder that the operator has named, by links or not.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(openat(CWD, path, flags, Mode::empty())?))
    }

    /// A folder in it; `None` if there is none of that name.
    ///
    /// # Errors
    ///
    /// Whatever the system says, and if it is a link or no folder.
    pub(super) fn folder(&self, name: &OsStr) -> io::Result<Option<Self>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(&self.0, name, flags, Mode::empty()) {
            Ok(opened) => Ok(Some(Self(opened))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What has this name, open to be read if it is a file.
    ///
    /// # Errors
    ///
    /// Whatever the system says about a file that is there.
    pub(super) fn look(&self, name: &OsStr) -> io::Result<Found> {
        // Opening a pipe would wait for somebody at its other end.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match openat(&self.0, name, flags, Mode::empty()) {
            Ok(opened) => {
                let file = File::from(opened);
                let found = file.metadata()?;
                let is_theirs = found.nlink() < 2 || found.uid() == fstat(&self.0)?.st_uid;
                Ok(if found.is_file() && is_theirs {
                    Found::File(file)
                } else {
                    Found::Other
                })
            }
            Err(Errno::NOENT) => Ok(Found::Nothing),
            // A link, and a socket.
            Err(Errno::LOOP | Errno::NXIO) => Ok(Found::Other),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes a file for its owner alone, whatever the umask, where nothing is yet.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    pub(super) fn make(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = File::from(openat(&self.0, name, flags, Mode::from(0o600))?);
        file.set_permissions(Permissions::from_mode(0o600))?;
        Ok(file)
    }

    /// Makes a folder for its owner alone, where nothing is yet.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    pub(super) fn make_folder(&self, name: &OsStr) -> io::Result<Self> {
        mkdirat(&self.0, name, Mode::from(0o700))?;
        let made = self.folder(name)?.ok_or(io::ErrorKind::NotFound)?;
        made.handle()?
            .set_permissions(Permissions::from_mode(0o700))?;
        Ok(made)
    }

    /// Gives one of its files another name.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    pub(super) fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        Ok(renameat(&self.0, from, &self.0, to)?)
    }

    /// Removes a file, or an empty folder.
    pub(super) fn remove(&self, name: &OsStr) {
        // Nobody can be helped if it stays.
        let _ = unlinkat(&self.0, name, AtFlags::empty())
            .or_else(|_| unlinkat(&self.0, name, AtFlags::REMOVEDIR));
    }

    /// The names of all that lies in it.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    pub(super) fn names(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let name = OsStr::from_bytes(entry?.file_name().to_bytes()).to_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// Whether this name is that of the open file.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    pub(super) fn is(&self, name: &OsStr, file: &File) -> io::Result<bool> {
        let named = statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let open = fstat(file)?;
        Ok((named.st_dev, named.st_ino) == (open.st_dev, open.st_ino))
    }

    /// The folder as a file, for its owner and rights.
    ///
    /// # Errors
    ///
    /// If the system has no descriptor left.
    pub(super) fn handle(&self) -> io::Result<File> {
        Ok(File::from(self.0.as_fd().try_clone_to_owned()?))
    }
}
