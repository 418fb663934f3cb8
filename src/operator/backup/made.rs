//! A backup made: the files of one moment are gathered, judged, and written beside their place.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, BufWriter, Read as _, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::accounts::token;
use crate::durable::{Draft, Failure, directory_of};
use crate::events;
use crate::operator::backup::archive::{self, Content, Piece};
use crate::operator::backup::folder::{Folder, Found};
use crate::operator::backup::names::{
    self, CERTIFICATE, EARLIER, EVENTS, KEY, MOST_BYTES, MOST_FILES, Name, OUTBOX, RULES, SESSIONS,
    USERS,
};
use crate::operator::backup::{NotDone, Told};
use crate::pages::LOGO_FILES;
use crate::store;

/// How long others may be saving before there is no backup.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is asked for.
pub struct Asked<'a> {
    pub users: &'a Path,
    /// The certificate and its key, if the server is told where they are.
    pub pair: [Option<&'a Path>; 2],
    /// The tar, or `-` for standard output.
    pub file: &'a Path,
}

/// A backup that was made.
pub struct Made {
    pub accounts: usize,
    pub files: usize,
    pub bytes: u64,
    /// Where it is; `None` if it went to standard output.
    pub path: Option<PathBuf>,
    /// What lies in the folder and is no plain file there.
    pub left_out: Vec<String>,
}

/// Makes a backup of the accounts at `users` and all that belongs to them.
///
/// # Errors
///
/// [`NotDone`].
pub fn backup(asked: &Asked<'_>, told: Told<'_>) -> Result<Made, NotDone> {
    let target = (asked.file.as_os_str() != "-").then_some(asked.file);
    if let Some(target) = target {
        check_target(target)?;
    }
    store::check_directory(asked.users)?;
    let mut gathered = Gathered::begin(asked.users)?;
    gathered.of_one_moment(asked.users)?;
    gathered.beside(asked)?;
    let accounts = gathered.judge(asked.users)?;
    let Gathered {
        pieces, left_out, ..
    } = gathered;
    let files = pieces.len();
    let total = pieces.iter().map(|piece| piece.content.size()).sum();
    let mut done = 0;
    let mut told = |more| {
        done += more;
        told(done, total);
    };
    let bytes = match target {
        Some(target) => write_beside(target, pieces, &mut told),
        None => write_out(pieces, &mut told),
    }?;
    Ok(Made {
        accounts,
        files,
        bytes,
        path: target.map(store::full_path),
        left_out,
    })
}

fn check_target(target: &Path) -> Result<(), NotDone> {
    if target.file_name().is_none() || target.is_dir() {
        let what = format!("cannot write {target:?}: it is a folder");
        return Err(NotDone::not_saved(what, "name the file to make in it"));
    }
    if fs::symlink_metadata(target).is_ok() {
        return Err(exists(target));
    }
    Ok(())
}

fn exists(target: &Path) -> NotDone {
    let what = format!("cannot make {target:?}: there is a file of that name");
    let hint = "a backup replaces nothing: give another name, or remove that file";
    NotDone::not_saved(what, hint)
}

/// What was found so far.
struct Gathered {
    /// The folder as the operator calls it.
    path: PathBuf,
    folder: Folder,
    /// What the accounts file is called.
    users: OsString,
    pieces: Vec<Piece>,
    left_out: Vec<String>,
}

