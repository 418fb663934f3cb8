//! A folder made of a backup: the whole tar is judged before a file is made, and the accounts come
//! last, so that no half of a backup is ever taken for the whole.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::durable::directory_of;
use crate::operator::backup::archive::{self, Inside, Place};
use crate::operator::backup::folder::Folder;
use crate::operator::backup::names::{Name, OUTBOX, USERS};
use crate::operator::backup::{NotDone, Told};
use crate::store;

/// What `mkfs` leaves in a new file system.
const LOST: &str = "lost+found";

/// A backup that was restored.
pub struct Restored {
    pub accounts: usize,
    pub files: usize,
    /// The accounts file; where accounts went to a database, what the node has for itself.
    pub made: Vec<PathBuf>,
    /// What of the tar was not restored, and why.
    pub left_out: Vec<(String, &'static str)>,
    /// The folder, if root made it, and so owns it.
    pub roots: Option<PathBuf>,
}

/// Makes the folder of the accounts at `users` of what is in the tar.
///
/// # Errors
///
/// [`NotDone`].
pub fn restore(users: &Path, tar: &Path, told: Told<'_>) -> Result<Restored, NotDone> {
    let name = name_of(users)?;
    let directory = directory_of(users);
    let (file, length) = open(tar)?;
    let found = empty_folder(directory, &file)?;
    // Read once to judge it, and once to copy it.
    let mut told = |done: u64| told(done.min(2 * length), 2 * length);
    let inside = read(tar, &file, &mut told)?;
    let accounts = store::judge_accounts(users, &inside.users)?.len();

    let is_new = found.is_none();
    let folder = match found {
        Some(folder) => folder,
        None => make_folder(directory).map_err(|error| cannot_make(directory, &error))?,
    };
    let files = inside.files.len();
    let mut making = Making::of(folder, name)?;
    let made = making.make(&file, inside, &mut |done| told(length + done));
    if let Err(error) = made {
        making.take_back();
        if is_new {
            // If it stays, it is empty.
            let _ = fs::remove_dir(directory);
        }
        return Err(cannot_make(directory, &error));
    }
    let roots = is_new && rustix::process::geteuid().is_root();
    Ok(Restored {
        accounts,
        files,
        made: vec![store::full_path(users)],
        left_out: Vec::new(),
        roots: roots.then(|| store::full_path(directory)),
    })
}

/// What the accounts file is to be called.
pub(super) fn name_of(users: &Path) -> Result<&OsStr, NotDone> {
    users.file_name().ok_or_else(|| {
        let what = format!("cannot make {users:?}: that is a folder");
        NotDone::not_saved(what, "name the accounts file in it with --users")
    })
}

/// What is in the tar, which is judged by that.
pub(super) fn read(tar: &Path, file: &File, told: &mut dyn FnMut(u64)) -> Result<Inside, NotDone> {
    let inside = archive::read(BufReader::new(file), told);
    inside.map_err(|bad| {
        let what = format!("cannot restore {tar:?}: {bad}");
        NotDone::no_file(what, "give a tar just as auth_user backup has made it")
    })
}

pub(super) fn cannot_make(directory: &Path, error: &io::Error) -> NotDone {
    let what = format!("cannot restore into {directory:?}: {error}");
    NotDone::not_saved(
        what,
        "see to the disk and the rights of that folder, and try again",
    )
}

/// The tar, and how long it is.
pub(super) fn open(tar: &Path) -> Result<(File, u64), NotDone> {
    let opened = || -> io::Result<(File, u64)> {
        let file = OpenOptions::new()
            .read(true)
            // Opening a pipe would wait for somebody to write to it.
            .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
            .open(tar)?;
        let metadata = file.metadata()?;
        match metadata.is_file() {
            true => Ok((file, metadata.len())),
            false => Err(io::Error::other("is not a file")),
        }
    };
    opened().map_err(|error| {
        let what = format!("cannot read {tar:?}: {error}");
        NotDone::no_file(what, "name the tar that auth_user backup has made")
    })
}

/// The folder to restore into; `None` if it is to be made.
fn empty_folder(directory: &Path, tar: &File) -> Result<Option<Folder>, NotDone> {
    let folder = match Folder::open(directory) {
        Ok(folder) => folder,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(cannot_make(directory, &error)),
    };
    let in_the_way = || -> io::Result<Option<OsString>> {
        for name in folder.names()? {
            if name != LOST && !folder.is(&name, tar)? {
                return Ok(Some(name));
            }
        }
        Ok(None)
    };
    match in_the_way() {
        Ok(None) => Ok(Some(folder)),
        Ok(Some(name)) => {
            let what = format!("cannot restore into {directory:?}: {name:?} is in it");
            let hint = "a backup is restored into an empty folder: name another with --users, or \
                        move away all that is in this one";
            Err(NotDone::not_saved(what, hint))
        }
        Err(error) => Err(cannot_make(directory, &error)),
    }
}

fn make_folder(directory: &Path) -> io::Result<Folder> {
    let parent = Folder::open(directory_of(directory))?;
    parent.make_folder(directory.file_name().ok_or(io::ErrorKind::InvalidInput)?)
}

/// A folder that is being filled.
struct Making<'a> {
    folder: Folder,
    outbox: Option<Folder>,
    /// What the accounts file is to be called.
    users: &'a OsStr,
    /// User and group that are to have the files, if root makes them.
    owner: Option<(u32, u32)>,
    /// What was made so far.
    made: Vec<Name>,
}

