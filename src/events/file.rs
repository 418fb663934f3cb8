//! The file: opened with care, appended to under a lock, and found again when it was replaced.

use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use crate::durable::{directory_of, name_of};
use crate::folder::{Folder, Links};
use crate::owner;

/// How often a file is opened anew because it was replaced meanwhile, before that is an error.
const MOST_REPLACED: usize = 100;

/// How long a command waits for others that hold the file, and how long between two tries.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);

/// A file of lines, to append to.
pub(super) struct Log {
    path: PathBuf,
    file: Option<File>,
}

/// A file that nobody else appends to or replaces until this is dropped.
pub(super) struct Held<'a>(&'a File);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // Closing the file unlocks too.
        let _ = self.0.unlock();
    }
}

impl Log {
    /// Nothing is opened or made yet.
    pub(super) fn new(path: PathBuf) -> Self {
        let file = None;
        Self { path, file }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a line in one write. What was written of one that does not fit is taken back.
    ///
    /// # Errors
    ///
    /// Whatever the disk says; the file is then as it was.
    pub(super) fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let held = self.hold()?;
        let mut file = held.0;
        let mut begin = file.metadata()?.len();
        if begin > 0 && !ends_a_line(file, begin)? {
            // Whoever wrote that was killed, or its disk was full.
            file.write_all(b"\n")?;
            begin += 1;
        }
        let written = match file.write(line) {
            Ok(written) if written == line.len() => Ok(()),
            Ok(_) => Err(io::ErrorKind::StorageFull.into()),
            Err(error) => Err(error),
        };
        if written.is_err() {
            // If that fails too, the next writer ends the line that was cut off.
            let _ = file.set_len(begin);
        }
        written
    }

    /// Makes what was written survive a power cut.
    ///
    /// # Errors
    ///
    /// Whatever the disk says.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), File::sync_data)
    }

    /// The file at the path, locked; it is made if it is not there.
    fn hold(&mut self) -> io::Result<Held<'_>> {
        let place = Place::of(&self.path)?;
        for _ in 0..MOST_REPLACED {
            let file = match self.file.take() {
                Some(file) => file,
                None => place.open_or_make()?,
            };
            lock(&file)?;
            if place.has(&file) {
                return Ok(Held(self.file.insert(file)));
            }
        }
        Err(io::Error::other(AGAIN_AND_AGAIN))
    }
}

const AGAIN_AND_AGAIN: &str = "the file is replaced again and again";

/// Where the file lies: its folder, held open, and its name in there. All of one turn is done in
/// the same folder: root may write in that of somebody who puts another in its place meanwhile.
pub(super) struct Place {
    folder: Folder,
    name: OsString,
}

impl Place {
    /// # Errors
    ///
    /// If there is no such folder.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        Ok(Self {
            folder: Folder::open(directory_of(path))?,
            name: name_of(path)?.to_owned(),
        })
    }

    /// Opens the file to be read; `None` if there is none.
    ///
    /// # Errors
    ///
    /// Whatever the disk says, and if it is a link or no regular file.
    pub(super) fn open(&self) -> io::Result<Option<File>> {
        match self.careful(OFlags::RDONLY) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => opened.map(Some),
        }
    }

    fn open_or_make(&self) -> io::Result<File> {
        let access = OFlags::RDWR | OFlags::APPEND;
        // Exactly this mode: else the umask might leave a file that nobody could open again.
        match self.folder.create(&self.name, access, 0o600) {
            Ok(file) => {
                owner::hand_to_owner_of(&self.folder, &file)?;
                Ok(file)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.careful(access),
            Err(error) => Err(error),
        }
    }

    /// Opens a file that is there and regular. Root may be asked to, in a folder of somebody who
    /// would like it to write elsewhere: a link is not followed, and a file with a second name is
    /// not taken.
    fn careful(&self, access: OFlags) -> io::Result<File> {
        let file = self.folder.open_file(&self.name, access, Links::Refused)?;
        if owner::links() == Links::Refused && file.metadata()?.nlink() > 1 {
            return Err(io::Error::other("it has another name too"));
        }
        Ok(file)
    }

    /// Whether this is the file that has the name now.
    pub(super) fn has(&self, file: &File) -> bool {
        let (Ok(open), Ok(named)) = (file.metadata(), self.folder.look(&self.name)) else {
            return false;
        };
        (open.dev(), open.ino()) == (named.st_dev, named.st_ino)
    }
}

/// Opens the file to be read, locked; `None` if there is none.
///
/// # Errors
///
/// As [`Place::open`].
pub(super) fn open_locked(path: &Path) -> io::Result<Option<File>> {
    let place = Place::of(path)?;
    for _ in 0..MOST_REPLACED {
        let Some(file) = place.open()? else {
            return Ok(None);
        };
        lock(&file)?;
        if place.has(&file) {
            return Ok(Some(file));
        }
    }
    Err(io::Error::other(AGAIN_AND_AGAIN))
}

/// Waits until nobody else has the file locked. A command does not wait for ever: somebody may hold
/// the lock to keep it waiting.
fn lock(file: &File) -> io::Result<()> {
    if !owner::is_command() {
        return file.lock();
    }
    let until = Instant::now() + PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if Instant::now() >= until => {
                return Err(io::Error::other(
                    "another process has held its lock for 10 seconds",
                ));
            }
            Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
        }
    }
}

fn ends_a_line(file: &File, length: u64) -> io::Result<bool> {
    let mut last = [0];
    file.read_exact_at(&mut last, length - 1)?;
    Ok(last == *b"\n")
}
