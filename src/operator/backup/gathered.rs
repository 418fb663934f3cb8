//! What belongs into a backup, gathered in the folder of the accounts.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::durable::directory_of;
use crate::events;
use crate::operator::backup::NotDone;
use crate::operator::backup::archive::{Content, Piece};
use crate::operator::backup::folder::{Folder, Found};
use crate::operator::backup::names::{
    self, CERTIFICATE, EARLIER, EVENTS, KEY, MOST_BYTES, MOST_MAILS, Name, OUTBOX, RULES, SESSIONS,
    USERS,
};
use crate::pages::LOGO_FILES;
use crate::store;

/// How long others may be saving before there is no backup.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was found so far.
pub(super) struct Gathered {
    /// The folder as the operator calls it.
    path: PathBuf,
    folder: Folder,
    /// What the accounts file is called.
    users: OsString,
    pub(super) pieces: Vec<Piece>,
    pub(super) left_out: Vec<String>,
}

impl Gathered {
    /// In the folder of the accounts at `users`, whether they are there or not.
    ///
    /// # Errors
    ///
    /// [`NotDone`], as below.
    pub(super) fn begin(users: &Path) -> Result<Self, NotDone> {
        let path = directory_of(users).to_owned();
        let folder = Folder::open(&path).map_err(|error| unread(&path, &error))?;
        let users = users.file_name().unwrap_or_default().to_owned();
        Ok(Self {
            path,
            folder,
            users,
            pieces: Vec::new(),
            left_out: Vec::new(),
        })
    }

    fn accounts_file(&self) -> Result<File, NotDone> {
        let path = self.path.join(&self.users);
        match self.look(&self.folder, &self.users)? {
            Found::File(file) => Ok(file),
            Found::Nothing => Err(NotDone::no_file(
                format!("cannot read {path:?}: there is no such file"),
                "name the accounts file of the server with --users",
            )),
            Found::Other => Err(no_file(&path)),
        }
    }

    fn look(&self, folder: &Folder, name: &OsStr) -> Result<Found, NotDone> {
        let looked = folder.look(name);
        looked.map_err(|error| unread(&self.path.join(name), &error))
    }

    /// Accounts, sessions and mails, while nobody saves, then the events, which only ever grow, and
    /// the accounts as they were before.
    pub(super) fn of_accounts(&mut self, users: &Path) -> Result<(), NotDone> {
        // Before a lock is made for it.
        self.accounts_file()?;
        self.of_one_moment(users)?;
        self.take_events(users)?;
        let earlier = Name::Top(EARLIER);
        let here = earlier.in_folder(&self.users);
        self.take(earlier, &here)
    }

    fn of_one_moment(&mut self, users: &Path) -> Result<(), NotDone> {
        let hold = store::hold(users, PATIENCE)?;
        let accounts = self.accounts_file()?;
        self.take_whole(Name::Top(USERS), &self.users.clone(), accounts)?;
        match self.look(&self.folder, OsStr::new(SESSIONS))? {
            Found::File(file) => {
                self.take_whole(Name::Top(SESSIONS), OsStr::new(SESSIONS), file)?
            }
            Found::Nothing => {}
            Found::Other => return Err(no_file(&self.path.join(SESSIONS))),
        }
        self.take_mails()?;
        drop(hold);
        Ok(())
    }

    fn take_mails(&mut self) -> Result<(), NotDone> {
        let unread = |error: io::Error| unread(&self.path.join(OUTBOX), &error);
        let Some(outbox) = self.folder.folder(OsStr::new(OUTBOX)).map_err(unread)? else {
            return Ok(());
        };
        let names = outbox.names().map_err(unread)?.into_iter();
        let (mails, odd): (Vec<_>, Vec<_>) = names
            .filter(|name| names::has_mails_ending(name))
            .partition(|name| names::is_mail(name));
        for name in odd {
            self.leave_out(&Path::new(OUTBOX).join(name));
        }
        if mails.len() > MOST_MAILS {
            return Err(too_many_mails(&self.path.join(OUTBOX)));
        }
        for name in mails {
            match self.look(&outbox, &name)? {
                Found::File(file) => self.take_whole(Name::Mail(name.clone()), &name, file)?,
                // Sent at this moment.
                Found::Nothing => {}
                Found::Other => self.leave_out(&Path::new(OUTBOX).join(name)),
            }
        }
        Ok(())
    }

    /// What the server has of its own, and changes seldom: rules, logo, and the certificate and its
    /// key, if they lie there; `pair` is where it is told that they are.
    pub(super) fn of_server(&mut self, pair: [Option<&Path>; 2]) -> Result<(), NotDone> {
        for name in [RULES].into_iter().chain(LOGO_FILES.map(|(name, _)| name)) {
            self.take(Name::Top(name), OsStr::new(name))?;
        }
        for (name, told) in [CERTIFICATE, KEY].into_iter().zip(pair) {
            if let Some(here) = self.here(name, told) {
                self.take(Name::Top(name), &here)?;
            }
        }
        Ok(())
    }