impl<'a> Making<'a> {
    fn of(folder: Folder, users: &'a OsStr) -> Result<Self, NotDone> {
        let owner = || -> io::Result<(u32, u32)> {
            let metadata = folder.handle()?.metadata()?;
            Ok((metadata.uid(), metadata.gid()))
        };
        let owner = match rustix::process::geteuid().is_root() {
            true => Some(owner().map_err(|error| cannot_make(Path::new("."), &error))?),
            false => None,
        };
        Ok(Self {
            folder,
            outbox: None,
            users,
            owner,
            made: Vec::new(),
        })
    }

    /// Makes all files, and hears how many bytes of them are there.
    fn make(&mut self, tar: &File, inside: Inside, told: &mut dyn FnMut(u64)) -> io::Result<()> {
        let mut done = 0;
        let is_last = |place: &&Place| place.name == Name::Top(USERS);
        for place in inside.files.iter().filter(|place| !is_last(place)) {
            let file = self.begin(&place.name)?;
            copy(tar, place, &mut &file)?;
            file.sync_all()?;
            done += place.size;
            told(done);
        }
        if let Some(outbox) = &self.outbox {
            outbox.handle()?.sync_all()?;
        }
        // So that whoever finds the accounts finds all of the rest.
        self.folder.handle()?.sync_all()?;
        self.make_accounts(&inside.users)
    }

    fn make_accounts(&mut self, accounts: &[u8]) -> io::Result<()> {
        let mut draft = self.users.to_owned();
        draft.push(".new");
        let written = || -> io::Result<()> {
            let mut file = self.folder.make(&draft)?;
            self.hand_over(&file)?;
            file.write_all(accounts)?;
            file.sync_all()?;
            self.folder.rename(&draft, self.users)?;
            self.folder.handle()?.sync_all()
        };
        let written = written();
        if written.is_err() {
            self.folder.remove(&draft);
            self.made.push(Name::Top(USERS));
        }
        written
    }

    fn begin(&mut self, name: &Name) -> io::Result<File> {
        let in_folder = name.in_folder(self.users);
        let file = match name {
            Name::Top(_) => self.folder.make(&in_folder),
            Name::Mail(_) => self.outbox()?.make(&in_folder),
        }?;
        self.made.push(name.clone());
        self.hand_over(&file)?;
        Ok(file)
    }

    /// The folder of mails, which is made for the first of them.
    fn outbox(&mut self) -> io::Result<&Folder> {
        if self.outbox.is_none() {
            let outbox = self.folder.make_folder(OsStr::new(OUTBOX))?;
            self.hand_over(&outbox.handle()?)?;
            self.outbox = Some(outbox);
        }
        self.outbox.as_ref().ok_or(io::ErrorKind::NotFound.into())
    }

    fn hand_over(&self, file: &File) -> io::Result<()> {
        match self.owner {
            Some((user, group)) => fchown(file, Some(user), Some(group)),
            None => Ok(()),
        }
    }

    /// Removes what was made.
    fn take_back(&self) {
        for name in self.made.iter().rev() {
            let in_folder = name.in_folder(self.users);
            match (name, &self.outbox) {
                (Name::Mail(_), Some(outbox)) => outbox.remove(&in_folder),
                _ => self.folder.remove(&in_folder),
            }
        }
        if self.outbox.is_some() {
            self.folder.remove(OsStr::new(OUTBOX));
        }
    }
}

/// Copies a file out of the tar.
pub(super) fn copy(mut tar: &File, place: &Place, to: &mut impl Write) -> io::Result<()> {
    tar.seek(SeekFrom::Start(place.begin))?;
    let copied = io::copy(&mut tar.take(place.size), to)?;
    match copied == place.size {
        true => Ok(()),
        false => Err(io::Error::other("the tar was changed while it was read")),
    }
}
