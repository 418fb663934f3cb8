//! What a node has for itself in its folder, made of a backup whose accounts go to a database.
//!
//! Whoever restores once more, since it was broken off, finds some of it there already: what is the
//! same is taken for done, and anything else is never replaced.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::accounts::token;
use crate::durable::{Draft, Failure, directory_of};
use crate::folder::Folder;
use crate::operator::backup::NotDone;
use crate::operator::backup::archive::{Inside, Place};
use crate::operator::backup::restored::{cannot_make, copy};
use crate::owner;
use crate::store;

/// How drafts begin. A restore that is killed leaves them, and the next removes them.
const DRAFT: &str = ".restore.";

/// What is to be made.
pub(super) struct Own<'a> {
    directory: &'a Path,
    tar: &'a File,
    missing: Vec<&'a Place>,
}

/// What is made, beside its place yet.
pub(super) struct Written<'a> {
    directory: &'a Path,
    /// With what they are to be called.
    drafts: Vec<(Draft, OsString)>,
    folder: Folder,
    /// Dropped after what is in it.
    new: NewFolder<'a>,
}

/// A folder that goes again, if it is empty and was made for what is not put into it.
struct NewFolder<'a>(Option<&'a Path>);

impl Drop for NewFolder<'_> {
    fn drop(&mut self) {
        if let Some(path) = self.0 {
            // If it stays, it is empty.
            let _ = fs::remove_dir(path);
        }
    }
}

impl<'a> Own<'a> {
    /// Looks what is missing in the folder.
    ///
    /// # Errors
    ///
    /// If something else is in the place of one of these.
    pub(super) fn look(
        directory: &'a Path,
        tar: &'a File,
        inside: &'a Inside,
    ) -> Result<Self, NotDone> {
        let mut missing = Vec::new();
        let folder = match Folder::open(directory) {
            Ok(folder) => Some(folder),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(cannot_make(directory, &error)),
        };
        for place in inside.files.iter().filter(|place| place.name.is_of_node()) {
            let is_there = folder.as_ref().map(|folder| is_there(folder, place, tar));
            match is_there.unwrap_or(Ok(false)) {
                Ok(true) => {}
                Ok(false) => missing.push(place),
                Err(error) => {
                    let name = place.name.in_tar();
                    let what = format!("cannot restore into {directory:?}: {name:?}: {error}");
                    let hint = "what is there is not replaced: move that file away, or name \
                                another folder with --users";
                    return Err(NotDone::not_saved(what, hint));
                }
            }
        }
        Ok(Self {
            directory,
            tar,
            missing,
        })
    }

    /// Makes the folder, if there is none, and writes what is missing beside its place.
    ///
    /// # Errors
    ///
    /// Whatever the disk says; nothing is left then.
    pub(super) fn write(self) -> Result<Written<'a>, NotDone> {
        let written = self.written();
        written.map_err(|error| cannot_make(self.directory, &error))
    }

    fn written(&self) -> io::Result<Written<'a>> {
        let (folder, new) = self.folder()?;
        let mut written = Written {
            directory: self.directory,
            drafts: Vec::new(),
            folder,
            new,
        };
        let folder = &written.folder;
        remove_drafts(folder)?;
        for place in &self.missing {
            let name = format!("{DRAFT}{:016x}", u64::from_ne_bytes(token::random()));
            let draft = Draft::create_in(folder, name.as_ref(), 0o600)?;
            owner::hand_to_owner_of(folder, draft.file())?;
            copy(self.tar, place, &mut draft.file())?;
            draft.sync()?;
            written.drafts.push((draft, place.name.in_tar()));
        }
        Ok(written)
    }

    fn folder(&self) -> io::Result<(Folder, NewFolder<'a>)> {
        let directory = self.directory;
        match Folder::open(directory) {
            Ok(folder) => Ok((folder, NewFolder(None))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let parent = Folder::open(directory_of(directory))?;
                let name = directory.file_name().ok_or(io::ErrorKind::InvalidInput)?;
                Ok((parent.make(name)?, NewFolder(Some(directory))))
            }
            Err(error) => Err(error),
        }
    }
}

impl Written<'_> {
    /// Puts all of it in its place, and gives where that is, and the folder if root made it.
    ///
    /// # Errors
    ///
    /// Whatever the disk says; nothing is left then.
    pub(super) fn put(mut self) -> Result<(Vec<PathBuf>, Option<PathBuf>), NotDone> {
        let mut made = Vec::new();
        for (draft, name) in self.drafts.drain(..) {
            let put = draft.put_anew(Path::new(&name));
            let is_made = !matches!(put, Err(Failure::Before(_)));
            made.extend(is_made.then_some(name));
            if let Err(error) = put {
                for name in made {
                    // The error is what counts.
                    let _ = self.folder.remove(&name);
                }
                return Err(cannot_make(self.directory, &error.into()));
            }
        }
        let is_new = self.new.0.take().is_some();
        let full = |path: &Path| store::full_path(path);
        let made = made.iter().map(|name| full(&self.directory.join(name)));
        let roots = is_new && owner::is_root();
        Ok((made.collect(), roots.then(|| full(self.directory))))
    }
}

/// Whether the file is there already, as it is in the tar.
///
/// # Errors
///
/// If something else is there.
fn is_there(folder: &Folder, place: &Place, tar: &File) -> io::Result<bool> {
    let file = match folder.read(&place.name.in_tar()) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let (mut there, mut wanted) = (Vec::new(), Vec::new());
    if file.metadata()?.len() == place.size {
        file.take(place.size + 1).read_to_end(&mut there)?;
        copy(tar, place, &mut wanted)?;
        if there == wanted {
            return Ok(true);
        }
    }
    Err(io::Error::other("another one is there than in the backup"))
}

fn remove_drafts(folder: &Folder) -> io::Result<()> {
    for name in folder.names()? {
        if name.as_encoded_bytes().starts_with(DRAFT.as_bytes()) {
            folder.remove(&name)?;
        }
    }
    Ok(())
}
