//! One file that is only ever replaced whole: noticing changes by others, reading it, locking it,
//! and putting a new one in its place.
//!
//! At every moment, whatever is killed or unplugged, the path holds one complete version. This
//! module does not know what is in the file.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, BufWriter, Read as _, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;

use crate::durable::{Draft, Failure, directory_of};
use crate::owner::{self, Folder};
use crate::rights;
use crate::store::lock::{Lock, Turn};

/// Bytes handed to the system at a time; larger buffers measured no faster.
const WRITE_BUFFER: usize = 1 << 16;

/// More than a million accounts take, by far. Whoever owns the folder may have put anything there,
/// which root does not take into memory just to find that out.
const MOST_FOR_ROOT: u64 = 2 << 30;

/// The file, and the version of it that memory agrees with.
pub(super) struct FlatFile {
    path: PathBuf,
    /// `None` while there is no file.
    known: Option<Version>,
    turn: Turn,
    /// Whether a link at the path is refused. Who owns the folder may have put it there, for root to
    /// follow.
    is_wary: bool,
    /// What the path leads through, if that is held.
    _folder: Option<Folder>,
    /// `File::sync_all`; tests put a failing disk in its place.
    pub(super) sync: fn(&File) -> io::Result<()>,
}

/// One version of the file.
pub(super) struct Version {
    /// Kept open, so that no later version can have the same inode number.
    file: File,
    stamp: Stamp,
}

/// What differs between any two versions of a file.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// What was found at the path.
pub(super) struct Found {
    pub(super) bytes: Vec<u8>,
    version: Version,
}

