//! `auth_user store`: what it prints.

use std::path::Path;

use serde_json::json;

use super::Failure;
use super::said::print;
use crate::config::{OfServer, OfStore};
use crate::log::complain;
use crate::site;
use crate::store::postgres::{self, Migrated, Refusal};

/// `store`.
pub(super) fn carry_out(asked: &OfStore, server: &OfServer) -> Result<(), Failure> {
    match asked {
        OfStore::Key { path, json } => make_key(path, *json),
        OfStore::Migrate { url, json } => migrate(url.as_deref(), server, *json),
    }
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
    let url = site::database_url(&place).map_err(|problem| {
        let (what, hint) = problem.said();
        let hint = Some(hint);
        Failure::Failed { what, hint }
    })?;
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
