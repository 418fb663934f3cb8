//! `sessions.json`: who is logged in, so that a restart logs nobody out. Cookies are in it as
//! digests only.

use std::io::{self, Write};
use std::marker::PhantomData;

use serde::Serialize;

use crate::accounts::session::{Session, Sessions};
use crate::store::error::Damage;
use crate::store::json::{self, Top, VERSION};

/// The file as it is written.
#[derive(Serialize)]
struct SessionsJson<'a> {
    version: u64,
    sessions: Vec<&'a Session>,
}

pub(super) fn parse(bytes: &[u8]) -> Result<Sessions, Damage> {
    let top = Top {
        field: "sessions",
        seed: PhantomData::<Vec<Session>>,
    };
    let (sessions, _) = json::parse(bytes, top)?;
    Ok(sessions.into_iter().collect())
}

pub(super) fn write(sessions: &Sessions, out: &mut dyn Write) -> io::Result<()> {
    let file = SessionsJson {
        version: VERSION,
        sessions: sessions.iter().map(AsRef::as_ref).collect(),
    };
    serde_json::to_writer_pretty(&mut *out, &file)?;
    out.write_all(b"\n")
}
