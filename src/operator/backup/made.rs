//! A backup made: the files of one moment are gathered, judged, and written beside their place.

use std::ffi::OsString;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::accounts::token;
use crate::durable::{Draft, Failure};
use crate::operator::backup::archive::{self, Piece};
#[cfg(feature = "postgres")]
use crate::operator::backup::database;
use crate::operator::backup::gathered::Gathered;
use crate::operator::backup::{NotDone, Told};
#[cfg(feature = "postgres")]
use crate::operator::copy::Access;
use crate::store;
#[cfg(feature = "postgres")]
use crate::store::postgres::Refusal;

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
    let target = check_target(asked.file)?;
    store::check_directory(asked.users)?;
    let mut gathered = Gathered::begin(asked.users)?;
    gathered.of_accounts(asked.users)?;
    gathered.of_server(asked.pair)?;
    let accounts = gathered.judge(asked.users)?;
    write(target, gathered, accounts, told)
}

/// Makes the same of the accounts in a database, and of what lies in the folder of `users` and is
/// the node's own.
///
/// # Errors
///
/// [`NotDone`].
#[cfg(feature = "postgres")]
pub fn backup_database(
    asked: &Asked<'_>,
    access: &Access,
    told: Told<'_>,
) -> Result<Made, NotDone> {
    let target = check_target(asked.file)?;
    store::find_directory(asked.users)?;
    let mut gathered = Gathered::begin(asked.users)?;
    let accounts = database::gather(&mut gathered, access)?;
    gathered.of_server(asked.pair)?;
    write(target, gathered, accounts, told)
}

/// Writes what was gathered to `target`, or to standard output.
fn write(
    target: Option<&Path>,
    gathered: Gathered,
    accounts: usize,
    told: Told<'_>,
) -> Result<Made, NotDone> {
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

/// The file to make; `None` for standard output.
fn check_target(target: &Path) -> Result<Option<&Path>, NotDone> {
    if target.as_os_str() == "-" {
        return Ok(None);
    }
    if target.file_name().is_none() || target.is_dir() {
        let what = format!("cannot write {target:?}: it is a folder");
        return Err(NotDone::not_saved(what, "name the file to make in it"));
    }
    if fs::symlink_metadata(target).is_ok() {
        return Err(exists(target));
    }
    Ok(Some(target))
}

fn exists(target: &Path) -> NotDone {
    let what = format!("cannot make {target:?}: there is a file of that name");
    let hint = "a backup replaces nothing: give another name, or remove that file";
    NotDone::not_saved(what, hint)
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
        _ => cannot_write(target, error),
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
    written.map_err(|error| cannot_write(Path::new("-"), error))
}

fn cannot_write(target: &Path, error: io::Error) -> NotDone {
    #[cfg(feature = "postgres")]
    let error = match error.downcast::<Refusal>() {
        // It was not the tar's fault.
        Ok(refusal) => return refusal.into(),
        Err(error) => error,
    };
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
