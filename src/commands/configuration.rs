//! Hands out a proxy's configuration: prints it, or writes it where nothing of others is lost.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use crate::accounts::token::Digest;
use crate::proxy_config::{Application, File};

/// Prints a configuration, each file after its name if there are several.
///
/// # Errors
///
/// It cannot be printed, in one line.
pub fn print(files: &[File]) -> Result<(), String> {
    let mut out = io::stdout().lock();
    let mut all = || -> io::Result<()> {
        for file in files {
            if files.len() > 1 {
                writeln!(out, "# file: {}", file.name)?;
            }
            out.write_all(file.text.as_bytes())?;
        }
        out.flush()
    };
    all().map_err(|error| format!("cannot print the configuration: {error}"))
}

/// Writes a configuration about `applications`: all of it, or nothing if a file that is there is
/// about others, or is not as this program wrote it.
///
/// # Errors
///
/// Which file, and what to do, in one line.
pub fn write(dir: &Path, files: &[File], applications: &[Application]) -> Result<(), String> {
    let cannot = |path: &Path, error| format!("cannot write {path:?}: {error}");
    if !dir.is_dir() {
        fs::create_dir_all(dir).map_err(|error| cannot(dir, error))?;
        let own = Permissions::from_mode(0o700);
        fs::set_permissions(dir, own).map_err(|error| cannot(dir, error))?;
    }
    let mut drafts = Vec::new();
    for file in files {
        let path = dir.join(&file.name);
        match fs::read(&path) {
            Ok(old) if old == file.text.as_bytes() => {}
            Ok(old) if replaces(file, &old, applications) => drafts.push(Draft::of(file, path)),
            Ok(_) => {
                return Err(format!(
                    "{path:?} was changed, or is about applications that are not named here: nothing \
                     was written. Name all applications in one call, each by its --app, or move the \
                     file away"
                ));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                drafts.push(Draft::of(file, path));
            }
            Err(error) => {
                return Err(format!(
                    "cannot read {path:?}: {error}: nothing was written"
                ));
            }
        }
    }
    // A disk that is full is noticed before anything is replaced.
    drafts
        .iter()
        .try_for_each(|draft| draft.write().map_err(|error| cannot(&draft.path, error)))?;
    drafts.iter().try_for_each(|draft| {
        draft
            .put_in_place()
            .map_err(|error| cannot(&draft.path, error))
    })
}

fn replaces(file: &File, old: &[u8], applications: &[Application]) -> bool {
    std::str::from_utf8(old).is_ok_and(|old| file.may_replace(old, applications))
}

/// A file that is written beside its place first.
struct Draft<'a> {
    text: &'a str,
    path: PathBuf,
    beside: PathBuf,
}

impl<'a> Draft<'a> {
    fn of(file: &'a File, path: PathBuf) -> Self {
        // Where a link stands, what it leads to is replaced, not the link.
        let path = fs::canonicalize(&path).unwrap_or(path);
        let beside = path.with_file_name(format!(".auth_user.{}", std::process::id()));
        let beside = beside.with_extension(Digest::of(&file.name).short());
        Self {
            text: &file.text,
            path,
            beside,
        }
    }

    /// For its owner alone, whatever the umask: whoever may change a proxy's configuration may pass
    /// the check. One that was handed over to the proxy stays so.
    fn write(&self) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&self.beside)?;
        let mode = match fs::metadata(&self.path) {
            Ok(old) => {
                // Only root may hand a file over; who is not has it as their own.
                let _ = chown(&self.beside, Some(old.uid()), Some(old.gid()));
                old.mode() & 0o777
            }
            Err(_) => 0o600,
        };
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(self.text.as_bytes())?;
        file.sync_all()
    }

    fn put_in_place(&self) -> io::Result<()> {
        fs::rename(&self.beside, &self.path)
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        // There is none any more once it is in its place.
        let _ = fs::remove_file(&self.beside);
    }
}
