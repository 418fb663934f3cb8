//! One change by a command, which comes and goes: nothing else is touched.
//!
//! No thread, no sessions: those of an account that was changed no longer count, whatever their file
//! says, and the next server to look there drops them. What somebody else changed by hand and no
//! server has seen yet keeps its seal, so that a server still tells people about it.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::accounts::session::Sessions;
use crate::accounts::{Account, Accounts};
use crate::store::draft::{Base, Draft};
use crate::store::error::{Damage, NotSaved, OpenError};
use crate::store::flat_file::FlatFile;
use crate::store::users_json::{self, UsersJson};
use crate::store::{check_directory, sessions_json, unreadable};

/// How long a command waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a change was not made. Nothing is changed then.
#[derive(Debug)]
pub enum Unmade {
    /// The accounts cannot be used just as they are.
    Unreadable(OpenError),
    NotSaved(NotSaved),
}

/// What a change gave, once it is saved.
pub struct Made<R> {
    pub gave: R,
    /// Whether there was no file before.
    pub is_new: bool,
}

/// Makes one change of the accounts at `users`, alone among all processes, and saves it if it
/// changed anything. The change is made once, with the lock held.
///
/// # Errors
///
/// [`Unmade`]; the inner error, if the change gave that. The file is then as it was.
pub fn once<R, E>(
    users: &Path,
    change: impl FnOnce(&mut Draft) -> Result<R, E>,
) -> Result<Result<Made<R>, E>, Unmade> {
    check_directory(users).map_err(Unmade::Unreadable)?;
    let not_saved = |error: &io::Error| Unmade::NotSaved(NotSaved::new(users, error));
    let mut file = FlatFile::of_command(users).map_err(|error| not_saved(&error))?;
    let lock = file.lock(PATIENCE).map_err(|error| not_saved(&error))?;
    let held = || not_saved(&io::Error::other("another process holds its lock"));
    let _lock = lock.ok_or_else(held)?;

    let read = read(&mut file).map_err(|damage| Unmade::Unreadable(unreadable(users, damage)))?;
    let is_new = read.is_none();
    let (before, mut format) = read.unwrap_or_default();
    let before = Arc::new(before);
    let mut draft = Draft::of(Base {
        accounts: Arc::clone(&before),
        sessions: Arc::default(),
    });
    let gave = match change(&mut draft) {
        Ok(gave) => gave,
        Err(why) => return Ok(Err(why)),
    };
    if draft.changes_accounts() {
        let after = draft.accounts;
        let seals = seals(&mut format, &before, &after);
        format.keep_seals(seals);
        let keep = format.prepare(&after).map_err(|error| not_saved(&error))?;
        let saved = file.replace(keep, |out| format.write(&after, out));
        saved.map_err(|failed| not_saved(&failed.into()))?;
    }
    let is_new = is_new && file.look().is_ok_and(|found| found.is_some());
    Ok(Ok(Made { gave, is_new }))
}

fn read(file: &mut FlatFile) -> Result<Option<(Accounts, UsersJson)>, Damage> {
    if file.look()?.is_none() {
        return Ok(None);
    }
    let found = file.read()?;
    let read = users_json::parse(&found.bytes)?;
    file.know(found);
    Ok(Some(read))
}

/// The seals of the accounts that were edited by hand and not looked at by a server since: as they
/// were, but for what the change itself has changed.
fn seals(
    format: &mut UsersJson,
    before: &Accounts,
    after: &Accounts,
) -> HashMap<String, Option<String>> {
    let mut seals = HashMap::new();
    for unsealed in format.take_unsealed() {
        let Some(was) = before.find(&unsealed.username) else {
            continue;
        };
        let Some(is) = same(was, after) else { continue };
        let seal = unsealed.seal.map(|seal| seal.carried(was, is).text());
        seals.insert(is.username.clone(), seal);
    }
    seals
}

/// The account as it is after a change, perhaps under another name.
fn same<'a>(was: &Account, after: &'a Accounts) -> Option<&'a Arc<Account>> {
    let by_name = after.find(&was.username);
    let is_same = |is: &&Arc<Account>| was.id.is_some() && is.id == was.id;
    by_name.or_else(|| after.iter().find(is_same))
}

/// The sessions beside the accounts at `users`, which may be over. None, if their file cannot be
/// read: everybody has to log in again then.
pub fn read_sessions(users: &Path) -> Sessions {
    let file = FlatFile::of_command(&users.with_file_name("sessions.json"));
    let found = file.and_then(|file| file.read()).ok();
    let read = found.and_then(|found| sessions_json::parse(&found.bytes).ok());
    read.map_or_else(Sessions::default, |(sessions, _)| sessions)
}
