//! The page that asks for the key in compatibility mode.

use std::fs;
use std::path::Path;

use crate::pages;

/// Largest template taken from the current directory, in bytes.
const MAX_TEMPLATE: u64 = 64 * 1024;

/// The template of the page: as with the script, the one in the current directory if there is one,
/// so that an operator's changes to it are kept.
pub(super) fn template() -> String {
    let own = Path::new("secret_key.html");
    let small = fs::metadata(own).is_ok_and(|file| file.is_file() && file.len() <= MAX_TEMPLATE);
    small
        .then(|| fs::read_to_string(own).ok())
        .flatten()
        .filter(|template| template.contains("{username}"))
        .unwrap_or_else(|| pages::COMPAT_CODE.to_owned())
}