impl FlatFile {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            known: None,
            turn: Turn::default(),
            is_wary: false,
            _folder: None,
            sync: File::sync_all,
        }
    }

    /// For a command, which root may run in a folder of somebody else: root follows no link there.
    ///
    /// # Errors
    ///
    /// If there is no such folder.
    pub(super) fn of_command(path: &Path) -> io::Result<Self> {
        let folder = Folder::named(directory_of(path))?;
        let name = path.file_name().unwrap_or_default();
        Ok(Self {
            is_wary: owner::is_root(),
            path: match owner::is_root() {
                true => folder.path().join(name),
                false => path.to_owned(),
            },
            _folder: Some(folder),
            ..Self::new(path)
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether this stamp is that of the version that memory agrees with.
    pub(super) fn is_known(&self, stamp: Option<Stamp>) -> bool {
        self.known.as_ref().map(|known| known.stamp) == stamp
    }

    /// Which version is at the path; `None` if there is no file.
    ///
    /// # Errors
    ///
    /// If the system does not say, or the path is a link to nothing.
    pub(super) fn look(&self) -> io::Result<Option<Stamp>> {
        if self.is_wary && self.path.is_symlink() {
            return Err(io::Error::other("is a link, which root does not follow"));
        }
        match fs::metadata(&self.path) {
            Ok(metadata) => Ok(Some(Stamp::of(&metadata))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // A dangling link is somebody's mistake, and a save would put a file in its place.
                if self.path.is_symlink() {
                    return Err(io::Error::other("is a link to a file that does not exist"));
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Reads the version at the path.
    ///
    /// # Errors
    ///
    /// If it cannot be read, is not a regular file, or is being written to meanwhile.
    pub(super) fn read(&self) -> io::Result<Found> {
        let follow = match self.is_wary {
            true => OFlags::NOFOLLOW,
            false => OFlags::empty(),
        };
        let mut file = OpenOptions::new()
            .read(true)
            // Opening a pipe would wait for somebody to write to it.
            .custom_flags((OFlags::NONBLOCK | follow).bits().cast_signed())
            .open(&self.path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("is not a file"));
        }
        if self.is_wary && metadata.len() > MOST_FOR_ROOT {
            return Err(io::Error::other("is larger than 2 GiB"));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let stamp = Stamp::of(&file.metadata()?);
        if stamp != Stamp::of(&metadata) {
            return Err(io::Error::other("is being written to by another program"));
        }
        let version = Version { file, stamp };
        Ok(Found { bytes, version })
    }

    /// Takes away the rights of others, if they have any: an editor or a copy may have given them.
    pub(super) fn close(&self, mut found: Found) -> Found {
        rights::close(&found.version.file, &self.path);
        // That changes the file's stamp, but nothing of what was read.
        if let Ok(metadata) = found.version.file.metadata() {
            found.version.stamp = Stamp::of(&metadata);
        }
        found
    }

    /// Says in the log if others have rights.
    pub(super) fn tell_rights(&self, found: Found) -> Found {
        rights::tell(&found.version.file, &self.path);
        found
    }

    /// Notes that memory agrees with this version.
    pub(super) fn know(&mut self, found: Found) {
        self.known = Some(found.version);
    }

    /// Waits for our turn among all processes that save this file. `None` if it has not come after
    /// `patience`; the place in the line is then kept.
    ///
    /// # Errors
    ///
    /// If the system refuses.
    pub(super) fn lock(&mut self, patience: Duration) -> io::Result<Option<Lock>> {
        let path = sibling(&self.real_path()?, ".lock");
        self.turn.take(&path, patience, self.is_wary)
    }

    /// Gives up the place in the line.
    pub(super) fn give_up(&mut self) {
        self.turn.give_up();
    }

    /// Puts a new file with mode 0600 in place of the known one, durably. The caller holds the
    /// lock. A link at the path stays, and what it leads to is replaced. The file before is kept
    /// beside it with `suffix` added to its name, if one is given and nothing has that name.
    ///
    /// # Errors
    ///
    /// The [`Failure`] says whether the new file is in place; no draft is left behind.
    pub(super) fn replace(
        &mut self,
        suffix: Option<&str>,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), Failure> {
        let target = self.real_path().map_err(Failure::Before)?;
        let draft = self.draft(&target, write).map_err(Failure::Before)?;
        let file = draft.file().try_clone().map_err(Failure::Before)?;
        let copy = suffix.map(|suffix| sibling(&target, suffix));
        let kept = copy.as_deref().map(|copy| self.keep(&target, copy));
        let kept = kept.transpose().map_err(Failure::Before)?;
        let put = draft.put(&target);
        if let (Err(Failure::Before(_)), Some(true), Some(copy)) = (&put, kept, &copy) {
            // Nothing is left of a save that failed; if this stays, it is a copy all the same.
            let _ = fs::remove_file(copy);
        }
        if !matches!(put, Err(Failure::Before(_))) {
            // Renaming sets the time of change, so the stamp can only be taken now.
            let stamp = Stamp::of(&file.metadata().map_err(Failure::After)?);
            self.known = Some(Version { file, stamp });
        }
        put.map(drop)
    }

    /// Keeps the known file under another name, with mode 0600. False if there is none, or something
    /// has that name. What replaces the file is made anew, so a second name for the old one will do,
    /// and costs nothing; it is durable with the replacement.
    fn keep(&self, target: &Path, copy: &Path) -> io::Result<bool> {
        let Some(known) = &self.known else {
            return Ok(false);
        };
        if copy.is_symlink() || copy.exists() {
            return Ok(false);
        }
        let is_private = known.file.metadata()?.mode() & 0o777 == 0o600;
        if is_private && fs::hard_link(target, copy).is_ok() {
            return Ok(true);
        }
        let bytes = self.read()?.bytes;
        let mut draft = Draft::create_anew(sibling(copy, ".new"), 0o600)?;
        draft.sync = self.sync;
        owner::hand_over(draft.file(), target)?;
        draft.file().write_all(&bytes)?;
        draft.sync()?;
        draft.put(copy)?;
        Ok(true)
    }

    fn draft(
        &self,
        target: &Path,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<Draft> {
        let mut draft = Draft::create_anew(sibling(target, ".new"), 0o600)?;
        draft.sync = self.sync;
        owner::hand_over(draft.file(), target)?;
        let mut buffer = BufWriter::with_capacity(WRITE_BUFFER, draft.file());
        write(&mut buffer)?;
        buffer.into_inner()?;
        draft.sync()?;
        // An editor does not ask for the lock. Checking last leaves only the moment before the
        // rename in which an edit could get lost.
        if !self.is_known(self.look()?) {
            return Err(io::Error::other("was changed by another program meanwhile"));
        }
        Ok(draft)
    }

    /// Moves the file out of the way, to `NAME.damaged` or, so as not to lose an earlier one, to
    /// `NAME.damaged.1` to `.9`; only the last of these is ever replaced.
    pub(super) fn set_aside(&mut self) -> io::Result<PathBuf> {
        let aside = (0..9)
            .map(|n| match n {
                0 => sibling(&self.path, ".damaged"),
                n => sibling(&self.path, &format!(".damaged.{n}")),
            })
            .find(|aside| !aside.is_symlink() && !aside.exists())
            .unwrap_or_else(|| sibling(&self.path, ".damaged.9"));
        fs::rename(&self.path, &aside)?;
        self.known = None;
        Ok(aside)
    }

    /// Notes that memory agrees with there being no file.
    pub(super) fn forget(&mut self) {
        self.known = None;
    }

    fn real_path(&self) -> io::Result<PathBuf> {
        match self.is_wary {
            true => Ok(self.path.clone()),
            false => real_path(&self.path),
        }
    }
}

/// The path with every link in it followed; the file may be missing.
pub(super) fn real_path(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let name = path.file_name().ok_or(error)?;
            Ok(fs::canonicalize(directory_of(path))?.join(name))
        }
        result => result,
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

pub(super) fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests;