impl Gathered {
    fn begin(users: &Path) -> Result<Self, NotDone> {
        let path = directory_of(users).to_owned();
        let folder = Folder::open(&path).map_err(|error| unread(&path, &error))?;
        let users = users.file_name().unwrap_or_default().to_owned();
        let gathered = Self {
            path,
            folder,
            users,
            pieces: Vec::new(),
            left_out: Vec::new(),
        };
        // Before a lock is made for it.
        gathered.accounts_file()?;
        Ok(gathered)
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

    /// Accounts, sessions and mails, while nobody saves.
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
        if mails.len() > MOST_FILES / 2 {
            let what = format!(
                "cannot back up {:?}: too many mails",
                self.path.join(OUTBOX)
            );
            return Err(NotDone::no_file(what, "send them, or move them away"));
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

    /// What changes seldom, and the events, which only ever grow.
    fn beside(&mut self, asked: &Asked<'_>) -> Result<(), NotDone> {
        self.take_events(asked.users)?;
        let fixed = [RULES, EARLIER].into_iter();
        for name in fixed.chain(LOGO_FILES.map(|(name, _)| name)) {
            let name = Name::Top(name);
            let here = name.in_folder(&self.users);
            self.take(name, &here)?;
        }
        for (name, told) in [CERTIFICATE, KEY].into_iter().zip(asked.pair) {
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
            Some((file, size)) => self.push(Name::Top(EVENTS), OsStr::new(EVENTS), file, size),
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
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MOST_BYTES {
            return Err(too_large(&path));
        }
        let content = Content::Bytes(bytes);
        self.pieces.push(Piece {
            name,
            content,
            modified,
        });
        Ok(())
    }

    /// A file that only ever grows.
    fn push(&mut self, name: Name, here: &OsStr, file: File, size: u64) -> Result<(), NotDone> {
        let path = self.path.join(here);
        if size > MOST_BYTES {
            return Err(too_large(&path));
        }
        let modified = file.metadata().map_err(|error| unread(&path, &error))?;
        self.pieces.push(Piece {
            name,
            content: Content::File(file, size),
            modified: u64::try_from(modified.mtime()).unwrap_or(0),
        });
        Ok(())
    }

    fn leave_out(&mut self, name: &Path) {
        self.left_out.push(name.display().to_string());
    }

    /// How many accounts there are, if a server could start on them.
    fn judge(&self, users: &Path) -> Result<usize, NotDone> {
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

fn too_large(path: &Path) -> NotDone {
    let what = format!("cannot back up {path:?}: it is over 1 GiB");
    NotDone::not_saved(what, "a shorter --events-kept keeps events.jsonl small")
}

/// Bytes handed to the system at a time.
const WRITE_BUFFER: usize = 1 << 16;

fn write_beside(
    target: &Path,
    pieces: Vec<Piece>,
    told: &mut dyn FnMut(u64),
) -> Result<u64, NotDone> {
    let write = || -> io::Result<u64> {
        let mut name = OsString::from(".");
        name.push(target.file_name().unwrap_or_default());
        // Random, since two may be making one of the same name.
        name.push(format!(".{:016x}.new", u64::from_le_bytes(token::random())));
        let draft = Draft::create(target.with_file_name(name), 0o600)?;
        let buffer = BufWriter::with_capacity(WRITE_BUFFER, draft.file());
        archive::write(buffer, pieces, told)?.into_inner()?;
        draft.sync()?;
        let bytes = draft.file().metadata()?.len();
        let put = draft.put_anew(target);
        if let Err(Failure::After(_)) = &put {
            // One that a power cut may take away is none.
            let _ = fs::remove_file(target);
        }
        put?;
        Ok(bytes)
    };
    write().map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => exists(target),
        _ => cannot_write(target, &error),
    })
}

fn write_out(pieces: Vec<Piece>, told: &mut dyn FnMut(u64)) -> Result<u64, NotDone> {
    let counted = Counted {
        out: BufWriter::with_capacity(WRITE_BUFFER, io::stdout().lock()),
        bytes: 0,
    };
    let written = archive::write(counted, pieces, told).and_then(|mut counted| {
        counted.flush()?;
        Ok(counted.bytes)
    });
    written.map_err(|error| cannot_write(Path::new("-"), &error))
}

fn cannot_write(target: &Path, error: &io::Error) -> NotDone {
    let what = format!("cannot write {target:?}: {error}");
    NotDone::not_saved(what, "see to the disk and the rights there, and try again")
}

/// Counts the bytes that are written.
struct Counted<W> {
    out: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.bytes += u64::try_from(written).unwrap_or(0);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
