//! Files before there is a store on them: read, judged and tried out; and what an operator is told
//! if they cannot be used.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use crate::accounts::Accounts;
use crate::durable::directory_of;
use crate::store::error::{Damage, OpenError};
use crate::store::flat_file::{self, FlatFile};
use crate::store::{fit, json, users_json};

/// Reads the accounts at `users` as they are at this moment, none if there is no file, and touches
/// nothing. `None` instead of accounts if there is no file.
///
/// # Errors
///
/// If they cannot be used just as they are.
pub fn read_accounts(users: &Path) -> Result<Option<Accounts>, OpenError> {
    check_directory(users)?;
    let read = || -> Result<Option<Accounts>, Damage> {
        let file = FlatFile::of_command(users)?;
        if file.look()?.is_none() {
            return Ok(None);
        }
        let (accounts, _) = users_json::parse(&file.read()?.bytes)?;
        Ok(Some(accounts))
    };
    read().map_err(|damage| unreadable(users, damage))
}

/// The accounts in these bytes, which are those of the file at `users`, or are to be.
///
/// # Errors
///
/// If a server could not start on them.
pub fn judge_accounts(users: &Path, bytes: &[u8]) -> Result<Accounts, OpenError> {
    let parsed = users_json::parse(bytes).map_err(|damage| unreadable(users, damage))?;
    Ok(parsed.0)
}

/// The path as seen from anywhere, every link in it followed.
pub fn full_path(users: &Path) -> PathBuf {
    flat_file::real_path(users).unwrap_or_else(|_| users.to_owned())
}

/// Finds out whether the next save of the accounts could be made as a whole, and leaves no trace.
///
/// # Errors
///
/// What would fail, and what to do.
pub fn could_save(users: &Path) -> Result<(), OpenError> {
    fit::look(users)?;
    Ok(fit::find_room(users)?)
}

/// What stands in place of the accounts while they are copied there, so that nobody takes a part of
/// them for the whole.
pub const UNFINISHED: &[u8] = b"{\"unfinished\": \"auth_user store copy\"}\n";

/// Whether a copy to the accounts at `users` was begun, and not finished.
pub fn is_unfinished(users: &Path) -> bool {
    let is_as_long = users.symlink_metadata().is_ok_and(|found| {
        found.is_file() && usize::try_from(found.len()).is_ok_and(|len| len == UNFINISHED.len())
    });
    is_as_long && fs::read(users).is_ok_and(|found| found == UNFINISHED)
}

/// Checks that the folder of the accounts is there, and that it is not half a copy.
///
/// # Errors
///
/// If it is not.
pub fn check_directory(users: &Path) -> Result<(), OpenError> {
    if is_unfinished(users) {
        let damage = Damage::new("a copy to it was not finished");
        let hint = "run auth_user store copy to it again, which begins anew";
        return Err(OpenError::new(users, damage, hint));
    }
    find_directory(users)
}

/// Checks that the folder of the accounts is there.
///
/// # Errors
///
/// If it is not.
pub fn find_directory(users: &Path) -> Result<(), OpenError> {
    let directory = directory_of(users);
    if directory.is_dir() {
        return Ok(());
    }
    let damage = Damage::new(format!("there is no directory {directory:?}"));
    Err(OpenError::new(users, damage, "make that directory first"))
}

pub(super) fn unreadable(users: &Path, damage: Damage) -> OpenError {
    let hint = match () {
        () if json::is_later(&damage) => {
            "start the auth_user that wrote it, or put back a copy from before"
        }
        () if users.is_dir() => {
            "that is a folder: name the file in it, which need not be there yet"
        }
        () if users.is_symlink() => {
            "mend the file, or put back a copy; or name the file itself, not a link to it"
        }
        () => "mend the file, or put back a copy",
    };
    OpenError::new(users, damage, hint)
}

/// Reads, and meanwhile tries whether these files can be saved, since both wait for the disk.
pub(super) fn try_out_beside<T>(
    paths: [&Path; 2],
    read: impl FnOnce() -> Result<T, OpenError>,
) -> Result<T, OpenError> {
    let try_out = || paths.iter().try_for_each(|path| fit::try_out(path));
    thread::scope(|scope| {
        let trying = thread::Builder::new().spawn_scoped(scope, try_out);
        let read = read();
        let tried = match trying {
            // A thread that panicked has found nothing wrong.
            Ok(thread) => thread.join().unwrap_or(Ok(())),
            Err(_) => try_out(),
        };
        let read = read?;
        tried?;
        Ok(read)
    })
}

/// What a save that changes nothing would make of the text of a users file. For texts without a
/// file, as in fuzzing.
///
/// # Errors
///
/// What an operator would be told about such a file.
pub fn rewrite_users(text: &[u8]) -> Result<Vec<u8>, String> {
    let (accounts, mut format) = users_json::parse(text).map_err(|damage| damage.to_string())?;
    let prepared = format.prepare(&accounts);
    prepared.map_err(|error| error.to_string())?;
    let mut written = Vec::new();
    format
        .write(&accounts, &mut written)
        .map_err(|error| error.to_string())?;
    Ok(written)
}
