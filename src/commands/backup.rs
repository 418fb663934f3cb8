//! `auth_user backup` and `auth_user restore`: what they print.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;

use serde_json::{Value, json};

use super::Failure;
#[cfg(feature = "postgres")]
use super::opened::access;
use super::progress::Progress;
use super::said::print_json;
use crate::config::{Backup, OfServer, Restore};
use crate::log::complain;
use crate::operator::backup::{self, Asked, Made, NotDone, Restored, Told};

/// `backup`.
pub(super) fn backup(asked: &Backup, server: &OfServer) -> Result<(), Failure> {
    let to_stdout = asked.file.as_os_str() == "-";
    if to_stdout && io::stdout().is_terminal() {
        let what = "cannot write a tar to a terminal".to_owned();
        return Err(Failure::misused(
            what,
            "name a file, or send it through a pipe",
        ));
    }
    let mut progress = Progress::begin();
    let wanted = Asked {
        users: &server.users,
        pair: server.pair(),
        file: &asked.file,
    };
    let made = make(&wanted, server, &mut |done, total| {
        progress.tell(done, total)
    });
    drop(progress);
    let made = made?;
    let made = made.map_err(|why| refused(why, asked.json))?;
    for name in &made.left_out {
        let what = format!(
            "warning: {name} is left out: a backup has only plain files with plain names of up to \
             100 bytes, and no links"
        );
        complain(
            &what,
            Some("keep a copy of what is there, since the backup has none"),
        );
    }
    if let Some(path) = &made.path {
        complain(&format!("made {}", path.display()), None);
    }
    let (files, accounts, bytes) = (made.files, made.accounts, made.bytes);
    let message = format!("{files} files, {accounts} accounts, {bytes} bytes backed up.");
    let document = json!({
        "code": "backed_up",
        "message": message,
        "accounts": accounts,
        "files": files,
        "bytes": bytes,
    });
    if to_stdout {
        // Standard output is the tar.
        let said = if asked.json {
            document.to_string()
        } else {
            message
        };
        let _ = writeln!(io::stderr(), "{said}");
    } else {
        print(&document, &message, asked.json);
    }
    Ok(())
}

/// `restore`.
pub(super) fn restore(asked: &Restore, server: &OfServer) -> Result<(), Failure> {
    let mut progress = Progress::begin();
    let restored = remake(&asked.file, server, &mut |done, total| {
        progress.tell(done, total)
    });
    drop(progress);
    let restored = restored?.map_err(|why| refused(why, asked.json))?;
    for (name, why) in &restored.left_out {
        complain(&format!("warning: {name} is left out: {why}"), None);
    }
    let hint = restored.roots.as_ref().map(|folder| {
        let folder = folder.display();
        format!("root owns it: chown -R USER {folder} gives it to whom the server runs as")
    });
    // A folder with nothing in it is told of too if it is to be given away.
    let made = match restored.made.as_slice() {
        [] => restored.roots.as_slice(),
        made => made,
    };
    let made: Vec<String> = made.iter().map(|path| path.display().to_string()).collect();
    if !made.is_empty() {
        complain(&format!("made {}", made.join(", ")), hint.as_deref());
    }
    let (files, accounts) = (restored.files, restored.accounts);
    let message = format!("{files} files, {accounts} accounts restored.");
    let document = json!({
        "code": "restored",
        "message": message,
        "accounts": accounts,
        "files": files,
    });
    print(&document, &message, asked.json);
    Ok(())
}

/// Of files, or of the database that was told.
#[cfg_attr(
    not(feature = "postgres"),
    expect(unused_variables, reason = "no other place can be told")
)]
fn make(
    wanted: &Asked<'_>,
    server: &OfServer,
    told: Told<'_>,
) -> Result<Result<Made, NotDone>, Failure> {
    #[cfg(feature = "postgres")]
    if let Some(access) = access(server)? {
        return Ok(backup::backup_database(wanted, &access, told));
    }
    Ok(backup::backup(wanted, told))
}

/// Files, or what is in the database that was told.
fn remake(
    tar: &Path,
    server: &OfServer,
    told: Told<'_>,
) -> Result<Result<Restored, NotDone>, Failure> {
    #[cfg(feature = "postgres")]
    if let Some(access) = access(server)? {
        return Ok(backup::restore_database(&server.users, tar, &access, told));
    }
    Ok(backup::restore(&server.users, tar, told))
}

fn print(document: &Value, message: &str, as_json: bool) {
    if as_json {
        print_json(document);
    } else {
        // If nobody reads it, the exit status counts.
        let _ = writeln!(io::stdout().lock(), "{message}");
    }
}

fn refused(why: NotDone, as_json: bool) -> Failure {
    let NotDone { code, what, hint } = why;
    let message = what.clone();
    Failure::refused(code, &message, what, hint.as_deref(), as_json)
}