    /// What a file of the pair is called in the folder, if it lies there.
    fn here(&self, name: &str, told: Option<&Path>) -> Option<OsString> {
        let Some(told) = told else {
            return Some(name.into());
        };
        let real = |path: &Path| fs::canonicalize(path).ok();
        let is_here = real(directory_of(told))? == real(&self.path)?;
        told.file_name().filter(|_| is_here).map(OsStr::to_owned)
    }

    fn take_events(&mut self, users: &Path) -> Result<(), NotDone> {
        match self.look(&self.folder, OsStr::new(EVENTS))? {
            Found::Nothing => return Ok(()),
            Found::Other => {
                self.leave_out(Path::new(EVENTS));
                return Ok(());
            }
            Found::File(_) => {}
        }
        let path = self.path.join(EVENTS);
        let found = events::at_a_moment(users).map_err(|error| unread(&path, &error))?;
        match found {
            Some((file, size)) => {
                let modified = file.metadata().map_err(|error| unread(&path, &error))?;
                let modified = u64::try_from(modified.mtime()).unwrap_or(0);
                let content = Content::Stream(Box::new(file), size);
                self.push(Name::Top(EVENTS), content, modified, &path)
            }
            None => Ok(()),
        }
    }

    /// A file that is put in its place whole, if it is there.
    fn take(&mut self, name: Name, here: &OsStr) -> Result<(), NotDone> {
        match self.look(&self.folder, here)? {
            Found::File(file) => self.take_whole(name, here, file),
            Found::Nothing => Ok(()),
            Found::Other => {
                self.leave_out(Path::new(here));
                Ok(())
            }
        }
    }

    /// Reads a file into memory, where it stays as it was.
    fn take_whole(&mut self, name: Name, here: &OsStr, file: File) -> Result<(), NotDone> {
        let path = self.path.join(here);
        let read = || -> io::Result<(Vec<u8>, u64)> {
            let before = file.metadata()?;
            let mut bytes = Vec::new();
            (&file).take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
            let after = file.metadata()?;
            let stamp = |of: &fs::Metadata| (of.size(), of.mtime(), of.mtime_nsec());
            if stamp(&before) != stamp(&after) {
                return Err(io::Error::other("is being written to by another program"));
            }
            Ok((bytes, u64::try_from(after.mtime()).unwrap_or(0)))
        };
        let (bytes, modified) = read().map_err(|error| unread(&path, &error))?;
        self.push(name, Content::Bytes(bytes), modified, &path)
    }

    /// Adds what came from this path.
    pub(super) fn push(
        &mut self,
        name: Name,
        content: Content,
        modified: u64,
        path: &Path,
    ) -> Result<(), NotDone> {
        if content.size() > MOST_BYTES {
            return Err(too_large(path));
        }
        self.pieces.push(Piece {
            name,
            content,
            modified,
        });
        Ok(())
    }

    pub(super) fn leave_out(&mut self, name: &Path) {
        self.left_out.push(name.display().to_string());
    }

    /// How many accounts there are, if a server could start on them.
    pub(super) fn judge(&self, users: &Path) -> Result<usize, NotDone> {
        let is_accounts = |piece: &&Piece| piece.name == Name::Top(USERS);
        let bytes = match self
            .pieces
            .iter()
            .find(is_accounts)
            .map(|piece| &piece.content)
        {
            Some(Content::Bytes(bytes)) => bytes.as_slice(),
            _ => &[],
        };
        Ok(store::judge_accounts(users, bytes)?.len())
    }
}

fn unread(path: &Path, error: &io::Error) -> NotDone {
    let hint = "let the user this runs as read it, with chown or chmod";
    NotDone::no_file(format_args!("cannot read {path:?}: {error}"), hint)
}

fn no_file(path: &Path) -> NotDone {
    let what = format!(
        "cannot back up {path:?}: it is no file, or a link, which is not followed, or another \
         owner's file by a second name"
    );
    NotDone::no_file(what, "name the folder with the files themselves in --users")
}

pub(super) fn too_many_mails(outbox: &Path) -> NotDone {
    let what = format!("cannot back up {outbox:?}: too many mails");
    NotDone::no_file(what, "send them, or move them away")
}

fn too_large(path: &Path) -> NotDone {
    let what = format!("cannot back up {path:?}: it is over 1 GiB");
    NotDone::not_saved(what, "a shorter --events-kept keeps events.jsonl small")
}
