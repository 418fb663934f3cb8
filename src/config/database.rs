//! The flags about a database, which go together, and what a build without one says to them.

use std::path::PathBuf;

use crate::config::Refused;
use crate::config::told::Told;
#[cfg(feature = "postgres")]
use crate::store::postgres::Url;

/// The database that accounts are in, in place of files.
///
/// No `Debug`: the URL may have a password.
#[cfg(feature = "postgres")]
pub struct Database {
    pub place: Place,
    /// The file with the key that seals secrets.
    pub key: PathBuf,
}

/// Where the URL of the database is.
#[cfg(feature = "postgres")]
pub enum Place {
    File(PathBuf),
    Url(Box<Url>),
}

/// Without the feature there is none.
#[cfg(not(feature = "postgres"))]
pub enum Database {}

/// The flags, which go together or not at all.
///
/// # Errors
///
/// If one is missing, or the URL is none.
pub(super) fn read(
    url: Option<String>,
    file: Option<PathBuf>,
    key: Option<PathBuf>,
    told: &Told,
) -> Result<Option<Database>, Refused> {
    let flag = match file {
        Some(_) => "--store-file",
        None => "--store",
    };
    let is_given = url.is_some() || file.is_some();
    if is_given {
        is_possible()?;
    }
    match (is_given, key) {
        (true, Some(key)) => together(url, file, key, told),
        (true, None) => Err(Refused::Wrong {
            what: format!("{} without {}", told.name(flag), key_as(told, flag)),
            hint: "make a key with auth_user store key PATH, once for all nodes, and name it \
                   there: secrets in the database are sealed with it"
                .to_owned(),
        }),
        (false, Some(_)) => Err(Refused::Wrong {
            what: format!(
                "{} without {}",
                told.name("--store-key"),
                match told.name("--store-key") {
                    "--store-key" => "--store",
                    _ => "AUTH_STORE",
                }
            ),
            hint: "name the database too, or leave the key out".to_owned(),
        }),
        (false, None) => Ok(None),
    }
}

/// The flag or the variable, as the database was named.
fn key_as(told: &Told, flag: &str) -> &'static str {
    match told.name(flag) == flag {
        true => "--store-key",
        false => "AUTH_STORE_KEY",
    }
}

#[cfg(feature = "postgres")]
fn together(
    url: Option<String>,
    file: Option<PathBuf>,
    key: PathBuf,
    told: &Told,
) -> Result<Option<Database>, Refused> {
    let place = match (url, file) {
        (_, Some(file)) => Place::File(file),
        (Some(url), None) => {
            let url = Url::parse(&url).map_err(|why| told.refuse("--store", &why))?;
            Place::Url(Box::new(url))
        }
        (None, None) => return Ok(None),
    };
    Ok(Some(Database { place, key }))
}

#[cfg(not(feature = "postgres"))]
fn together(
    _: Option<String>,
    _: Option<PathBuf>,
    _: PathBuf,
    _: &Told,
) -> Result<Option<Database>, Refused> {
    is_possible().map(|()| None)
}

/// Whether this build knows databases.
///
/// # Errors
///
/// If it does not.
pub(super) fn is_possible() -> Result<(), Refused> {
    match cfg!(feature = "postgres") {
        true => Ok(()),
        false => Err(Refused::Wrong {
            what: "this build has no PostgreSQL (cargo feature \"postgres\")".to_owned(),
            hint: "build it without --no-default-features, or leave out what is about a database"
                .to_owned(),
        }),
    }
}

/// The refusal of compatibility mode, whose keys are printed by one process.
pub(super) fn shown_to_all(told: &Told) -> Refused {
    Refused::Wrong {
        what: format!(
            "{} and a database cannot both be given",
            told.name("--compat")
        ),
        hint: "leave one of them out".to_owned(),
    }
}
