//! Prints a proxy's configuration, or writes it to files without overwriting anything that is not
//! ours.

use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;

use crate::accounts::token::Digest;
use crate::deployment::proxy_config::{Application, File};
use crate::durable::Draft;

/// Prints a configuration, each file after its name if there are several.
///
/// # Errors
///
/// Why it cannot be printed, in one line.
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

/// Writes a configuration about `applications`: all of it, or nothing if an existing file is about
/// other applications or is not as this program wrote it.
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
    let mut new = Vec::new();
    for file in files {
        let path = dir.join(&file.name);
        match fs::read(&path) {
            Ok(old) if old == file.text.as_bytes() => {}
            Ok(old) if replaces(file, &old, applications) => {
                // What a link leads to is replaced, not the link.
                new.push((fs::canonicalize(&path).unwrap_or(path), &file.text));
            }
            Ok(_) => {
                return Err(format!(
                    "{path:?} was changed, or is about applications that are not named here: nothing \
                     was written. Name all applications in one call, each with its --app, or move the \
                     file away"
                ));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => new.push((path, &file.text)),
            Err(error) => {
                return Err(format!(
                    "cannot read {path:?}: {error}: nothing was written"
                ));
            }
        }
    }
    // All drafts come first, so that a full disk is noticed before anything is replaced.
    let mut drafts = Vec::new();
    for (path, text) in new {
        let draft = write_draft(&path, text).map_err(|error| cannot(&path, error))?;
        drafts.push((path, draft));
    }
    for (path, draft) in drafts {
        draft
            .put(&path)
            .map_err(|error| cannot(&path, error.into()))?;
    }
    Ok(())
}

fn replaces(file: &File, old: &[u8], applications: &[Application]) -> bool {
    std::str::from_utf8(old).is_ok_and(|old| file.may_replace(old, applications))
}

/// Writes the draft of a file beside it. A new file is for its owner alone, since whoever can
/// change a proxy's configuration can get past the check; an existing one keeps its owner and its
/// rights.
fn write_draft(path: &Path, text: &str) -> io::Result<Draft> {
    let beside = format!(
        ".auth_user.{}.{}",
        std::process::id(),
        Digest::of(&path.to_string_lossy()).short()
    );
    let beside = path.with_file_name(beside);
    let draft = Draft::create(beside.clone(), 0o600)?;
    if let Ok(old) = fs::metadata(path) {
        // Only root may give a file away; for anybody else it becomes their own.
        let _ = chown(&beside, Some(old.uid()), Some(old.gid()));
        let mode = Permissions::from_mode(old.mode() & 0o777);
        draft.file().set_permissions(mode)?;
    }
    draft.file().write_all(text.as_bytes())?;
    draft.sync()?;
    Ok(draft)
}
