//! The operator's logo, read from the directory of the accounts.

use std::fs;
use std::io;
use std::path::Path;

use crate::log;
use crate::pages;
use crate::site::PROGRAM;

/// The logo as a `data:` URL, if there is one. One that cannot be used is left out.
pub(super) fn read(directory: &Path) -> Option<String> {
    let (path, media_type) = pages::LOGO_FILES
        .map(|(name, media_type)| (directory.join(name), media_type))
        .into_iter()
        .find(|(path, _)| path.exists())?;
    let found = fs::metadata(&path);
    let size = found.as_ref().map_or(u64::MAX, fs::Metadata::len);
    // Reading from a pipe would wait for somebody to write to it.
    let image = match found {
        Ok(found) if !found.is_file() => Err(io::Error::other("is not a file")),
        _ => fs::read(&path),
    };
    match image {
        Ok(image) if size <= pages::MAX_LOGO => Some(pages::logo_url(media_type, &image)),
        Ok(_) => {
            let most = pages::MAX_LOGO;
            tracing::warn!(
                target: PROGRAM,
                file = log::path(&path),
                size,
                most,
                "the logo is too large and is not shown"
            );
            None
        }
        Err(error) => {
            tracing::warn!(target: PROGRAM, file = log::path(&path), %error, "the logo cannot be read and is not shown");
            None
        }
    }
}
