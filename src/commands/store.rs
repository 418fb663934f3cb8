//! `auth_user store`: what it prints.

use std::path::Path;

use serde_json::json;

use super::Failure;
use super::opened::wrong;
use super::progress::Progress;
use super::said::print;
use crate::config::{OfServer, OfStore};
use crate::log::complain;
use crate::operator::copy::{self, Access, Copied, Place};
use crate::site;
use crate::store::postgres::{self, Migrated, Refusal};

/// `store`.
pub(super) fn carry_out(asked: &OfStore, server: &OfServer) -> Result<(), Failure> {
    match asked {
        OfStore::Key { path, json } => make_key(path, *json),
        OfStore::Migrate { url, json } => migrate(url.as_deref(), server, *json),
        OfStore::Copy {
            from,
            to,
            to_key,
            json,
        } => {
            let key = server.store_key();
            let from = place(from, key, "--store-key")?;
            let to = place(to, to_key.as_deref().or(key), "--store-key or --to-key")?;
            copy(&from, &to, *json)
        }
    }
}

/// A store that an argument names.
fn place(text: &str, key: Option<&Path>, flag: &str) -> Result<Place, Failure> {
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        let named = OfServer::url(text)?;
        let Some(key) = key else {
            let what = format!("a database without its key: {flag} is missing");
            let hint = "name the file that auth_user store key has made for it";
            return Err(Failure::misused(what, hint));
        };
        let url = site::database_url(&named).map_err(wrong)?;
        let key = key.to_owned();
        return Ok(Place::Database(Access { url, key }));
    }
    let path = Path::new(text);
    // What is not there yet is a file if it is called like one.
    let is_folder = match path.symlink_metadata() {
        Ok(_) => path.is_dir(),
        Err(_) => text.ends_with('/') || path.extension().is_none_or(|end| end != "json"),
    };
    Ok(Place::Files(match is_folder {
        true => path.join("users.json"),
        false => path.to_owned(),
    }))
}

fn copy(from: &Place, to: &Place, as_json: bool) -> Result<(), Failure> {
    let mut progress = Progress::begin();
    let done = copy::copy(from, to, &mut |done, total| progress.tell(done, total));
    drop(progress);
    let done = done.map_err(|why| {
        let message = why.what.clone();
        Failure::refused(why.code, &message, why.what, why.hint.as_deref(), as_json)
    })?;
    for name in &done.left_out {
        let what = format!("warning: {name} is left out: it is no mail that can be sent");
        complain(&what, None);
    }
    if let Some(path) = &done.path {
        complain(&format!("made {}", path.display()), None);
    }
    let Copied {
        accounts,
        sessions,
        invitations,
        mails,
        events,
    } = done.copied;
    let text = format!(
        "{accounts} accounts, {sessions} sessions, {invitations} invitations, {mails} mails, \
         {events} events copied.\n"
    );
    let document = json!({
        "accounts": accounts,
        "sessions": sessions,
        "invitations": invitations,
        "mails": mails,
        "events": events,
    });
    print(&text, &document, as_json);
    Ok(())
}

fn make_key(path: &Path, as_json: bool) -> Result<(), Failure> {
    postgres::make_key(path).map_err(|why| failed(&why))?;
    let shown = path.display().to_string();
    let text = format!("made {shown}\n");
    print(
        &text,
        &json!({ "code": "key_made", "path": shown }),
        as_json,
    );
    Ok(())
}

fn migrate(url: Option<&str>, server: &OfServer, as_json: bool) -> Result<(), Failure> {
    let place = match url {
        Some(url) => Some(OfServer::url(url)?),
        None => server.database()?,
    };
    let Some(place) = place else {
        let what = "no database is named".to_owned();
        let hint = "give its URL as an argument, or with --store or AUTH_STORE_FILE";
        return Err(Failure::misused(what, hint));
    };
    let url = site::database_url(&place).map_err(wrong)?;
    let migrated = postgres::migrate(&url).map_err(|why| failed(&why))?;
    if migrated.asks_md5 {
        complain(&format!("warning: {}", postgres::BY_MD5), None);
    }
    let Migrated { from, to, .. } = migrated;
    let text = match from == to {
        true => format!("the schema is version {to} already\n"),
        false => format!("raised the schema from version {from} to {to}\n"),
    };
    print(&text, &json!({ "from": from, "to": to }), as_json);
    Ok(())
}

fn failed(why: &Refusal) -> Failure {
    Failure::Failed {
        what: why.to_string(),
        hint: Some(why.hint().to_owned()),
    }
}
