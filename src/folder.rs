//! A folder held open. What is done in it stays in it, whoever owns it and whatever they rename
//! meanwhile: names are looked up in the open folder, and nowhere else.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Permissions};
use std::io::{self, Error, ErrorKind};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, RenameFlags, Stat};
use rustix::fs::{mkdirat, openat, renameat, renameat_with, statat, unlinkat};
use rustix::io::Errno;

/// Whether a name that is a link may lead elsewhere.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Links {
    Followed,
    Refused,
}

/// Why a link is not followed, as the end of a sentence about it.
pub const IS_A_LINK: &str = "it is a link, and a command that root runs follows none";

/// A folder; clones are the same one.
#[derive(Clone)]
pub struct Folder {
    handle: Arc<File>,
    path: PathBuf,
}

impl Folder {
    /// Opens the folder at a path that the operator chose: links in that are followed.
    ///
    /// # Errors
    ///
    /// Whatever the disk says, and if it is no folder.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = openat(CWD, path, flags, Mode::empty())?;
        Ok(Self::new(handle.into(), path.to_owned()))
    }

    fn new(handle: File, path: PathBuf) -> Self {
        let handle = Arc::new(handle);
        Self { handle, path }
    }

    /// The folder itself, to ask for its rights or change them.
    pub fn handle(&self) -> &File {
        &self.handle
    }

    /// Where it was when it was opened, for people.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a folder in this one.
    ///
    /// # Errors
    ///
    /// Whatever the disk says, and if it is no folder, or a link that is not to be followed.
    pub fn enter(&self, name: &OsStr, links: Links) -> io::Result<Self> {
        let mut flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        flags.set(OFlags::NOFOLLOW, links == Links::Refused);
        match openat(&*self.handle, name, flags, Mode::empty()) {
            Ok(handle) => Ok(Self::new(handle.into(), self.path.join(name))),
            Err(_) if links == Links::Refused && self.is_link(name) => {
                Err(Error::new(ErrorKind::NotADirectory, IS_A_LINK))
            }
            Err(Errno::NOTDIR) => Err(Error::new(
                ErrorKind::NotADirectory,
                "it is not a directory",
            )),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes a folder in this one, for its owner alone, whatever the umask.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` if anything has the name, whatever the disk says, and if something else took
    /// its place at this very moment.
    pub fn make(&self, name: &OsStr) -> io::Result<Self> {
        mkdirat(&*self.handle, name, Mode::RWXU)?;
        let made = self.enter(name, Links::Refused)?;
        // Whoever may rename here could have put another folder of ours there. One that is empty is
        // as good as new.
        if made.handle.metadata()?.uid() != rustix::process::geteuid().as_raw()
            || !made.names()?.is_empty()
        {
            return Err(Error::other("another folder took its place"));
        }
        // The umask may have taken away some of these rights.
        made.handle.set_permissions(Permissions::from_mode(0o700))?;
        Ok(made)
    }

    /// The names of all that is in it.
    ///
    /// # Errors
    ///
    /// Whatever the disk says.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&*self.handle)? {
            let name = OsString::from_vec(entry?.file_name().to_bytes().to_vec());
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// What has this name; a link is looked at itself.
    ///
    /// # Errors
    ///
    /// Whatever the disk says.
    pub fn look(&self, name: &OsStr) -> io::Result<Stat> {
        Ok(statat(&*self.handle, name, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    fn is_link(&self, name: &OsStr) -> bool {
        let found = self.look(name);
        found.is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Symlink)
    }

    /// Opens a regular file to be read, and waits for nobody.
    ///
    /// # Errors
    ///
    /// As [`Folder::open_file`]; also if it is a link.
    pub fn read(&self, name: &OsStr) -> io::Result<File> {
        self.open_file(name, OFlags::RDONLY, Links::Refused)
    }

    /// Opens a regular file with this access, and waits for nobody: opening a pipe would.
    ///
    /// # Errors
    ///
    /// Whatever the disk says, and if it is no regular file, or a link that is not to be followed.
    pub fn open_file(&self, name: &OsStr, access: OFlags, links: Links) -> io::Result<File> {
        let mut flags = access | OFlags::NONBLOCK | OFlags::CLOEXEC;
        flags.set(OFlags::NOFOLLOW, links == Links::Refused);
        let file = match openat(&*self.handle, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::LOOP) if self.is_link(name) => {
                return Err(Error::other(IS_A_LINK));
            }
            Err(error) => return Err(error.into()),
        };
        match file.metadata()?.is_file() {
            true => Ok(file),
            false => Err(Error::other("it is not a regular file")),
        }
    }

    /// Makes a file, with this access and exactly this mode, where nothing may be yet.
    ///
    /// # Errors
    ///
    /// Whatever the disk says.
    pub fn create(&self, name: &OsStr, access: OFlags, mode: u32) -> io::Result<File> {
        let flags = access | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = openat(&*self.handle, name, flags, Mode::from_raw_mode(mode))?;
        let file = File::from(file);
        // The umask may have taken away some of these rights.
        match file.set_permissions(Permissions::from_mode(mode)) {
            Ok(()) => Ok(file),
            Err(error) => {
                // It is empty, and the error is what counts.
                let _ = self.remove(name);
                Err(error)
            }
        }
    }

    /// Renames a file in it; whatever has the new name is replaced.
    ///
    /// # Errors
    ///
    /// Whatever the disk says.
    pub fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        Ok(renameat(&*self.handle, from, &*self.handle, to)?)
    }

    /// As [`Folder::rename`], but replaces nothing.
    ///
    /// # Errors
    ///
    /// As [`Folder::rename`]; `AlreadyExists`, if there is anything of that name.
    pub fn rename_anew(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        let handle = &*self.handle;
        match renameat_with(handle, from, handle, to, RenameFlags::NOREPLACE) {
            // Not every file system can; the moment between is the price.
            Err(Errno::INVAL | Errno::NOSYS) => match self.look(to) {
                Ok(_) => Err(ErrorKind::AlreadyExists.into()),
                Err(_) => self.rename(from, to),
            },
            renamed => Ok(renamed?),
        }
    }

    /// Removes a folder that is empty.
    ///
    /// # Errors
    ///
    /// Whatever the disk says.
    pub fn remove_folder(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(&*self.handle, name, AtFlags::REMOVEDIR)?)
    }

    /// Removes a file, or a link itself.
    ///
    /// # Errors
    ///
    /// Whatever the disk says.
    pub fn remove(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(&*self.handle, name, AtFlags::empty())?)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_is_done_in_it_stays_in_it_when_its_name_leads_elsewhere() {
        let directory = tempfile::tempdir().unwrap();
        let [folder, elsewhere] = ["folder", "elsewhere"].map(|name| directory.path().join(name));
        fs::create_dir(&folder).unwrap();
        fs::create_dir(&elsewhere).unwrap();
        let open = Folder::open(&folder).unwrap();
        fs::rename(&folder, directory.path().join("moved")).unwrap();
        symlink(&elsewhere, &folder).unwrap();

        open.create("one".as_ref(), OFlags::WRONLY, 0o640).unwrap();
        open.make("two".as_ref()).unwrap();
        open.rename("one".as_ref(), "three".as_ref()).unwrap();

        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
        let mut names = open.names().unwrap();
        names.sort();
        assert_eq!(names, ["three", "two"]);
        let moved = directory.path().join("moved/three");
        assert_eq!(fs::metadata(moved).unwrap().mode() & 0o777, 0o640);
    }

    #[test]
    fn a_link_is_entered_only_if_links_are_followed_and_never_read() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("folder")).unwrap();
        fs::write(directory.path().join("file"), "text").unwrap();
        symlink("folder", directory.path().join("to_folder")).unwrap();
        symlink("file", directory.path().join("to_file")).unwrap();
        let open = Folder::open(directory.path()).unwrap();

        assert!(open.enter("to_folder".as_ref(), Links::Followed).is_ok());
        let refused = open.enter("to_folder".as_ref(), Links::Refused).err();
        assert_eq!(refused.unwrap().to_string(), IS_A_LINK);
        assert!(open.make("to_folder".as_ref()).is_err());
        assert!(open.read("to_file".as_ref()).is_err());
        assert!(open.read("file".as_ref()).is_ok());
        assert!(open.read("folder".as_ref()).is_err());
    }
}
